"""Rows of a matrix regressed on a fixed row space, each alone, in parallel blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from . import _kernels

# Entries of a block of rows: large enough to hide the cost of a thread, small enough to keep copies small.
_BLOCK_ENTRIES = 250_000
# Most work, in multiplications, that random starts may cost a row on which re-weighted l1 has failed.
_START_WORK = 3e7


def count_starts(length, rank, *, sound=0.45, chance=0.99):
    """Random subsets of `rank` entries until one is sound with this chance, within the work that a row may cost."""
    needed = np.log(1.0 - chance) / np.log1p(-min(sound**rank, 0.999))
    return int(max(20, min(needed, _START_WORK / (length * rank + rank**3))))


@dataclass
class RowSpace:
    """What rows are regressed on: an entry in column j of a row with coefficients x is basis_j . x.

    `center` and `root` are the mean and the square root of the covariance of the coefficients of known rows,
    the prior where a row has too few entries. `scale` is the noise scale, `efficient` says that the noise is
    Gaussian-like, so that bisquare weights are used and not l1.
    """

    basis: np.ndarray
    center: np.ndarray
    root: np.ndarray
    scale: float
    efficient: bool

    @classmethod
    def learn(cls, basis, coefficients, known, scale, *, efficient=True):
        """Take the prior from the coefficients of the `known` rows (mask)."""
        basis = np.ascontiguousarray(basis, dtype=np.float64)
        sample = coefficients[known].astype(np.float64)
        if not len(sample):
            sample = np.zeros((1, basis.shape[1]))
        center = sample.mean(axis=0)
        _, s, vt = np.linalg.svd(sample - center, full_matrices=False)
        return cls(basis, center, (vt.T * (s / np.sqrt(len(sample)))) @ vt, scale, efficient)

    @property
    def rank(self):
        return self.basis.shape[1]

    def is_determined(self, met):
        """Mask of the rows whose coefficients meet more entries than they could by interpolation alone."""
        return met > self.rank

    def flags(self, entries, factors, met, columns, threshold):
        """Residuals of entries, and which of them are gross errors.

        No verdict is passed on rows, or on `columns` (mask), that are not determined.
        """
        residual = self.residual(entries.indptr, entries.cols, entries.y, factors)
        flags = np.abs(residual) > threshold
        flags &= columns[entries.cols]
        doubtful = np.flatnonzero(~self.is_determined(met))
        for i in doubtful:
            flags[entries.indptr[i] : entries.indptr[i + 1]] = False
        return residual, flags

    def regress(self, indptr, cols, y, *, n_jobs=None):
        """Coefficients of rows given in compressed sparse row form; returns (coefficients, met).

        `met` counts the entries within 3.5 scales. Rows that are not determined get the posterior mean under the
        prior; a row without entries the centre.
        """
        n_rows = len(indptr) - 1
        factors = np.zeros((n_rows, self.rank))
        met = np.zeros(n_rows, dtype=np.int64)
        whitened = np.ascontiguousarray(self.basis @ self.root)
        center = self.basis @ self.center
        starts = count_starts(len(self.basis), self.rank)

        def block(lo, hi):
            first, last = indptr[lo], indptr[hi]
            local = np.ascontiguousarray(indptr[lo : hi + 1] - first, dtype=np.int32)
            j = np.ascontiguousarray(cols[first:last], dtype=np.int32)
            values = np.ascontiguousarray(y[first:last], dtype=np.float64)
            rows = np.arange(hi - lo)
            scale = max(self.scale, np.finfo(np.float64).tiny)
            _kernels.regress_rows(
                local, j, values, self.basis, scale, starts, self.efficient, rows, factors[lo:hi], met[lo:hi]
            )
            rest = np.flatnonzero(~self.is_determined(met[lo:hi]))
            if len(rest):
                _kernels.guess_rows(local, j, values, whitened, center, self.scale, rest, factors[lo:hi])
                factors[lo + rest] = factors[lo + rest] @ self.root + self.center

        bounds = _bounds(indptr)
        if len(bounds) == 2:
            block(*bounds)
        else:
            pairs = pairwise(bounds)
            Parallel(n_jobs=n_jobs, prefer="threads")(delayed(block)(lo, hi) for lo, hi in pairs)
        return factors, met

    def residual(self, indptr, cols, y, factors):
        """Residual basis_j . x_i - y of the given entries, in the type of y."""
        residual = np.empty(len(y), dtype=y.dtype)
        for lo, hi in pairwise(_bounds(indptr)):
            first, last = indptr[lo], indptr[hi]
            row = np.repeat(np.arange(lo, hi), np.diff(indptr[lo : hi + 1]))
            residual[first:last] = np.einsum("ij,ij->i", factors[row], self.basis[cols[first:last]]) - y[first:last]
        return residual


def _bounds(indptr):
    """Bounds of blocks of rows with about `_BLOCK_ENTRIES` entries each; they depend on the data alone."""
    total = int(indptr[-1])
    n_rows = len(indptr) - 1
    n_blocks = max(1, min(n_rows, -(-total // _BLOCK_ENTRIES)))
    cuts = np.searchsorted(indptr, np.linspace(0, total, n_blocks + 1)[1:-1])
    return np.unique(np.concatenate([[0], cuts, [n_rows]])).astype(int).tolist() if n_rows else [0, 0]
