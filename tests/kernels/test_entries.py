"""The kernels of entries, each against a slow NumPy oracle."""

import numpy as np
from numpy.testing import assert_array_equal

from sklearn_robustlr._kernels import entries as entry_kernels


def test_flags_of_entries(rng):
    seen, wrong = rng.uniform(size=(2, 9, 7)) < 0.6
    seen[3], seen[:, 2] = False, False  # a row and a column without entries
    indptr, cols = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32), np.nonzero(seen)[1]
    cols, flags = cols.astype(np.int32), wrong[seen]
    in_row, in_col, out = np.zeros(9, np.int64), np.zeros(7, np.int64), np.zeros(seen.shape, bool)
    entry_kernels.count_flags(indptr, cols, flags, in_row, in_col)
    entry_kernels.spread_flags(indptr, cols, flags, out)
    assert_array_equal(in_row, (seen & wrong).sum(axis=1))
    assert_array_equal(in_col, (seen & wrong).sum(axis=0))
    assert_array_equal(out, seen & wrong)
    entry_kernels.count_full_flags(wrong, in_row, in_col)
    assert_array_equal(in_row, wrong.sum(axis=1))
    assert_array_equal(in_col, wrong.sum(axis=0))


def test_deal_entries(rng):
    """Against a slow dealing of the same law."""
    rows, cols = (index.astype(np.int32) for index in np.nonzero(rng.uniform(size=(9, 7)) < 0.5))
    order = rng.permutation(len(rows))
    total = [np.bincount(index, minlength=9) for index in (rows, cols)]
    fold = np.full(len(rows), -1)
    entry_kernels.deal_entries(order, rows, cols, *total, *np.zeros((2, 9, 3), int), fold)
    slow = np.full(len(rows), -1)
    for e in order:
        costs = []
        for c in range(3):
            now = [np.sum((index == index[e]) & (slow == c)) + 1 for index in (rows, cols)]
            of = [np.sum(index == index[e]) for index in (rows, cols)]
            cost = (now[0] / of[0]) ** 2 + (now[1] / of[1]) ** 2 + np.sum(slow == c) / len(rows)
            costs.append(cost + 10.0 * any(n == t > 1 for n, t in zip(now, of, strict=True)))
        slow[e] = np.argmin(costs)
    assert_array_equal(fold, slow)
