"""Locations of columns: a fit of nothing else, and those so large that what is exact beside them is not in itself."""

from __future__ import annotations

import numpy as np

from .._model.samples import Units
from .._operators.observed import Entries
from .._utils.rules import exact_tolerance
from .._utils.values import StopReason, Verdict
from .measurements import LowRankFit, check_size

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


def fit_location(entries: Entries, n_init: int) -> LowRankFit:
    """Fit nothing but a location: the median of each column, of all entries where it is empty."""
    dtype = entries.dtype
    top = np.abs(entries.y).max() or dtype.type(1)  # sums and squares of extreme sizes overflow or vanish
    values = entries.y / top
    location = np.full(entries.shape[1], np.median(values), dtype)
    for j in np.unique(entries.cols):
        location[j] = np.median(values[entries.cols == j])
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
