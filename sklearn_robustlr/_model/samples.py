"""Which entries of a matrix the model is learnt from and judged by, in units in which all columns are alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import bdtrc, pdtr

from .._operators.observed import Entries
from .._utils.rules import NORMAL_MEDIAN
from .._utils.stats import medians_within
from .columns import Columns, most_errors
from .growth import ENOUGH
from .held_out import hold_out
from .rows import regress
from .stuck import StuckValues, find_stuck_values
from .table import Table
from .tails import long_tails
from .units import Units, column_medians, tell_scales

# Entries that laws are fitted to at first, and those that the best of them is then.
_FIRST, _MORE = 30_000, 250_000
# Probability of so few errors in a column, or of so many that are the same, below which that is no chance; that of so
# few in all such columns together.
_TOO_FEW, _ALL_TOO_FEW = 1e-3, 1e-9
# Multiplications that the decomposition of all estimates may take: of 100,000 x 50 numbers it is an eighth of this.
_MOST_WORK = 2e9
# Scales of their columns beyond which most entries of a row are far, the factor by which others are nearer, the most of
# these rows as a share of all, and of those between as a share of these: of a trend that grows exponentially, a quarter
# are. Of 24 tables of vital signs with 1 to 10 % of the rows in units of 10 to 1000 times the others' (500 x 10) errors
# of the others are up to 57 times those without such rows, and 1.25 times in the median; with these rows left out they
# are at most 1.03 times.
_FAR, _GAP, _MOST_FAR, _BETWEEN = 10.0, 3.0, 0.2, 0.1


@dataclass(frozen=True)
class Samples:
    """Entries of some `rows` of a matrix, a mask, and of `more_rows`, the same or more; none has a stuck value.

    `held` masks those of the first that are held out. Of a wide matrix they are in some of the `columns`, a mask: laws
    are fitted to these at first. `errors` are shares of errors that are expected in columns (None: of none). Rows that
    are `apart`, a mask, are far from all others, and not among these (None: there are none).
    """

    units: Units
    rows: np.ndarray
    more_rows: np.ndarray
    columns: np.ndarray
    entries: Entries
    more: Entries
    stuck: StuckValues
    held: np.ndarray
    errors: np.ndarray | None = None
    apart: np.ndarray | None = None

    @classmethod
    def of(cls, entries: Entries, most: int, *, without_far: bool = True) -> Samples | None:
        """Those of a matrix of which up to `most` directions are looked for at first.

        None where columns have sizes whose squares are no numbers. They are `without_far` rows, which errors of their
        unit make: such a row tells nothing of the others, but has most of the power of all.
        """
        rows, more_rows, columns = _choose(entries, most)
        more = _part(entries, more_rows)
        units, apart = Units.of(more), None
        if without_far and units.have_squares and (far := _far_rows(more, units)).any():
            apart = np.zeros(len(rows), dtype=bool)
            apart[np.flatnonzero(more_rows)[far]] = True
            rows, more_rows = rows & ~apart, more_rows & ~apart
            more = _part(entries, more_rows)
            units = Units.of(more)
        some = _part(entries, rows)
        if not units.have_squares:
            return None
        vary = units.low < units.high
        if vary.any():  # the others tell nothing, and are left alone
            some, more = (part.subset(vary[part.cols]) for part in (some, more))
        stuck = find_stuck_values(some, units.table(some), min(some.shape[0] - 1, some.shape[1] - 1, most) or 1)
        some, more = (part.subset(~stuck.among(part)) if len(stuck.cols) else part for part in (some, more))
        within = columns[some.cols]
        held = np.zeros(len(some.y), dtype=bool)
        held[within] = hold_out(some, columns, units.table(some).values[within])
        return cls(units, rows, more_rows, columns, some, more, stuck, held, apart=apart)

    @cached_property
    def block(self) -> Samples:
        """The first ones in the chosen columns, as a matrix of their own."""
        if self.columns.all():
            return self
        part = self.entries.part(np.ones(self.entries.shape[0], dtype=bool), self.columns)
        units = Units(*(values[self.columns] for values in self.units[:4]))  # bent ones are of all columns
        held = self.held[self.columns[self.entries.cols]]
        every = np.ones(part.shape[1], dtype=bool)
        return replace(self, units=units, more_rows=self.rows, columns=every, entries=part, more=part, held=held)

    @property
    def in_bent_units(self) -> Samples | None:
        """The same, columns of long tails in bent units.

        None where there are none, where columns may be in one unit, and where entries have weights: these are known
        precisions, which are not those of logarithms. A matrix of bent units has no factors in others: all estimates
        are decomposed, and there must not be too many.
        """
        entries, n, p = self.entries, len(self.rows), self.entries.shape[1]
        if self.have_few_rows or not (self.tell_scales and self.columns.all()) or entries.weight is not None:
            return None
        if float(n) * p * min(n, p) > _MOST_WORK:
            return None
        robust, usual = self._robust_scales, np.ones(self.table.shape[1])
        in_robust, in_usual = (long_tails(self.table.values, self.table.cols, scale) for scale in (robust, usual))
        long, scale = in_robust | in_usual, np.where(in_robust, robust, usual) * self.units.scale
        return replace(self, units=self.units._replace(scale=scale, long=long)) if long.any() else None

    @property
    def _robust_scales(self) -> np.ndarray:
        """Scales of columns in even units, of such of which most values are the same by the median size of the others.

        Standard deviations of these are those of long tails and errors: of daily rain, 60 % zeros and 5 % errors (500 x
        25), no column was bent, and 16 % of right values were flagged.
        """
        table, scale = self.table, np.ones(self.table.shape[1])
        if table.tied is None:
            return scale
        n, ties = (np.bincount(table.cols, part, len(scale)) for part in (np.ones(len(table.cols)), table.tied))
        size = medians_within(np.abs(table.values[~table.tied]), table.cols[~table.tied], len(scale))
        return np.where(ties > 0.0, np.sqrt(1.0 - ties / np.maximum(n, 1.0)) * size / NORMAL_MEDIAN, scale)

    @property
    def tell_scales(self) -> bool:
        """Whether columns have so many entries that models in their own units can be fitted."""
        return tell_scales(self.entries)

    @property
    def have_few_rows(self) -> bool:
        """Whether there are fewer rows than columns, and all of them are fitted at first."""
        n, p = self.entries.shape
        return bool(n < p and (self.rows if self.apart is None else self.rows | self.apart).all())

    def told(self, most: int) -> int:
        """Number of directions, up to `most`, that columns have entries enough to tell, beside their means."""
        each = len(self.train.values) / max(int(np.count_nonzero(np.bincount(self.entries.cols))), 1)
        return max(min(most, int(each / ENOUGH) - 1), 1)

    @property
    def are_all(self) -> bool:
        """Whether there are no more than those that laws are fitted to at first."""
        return len(self.more.y) == len(self.entries.y) and bool(self.columns.all())

    @cached_property
    def table(self) -> Table:
        """The first ones."""
        return self.units.table(self.entries).expecting(self.errors)

    @cached_property
    def train(self) -> Table:
        """The first ones that are not held out."""
        return self.table.subset(~self.held)

    @property
    def train_medians(self) -> np.ndarray:
        """Medians of the columns of those that are not held out, in even units; 0 of an empty one."""
        entries, shift = self.entries.subset(~self.held), self.units.shift
        medians = np.where(np.bincount(entries.cols, minlength=len(shift)) > 0, column_medians(entries), shift)
        return self.units.bent((medians - shift) / self.units.scale, np.arange(len(medians)))

    @property
    def medians_of_others(self) -> np.ndarray:
        """For each held-out entry the median of all others of its column, in even units; 0 where there is none."""
        table = self.table
        n = np.diff(table.column_bounds)[table.cols]
        order = table.by_value
        place = np.empty(len(order), dtype=np.int64)  # of each entry in its column, by size
        place[order] = np.arange(len(order)) - table.column_bounds[table.cols[order]]
        first, n, place = (part[self.held] for part in (table.column_bounds[table.cols], n, place))
        middle = []
        for k in ((n - 2) // 2, (n - 1) // 2):  # of n - 1 others
            k = np.clip(k, 0, None)
            middle.append(table.values[order[np.minimum(first + k + (place <= k), len(order) - 1)]])
        return np.where(n > 1, 0.5 * (middle[0] + middle[1]), 0.0)

    @cached_property
    def test(self) -> Table:
        """The held-out ones."""
        return self.table.subset(self.held)

    @cached_property
    def telling(self) -> np.ndarray:
        """How often each held-out entry counts where fits are compared, one in the mean.

        Where most entries of a column have the same value, they and the others together count as often: else whatever
        is nearest to that value has the least absolute error, whatever it knows of the others.
        """
        test, tied = self.test, self.table.tied
        counts = test.count(np.ones(len(test.values)))
        if tied is not None:
            n, same = (np.bincount(self.table.cols, part, test.shape[1]) for part in (np.ones(len(tied)), tied))
            share = np.where(same > 0.0, same / np.maximum(n, 1.0), 0.5)[test.cols]
            counts = counts * np.where(tied[self.held], 1.0 - share, share)
        return counts / (np.mean(counts) or 1.0) if len(counts) else counts

    @cached_property
    def larger(self) -> Table:
        """All that are not held out."""
        if self.are_all:
            return self.train
        seen = np.ones(len(self.more.y), dtype=bool)
        seen[np.repeat(self.rows[self.more_rows], np.diff(self.more.indptr))] = ~self.held
        return self.units.table(self.more).expecting(self.errors).subset(seen)

    def expecting_errors(self, columns: Columns) -> Samples:
        """The same where errors, as many as in the others, are expected in columns that have taken theirs for noise.

        Those are columns of which most values are the same, by these `columns` of a robust law: the noise of the others
        may be that of the errors among them. Errors come about as often in all columns, unless by chance, and have the
        same values as often: the rare value of a switch is none.
        """
        table = self.train
        if table.tied is None:
            return self
        gross = regress(table, columns).gross
        n, ties, found = (
            np.bincount(table.cols, part, table.shape[1]) for part in (np.ones(len(gross)), table.tied, gross)
        )
        share = found[ties == 0].sum() / max(n[ties == 0].sum(), 1.0)
        are_many, are_more = (pdtr(np.floor(count), share * n) >= _TOO_FEW for count in (found, n - ties))
        # where there are more rare values, their usual size is not that of errors
        hidden = (ties > 0) & ~are_many & are_more & (n - ties <= 2.0 * most_errors(share * n))
        y = self.entries.y[~self.held]
        wrong = y[(gross > 0.5) & (ties == 0)[table.cols]]
        for j in np.flatnonzero(hidden):
            own = np.flatnonzero((table.cols == j) & ~table.tied)
            fewest = max(int(share * n[j] - 2.0 * np.sqrt(share * n[j])), 3)
            largest = own[np.argsort(-np.abs(table.values[own]))[:fewest]]
            values, count = np.unique(y[largest], return_counts=True)
            usual = (np.count_nonzero(wrong == values[np.argmax(count)]) + 1.0) / (len(wrong) + 1.0)
            hidden[j] = bdtrc(count.max() - 1.0, int(count.sum()), usual) >= _TOO_FEW
        if pdtr(np.floor(found[hidden].sum()), share * n[hidden].sum()) >= _ALL_TOO_FEW:
            return self
        return replace(self, errors=np.where(hidden, share, 0.0))


def _choose(entries: Entries, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of evenly spaced rows: those that are fitted at first, and more of them; and of the columns at first.

    These are all, unless the rows would be far fewer: a wide matrix is begun with a block that is as square as can be,
    which has the fewest degrees of freedom, and enough entries for all that `most` directions have.
    """
    n, p = entries.shape
    each = len(entries.y) / n  # entries of a row
    few, some = _FIRST / each, float(p)
    if few < min(n, p / 2):
        side = max(np.sqrt(_FIRST * p / each), 2.0 * ENOUGH * most * p / each)
        few = min(n, side)
        some = side**2 / few
    more_rows = _evenly(n, max(few, _MORE / each))
    rows = np.zeros(n, dtype=bool)
    rows[np.flatnonzero(more_rows)[_evenly(int(more_rows.sum()), few)]] = True
    return rows, more_rows, _evenly(p, some)


