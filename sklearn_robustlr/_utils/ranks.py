"""Ranks: the largest that measurements determine, the gap in a spectrum, and what a direction gains from noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .linalg import degrees_of_freedom

# Degrees of freedom of so many directions are as many as what an exact fit misses if these explain it. With 4, 11 of 40
# tables whose columns are there twice are "exact" at too low a rank, none with 8
# (``asv_bench/studies/row_groups.py --row copies``).
_FEW = 8


class Gap(NamedTuple):
    """The rank that the widest gap in a spectrum speaks for, and the ratio of the values on both sides of it."""

    rank: int
    ratio: float


def find_gap(spectrum: np.ndarray, smallest: float = 1e-2) -> Gap:
    """Find the widest gap among the singular values above `smallest` times the first."""
    if len(spectrum) < 2 or spectrum[0] <= 0:
        return Gap(1, np.inf)
    above = int(np.count_nonzero(spectrum >= smallest * spectrum[0]))
    following = np.maximum(spectrum[1:], 1e-12 * spectrum[0])
    ratio = (spectrum[:-1] / following)[:above]
    best = int(np.argmax(ratio))
    return Gap(best + 1, float(ratio[best]))


def largest_rank(shape: tuple[int, int], size: int, *, share: float = 0.6, symmetric: bool = False) -> int:
    """Largest rank whose degrees of freedom are at most `share` of the measurements (at least 1)."""
    k = 1
    while k < min(shape) and degrees_of_freedom(shape, k + 1, symmetric=symmetric) <= share * size:
        k += 1
    return k


def may_be_part(shape: tuple[int, int], rank: int, met: int, size: int, *, symmetric: bool = False) -> bool:
    """Whether an exact fit that meets so many of `size` entries may be a part of one of a few directions more.

    Any other fit that meets as much as one that meets a majority beyond its degrees of freedom would be the same. Of
    what is missed, a few directions can meet but a few times their degrees of freedom.
    """
    dof, more = (degrees_of_freedom(shape, k, symmetric=symmetric) for k in (rank, rank + 1))
    return 0 < size - met <= _FEW * (more - dof) and rank < min(shape) and 2 * (met - dof) <= size


def is_localised(*factors: np.ndarray) -> bool:
    """Whether a direction of orthonormal factors is that of a few rows.

    These are n / (3 k) of n rows; the leverage of all adds up to k.
    """
    for factor in factors:
        leverage = np.sum(factor.astype(np.float64) ** 2, axis=1)
        if leverage[leverage > 3.0 * factor.shape[1] / len(factor)].sum() > 0.5:
            return True
    return False


def noise_edge(shape: tuple[int, int], k: int, *, symmetric: bool = False) -> float:
    """Most that one more direction gains by fitting pure noise of unit variance, beyond rank k."""
    a, b = (max(d - k, 1) for d in shape)
    return 2.0 * a if symmetric else (np.sqrt(a) + np.sqrt(b)) ** 2
