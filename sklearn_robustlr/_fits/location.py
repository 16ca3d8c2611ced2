"""Locations and units of columns: far ones, beside which nothing is seen of others, and a fit of locations alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._model.units import column_medians
from .._operators.observed import Entries
from .._utils.arrays import sorted_within
from .._utils.rules import exact_tolerance, rounding_share
from .._utils.stats import medians_within
from .._utils.values import StopReason, Verdict
from .measurements import LowRankFit, check_size

# Interquartile ranges of columns, in units of the residual that counts as none, below which nothing is exact; rows and
# columns, at most, that are looked at for that.
_BESIDE, _LOOKED_AT, _COLUMNS = 100.0, 200, 100
# Ratio of the interquartile ranges of columns from which each counts in a unit of its own, and fewest entries that tell
# one. In the units of the data 16 of 60 exact matrices are found whose columns are in units of 1e-6 to 1e6, and 55 with
# 1e-3 to 1e3; all are in units of their own. From a ratio of 100 on, noise that is the same in all columns, some of
# which have next to no signal, would be taken for theirs (``asv_bench/studies/unlike.py --row apart``).
_APART, _FEWEST = 1e4, 8


class Spreads(NamedTuple):
    """Interquartile range and size of each column, the number of its entries, and the median size of all entries.

    They are in units of the largest entry: sums of extremes overflow.
    """

    width: np.ndarray
    size: np.ndarray
    seen: np.ndarray
    typical: float

    @classmethod
    def of_some(cls, entries: Entries) -> Spreads:
        """Those of some rows and columns of a matrix."""
        n, p = entries.shape
        some = (np.arange(size) % -(-size // most) == 0 for size, most in ((n, _LOOKED_AT), (p, _COLUMNS)))
        return cls.of(entries.part(*some))

    @classmethod
    def of(cls, entries: Entries) -> Spreads:
        """Those of a matrix; zero where there is no entry."""
        p = entries.shape[1]
        y = entries.y / (np.abs(entries.y).max(initial=0.0) or 1.0)
        order = sorted_within(entries.cols, y, p)
        count = np.bincount(entries.cols, minlength=p)
        seen = count > 0
        begin, own = (np.cumsum(count) - count)[seen], count[seen]
        low, middle, high = (
            y[order[begin + np.round(q * (own - 1)).astype(np.int64)]].astype(np.float64) for q in (0.25, 0.5, 0.75)
        )
        width, size = np.zeros((2, p))
        width[seen], size[seen] = high - low, np.max(np.abs([low, middle, high]), axis=0)
        return cls(width, size, count, float(np.median(np.abs(y))) if len(y) else 0.0)

    def units(self, least: float) -> np.ndarray:
        """Units of the columns; one where it is not known.

        They are powers of two, so that nothing is rounded, and that of the typical column is one. What varies by less
        than rounding, the share `least`, of its size or of the typical column has the unit of that, and so has what
        varies by as much more: its values are errors.
        """
        told = (self.seen >= _FEWEST) & (self.width > least * self.size)
        if not told.any():
            return np.ones(len(told))
        typical = float(np.median(self.width[told]))
        told &= (self.width > least * typical) & (self.width < typical / least)
        return np.exp2(np.round(np.log2(np.where(told, self.width / typical, 1.0))))


def far_medians(entries: Entries, some: Spreads) -> np.ndarray | None:
    """Medians of the columns, where most are so large that what is exact beside them is not in itself; else None.

    `some` are the spreads of some of the entries.
    """
    width = some.width[some.seen > 0]
    if not len(width) or not 0.0 < np.median(width) < _BESIDE * exact_tolerance(entries.dtype) * some.typical:
        return None
    return column_medians(entries).astype(entries.dtype)


def far_units(entries: Entries, some: Spreads) -> np.ndarray | None:
    """Units of the columns where they are so far apart that small ones are rounding beside large ones; else None.

    `some` are the spreads of some of the entries.
    """
    least = rounding_share(entries.dtype)
    told = some.units(least)
    if not told.max() > _APART * told.min():
        return None
    if np.abs(entries.y).max() > np.sqrt(np.finfo(entries.dtype).max):
        return None  # products of such sizes are no numbers
    return Spreads.of(entries).units(least)


def fit_location(entries: Entries, n_init: int) -> LowRankFit:
    """Fit nothing but a location: the median of each column, of all entries where it is empty."""
    dtype = entries.dtype
    top = np.abs(entries.y).max() or dtype.type(1)  # sums and squares of extreme sizes overflow or vanish
    values = entries.y / top
    p, cols = entries.shape[1], entries.cols
    medians = medians_within(values, cols, p)
    location = np.where(np.bincount(cols, minlength=p) > 0, medians, np.median(values)).astype(dtype)
    norm = np.linalg.norm(location)
    n = entries.shape[0]
    with np.errstate(over="ignore"):
        singular_values = np.array([norm * np.sqrt(n)], dtype) * top
    check_size(singular_values)
    return LowRankFit(
        left=np.full((n, 1), 1 / np.sqrt(n), dtype),
        singular_values=singular_values,
        right=(location / norm if norm > 0 else np.zeros_like(location))[:, None],
        rank=1,
        scale=0.0,
        threshold=np.inf,
        heavy_tailed=True,
        outliers=np.zeros(len(entries.y), dtype=bool),
        verdict=Verdict(
            StopReason.UNDETERMINED, "no two rows share two columns: only a location of the columns was estimated"
        ),
        n_iter=0,
        history={},
        restart_scores=np.zeros(n_init),
    )
