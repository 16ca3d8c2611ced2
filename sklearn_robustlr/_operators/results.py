"""Named results of the measurement operators."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Factors (left, right) of X = left right^T, and the bound at which the residuals of X are clipped.
Request = tuple[np.ndarray, np.ndarray, float]


class Step(NamedTuple):
    """Residual of the measurements at left right^T, and the gradients of both factors.

    With G = sum_i w_i psi(r_i) A_i of clipped residuals psi(r_i), the gradients are G right and G^T left.
    """

    residual: np.ndarray
    grad_left: np.ndarray
    grad_right: np.ndarray


class Clipping(NamedTuple):
    """How steps of the sub-gradient method clip residuals, and how long they are.

    A step is `share` over the largest squared spectral norm of the factors, `norm` at least. Residuals are clipped at
    `delta`, which falls to `width` times the median of `some` of them, but no further than by the factor `fall`.
    """

    delta: float
    norm: float
    share: float
    width: float
    fall: float
    some: slice | np.ndarray


class Clipped(NamedTuple):
    """Factors after so many steps, and the bound at which the next residual is clipped."""

    left: np.ndarray
    right: np.ndarray
    n_steps: int
    delta: float


class FlatStep(NamedTuple):
    """Residuals at several flattened matrices, and the flattened G of each, one row each."""

    residual: np.ndarray
    adjoint: np.ndarray


class Moments(NamedTuple):
    """Second moments of measurement matrices: the mean of A A^T / d2 and that of A^T A / d1."""

    rows: np.ndarray
    columns: np.ndarray
