"""Rows and columns of a fit whose own robust regression broke down, regressed again."""

from __future__ import annotations

import numpy as np

from .._kernels.rows import regress_rows, start_work
from .._operators.base import IDENTITY
from .._utils.linalg import product_svd
from .._utils.rules import FLAG_WIDTH, exact_scale, rounding_share
from .._utils.threads import slices


def broken(met, seen):
    """Mask of the rows that meet far fewer of their `seen` entries than the whole does."""
    expected, spread = _expected(met, seen)
    return (met < expected - 4.0 * spread) & (met < 0.75 * expected)


def _expected(met, seen):
    """How many of its `seen` entries each row would meet if it met as many as the whole, and the spread of that."""
    share = met.sum() / max(seen.sum(), 1)
    return share * seen, np.sqrt(np.maximum(share * (1.0 - share) * seen, 1.0))


def _contestable(met, seen, rank):
    """Mask of the rows of an exact fit of which another one may meet more: two that meet most entries are one."""
    expected, spread = _expected(met, seen)
    return (met < expected - spread) & (met <= (seen + rank) // 2)


def mend(entries, fit, *, which=None, n_starts=1000):
    """Refit rows, then columns, of an entry fit whose own robust regression broke down, or those of two masks `which`.

    With the other factor held, a row is a small regression; several starts find the fit that most of
    its entries agree on (:func:`regress_rows`). Returns (u, s, v, changed).
    """
    left, right = fit.u * fit.s, fit.v
    residual, changed = fit.residual, False
    exact = fit.scale <= exact_scale(entries.dtype)
    transposed, order = entries.transposed()
    for side, order_of in ((entries, slice(None)), (transposed, order)):
        count = np.bincount(side.rows, weights=np.abs(residual[order_of]) <= 3.0 * fit.scale, minlength=side.shape[0])
        seen = np.diff(side.indptr)
        if which is None:
            rows = np.flatnonzero(_contestable(count, seen, fit.rank) if exact else broken(count, seen))
        else:
            rows = np.flatnonzero(which[0] if side is entries else which[1])
        if not len(rows):
            continue
        factors = np.array(left if side is entries else right, dtype=np.float64)
        basis = np.array(right if side is entries else left, dtype=np.float64)
        size = np.abs(basis).max(axis=1)
        basis[size <= rounding_share(entries.dtype) * size.max()] = 0.0  # rounding tells nothing
        met = np.empty(len(factors), dtype=np.int64)
        data = (
            side.indptr,
            side.cols,
            side.y.astype(np.float64),
            basis,
            fit.scale,
            FLAG_WIDTH * fit.scale,
            n_starts,
            True,
        )
        work = n_starts * start_work(*basis.shape)
        for some in slices(rows, work):
            regress_rows(*data, some, factors, met)
        if which is None and exact and not np.any(met[rows] > count[rows]):
            continue
        changed = True
        if side is entries:
            left = factors.astype(entries.dtype)
        else:
            right = factors.astype(entries.dtype)
        residual = entries.step(left, right, IDENTITY, np.zeros_like(entries.y))[0]
    u, s, v = product_svd(left, right, fit.rank)
    return u, s, v, changed
