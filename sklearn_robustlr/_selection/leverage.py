"""Leverage of single rows and columns: directions that are those of a few alone."""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv

from .._utils.values import Fit


def localised_mass(factor: np.ndarray) -> float:
    """Leverage of the rows that have over three times the mean; all n rows have k in all.

    The k columns are orthonormal. A direction that is nearly that of n / (3 k) rows alone adds one.
    """
    leverage = np.sum(factor**2, axis=1)
    return float(leverage[leverage > 3.0 * factor.shape[1] / len(factor)].sum())


def has_high_leverage(fit: Fit) -> bool:
    """Whether a row or a column of a fit has a direction nearly to itself: it may be stuck there."""
    return any(bool(np.any(np.sum(factor**2, axis=1) > 0.7)) for factor in (fit.u, fit.v))


def has_ordinary_leverage(factor: np.ndarray, chance: float = 0.01) -> bool:
    """Whether no row of orthonormal columns is longer than those of Gaussian factors are, but for this chance."""
    n, k = factor.shape
    longest = 2.0 * gammainccinv(k / 2.0, chance / n)  # of n values of chi squared with k degrees of freedom
    return bool(n * np.max(np.sum(factor**2, axis=1)) <= longest)
