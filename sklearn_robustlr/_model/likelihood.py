"""Log-likelihood of rows under a Gaussian low-rank model, in which gross errors follow a Cauchy law."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .._kernels.posterior import entry_means, posterior_rows
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .._utils.linalg import unpack
from .rows import moments
from .space import ModelSpace
from .tails import slope

# Least noise, in units of the largest standard deviation of a column.
_LEAST = 1e-8


def row_scores(space: ModelSpace | RowSpace, entries: Entries, gross: np.ndarray, noise: float) -> np.ndarray:
    """Log-likelihood of rows under the space of a fit; `noise` is the standard deviation where the rank is sharp."""
    if isinstance(space, ModelSpace):
        even = Entries.of(entries.indptr, entries.cols, space.even(entries), entries.shape)
        units = np.bincount(entries.rows, _log_units(space, entries.cols, even.y), minlength=entries.shape[0])
        each = [
            row_log_likelihood(
                even, gross, columns.prior_mean, columns.loadings, columns.law.inlier_variances / space.usual_weight
            )
            for columns in space.members
        ]
        return np.logaddexp.reduce(np.log(space.weights)[:, None] + each, axis=0) - units
    if space.units is not None:
        found = row_scores(space.evened, entries.divided(space.units), gross, noise)
        return found - np.bincount(entries.rows, np.log(space.units)[entries.cols], minlength=entries.shape[0])
    mean, loadings = space.basis @ space.center, space.basis @ space.root
    sizes = float(np.abs(loadings).max(initial=0.0)), float(np.abs(mean).max()), noise if np.isfinite(noise) else 0.0
    unit = max(sizes) or 1.0
    even = Entries.of(entries.indptr, entries.cols, entries.y / unit, entries.shape)
    least = max(noise / unit, _LEAST) if np.isfinite(noise) else 1.0  # of a fit that tells nothing of the noise
    u, s, _ = np.linalg.svd(loadings / unit, full_matrices=False)
    told = s > least  # that of the mean has no spread
    found = row_log_likelihood(even, gross, mean / unit, u[:, told] * s[told], np.full(len(mean), least**2))
    return found - np.log(unit) * np.diff(entries.indptr)


def entry_log_likelihoods(space: ModelSpace, entries: Entries, hidden: np.ndarray) -> np.ndarray:
    """Logarithms of the densities of the hidden entries of rows, a mask, given the others; not of idle ones.

    The density is that of the mixture of the members. What none of them allows for has the least density of a float.
    """
    idle = space.idle(entries)
    seen, rest = entries.subset(~hidden & ~idle), entries.subset(hidden & ~idle)
    out = np.zeros(len(rest.y))
    for lo, hi in pairwise(entries.bounds()):
        where = space.table(rest, lo, hi)
        own = slice(rest.indptr[lo], rest.indptr[hi])
        for weight, (columns, _, rows) in zip(space.weights, space.posteriors(space.table(seen, lo, hi)), strict=True):
            mean, variance = moments(rows, columns, where)
            root = where.with_noise_of_rows(rows.noise).root_weight
            density = columns.law.density(root * (where.values - mean), root**2 * variance, where.cols)
            out[own] += weight * root * density
    return np.log(np.maximum(out, np.finfo(np.float64).tiny)) - _log_units(space, rest.cols, space.even(rest))


def _log_units(space: ModelSpace, cols: np.ndarray, even: np.ndarray) -> np.ndarray:
    """Logarithms of the unit of each entry, by its value in even units."""
    units = np.log(space.scale)[cols]
    return units if space.long is None else units + np.log(slope(even, space.long[cols]))


def row_log_likelihood(
    entries: Entries, gross: np.ndarray, mean: np.ndarray, loadings: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Logarithm of the density of the observed entries of each row, x ~ N(mean, loadings loadings^T + diag(noise)).

    Entries that the mask `gross` names are apart: each has the Cauchy law about the mean of its column, with the
    standard deviation of that as its spread. A wrong entry then makes a row unlikely, but does not hide the rest.
    """
    n, k = entries.shape[0], loadings.shape[1]
    deviation = np.sqrt(noise + np.einsum("jk,jk->j", loadings, loadings))
    wrong = entries.subset(gross)
    z = (wrong.y - mean[wrong.cols]) / deviation[wrong.cols]
    single = -np.log(np.pi * deviation[wrong.cols]) - 2.0 * np.log(np.hypot(1.0, z))  # squares of extremes overflow
    out = np.bincount(wrong.rows, single, minlength=n)
    rest = entries.subset(~gross)
    indptr, cols = np.ascontiguousarray(rest.indptr, np.int32), np.ascontiguousarray(rest.cols, np.int32)
    away, weight = rest.y - mean[cols], 1.0 / noise[cols]
    means, packed = np.empty((n, k)), np.empty((n, k * (k + 1) // 2))
    loadings = np.ascontiguousarray(loadings)
    sure = np.zeros((len(loadings), packed.shape[1]))
    posterior_rows(indptr, cols, away, weight, loadings, sure, np.ones(k), means, packed)
    fitted = np.empty(len(away))
    entry_means(indptr, cols, means, loadings, fitted)
    # the least of what is missed and of the size of coefficients: errors of these are of second order
    each = weight * (away - fitted) ** 2 + np.log(2.0 * np.pi * noise[cols])
    missed = np.bincount(rest.rows, each, minlength=n) + np.einsum("ik,ik->i", means, means)
    return out - 0.5 * (missed - np.linalg.slogdet(unpack(packed))[1])
