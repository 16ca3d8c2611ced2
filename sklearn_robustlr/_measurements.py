"""Linear measurement operators: residual, adjoint, tangent space and subset of each kind of data.

Every kind offers the same five things, which is all that the stages know of the data:

* ``step(left, right, delta)``: residual r_i = <A_i, left right^T> - y_i and the factor gradients
  G right and G^T left of G = sum_i w_i psi_delta(r_i) A_i, in one pass over the data. psi_delta clips
  to [-delta, delta]; delta = 0 means the sign and delta = inf the identity.
* ``tangent(u, v)``: the same with X = m v^T + u n^T for fixed u and v, as a function of (m, n).
* ``leading(values, k)``: the k leading singular triplets of sum_i values_i A_i.
* ``subset(index)``: the same kind with fewer measurements.
* ``in_units()``: the same with the A_i at an ordinary size, and the divisors.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from . import _kernels

# A dense array of at most this many numbers is decomposed whole; larger ones by Lanczos iteration.
_DENSE_SVD_SIZE = 250_000
# Tangent coordinates of dense measurements are stored where they cost at most this share of the data.
_TANGENT_SHARE = 0.2
_BLOCK_BYTES = 1 << 19


def truncated_svd(matrix, k):
    """Return the k leading singular triplets (u, s, v), deterministic."""
    k = min(k, *matrix.shape)
    if np.prod(matrix.shape, dtype=float) <= _DENSE_SVD_SIZE or 3 * k > min(matrix.shape):
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        u, s, vt = np.linalg.svd(dense, full_matrices=False)
        return u[:, :k], s[:k], vt[:k].T
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))
    u, s, vt = svds(matrix.astype(np.float64), k, v0=start)
    order = np.argsort(-s)
    dtype = matrix.dtype
    return u[:, order].astype(dtype), s[order].astype(dtype), vt[order].T.astype(dtype)


def _read_only(array):
    """Read-only view: numba compiles one signature for both kinds only if it always sees this one."""
    view = array.view()
    view.flags.writeable = False
    return view


def _unit(data):
    """Divisor that brings data of extreme size near one, so that their squares neither overflow nor vanish; else 1."""
    if not data.size:
        return 1.0
    top = max(float(data.max()), -float(data.min()))
    limit = 1e60 if data.dtype == np.float64 else 1e8
    return 1.0 if top == 0.0 or 1.0 / limit < top < limit else top


class Measurements(ABC):
    """Common part: targets y and the shape of X."""

    #: True where a measurement sees one entry, so that signs alone do not point along the error.
    coherent = False
    #: True where several evaluations cost one read of the data.
    shares_reads = False

    def __init__(self, y, shape):
        self.y = _read_only(y)
        self.shape = shape
        self.size = y.shape[0]
        self.dtype = y.dtype
        self._ones = _read_only(np.ones(self.size, self.dtype))

    def _or_default(self, weight, y):
        """Weights (one) and targets (own) where none are given."""
        weight = self._ones if weight is None else _read_only(weight)
        return weight, self.y if y is None else _read_only(y)

    @abstractmethod
    def step(self, left, right, delta, weight=None, y=None):
        """Residual at left right^T, and the gradients of both factors for residuals clipped at `delta`."""

    def steps(self, requests):
        """`step` at several (left, right, delta), in one read of the data where that pays."""
        return [self.step(*request) for request in requests]

    def with_targets(self, y):
        """Return the same measurements with other targets."""
        other = copy.copy(self)
        other.__dict__.pop("resolution", None)
        other.y = _read_only(y)
        return other

    @cached_property
    def resolution(self):
        """Step between the values that targets take where they are rounded (counts, pixels); 0 where they are not.

        Rounded data are tied, and ties can be met exactly by a fit that means nothing.
        """
        sample = self.y[:: max(1, self.size // 20_000)]
        values, times = np.unique(sample, return_counts=True)
        frequent = values[times > 1]
        if len(frequent) < 3 or len(values) > 0.2 * len(sample):
            return 0.0
        return float(np.median(np.diff(frequent)))

    @property
    def informative(self):
        """Mask of the targets that are not zero; None where all are not."""
        mask = self.y != 0
        return None if mask.all() else mask

    def tangent(self, u, v):
        return StackedTangent(self, u, v)

    @abstractmethod
    def subset(self, index):
        """Return the measurements of these indices."""

    def in_units(self):
        """Return (measurements A_i of ordinary size, the divisors that made them so)."""
        return self, ()


class StackedTangent:
    """Tangent space of any kind: m v^T + u n^T is the product of the stacked factors [m, u] and [v, n]."""

    def __init__(self, parent, u, v):
        self._parent, self._u, self._v = parent, u, v

    def step(self, m, n, delta, weight=None, y=None):
        k = m.shape[1]
        left, right = np.hstack([m, self._u]), np.hstack([self._v, n])
        residual, grad_left, grad_right = self._parent.step(left, right, delta, weight, y)
        return residual, grad_left[:, :k], grad_right[:, k:]


class DenseMeasurements(Measurements):
    """Rows of `data` are flattened d1 x d2 matrices."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = _read_only(data)

    def _vector_step(self, x, delta, weight, y):
        residual = np.empty(self.size, self.dtype)
        adjoint = np.empty(self.data.shape[1], self.dtype)
        weight, y = self._or_default(weight, y)
        _kernels.dense_step(self.data, x, y, weight, self.dtype.type(delta), residual, adjoint)
        return residual, adjoint

    shares_reads = True

    def steps(self, requests):
        if len(requests) == 1:
            return super().steps(requests)
        x = np.stack([(left @ right.T).ravel() for left, right, _ in requests])
        delta = np.array([d for _, _, d in requests], dtype=self.dtype)
        residual = np.empty((len(x), self.size), self.dtype)
        adjoint = np.empty_like(x)
        _kernels.dense_steps(self.data, x, self.y, delta, residual, adjoint)
        gradients = adjoint.reshape(-1, *self.shape)
        return [
            (r, g @ right, g.T @ left) for r, g, (left, right, _) in zip(residual, gradients, requests, strict=True)
        ]

    def step(self, left, right, delta, weight=None, y=None):
        residual, adjoint = self._vector_step((left @ right.T).ravel(), delta, weight, y)
        adjoint = adjoint.reshape(self.shape)
        return residual, adjoint @ right, adjoint.T @ left

    def tangent(self, u, v):
        width = u.shape[1] * sum(self.shape)
        if width > _TANGENT_SHARE * self.data.shape[1]:
            return StackedTangent(self, u, v)
        coordinates = np.empty((self.size, width), self.dtype)
        split = self.shape[0] * u.shape[1]
        rows = max(1, _BLOCK_BYTES // (self.data.itemsize * self.data.shape[1]))
        for lo in range(0, self.size, rows):  # blocks that stay in cache: the data are read once
            block = self.data[lo : lo + rows].reshape(-1, *self.shape)
            out = coordinates[lo : lo + rows]
            out[:, :split] = (block @ v).reshape(len(block), -1)
            out[:, split:] = (block.transpose(0, 2, 1) @ u).reshape(len(block), -1)
        return DenseTangent(coordinates, self, u.shape[1])

    def in_units(self):
        unit = _unit(self.data)
        if unit == 1.0:
            return self, ()
        return DenseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape), (unit,)

    def leading(self, values, k):
        return truncated_svd((values @ self.data).reshape(self.shape), k)

    def subset(self, index):
        return DenseMeasurements(self.data[index], self.y[index], self.shape)

    def second_moments(self):
        """Mean of A A^T / d2 and of A^T A / d1, from a few hundred evenly spaced measurements."""
        d1, d2 = self.shape
        stride = max(1, self.size // max(200, 4 * max(d1, d2)))
        some = self.data[::stride]
        rows, cols = np.zeros((d1, d1)), np.zeros((d2, d2))
        for a in some.reshape(-1, d1, d2) if stride == 1 else (row.reshape(d1, d2) for row in some):
            rows += a @ a.T
            cols += a.T @ a
        return rows / (len(some) * d2), cols / (len(some) * d1)


class DenseTangent:
    """Tangent space of dense measurements, by their stored coordinates: a small dense problem."""

    def __init__(self, coordinates, parent, k):
        self._inner = DenseMeasurements(coordinates, parent.y, parent.shape)
        self._split = parent.shape[0] * k
        self._k = k

    def step(self, m, n, delta, weight=None, y=None):
        x = np.concatenate([m.ravel(), n.ravel()])
        residual, adjoint = self._inner._vector_step(x, delta, weight, y)
        return residual, adjoint[: self._split].reshape(-1, self._k), adjoint[self._split :].reshape(-1, self._k)


class SparseMeasurements(Measurements):
    """Rows of a CSR matrix are flattened d1 x d2 matrices; they stay sparse."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = data
        self._arrays = tuple(_read_only(a) for a in (data.indptr, data.indices, data.data))
        self.coherent = data.nnz <= 4 * data.shape[0]

    def step(self, left, right, delta, weight=None, y=None):
        residual = np.empty(self.size, self.dtype)
        adjoint = np.empty(self.data.shape[1], self.dtype)
        weight, y = self._or_default(weight, y)
        x = (left @ right.T).ravel()
        _kernels.sparse_step(*self._arrays, x, y, weight, self.dtype.type(delta), residual, adjoint)
        adjoint = adjoint.reshape(self.shape)
        return residual, adjoint @ right, adjoint.T @ left

    def in_units(self):
        unit = _unit(self.data.data)
        if unit == 1.0:
            return self, ()
        return SparseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape), (unit,)

    def leading(self, values, k):
        return truncated_svd((self.data.T @ values).reshape(self.shape), k)

    def subset(self, index):
        return SparseMeasurements(self.data[index], self.y[index], self.shape)

    def second_moments(self):
        """Diagonals of the mean of A A^T / d2 and of A^T A / d1 (off-diagonals would be dense work)."""
        square = np.asarray(self.data.multiply(self.data).mean(axis=0)).reshape(self.shape)
        return np.diag(square.mean(axis=1)), np.diag(square.mean(axis=0))


class RankOneMeasurements(Measurements):
    """Measurement i is a_i b_i^T; d1 * d2 numbers are formed once per spectral start, never per row."""

    def __init__(self, a, b, y, shape):
        super().__init__(y, shape)
        self.a, self.b = _read_only(a), _read_only(b)

    def step(self, left, right, delta, weight=None, y=None):
        left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
        residual = np.empty(self.size, self.dtype)
        grad_left, grad_right = np.empty_like(left), np.empty_like(right)
        weight, y = self._or_default(weight, y)
        _kernels.rank_one_step(
            self.a, self.b, left, right, y, weight, self.dtype.type(delta), residual, grad_left, grad_right
        )
        return residual, grad_left, grad_right

    def in_units(self):
        units = _unit(self.a), _unit(self.b)
        if units == (1.0, 1.0):
            return self, ()
        a, b = (data / self.dtype.type(unit) for data, unit in zip((self.a, self.b), units, strict=True))
        return RankOneMeasurements(a, b, self.y, self.shape), units

    def leading(self, values, k):
        return truncated_svd((self.a * values[:, None]).T @ self.b, k)

    def subset(self, index):
        return RankOneMeasurements(self.a[index], self.b[index], self.y[index], self.shape)

    def second_moments(self):
        """Mean of A A^T / d2 and of A^T A / d1."""
        norm_a, norm_b = (self.a**2).sum(axis=1), (self.b**2).sum(axis=1)
        rows = (self.a * norm_b[:, None]).T @ self.a / (self.size * self.shape[1])
        cols = (self.b * norm_a[:, None]).T @ self.b / (self.size * self.shape[0])
        return rows, cols


class EntryMeasurements(Measurements):
    """Measurement p is the entry (rows_p, cols_p); stored by rows as in CSR."""

    coherent = True

    def __init__(self, rows, cols, y, shape):
        super().__init__(y, shape)
        self.rows, self.cols = rows, _read_only(cols)
        self.indptr = _read_only(np.searchsorted(rows, np.arange(shape[0] + 1)).astype(np.int32))

    @classmethod
    def from_unsorted(cls, rows, cols, y, shape):
        """Build from entries in any order; also return the order that sorts them by row, then column."""
        order = np.lexsort((cols, rows))
        return cls(rows[order], cols[order], y[order], shape), order

    def step(self, left, right, delta, weight=None, y=None):
        left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
        residual = np.empty(self.size, self.dtype)
        grad_left, grad_right = np.empty_like(left), np.empty_like(right)
        weight, y = self._or_default(weight, y)
        _kernels.entries_step(
            self.indptr, self.cols, left, right, y, weight, self.dtype.type(delta), residual, grad_left, grad_right
        )
        return residual, grad_left, grad_right

    def tangent(self, u, v):
        return EntryTangent(self, np.ascontiguousarray(u), np.ascontiguousarray(v))

    def leading(self, values, k):
        return truncated_svd(sparse.csr_matrix((values, self.cols, self.indptr), shape=self.shape), k)

    def subset(self, index):
        index = np.sort(index) if index.dtype != bool else index
        return EntryMeasurements(self.rows[index], self.cols[index], self.y[index], self.shape)

    def transposed(self):
        """Return the same entries of X^T and the order that sorts them by its rows."""
        return EntryMeasurements.from_unsorted(self.cols, self.rows, self.y, self.shape[::-1])

    def rescaled(self, row_scale, col_scale):
        """Return the entries of diag(1 / row_scale) X diag(1 / col_scale)."""
        return self.with_targets(self.y / (row_scale[self.rows] * col_scale[self.cols]))


class EntryTangent:
    """Tangent space of entries, without the doubled width of stacked factors."""

    def __init__(self, parent, u, v):
        self._parent, self._u, self._v = parent, u, v

    def step(self, m, n, delta, weight=None, y=None):
        p = self._parent
        m, n = np.ascontiguousarray(m), np.ascontiguousarray(n)
        residual = np.empty(p.size, p.dtype)
        grad_m, grad_n = np.empty_like(m), np.empty_like(n)
        weight, y = p._or_default(weight, y)
        _kernels.entries_tangent_step(
            p.indptr, p.cols, self._u, self._v, m, n, y, weight, p.dtype.type(delta), residual, grad_m, grad_n
        )
        return residual, grad_m, grad_n


class Preconditioned(Measurements):
    """Measurements P A_i Q of P^-1 X Q^-1, for symmetric P and Q: the same numbers, better conditioned."""

    def __init__(self, parent, p, q):
        super().__init__(parent.y, parent.shape)
        self._parent, self._p, self._q = parent, p, q
        self.coherent, self.shares_reads = parent.coherent, parent.shares_reads

    def step(self, left, right, delta, weight=None, y=None):
        residual, grad_left, grad_right = self._parent.step(self._p @ left, self._q @ right, delta, weight, y)
        return residual, self._p @ grad_left, self._q @ grad_right

    def steps(self, requests):
        inner = self._parent.steps([(self._p @ left, self._q @ right, delta) for left, right, delta in requests])
        return [(residual, self._p @ grad_left, self._q @ grad_right) for residual, grad_left, grad_right in inner]

    def tangent(self, u, v):
        return PreconditionedTangent(self._parent.tangent(self._p @ u, self._q @ v), self._p, self._q)

    def leading(self, values, k):
        u, s, v = self._parent.leading(values, min(self.shape))
        u, s, v = truncated_svd(((self._p @ u) * s) @ (self._q @ v).T, k)
        return u, s, v

    def subset(self, index):
        return Preconditioned(self._parent.subset(index), self._p, self._q)


class PreconditionedTangent:
    """Tangent space of `Preconditioned` measurements."""

    def __init__(self, inner, p, q):
        self._inner, self._p, self._q = inner, p, q

    def step(self, m, n, delta, weight=None, y=None):
        residual, grad_m, grad_n = self._inner.step(self._p @ m, self._q @ n, delta, weight, y)
        return residual, self._p @ grad_m, self._q @ grad_n
