"""Which entries are held out to judge fits: some of all, those of a row together that are missing together."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .._operators.observed import Entries
from .._utils.rules import TELLING
from .._utils.stats import own_random

# Share of the first ones that is held out; of few entries so many, up to a share. Of 600 tables of 48 to 150 cells
# without structure 4 % are more than a tenth worse than their medians, and 6 % converge; with a tenth of all, 5 and 9 %
# (``asv_bench/studies/independent.py --row tiny``, seeds 1000 and 2000).
_HELD_OUT, _ENOUGH, _MOST_HELD = 0.1, 100.0, 0.25
#: Scales of its column beyond which a held-out entry may be a gross error, which says nothing of a fit.
FENCE = 3.0
# Standard deviations by which the number of these among the held-out ones may differ from what is to be expected, and
# how often they are drawn at most.
_CHANCE, _DRAWS = 6.0, 4
# Most columns, and multiplications, to count where they are missing together: bounds on memory (16 MB for each matrix
# of pairs) and time (0.1 s).
_MOST_COLUMNS, _MOST_WORK = 2000, 3e9


def hold_out(entries: Entries, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mask of the entries in some `columns`, a mask, of these `values` in even units, that are held out; one at least.

    What is missing is to be predicted from what is there: of columns that are missing together the entries of a row are
    held out together. A draw by which far more of them are far from their medians than of the others is no use, and is
    drawn again (K. L. Morgan and D. B. Rubin, "Rerandomization to improve covariate balance in experiments", Annals of
    Statistics 40, 2012): where errors were drawn by the same numbers, as in a simulation, all would be held out.
    """
    within = columns[entries.cols]
    rows, cols = entries.rows[within], entries.cols[within]
    group = _missing_together(entries, columns)
    each = np.arange(len(values))
    if group is not None:
        each = np.unique(rows * np.int64(len(group)) + group[cols], return_inverse=True)[1]
    share = np.clip(_ENOUGH / max(len(values), 1), _HELD_OUT, _MOST_HELD)
    far = np.abs(values) > FENCE
    usual = float(np.mean(far)) if len(far) else 0.0
    first = np.random.RandomState(0)
    for seed in range(_DRAWS):
        draw = (own_random(seed) if seed else first).uniform(size=int(each.max(initial=-1)) + 1)[each]
        held = draw <= max(share, draw.min(initial=1.0))
        n = np.count_nonzero(held)
        if abs(np.count_nonzero(far[held]) - n * usual) <= _CHANCE * np.sqrt(max(n * usual * (1.0 - usual), 1.0)):
            break
    return held


def _missing_together(entries: Entries, columns: np.ndarray) -> np.ndarray | None:
    """Group of each column: those of some `columns`, a mask, that are missing together have one; None: there are none.

    Two are missing together where those of their rows in which both are missing, among those in which one is, are
    nearer to all of them than to what chance makes of it. A group that is most of the columns is none: where it is
    missing there is nothing to predict it from.
    """
    seen, rows = np.bincount(entries.cols, minlength=len(columns)), np.diff(entries.indptr) > 0
    n, p = int(rows.sum()), int(columns.sum())
    among = np.flatnonzero(columns & (n - seen >= TELLING))
    if not len(among) or len(among) > _MOST_COLUMNS or float(n) * len(among) ** 2 > _MOST_WORK:
        return None
    place = np.full(len(columns), -1)
    place[among] = np.arange(len(among))
    within = place[entries.cols] >= 0
    missing = np.ones((len(rows), len(among)), dtype=np.float32)
    missing[entries.rows[within], place[entries.cols[within]]] = 0.0
    both = missing[rows].T @ missing[rows]
    count = np.diag(both).copy()
    chance = np.outer(count, count / np.float32(n))
    sums = count[:, None] + count
    # 2 both / (sums - both) > 1 + chance / (sums - chance)
    together = (both >= TELLING) & (2.0 * both * (sums - chance) > sums * (sums - both))
    _, found = connected_components(sparse.csr_matrix(together), directed=False)
    size = np.bincount(found)[found]
    grouped = (size > 1) & (2 * size <= p)
    if not grouped.any():
        return None
    group = np.arange(len(columns))
    group[among[grouped]] = len(columns) + found[grouped]
    return np.unique(group, return_inverse=True)[1]
