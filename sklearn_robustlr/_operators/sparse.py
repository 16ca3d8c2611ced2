"""Sparse measurements: each is a flattened matrix, in compressed sparse row form."""

from __future__ import annotations

import numpy as np

from .._kernels.measurements import sparse_steps
from .._utils.arrays import read_only
from .._utils.linalg import truncated_svd
from .base import Measurements, flat_steps, ordinary_unit


class SparseMeasurements(Measurements):
    """Rows of a CSR matrix are flattened d1 x d2 matrices; they stay sparse."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = data
        self._arrays = tuple(read_only(a) for a in (data.indptr, data.indices, data.data))
        self.entrywise = data.nnz <= 4 * data.shape[0]

    def vector_steps(self, x, delta, weight=None, y=None):
        """Residuals (one row for each) and adjoints at flattened matrices, the rows of x."""
        x = np.ascontiguousarray(x.T)
        residual = np.empty((self.size, x.shape[1]), self.dtype)
        delta = np.array(delta, dtype=self.dtype)
        weight, y = self._or_default(weight, y)
        indptr, *stored = self._arrays

        def part(lo, hi, adjoint):
            rows = slice(lo, hi)
            sparse_steps(indptr[lo : hi + 1], *stored, x, y[rows], weight[rows], delta, residual[rows], adjoint)

        (adjoint,) = self._pass(part, x.shape[1] * self.data.nnz / self.size, [x.shape])
        return np.ascontiguousarray(residual.T), np.ascontiguousarray(adjoint.T)

    def steps(self, requests, weight=None, y=None):
        return flat_steps(self, requests, weight, y)

    def in_units(self):
        unit = ordinary_unit(self.data.data)
        if unit == 1.0:
            return self, ()
        return self._like(SparseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)), (unit,)

    def leading(self, values, k):
        return truncated_svd((self.data.T @ values).reshape(self.shape), k)

    def subset(self, index):
        return self._like(SparseMeasurements(self.data[index], self.y[index], self.shape))

    def second_moments(self):
        """Diagonals of the mean of A A^T / d2 and of A^T A / d1 (off-diagonals would be dense work)."""
        square = np.asarray(self.data.multiply(self.data).mean(axis=0)).reshape(self.shape)
        return np.diag(square.mean(axis=1)), np.diag(square.mean(axis=0))
