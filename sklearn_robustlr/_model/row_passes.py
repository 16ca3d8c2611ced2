"""Passes over the rows of a table, each apart from the others: entry by entry, or as products of matrices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np

from .._kernels.posterior import (
    FALL,
    diagonal_moments,
    entry_means,
    posterior_rows,
    relax_rows,
    second_moments,
    solve_rows,
)
from .._utils.threads import run_parts

#: Share of the entries of a row that are observed from which it is computed by products of matrices. Of 768 x 200 and
#: 2000 x 30 with 2 to 60 directions these take 0.7 to 1.0 of the time of the kernels at 0.5, and 1.0 to 1.5 at 0.3.
WHOLE = 0.5
# Rows that are multiplied at a time, a slab: always as many, so that what a row comes to does not depend on the others,
# but for the last bits.
_SLAB = 32
# Steps of conjugate gradients after each update of the weights. Of nine real tables with five kinds of damage the error
# is 1.000 of that of exact solutions with one step (at worst 1.07), and no less with three steps than with two, which
# take an eighth longer.
_STEPS = 2
# Parts of the rows for each thread, and most slabs of a part: a bound on memory.
_PARTS, _MOST_SLABS = 4, 32


def row_passes(indptr: np.ndarray, others: np.ndarray, n_others: int) -> RowPasses:
    """Passes over rows of `n_others` places, entry p being in the place others_p.

    They are by products of matrices where a share of :data:`WHOLE` of all places is observed.
    """
    whole = len(others) >= WHOLE * n_others * (len(indptr) - 1)
    return _WholeRows(indptr, others, n_others) if whole else _Entries(indptr, others)


class RowPasses(ABC):
    """Passes over the entries of rows; `basis` are the loadings of the columns they are in, `spread` their variances.

    What a row comes to does not depend on the other rows, but for rounding. Coefficients (n, k) have diagonal
    covariances; those of :meth:`posterior` are full, and packed. Columns are treated alike, with rows in their place.
    """

    #: Parts of the rows that are computed one after the other, at least.
    _n_parts = 1

    def __init__(self, indptr: np.ndarray, others: np.ndarray):
        self._indptr, self._others = indptr, others

    @abstractmethod
    def placed(self, values: np.ndarray) -> np.ndarray:
        """Values of entries in the layout in which the other methods take targets and weights."""

    @property
    @abstractmethod
    def _bounds(self) -> np.ndarray:
        """Number of entries before each unit, a row or as many as are multiplied at a time, and that of all entries."""

    @abstractmethod
    def _relax(self, lo: int, hi: int, *args: np.ndarray) -> None: ...

    @abstractmethod
    def _moments(self, lo: int, hi: int, *args: np.ndarray) -> None: ...

    @abstractmethod
    def means(self, mean: np.ndarray, basis: np.ndarray, fitted: np.ndarray) -> None:
        """Fill `fitted` with the means of the entries."""

    @abstractmethod
    def posterior(
        self,
        target: np.ndarray,
        weight: np.ndarray,
        basis: np.ndarray,
        spread: np.ndarray,
        prior: np.ndarray,
        mean: np.ndarray,
        covariance: np.ndarray,
    ) -> None:
        """Fill posterior means and covariances, as :func:`posterior_rows` does; `spread` is packed, too."""

    def relax(
        self,
        target: np.ndarray,
        weight: np.ndarray,
        basis: np.ndarray,
        spread: np.ndarray,
        prior: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        *,
        n_threads: int = 1,
    ) -> None:
        """Improve the means of coefficients, and fill their variances, as :func:`relax_rows` does."""
        self._run(lambda *part: self._relax(*part, target, weight, basis, spread, prior, mean, variance), n_threads)

    def moments(
        self,
        mean: np.ndarray,
        variance: np.ndarray,
        basis: np.ndarray,
        spread: np.ndarray,
        fitted: np.ndarray,
        fitted_variance: np.ndarray,
        *,
        n_threads: int = 1,
    ) -> None:
        """Fill the means and variances of the entries."""
        self._run(lambda *part: self._moments(*part, mean, variance, basis, spread, fitted, fitted_variance), n_threads)

    def _run(self, compute: Callable[[int, int], None], n_threads: int) -> None:
        """Compute parts of about as many entries each, side by side; none where there are no rows."""
        bounds, n_parts = self._bounds, self._n_parts if n_threads == 1 else max(_PARTS * n_threads, self._n_parts)
        if n_parts == 1:
            return compute(0, len(bounds) - 1)
        inner = np.searchsorted(bounds, np.linspace(0, bounds[-1], n_parts + 1)[1:-1])
        ends = np.unique(np.concatenate([[0], inner, [len(bounds) - 1]])).tolist()
        run_parts(lambda i: compute(ends[i], ends[i + 1]), len(ends) - 1, n_threads)


class _Entries(RowPasses):
    """Entry by entry."""

    def placed(self, values: np.ndarray) -> np.ndarray:
        return values

    @property
    def _bounds(self) -> np.ndarray:
        return self._indptr

    def _relax(self, lo: int, hi: int, *args: np.ndarray) -> None:
        *before, mean, variance = args
        relax_rows(lo, hi, self._indptr, self._others, *before, _STEPS, mean, variance)

    def _moments(self, lo: int, hi: int, *args: np.ndarray) -> None:
        diagonal_moments(lo, hi, self._indptr, self._others, *args)

    def means(self, mean: np.ndarray, basis: np.ndarray, fitted: np.ndarray) -> None:
        entry_means(self._indptr, self._others, mean, basis, fitted)

    def posterior(self, *args: np.ndarray) -> None:
        posterior_rows(self._indptr, self._others, *args)


class _WholeRows(RowPasses):
    """As products of matrices, zero where nothing is observed, :data:`_SLAB` rows at a time."""

    def __init__(self, indptr: np.ndarray, others: np.ndarray, n_others: int):
        super().__init__(indptr, others)
        self._n = len(indptr) - 1
        self._shape = -(-self._n // _SLAB), _SLAB, n_others
        self._n_parts = -(-self._shape[0] // _MOST_SLABS)
        self._places = np.repeat(np.arange(self._n) * n_others, np.diff(indptr)) + others

    def placed(self, values: np.ndarray) -> np.ndarray:
        whole = np.zeros(self._shape)
        whole.ravel()[self._places] = values
        return whole

    @cached_property
    def _bounds(self) -> np.ndarray:
        return self._indptr[np.minimum(np.arange(self._shape[0] + 1) * _SLAB, self._n)]

    def _slabs(self, values: np.ndarray, lo: int, hi: int) -> np.ndarray:
        """Numbers of rows (n, k) by slabs, zero behind the last row."""
        some, whole = values[lo * _SLAB : hi * _SLAB], np.zeros(((hi - lo) * _SLAB, values.shape[1]))
        whole[: len(some)] = some
        return whole.reshape(hi - lo, _SLAB, values.shape[1])

    def _fill(self, values: np.ndarray, slabs: np.ndarray, lo: int, hi: int) -> None:
        """Overwrite numbers of rows (n, k) by those of slabs."""
        some = values[lo * _SLAB : hi * _SLAB]
        some[:] = slabs.reshape((hi - lo) * _SLAB, values.shape[1])[: len(some)]

    def _take(self, values: np.ndarray, slabs: np.ndarray, lo: int, hi: int) -> None:
        """Overwrite values of entries by those of slabs."""
        own = slice(self._indptr[min(lo * _SLAB, self._n)], self._indptr[min(hi * _SLAB, self._n)])
        np.take(slabs, self._places[own] - lo * _SLAB * self._shape[2], out=values[own])

    def _relax(self, lo: int, hi: int, *args: np.ndarray) -> None:
        target, weight, basis, spread, prior, mean, variance = args
        target, weight = target[lo:hi], weight[lo:hi]
        x = self._slabs(mean, lo, hi)
        ridge = weight @ spread
        ridge += prior
        inverse = weight @ basis**2
        inverse += ridge
        np.divide(1.0, inverse, out=inverse)
        rest = (weight * (target - x @ basis.T)) @ basis - ridge * x
        ahead = inverse * rest
        size = _inner_products(rest, ahead)
        least = FALL * size
        for _ in range(_STEPS):
            going = size > least
            fitted = ahead @ basis.T
            fitted *= weight
            moved = fitted @ basis
            moved += ridge * ahead
            step = np.divide(size, _inner_products(ahead, moved), out=np.zeros_like(size), where=going)[..., None]
            x += step * ahead
            rest -= step * moved
            moved = inverse * rest
            after = _inner_products(rest, moved)
            ahead *= np.divide(after, size, out=np.zeros_like(size), where=going)[..., None]
            ahead += moved
            size = np.where(going, after, 0.0)
        self._fill(mean, x, lo, hi)
        self._fill(variance, inverse, lo, hi)

    def _moments(self, lo: int, hi: int, *args: np.ndarray) -> None:
        mean, variance, basis, spread, fitted, fitted_variance = args
        u, own = self._slabs(mean, lo, hi), self._slabs(variance, lo, hi)
        self._take(fitted, u @ basis.T, lo, hi)
        total = own @ (basis**2 + spread).T
        total += u**2 @ spread.T
        self._take(fitted_variance, total, lo, hi)

    def means(self, mean: np.ndarray, basis: np.ndarray, fitted: np.ndarray) -> None:
        self._take(fitted, self._slabs(mean, 0, self._shape[0]) @ basis.T, 0, self._shape[0])

    def posterior(self, *args: np.ndarray) -> None:
        target, weight, basis, spread, prior, mean, covariance = args
        second = np.empty_like(spread)
        second_moments(basis, spread, second)
        moment = np.empty_like(mean)

        def sums(lo: int, hi: int) -> None:
            self._fill(moment, (weight[lo:hi] * target[lo:hi]) @ basis, lo, hi)
            self._fill(covariance, weight[lo:hi] @ second, lo, hi)

        self._run(sums, 1)
        solve_rows(prior, moment, mean, covariance)


def _inner_products(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Inner products of rows."""
    return np.einsum("ijk,ijk->ij", one, two)
