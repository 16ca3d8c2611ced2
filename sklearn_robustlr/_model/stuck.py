"""Values that keep coming back in a column and do not follow the rest of their rows, as those of a stuck sensor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._utils.rules import FLAG_WIDTH, NORMAL_MEDIAN
from .._utils.stats import count_equal
from .columns import start_columns
from .posterior import sweep_until_settled
from .rows import moments, regress
from .table import FEW_VALUES, Table

# What a value that repeats has to come to: entries, their share of the column, and times the count that is usual there.
_FEWEST, _LEAST_SHARE, _TIMES = 10, 0.05, 4.0
# Share of the other entries within the fence, in scales of the column, that are beyond it on either side: zeros and
# limits of a range repeat by nature.
_BEYOND, _FENCE = 0.05, 3.0
# Scales of the column beyond which a value is none of its range, but a code, as -999 for what is missing.
_CODE = 100.0
# Spread of a column around a value, in units of the errors of predictions, from which these can tell. Of nine real
# tables with a stuck fifth of their columns 3,308 of 7,838 stuck entries are found (3,056 at 4), and none in tables
# with other damage.
_TELLING = 3.0
# Posterior standard deviations, by the rest of its row, by which a stuck value is missed. Of logs with four of twelve
# sensors stuck at once 0.49 of these values are found, as without within 0.02, and 0.35 at 1.5.
_LEFT_OPEN = 1.0
# Share of the rows with a value of another column, which comes with a kind alone, that may have errors instead. Of a
# table with 5 % errors and a product with an indicator all zeros of the product were flagged at 0.05 (5 of 5 samples).
_HARDLY = 0.1
# Share of the other entries that is held out, for those errors.
_HELD_OUT = 0.1


class StuckValues(NamedTuple):
    """Values of columns that are no measurements: pairs, in the order of the columns."""

    cols: np.ndarray
    values: np.ndarray

    @classmethod
    def none(cls, dtype: np.dtype) -> StuckValues:
        """No such value."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype))

    def among(self, entries: Entries) -> np.ndarray:
        """Mask of the entries that have one of them."""
        mask = np.zeros(len(entries.y), dtype=bool)
        for value in np.unique(self.values):
            own = np.zeros(entries.shape[1], dtype=bool)
            own[self.cols[self.values == value]] = True
            mask |= (entries.y == value) & own[entries.cols]
        return mask


def find_stuck_values(entries: Entries, table: Table, k: int) -> StuckValues:
    """Find the values of a column that keep coming back where the rest of the row speaks for another value.

    What repeats is left out, the rest fitted, and what it predicts compared: values that follow their rows are missed
    by no more than others are, those of a stuck sensor by as much as the column varies around them, and by more than
    the rest of their rows leaves open. A limit may have errors beyond it, or codes, but none of the values that follow
    their rows. Products with an indicator are zero in the rows of one group, which another column tells.
    """
    kinds = _repeated(table)
    if not kinds.any():
        return StuckValues.none(entries.dtype)
    others = np.flatnonzero(kinds == 0)
    held = np.random.RandomState(1).uniform(size=len(others)) < _HELD_OUT
    keep = np.zeros(len(kinds), dtype=bool)
    keep[others[~held]] = True
    rest = table.with_values(np.clip(table.values, -_CODE, _CODE)).subset(keep)  # squares of extremes overflow
    columns = sweep_until_settled(rest, start_columns(rest, k, True))
    predicted, variance = moments(regress(rest, columns), columns, table)
    missed = np.abs(table.values - predicted)
    surprise = missed / np.sqrt(variance + columns.law.variances[table.cols])
    unseen = np.zeros(len(kinds), dtype=bool)
    unseen[others[held]] = True
    found = []
    for kind in range(1, kinds.max() + 1):
        own = np.flatnonzero(kinds == kind)
        same = table.cols == table.cols[own[0]]
        if not (unseen & same).any():
            continue
        error = float(np.median(missed[unseen & same]))
        spread = float(np.median(np.abs(table.values[own[0]] - predicted[(kinds == 0) & same])))
        inlier = same & (kinds == 0) & (missed <= FLAG_WIDTH * error / NORMAL_MEDIAN)
        is_missed = spread > _TELLING * error and np.median(missed[own]) > np.sqrt(error * spread)
        is_missed = is_missed and np.median(surprise[own]) > _LEFT_OPEN
        is_none = _is_no_limit(table.values[own[0]], table.values[inlier])
        if is_missed and is_none and not (entries.y[own[0]] == 0.0 and _is_told(table, own, kinds)):
            found.append(own[0])
    return StuckValues(entries.cols[found], entries.y[found])


def _is_no_limit(value: float, others: np.ndarray) -> bool:
    """Whether a value that repeats is a code, or has others of its column, but for those afar, on both sides."""
    around = others[np.abs(others) <= _FENCE]
    fewer = min(np.count_nonzero(around < value), np.count_nonzero(around > value))
    return bool(abs(value) > _CODE or fewer >= _BEYOND * len(around) > 0.0)


def _is_told(table: Table, own: np.ndarray, kinds: np.ndarray) -> bool:
    """Whether a value of another column comes with one of a kind alone, and with most of these, the entries `own`.

    That column has few values, and the value is of no such kind itself.
    """
    there, has = (np.zeros(table.shape[0], dtype=bool) for _ in range(2))
    bounds, column = table.column_bounds, table.cols[own[0]]
    there[table.rows[table.by_column[bounds[column] : bounds[column + 1]]]] = True
    has[table.rows[own]] = True
    for j in range(table.shape[1]):
        other = table.by_column[bounds[j] : bounds[j + 1]]
        other = other[there[table.rows[other]] & (kinds[other] == 0)]
        if j == column or not len(other):
            continue
        values, index, count = np.unique(table.values[other], return_inverse=True, return_counts=True)
        if len(values) < FEW_VALUES * len(other):
            inside = np.bincount(index, has[table.rows[other]], len(values))
            if np.any((count - inside <= _HARDLY * count) & (2 * inside >= np.count_nonzero(has[table.rows[other]]))):
                return True
    return False


def _repeated(table: Table) -> np.ndarray:
    """For each entry 0, or the number of the value of its column that comes back too often to be a measurement.

    One that most entries have is what the column is like: the others are apart from it, and tell little of the rest.
    """
    kinds = np.zeros(len(table.values), dtype=np.int64)
    n_kinds = 0
    bounds = table.column_bounds
    times, cols = count_equal(table.values[table.by_value], table.cols[table.by_value])
    for j in np.unique(cols[times >= _FEWEST]):
        own = table.by_column[bounds[j] : bounds[j + 1]]
        values, index, count = np.unique(table.values[own], return_inverse=True, return_counts=True)
        least = max(_FEWEST, _LEAST_SHARE * len(own))
        usual = count[index]
        for i in np.argsort(-count, kind="stable"):
            others = usual[(index != i) & (kinds[own] == 0)]
            is_code = np.abs(values[i]) > _CODE
            if count[i] < (_FEWEST if is_code else least) or not len(others) or count[i] < _TIMES * np.median(others):
                break
            if 2 * count[i] <= len(own) and _is_no_limit(values[i], table.values[own[index != i]]):
                n_kinds += 1
                kinds[own[index == i]] = n_kinds
    return kinds
