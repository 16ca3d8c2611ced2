"""Whether what is met links all rows and columns: groups that have too little in common are apart."""

from __future__ import annotations

import numpy as np

from .._operators.observed import Entries
from .._utils.values import Masks


def linked(entries: Entries, met: np.ndarray, rank: int) -> Masks:
    """Masks of the rows and columns whose factors the entries that are `met`, a mask, tell relative to one another.

    From the column that is met most, rows are added that meet more columns of the group than the rank, and columns that
    are met by more such rows, until there are no more. The others are apart if their basis may change beside that of
    the group: of the rank^2 numbers of such a change, what they have in a row or a column of the group tells as many as
    the rank, at most (A. Singer and M. Cucuringu, "Uniqueness of low-rank matrix completion by rigidity theory", SIAM
    Journal on Matrix Analysis and Applications 31, 2010, look for all changes).
    """
    rows, cols = entries.rows[met], entries.cols[met]
    n, p = entries.shape
    seen_rows, seen_cols = np.bincount(rows, minlength=n), np.bincount(cols, minlength=p)
    every = Masks(np.ones(n, dtype=bool), np.ones(p, dtype=bool))
    in_rows = np.zeros(n, dtype=bool)
    in_rows[rows[cols == np.argmax(seen_cols)]] = True
    in_cols, size = np.zeros(p, dtype=bool), -1
    while in_rows.sum() + in_cols.sum() > size:
        size = int(in_rows.sum() + in_cols.sum())
        in_cols = np.bincount(cols[in_rows[rows]], minlength=p) > rank
        in_rows = np.bincount(rows[in_cols[cols]], minlength=n) > rank
    if not (in_rows.any() and in_cols.any()):  # so few are met that no group is told by itself
        return every
    others = ~in_rows & (seen_rows > 0), ~in_cols & (seen_cols > 0)
    if not (others[0].any() or others[1].any()):
        return every
    out_rows, out_cols = others[0][rows], others[1][cols]
    across = (rows, out_cols & in_rows[rows]), (cols, out_rows & in_cols[cols])
    told = sum(int(np.minimum(np.bincount(index[some]), rank).sum()) for index, some in across)
    n_rows, n_cols = (min(int(mask.sum()), rank) for mask in others)
    changes = rank * (n_rows + n_cols) - n_rows * n_cols  # of few rows and columns, some changes of basis are none
    return every if told >= changes else Masks(~others[0], ~others[1])
