"""Estimates beyond what is seen of their columns: those that are there beyond doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._operators.observed import Entries
from .._utils.arrays import sorted_within
from .space import FAR, ModelSpace
from .tails import BULK, are_on_long_side
from .uncertainty import gross_probability, spread

# Standard errors beyond the range that is seen from which an estimate is believed. Held to the range, the errors of
# hidden entries of 13 tables of spectra are 1.4 times as large (geometric mean of 130 fits; up to 33 times); 5 and 12
# give the same to 0.01. Of matrices without errors with 2 to 3 entries for each degree of freedom
# (``asv_bench/studies/uncertainty.py --row grid``) errors are 0.93 of those with 5; with 2 they are 0.88, but 1.003 of
# 30 real tables with holes (``asv_bench/studies/many_tables.py``).
_BEYOND_DOUBT = 3.0
# Entries that are estimated beyond the range of their column, at least, and the chance that all of them are errors, up
# to which it is the estimates that are wrong. Of a table of trade whose largest values are no products (229 x 5, 5 %
# errors) errors are 0.17 times as large with it; of the tables above they are the same. From one such entry on, one
# error in the largest row of a trend held all larger ones.
_FEWEST, _ALL_WRONG = 3, 0.01


# Ranges of a column beyond its ends to which factors of estimates in bent units go. No other was tried.
_REACH = 20.0


def within_reach(space: ModelSpace, estimates: np.ndarray) -> np.ndarray:
    """Estimates of rows that are not too far beyond what is seen to be decomposed beside the others."""
    low, high = space.seen_range
    reach = _REACH * (high - low)
    return np.clip(estimates, low - reach, high + reach)


def largest_error(space: ModelSpace) -> np.ndarray:
    """Standard errors of columns from which no estimate beyond the range is believed, in units of the data."""
    low, high = space.seen_range
    told = (space.long != 0) & (high > low)
    return np.where(told, np.exp(FAR / BULK) / _BEYOND_DOUBT * (high - low), np.inf)


def with_ends(space: ModelSpace, entries: Entries, residual: np.ndarray, gross: np.ndarray) -> ModelSpace:
    """The same space with the ends of the range of columns that no estimate goes beyond.

    That is the one on the short side of a column of a long tail; and where entries are estimated beyond it, by their
    `residual`, but seen within the range: all of them would be `gross` errors, which takes more of these. Values that
    come back, as of a sensor that hangs, do not count.
    """
    low, high = space.seen_range
    cols, p = entries.cols, entries.shape[1]
    seen_within = gross & (entries.y >= low[cols]) & (entries.y <= high[cols])
    share = np.bincount(cols, gross, p) / np.maximum(np.bincount(cols, minlength=p), 1)
    fitted, ends = entries.y + residual, []
    for beyond, value in ((fitted < low[cols], low), (fitted > high[cols], high)):
        told = seen_within & beyond
        several = (np.bincount(cols, told, p) >= _FEWEST)[cols]
        told[several] &= ~_come_back(cols[several], entries.y[several], p)
        count = np.bincount(cols, told, p)
        ends.append((count >= _FEWEST) & (share**count < _ALL_WRONG))
        if space.long is not None:
            ends[-1] |= (space.long != 0) & ~are_on_long_side(value - space.shift, space.long)
    return replace(space, ends=np.array(ends))


def _come_back(cols: np.ndarray, values: np.ndarray, p: int) -> np.ndarray:
    """Mask of the values that another entry of their column has, too."""
    order = sorted_within(cols, values, p)
    same = (np.diff(cols[order]) == 0) & (np.diff(values[order]) == 0.0)
    found = np.zeros(len(cols), dtype=bool)
    found[order[1:][same]] = found[order[:-1][same]] = True
    return found


def held(
    space: ModelSpace,
    entries: Entries,
    estimates: np.ndarray,
    within: np.ndarray,
    *,
    places: Entries | None = None,
    rows: np.ndarray | None = None,
    among: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Estimates of rows, regressed on `entries`, `within` their limits, but as they are where these are too far away.

    They are those of all entries, or those at some places, in the order of these; of some `rows` alone (None: all), and
    those `among` a mask count (None: all).
    """
    moved = within != estimates if among is None else (within != estimates) & among
    if places is None:
        indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(moved, axis=1))])
        places = Entries.of(indptr, np.nonzero(moved)[1].astype(np.int32), estimates[moved], estimates.shape)
    else:
        places = places.with_values(estimates).subset(moved)
    some = np.flatnonzero(np.diff(places.indptr))
    if not len(some):
        return within
    index = some if rows is None else rows[some]
    part = entries.taken(index, None if entries.row_weight is None else entries.row_weight[index])
    places = places.taken(some, None)
    error = spread(space, part, places, n_jobs=n_jobs).error
    beyond = places.y - within[moved]
    sure = _are_mostly_right(space, part, n_jobs)[places.rows] & (np.abs(beyond) > _BEYOND_DOUBT * error)
    if space.ends is not None:
        sure &= ~space.ends[(beyond > 0.0).astype(np.intp), places.cols]
    out = within.copy()
    out[moved] = np.where(sure, places.y, within[moved])
    return out


def _are_mostly_right(space: ModelSpace, entries: Entries, n_jobs: int | None) -> np.ndarray:
    """Mask of the rows most of whose entries are in the range of their column, or no errors."""
    entries, (low, high) = space.measured(entries), space.seen_range
    right = (entries.y >= low[entries.cols]) & (entries.y <= high[entries.cols])
    n, seen = entries.shape[0], np.diff(entries.indptr)
    others = 2 * np.bincount(entries.rows[right], minlength=n) <= seen
    if others.any():
        rest = entries.part(others, np.ones(entries.shape[1], dtype=bool))
        right[others[entries.rows]] |= gross_probability(space, rest, n_jobs=n_jobs) <= 0.5
    return 2 * np.bincount(entries.rows[right], minlength=n) > seen
