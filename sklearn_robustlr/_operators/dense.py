"""Dense measurements: each is a flattened matrix."""

from __future__ import annotations

import numpy as np

from .._kernels.measurements import dense_step, dense_steps, dense_tangent
from .._utils.arrays import read_only
from .._utils.linalg import truncated_svd
from .base import SLICE, Measurements, flat_steps, is_ordinary, ordinary_unit
from .tangents import StackedTangent, StoredTangent

# Tangent coordinates of dense measurements are stored where they cost at most this share of the data.
_TANGENT_SHARE = 0.2


class DenseMeasurements(Measurements):
    """Rows of `data` are flattened d1 x d2 matrices."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = read_only(data)

    def vector_steps(self, x, delta, weight=None, y=None):
        """Residuals (one row for each) and adjoints at flattened matrices, the rows of x."""
        residual = np.empty((self.size, len(x)), self.dtype)
        delta = np.array(delta, dtype=self.dtype)
        weight, y = self._or_default(weight, y)

        few = max(SLICE // self.data.shape[1], 4)

        def part(lo, hi, adjoint):
            own = self.data[lo:hi], x, y[lo:hi], weight[lo:hi], delta, residual[lo:hi], adjoint
            if len(x) == 1:
                dense_step(*own)
            else:
                dense_steps(*own, few)

        (adjoint,) = self._pass(part, x.size, [x.shape])
        return np.ascontiguousarray(residual.T), adjoint

    def steps(self, requests, weight=None, y=None):
        return flat_steps(self, requests, weight, y)

    def tangent(self, u, v):
        d1, d2 = self.shape
        k = u.shape[1]
        if k * (d1 + d2) > _TANGENT_SHARE * self.data.shape[1]:
            return StackedTangent(self, u, v)
        coordinates = np.empty((self.size, k * (d1 + d2)), self.dtype)
        u, v = (read_only(np.ascontiguousarray(factor.T)) for factor in (u, v))

        def part(lo, hi, product):
            dense_tangent(self.data[lo:hi], u, v, product, coordinates[lo:hi])

        self._pass(part, k * d1 * d2, [(k, d2)])
        return StoredTangent(self._like(DenseMeasurements(coordinates, self.y, self.shape)), d1 * k, k)

    def in_units(self):
        unit = ordinary_unit(self.data)
        if unit == 1.0:
            return self, ()
        return self._like(DenseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)), (unit,)

    def single(self):
        if not is_ordinary(self.data, np.float32):
            return self
        return self._like(DenseMeasurements(self.data.astype(np.float32), self._single_targets(), self.shape))

    def leading(self, values, k):
        return truncated_svd((values @ self.data).reshape(self.shape), k)

    def subset(self, index):
        return self._like(DenseMeasurements(self.data[index], self.y[index], self.shape))

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
