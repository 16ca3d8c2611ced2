"""Several noise laws fitted to one matrix, averaged with the medians of its columns by their held-out errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._utils.stats import sign_of_mean
from .._utils.values import Factors
from .beyond import edge_power, share_beyond
from .calibration import Calibration
from .columns import Columns
from .errors import Errors
from .growth import columns_of_law
from .held_out import FENCE
from .members import GROWN, Fitter, Members, Tried, all_of, best_of, medians_of, with_own_errors
from .misplaced import placed_by_others
from .noise import NoiseLaw
from .posterior import power_of, signal
from .samples import Samples
from .space import ModelSpace
from .stacking import weighed
from .table import Table, even
from .turned import TurnedColumns

# Most directions at first.
_MOST_DIRECTIONS = 20
# What a prediction misses a held-out value by, in units of its distance from the median, below which that is no error.
# Without, errors count: of a matrix with 40 % of them (2000 x 20) 3,113 held-out entries are missed by 2.75 scales in
# the mean, with it 2,029 by 0.45.
_NEARER = 0.5
# Share of the squares of rows far from all others, left for each of its degrees of freedom, up to which others tell
# them. No other was tried.
_TOLD = 0.05
# Most times that columns are placed by others: the better these are, the more they tell. With one of 232 matrices with
# 30 to 45 % large errors 179 are right, not 180, and one of huge errors is missed by 14 times as much.
_PLACED = 3
# Weight of what is common beside the held-out errors of a column, in entries.
_COMMON = 5.0


@dataclass(frozen=True)
class Averaged:
    """The averaged model of a matrix: its space, and what it misses held-out entries by.

    It was learnt from `entries`, those of the `rows` of a mask. `held` masks the entries that were held out, are not
    beyond the fence, and tell of fits; the `errors` are those at them, in units of the scale of each column, and
    `compared` the same in even units, in which noise is alike: the mean of those of long tails is that of a few. All
    are multiplied by the `weight` of the entry.
    """

    space: ModelSpace
    entries: Entries
    rows: np.ndarray
    held: np.ndarray
    errors: Errors
    compared: Errors
    weight: np.ndarray

    def miss(self, estimate: np.ndarray, entries: Entries) -> np.ndarray:
        """What estimates miss these entries by, in even units, times their weight."""
        space = self.space
        missed = even(estimate, entries.cols, space.shift, space.scale, space.long) - space.even(entries)
        return np.abs(self.weight * missed)


@dataclass(frozen=True)
class FirstAverage:
    """Members fitted to a sample of a matrix with not too many directions, and their weights.

    Of a wide matrix that is a block; `samples` are of all columns.
    """

    fitter: Fitter
    members: Members
    weights: np.ndarray
    samples: Samples

    @classmethod
    def fit(
        cls,
        entries: Entries,
        rank: int | None = None,
        start: Callable[[Table], Factors | None] | None = None,
        *,
        is_told: bool = True,
    ) -> FirstAverage | None:
        """Fit noise laws to some of the rows, and weigh them and the medians by their held-out errors.

        None where columns have sizes whose squares are no numbers. Where entries are too few to tell the scales of
        columns, there are the medians alone.

        `start` returns factors of an estimate of a table: where the leading directions of the matrix are those of gross
        errors, a robust law comes to a good solution from there alone. Where a `rank` is given the model does not grow:
        it looks for as many directions as without, and is left with so many. One that is not told, but bounds what the
        user asks for, does not bound the model else.
        """
        most = max(_MOST_DIRECTIONS, rank or 0)
        samples = Samples.of(entries, most)
        if samples is None:
            return None
        bound = rank if is_told else None
        found = cls._of(samples, most, start, grows=rank is None, bound=bound)
        if samples.apart is None or not found._tells(entries.part(samples.apart, samples.columns)):
            return found
        samples = Samples.of(entries, most, without_far=False)
        return None if samples is None else cls._of(samples, most, start, grows=rank is None, bound=bound)

    @classmethod
    def _of(
        cls,
        samples: Samples,
        most: int,
        start: Callable[[Table], Factors | None] | None,
        *,
        grows: bool,
        bound: int | None,
    ) -> FirstAverage:
        """That of samples."""
        fitter, robust = _fit_robust(samples.block, most, grows=grows, bound=bound)
        again = fitter.samples.expecting_errors(robust.columns)
        if again is not fitter.samples:
            samples = again if samples.block is samples else samples
            fitter, robust = _fit_robust(again, most, grows=grows, bound=bound)
        for _ in range(_PLACED if samples.block is samples else 0):
            again = placed_by_others(samples, robust.columns)
            if again is samples:
                break
            samples, start = again, None  # a descent would take most values of a column for right
            fitter, robust = _fit_robust(samples, most, grows=grows, bound=bound)
        return cls(fitter, *weighed(fitter.fit(start, robust)), samples)

    def in_best_units(self) -> FirstAverage:
        """That in which columns of long tails are bent, if it predicts held-out entries better, in bent units.

        It begins at the clipped matrix, which bent values hardly change: a descent is not needed. Whole averages are
        compared: where columns are sums of others, a Gaussian law of values as they are is best, but not a robust one.
        Where that is worse in bent units beyond chance, the others are not fitted.
        """
        samples = self.samples.in_bent_units
        if samples is None:
            return self
        before, test, straight = self.fitter, samples.test, self.fitter.samples.test
        ratio = before.samples.units.scale / samples.units.scale
        estimate = ratio[test.cols] * (straight.values + self.weights @ self.members.missed)
        missed = np.abs(samples.units.bent(estimate, test.cols) - test.values)
        fitter, robust = _fit_robust(samples, before.most, grows=before.grows, bound=before.bound)
        if sign_of_mean(missed - np.abs(robust.predicted.missed)) < 0:
            return self
        bent = FirstAverage(fitter, *weighed(fitter.fit(None, robust)), samples)
        saved = missed - np.abs(bent.weights @ bent.members.missed)
        return bent if np.sum(saved) > 0.0 else self

    def _tells(self, rows: Entries) -> bool:
        """Whether most of these rows, far from all others, are combinations of the directions that the others have."""
        columns = self._of_low_rank.plain
        table, told = self.fitter.samples.units.table(rows), []
        for lo, hi in pairwise(table.indptr.tolist()):
            value, own = table.values[lo:hi] - columns.mean[table.cols[lo:hi]], columns.loadings[table.cols[lo:hi]]
            left = value - own @ np.linalg.lstsq(own, value, rcond=None)[0]
            free = hi - lo - own.shape[1]
            told.append(free > 0 and left @ left / free < _TOLD * (value @ value) / (hi - lo))
        return bool(np.mean(told) > 0.5)

    @cached_property
    def _settled(self) -> dict[str, Columns]:
        """The members after a few sweeps over all entries, those that were held out among them."""
        return {name: self.fitter.settle(columns) for name, columns in self.members.columns.items()}

    @cached_property
    def _of_low_rank(self) -> Columns:
        """The likeliest of these that is of low rank; that which tells errors, if none of them is."""
        low = {
            name: weight
            for (name, columns), weight in zip(self.members.columns.items(), self.weights, strict=True)
            if columns.low_rank
        }
        return self._settled[max(low, key=low.__getitem__)] if low else self.fitter.settle(self.fitter.screen.columns)

    @property
    def error_share(self) -> float:
        """Share of the entries that the robust members take for something else than noise: wide or gross; else 0."""
        laws = [columns.law for columns in self._settled.values()]
        robust = [(weight, law.shares[0]) for weight, law in zip(self.weights, laws, strict=True) if law.robust]
        total = sum(weight for weight, _ in robust)
        return 1.0 - sum(weight * core for weight, core in robust) / total if total else 0.0

    @cached_property
    def errors(self) -> Errors:
        """Held-out errors that tell of fits, without those that may be gross."""
        samples = self.fitter.samples
        inlier = _inlier_chances(samples.test, self.members, self.weights)
        within = _may_be_right(self.members, self.weights, samples, inlier)
        return _errors(*_straight(self.members, self.weights, samples), samples, within).times(samples.telling[within])

    @property
    def signal(self) -> np.ndarray:
        """Power of each direction under the likeliest law, in units of the most that a direction of noise has."""
        likeliest = self._of_low_rank
        return np.sort(signal(likeliest.loadings, likeliest.law, self.fitter.table(likeliest.law)))[::-1]

    @property
    def has_no_end(self) -> bool:
        """Whether all directions that were looked for stand out of the noise, and no number of them was given."""
        return self.fitter.bound is None and int(np.count_nonzero(self.signal > 1.0)) >= self.fitter.most

    def finish(self, n_threads: int = 1) -> Averaged:
        """The average, its members fitted to all entries, and grown."""
        if self.fitter.samples is not self.samples:
            fitter, widened = self.fitter.widened(self.samples, self.members)
            return FirstAverage(fitter, *weighed(widened), self.samples).finish(n_threads)
        fitter, members, weights = self.fitter, self.members, self.weights
        samples, test, units = fitter.samples, fitter.samples.test, fitter.samples.units
        grown = fitter.with_grown(members, n_threads)
        if grown is not members:
            members, weights = weighed(grown, alone=not samples.are_all)
        final = [self._final(name, columns) for name, columns in members.columns.items()]
        members = members.with_errors_of(final)  # of more entries it is clearer what is wide
        inlier = _inlier_chances(test, members, weights)
        within = _may_be_right(members, weights, samples, inlier)
        errors = _errors(*_straight(members, weights, samples), samples, within)
        noise = np.sqrt(weights @ [columns.law.inlier_variances for columns in final])
        space = ModelSpace(
            names=tuple(members.columns),
            members=tuple(columns.plain for columns in final),
            weights=weights,
            shift=units.shift,
            scale=units.scale,
            low=units.low,
            high=units.high,
            center=np.zeros(0),
            stuck=samples.stuck,
            screen=fitter.screen,
            column_errors=errors_of_columns(errors.missed**2, test.cols[within], noise, members.counts[within]),
            calibration=_calibrate_average(test, members, weights, inlier),
            share_beyond=self._share_beyond(members, weights, final),
            usual_weight=samples.table.usual_weight,
            long=units.long,
            grid=samples.table.grid if units.long is None else np.where(units.long, 0.0, samples.table.grid),
            is_in_one_unit=isinstance(final[int(np.argmax(weights))], TurnedColumns),
        )
        held, weight = samples.held.copy(), samples.telling[within]
        held[held] = within
        compared = errors if units.long is None else _errors(test.values, weights @ members.missed, samples, within)
        errors, compared = (each.times(weight) for each in (errors, compared))
        return Averaged(space, samples.entries, samples.rows, held, errors, compared, weight)

    def _share_beyond(self, members: Members, weights: np.ndarray, final: list[Columns]) -> float:
        """Share of the noise that may be a part of the matrix, beside the errors that the members state.

        It is told by the directions of the likeliest member. Those of any covariance miss no direction: where the
        average states more errors than its members of low rank do, that is a part of what is beyond the latter.
        """
        low = np.array([columns.low_rank for columns in final])
        if not weights @ low:
            return 0.0
        likeliest = int(np.argmax(np.where(low, weights, -1.0)))
        law, name, test = final[likeliest].law, list(members.columns)[likeliest], self.fitter.samples.test
        table = self.fitter.larger(law) if name == GROWN else self.fitter.table(law)
        edge = edge_power(table.size, table.n_rows, table.shape[1])
        error, more = 1.0, 0.0
        if len(test.values):
            of_low_rank = members.kept([name for name, is_low in zip(members.columns, low, strict=True) if is_low])
            stated = _spread(test, members, weights)
            own = _spread(test, of_low_rank, weights[low] / weights[low].sum())
            error = float(np.mean(np.minimum(own.error / stated.noise, 1.0)))
            more = float(np.mean((stated.error - own.error) / stated.noise))
        return max(share_beyond(power_of(final[likeliest].loadings, law), edge, error) - max(more, 0.0), 0.0)

    def _final(self, name: str, columns: Columns) -> Columns:
        """A member at its end, with the joint covariance of its loadings, if it has not seen more rows than others."""
        if name == GROWN and not self.fitter.samples.are_all:
            return columns
        settled = self._settled[name] if name in self._settled else self.fitter.settle(columns)
        return self.fitter.with_joint(settled)


def _fit_robust(samples: Samples, most: int, *, grows: bool, bound: int | None) -> tuple[Fitter, Tried]:
    """A robust law begun at the clipped matrix, and the fitter whose screen it is."""
    most = max(min(samples.entries.shape[0] - 1, samples.entries.shape[1] - 1, most), 1)
    fits = [medians_of(samples.train, samples.train_medians)]
    if samples.tell_scales:
        fits = list(columns_of_law(samples.train, samples.told(most), bound, robust=True))
    tried, grown = [with_own_errors(samples, each) for each in all_of(samples, fits)], False
    if len(tried) > 1:
        begun, other = (samples.telling * np.abs(each.predicted.missed) for each in tried)
        grown = sign_of_mean(begun - other) > 0
    robust = best_of(samples, tried)
    return Fitter.of(samples, most, robust.columns, grows=grows, bound=bound, grown=grown), robust


def _straight(members: Members, weights: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """The held-out values in scales from the median, and what an average misses them by, in units of their weights."""
    test, units = samples.test, samples.units
    missed, values = weights @ members.missed, test.values
    if units.long is not None:  # there are no weights then
        values = units.straight(test.values, test.cols)
        missed = units.straight(test.values + missed, test.cols) - values
    return values, missed


def _may_be_right(members: Members, weights: np.ndarray, samples: Samples, inlier: np.ndarray) -> np.ndarray:
    """Mask of the held-out entries that are no errors: they are near to their medians, or to what is predicted.

    That is far nearer than the median, and they are an `inlier` beside it more likely than not.
    """
    values, missed = _straight(members, weights, samples)
    predicted = (inlier > 0.5) & (np.abs(missed) < _NEARER * samples.test.root_weight * np.abs(values))
    return (np.abs(values) <= FENCE) | predicted


def _errors(values: np.ndarray, missed: np.ndarray, samples: Samples, within: np.ndarray) -> Errors:
    """Errors of an average that has `missed` the held-out `values`, at those that are `within` a mask."""
    # medians may have seen an entry; among a few it would be one itself
    medians = 0.0 if samples.tell_scales else samples.medians_of_others
    baseline = np.abs(samples.test.root_weight * (values - medians))
    return Errors(np.abs(missed)[within], baseline[within])


def _inlier_chances(test: Table, members: Members, weights: np.ndarray) -> np.ndarray:
    """Probabilities of the held-out entries to be no gross errors: of those a Gaussian member has few, but some."""
    gross = np.zeros(len(test.values))
    for weight, columns, (missed, variance, _) in zip(
        weights, members.columns.values(), members.predicted.values(), strict=True
    ):
        law = columns.law if columns.law.robust else NoiseLaw.with_few_errors(columns.law.variances)
        core = law.variances[test.cols]
        gross += weight * law.error_chances(law.weigh(missed**2 * core / (core + variance), test.cols))
    return 1.0 - gross


class _Spread(NamedTuple):
    """Variances of what an average predicts of held-out entries, and those of the noise."""

    error: np.ndarray
    noise: np.ndarray


def _spread(test: Table, members: Members, weights: np.ndarray) -> _Spread:
    """What the members of an average state of held-out entries, and how they differ."""
    missed = members.missed
    noise = np.array([columns.law.usual_variances[test.cols] for columns in members.columns.values()])
    return _Spread(weights @ (members.variances + (missed - weights @ missed) ** 2), weights @ noise)


def _calibrate_average(test: Table, members: Members, weights: np.ndarray, inlier: np.ndarray) -> Calibration:
    """Held-out errors of the average beside what its members predict of them."""
    spread = _spread(test, members, weights)
    deviations = np.sqrt(spread.error + spread.noise)
    return Calibration.of(weights @ members.missed, deviations, inlier * members.counts, test.cols)


def errors_of_columns(squares: np.ndarray, cols: np.ndarray, noise: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Root mean squares of the held-out errors of each column, drawn to a common multiple of its noise."""
    total = np.bincount(cols, counts * squares, minlength=len(noise))
    count = np.bincount(cols, counts, minlength=len(noise))
    common = np.sum(total) / max(float(np.sum(counts * noise[cols] ** 2)), np.finfo(np.float64).tiny)
    return np.sqrt((total + _COMMON * common * noise**2) / (count + _COMMON))
