"""What rows are regressed on under the averaged model: the columns under each noise law, and their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from .._kernels.posterior import entry_means
from .._operators.observed import Entries
from .._rows.odds import ODDS, GrossErrors, log_odds
from .._rows.regression import Regression
from .._utils.rules import FLAG_WIDTH, TELLING
from .._utils.threads import count_threads, interruptible, run_parts, single_threaded_blas, working_for
from .calibration import Calibration
from .columns import Columns
from .noise import pooled_chances
from .rows import MemberRows
from .screen import Screen, range_without
from .stuck import StuckValues
from .table import Table, even
from .tails import bend, straighten

#: Bent units beyond the range of a column from which no estimate is believed: there it is 1000 times as large.
FAR = 14.0
# Steps between values of a column by which an interval may end short of one. No other width was tried. Of Rasch models
# (1000 x 40) 95 % ones hold 0.69 at worst without, where ends are at 0.998 instead of 1.
_SHORT = 0.1
#: Name of the member that is a fit of a sharp rank.
SHARP = "sharp"
#: Name of the member that is one of a rank of which nothing is claimed.
FIXED_RANK = "fixed rank"


class Ends(NamedTuple):
    """Lower and upper ends of intervals."""

    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class ModelSpace:
    """What rows are regressed on under the averaged model: the counterpart of :class:`RowSpace`.

    `members` are the columns under each noise law, in even units (`shift`, `scale`), with their `names` and `weights`;
    `low` and `high` are the range that is seen of each column, and `ends` mask those of them, (2, p), that no estimate
    goes beyond (None: none). `center` is the mean of the coefficients of the fitted rows. Entries with one of the
    `stuck` values count as missing, and are flagged; those in columns that are not `known`, a mask, count as missing
    (None: all are); those that the `screen` hides count as missing under a Gaussian law (None: none). `column_errors`
    are root mean squares of held-out errors, in even units, and `calibration` has these beside what was predicted. A
    `share_beyond` of the variance of the noise may be a part of the matrix that no direction captures. Entries of no
    known precision have the `usual_weight`. Standard deviations are to be multiplied by the `doubt` of their column,
    whose units may be told by few entries. In even units columns are bent on the sides of their `long` tails (None:
    there are none). Columns of few values have steps between these, in even units, and one of them, of a `grid` (2, p)
    (0: of many, None: all are). All columns are in one unit if the likeliest ones are those that the transpose tells.
    Where the rank is sharp, rows that meet entries by chance are told, unless the prior is that of few rows that count
    for more than the others do.
    """

    names: tuple[str, ...]
    members: tuple[Columns, ...]
    weights: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    center: np.ndarray
    stuck: StuckValues
    screen: Screen | None
    column_errors: np.ndarray
    calibration: Calibration
    share_beyond: float = 0.0
    usual_weight: float = 1.0
    known: np.ndarray | None = None
    doubt: np.ndarray | None = None
    long: np.ndarray | None = None
    grid: np.ndarray | None = None
    is_in_one_unit: bool = False
    ends: np.ndarray | None = None
    tells_chance: bool = True

    #: Entries have noise: none is met exactly.
    is_clean = False

    @property
    def is_sharp(self) -> bool:
        """Whether it has one member, a fit of a sharp rank."""
        return self.names == (SHARP,)

    def is_identifiable(self, met: np.ndarray) -> np.ndarray:
        """Mask of the rows that are known: all, by the prior, but those of a sharp rank that meet no more entries."""
        return met > (self.members[0].rank if self.is_sharp else -1)

    @property
    def _screen(self) -> Screen | None:
        """The screen, where some member follows gross errors."""
        return None if all(columns.law.robust for columns in self.members) else self.screen

    @cached_property
    def _stacked(self) -> np.ndarray:
        """Columns of all members in even units: row i is their product with (1, u_1i, u_2i, ...)."""
        mean = sum(w * c.mean for w, c in zip(self.weights, self.members, strict=True))
        return np.column_stack([mean, *(w * c.loadings for w, c in zip(self.weights, self.members, strict=True))])

    @cached_property
    def _directions(self) -> np.ndarray:
        """Orthonormal basis of the estimates of all rows in even units."""
        u, s, _ = np.linalg.svd(self._stacked, full_matrices=False)
        return u[:, s > 1e-12 * s[0]]  # none where the medians are alone

    @cached_property
    def basis(self) -> np.ndarray:
        """Columns whose combinations are the estimates; the first, with coefficient one, are the medians.

        They are not orthonormal: in the units of the data a column of small units would be lost beside one of large.
        """
        return np.column_stack([self.shift, self.scale[:, None] * self._directions])

    @property
    def rank(self) -> int:
        """Number of coefficients of a row."""
        return self.basis.shape[1]

    @cached_property
    def noise(self) -> np.ndarray:
        """Standard deviation of the noise of the inliers of each column, in the units of the data."""
        return self.scale * np.sqrt(self.weights @ [columns.law.inlier_variances for columns in self.members])

    @cached_property
    def usual_noise(self) -> np.ndarray:
        """The same of those without the value that most of their column have."""
        return self.scale * np.sqrt(self.weights @ [columns.law.usual_variances for columns in self.members])

    def noise_of_rows(self, members: list[MemberRows]) -> np.ndarray:
        """Noise variances of rows, in units of those of columns."""
        own = [np.ones(m.table.shape[0]) if m.rows.noise is None else m.rows.noise for m in members]
        return self.weights @ own

    def even(self, entries: Entries) -> np.ndarray:
        """Values of entries in even units."""
        return even(entries.y, entries.cols, self.shift, self.scale, self.long)

    def measured(self, entries: Entries) -> Entries:
        """The entries that do not count as missing."""
        idle = self.idle(entries)
        return entries.subset(~idle) if idle.any() else entries

    def idle(self, entries: Entries) -> np.ndarray:
        """Mask of the entries that count as missing."""
        idle = self.stuck.among(entries)
        return idle if self.known is None else idle | ~self.known[entries.cols]

    def table(self, entries: Entries, lo: int, hi: int) -> Table:
        """The entries of the rows lo to hi in even units."""
        indptr, cols, y, weight = entries.block(lo, hi)
        if weight is None and self.usual_weight != 1.0:
            weight = np.full(len(y), self.usual_weight)
        row_weight = None if entries.row_weight is None else entries.row_weight[lo:hi]
        values = even(y, cols, self.shift, self.scale, self.long)
        return Table(indptr, cols, values, (hi - lo, entries.shape[1]), weight, row_weight)

    def posteriors(self, table: Table) -> list[MemberRows]:
        """Posterior of the rows of a table under each member."""
        screen = self._screen
        near = table if screen is None else table.subset(~screen.hides(table))
        seen = [table if columns.law.robust else near for columns in self.members]
        with single_threaded_blas():
            return [MemberRows.of(c, t) for c, t in zip(self.members, seen, strict=True)]

    def regress(
        self,
        entries: Entries,
        *,
        n_jobs: int | None = None,
        residual: bool = False,
        threshold: float | None = None,
        visit: Callable[[int, int, list[MemberRows]], None] | None = None,
        probability: np.ndarray | None = None,
    ) -> Regression:
        """Posterior means of rows, each alone; entries are flagged by the noise of their column.

        `visit` is called with the bounds of each block of rows and their posterior under each member. `probability`, if
        given, is filled with that of each entry to be a gross error: those beyond a half are flagged.
        """
        n, every, idle = entries.shape[0], entries, self.idle(entries)
        entries = entries.subset(~idle) if idle.any() else entries
        stacked, gross, noise_of_rows = np.empty((n, self._stacked.shape[1])), np.empty(len(entries.y)), np.ones(n)

        def block(lo: int, hi: int) -> None:
            table = self.table(entries, lo, hi)
            posteriors = self.posteriors(table)
            if visit is not None:
                visit(lo, hi, posteriors)
            chances = np.array([member.gross(table) for member in posteriors])
            stacked[lo:hi] = np.hstack([np.ones((hi - lo, 1)), *(member.rows.means for member in posteriors)])
            gross[entries.indptr[lo] : entries.indptr[hi]] = pooled_chances(chances, self.weights)
            noise_of_rows[lo:hi] = self.noise_of_rows(posteriors)

        pairs = list(pairwise(entries.bounds()))
        with interruptible() as token:
            run_parts(working_for(token)(lambda p: block(*pairs[p])), len(pairs), count_threads(n_jobs))
        factors = np.column_stack([np.ones(n), stacked @ (self._stacked.T @ self._directions)])
        rest = self.residual(every, factors)
        missed = np.abs(rest[~idle] if self.long is None else self._missed(entries, factors))
        missed *= np.sqrt(self.usual_weight if entries.weight is None else entries.weight)
        width = FLAG_WIDTH * self.scale * np.sqrt(self.weights @ [m.law.largest_variances for m in self.members])
        near = missed <= width[entries.cols] * np.sqrt(noise_of_rows)[entries.rows]
        gross[near] = np.minimum(gross[near], 0.5)
        beyond = self.stuck.among(every)
        if probability is not None:
            probability[idle], probability[~idle] = beyond[idle], gross
        beyond[~idle] = gross > 0.5
        seen = np.diff(entries.indptr)
        met = np.diff(every.indptr) - np.bincount(every.rows[beyond | idle], minlength=n)
        if self.is_sharp and self.tells_chance:
            met = np.where(self._log_odds(stacked[:, 1:], met, seen) > ODDS, met, np.minimum(met, self.members[0].rank))
        return Regression(factors, met, rest if residual else rest[:0], beyond)

    def _log_odds(self, means: np.ndarray, met: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """How far what rows meet, of so many entries, speaks for the means of their coefficients (sharp rank)."""
        columns = self.members[0]
        means = means if columns.center is None else means - columns.center
        loadings = columns.loadings * np.sqrt(self.usual_weight / columns.law.usual_variances)[:, None]
        return log_odds(means, loadings, met, seen, GrossErrors(float(columns.law.shares[2]), columns.law.spread))

    def residual(self, entries: Entries, factors: np.ndarray) -> np.ndarray:
        """Residual basis_j . x_i - y of the entries at given coefficients, in the type of y."""
        cols = entries.cols
        if self.long is None:
            fitted = _at_entries(entries, factors, self.basis)
        else:
            even = self.bounded(_at_entries(entries, factors[:, 1:], self._directions), cols)
            fitted = self.shift[cols] + self.scale[cols] * straighten(even, self.long[cols])
        return (fitted - entries.y).astype(entries.dtype, copy=False)

    def _missed(self, entries: Entries, factors: np.ndarray) -> np.ndarray:
        """What the entries are missed by at given coefficients, in scales of their columns as in even units."""
        return self.scale[entries.cols] * (_at_entries(entries, factors[:, 1:], self._directions) - self.even(entries))

    def gross(self, entries: Entries, regression: Regression) -> np.ndarray:
        """Mask of the gross errors: rows that are not identifiable have none, unless most of the row is wrong."""
        seen = np.diff(entries.indptr)
        wrong = (2 * entries.counts(regression.beyond)[0] > seen) & self.is_identifiable(seen)
        return regression.beyond & (wrong | self.is_identifiable(regression.met))[entries.rows]

    def predict(self, factors: np.ndarray) -> np.ndarray:
        """Estimates of all entries of rows, not held to the range of what is seen."""
        if self.long is None:
            return factors @ self.basis.T
        return self.straight(factors[:, 1:] @ self._directions.T)

    def straight(self, even: np.ndarray) -> np.ndarray:
        """Values of rows, from those in even units."""
        return self.shift + self.scale * (even if self.long is None else straighten(self.bounded(even), self.long))

    def bounded(self, even: np.ndarray, cols: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Values of columns in even units, those of long tails not so far beyond what is seen that they overflow."""
        assert self.long is not None
        low, high = (bend((end - self.shift) / self.scale, self.long)[cols] for end in (self.low, self.high))
        return np.where(self.long[cols], np.clip(even, low - FAR, high + FAR), even)

    def moved(self, values: np.ndarray, by: np.ndarray, cols: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Values of columns moved by so much, in scales of their columns as in even units."""
        if self.long is None:
            return values + by
        shift, scale, long = self.shift[cols], self.scale[cols], self.long[cols]
        with np.errstate(over="ignore"):  # what is not known is moved to infinity
            return shift + scale * straighten(bend((values - shift) / scale, long) + by / scale, long)

    def to_values(self, ends: Ends, cols: np.ndarray | slice = slice(None)) -> Ends:
        """Ends of intervals of columns, those that end just short of one of few values moved to it.

        Quantiles of errors are at such values, but for what deviations differ by from entry to entry.
        """
        if self.grid is None:
            return ends
        step, place = (part[cols] for part in self.scale * self.grid)
        low = self.shift[cols] + place
        few, step = step > 0.0, np.where(step > 0.0, step, 1.0)
        lower, upper = ((end - low) / step for end in ends)
        below, above = np.floor(lower), np.ceil(upper)
        with np.errstate(invalid="ignore"):  # ends at infinity stay
            return Ends(
                np.where(few & (lower - below < _SHORT), low + below * step, ends.lower),
                np.where(few & (above - upper < _SHORT), low + above * step, ends.upper),
            )

    def moved_by(self, shift: np.ndarray) -> ModelSpace:
        """The same space beside a value of each column."""
        each = {name: getattr(self, name) + shift for name in ("shift", "low", "high")}
        return replace(self, **each, stuck=self.stuck._replace(values=self.stuck.values + shift[self.stuck.cols]))

    def in_units(self, units: np.ndarray) -> ModelSpace:
        """The same space where columns are in other units, in which the present ones are these."""
        each = {name: getattr(self, name) * units for name in ("shift", "scale", "low", "high")}
        return replace(self, **each, stuck=self.stuck._replace(values=self.stuck.values * units[self.stuck.cols]))

    def without(self, repeated: np.ndarray) -> ModelSpace:
        """The same space, for which each of these values is stuck in all columns, too."""
        p = len(self.shift)
        everywhere = np.tile(np.arange(p), len(repeated)), np.repeat(repeated, p)
        return replace(
            self, stuck=StuckValues(*(np.concatenate(pair) for pair in zip(self.stuck, everywhere, strict=True)))
        )

    def with_repeated(self) -> ModelSpace:
        """The same space, for which no value is stuck."""
        return replace(self, stuck=StuckValues.none(self.stuck.values.dtype))

    def beside(self, lost: np.ndarray, medians: np.ndarray) -> ModelSpace:
        """The same space beside columns that it says nothing of, a mask: they are at their medians."""
        low, high = self.low.copy(), self.high.copy()
        low[lost] = high[lost] = medians
        return replace(self.blind(lost), low=low, high=high)

    def unknown(self, entries: Entries) -> np.ndarray:
        """Mask of the columns without an entry, and, beside no sharp rank, of those whose units one entry tells."""
        return entries.seen().columns < (1 if self.is_sharp else 2)

    def knowing(self, entries: Entries) -> ModelSpace:
        """The same space, blind to columns of which too little is known, and to those of one value.

        These tell nothing of the others. Where so many entries have it that scales would be told, the next has it too.
        """
        single = self.low == self.high
        certain = single & (entries.seen().columns >= TELLING)
        scale = np.where(certain, np.finfo(np.float64).eps, 1.0) * self.scale
        return replace(self, scale=scale).blind(self.unknown(entries) | single)

    def blind(self, columns: np.ndarray) -> ModelSpace:
        """The same space, for which the entries of these columns, a mask, count as missing."""
        if not columns.any():
            return self
        return replace(self, known=~columns if self.known is None else self.known & ~columns)

    def open(self, columns: np.ndarray) -> ModelSpace:
        """The same space, for which the entries of these columns, a mask, do not count as missing."""
        if self.known is None:
            return self
        known = self.known | columns
        return replace(self, known=None if known.all() else known)

    def within(self, entries: Entries, gross: np.ndarray) -> ModelSpace:
        """The same space, its estimates between the least and the largest of these entries of each column.

        Gross errors, a mask, count as little as the screen lets them where they are far beyond the others. What is seen
        of one of the columns that are in one unit may be of others.
        """
        doubt = None if self.is_in_one_unit else _doubt(entries.seen().columns)
        return replace(self.between(*range_without(entries, gross)), doubt=doubt)

    def between(self, low: np.ndarray, high: np.ndarray) -> ModelSpace:
        """The same space, its estimates between these least and largest values of columns that have any."""
        seen = low <= high  # of a column without an entry nothing is known
        if self.is_in_one_unit and seen.any():
            low, high = np.full_like(low, low[seen].min()), np.full_like(high, high[seen].max())
        return replace(self, low=np.where(seen, low, 0.0), high=np.where(seen, high, 0.0))

    def holding(self, columns: np.ndarray, entries: Entries) -> ModelSpace:
        """The same space, its estimates of some columns, a mask, between the least and the largest of their entries."""
        low, high = entries.extremes()
        held = columns & (low <= high)
        return replace(self, low=np.where(held, low, self.low), high=np.where(held, high, self.high))

    @property
    def seen_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest value that is seen of each column, which its estimates are to stay between."""
        return self.low, self.high


def _at_entries(entries: Entries, factors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Products of the coefficients of the row of each entry and the basis at its column."""
    found = np.empty(len(entries.y))
    factors, basis = (np.ascontiguousarray(part, np.float64) for part in (factors, basis))
    entry_means(entries.indptr, entries.cols, factors, basis, found)
    return found


def _doubt(counts: np.ndarray) -> np.ndarray:
    """What the ends of 90 % intervals by a mean and deviation of so many values are beyond those by the true ones.

    These are quantiles of Student's t. Of one value there is no deviation: such a column is not identifiable.
    """
    n = np.maximum(counts, 2).astype(np.float64)
    return np.asarray(stdtrit(n - 1.0, 0.95) / ndtri(0.95) * np.sqrt(1.0 + 1.0 / n))
