"""Measurements by matrices of rank one, given by their two factors."""

from __future__ import annotations

import numpy as np

from .._kernels.measurements import rank_one_weigh
from .._utils.arrays import read_only
from .._utils.linalg import truncated_svd
from .base import SLICE, Measurements, is_ordinary, ordinary_unit


class RankOneMeasurements(Measurements):
    """Measurement i is a_i b_i^T; d1 * d2 numbers are formed once per spectral start, never per row."""

    def __init__(self, a, b, y, shape):
        super().__init__(y, shape)
        self.a, self.b = read_only(a), read_only(b)

    def steps(self, requests, weight=None, y=None):
        n, k = len(requests), requests[0][0].shape[1]
        left, right = (np.hstack([request[side] for request in requests]).astype(self.dtype) for side in (0, 1))
        delta = np.array([delta for _, _, delta in requests], dtype=self.dtype)
        residual = np.empty((self.size, n), self.dtype)
        weight, y = self._or_default(weight, y)
        few = max(SLICE // sum(self.shape), 16)  # the second products find a and b in cache

        def part(lo, hi, grad_left, grad_right):
            for start in range(lo, hi, few):
                rows = slice(start, min(start + few, hi))
                u, v = self.a[rows] @ left, self.b[rows] @ right
                whole = (-1, n, k)
                rank_one_weigh(u.reshape(whole), v.reshape(whole), y[rows], weight[rows], delta, residual[rows])
                grad_left += self.a[rows].T @ u
                grad_right += self.b[rows].T @ v

        grad_left, grad_right = self._pass(part, 2 * (left.size + right.size), [left.shape, right.shape])
        whole = zip(residual.T, np.hsplit(grad_left, n), np.hsplit(grad_right, n), strict=True)
        return [tuple(np.ascontiguousarray(a) for a in one) for one in whole]

    def in_units(self):
        units = ordinary_unit(self.a), ordinary_unit(self.b)
        if units == (1.0, 1.0):
            return self, ()
        a, b = (data / self.dtype.type(unit) for data, unit in zip((self.a, self.b), units, strict=True))
        return self._like(RankOneMeasurements(a, b, self.y, self.shape)), units

    def single(self):
        if not all(is_ordinary(data, np.float32) for data in (self.a, self.b)):
            return self
        a, b = (data.astype(np.float32) for data in (self.a, self.b))
        return self._like(RankOneMeasurements(a, b, self._single_targets(), self.shape))

    def leading(self, values, k):
        return truncated_svd((self.a * values[:, None]).T @ self.b, k)

    def subset(self, index):
        return self._like(RankOneMeasurements(self.a[index], self.b[index], self.y[index], self.shape))

    def second_moments(self):
        """Mean of A A^T / d2 and of A^T A / d1."""
        norm_a, norm_b = (self.a**2).sum(axis=1), (self.b**2).sum(axis=1)
        rows = (self.a * norm_b[:, None]).T @ self.a / (self.size * self.shape[1])
        cols = (self.b * norm_a[:, None]).T @ self.b / (self.size * self.shape[0])
        return rows, cols
