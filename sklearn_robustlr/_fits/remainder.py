"""What a fit of a sharp rank leaves of its inliers, and the directions in which this varies most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .._utils.linalg import degrees_of_freedom, truncated_svd
from .._utils.rules import FLAG_WIDTH, NORMAL_MEDIAN
from .matrix_fit import MatrixFit, counts_of_rows

# Least part of a direction, or size of one in units of the largest, that is no rounding.
_LEAST = 1e-8


class Directions(NamedTuple):
    """Orthonormal columns, and the singular values of what is left along them as if all entries were seen."""

    values: np.ndarray
    axes: np.ndarray


class Remainder(NamedTuple):
    """What is left of the inliers of rows in a unit, zero elsewhere.

    Its squares are as many as are `free` beside the fit, and a `share` of those beside a fit of all entries.
    """

    rows: sparse.csr_matrix
    unit: float
    free: float
    share: float

    @property
    def size(self) -> float:
        """Norm of what would be left if all entries were seen."""
        return self.unit * float(np.linalg.norm(self.rows.data)) / np.sqrt(self.share)

    @property
    def scale(self) -> float:
        """Standard deviation of the noise."""
        return self.unit * float(np.linalg.norm(self.rows.data)) / np.sqrt(self.free)

    def directions(self, known: np.ndarray, k: int) -> Directions:
        """The leading directions, up to k, orthogonal to those that are `known`, which are orthonormal."""
        _, s, v = truncated_svd(self.rows, min(k, *self.rows.shape))
        v = v[:, s > _LEAST * max(float(s[0]), np.finfo(np.float64).tiny)]
        v -= known @ (known.T @ v)
        v = v[:, np.linalg.norm(v, axis=0) > _LEAST]
        v = v[:, : known.shape[0] - known.shape[1]]
        axes = np.linalg.qr(v - known @ (known.T @ v))[0]
        return Directions(self.unit * np.linalg.norm(self.rows @ axes, axis=0) / np.sqrt(self.share), axes)


def rows_left(entries: Entries, residual: np.ndarray, outliers: np.ndarray, *, unit: float = 1.0) -> sparse.csr_matrix:
    """What is left of all but the `outliers`, a mask, zero elsewhere; residuals are estimates minus values."""
    left = np.where(outliers, 0.0, -residual.astype(np.float64) / unit)
    return sparse.csr_matrix((left, entries.cols, entries.indptr), shape=entries.shape)


def remainder_of(entries: Entries, found: MatrixFit, space: RowSpace | ModelSpace, center: bool) -> Remainder:
    """That of a noisy fit, about the mean of each column if `center`; rows are there as often as they count.

    Rows that are not identifiable have no part in it, nor have those of far more noise, which tell of themselves alone.
    """
    fit, (n, p) = found.fit, entries.shape
    residual, outliers = space.residual(entries, fit.factors.left), found.outliers[entries.rows, entries.cols]
    outliers, size = np.asarray(outliers).ravel(), np.abs(residual)
    usual = float(np.median(size[~outliers])) / NORMAL_MEDIAN if not outliers.all() else 0.0
    counts = np.ones(n) if entries.row_weight is None else entries.row_weight
    known = counts_of_rows(entries, size > FLAG_WIDTH * usual) > 0.0
    known[found.undetermined_rows] = False
    known |= not known.any()
    rows = rows_left(entries, residual, outliers, unit=fit.scale)
    weight = np.where(outliers, 0.0, np.where(known, counts, 0.0)[entries.rows])
    if center:
        total, seen = (np.bincount(rows.indices, part, p) for part in (weight * rows.data, weight))
        rows.data -= (total / np.where(seen > 0.0, seen, 1.0))[rows.indices]
    rows.data *= np.sqrt(weight)
    free, every = (
        max(squares - degrees_of_freedom((round(count), p), fit.rank), 1.0)
        for squares, count in ((weight.sum(), counts[known].sum()), (counts.sum() * p, counts.sum()))
    )
    return Remainder(rows, fit.scale, free, free / every)
