"""The robust misfit of residuals (bisquare), and the weights that belong to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.residuals import bisquare_saved, bisquare_sum
from .._operators.base import Measurements
from .._operators.entries import EntryMeasurements
from .._utils.values import Fit
from .mending import broken

# Width of the bisquare, in noise scales: 95 % efficient with Gaussian noise.
_WIDTH = 4.685
#: The most that the misfit of one measurement may be: that of an error.
MOST_MISFIT = _WIDTH**2 / 3.0


def total_misfit(residual: np.ndarray, scale: float) -> float:
    """Robust squared misfit of all measurements, each about (r / scale)^2 for small r."""
    return MOST_MISFIT * float(bisquare_sum(residual, _WIDTH * scale))


def misfit_saved(
    before: np.ndarray, after: np.ndarray, scale: float, lines: Sequence[np.ndarray], shares: Sequence[np.ndarray]
) -> float:
    """Fall of :func:`total_misfit`, that of each entry times the shares of its `lines`, its row and its column."""
    return MOST_MISFIT * float(bisquare_saved(before, after, _WIDTH * scale, *lines, *shares))


def bisquare(residual: np.ndarray, scale: float) -> np.ndarray:
    """Weights that belong to :func:`total_misfit`."""
    z = np.minimum(np.abs(residual) / (_WIDTH * scale), 1.0)
    return ((1.0 - z * z) ** 2).astype(residual.dtype)


def improves(new: Fit, old: Fit) -> bool:
    """Whether a fit of the same rank has the smaller robust misfit, at the smaller of the two scales."""
    scale = min(new.scale, old.scale)
    return total_misfit(new.residual, scale) < total_misfit(old.residual, scale)


def with_missed_lines(values: np.ndarray, fit: Fit, measurements: Measurements) -> np.ndarray:
    """Values of residuals, in rows and columns of which a fit misses most up to three noise scales; the same without.

    It misses far more of such a row than of the others: all of it is wrong, and then like nothing else, or has a
    direction in common with others that the fit does not have. What it has in common with the directions of the fit
    does not count. Of 24 tables of three or four groups of rows, one of 2 to 8 % of them, 16 lose the direction of that
    group without (``asv_bench/studies/row_groups.py --row rare``).
    """
    if not isinstance(measurements, EntryMeasurements):
        return values
    found, bounded = values, np.clip(fit.residual, -3.0 * fit.scale, 3.0 * fit.scale)
    for line, others, basis in (
        (measurements.rows, measurements.cols, fit.v),
        (measurements.cols, measurements.rows, fit.u),
    ):
        seen, met = np.bincount(line), np.bincount(line, fit.inlier_weight)
        missed = np.flatnonzero(broken(met, seen) & (2.0 * met < seen))
        if not len(missed):
            continue
        found = found.copy() if found is values else found
        order, ends = np.argsort(line, kind="stable"), np.cumsum(seen)
        for i in missed:
            own = order[ends[i] - seen[i] : ends[i]]
            directions = basis[others[own]]
            found[own] = bounded[own] - directions @ np.linalg.lstsq(directions, bounded[own], rcond=None)[0]
    return found
