"""Mending of an entry fit: rows and columns whose own robust regression broke down are regressed again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._kernels.rows import regress_rows, start_work
from .._operators.base import IDENTITY
from .._operators.entries import EntryMeasurements
from .._utils.linalg import product_svd
from .._utils.rules import FLAG_WIDTH, exact_scale, rounding_share
from .._utils.threads import slices
from .._utils.values import Fit


class Mended(NamedTuple):
    """X = u diag(s) v^T after mending, and whether that changed anything."""

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    changed: bool


class _Expected(NamedTuple):
    """Number of entries that each row is expected to meet, and its standard deviation."""

    number: np.ndarray
    spread: np.ndarray


def broken(met: np.ndarray, seen: np.ndarray, *, of: float = 0.75) -> np.ndarray:
    """Mask of the rows that meet a smaller share, beyond chance, `of` that of all rows together."""
    expected, spread = _expected(met, seen)
    return (met < expected - 4.0 * spread) & (met < of * expected)


def _expected(met: np.ndarray, seen: np.ndarray) -> _Expected:
    """Entries that each row would meet if it met the same share of its `seen` entries as all rows together."""
    share = met.sum() / max(seen.sum(), 1)
    return _Expected(share * seen, np.sqrt(np.maximum(share * (1.0 - share) * seen, 1.0)))


def _contestable(met: np.ndarray, seen: np.ndarray, rank: int) -> np.ndarray:
    """Mask of the rows of an exact fit where another regression may meet more entries.

    Two regressions that meet most entries are the same, but where a direction is that of a few entries: then a row may
    meet all others without it. It meets far fewer than others do.
    """
    expected, spread = _expected(met, seen)
    return (met < expected - spread) & ((met <= (seen + rank) // 2) | (met < expected - 4.0 * spread))


def mend(entries: EntryMeasurements, fit: Fit, *, n_starts: int = 1000) -> Mended:
    """Refit the rows, then the columns, of an entry fit whose own robust regression broke down.

    With the other factor held, a row is a small regression; several starts find the fit that most of its entries agree
    on (:func:`regress_rows`).
    """
    left, right = fit.u * fit.s, fit.v
    residual, changed = fit.residual, False
    exact = fit.scale <= exact_scale(entries.dtype)
    transposed, order = entries.transposed()
    orders: tuple[slice | np.ndarray, ...] = (slice(None), order)
    for side, order_of in zip((entries, transposed), orders, strict=True):
        count = np.bincount(side.rows, weights=np.abs(residual[order_of]) <= 3.0 * fit.scale, minlength=side.shape[0])
        seen = np.diff(side.indptr)
        rows = np.flatnonzero(_contestable(count, seen, fit.rank) if exact else broken(count, seen))
        if not len(rows):
            continue
        factors = np.array(left if side is entries else right, dtype=np.float64)
        basis = np.array(right if side is entries else left, dtype=np.float64)
        size = np.abs(basis).max(axis=1)
        basis[size <= rounding_share(entries.dtype) * size.max()] = 0.0  # what is only rounding carries no information
        met = np.empty(len(factors), dtype=np.int64)
        data = (
            side.indptr,
            side.cols,
            side.y.astype(np.float64),
            basis,
            fit.scale,
            FLAG_WIDTH * fit.scale,
            n_starts,
            0.0,
            True,
        )
        work = n_starts * start_work(*basis.shape)
        for some in slices(rows, work):
            regress_rows(*data, some, factors, met)
        if exact and not np.any(met[rows] > count[rows]):
            continue
        changed = True
        if side is entries:
            left = factors.astype(entries.dtype)
        else:
            right = factors.astype(entries.dtype)
        residual = entries.step(left, right, IDENTITY, np.zeros_like(entries.y)).residual
    return Mended(*product_svd(left, right, fit.rank), changed)
