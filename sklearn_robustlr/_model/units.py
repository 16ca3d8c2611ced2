"""Units in which all columns are alike: their middles, scales and ranges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._utils.arrays import sorted_within
from .._utils.rules import NORMAL_MEDIAN, TELLING
from .._utils.stats import count_equal, medians_within, middles_within
from .table import Table
from .tails import bend, straighten

# Median size of the values that differ from the median, times which they are held for a standard deviation. Of 64
# tables with a column of mostly zeros (0/1, or counts; 999 in 3 to 15 % of its entries) 11 are worse than half as bad
# again as medians without it, 3 with 30, and the same 3 with 10.
_REACH = 30.0
# Sizes whose squares are numbers.
_EXTREME = 1e100


class Units(NamedTuple):
    """Middle, scale, least and largest value of each column; of an empty one 0, 1, 0 and 0.

    The middle is what the median may be by chance, in the mean, or of few values the median: it leaps over no gap.

    Values of columns are bent on the sides of their `long` tails (None: there are none).

    Scales are robust, but where columns have too few entries for that: there they are standard deviations, unless in
    such units rounding hides all but one entry. Of one value they are its size, or that of the other columns.
    """

    shift: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    long: np.ndarray | None = None

    @classmethod
    def of(cls, entries: Entries) -> Units:
        """Those of the columns of a matrix."""
        p, cols = entries.shape[1], entries.cols
        values, weight = entries.y.astype(np.float64), weights_of(entries)
        seen = np.bincount(cols, minlength=p) > 0
        order = sorted_within(cols, values, p)
        shift = _middles(values, cols, p, weight, order)
        away = values - shift[cols]
        scale, eps = _scales(away, cols, p, weight, order), np.finfo(np.float64).eps
        doubtful = seen & ((scale == 0.0) | (not tell_scales(entries)))
        if doubtful.any():
            own = doubtful[cols]
            usual = _deviations(away[own], cols[own], p, None if weight is None else weight[own])
            robust = np.where(scale < eps * usual, scale, usual)
            for instead in (usual, np.abs(shift)):
                robust = np.where(robust == 0.0, instead, robust)
            scale = np.where(doubtful, robust, scale)
        told_by_others = seen & (scale == 0.0)  # all values are zero
        scale[~seen] = 1.0
        scale[told_by_others] = np.median(scale[~told_by_others]) if not told_by_others.all() else 1.0
        low, high = (np.where(seen, end, 0.0) for end in entries.extremes())
        return cls(shift, scale, low, high)

    @property
    def have_squares(self) -> bool:
        """Whether squares of their values are numbers."""
        return bool(self.scale.min() > 1.0 / _EXTREME and max(self.scale.max(), np.abs(self.shift).max()) < _EXTREME)

    @property
    def in_one(self) -> Units:
        """The same for columns that are all in one unit: what is seen of one may be of others."""
        p = len(self.low)
        return self._replace(low=np.full(p, self.low.min()), high=np.full(p, self.high.max()))

    def table(self, entries: Entries) -> Table:
        """Entries in even units."""
        return Table.of(entries, self.shift, self.scale, self.long)

    def clip(self, values: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Values in even units, held to the range of what is seen of their columns."""
        with np.errstate(over="ignore"):  # beside extreme errors there is no end
            low, high = (self.low - self.shift) / self.scale, (self.high - self.shift) / self.scale
        if self.long is not None:
            low, high = bend(low, self.long), bend(high, self.long)
        return np.clip(values, low[cols], high[cols])

    def bent(self, values: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Values in scales from the median in even units."""
        return values if self.long is None else bend(values, self.long[cols])

    def straight(self, values: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Values in even units in scales from the median."""
        return values if self.long is None else straighten(values, self.long[cols])


def column_medians(entries: Entries) -> np.ndarray:
    """Medians of the columns of a matrix; 0 of an empty one."""
    return medians_within(entries.y.astype(np.float64), entries.cols, entries.shape[1], weights_of(entries))


def weights_of(entries: Entries) -> np.ndarray | None:
    """How often each entry counts (None: all once)."""
    return None if entries.row_weight is None else entries.row_weight[entries.rows]


def tell_scales(entries: Entries) -> bool:
    """Whether columns have so many entries that their robust scales can be told."""
    return len(entries.y) >= TELLING * int(np.count_nonzero(np.bincount(entries.cols)))


def _middles(values: np.ndarray, cols: np.ndarray, p: int, weight: np.ndarray | None, order: np.ndarray) -> np.ndarray:
    """Values in the middle of columns: the median itself where most values are that."""
    medians = medians_within(values, cols, p, weight, order=order)
    same = np.bincount(cols, (values == medians[cols]) * (1.0 if weight is None else weight), p)
    most = 2.0 * same > np.bincount(cols, weight, p)
    return np.where(most, medians, middles_within(values, cols, p, weight, order))


def _scales(away: np.ndarray, cols: np.ndarray, p: int, weight: np.ndarray | None, order: np.ndarray) -> np.ndarray:
    """Robust scales of columns of median zero; 0 where most values are that, and where there is none.

    The most frequent value, as a limit of detection, does not count: where it is next to the median, nearly half of the
    values would be at no distance from that. The values are in an `order` by columns and values.
    """
    size = np.abs(away)
    by_size = sorted_within(cols, size, p)
    told = medians_within(size, cols, p, weight, order=by_size) > 0.0
    others = np.ones(len(size), dtype=bool)
    others[order[_are_most_frequent(away[order], cols[order], p)]] = False
    scales = middles_within(size, cols, p, weight, by_size[others[by_size]])
    return np.where(told, scales, 0.0) / NORMAL_MEDIAN


def _are_most_frequent(values: np.ndarray, cols: np.ndarray, p: int) -> np.ndarray:
    """Mask of the values that most entries of their column have, the least one of several as frequent.

    The values are in order of columns and values. A column has none if all of its values are one, or all are different.
    """
    count, of = count_equal(values, cols)
    n_values, largest = np.bincount(of, minlength=p), np.zeros(p, dtype=np.int64)
    np.maximum.at(largest, of, count)
    candidates = np.flatnonzero((count == largest[of]) & (count > 1) & (n_values[of] > 1))
    chosen = np.zeros(len(count), dtype=bool)
    chosen[candidates[np.diff(of[candidates], prepend=-1) != 0]] = True
    return np.repeat(chosen, count)


def _deviations(away: np.ndarray, cols: np.ndarray, p: int, weight: np.ndarray | None) -> np.ndarray:
    """Standard deviations of columns of median zero, values far beyond the others held to a bound.

    Where most are zero no robust scale is left, and errors among the others are no variation of the column.
    """
    top = np.zeros(p)
    np.maximum.at(top, cols, np.abs(away))
    top[top == 0.0] = 1.0
    away = away / top[cols]  # squares of extremes overflow
    weight = np.ones(len(away)) if weight is None else weight
    others = away != 0.0
    bound = _REACH * medians_within(np.abs(away[others]), cols[others], p, weight[others])
    total = np.maximum(np.bincount(cols, weight, p), np.finfo(np.float64).tiny)
    held = np.clip(away, -bound[cols], bound[cols])
    held -= (np.bincount(cols, weight * held, p) / total)[cols]
    return np.sqrt(np.bincount(cols, weight * held**2, p) / total) * top
