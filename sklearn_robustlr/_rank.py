"""The rank: a guess from the gap that the tiny start leaves, then a scan of fits around it.

Two ranks are compared by what the larger one gains. Clean data: by the number of measurements fitted
exactly, which jumps at the true rank and afterwards grows by no more than the added unknowns can
interpolate. Noisy data: by the fall of the robust misfit in units of the noise variance, against the
most that one more direction can gain from pure noise, (sqrt(d1 - k) + sqrt(d2 - k))^2, the squared edge
of the noise's singular values. Measured on 120 mixed cases: surplus directions gain 0.5 to 1.3 edges, true
ones from 1.8 (the weakest, at condition 4 and 27 % noise) to 97, so one and a half decide. The training loss
never decides: it always prefers more directions.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv

from ._factors import degrees_of_freedom

#: A direction counts where it gains this many noise edges.
EDGES = 1.5
# The same where the residuals without it have more in common than noise has.
LEAST_EDGES = 1.0

#: Edges that one more direction must promise for a fit of it to be made. Measured on 140 noisy problems, those that
#: the data asked for promised at least 1.13, surplus ones at most 0.86 where the fit was not stuck.
PROMISE = 0.95

#: Share of the sound measurements that a fit must have which will do where the residuals without its last direction
#: have more in common than noise has.
OTHERWISE_TOLD = 0.9

#: Residual below which a measurement is met nearly, in units of the median target.
_NEARLY = 0.03
# Random signs that residuals are given, and how far beyond what they come to noise may be by chance, at least.
_SIGNS, _BEYOND_NOISE = 5, 1.08


def gap_guess(spectrum, smallest=1e-2):
    """Position of the widest gap among the singular values above `smallest` times the first; its ratio."""
    if len(spectrum) < 2 or spectrum[0] <= 0:
        return 1, np.inf
    above = int(np.count_nonzero(spectrum >= smallest * spectrum[0]))
    following = np.maximum(spectrum[1:], 1e-12 * spectrum[0])
    ratio = (spectrum[:-1] / following)[:above]
    best = int(np.argmax(ratio))
    return best + 1, float(ratio[best])


def largest_rank(shape, size, *, share=0.6, symmetric=False):
    """Largest rank whose degrees of freedom are at most `share` of the measurements (at least 1)."""
    k = 1
    while k < min(shape) and degrees_of_freedom(shape, k + 1, symmetric=symmetric) <= share * size:
        k += 1
    return k


def exact_tolerance(dtype):
    """Residual below which a measurement counts as fitted exactly, in units of the median target."""
    return 1e-6 if np.dtype(dtype) == np.float64 else 5e-4


def is_met(fit):
    """Mask of the measurements other than zero that the fit meets exactly."""
    met = np.abs(fit.residual) <= exact_tolerance(fit.residual.dtype)
    return met if fit.informative is None else met & fit.informative


def informative_count(fit):
    """Number of measurements that meeting them exactly says something about: those other than zero."""
    return len(fit.residual) if fit.informative is None else int(np.count_nonzero(fit.informative))


def exact_count(fit):
    """Number of measurements other than zero that the fit meets exactly."""
    return int(np.count_nonzero(is_met(fit)))


def is_exact(fit):
    """Whether far more measurements are met exactly than the unknowns can interpolate, and few are met nearly.

    Ties (a background that does not change, counts) make real data meet a fit exactly here and there; there is then
    no gap between what is met and what is not.
    """
    met = exact_count(fit)
    if met - fit.dof <= 0.1 * informative_count(fit):
        return False
    nearly = np.abs(fit.residual) <= _NEARLY
    if fit.informative is not None:
        nearly &= fit.informative
    return bool(np.count_nonzero(nearly) - met <= 0.1 * met)


def localised_mass(factor):
    """Squared length, of as many as there are columns, that lies in the rows with over three times the even share.

    The columns are orthonormal. A direction that is nearly that of n / (3 k) of the n rows alone adds one.
    """
    leverage = np.sum(factor**2, axis=1)
    return float(leverage[leverage > 3.0 * factor.shape[1] / len(factor)].sum())


def is_lonely(factor):
    """Mask of the rows of orthonormal columns that have a direction nearly to themselves."""
    return np.sum(factor**2, axis=1) > 0.7


def has_lonely(fit):
    """Whether a row or a column of a fit has a direction nearly to itself: it may be stuck there."""
    return bool(is_lonely(fit.u).any() or is_lonely(fit.v).any())


def has_ordinary_leverage(factor, chance=0.01):
    """Whether no row of orthonormal columns is longer than those of Gaussian factors are, but for this chance."""
    n, k = factor.shape
    longest = 2.0 * gammainccinv(k / 2.0, chance / n)  # of n values of chi squared with k degrees of freedom
    return bool(n * np.max(np.sum(factor**2, axis=1)) <= longest)


def noise_edge(shape, k, *, symmetric=False):
    """Most that one more direction gains by fitting pure noise of unit variance, beyond rank k."""
    a, b = (max(d - k, 1) for d in shape)
    return 2.0 * a if symmetric else (np.sqrt(a) + np.sqrt(b)) ** 2


def misfit(residual, scale, width=4.685):
    """Robust squared misfit per measurement (bisquare), about (r / scale)^2 for small r."""
    z = np.minimum(np.abs(residual) / (width * scale), 1.0)
    return width**2 / 3.0 * (1.0 - (1.0 - z * z) ** 3)


def bisquare(residual, scale, width=4.685):
    """Weights that belong to :func:`misfit`."""
    z = np.minimum(np.abs(residual) / (width * scale), 1.0)
    return ((1.0 - z * z) ** 2).astype(residual.dtype)


def edges_between(before, after, scale, shape, k, symmetric):
    """Noise edges by which the misfit falls between two residuals, the first of rank k, the second of one more."""
    lost = misfit(before, scale).sum() - misfit(after, scale).sum()
    return float(lost / noise_edge(shape, k, symmetric=symmetric))


def gain(small, large, shape, *, symmetric=False):
    """Noise edges gained by the `large` fit over the `small` one, per added direction.

    Where the residuals of the larger fit are heavy-tailed, the misfit is that of the Laplace law.
    """
    if large.heavy:
        width = large.scale * 0.6745 / np.log(2.0)
        lost = 2.0 / width * float(np.abs(small.residual).sum() - np.abs(large.residual).sum())
    else:
        lost = misfit(small.residual, large.scale).sum() - misfit(large.residual, large.scale).sum()
    edge = sum(noise_edge(shape, k, symmetric=symmetric) for k in range(small.rank, large.rank))
    return float(lost / edge)


def is_determined(fit, *, of=1.0):
    """Whether a fit with noise has enough sound measurements per unknown: 3, or 4 where the tail is heavy.

    `of`: share of these that will do, as :data:`OTHERWISE_TOLD` where more than the misfit speaks for a direction.

    Fits with fewer follow the errors: the wrong ones seen on clean data all had below 2.8, or below 4.3 with
    a noise as large as the targets themselves: 4.5 are asked for where it exceeds 0.6 of their median, 8 where the tail
    is heavy, too.
    """
    few, many = (4.0, 8.0) if fit.heavy else (3.0, 4.5)
    least = many if fit.scale > 0.6 else few
    return float(fit.sound.sum()) >= of * least * fit.dof


def left_over(fit, measurements):
    """Leading singular value of the sound residuals, in units of the most that noise comes to by chance.

    The same residuals with random signs tell what that is: they keep their sizes and places, and lose what they have
    in common (Hong, Sheng and Dobriban, 2020, who choose the number of principal components so).
    """
    sound = np.clip(fit.residual, -3.0 * fit.scale, 3.0 * fit.scale) * (fit.sound > 0.5)
    if np.linalg.norm(sound) < 0.5 * fit.scale * np.sqrt(fit.sound.sum()):  # noise is more, as that of rounding
        return 0.0

    def leading(values):
        return float(measurements.leading(values.astype(fit.residual.dtype), 1)[1][0])

    rng = np.random.RandomState(0)
    noise = [leading(sound * (2 * rng.randint(2, size=len(sound)) - 1)) for _ in range(_SIGNS)]
    mean = np.mean(noise)
    most = max(_BEYOND_NOISE * mean, mean + 3.0 * np.std(noise, ddof=1))
    return leading(sound) / most if most > 0.0 else 0.0


def prefers_larger(small, large, shape, *, symmetric=False):
    """Whether the data ask for the larger of two ranks."""
    if is_exact(small) or is_exact(large):
        added = exact_count(large) - exact_count(small)
        return added > max(1.5 * (large.dof - small.dof), 0.01 * informative_count(small))
    if not is_determined(large):
        return False
    return gain(small, large, shape, symmetric=symmetric) > EDGES
