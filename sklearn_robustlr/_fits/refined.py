"""Noisy fits refined: rows that are stuck, and the noise of rows and columns, in whose units a fit is made again."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.special import gammaincc
from scipy.stats import ks_2samp

from .._kernels.posterior import entry_means
from .._operators.observed import Entries
from .._selection.verdict import DECAYS, DOUBTFUL, OPEN
from .._utils.linalg import degrees_of_freedom
from .._utils.ranks import is_localised
from .._utils.rules import FLAG_WIDTH
from .._utils.stats import find_repeated, sign_of_mean
from .._utils.values import Factors, Masks, Options, StopReason
from .approximate import LazyModel
from .blocks import fit_block, fit_core
from .lines import entries_again
from .measurements import LowRankFit
from .model_fit import Approximation, as_fit
from .sharp import Explained, OwnNoise, SharpColumns, refined_columns

# Inliers per degree of freedom beyond which the prior of a posterior mean changes little. Of 283 noisy matrices of 20 x
# 20 to 500 x 300 the error beside that of least squares is 0.96 (geometric mean) with 5 inliers per degree of freedom,
# 0.98 with 7, 0.99 with 10 and with 15, where it takes as long as the fit.
_MANY = 12.0
# Most entries times squared rank of a matrix that it is computed of: a fifth of a second on one thread.
_MOST_WORK = 1e7
# Share of the length of a column's unit vector that directions have from which it has most of one. Of 20 columns of
# rank 2 that are alike they have 0.1 in the mean (``asv_bench/studies/unlike.py --row units``; no other was tried).
_APART = 0.5
# Probability of distributions that differ so much from which it is chance. Of 36 matrices of values above zero alone,
# half of them zero (rank 2, 20 to 60 % seen), the others were a fit of their own in 17 without it, in none with it. Of
# 24 with 15 % errors of one value and three inliers for each degree of freedom all are as without. No other was tried.
_AT_RANDOM = 1e-3


def _has_few_inliers(entries: Entries, fit: LowRankFit, options: Options) -> bool:
    """Whether a fit with a noise scale has so few inliers that it is worth to look at each row and column again.

    So it is where a direction is that of a few rows or columns: the others tell nothing of it.
    """
    inliers = float(np.mean(~fit.outliers)) * len(entries.y)  # the fit may be that of a block
    few = inliers <= _MANY * degrees_of_freedom(entries.shape, fit.rank) or is_localised(fit.left, fit.right)
    return options.polish and few and inliers * fit.rank**2 <= _MOST_WORK and not fit.heavy_tailed


def regressed_again(entries: Entries, fit: LowRankFit, options: Options) -> LowRankFit:
    """A noisy fit of few inliers, its rows and columns that are stuck regressed again."""
    if fit.verdict.code is not StopReason.NOISY or not _has_few_inliers(entries, fit, options):
        return fit
    return entries_again(entries, fit, options.n_jobs)


class Refinable(NamedTuple):
    """A fit, and the columns to which the noise of its rows and columns refines it (None: all have the same)."""

    fit: LowRankFit
    refined: SharpColumns | None = None


def by_own_noise(entries: Entries, kept: Masks, fit: LowRankFit, model: LazyModel, options: Options) -> Refinable:
    """A noisy fit and its columns, where rows or columns have noise of their own.

    One that has not converged is made again where these predict better than the `model`: the low rank does not depend
    on the units of rows and columns, and in those of their noise all of it is alike. No stage of that search may have a
    doubt. So it is where columns have noise of their own, or one has most of a direction to itself, which may be its
    noise, and that is likelier.
    """
    ended = fit.verdict == DECAYS or fit.verdict.code is StopReason.INTERRUPTED
    if ended or not options.polish or find_repeated(entries.y, entries.rows, entries.cols).any():
        return Refinable(fit)
    own = OwnNoise.of(entries, fit)
    refined = None if own is None else refined_columns(entries, fit, own)
    if (own is not None and not own.of_rows) or has_column_apart(fit):
        alike = _in_units_of_noise(entries, kept, fit, refined, model, options)
        if alike is not None:
            return alike
    if fit.converged or refined is None:
        return Refinable(fit, refined)
    if model.is_better_than(refined):
        return Refinable(fit)
    row, column = refined.deviations(entries)
    unit = float(linalg.norm(column)) / np.sqrt(len(column))  # squares of extremes overflow, but not here
    found = _again(entries, kept, fit, row, column / unit, options)
    if found is None or not found.sharp:
        return Refinable(fit)
    again = refined_columns(entries, found, OwnNoise((column / unit) ** 2, of_rows=True))
    return Refinable(found, again) if again is not None and not model.is_better_than(again) else Refinable(fit)


def with_prior(entries: Entries, fit: LowRankFit, options: Options) -> SharpColumns | None:
    """The columns of a fit of few inliers as posterior means: they are nearer to the matrix than least squares.

    None where there are many, where the fit tells nothing of noise, where a direction of it is none, or where there are
    values that keep coming back and that it has not left out.
    """
    has_noise = fit.verdict.code in (StopReason.NOISY, StopReason.UNDETERMINED)
    if not (has_noise and _has_few_inliers(entries, fit, options)):
        return None
    told = entries.without(fit.repeated)
    if find_repeated(told.y, told.rows, told.cols).any():
        return None
    refined = refined_columns(told, fit)
    least = 1 if fit.verdict == OPEN else fit.rank  # the model counts directions that the noise may be
    return None if refined is None or refined.columns.rank < least else refined


def or_likely(
    entries: Entries, fit: LowRankFit, refined: SharpColumns | None, model: LazyModel, options: Options
) -> Refinable:
    """A fit that has not converged and its columns, or those of the directions of the model that stand out.

    These are refined as those of a sharp rank, and take the place of the fit where they predict held-out entries better
    than it does, and than the model. A search finds no rank where inliers are fewer than three per degree of freedom.
    Where entries count unequally, held-out ones tell too little of the others.
    """
    is_even = entries.weight is None and entries.row_weight is None
    if fit.converged or fit.verdict.code in (StopReason.INTERRUPTED, StopReason.EXACT) or not is_even:
        return Refinable(fit, refined)
    likely = model.likely(fit)
    found = None if likely is None else with_prior(entries, likely, options)
    if likely is None or found is None or not model.prefers(found, fit, refined):
        return Refinable(fit, refined)
    return Refinable(likely, found)


def come_at_random(fit: LowRankFit, entries: Entries, some: np.ndarray) -> bool:
    """Whether `some` entries, a mask, are spread over rows and columns by chance, and a fit of the others agrees.

    Its values for them are distributed as those for the others. Where a limit is, or a small value is zero, they are
    not; and of some columns most values may be one.
    """
    for lines, n in zip((entries.rows, entries.cols), entries.shape, strict=True):
        seen, own = np.bincount(lines, minlength=n), np.bincount(lines, some, n)
        expected = seen * np.mean(some)
        apart = (own - expected)[seen > 0] ** 2 / (expected * (1.0 - np.mean(some)))[seen > 0]
        if gammaincc(0.5 * len(apart), 0.5 * apart.sum()) < _AT_RANDOM:  # that of chi-squared
            return False
    left, right = (factor.astype(np.float64) for factor in fit.factors)
    fitted = np.empty(len(entries.y))
    entry_means(entries.indptr, entries.cols, left, right, fitted)
    return bool(ks_2samp(fitted[some], fitted[~some], method="asymp").pvalue > _AT_RANDOM)


def has_column_apart(fit: LowRankFit) -> bool:
    """Whether a fit with noise has a column that has most of a direction to itself."""
    noisy = fit.verdict.code is not StopReason.EXACT and np.isfinite(fit.threshold) and fit.scale > 0.0
    return bool(noisy and np.max(np.sum(fit.right.astype(np.float64) ** 2, axis=1)) > _APART)


def _again(
    entries: Entries, kept: Masks, fit: LowRankFit, row: np.ndarray, column: np.ndarray, options: Options
) -> LowRankFit | None:
    """The same fit made in these units of rows and columns, of mean square one; None where it is not noisy.

    It begins at that fit where this has converged. Nor is it made where errors are no numbers in these units: a search
    takes numbers alone.
    """
    with np.errstate(over="ignore"):
        alike = entries.with_values((entries.y / (row[entries.rows] * column[entries.cols])).astype(entries.dtype))
    if not np.isfinite(alike.y).all():
        return None
    options = replace(options.apart, only_sharp=not fit.converged)
    even = Factors(fit.factors.left / row[:, None], fit.factors.right / column[:, None])
    start = even if fit.converged else None
    found = fit_block(alike, options, start) or fit_core(alike, kept, options, start)
    if found.verdict.code is not StopReason.NOISY:
        return None
    left, right = found.factors
    found = replace(found, n_iter=fit.n_iter + found.n_iter, history=fit.history, restart_scores=fit.restart_scores)
    return found.with_factors(left * row[:, None], right * column[:, None])


def _in_units_of_noise(
    entries: Entries,
    kept: Masks,
    fit: LowRankFit,
    refined: SharpColumns | None,
    model: LazyModel,
    options: Options,
) -> Refinable | None:
    """A fit made in units of the noise that the model has for columns, refined; None where it is not likelier.

    Where it is, but the model predicts better by far, the fit is not to be trusted.
    """
    if model.averaged is None:
        return None
    size = model.averaged.space.usual_noise
    size = size / np.sqrt(np.mean(size**2))
    found = _again(entries, kept, fit, np.ones(entries.shape[0]), size, options)
    if found is None or not (fit.converged or found.sharp):
        return None
    own = OwnNoise.of(*divided(entries, found, size))
    variances, of_rows = (np.ones(len(size)), False) if own is None else own
    again = refined_columns(entries, found, OwnNoise(variances * size**2, of_rows), size)
    before = refined if refined is not None else refined_columns(entries, fit)
    if again is None:
        return None
    if before is not None and sign_of_mean(again.log_density(entries) - before.log_density(entries)) <= 0:
        return None
    doubted = model.is_better_than(again, trusted=fit.converged)
    return Refinable(replace(fit, verdict=DOUBTFUL)) if doubted else Refinable(found, again)


def divided(entries: Entries, fit: LowRankFit, units: np.ndarray) -> tuple[Entries, LowRankFit]:
    """Entries and a fit of them in these units of columns."""
    with np.errstate(over="ignore"):  # errors beyond all numbers are as far as any
        alike = entries.with_values((entries.y / units[entries.cols]).astype(entries.dtype))
    return alike, fit.with_factors(fit.factors.left, fit.factors.right / units[:, None])


def explained_by(entries: Entries, found: Refinable, options: Options) -> Explained:
    """What a fit explains, in units of the noise of each column where that is refined."""
    if found.refined is None:
        return Explained.of(entries, found.fit)
    fit, space, *_ = as_refined(entries, found.fit, found.refined, options)
    return Explained.of(*divided(entries, replace(fit, threshold=FLAG_WIDTH), space.usual_noise))


def as_refined(
    entries: Entries, fit: LowRankFit, refined: SharpColumns, options: Options, unknown: np.ndarray | None = None
) -> Approximation:
    """A fit refined to these columns, blind to those that are not identifiable, a mask (None: all are)."""
    told = entries.without(fit.repeated)
    space = refined.space(told, told)
    space = space if fit.repeated is None else space.without(fit.repeated)
    return as_fit(entries, space if unknown is None else space.blind(unknown), fit, fit.verdict, options)
