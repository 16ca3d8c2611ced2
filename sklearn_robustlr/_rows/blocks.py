"""Blocks of a large matrix: which rows and columns to fit first, and the regressions that extend that to all.

Each column outside the block, then each row, is a small regression on a basis that is known by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._operators.observed import Entries
from .._utils.linalg import product_svd
from .._utils.values import Factors, Masks
from .regression import RowSpace

#: Entries of the blocks of a full matrix that are tried first, where it has four times as many.
SMALL = (15_000, 60_000)
#: Entries beyond which a block is fitted first even with noise, and entries of that block of a full matrix.
LARGE, BLOCK = 1_000_000, 300_000
# Lines for each of the shorter ones that cross them, and least entries, of a block of a long matrix. Of 56 tables
# (``asv_bench/studies/long.py``) errors are 1.000 of those of fits to the whole, 1.003 at worst, in half of the time;
# with 50 and 10,000 two of 46 are a sixth and a fifth larger.
_LINES, _LEAST = 100, 25_000


def first_block(shape: tuple[int, int], n_entries: int) -> int | None:
    """Entries of the block that is fitted first even with noise; None: the whole is fitted.

    Some rows of a long matrix tell its row space as well as all rows do: the error of a row is then that of a
    regression on its own few entries.
    """
    if n_entries > LARGE:
        return BLOCK
    short, long = sorted(shape)
    enough = max(int(_LINES * short / long * n_entries), _LEAST)
    return enough if n_entries > 2 * enough else None


def choose_block(
    shape: tuple[int, int], n_entries: int, block: int, *, include: Sequence[np.ndarray] | None = None
) -> Masks:
    """Masks of a random block that holds about `block` of the entries, as square as possible.

    The block holds up to three times as many where few entries are observed: there are fewer for each degree of
    freedom. `include` (masks of rows and of columns) asks for some of them, for half of the block at most.
    """
    density = n_entries / np.prod(shape, dtype=float)
    size = min(block / np.sqrt(density), 3.3 * block)
    rows = min(shape[0], np.sqrt(size / density))
    cols = min(shape[1], size / density / rows)
    rows = min(shape[0], size / density / cols)
    rng = np.random.RandomState(0)
    masks = []
    for axis, (total, count) in enumerate(zip(shape, (rows, cols), strict=True)):
        mask = np.zeros(total, dtype=bool)
        order = rng.permutation(total)
        if include is not None:
            asked = order[include[axis][order]][: int(count) // 2]
            order = np.concatenate([asked, order[~np.isin(order, asked)]])
        mask[order[: int(np.ceil(count))]] = True
        masks.append(mask)
    return Masks(*masks)


def extend_columns(
    entries: Entries,
    left: np.ndarray,
    s: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    *,
    scale: float,
    efficient: bool,
    n_jobs: int | None = None,
    thorough: bool = True,
) -> np.ndarray:
    """Right singular vectors of all columns from the triplets of a block, whose masks are `rows` and `cols`.

    Everything is regressed on orthonormal vectors, so that data of any size do not overflow.
    """
    whole = np.zeros((entries.shape[1], right.shape[1]))
    whole[cols] = right
    if not cols.all():
        strip = entries.part(rows, ~cols).transposed()
        space = RowSpace.learn(left, right * s, slice(None), scale, efficient=efficient)
        whole[~cols] = space.regress(strip, n_jobs=n_jobs, thorough=thorough).factors / s
    return whole


def extend(
    entries: Entries,
    left: np.ndarray,
    s: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    *,
    scale: float,
    efficient: bool,
    n_jobs: int | None = None,
    thorough: bool = True,
) -> Factors:
    """Extend the triplets of a block to factors of the whole matrix; its noise is averaged over all entries.

    If not `thorough`, rows and columns of which half is wrong may be stuck, which is good enough for a start.
    """
    whole = extend_columns(
        entries, left, s, right, rows, cols, scale=scale, efficient=efficient, n_jobs=n_jobs, thorough=thorough
    )

    def regress(entries: Entries, basis: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        prior = coefficients[np.any(coefficients != 0.0, axis=1)]
        space = RowSpace.learn(basis, prior, slice(None), scale, efficient=efficient)
        return space.regress(entries, n_jobs=n_jobs, thorough=thorough).factors

    left, s, whole = product_svd(regress(entries, whole, left * s), whole)
    return Factors(left, regress(entries.transposed(), left, whole * s))
