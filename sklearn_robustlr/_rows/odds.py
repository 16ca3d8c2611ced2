"""How far what rows meet speaks for their coefficients, and against chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from .._utils.stats import quantile

# Most rows that have a share of errors of their own; and logarithm of the odds from which coefficients are known. Of
# 74,000 rows drawn as in ``asv_bench/studies/known_rows.py`` 0.985 of those that are right are known, and 0.026 of the
# known ones wrong; from 0 on 0.996 and 0.034, from 4 on 0.960 and 0.019. Root mean square errors are the same with 3.
_OWN_ERRORS, ODDS = 0.1, 2.0
# Degrees of freedom of the prior of coefficients, for rows of any size occur.
_FREEDOM = 4.0
# Standard normal variates and their weights, over which the errors' law is averaged.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(12)
# Least and largest share of errors in most rows, and least size of them, in units of the noise: others are unlike any.
_SHARES, _LEAST_SIZE = (1e-6, 0.5), 1e-3


class GrossErrors(NamedTuple):
    """Share of values that are errors, and their median size."""

    share: float
    size: float

    @classmethod
    def of(cls, away: np.ndarray, wrong: np.ndarray) -> GrossErrors:
        """Those that a mask tells of values, which are so far away from usual ones; as large as all where none is."""
        if not len(away):
            return cls(0.0, 0.0)
        return cls(float(np.mean(wrong)), quantile(np.abs(away[wrong] if wrong.any() else away), 0.5))


def log_odds(
    coefficients: np.ndarray, loadings: np.ndarray, met: np.ndarray, seen: np.ndarray, errors: GrossErrors
) -> np.ndarray:
    """Logarithm of the odds of coefficients (n, k) of rows by what they meet, over that all values of a row are errors.

    Of the `seen` values of a row so many are `met`. Values are the product with the `loadings` (p, k), beside a mean,
    in units of the noise; so is the size of `errors`, which have a Cauchy law. The prior of coefficients is a t
    distribution of unit scale, averaged over by Laplace's approximation with columns as they are on the whole. In most
    rows the share of errors is the usual one, in some any.
    """
    p, k = loadings.shape
    gram = loadings.T @ loadings / p
    with np.errstate(over="ignore", invalid="ignore"):  # of any size: then nothing speaks for them
        size = np.sqrt(1.0 + np.minimum(np.sum(coefficients @ gram * coefficients, axis=1), np.trace(gram)))
        rarity = 0.5 * (_FREEDOM + k) * np.log1p(np.sum(coefficients**2, axis=1) / _FREEDOM)
        reach = np.maximum(errors.size, _LEAST_SIZE)
        beyond = np.log1p(np.multiply.outer(size / reach, _NODES) ** 2) @ _WEIGHTS / _WEIGHTS.sum()
    speaking = met * (np.log(reach * np.sqrt(np.pi / 2.0)) + beyond - 0.5)
    spectrum = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    occam = 0.5 * np.sum(np.log1p(np.multiply.outer(met, spectrum)), axis=-1)
    mode = gammaln(0.5 * (_FREEDOM + k)) - gammaln(0.5 * _FREEDOM) - 0.5 * k * np.log(0.5 * _FREEDOM)
    return speaking + mode - rarity - occam + _log_share(met, seen, errors.share)


def _log_share(met: np.ndarray, seen: np.ndarray, share: float) -> np.ndarray:
    """Logarithm of how likely it is that all values but those met are errors, over that all are."""
    met, seen, share = np.minimum(met, seen), seen.astype(np.float64), float(np.clip(share, *_SHARES))
    ways = gammaln(seen + 1.0) - gammaln(met + 1.0) - gammaln(seen - met + 1.0)
    with_own = min(2.0 * share, _OWN_ERRORS)  # half of the values of these are errors
    usual, own = np.log1p(-with_own), np.log(with_own) - np.log(seen + 1.0)
    few = np.logaddexp(usual + (seen - met) * np.log(share) + met * np.log1p(-share), own - ways)
    return few - np.logaddexp(usual + seen * np.log(share), own)