def _far_rows(entries: Entries, units: Units) -> np.ndarray:
    """Mask of rows most of whose entries are far from their columns, if they are few, and fewer are between.

    Where sizes of rows have a long tail, there are as many that are nearer. No column may have entries in these alone.
    """
    with np.errstate(over="ignore"):  # extreme errors
        size = np.abs(entries.y - units.shift[entries.cols]) / units.scale[entries.cols]
    far, near = (2 * entries.counts(size > least)[0] > np.diff(entries.indptr) for least in (_FAR, _FAR / _GAP))
    n_far, n_near = np.count_nonzero(far), np.count_nonzero(near & ~far)
    are_few = n_far <= _MOST_FAR * len(far) and n_near <= _BETWEEN * n_far
    told = np.bincount(entries.cols, ~far[entries.rows], entries.shape[1]) > 0.0
    return far & are_few & told[entries.cols].all()


def _evenly(n: int, count: float) -> np.ndarray:
    """Mask of so many of n, evenly spaced."""
    whole = min(max(int(np.ceil(count)), 1), n)
    mask = np.zeros(n, dtype=bool)
    mask[np.arange(whole) * n // whole] = True
    return mask


def _part(entries: Entries, rows: np.ndarray) -> Entries:
    """The entries of the rows of a mask."""
    return entries if rows.all() else entries.part(rows, np.ones(entries.shape[1], dtype=bool))
