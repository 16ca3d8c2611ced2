"""Leverage of single rows and columns: directions that are those of a few alone."""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv

from .._utils.values import Fit


def localised_share(factor: np.ndarray) -> float:
    """Largest share of a direction, of all that the columns span, that lies in the rows of over three times the mean.

    The k columns are orthonormal, and all n rows have a leverage of k. A direction that is nearly that of n / (3 k)
    rows alone comes to one.
    """
    leverage = np.sum(factor**2, axis=1)
    few = factor[leverage > 3.0 * factor.shape[1] / len(factor)]
    return float(np.linalg.norm(few, 2) ** 2) if len(few) else 0.0


def has_high_leverage(fit: Fit) -> bool:
    """Whether a row or a column of a fit has a direction nearly to itself: it may be stuck there."""
    return any(bool(np.any(np.sum(factor**2, axis=1) > 0.7)) for factor in (fit.u, fit.v))


def has_ordinary_leverage(factor: np.ndarray, chance: float = 0.01) -> bool:
    """Whether no row of orthonormal columns is longer than those of Gaussian factors are, but for this chance."""
    n, k = factor.shape
    longest = 2.0 * gammainccinv(k / 2.0, chance / n)  # of n values of chi squared with k degrees of freedom
    return bool(n * np.max(np.sum(factor**2, axis=1)) <= longest)
