"""Rows of a matrix regressed on a fixed row space, each alone, in parallel blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

from . import _kernels, _row_kernels
from ._threads import count_threads, interruptible, run_parts, slices, working_for

# Most work, in multiplications, that random starts may cost a row on which re-weighted l1 has failed.
_START_WORK = 3e7
# Noise, relative to the data, below which a few entries settle a row, and most fits to so few that are tried.
_NEGLIGIBLE, _MOST_GUESSES = 1e-6, 60
# Entries that are looked at first for what wrong ones have in common.
_FEW_ENTRIES = 50_000


def count_starts(length, rank, *, sound=0.45, chance=0.99):
    """Random subsets of `rank` entries until one is sound with this chance, within the work that a row may cost."""
    needed = np.log(1.0 - chance) / np.log1p(-min(sound**rank, 0.999))
    return int(max(20, min(needed, _START_WORK / _row_kernels.start_work(length, rank))))


def _unit(size):
    """Divisor of data of this size that keeps their squares in range; 1 where they are anyhow."""
    return 1.0 if size == 0.0 or 1e-100 < size < 1e100 else float(min(size, np.finfo(np.float64).max))


@dataclass
class Regression:
    """Coefficients of rows, and what they leave.

    `met` counts the entries of each row within 3.5 scales; `residual`, and the mask `beyond` of residuals beyond a
    threshold, follow the order of the entries (None where not asked for).
    """

    factors: np.ndarray
    met: np.ndarray
    residual: np.ndarray | None
    beyond: np.ndarray | None


@dataclass
class RowSpace:
    """What rows are regressed on: an entry in column j of a row with coefficients x is basis_j . x.

    `center` and `root` are the mean and the square root of the covariance of the coefficients of known rows,
    the prior where a row has too few entries. `scale` is the noise scale, `efficient` says that the noise is
    Gaussian-like, so that bisquare weights are used and not l1. Entries in columns that are not `known` (mask; None:
    all are) tell nothing of a row.
    """

    basis: np.ndarray
    center: np.ndarray
    root: np.ndarray
    scale: float
    efficient: bool
    known: np.ndarray | None = None

    @classmethod
    def learn(cls, basis, coefficients, rows, scale, *, efficient=True, known=None):
        """Take the prior from the coefficients of some `rows` (mask); of all where none is."""
        basis = np.ascontiguousarray(basis, dtype=np.float64)
        sample = coefficients[rows].astype(np.float64)
        if not len(sample):
            sample = coefficients.astype(np.float64) if len(coefficients) else np.zeros((1, basis.shape[1]))
        center = sample.mean(axis=0)
        _, s, vt = np.linalg.svd(sample - center, full_matrices=False)
        return cls(basis, center, (vt.T * (s / np.sqrt(len(sample)))) @ vt, scale, efficient, known)

    @property
    def rank(self):
        return self.basis.shape[1]

    def is_determined(self, met):
        """Mask of the rows whose coefficients meet more entries than they could by interpolation alone."""
        return met > self.rank

    @property
    def is_clean(self):
        """Whether the noise is negligible, so that an entry is met or is not."""
        size = np.mean(np.abs(self.basis @ self.center)) + np.mean(np.abs(self.basis @ self.root))
        return self.rank > 0 and self.scale <= _NEGLIGIBLE * size

    def gross(self, entries, regression):
        """Mask of the gross errors: no verdict is passed on rows or columns that are not determined."""
        flags = regression.beyond
        if self.known is not None:
            flags = flags & self.known[entries.cols]
        for i in np.flatnonzero(~self.is_determined(regression.met)):
            flags[entries.indptr[i] : entries.indptr[i + 1]] = False
        return flags

    def is_ambiguous(self, entries, regression, threshold, known=None, *, chance=0.03):
        """Masks of the rows and columns that the opposite of what was found explains nearly as well.

        Where many entries have the wrong sign, half of a row's may by chance: no one can tell then which half is
        right. Those that may be wrong by majority are taken, until the others all are right but for this chance. What
        lies within the `threshold` of its opposite has the wrong sign. A row that is not determined goes with whatever
        it has, and is no witness: `known` is a mask of the entries that count. Also returns whether that is likely
        (5 %) for each of many rows or columns: that is not chance, they are stuck.
        """
        beyond = regression.beyond
        n_rows = entries.shape[0]
        # where signs are not what is wrong, few errors are the opposite of the truth, by chance: some rows tell
        some = np.arange(n_rows) % max(len(beyond) // _FEW_ENTRIES, 1) == 0
        if not some.all():
            within = np.concatenate([beyond[lo:hi] for lo, hi in entries.ranges(some)])
            part = entries.part(some, np.ones(entries.shape[1], dtype=bool))
            clear, turned = self._turned(part, within, regression.factors[some], threshold)
            if turned.sum() < 0.25 * np.sum(clear & within):
                return *(np.zeros(n, dtype=bool) for n in entries.shape), False
        clear, turned = self._turned(entries, beyond, regression.factors, threshold)
        if known is not None:
            clear, turned = clear & known, turned & known
        met = clear & ~beyond
        share = turned.sum() / (met.sum() + turned.sum()) if turned.sum() > 0.5 * np.sum(clear & beyond) else 0.0
        masks, hopeless = [], False
        for n_met, n_turned in zip(entries.counts(met), entries.counts(turned), strict=True):
            lead = n_met - n_turned
            log_odds = lead * np.log((1.0 - share) / share) if 0.0 < share < 1.0 else np.full(len(lead), np.inf)
            risk = np.where(n_turned > 0, expit(-log_odds), 0.0)
            order = np.argsort(risk)
            masks.append(np.zeros(len(lead), dtype=bool))
            masks[-1][order[np.cumsum(risk[order]) > chance]] = True
            hopeless |= bool(np.mean(risk > 0.05) > 0.35)
        return *masks, hopeless

    def _turned(self, entries, beyond, factors, threshold):
        """Masks of the entries that are larger than the `threshold`, and of those of them that have the wrong sign."""
        clear = np.abs(entries.y) > threshold  # smaller ones fit both
        wrong = entries.subset(beyond)
        apart = np.abs(0.5 * self.residual(wrong, factors) + wrong.y)  # half of the distance from the opposite
        within = np.maximum(0.5 * threshold, 1e-6 * np.abs(wrong.y))
        turned = np.zeros(len(beyond), dtype=bool)
        turned[beyond] = apart <= within
        turned &= clear
        # the wrong sign leaves them as near as noise is, most within a third; by chance as many lie in each part of it
        near = turned[beyond] & (apart <= within / 3.5)
        return clear, turned if near.sum() > 0.5 * turned.sum() else turned & False

    def regress(self, entries, *, n_jobs=None, residual=False, threshold=None):
        """Regress rows, each alone; rows that are not determined get the posterior mean under the prior, a row without
        entries the centre. Returns a :class:`Regression`."""
        idle = self._idle(entries)
        if idle is not None:
            fit = self.regress(entries.subset(~idle), n_jobs=n_jobs)
            rest = self.residual(entries, fit.factors)
            beyond = None if threshold is None else np.abs(rest) > threshold
            return Regression(fit.factors, fit.met, rest if residual else None, beyond)
        n_rows = entries.shape[0]
        factors = np.zeros((n_rows, self.rank))
        met = np.zeros(n_rows, dtype=np.int64)
        out = np.empty(len(entries.y), dtype=entries.dtype) if residual else None
        beyond = np.empty(len(entries.y), dtype=bool) if threshold is not None else None
        whitened = np.ascontiguousarray(self.basis @ self.root)
        center = self.basis @ self.center
        turned = np.ascontiguousarray(self.basis.T)
        size = np.mean(np.abs(center)) + np.mean(np.abs(whitened))
        unit = _unit(max(size, self.scale))
        starts = count_starts(len(self.basis), self.rank)
        scale = max(self.scale, np.finfo(np.float64).tiny)
        settled = self.is_clean

        def expected(indptr, cols, y, some):
            with np.errstate(over="ignore"):  # an entry that is infinite in these units is left out
                even = y / unit, whitened / unit, center / unit, self.scale / unit
            x = np.zeros((len(indptr) - 1, self.rank))
            _row_kernels.expect_rows(indptr, cols, *even, some, x)
            x[some] = x[some] @ self.root + self.center
            return x

        def block(lo, hi):
            indptr, cols, y = entries.block(lo, hi)
            x, n_met = factors[lo:hi], met[lo:hi]

            def evaluate():
                rest = np.empty(len(y))
                if entries.full is not None:
                    _row_kernels.full_residual(y, turned, x, rest)
                else:
                    _kernels.rows_residual(indptr, cols, y, self.basis, x, rest)
                return rest

            left = np.arange(hi - lo)
            rest = None
            if settled:
                _row_kernels.guess_rows(indptr, cols, y, self.basis, scale, _MOST_GUESSES, x)
                rest = evaluate()
                good = np.empty(hi - lo, dtype=bool)
                _kernels.count_met(indptr, rest, scale, self.rank, n_met, good)
                left = np.flatnonzero(~good)
                x[left] = 0.0
            if len(left):
                for some in slices(left, starts * _row_kernels.start_work(*self.basis.shape)):
                    _row_kernels.regress_rows(
                        indptr, cols, y, self.basis, scale, starts, self.efficient, some, x, n_met
                    )
                rest = None
                poor = left[2 * n_met[left] <= np.diff(indptr)[left] + self.rank] if self.efficient else left[:0]
                if len(poor):  # most entries may be wrong: begin at what those tell that are likely beforehand
                    again, n_again = expected(indptr, cols, y, poor), np.zeros_like(n_met)
                    _row_kernels.regress_rows(indptr, cols, y, self.basis, scale, 0, True, poor, again, n_again)
                    better = poor[self._credit(again[poor], n_again[poor]) > self._credit(x[poor], n_met[poor])]
                    x[better], n_met[better] = again[better], n_again[better]
            lost = np.flatnonzero(~self.is_determined(n_met))
            if len(lost):
                x[lost] = expected(indptr, cols, y, lost)[lost]
                rest = None
            if out is not None or beyond is not None:
                rest = evaluate() if rest is None else rest
                where = slice(entries.indptr[lo], entries.indptr[hi])
                if out is not None:
                    out[where] = rest
                if beyond is not None:
                    np.greater(np.abs(rest, out=rest), threshold, out=beyond[where])

        pairs = list(pairwise(entries.bounds()))
        with interruptible() as token:
            task = working_for(token)(lambda p: block(*pairs[p]))
            run_parts(task, len(pairs), count_threads(n_jobs))
        return Regression(factors, met, out, beyond)

    def _credit(self, factors, met):
        """Logarithm, but for a constant, of how likely coefficients are that meet so many entries.

        An entry that is not met is as unlikely as one three scales away; the prior has the tail of a t distribution
        with four degrees of freedom, for rows of any size occur. Without noise, nothing is met by chance.
        """
        credit = 4.5 * met
        if not self.is_clean:
            with np.errstate(over="ignore", invalid="ignore"):  # of any size: then nothing speaks for them
                apart = np.sum(((factors - self.center) @ np.linalg.pinv(self.root)) ** 2, axis=1)
            credit -= 0.5 * (4 + self.rank) * np.log1p(apart / 4)
        return credit

    def _idle(self, entries):
        """Mask of the entries in columns that are not known, or where the row space vanishes; None without any.

        Zeros there are met by all coefficients alike: counted among those met, they would pass any.
        """
        size = np.abs(self.basis).max(axis=1, initial=0.0)
        blank = size <= 1e-9 * size.max(initial=0.0)
        if self.known is not None:
            blank |= ~self.known
        if not blank.any() or blank.all():
            return None
        mask = blank[entries.cols]
        return mask if mask.any() else None

    def residual(self, entries, factors):
        """Residual basis_j . x_i - y of the entries at given coefficients, in the type of y."""
        residual = np.empty(len(entries.y), dtype=entries.dtype)
        for lo, hi in pairwise(entries.bounds()):
            indptr, cols, y = entries.block(lo, hi)
            rest = np.empty(len(y))
            _kernels.rows_residual(indptr, cols, y, self.basis, np.ascontiguousarray(factors[lo:hi], np.float64), rest)
            residual[entries.indptr[lo] : entries.indptr[hi]] = rest
        return residual
