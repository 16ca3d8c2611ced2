"""The noise model: residuals as a mixture of inliers and gross errors."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, ndtr

from .._kernels.residuals import inlier_probabilities, likely_errors, weighted_median
from .._utils.rules import NORMAL_MEDIAN
from .._utils.stats import quantile
from .._utils.values import Fit

#: Variance of a standard normal variate given that it lies within two standard deviations.
_CORE_VARIANCE = 0.7737
#: Most gross errors that their median size is computed from.
_MEDIAN_SAMPLE = 10_000
#: Share of the inliers otherwise asked for that is enough where the residuals without the last direction have more in
#: common than noise has.
SUPPORTED = 0.9
# Least noise whose logarithm is taken.
_LEAST_SCALE = float(np.finfo(np.float64).tiny)
# What inliers have to save, times what it takes to tell which they are. Of 300 matrices with 2.5 to 8 inliers for each
# degree of freedom beside 30 to 45 % of large errors (``asv_bench/studies/doubtful.py --row large``) 215 are right, and
# 24 are wrong although they are "exact" or "noisy"; with 1 it is 221 and 25, but small matrices and sparse measurements
# that are wrong are "noisy" then; with 4 it is 210 and 23, without 208 and 21.
_WORTH = 2.0


class Mixture:
    """Residuals as inliers N(0, scale^2) and gross errors Cauchy(0, spread); `fall` bounds the fall of the scale."""

    def __init__(self, residual: np.ndarray, dof: int, floor: float, fall: float) -> None:
        size = np.abs(residual)
        self._dof, self._floor, self._fall = dof, floor, fall
        # An l1 fit meets nearly as many targets as it has degrees of freedom; of the rest, the lower fifth is noise.
        met = 0.5 * min(dof / len(size), 0.8)
        self.scale = max(quantile(size, met + 0.2 * (1.0 - met)) / 0.2533, floor)
        self.spread = max(quantile(size, 0.9), 3.0 * self.scale)
        self.bad_share = 0.3

    @classmethod
    def of_inliers(cls, residual: np.ndarray, dof: int, floor: float) -> Mixture:
        """The mixture that takes nearly all for inliers, of a fit that all are inliers of."""
        mixture = cls(residual, dof, floor, 0.5)
        free = 1.0 - min(dof / len(residual), 0.5)
        mixture.scale = max(quantile(np.abs(residual), 0.5) / NORMAL_MEDIAN / np.sqrt(free), floor)
        mixture.spread, mixture.bad_share = 3.0 * mixture.scale, 0.01
        return mixture

    def update(self, residual: np.ndarray) -> np.ndarray:
        """Make one expectation-maximisation step; returns the posterior probability of each to be an inlier."""
        weight = np.empty(len(residual))
        total, core, power, n_errors = inlier_probabilities(residual, self.scale, self.spread, self.bad_share, weight)
        self.bad_share = min(max(1.0 - total / len(weight), 1e-3), 0.9)
        shrink = 1.0 - min(self._dof / max(total, 1.0), 0.5)
        scale = np.sqrt(power / max(core, 1.0) / _CORE_VARIANCE / shrink)
        self.scale = max(scale, self._fall * self.scale, self._floor)
        # the others have next to no share in the median of the gross errors
        step = max(n_errors // _MEDIAN_SAMPLE, 1)
        size, probability = np.empty((2, -(-n_errors // step)))
        likely_errors(residual, weight, step, size, probability)
        middle = weighted_median(size, probability) if n_errors else 0.0
        self.spread = max(middle, 3.0 * self.scale)
        return weight.astype(residual.dtype, copy=False)

    def is_heavy_tailed(self, residual: np.ndarray, beyond: float = 0.08) -> bool:
        """Whether over a third would be gross errors, with no gap between the noise and them."""
        size = np.abs(residual)
        core = np.count_nonzero(size < self.scale)
        tail = np.count_nonzero((size >= 4.0 * self.scale) & (size < 8.0 * self.scale))
        return bool(self.bad_share > 0.35 and tail > beyond * core)


def mean_log_density(fit: Fit) -> float:
    """Mean logarithm of the density of the residuals of a fit with noise, under the mixture that it ended with.

    Its scale has been corrected for the degrees of freedom: to follow a part of the measurements is not rewarded.
    """
    size = np.abs(fit.residual.astype(np.float64))
    gross = 1.0 - fit.inlier_weight.astype(np.float64)
    spread, share = 3.0 * fit.scale, max(float(np.mean(gross)), 1e-3)
    if gross.any():
        spread = max(float(weighted_median(size, gross)), spread)
    inlier = (1.0 - share) / (np.sqrt(2.0 * np.pi) * fit.scale) * np.exp(-0.5 * np.minimum(size / fit.scale, 35.0) ** 2)
    return float(np.mean(np.log(inlier + share / (np.pi * spread * (1.0 + (size / spread) ** 2)))))


def unbiased_scale(fit: Fit) -> float:
    """Return the noise scale of a fit with noise, corrected for the degrees of freedom of the fit.

    The fit makes residuals smaller than the noise. Their core is cut at two scales of the noise, which is then beyond
    two of their own standard deviations. So the scale of the mixture is too large: by 4 % with eight inliers per degree
    of freedom. Let t be the cut in standard deviations of the residuals. The mixture settles where t^2 / 4 equals the
    variance of the residuals below t, over the variance below 2 and over the share that the degrees of freedom leave.
    """
    left = 1.0 - min(fit.dof / max(float(fit.inlier_weight.sum()), 1.0), 0.5)

    def excess(t: float) -> float:
        below = 1.0 - 2.0 * t * np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi) / (2.0 * ndtr(t) - 1.0)
        return t * t / 4.0 - below / (_CORE_VARIANCE * left)

    t = brentq(excess, 1.9, 4.0)
    return float(fit.scale) / (0.5 * t * np.sqrt(left))


def has_enough_inliers(fit: Fit, *, of: float = 1.0) -> bool:
    """Whether a fit with noise has enough inliers per degree of freedom: 3, or 4 where the tail is heavy, or 2.

    `of` is the share of these that is enough: :data:`SUPPORTED` where more than the misfit speaks for a direction.

    Fits with fewer than 3 may follow the errors: the wrong ones seen on clean data all had below 2.8, or below 4.3 with
    a noise as large as the targets themselves: 4.5 are asked for where it exceeds 0.6 of their median, 8 where the tail
    is heavy, too. A fit whose inliers are so many, or met so closely, that chance has not picked them needs 2, or
    3 with so much noise (``python asv_bench/studies/doubtful.py --row few``).
    """
    loud = fit.scale > 0.6
    if fit.heavy_tailed:
        least = 8.0 if loud else 4.0
    else:
        few, many = (3.0, 4.5) if loud else (2.0, 3.0)
        least = few if _are_told(fit) else many
    return float(fit.inlier_weight.sum()) >= of * least * fit.dof


def _are_told(fit: Fit) -> bool:
    """Whether inliers save far more than it takes to tell which of the values they are (minimum description length).

    Each beyond the degrees of freedom saves the logarithm of the size of targets, their median, in units of the noise.
    Where hardly any value is an error, or the noise is small, chance would not have met so many.
    """
    gain, inliers = -np.log(max(fit.scale, _LEAST_SCALE)), float(fit.inlier_weight.sum())
    share = min(inliers / len(fit.inlier_weight), 1.0)
    return bool(gain * (inliers - fit.dof) > _WORTH * len(fit.inlier_weight) * (entr(share) + entr(1.0 - share)))
