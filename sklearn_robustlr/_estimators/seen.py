"""Measurements as a fit sees them: those that count, in the order of the solver, and ids of rows and columns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._operators.base import Measurements
from . import memory
from .ids import Ids
from .sample_weight import Copies, in_units_of
from .validation import make_measurements_object


class SeenMeasurements(NamedTuple):
    """Measurements, the sample that each of them is, how often it counts where that is not once, and ids.

    `copies` are entries, each as often as it was measured, if most were so several times (None: they were not).
    """

    operator: Measurements
    sample: np.ndarray
    weight: np.ndarray | None
    ids: Ids | None
    copies: Measurements | None = None

    @classmethod
    def of(
        cls, X: Any, y: np.ndarray, shape: tuple[int, int] | None, kind: str, *, symmetric: bool, sample_weight: Any
    ) -> SeenMeasurements:
        """Those of checked samples of a symmetric matrix or another one.

        Where no `shape` is given rows and columns have ids, those of a symmetric one the same.
        """
        copies = Copies.of_measurements(X, y, sample_weight)
        seen = cls._of(X, y, shape, kind, copies, symmetric=symmetric)
        if copies is None or kind != "entries" or sample_weight is not None:  # it is a precision, not a number
            return seen
        more = copies.repeated(X.shape[1])
        return seen if more is None else seen._replace(copies=cls._of(X, y, shape, kind, more, symmetric=symmetric)[0])

    @classmethod
    def _of(
        cls, X: Any, y: np.ndarray, shape: tuple[int, int] | None, kind: str, copies: Copies | None, *, symmetric: bool
    ) -> SeenMeasurements:
        """Those that are seen of samples, or of copies of them."""
        index = np.arange(X.shape[0]) if copies is None else copies.index
        if copies is not None:
            X, y = X[index], y[index]
        ids = None
        if shape is None:
            ids = Ids.of(X, shared=symmetric)
            shape = ids.shape
        if symmetric and shape[0] != shape[1]:
            raise ValueError(f"symmetric=True needs a square matrix, but its shape is {shape}.")
        what = "sparse" if sparse.issparse(X) else kind
        need = memory.measurements_need(what, shape, X.shape[0], X.size, X.dtype.itemsize)
        memory.require(need)
        operator, order = make_measurements_object(X if ids is None else ids.places(X), y, shape, kind)
        if operator.has_unlike_sizes():
            memory.require(need + memory.copy_need(what, X.size, X.dtype.itemsize))
        weight = None
        if copies is not None and copies.weight is not None:
            weight = in_units_of(copies.weight, copies.weight)
        if order is not None:
            index, weight = index[order], None if weight is None else weight[order]
        return cls(operator, index, weight, ids)
