"""Measurements that each see one entry of the matrix, sorted by row as in CSR."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy import sparse

from .._kernels.measurements import entries_step, entries_tangent_step, entries_weigh, whole_rows_weigh
from .._utils.arrays import counting_sort, read_only
from .._utils.linalg import truncated_svd
from .base import Measurements
from .observed import Entries
from .tangents import EntryTangent

# Share of the entries seen from which whole rows are multiplied, by BLAS: without holes that takes a third of the time,
# at 0.3 three quarters, at 0.2 as long as one entry after the other. And the numbers that are multiplied at a time,
# which then stay in cache.
_DENSE, _SLICE = 0.25, 1 << 15


class EntryMeasurements(Measurements):
    """Measurement p is the entry (rows_p, cols_p); stored by rows as in CSR."""

    entrywise = True
    _told = (*Measurements._told, "_is_whole")

    def __init__(self, rows, cols, y, shape):
        super().__init__(y, shape)
        self.rows, self.cols = rows, read_only(cols)
        self.indptr = read_only(np.searchsorted(rows, np.arange(shape[0] + 1)).astype(np.int32))
        #: Whether passes go by products of whole rows, holes and all.
        self._is_dense = self.size >= _DENSE * math.prod(shape)

    @classmethod
    def from_unsorted(cls, rows, cols, y, shape):
        """Build from entries in any order; also return the order that sorts them by row, then column."""
        by_col = counting_sort(cols, shape[1])
        order = by_col[counting_sort(rows[by_col], shape[0])]
        return cls(rows[order], cols[order], y[order], shape), order

    def _pass_by_rows(self, kernel, width, shapes):
        """As `_pass`, of parts that are whole rows, lo to hi, with about as many entries each."""
        n_parts = self._n_parts(self.size * (10 + width), shapes)
        cuts = np.searchsorted(self.indptr, [self.size * p // n_parts for p in range(1, n_parts)])
        return self._sum_parts(kernel, sorted({0, *cuts.tolist(), self.shape[0]}), shapes)

    @cached_property
    def _is_whole(self):
        """Whether there are no holes, and each entry is measured once."""
        d2 = self.shape[1]
        return self.size == math.prod(self.shape) and bool(np.all(self.cols.reshape(self.shape) == np.arange(d2)))

    def _rows_at_a_time(self, lo, hi):
        few = max(_SLICE // self.shape[1], 8)
        return (slice(start, min(start + few, hi)) for start in range(lo, hi, few))

    def _weigh(self, rows, product, *arrays, delta):
        """Exchange the fit of rows for what their gradients are products with; `arrays` are y, weight and residual."""
        if self._is_whole:
            y, weight, residual = (array.reshape(self.shape)[rows] for array in arrays)
            whole_rows_weigh(product, y, weight, delta, residual)
        else:
            y, weight, residual = arrays
            own = self.indptr[rows.start : rows.stop + 1], self.cols
            entries_weigh(*own, product, y, weight, delta, residual)

    def steps(self, requests, weight=None, y=None):
        requests = [(np.ascontiguousarray(u), np.ascontiguousarray(v), self.dtype.type(d)) for u, v, d in requests]
        residuals = np.empty((len(requests), self.size), self.dtype)
        grads_left = [np.zeros_like(left) for left, _, _ in requests]
        weight, y = self._or_default(weight, y)

        def part(lo, hi, *grads_right):
            own = self.indptr[lo : hi + 1], self.cols
            each = zip(requests, residuals, grads_left, grads_right, strict=True)
            for (left, right, delta), residual, grad_left, grad_right in each:  # the entries stay in cache
                entries_step(*own, left[lo:hi], right, y, weight, delta, residual, grad_left[lo:hi], grad_right)

        def dense_part(lo, hi, *grads_right):
            for rows in self._rows_at_a_time(lo, hi):
                each = zip(requests, residuals, grads_left, grads_right, strict=True)
                for (left, right, delta), residual, grad_left, grad_right in each:
                    product = left[rows] @ right.T
                    self._weigh(rows, product, y, weight, residual, delta=delta)
                    np.matmul(product, right, out=grad_left[rows])
                    grad_right += product.T @ left[rows]

        shapes = [right.shape for _, right, _ in requests]
        width = sum(left.shape[1] for left, _, _ in requests)
        grads_right = self._pass_by_rows(dense_part if self._is_dense else part, width, shapes)
        return list(zip(residuals, grads_left, grads_right, strict=True))

    def tangent_step(self, u, v, m, n, delta, weight=None, y=None):
        """`step` at m v^T + u n^T, with the gradients in m and n, without the doubled width of stacked factors."""
        residual = np.empty(self.size, self.dtype)
        grad_m = np.zeros_like(m)
        delta = self.dtype.type(delta)
        weight, y = self._or_default(weight, y)
        right = np.hstack([v, n]) if self._is_dense else v

        def part(lo, hi, grad_n):
            entries_tangent_step(
                self.indptr[lo : hi + 1], self.cols, u[lo:hi], v, m[lo:hi], n, y, weight, delta, residual,
                grad_m[lo:hi], grad_n,
            )  # fmt: skip

        def dense_part(lo, hi, grad_n):
            for rows in self._rows_at_a_time(lo, hi):
                product = np.hstack([m[rows], u[rows]]) @ right.T
                self._weigh(rows, product, y, weight, residual, delta=delta)
                np.matmul(product, v, out=grad_m[rows])
                grad_n += product.T @ u[rows]

        part = dense_part if self._is_dense else part
        return residual, grad_m, *self._pass_by_rows(part, 2 * m.shape[1], [n.shape])

    def tangent(self, u, v):
        return EntryTangent(self, np.ascontiguousarray(u), np.ascontiguousarray(v))

    def clustering(self, weight):
        spread = weight - weight.mean()
        power = float(spread @ spread)
        if not power > 0.0:
            return 1.0
        sums = (np.bincount(index, weights=spread) for index in (self.rows, self.cols))
        return max(float(total @ total) for total in sums) / power

    def leading(self, values, k):
        return truncated_svd(sparse.csr_matrix((values, self.cols, self.indptr), shape=self.shape), k)

    def subset(self, index):
        index = np.sort(index) if index.dtype != bool else index
        return self._like(EntryMeasurements(self.rows[index], self.cols[index], self.y[index], self.shape))

    def transposed(self):
        """Return the same entries of X^T and the order that sorts them by its rows."""
        return EntryMeasurements.from_unsorted(self.cols, self.rows, self.y, self.shape[::-1])

    def rescaled(self, row_scale, col_scale):
        """Return the entries of diag(1 / row_scale) X diag(1 / col_scale)."""
        return self.with_targets(self.y / (row_scale[self.rows] * col_scale[self.cols]))

    def first_of_each(self):
        """Return the entries as those of a matrix: of an entry that is measured several times, the first."""
        first = np.append(True, (np.diff(self.rows) != 0) | (np.diff(self.cols) != 0))
        indptr = np.searchsorted(self.rows[first], np.arange(self.shape[0] + 1)).astype(np.int32)
        return Entries.of(indptr, self.cols[first], self.y[first], self.shape)
