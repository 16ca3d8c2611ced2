"""Observed entries of a matrix, by rows: of a complete matrix, of one with NaN, or of a sparse one."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._kernels.entries import count_flags, count_full_flags, spread_flags
from .._utils.arrays import check_count, index32, read_only
from .._utils.values import Masks

# Entries of a block of rows: large enough to hide the cost of a thread, small enough to stay in cache.
_BLOCK_ENTRIES = 250_000


class Rows(NamedTuple):
    """Entries of some rows in compressed sparse row form, with targets in double precision, and their weights."""

    indptr: np.ndarray
    cols: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None


class Counts(NamedTuple):
    """Numbers of flagged entries, of each row and of each column."""

    rows: np.ndarray
    columns: np.ndarray


class Entries:
    """Observed entries in compressed sparse row form; a matrix without missing entries is kept whole, in `full`.

    `weight` is the relative precision of each entry, where that is known, `row_weight` how often each row counts where
    that is not once.
    """

    weight: np.ndarray | None = None
    row_weight: np.ndarray | None = None

    def __init__(self, X: np.ndarray | sparse.csr_matrix) -> None:
        self.shape: tuple[int, int] = X.shape
        self.dtype: np.dtype = X.dtype
        self.is_sparse = sparse.issparse(X)
        self.full: np.ndarray | None = None
        self.indptr: np.ndarray
        self.y: np.ndarray
        if self.is_sparse:
            X = index32(X)
            seen = np.isfinite(X.data)
            if not seen.all():  # a stored NaN is a missing value
                rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[seen]
                X = sparse.csr_matrix((X.data[seen], (rows, X.indices[seen])), shape=X.shape)
            self.indptr, self.cols, self.y = X.indptr, X.indices, X.data
            return
        with np.errstate(over="ignore", invalid="ignore"):
            is_full = np.isfinite(X.sum())  # at half of the price of a mask
        seen = None if is_full else np.isfinite(X)
        if seen is None or seen.all():
            check_count(X.size)
            self.full = np.ascontiguousarray(X)
            self.y = self.full.reshape(-1)
            self.indptr = np.arange(X.shape[0] + 1, dtype=np.int32) * np.int32(X.shape[1])
            return
        count = np.count_nonzero(seen, axis=1)
        check_count(int(count.sum()))
        self.indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        where = np.flatnonzero(seen)
        self.y = X.reshape(-1)[where]
        where -= np.repeat(np.arange(X.shape[0]) * X.shape[1], count)
        self.cols = where.astype(np.int32)

    @classmethod
    def of(
        cls, indptr: np.ndarray, cols: np.ndarray, y: np.ndarray, shape: tuple[int, int], *, is_sparse: bool = True
    ) -> Entries:
        """Build from entries in compressed sparse row form."""
        new = cls.__new__(cls)
        new.indptr, new.cols, new.y, new.shape, new.dtype = indptr, cols, y, shape, y.dtype
        new.is_sparse, new.full = is_sparse, None
        return new

    def copied(self) -> Entries:
        """The same entries in memory of their own."""
        if self.full is not None:
            return self._like(Entries(self.full.copy()))
        copies = self.indptr.copy(), self.cols.copy(), self.y.copy()
        return self._like(Entries.of(*copies, self.shape, is_sparse=self.is_sparse))

    def _like(self, other: Entries) -> Entries:
        """Others in the same places, with the weights of these."""
        other.weight, other.row_weight = self.weight, self.row_weight
        return other

    def with_values(self, y: np.ndarray) -> Entries:
        """The same places and weights with other values."""
        return self._like(Entries.of(self.indptr, self.cols, y, self.shape))

    def divided(self, units: np.ndarray) -> Entries:
        """The same entries in these units of the columns; those beyond all numbers are as large as any."""
        top = np.finfo(self.dtype).max
        with np.errstate(over="ignore"):
            if self.full is not None:
                return self._like(Entries(np.clip((self.full / units).astype(self.dtype), -top, top)))
            y = np.clip((self.y / units[self.cols]).astype(self.dtype), -top, top)
        return self._like(Entries.of(self.indptr, self.cols, y, self.shape, is_sparse=self.is_sparse))

    def taken(self, index: np.ndarray, row_weight: np.ndarray | None) -> Entries:
        """Some of the rows, perhaps several times, each of which counts as often as it is told."""
        if self.full is not None:
            new = Entries(self.full[index])
        else:
            length = np.diff(self.indptr)[index]
            indptr = np.concatenate([[0], np.cumsum(length)]).astype(self.indptr.dtype)
            where = np.arange(indptr[-1]) + np.repeat(self.indptr[index] - indptr[:-1], length)
            shape = len(index), self.shape[1]
            new = Entries.of(indptr, self.cols[where], self.y[where], shape, is_sparse=self.is_sparse)
        if self.weight is not None:
            if self.full is not None:
                new.weight = self.weight.reshape(self.shape)[index].ravel()
            else:
                new.weight = self.weight[where]
        new.row_weight = row_weight
        return new

    def last(self, n: int) -> Entries:
        """The last n rows."""
        return self if n >= self.shape[0] else self.taken(np.arange(self.shape[0] - n, self.shape[0]), None)

    def followed_by(self, other: Entries) -> Entries:
        """These rows and then others, without weights."""
        indptr = np.concatenate([self.indptr, self.indptr[-1] + other.indptr[1:]])
        cols, y = np.concatenate([self.cols, other.cols]), np.concatenate([self.y, other.y])
        shape = self.shape[0] + other.shape[0], self.shape[1]
        return Entries.of(indptr, cols.astype(np.int32), y, shape, is_sparse=self.is_sparse)

    def counting(self, row_weight: np.ndarray | None) -> Entries:
        """The same entries, rows of which count so often."""
        new = copy(self)
        new.row_weight = row_weight
        return new

    def weighted(self, weight: np.ndarray | None) -> Entries:
        """The same entries with weights."""
        new = copy(self)
        new.weight = weight
        return new

    @cached_property
    def cols(self) -> np.ndarray:
        """Column of each entry; made on demand where all entries are observed."""
        return np.tile(np.arange(self.shape[1], dtype=np.int32), self.shape[0])

    @property
    def rows(self) -> np.ndarray:
        """Row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    @property
    def matrix(self) -> sparse.csr_matrix:
        """The entries as a CSR matrix that shares their memory."""
        return sparse.csr_matrix((self.y, self.cols, self.indptr), shape=self.shape, copy=False)

    def subset(self, keep: np.ndarray) -> Entries:
        """Return the entries of a mask."""
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr].astype(np.int32)
        part = Entries.of(indptr, self.cols[keep], self.y[keep], self.shape)
        part.row_weight = self.row_weight
        return part if self.weight is None else part.weighted(self.weight[keep])

    def without(self, values: np.ndarray | None) -> Entries:
        """Return the entries that have none of these values; all, where it is None."""
        return self if values is None else self.subset(~np.isin(self.y, values))

    def part(self, rows: np.ndarray, cols: np.ndarray) -> Entries:
        """Return the entries of the rows and columns of two masks, renumbered."""
        if self.full is not None:
            part = Entries(self.full[np.ix_(rows, cols)])
        else:
            part = Entries(self.matrix[np.flatnonzero(rows)][:, np.flatnonzero(cols)])
        part.row_weight = None if self.row_weight is None else self.row_weight[rows]
        return part if self.weight is None else part.weighted(self.weight[rows[self.rows] & cols[self.cols]])

    def extremes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest entry of each column; infinite, the wrong way round, where there is none."""
        low, high = np.full(self.shape[1], np.inf), np.full(self.shape[1], -np.inf)
        np.minimum.at(low, self.cols, self.y)
        np.maximum.at(high, self.cols, self.y)
        return low, high

    def transposed(self) -> Entries:
        """Return the entries of the transposed matrix."""
        return Entries(self.full.T if self.full is not None else self.matrix.T.tocsr())

    def bounds(self) -> list[int]:
        """Bounds of blocks of rows with about `_BLOCK_ENTRIES` entries each; they depend on the data alone."""
        n_rows, total = self.shape[0], int(self.indptr[-1])
        n_blocks = max(1, min(n_rows, -(-total // _BLOCK_ENTRIES)))
        cuts = np.searchsorted(self.indptr, np.linspace(0, total, n_blocks + 1)[1:-1])
        return np.unique(np.concatenate([[0], cuts, [n_rows]])).astype(int).tolist() if n_rows else [0, 0]

    def block(self, lo: int, hi: int) -> Rows:
        """Return the entries of the rows lo to hi, mostly those within the `bounds` of one block."""
        first, last = self.indptr[lo], self.indptr[hi]
        if self.full is not None and last - first <= len(self._cols_of_block):
            cols = self._cols_of_block[: last - first]
        else:
            cols = np.ascontiguousarray(self.cols[first:last], dtype=np.int32)
        indptr = np.ascontiguousarray(self.indptr[lo : hi + 1] - first, dtype=np.int32)
        weight = None if self.weight is None else self.weight[first:last]
        y = np.ascontiguousarray(self.y[first:last], dtype=np.float64)
        return Rows(read_only(indptr), read_only(cols), y, weight)

    @cached_property
    def _cols_of_block(self) -> np.ndarray:
        """Columns of the entries of the largest of the blocks that the bounds make."""
        most = int(np.max(np.diff(self.bounds()), initial=0))
        return np.tile(np.arange(self.shape[1], dtype=np.int32), most)

    def ranges(self, rows: np.ndarray) -> Iterator[tuple[int, int]]:
        """Iterate over the ranges of the entries of the rows of a mask."""
        return zip(self.indptr[:-1][rows].tolist(), self.indptr[1:][rows].tolist(), strict=True)

    def counts(self, flags: np.ndarray) -> Counts:
        """Count the flagged entries of each row and of each column."""
        counts = Counts(*(np.zeros(n, dtype=np.int64) for n in self.shape))
        if self.full is not None:
            count_full_flags(flags.reshape(self.shape), *counts)
        else:
            count_flags(self.indptr, self.cols, flags, *counts)
        return counts

    def seen(self) -> Counts:
        """Count the entries of each row and of each column."""
        if self.full is not None:
            n, p = self.shape
            return Counts(np.full(n, p), np.full(p, n))
        return Counts(np.diff(self.indptr).astype(np.int64), np.bincount(self.cols, minlength=self.shape[1]))

    def mask(self, flags: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """Return the flags of the entries as a boolean matrix of the shape of X, sparse where X was."""
        if self.full is not None:
            return flags.reshape(self.shape)
        if self.is_sparse:
            where = self.rows[flags], self.cols[flags]
            return sparse.csr_matrix((np.ones(len(where[0]), dtype=bool), where), shape=self.shape)
        out = np.zeros(self.shape, dtype=bool)
        spread_flags(self.indptr, self.cols, flags, out)
        return out


def core(entries: Entries, least: int = 2, among: np.ndarray | None = None) -> Masks:
    """Masks of the rows and columns that keep `least` entries each (of a mask `among`) once all others are dropped.

    A row with a single entry carries no information about other rows, at any rank. The same holds for a row with at
    most `rank` entries in columns that are identifiable without it.
    """
    keep_rows, keep_cols = np.ones(entries.shape[0], bool), np.ones(entries.shape[1], bool)
    if among is None:
        if entries.full is not None and min(entries.shape) >= least:
            return Masks(keep_rows, keep_cols)
        among = np.ones(len(entries.y), bool)
    alive = among
    while True:
        few_rows, few_cols = (count < least for count in entries.counts(alive))
        few_rows, few_cols = few_rows & keep_rows, few_cols & keep_cols
        if not (few_rows.any() or few_cols.any()):
            return Masks(keep_rows, keep_cols)
        keep_rows &= ~few_rows
        keep_cols &= ~few_cols
        alive = among & keep_rows[entries.rows] & keep_cols[entries.cols]
