"""Measurements of single entries of the matrix, sorted by row as in CSR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._kernels.descents import clipped_steps
from .._kernels.measurements import (
    entries_residual,
    entries_step,
    entries_tangent_step,
    entries_weigh,
    whole_rows_weigh,
)
from .._utils.arrays import counting_sort, read_only
from .._utils.threads import check_interrupt
from .base import Measurements
from .observed import Entries
from .results import Clipped, Clipping, Request, Step
from .tangents import BySteps, EntryTangent, Normal, Tangent

# Share of observed entries from which on whole rows are multiplied, by BLAS. With nothing missing this takes a third of
# the time of one entry after the other; at a share of 0.3 three quarters, at 0.2 as long.
_DENSE = 0.25
# Numbers that are multiplied at a time: they then stay in cache.
_SLICE = 1 << 15


class Sorted(NamedTuple):
    """Measurements of entries given in any order, and the order that sorts them by row, then column."""

    measurements: EntryMeasurements
    order: np.ndarray


class EntryMeasurements(Measurements):
    """Measurement p is the entry (rows_p, cols_p); stored by rows as in CSR."""

    entrywise = True
    _derived = (*Measurements._derived, "_is_whole", "_is_single", "_places", "_filled")

    def __init__(self, rows: np.ndarray, cols: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> None:
        super().__init__(y, shape)
        self.rows, self.cols = rows, read_only(cols)
        self.indptr = read_only(np.searchsorted(rows, np.arange(shape[0] + 1)).astype(np.int32))
        #: Whether passes multiply whole rows, missing entries included.
        self._is_dense = self.size >= _DENSE * math.prod(shape)

    @classmethod
    def from_unsorted(cls, rows: np.ndarray, cols: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> Sorted:
        """Build from entries in any order."""
        by_col = counting_sort(cols, shape[1])
        order = by_col[counting_sort(rows[by_col], shape[0])]
        return Sorted(cls(rows[order], cols[order], y[order], shape), order)

    def mirrored(self) -> EntryMeasurements:
        """The entries of a symmetric matrix, with those on the other side of the diagonal."""
        other = self.rows != self.cols
        ways = (self.rows, self.cols), (self.cols, self.rows)
        rows, cols = (np.concatenate([one, two[other]]) for one, two in ways)
        return self.from_unsorted(rows, cols, np.concatenate([self.y, self.y[other]]), self.shape).measurements

    def pass_by_rows(
        self, kernel: Callable[..., None], width: int, shapes: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """As `_pass`, where `kernel` is given whole rows lo to hi; each part has about as many entries."""
        n_parts = self._n_parts(self.size * (10 + width), shapes)
        if n_parts == 1:
            return self._sum_parts(kernel, [0, self.shape[0]], shapes)
        cuts = np.searchsorted(self.indptr, [self.size * p // n_parts for p in range(1, n_parts)])
        return self._sum_parts(kernel, sorted({0, *cuts.tolist(), self.shape[0]}), shapes)

    @cached_property
    def _is_whole(self) -> bool:
        """Whether no entry is missing, and each is measured once."""
        d2 = self.shape[1]
        return self.size == math.prod(self.shape) and bool(np.all(self.cols.reshape(self.shape) == np.arange(d2)))

    @cached_property
    def _is_single(self) -> bool:
        """Whether no entry is measured twice."""
        return bool(np.all((np.diff(self.rows) != 0) | (np.diff(self.cols) != 0)))

    @cached_property
    def _places(self) -> np.ndarray:
        """Where the entries are in the flattened matrix."""
        return self.rows.astype(np.int64) * self.shape[1] + self.cols

    def _filled_up(self, values: np.ndarray) -> np.ndarray:
        """The matrix of values of the entries, zero where one is missing."""
        whole = np.zeros(math.prod(self.shape), values.dtype)
        whole[self._places] = values
        return whole.reshape(self.shape)

    @cached_property
    def _filled(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrix of the targets, and of ones, zero where an entry is missing."""
        return self._filled_up(self.y), self._filled_up(self._ones)

    @property
    def _slab(self) -> int:
        """Number of rows that stay in cache."""
        return max(_SLICE // self.shape[1], 8)

    def rows_at_a_time(self, lo: int, hi: int) -> Iterator[slice]:
        """Slices of the rows lo to hi that stay in cache."""
        few = self._slab
        return (slice(start, min(start + few, hi)) for start in range(lo, hi, few))

    def is_short(self, width: int, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Whether a pass by rows is one product."""
        return self.shape[0] <= self._slab and self._n_parts(self.size * (10 + width), shapes) == 1

    def weigher(
        self, delta: float, residual: np.ndarray, weight: np.ndarray | None, y: np.ndarray | None
    ) -> Callable[[slice, np.ndarray], None]:
        """A function that replaces the fit of rows, a product, by their weighted residuals, clipped at `delta`.

        What is missing becomes zero. The `residual` of the entries is written.
        """
        (weights, targets), delta = self._or_default(weight, y), self.dtype.type(delta)
        if not self._is_whole:

            def weigh(rows: slice, product: np.ndarray) -> None:
                own = self.indptr[rows.start : rows.stop + 1], self.cols
                entries_weigh(*own, product, targets, weights, delta, residual)

            return weigh
        whole = [array.reshape(self.shape) for array in (targets, weights, residual)]

        def weigh_whole(rows: slice, product: np.ndarray) -> None:
            own_targets, own_weights, own_residual = (array[rows] for array in whole)
            whole_rows_weigh(product, own_targets, own_weights, delta, own_residual)

        return weigh_whole

    def placed(self, weight: np.ndarray) -> np.ndarray | None:
        """The matrix of weights, zero where an entry is missing; None where one is measured twice."""
        if not self._is_single:
            return None
        return weight.reshape(self.shape) if self._is_whole else self._filled_up(weight)

    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        own_type = [(np.ascontiguousarray(u), np.ascontiguousarray(v), self.dtype.type(d)) for u, v, d in requests]
        residuals = np.empty((len(own_type), self.size), self.dtype)
        grads_left = [np.zeros_like(left) for left, _, _ in own_type]
        weights, targets = self._or_default(weight, y)

        def part(lo: int, hi: int, *grads_right: np.ndarray) -> None:
            own = self.indptr[lo : hi + 1], self.cols
            each = zip(own_type, residuals, grads_left, grads_right, strict=True)
            for (left, right, delta), residual, grad_left, grad_right in each:  # the entries stay in cache
                data = left[lo:hi], right, targets, weights, delta
                entries_step(*own, *data, residual, grad_left[lo:hi], grad_right)

        def dense_part(lo: int, hi: int, *grads_right: np.ndarray) -> None:
            for rows in self.rows_at_a_time(lo, hi):
                each = zip(own_type, residuals, grads_left, grads_right, strict=True)
                for (left, right, delta), residual, grad_left, grad_right in each:
                    product = left[rows] @ right.T
                    self.weigher(delta, residual, weight, y)(rows, product)
                    np.matmul(product, right, out=grad_left[rows])
                    grad_right += product.T @ left[rows]

        shapes = [right.shape for _, right, _ in own_type]
        width = sum(left.shape[1] for left, _, _ in own_type)
        grads_right = self.pass_by_rows(dense_part if self._is_dense else part, width, shapes)
        return [Step(*one) for one in zip(residuals, grads_left, grads_right, strict=True)]

    def clipped_steps(
        self, left: np.ndarray, right: np.ndarray, clipping: Clipping, n_steps: int, most: float, *, symmetric: bool
    ) -> Clipped | None:
        is_small = self._n_parts(self.size * (10 + left.shape[1]), [right.shape]) == 1
        if not (is_small and self._is_dense and self._is_single):
            return None
        left, right = (np.array(factor.T, order="C") for factor in (left, right))
        targets, weights = self._filled
        places, (k, d2) = self._places[clipping.some], right.shape
        how = float(clipping.delta), float(clipping.norm), clipping.share, clipping.width, clipping.fall
        residual, clipped, size = (np.empty(shape, self.dtype) for shape in (self.shape, d2, len(places)))
        room = residual, clipped, size, np.empty_like(left), np.empty_like(right), *np.empty((2, 2, k, k))
        made, delta = clipped_steps(targets, weights, left, right, symmetric, *how, places, most, n_steps, *room)
        return Clipped(np.ascontiguousarray(left.T), np.ascontiguousarray(right.T), made, delta)

    def residual(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        if not self._is_dense:
            return super().residual(left, right)
        left, right = (np.asarray(factor, self.dtype) for factor in (left, right))
        residual = np.empty(self.size, self.dtype)

        def part(lo: int, hi: int) -> None:
            for rows in self.rows_at_a_time(lo, hi):
                if self._is_whole:
                    y, own = (array.reshape(self.shape)[rows] for array in (self.y, residual))
                    np.subtract(np.matmul(left[rows], right.T, out=own), y, out=own)
                else:
                    product = left[rows] @ right.T
                    entries_residual(self.indptr[rows.start : rows.stop + 1], self.cols, product, self.y, residual)

        self.pass_by_rows(part, left.shape[1], [])
        return residual

    def tangent_step(
        self,
        u: np.ndarray,
        v: np.ndarray,
        m: np.ndarray,
        n: np.ndarray,
        delta: float,
        weight: np.ndarray | None = None,
        y: np.ndarray | None = None,
    ) -> Step:
        """`step` at m v^T + u n^T with the gradients in m and n, at half the width of stacked factors."""
        residual = np.empty(self.size, self.dtype)
        grad_m = np.zeros_like(m)
        clip = self.dtype.type(delta)
        weights, targets = self._or_default(weight, y)

        def part(lo: int, hi: int, grad_n: np.ndarray) -> None:
            own = self.indptr[lo : hi + 1], self.cols, u[lo:hi], v, m[lo:hi], n, targets, weights, clip
            entries_tangent_step(*own, residual, grad_m[lo:hi], grad_n)

        (grad_n,) = self.pass_by_rows(part, 2 * m.shape[1], [n.shape])
        return Step(residual, grad_m, grad_n)

    def tangent(self, u: np.ndarray, v: np.ndarray) -> Tangent:
        return _WholeTangent(self, u, v) if self._is_dense else EntryTangent(self.tangent_step, u, v)

    def clustering(self, weight: np.ndarray) -> float:
        spread = weight - weight.mean()
        power = float(spread @ spread)
        if not power > 0.0:
            return 1.0
        sums = (np.bincount(index, weights=spread) for index in (self.rows, self.cols))
        return max(float(total @ total) for total in sums) / power

    def gradients(self, u: np.ndarray, v: np.ndarray) -> sparse.csr_matrix:
        k, direction = u.shape[1], np.arange(u.shape[1])
        left, right = self.rows[:, None] * k + direction, (self.shape[0] + self.cols[:, None]) * k + direction
        values = np.hstack([v[self.cols], u[self.rows]]).ravel()
        indptr = np.arange(self.size + 1) * 2 * k
        return sparse.csr_matrix(
            (values, np.hstack([left, right]).ravel(), indptr), shape=(self.size, k * sum(self.shape))
        )

    def squares(self, weight: np.ndarray) -> np.ndarray:
        return np.bincount(self._places, weight, minlength=self.shape[0] * self.shape[1]).reshape(self.shape)

    def adjoint(self, values: np.ndarray) -> sparse.csr_matrix:
        return sparse.csr_matrix((values, self.cols, self.indptr), shape=self.shape)

    def subset(self, index: np.ndarray | slice) -> EntryMeasurements:
        index = np.sort(index) if isinstance(index, np.ndarray) and index.dtype != bool else index
        return self._like(EntryMeasurements(self.rows[index], self.cols[index], self.y[index], self.shape))

    def transposed(self) -> Sorted:
        """Return the same entries of X^T."""
        return EntryMeasurements.from_unsorted(self.cols, self.rows, self.y, self.shape[::-1])

    def rescaled(self, row_scale: np.ndarray, col_scale: np.ndarray) -> EntryMeasurements:
        """Return the entries of diag(1 / row_scale) X diag(1 / col_scale)."""
        return self.with_targets(self.y / (row_scale[self.rows] * col_scale[self.cols]))

    def first_of_each(self) -> Entries:
        """Return the entries of a matrix: the first one where an entry is measured several times."""
        first = np.append(True, (np.diff(self.rows) != 0) | (np.diff(self.cols) != 0))
        indptr = np.searchsorted(self.rows[first], np.arange(self.shape[0] + 1)).astype(np.int32)
        return Entries.of(indptr, self.cols[first], self.y[first], self.shape)


class _WholeTangent(BySteps):
    """Tangent space of single entries by products of whole rows: m v^T + u n^T is that of [m, u] and [v, n]."""

    def __init__(self, entries: EntryMeasurements, u: np.ndarray, v: np.ndarray) -> None:
        self._entries, self._u, self._v = entries, np.ascontiguousarray(u), np.ascontiguousarray(v)
        self._left, self._right = (np.concatenate([each, each], axis=1) for each in (self._u, self._v))
        self._is_short = entries.is_short(2 * u.shape[1], [v.shape])

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        entries = self._entries
        clip, residual = entries.dtype.type(delta), np.empty(entries.size, entries.dtype)
        weigh = entries.weigher(clip, residual, weight, y)
        return Step(residual, *self._gradients(m, n, weigh))

    def normal(self, weight: np.ndarray) -> Normal:
        weights = self._entries.placed(weight)
        if weights is None:
            return super().normal(weight)

        def weigh(rows: slice, product: np.ndarray) -> None:
            np.multiply(product, weights[rows], out=product)

        return lambda m, n: self._gradients(m, n, weigh)

    def _gradients(
        self, m: np.ndarray, n: np.ndarray, weigh: Callable[[slice, np.ndarray], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients in m and n, by the fit of rows at (m, n), which `weigh` overwrites by what they are products with.

        A tangent space is that of one thread, which fills the factors.
        """
        entries, left, right, u, v, k = self._entries, self._left, self._right, self._u, self._v, m.shape[1]
        left[:, :k], right[:, k:] = m, n
        grad_m = np.empty_like(u)

        def of_rows(rows: slice) -> np.ndarray:
            product = left[rows] @ right.T
            weigh(rows, product)
            np.matmul(product, v, out=grad_m[rows])
            return product.T @ u[rows]

        def part(lo: int, hi: int, grad_n: np.ndarray) -> None:
            for rows in entries.rows_at_a_time(lo, hi):
                grad_n += of_rows(rows)

        if self._is_short:  # the way to a longer pass would take as long
            check_interrupt()
            return grad_m, of_rows(slice(0, len(u)))
        (grad_n,) = entries.pass_by_rows(part, 2 * k, [v.shape])
        return grad_m, grad_n
