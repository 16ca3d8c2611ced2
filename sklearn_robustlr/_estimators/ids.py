"""Ids of rows and columns: which occur among pairs of them, and the row or column of a matrix that each is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .validation import check_pairs


class Ids(NamedTuple):
    """Sorted ids of the rows and columns of a matrix that has one for each id that occurs."""

    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, *, shared: bool = False) -> Ids:
        """Ids of pairs (i, j); `shared`: rows and columns have the same, as those of a symmetric matrix."""
        pairs = check_ids(X)
        if shared:
            both = _occurring(pairs.ravel())
            return cls(both, both)
        return cls(_occurring(pairs[:, 0]), _occurring(pairs[:, 1]))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix."""
        return len(self.rows), len(self.columns)

    def places(self, X: np.ndarray) -> np.ndarray:
        """Pairs of row and column of pairs of ids; -1 for an id that is not among these, as no negative one is."""
        pairs = check_ids(X, negative=True)
        return np.column_stack([_find(known, asked) for known, asked in zip(self, pairs.T, strict=True)])


def check_ids(X: np.ndarray, *, negative: bool = False) -> np.ndarray:
    """Check pairs of ids, any integers that are not negative, or that may be; returns them as int64."""
    check_pairs(X, negative=negative)
    top = X.max(initial=0)
    if X.dtype.kind == "f" and top >= 2.0 ** (np.finfo(X.dtype).nmant + 1):
        raise ValueError(
            f"X holds the id {top:.17g}, but numbers of type {X.dtype} that are so large cannot be told from the next "
            f"integer: give ids as integers."
        )
    if top > np.iinfo(np.int64).max:
        raise ValueError(f"X holds the id {top}, above the largest supported, {np.iinfo(np.int64).max}.")
    return X.astype(np.int64, copy=False)


def take(factor: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows of a factor; where there is none (-1), a typical one, the median of each coefficient.

    It is not the mean, because rows of few entries may have coefficients of any size.
    """
    taken = factor[places]
    unknown = places < 0
    if unknown.any():
        taken[unknown] = np.median(factor, axis=0)
    return taken


def _occurring(values: np.ndarray) -> np.ndarray:
    if values.max() < 4 * len(values):  # to count is faster than to sort, and takes as little memory
        return np.flatnonzero(np.bincount(values))
    return np.unique(values)


def _find(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[place] == asked, place, -1).astype(np.int32)
