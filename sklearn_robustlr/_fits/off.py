"""Rows in which all columns have the value that they have most often, as those of nights where sunlight is measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._utils.arrays import sorted_within
from .._utils.rules import TELLING
from .._utils.stats import own_random

# Share of the rows that are off from which they are left out. They are met without noise, be the others as noisy as may
# be: with half of the rows off, 0.7 of the right values of the others were flagged (40 plants with 10 % noise, 2 % of
# the readings of days lost), with a third of them 0.1, with a seventh none (``asv_bench/studies/row_groups.py``).
_SHARE = 0.2
# Rows and columns that are looked at first, and heaviest rows among them: all copies of one may be a single row.
_ROWS, _COLUMNS, _HEAVIEST = 2000, 20, 100


def off_rows(entries: Entries) -> np.ndarray | None:
    """Mask of the rows of several entries in which all columns have their most frequent value; None: these are few.

    Such a row is one of the estimates of any fit that has these values, and tells nothing of the noise of the others.
    """
    n = entries.shape[0]
    if not _may_be_off(entries):
        return None
    usual, seen = _most_frequent(entries).value, np.diff(entries.indptr)
    off = (entries.counts(entries.y == usual[entries.cols])[0] == seen) & (seen > 1)
    times = np.ones(n) if entries.row_weight is None else entries.row_weight
    others = int(np.count_nonzero(~off & (seen > 0)))
    return off if off @ times > _SHARE * times.sum() and others >= TELLING else None


def _may_be_off(entries: Entries) -> bool:
    """Whether most of some columns have one value often enough, as some rows tell: drawn ones, and the heaviest."""
    n, p = entries.shape
    rows = np.ones(n, dtype=bool)
    if n > _ROWS:
        rows = own_random(n).uniform(size=n) < _ROWS / n
        if entries.row_weight is not None:
            rows[np.argsort(entries.row_weight, kind="stable")[-_HEAVIEST:]] = True
    seen = np.flatnonzero(entries.seen().columns)
    columns = np.zeros(p, dtype=bool)
    columns[seen[np.unique(np.linspace(0, len(seen) - 1, _COLUMNS).astype(int))] if len(seen) else seen] = True
    share = _most_frequent(entries.part(rows, columns)).share
    return bool(2 * np.count_nonzero(share > 0.5 * _SHARE) > np.count_nonzero(share))


def error_in_all_rows(error: np.ndarray, entries: Entries, off: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Errors of hidden entries of columns in units of the sd of all rows, from those in units of the sd of the others.

    Entries that are `off` are missed by next to nothing; the sd are those of the `right` entries, a mask.
    """
    p, others = entries.shape[1], right & ~off[entries.rows]
    times = np.ones(len(right)) if entries.row_weight is None else entries.row_weight[entries.rows]

    def spread(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cols, y, often = entries.cols[own], entries.y[own].astype(np.float64), times[own]
        count = np.bincount(cols, often, p)
        mean = np.bincount(cols, often * y, p) / count
        return np.sqrt(np.bincount(cols, often * (y - mean[cols]) ** 2, p) / count), count

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # sizes whose squares are no numbers
        (part, n_part), (whole, n_whole) = spread(others), spread(right)
        factor = part / whole * np.sqrt(n_part / n_whole)
    return error * np.where(np.isfinite(factor), factor, 1.0)


class _Frequent(NamedTuple):
    """The most frequent value of each column, and its share of the entries; NaN and 0 of columns without any."""

    value: np.ndarray
    share: np.ndarray


def _most_frequent(entries: Entries) -> _Frequent:
    """That of a matrix."""
    p = entries.shape[1]
    order = sorted_within(entries.cols, entries.y, p)
    cols, y = entries.cols[order], entries.y[order]
    times = np.ones(len(y)) if entries.row_weight is None else entries.row_weight[entries.rows[order]]
    starts = np.flatnonzero(np.append(True, (cols[1:] != cols[:-1]) | (y[1:] != y[:-1]))[: len(y)])
    value, most, total = np.full(p, np.nan), np.zeros(p), np.bincount(cols, times, minlength=p)
    if len(y):
        often = np.add.reduceat(times, starts)
        rising = np.argsort(often, kind="stable")  # the last one stays
        value[cols[starts[rising]]], most[cols[starts[rising]]] = y[starts[rising]], often[rising]
    return _Frequent(value, np.divide(most, total, out=np.zeros(p), where=total > 0.0))
