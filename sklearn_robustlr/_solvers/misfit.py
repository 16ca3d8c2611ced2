"""The robust misfit of residuals (bisquare), and the weights that belong to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.residuals import bisquare_saved, bisquare_sum
from .._utils.values import Fit

# Width of the bisquare, in noise scales: 95 % efficient with Gaussian noise.
_WIDTH = 4.685


def total_misfit(residual: np.ndarray, scale: float) -> float:
    """Robust squared misfit of all measurements, each about (r / scale)^2 for small r."""
    return _WIDTH**2 / 3.0 * float(bisquare_sum(residual, _WIDTH * scale))


def misfit_saved(
    before: np.ndarray, after: np.ndarray, scale: float, lines: Sequence[np.ndarray], shares: Sequence[np.ndarray]
) -> float:
    """Fall of :func:`total_misfit`, that of each entry times the shares of its `lines`, its row and its column."""
    return _WIDTH**2 / 3.0 * float(bisquare_saved(before, after, _WIDTH * scale, *lines, *shares))


def bisquare(residual: np.ndarray, scale: float) -> np.ndarray:
    """Weights that belong to :func:`total_misfit`."""
    z = np.minimum(np.abs(residual) / (_WIDTH * scale), 1.0)
    return ((1.0 - z * z) ** 2).astype(residual.dtype)


def improves(new: Fit, old: Fit) -> bool:
    """Whether a fit of the same rank has the smaller robust misfit, at the smaller of the two scales."""
    scale = min(new.scale, old.scale)
    return total_misfit(new.residual, scale) < total_misfit(old.residual, scale)
