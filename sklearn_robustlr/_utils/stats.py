"""Robust statistics: quantiles by partition, sizes and scales from them, and the bisquare misfit."""

from __future__ import annotations

import numpy as np

from .rules import LOSS_LEVEL, NORMAL_MEDIAN

# Width of the bisquare, in noise scales: 95 % efficient with Gaussian noise.
_BISQUARE_WIDTH = 4.685


def quantile(values: np.ndarray, q: float) -> float:
    """Quantile of a one-dimensional array by partition, O(m)."""
    k = min(int(q * len(values)), len(values) - 1)
    return float(np.partition(values, k)[k])


def robust_size(values: np.ndarray, level: float = LOSS_LEVEL) -> float:
    """Quantile of |values|; their mean where that is zero, as with mostly zero targets."""
    size = np.abs(values)
    return quantile(size, level) or float(size.mean())


def median_scale(residual: np.ndarray) -> float:
    """Noise scale by the median absolute residual: the standard deviation of Gaussian noise."""
    return quantile(np.abs(residual), 0.5) / NORMAL_MEDIAN


def misfit(residual: np.ndarray, scale: float) -> np.ndarray:
    """Robust squared misfit per measurement (bisquare), about (r / scale)^2 for small r."""
    z = np.minimum(np.abs(residual) / (_BISQUARE_WIDTH * scale), 1.0)
    return _BISQUARE_WIDTH**2 / 3.0 * (1.0 - (1.0 - z * z) ** 3)


def bisquare(residual: np.ndarray, scale: float) -> np.ndarray:
    """Weights that belong to :func:`misfit`."""
    z = np.minimum(np.abs(residual) / (_BISQUARE_WIDTH * scale), 1.0)
    return ((1.0 - z * z) ** 2).astype(residual.dtype)
