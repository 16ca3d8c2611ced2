"""The approximate fit of a matrix: the averaged low-rank model, where it predicts held-out entries best."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._model.average import Averaged, FirstAverage, errors_of_columns
from .._model.beyond import edge_power
from .._model.rows import MemberRows
from .._model.space import FIXED_RANK, ModelSpace
from .._model.table import Table
from .._operators.entries import EntryMeasurements
from .._operators.observed import Entries
from .._operators.units import make_problem
from .._rows.regression import Regression
from .._selection.verdict import DECAYS, MOST_ERRORS, OPEN, SPENT, WORTHLESS
from .._solvers.descents import descend_from_tiny
from .._utils.linalg import product_svd
from .._utils.ranks import Gap, find_gap
from .._utils.rules import FLAG_WIDTH, SMALL_GAP
from .._utils.threads import count_threads
from .._utils.values import Factors, Masks, Options, StopReason, Verdict
from .measurements import LowRankFit
from .misses import misfit_of, missed_by, predicted_errors
from .model_fit import Approximation, as_fit
from .sharp import Explained, SharpColumns, refined_columns

# Held-out error, in units of another's, up to which it is better by far. Where the average had to be that beside a fit
# that is to be trusted, ratings of 1500 users (3 % of 500 items, five factors) were "noisy" of rank 1 in 9 of 10
# tables, 2 to 5 % worse. Of 150 cases of real tables and 262 matrices of a sharp rank none is different.
_BETTER = 0.9
# Power of a direction, in units of the most that noise has, below which a spectrum that comes down to it decays into
# the noise, and below which it may. Of 50 sharp matrices of rank 1 to 6, with noise of up to half of the data, that of
# 45 ends above the first and that of 39 above the second; of 40 real tables that of 15 and that of 9.
_FAINT, _NEAR = 2.0, 5.0
# Share of the held-out errors of the medians that a good approximation saves. At 0.5 a table of air quality was
# searched for 10 s in vain; at 0.1 one of 300 matrices of a sharp rank was lost that a search finds. And the share
# beside which no long search is worth its time (see `_MOST_WORK` of the ranks).
_GOOD, _MOST_SAVED = 0.25, 0.8
# Share that a fit saves of them from which it is trusted beside a model that saves none. Of four fits to two to four
# entries for each degree of freedom a right one saves 0.86, three wrong ones 0.30 to 0.40.
_MOST = 0.5


class _Regressed(NamedTuple):
    """All rows regressed on a space, and their coefficients under its likeliest law, behind a column of ones."""

    space: ModelSpace
    regression: Regression
    likeliest: np.ndarray


class _Likeliest(NamedTuple):
    """Factors whose directions come in the order of their powers, and the number of those that are clear of noise."""

    left: np.ndarray
    right: np.ndarray
    clear: int


class LazyModel:
    """The averaged model of a matrix, fitted once where it is asked for; it speaks for the parts of the matrix, too."""

    def __init__(self, entries: Entries, options: Options):
        self._entries, self._options = entries, options

    @cached_property
    def _first(self) -> FirstAverage | None:
        """What is fitted first; None without the stages after the sub-gradient method, or for extreme sizes."""
        options = self._options
        if not options.polish:
            return None
        return FirstAverage.fit(self._entries, options.rank, self._descend, is_told=options.is_told)

    @cached_property
    def averaged(self) -> Averaged | None:
        """The model; None where there is none."""
        return None if self._first is None else self._first.finish(count_threads(self._options.n_jobs))

    @cached_property
    def best(self) -> Averaged | None:
        """The model, in bent units where it is better in these; None where there is none."""
        options, first = self._options, self._first
        if first is None or not options.may_bend or options.is_told:
            return self.averaged
        bent = first.in_best_units()
        return self.averaged if bent is first else bent.finish(count_threads(options.n_jobs))

    @cached_property
    def _regressed(self) -> _Regressed | None:
        """All rows on the space of the model, kept: where they are many, this takes as long as everything else."""
        return None if self.averaged is None else self._regress(self.averaged)

    def _regress(self, averaged: Averaged) -> _Regressed:
        """All rows on the space of a model."""
        entries, space = self._entries, averaged.space
        space = space.knowing(entries)
        best = _of_low_rank(space)
        likeliest = np.ones((entries.shape[0], 1 + space.members[best].rank))

        def keep(lo: int, hi: int, members: list[MemberRows]) -> None:
            likeliest[lo:hi, 1:] = members[best].rows.means

        regression = space.regress(entries, n_jobs=self._options.n_jobs, residual=True, visit=keep)
        return _Regressed(space, regression, likeliest)

    def _descend(self, table: Table) -> Factors | None:
        """The sub-gradient method from a tiny start, in even units: where it comes to does not depend on the units."""
        problem = make_problem(EntryMeasurements(table.rows, table.cols, table.values, table.shape))
        descended = descend_from_tiny(problem, replace(self._options.apart, checkpoint=None))
        if descended is None:
            return None
        u, s, v = problem.to_user_units(descended.left, descended.right)
        return Factors(u * s, v)

    def has_decaying_spectrum(self, guess: int, gap: float, *, strict: bool = True) -> bool:
        """Whether the model is useful, and its spectrum comes down to the noise, or has no end: no rank is sharp.

        Not where it ends where a `gap` in that of the sub-gradient method is, after `guess` values, nor where many
        entries are wrong. Where such a gap is that of the mean of the data or of the units of its columns, it does not.
        If not `strict` it need not come down as far.
        """
        first = self._first
        if first is None or not first.errors.are_small or first.error_share > MOST_ERRORS:
            return False
        seen = int(np.count_nonzero(first.signal > 1.0))
        shown = gap >= SMALL_GAP and seen in (guess - 1, guess)  # the model has the mean apart
        return seen > 0 and not shown and (first.has_no_end or _is_faint(first.signal, strict=strict))

    def ends(self) -> tuple[int, ...]:
        """Ranks at which its spectrum may end: that of the directions that stand out, and one more for the mean."""
        seen = 0 if self._first is None else int(np.count_nonzero(self._first.signal > 1.0))
        return (seen, seen + 1) if seen else ()

    def gap(self) -> Gap:
        """The widest gap between directions that stand out of the noise: errors may hide it from the first stage."""
        signal = np.empty(0) if self._first is None else self._first.signal
        return find_gap(np.sqrt(signal[signal > 1.0]), smallest=0.0)

    def is_good(self) -> bool:
        """Whether it saves much of the errors of the medians, and few entries are wrong, as far as it knows."""
        first = self._first
        return first is not None and first.errors.gained > _GOOD and first.error_share <= MOST_ERRORS

    def usual_miss(self) -> float:
        """Median of its held-out errors, in scales of columns."""
        return np.inf if self._first is None else float(np.median(self._first.errors.missed))

    def leaves_little_to_search(self) -> bool:
        """Whether it is known to save most, or to see nothing but directions that come down to the noise."""
        first = vars(self).get("_first")
        return self.saves_most() or (
            first is not None and first.error_share <= MOST_ERRORS and _is_faint(first.signal, strict=True)
        )

    def saves_most(self) -> bool:
        """Whether it is known to save most of the errors of the medians: not before something else was asked of it."""
        first = vars(self).get("_first")
        return first is not None and first.errors.gained > _MOST_SAVED

    @cached_property
    def _likeliest(self) -> _Likeliest | None:
        """The factors of all rows under the likeliest law, as far as they stand out, and how many do so by far.

        That is judged in even units: in others a column whose scale is that of errors would hide them. None
        where the model is no use, or does not end before its spectrum comes near to the noise. Where more directions
        were added than were looked for, one of them alone that is near to it may be an error.
        """
        first, averaged = self._first, self.averaged
        if first is None or averaged is None or not averaged.errors.are_small:
            return None
        seen = first.signal[first.signal > 1.0]
        if not (first.has_no_end or (len(seen) and seen[-1] > _NEAR)):
            return None
        assert self._regressed is not None
        space, _, left = self._regressed
        n, p = self._entries.shape
        columns = space.members[_of_low_rank(space)]
        right = np.column_stack([space.shift / space.scale + columns.mean, columns.loadings])
        u, s, v = product_svd(left, right)
        power = (s / np.linalg.norm(np.sqrt(columns.law.variances))) ** 2 / (n * edge_power(len(self._entries.y), n, p))
        k, clear = (int(np.count_nonzero(power > least)) for least in (1.0, _NEAR))
        if first.has_no_end:
            k = clear if k <= clear + 1 else 0
        return (
            _Likeliest(u[:, :k] * s[:k], space.scale[:, None] * v[:, :k], int(np.count_nonzero(power[:k] > _FAINT)))
            if k
            else None
        )

    def may_end(self) -> bool:
        """Whether all directions that were looked for stand out of the noise, and the grown spectrum has an end."""
        return self._first is not None and self._first.has_no_end and self._likeliest is not None

    def factors(self, part: Masks) -> Factors | None:
        """The likeliest factors of some rows and columns, without directions that do not stand out of the noise."""
        if self._likeliest is None:
            return None
        return Factors(self._likeliest.left[part.rows], self._likeliest.right[part.columns])

    def instead_of(
        self, fit: LowRankFit, explained: Explained | None = None, refined: SharpColumns | None = None
    ) -> Approximation | None:
        """The model as a fit, or the other fit refined by known precisions; None where that is as good as it is.

        `explained` is what the other fit explains (None: it is not to be trusted). It is to be `refined` to these
        columns (None: by known precisions alone).
        """
        entries, options = self._entries, self._options
        weighted = entries.weight is not None  # which the other fit knows nothing of
        if weighted and fit.converged:
            refined = refined or refined_columns(entries, fit)
        space = refined.space(entries, entries) if weighted and refined is not None else None
        if (fit.sharp and explained is not None and explained.is_all) or self._first is None:
            return None if space is None else as_fit(entries, space, fit, fit.verdict, options)
        if fit.verdict.code is StopReason.INTERRUPTED and fit.verdict != SPENT:  # a callback asked for that
            return None
        # one that says that no rank is sharp is no fit yet
        usable = fit.verdict != DECAYS and np.isfinite(fit.threshold) and fit.singular_values.any()
        tells = usable and not weighted
        if refined is None and explained is None and not tells:
            return self._as_fit(fit)
        straight, model, other = self.averaged, self.best, None
        assert straight is not None and model is not None
        if refined is not None:
            other = missed_by(refined, model)
        elif tells:
            other = predicted_errors(fit, model)
        if explained is not None and explained.is_less and fit.verdict.code is StopReason.NOISY:
            explained = None  # noise that is larger than that about medians is no noise
        is_open = fit.verdict.rank_is_open and refined is not None and not model.space.is_in_one_unit
        is_open = is_open and other is not None and replace(model.compared, missed=other).are_small
        if self._takes_place_of(explained, other, is_open=is_open) or (weighted and refined is None):
            return self._as_fit(fit)
        verdict = fit.verdict
        if is_open and refined:
            space, verdict = _as_average(entries, refined, straight), Verdict(StopReason.APPROXIMATE)
        return None if space is None else as_fit(entries, space, fit, verdict, options)

    def _as_fit(self, fit: LowRankFit) -> Approximation:
        """The model as a fit, in the units that are best, in the place of another one."""
        best = self.best
        assert best is not None
        verdict = WORTHLESS if fit.converged else fit.verdict
        verdict = Verdict(StopReason.APPROXIMATE) if best.errors.are_small else verdict
        regressed = self._regress(best) if best.space.long is not None else self._regressed
        assert regressed is not None
        return as_fit(self._entries, regressed.space, fit, verdict, self._options, regressed.regression)

    def likely(self, fit: LowRankFit) -> LowRankFit | None:
        """A fit of the directions of the model that stand out, of which the rank alone is in doubt; None: no use."""
        found, most = self._likeliest, self._options.rank
        if found is None or self.averaged is None or not found.clear:
            return None
        k = found.clear if most is None else min(found.clear, most)  # one that is near to the noise may be of it
        scale = float(np.median(self.averaged.space.usual_noise))
        fit = fit.with_factors(found.left[:, :k], found.right[:, :k])
        fit = replace(fit, rank=k, scale=scale, threshold=FLAG_WIDTH * scale)
        residual = misfit_of(self._entries, *fit.factors)
        return replace(fit, heavy_tailed=False, outliers=np.abs(residual) > fit.threshold, verdict=OPEN)

    def predicts_worse(self, refined: SharpColumns, fit: LowRankFit) -> bool:
        """Whether these columns predict its held-out entries worse than a fit does, beyond chance."""
        if self.averaged is None:
            return False
        errors = predicted_errors(fit, self.averaged)
        own = replace(self.averaged.compared, missed=missed_by(refined, self.averaged))
        return errors is not None and own.are_more_than(errors)

    def prefers(self, refined: SharpColumns, fit: LowRankFit, other: SharpColumns | None) -> bool:
        """Whether columns predict its held-out entries better than it does, and than a fit or its `other` columns."""
        model = self.averaged
        assert model is not None
        missed = missed_by(refined, model)
        rival = predicted_errors(fit, model) if other is None else missed_by(other, model)
        return model.errors.are_more(missed) and (rival is None or replace(model.errors, missed=rival).are_more(missed))

    def is_better_than(self, refined: SharpColumns, *, trusted: bool = False) -> bool:
        """Whether these columns predict held-out entries worse, beyond chance; and by far, if they are `trusted`."""
        model, by = self.averaged, _BETTER if trusted else 1.0
        return model is not None and model.errors.are_less_than(missed_by(refined, model), by=by)

    def speaks_for(self, fit: LowRankFit, refined: SharpColumns) -> bool:
        """Whether nothing but the rank of a fit is in doubt, and its columns predict held-out entries better by far.

        Where the model is no better than medians, they have to save most of the errors of these. Its own directions may
        be those of wrong rows and columns: nothing is claimed of their rank.
        """
        model = self.averaged if fit.verdict.rank_is_open and fit.verdict != OPEN else None
        if model is None:
            return False
        missed, own = missed_by(refined, model), model.errors
        is_useful = own.are_small or replace(own, missed=missed).gained > _MOST
        return is_useful and own.are_more_than(missed, by=_BETTER)

    def _takes_place_of(self, explained: Explained | None, errors: np.ndarray | None, *, is_open: bool = False) -> bool:
        """Whether the model is better than a fit of these errors: beyond chance, where that is to be trusted.

        It is no worse than the medians of the columns. A fit that is not to be trusted (of which is not known what it
        has explained, or which explains less than medians) may be, and takes its place only where it is better beyond
        doubt. One that is right for some columns alone, as for those that depend on one another, leaves the others at
        their medians. It gives way to a model that explains these and is not worse in all, and one that is worse than
        medians in its own to any.
        """
        if self.best is None:
            return False
        own = self.best.compared
        if explained is None:
            if is_open and errors is not None:
                return not own.are_more(errors)
            return errors is None or not own.are_more_than(errors, by=_BETTER)
        lost = explained.lost[self.best.entries.cols[self.best.held]]
        others = own.of(~lost)
        fit = None if errors is None else replace(others, missed=errors[~lost])
        # what is exact predicts badly where others tell too little of a row
        if not explained.is_part and fit is not None and fit.are_more_than(fit.baseline, by=_BETTER):
            return True
        # one that is no better beyond chance, and takes the tail of noise for errors, explains neither
        if explained.tail and fit is not None and not fit.are_less_than(fit.baseline):
            return True
        if not self.best.errors.are_small:
            return False
        # one that is no better than medians, be it by chance, has nothing to say for itself
        if not explained.is_part and fit is not None and fit.are_more(fit.baseline):
            return True
        if lost.any() and own.of(lost).are_less_than(own.baseline[lost], by=_BETTER):
            return errors is None or not own.are_more_than(np.where(lost, own.baseline, errors), by=_BETTER)
        return fit is None or others.are_less_than(fit.missed)


def _of_low_rank(space: ModelSpace) -> int:
    """Place of the likeliest member that is of low rank, if there is one, or of the likeliest."""
    low = np.array([columns.low_rank for columns in space.members])
    return int(np.argmax(np.where(low, 1.0 + space.weights, space.weights)))


def _is_faint(signal: np.ndarray, *, strict: bool) -> bool:
    """Whether powers of directions come down to the noise, if not `strict` near to it; none may stand out of it."""
    last = signal[signal > 1.0][-2:]  # one alone may be an error
    if not len(last):
        return True
    return bool(last[-1] < _FAINT and last[0] < _NEAR if strict else last[-1] < _NEAR)


def _as_average(entries: Entries, refined: SharpColumns, model: Averaged) -> ModelSpace:
    """The space of columns that take the place of an average: nothing is claimed of their rank."""
    missed = missed_by(refined, model)
    space, cols = refined.space(entries, entries), model.entries.cols[model.held]
    errors = errors_of_columns(missed**2, cols, space.noise / model.space.scale, np.ones(len(cols)))
    return replace(space, names=(FIXED_RANK,), column_errors=errors)
