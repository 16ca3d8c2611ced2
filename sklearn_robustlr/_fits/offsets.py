"""Offsets of columns that are so large that what is exact beside them is not in itself."""

from __future__ import annotations

import numpy as np

from .._model.samples import Units
from .._operators.observed import Entries
from .._utils.rules import exact_tolerance

# Interquartile ranges of columns, in units of the residual that counts as none, below which nothing is exact; rows and
# columns, at most, that are looked at for that.
_BESIDE, _LOOKED_AT, _COLUMNS = 100.0, 200, 100


def far_medians(entries: Entries) -> np.ndarray | None:
    """Medians of the columns, where most are so large that what is exact beside them is not in itself; else None."""
    n, p = entries.shape
    some = (np.arange(size) % -(-size // most) == 0 for size, most in ((n, _LOOKED_AT), (p, _COLUMNS)))
    first = entries.part(*some)
    top = np.abs(first.y).max(initial=0.0)
    if not top > 0.0:
        return None
    y = first.y / top  # sums of extremes overflow
    size = float(np.median(np.abs(y)))
    order = np.lexsort((y, first.cols))
    counts = np.bincount(first.cols)
    begin, counts = (np.cumsum(counts) - counts)[counts > 0], counts[counts > 0]
    low, high = (y[order[begin + np.round(q * (counts - 1)).astype(np.int64)]] for q in (0.25, 0.75))
    spread = float(np.median(high - low))
    if not 0.0 < spread < _BESIDE * exact_tolerance(entries.dtype) * size:
        return None
    return Units.of(entries).shift.astype(entries.dtype)
