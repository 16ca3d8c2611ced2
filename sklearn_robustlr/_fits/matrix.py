"""The fit of a matrix: of a block or of its core, then what that has not determined, and the verdict on each entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._kernels.entries import spanned_columns
from .._model.space import ModelSpace
from .._model.units import column_medians
from .._operators.observed import Entries, core
from .._rows.links import linked
from .._rows.odds import GrossErrors
from .._rows.regression import Regression, RowSpace
from .._rows.signs import find_ambiguous
from .._selection.verdict import DECAYS
from .._utils.checkpoint import stage
from .._utils.rules import FLAG_WIDTH
from .._utils.values import Factors, Masks, Options, StopReason, Verdict
from .approximate import LazyModel
from .blocks import block_to_start, fit_block, fit_core, search_small_blocks
from .location import Spreads, far_medians, far_units, fit_location
from .matrix_fit import MatrixFit
from .measurements import LowRankFit, above_rounding, are_single
from .met_errors import find_met_errors
from .misses import misfit_of
from .model_fit import Approximation, as_fit
from .off import error_in_all_rows, off_rows
from .refined import (
    Refinable,
    as_refined,
    by_own_noise,
    come_at_random,
    explained_by,
    or_likely,
    regressed_again,
    with_prior,
)
from .sharp import Explained, SharpColumns, refined_columns

# Numbers that the second moments of columns take at a time.
_MOST_NUMBERS = 10_000_000
# Share of the inliers that a posterior mean may lose. Of 434 matrices with errors, or wrong rows and columns, one is
# nearer with 0.005; with 0.001 ten are further away, by a twentieth to a half.
_LOST = 0.003


def fit_matrix(
    entries: Entries, options: Options, start: Factors | None = None, *, are_even: bool = False
) -> MatrixFit:
    """Fit the observed entries of a matrix; `start`: factors of a fit to nearly the same data.

    If they `are_even`, they are in units of their columns already.
    """
    some = Spreads.of_some(entries)
    units = far_units(entries, some) if options.polish and not are_even else None
    if units is not None:
        return _fit_in_units(entries, units, options, start)
    shift = far_medians(entries, some)
    if shift is not None:
        return _fit_beside(entries, shift, options)
    off = off_rows(entries) if options.polish else None
    without_off = None if off is None else _fit_without_rows(off, entries, options, start)
    if without_off is not None:
        return without_off
    model = LazyModel(entries, options)
    options = replace(options, rival=model)
    if start is None:
        found = search_small_blocks(entries, options)
        without = None if found.repeated is None else _fit_without(found.repeated, entries, options)
        if without is not None:
            return without
        decays = None if found.decaying is None or model.may_end() else found.decaying
        approximation = None if decays is None else model.instead_of(decays)
        if approximation is not None:
            return _judge_approximation(entries, approximation)
        if found.extension is not None:
            fit, regression = found.extension
            known = Masks(*(np.ones(n, dtype=bool) for n in entries.shape))
            space, above = learn_space(fit, known, entries.row_weight), _above_rounding(entries, fit)
            if above.threshold > fit.threshold:
                regression = _regress_all(entries, space, above.threshold, options)
            return _judge(entries, above, space, regression, known, options)
        if found.block is not None and entries.weight is not None:  # all there is to do is to refine it by the weights
            fit = found.block.fit.with_factors(*found.block.extend(entries, options))
            approximation = model.instead_of(fit, Explained.of(entries, fit))
            if approximation is not None:
                return _judge_approximation(entries, approximation)
        start = None if found.block is None else block_to_start(entries, found.block, options)
    kept = core(entries)
    if kept.rows.any():
        fit = fit_block(entries, options, start) or fit_core(entries, kept, options, start)
        without = None if fit.repeated is None else _fit_without(fit.repeated, entries, options, sure=fit.converged)
        if without is not None:
            return without
        fit = regressed_again(entries, fit, options)
        met = find_met_errors(entries, fit, options)
        if met is not None:
            return _of_all(entries, fit_matrix(entries.subset(~met.errors), options, met.factors), options)
        refinable = by_own_noise(entries, kept, fit, model, options)
        fit, refined = refinable
        fit, refined = or_likely(entries, fit, refined or with_prior(entries, fit, options), model, options)
        if refined is not None and model.speaks_for(fit, refined):
            fit = replace(fit, verdict=Verdict(StopReason.NOISY))
            refinable = Refinable(fit, refined)
        explained = explained_by(entries, refinable, options) if fit.converged else None
        is_exact = fit.verdict.code is StopReason.EXACT and explained is not None and explained.is_all
        approximation = None if is_exact else model.instead_of(fit, explained, refined)
        if approximation is not None:
            return _judge_approximation(entries, approximation)
        # of a rank that is told, more than columns may be left
        if explained is not None and explained.lost.any() and not options.is_told:
            return _fit_beside_columns(explained.lost, entries, options)
        if fit.verdict == DECAYS:  # of a block, or where the medians of all predict as well
            fit = fit_core(entries, kept, replace(options, rival=None), start)
            fit, refined = by_own_noise(entries, kept, fit, model, options)
            refined = refined or with_prior(entries, fit, options)
    else:
        fit, refined = fit_location(entries, options.n_init), None
    sharp = settled(entries, kept, fit, options)
    return _with_prior(entries, sharp, refined, model, options) or sharp


def _fit_in_units(entries: Entries, units: np.ndarray, options: Options, start: Factors | None) -> MatrixFit:
    """Fit the entries in these units of the columns; it is told in those that they have."""
    even = entries.divided(units)
    start = None if start is None else Factors(start.left, start.right / units[:, None])
    found = fit_matrix(even, options.unseen, start, are_even=True)
    tells = found.fit.verdict.code not in (StopReason.EXACT, StopReason.UNDETERMINED)
    # where there is noise, it has the units of the columns too
    refined = refined_columns(even, found.fit) if tells and isinstance(found.space, RowSpace) else None
    found = found if refined is None else _refined(even, found, refined, options)
    return found.in_units(units)


def _fit_without(repeated: np.ndarray, entries: Entries, options: Options, *, sure: bool = True) -> MatrixFit | None:
    """Fit the other entries; where rows have these values, which keep coming back, they count as missing.

    None where the others have no sharp rank, or one of means alone, beside which these are errors: as well they may be
    limits of columns, or default settings. So they may be if no fit is `sure` to have nothing to do with them, unless
    the others say that they come at random.
    """
    others = entries.without(repeated)
    found = fit_matrix(others, options)
    is_sharp = found.fit.verdict.code in (StopReason.EXACT, StopReason.NOISY)
    if not is_sharp or found.fit.is_of_means(len(others.y)):
        return None
    if not sure and not come_at_random(found.fit, entries, np.isin(entries.y, repeated)):
        return None
    fit = replace(found.fit, repeated=repeated)
    return _of_all(entries, replace(found, fit=fit, space=found.space.without(repeated)), options)


def _fit_without_rows(off: np.ndarray, entries: Entries, options: Options, start: Factors | None) -> MatrixFit | None:
    """Fit the other rows; those that are `off`, a mask, are regressed on what is learnt of these.

    Their values are no values of stuck sensors, though they may be that in other rows: there they are errors.
    None where that has not converged, or they are no estimates of it: their values are further from these than noise.
    """
    start = None if start is None else Factors(start.left[~off], start.right)
    trial = replace(options.unseen, meter=options.meter.fresh())
    found = fit_matrix(entries.part(~off, np.ones(entries.shape[1], dtype=bool)), trial, start)
    if not found.fit.converged:
        return None
    fit, space = replace(found.fit, repeated=None), found.space.with_repeated()
    if isinstance(space, ModelSpace):
        approximation = as_fit(entries, space, fit, fit.verdict, options)
        regression, noise = approximation.regression, approximation.noise
        whole = _judge_approximation(entries, approximation)
    else:
        regression, noise = _regress_all(entries, space, fit.threshold, options), np.full(entries.shape[1], fit.scale)
        fit = fit.with_factors(regression.factors, space.basis)
        known = Masks(np.ones(len(off), dtype=bool), ~np.isin(np.arange(entries.shape[1]), found.undetermined_columns))
        whole = _judge(entries, fit, space, regression, known, options, has_core=found.has_core)
    missed = np.abs(space.residual(entries, regression.factors))[off[entries.rows]]
    if np.median(missed / np.maximum(noise[entries.cols], fit.row_scale)[off[entries.rows]]) > 1.0:
        return None
    rows = np.union1d(whole.undetermined_rows, np.flatnonzero(~off)[found.undetermined_rows])
    flags = space.gross(entries, regression) & ~np.isin(entries.rows, rows)
    return replace(
        whole,
        fit=replace(whole.fit, outliers=regression.beyond),
        outliers=entries.mask(flags),
        expected_error=error_in_all_rows(found.expected_error, entries, off, ~regression.beyond),
        undetermined_rows=rows,
        undetermined_columns=np.union1d(whole.undetermined_columns, found.undetermined_columns),
    )


def _fit_beside_columns(lost: np.ndarray, entries: Entries, options: Options) -> MatrixFit:
    """Fit the other columns; the `lost` ones, of a mask, have nothing in common with them but their rows."""
    found = fit_matrix(entries.subset(~lost[entries.cols]), options)
    medians = column_medians(entries.part(np.ones(entries.shape[0], dtype=bool), lost))
    location, expected = found.location.copy(), found.expected_error.copy()
    location[lost], expected[lost] = medians, 1.0
    fit = found.fit.with_factors(found.fit.factors.left, np.where(lost[:, None], 0.0, found.fit.right))
    found = replace(
        found,
        fit=fit,
        space=found.space.beside(lost, medians),
        location=location,
        expected_error=expected,
        undetermined_columns=np.union1d(found.undetermined_columns, np.flatnonzero(lost)),
        n_observed=len(entries.y),
    )
    return _of_all(entries, found, options)


def _of_all(entries: Entries, found: MatrixFit, options: Options) -> MatrixFit:
    """The verdict on all entries by a fit to some of them."""
    space = found.space
    regression = space.regress(entries, n_jobs=options.n_jobs, residual=True, threshold=found.fit.threshold)
    return replace(
        found,
        fit=replace(found.fit, outliers=regression.beyond),
        outliers=entries.mask(space.gross(entries, regression)),
        regression=None if found.regression is None else regression,
    )


def _with_prior(
    entries: Entries, found: MatrixFit, refined: SharpColumns | None, model: LazyModel, options: Options
) -> MatrixFit | None:
    """The posterior mean in place of least squares: it is nearer to the matrix where inliers are few.

    So it is where rows or columns have noise variances of their own, by which it is `refined`. None elsewhere, where
    fewer entries would be met, or where a fit that has not converged would predict worse.
    """
    fit = found.fit
    if refined is None:
        return None
    if not fit.converged and model.predicts_worse(refined, fit):
        return None
    judged = _refined(entries, found, refined, options)
    before = np.abs(misfit_of(entries, *fit.factors)) > fit.threshold
    assert judged.regression is not None
    # those that are beyond the noise of their own column alone are no nearer to the fit before
    after = judged.fit.outliers & (np.abs(judged.regression.residual) > fit.threshold)
    return None if np.sum(after) > np.sum(before) + _LOST * np.sum(~before) else judged


def _refined(entries: Entries, found: MatrixFit, refined: SharpColumns, options: Options) -> MatrixFit:
    """A fit refined to these columns; what is not identifiable stays so, and has no flags."""
    unknown = np.isin(np.arange(entries.shape[1]), found.undetermined_columns)
    approximation = as_refined(entries, found.fit, refined, options, unknown)
    judged = _judge_approximation(entries, approximation)
    _, space, regression, _ = approximation
    lost = np.union1d(found.undetermined_rows, np.flatnonzero(~space.is_identifiable(regression.met)))
    return replace(
        judged,
        space=judged.space.holding(unknown | _is_in_doubt(found.fit, options), entries),
        outliers=entries.mask(space.gross(entries, regression)),
        undetermined_rows=lost,
        undetermined_columns=found.undetermined_columns,
    )


def _fit_beside(entries: Entries, shift: np.ndarray, options: Options) -> MatrixFit:
    """Fit what is left of the entries beside a value for each column, which is one direction more."""
    found = fit_matrix(entries.with_values(entries.y - shift[entries.cols]), options.unseen)
    if isinstance(found.space, ModelSpace):
        return found.beside(shift)
    fit = found.fit.beside(shift)
    rounding = 10.0 * float(np.finfo(entries.dtype).eps) * float(np.abs(shift).max())
    fit = replace(fit, threshold=max(fit.threshold, FLAG_WIDTH * rounding))
    return settled(entries, core(entries), replace(fit, scale=max(fit.scale, rounding)), options)


def learn_space(
    fit: LowRankFit, known: Masks, row_weight: np.ndarray | None, errors: GrossErrors | None = None
) -> RowSpace:
    """Row space and its prior from the factors of the known rows and columns, rows as often as they count."""
    columns = None if known.columns.all() else known.columns
    left, efficient = fit.factors.left, not fit.heavy_tailed
    prior = known.rows, fit.row_scale
    space = RowSpace.learn(
        fit.right, left, *prior, efficient=efficient, known=columns, row_weight=row_weight, errors=errors
    )
    # one that was stopped is what it is: rows that do not meet it cost many times what led to it
    return replace(space, is_thorough=fit.verdict.code is not StopReason.INTERRUPTED)


def settled(entries: Entries, kept: Masks, fit: LowRankFit, options: Options) -> MatrixFit:
    """Estimate what the fit has not determined, learn the row space, flag the outliers.

    A row or column is known where it meets more entries than it could by interpolation alone, in columns or rows that
    are known themselves. The others are regressed on those, and known if chance cannot have picked what they meet.
    """
    scale, fit = fit.row_scale, _above_rounding(entries, fit)
    space = RowSpace.learn(fit.right, fit.factors.left, kept.rows, scale)
    inlier = np.abs(space.residual(entries, fit.factors.left.astype(np.float64))) <= fit.threshold
    # the prior of rows that count unequally may be that of a few
    errors = space.expecting(entries, ~inlier).errors if entries.row_weight is None else None
    rows, cols = core(entries, fit.rank + 1, inlier)
    rows, cols = rows & kept.rows, cols & kept.columns
    if fit.rank and kept.rows.any() and not cols.all():
        left, right = fit.left, fit.right * fit.singular_values  # not divided by values that may be next to nothing
        space = RowSpace.learn(left, right, cols, scale, known=rows, errors=errors)
        lost = entries.part(np.ones_like(rows), ~cols).transposed()
        found = space.regress(lost, n_jobs=options.n_jobs, thorough=fit.verdict.code is not StopReason.INTERRUPTED)
        right = right.astype(np.float64)
        right[~cols], cols[~cols] = found.factors, space.is_identifiable(found.met)
        fit = fit.with_factors(left, right)
    space = learn_space(fit, Masks(rows, cols), entries.row_weight, errors)
    regression = _regress_all(entries, space, fit.threshold, options)
    told = regression.met > fit.rank
    if not (rows & told).all():
        left = fit.factors.left.astype(np.float64)
        # one that is known may have met columns that are not, instead of those that are
        stale = ~(rows & told) | space.is_clean
        left[stale] = regression.factors[stale]
        rows, fit = told, fit.with_factors(left, fit.right)
        # the coefficients refer to the old basis: learn the new one
        space = learn_space(fit, Masks(rows, cols), entries.row_weight, errors)
        regression = _regress_all(entries, space, fit.threshold, options)
    return _judge(entries, fit, space, regression, Masks(rows, cols), options, has_core=bool(kept.rows.any()))


def _above_rounding(entries: Entries, fit: LowRankFit) -> LowRankFit:
    """An exact fit of entries that have been numbers in single precision flags none for that."""
    if fit.verdict.code is not StopReason.EXACT or not are_single(entries.y):
        return fit
    residual = misfit_of(entries, *fit.factors)
    return replace(fit, threshold=above_rounding(fit.threshold, entries.y, residual))


def _regress_all(entries: Entries, space: RowSpace, threshold: float, options: Options) -> Regression:
    """Regression of all rows that are fitted, as a stage of the fit."""

    def compute() -> Regression:
        return space.regress(entries, n_jobs=options.n_jobs, threshold=threshold)

    return stage(options.checkpoint, "rows", compute, space, threshold)


def _spanned(entries: Entries, fit: LowRankFit, regression: Regression) -> np.ndarray:
    """Mask of the columns that are met in rows that span all directions: others are known in some of these alone."""
    left, spanned = np.ascontiguousarray(fit.left, np.float64), np.empty(entries.shape[1], dtype=bool)
    step = max(_MOST_NUMBERS // max(fit.rank, 1) ** 2, 1)
    for lo in range(0, len(spanned), step):
        spanned_columns(lo, entries.indptr, entries.cols, regression.beyond, left, spanned[lo : lo + step])
    return spanned


def _judge_approximation(entries: Entries, found: Approximation) -> MatrixFit:
    """Outliers and location of an approximate fit.

    Rows without an inlier are not identifiable, nor are columns of which not even the units are known, by one entry.
    """
    cols = entries.seen().columns
    decays, space = found.fit.verdict.code is StopReason.APPROXIMATE, found.space
    errors = space.column_errors if decays else found.fit.expected_errors(found.noise)
    if space.doubt is not None:
        errors = np.minimum(space.doubt * errors, np.sqrt(1.0 + 1.0 / np.maximum(cols, 1)))
    return MatrixFit(
        fit=found.fit,
        space=found.space,
        outliers=entries.mask(found.space.gross(entries, found.regression)),
        location=found.space.predict(found.space.center[None])[0].astype(entries.dtype),
        undetermined_rows=np.flatnonzero(entries.counts(~found.regression.beyond)[0] == 0),
        undetermined_columns=np.flatnonzero(space.unknown(entries)),
        n_observed=len(entries.y),
        expected_error=errors,
        regression=found.regression,
    )


def _is_in_doubt(fit: LowRankFit, options: Options) -> bool:
    """Whether estimates beyond what is seen are not to be trusted; those of the sub-gradient method are as they are."""
    return options.polish and not fit.converged


def _judge(
    entries: Entries,
    fit: LowRankFit,
    space: RowSpace,
    regression: Regression,
    known: Masks,
    options: Options,
    *,
    has_core: bool = True,
) -> MatrixFit:
    """Outliers, location and what is not identifiable, from the regression of the rows."""
    flags = space.gross(entries, regression)
    rows, cols = known.rows & (regression.met > fit.rank), known.columns
    if space.is_clean and entries.full is None:
        cols = cols & _spanned(entries, fit, regression)
    if entries.full is None and fit.rank:
        group = linked(entries, ~regression.beyond & rows[entries.rows] & cols[entries.cols], fit.rank)
        rows, cols = rows & group.rows, cols & group.columns
        flags &= (group.rows | (regression.met <= fit.rank))[entries.rows] & group.columns[entries.cols]
    counted = None
    if not (rows.all() and cols.all()):  # what was known by a row or a column that is not falls with it
        left = core(entries, fit.rank + 1, ~regression.beyond & rows[entries.rows] & cols[entries.cols])
        rows, cols = rows & left.rows, cols & left.columns
        counted = rows[entries.rows] & cols[entries.cols]
    if fit.converged and fit.rank:
        ambiguous = find_ambiguous(space, entries, regression, fit.threshold, counted)
        if ambiguous.hopeless:
            open_signs = "the signs of many rows or columns cannot be told: half of the entries differ"
            fit = replace(fit, verdict=Verdict(StopReason.UNDETERMINED, open_signs))
        rows, cols = rows & ~ambiguous.rows, cols & ~ambiguous.columns
    return MatrixFit(
        fit=fit,
        space=space.holding(~cols | _is_in_doubt(fit, options), entries),
        outliers=entries.mask(flags),
        location=(space.basis @ space.center).astype(entries.dtype),
        undetermined_rows=np.flatnonzero(~rows),
        undetermined_columns=np.flatnonzero(~cols),
        n_observed=len(entries.y),
        expected_error=fit.expected_errors(fit.scale),
        has_core=has_core,
    )
