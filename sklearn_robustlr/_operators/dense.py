"""Dense measurements: each is a stored matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.measurements import dense_step, dense_steps, dense_tangent
from .._utils.arrays import read_only
from .base import SLICE, FlatMeasurements, InUnits, in_units_of_largest, is_ordinary, ordinary_unit, root_mean
from .results import FlatStep, Moments
from .tangents import StackedTangent, StoredTangent, Tangent

# Largest size of stored tangent coordinates, as a share of the data.
_TANGENT_SHARE = 0.2


class DenseMeasurements(FlatMeasurements):
    """Measurements by flattened d1 x d2 matrices, the rows of `data`."""

    def __init__(self, data: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> None:
        super().__init__(y, shape)
        self.data = read_only(data)

    def vector_steps(
        self, x: np.ndarray, delta: Sequence[float], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> FlatStep:
        residual = np.empty((self.size, len(x)), self.dtype)
        clip = np.array(delta, dtype=self.dtype)
        weights, targets = self._or_default(weight, y)

        few = max(SLICE // self.data.shape[1], 4)

        def part(lo: int, hi: int, adjoint: np.ndarray) -> None:
            own = self.data[lo:hi], x, targets[lo:hi], weights[lo:hi], clip, residual[lo:hi], adjoint
            if len(x) == 1:
                dense_step(*own)
            else:
                dense_steps(*own, few)

        (adjoint,) = self._pass(part, x.size, [x.shape])
        return FlatStep(np.ascontiguousarray(residual.T), adjoint)

    def tangent(self, u: np.ndarray, v: np.ndarray) -> Tangent:
        d1, d2 = self.shape
        k = u.shape[1]
        if k * (d1 + d2) > _TANGENT_SHARE * self.data.shape[1]:
            return StackedTangent(self.step, u, v)
        coordinates = np.empty((self.size, k * (d1 + d2)), self.dtype)
        u, v = (read_only(np.ascontiguousarray(factor.T)) for factor in (u, v))

        def part(lo: int, hi: int, product: np.ndarray) -> None:
            dense_tangent(self.data[lo:hi], u, v, product, coordinates[lo:hi])

        self._pass(part, k * d1 * d2, [(k, d2)])
        small = self._like(DenseMeasurements(coordinates, self.y, self.shape))
        return StoredTangent(small.vector_steps, d1 * k, k)

    def in_units(self) -> InUnits:
        unit = ordinary_unit(self.data)
        if unit == 1.0:
            return InUnits(self, ())
        even = DenseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)
        return InUnits(self._like(even), (unit,))

    def single(self) -> DenseMeasurements:
        if not is_ordinary(self.data, np.float32):
            return self
        return self._like(DenseMeasurements(self.data.astype(np.float32), self._single_targets(), self.shape))

    def gradients(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        whole = self.data.reshape(-1, *self.shape)
        return np.hstack([(whole @ v).reshape(self.size, -1), (whole.transpose(0, 2, 1) @ u).reshape(self.size, -1)])

    def squares(self, weight: np.ndarray) -> np.ndarray:
        return np.einsum("i,ij,ij->j", weight, self.data, self.data).reshape(self.shape)

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        return (values @ self.data).reshape(self.shape)

    def subset(self, index: np.ndarray | slice) -> DenseMeasurements:
        return self._like(DenseMeasurements(self.data[index], self.y[index], self.shape))

    def seen_lines(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        whole, some = self.data.reshape(-1, *self.shape), self._some().reshape(-1, *self.shape)
        found: list[np.ndarray | None] = []
        for axis in (2, 1):
            seen = None
            if (some != 0.0).any(axis=axis).sum(axis=1).max(initial=0) <= 1:  # most are told apart by a few
                seen = (whole != 0.0).any(axis=axis)
            found.append(None if seen is None or seen.sum(axis=1).max(initial=0) > 1 else np.argmax(seen, axis=1))
        return found[0], found[1]

    def sizes(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        unit = (1.0 / np.outer(rows, cols) ** 2).ravel().astype(self.dtype)
        return np.sqrt(np.einsum("ij,ij,j->i", self.data, self.data, unit))

    def line_sizes(self) -> Moments:
        some = in_units_of_largest(self._some()).reshape(-1, *self.shape)
        total, count = np.einsum("ijk,ijk->jk", some, some), np.count_nonzero(some, axis=0)
        return Moments(*(root_mean(total.sum(axis=i), count.sum(axis=i)) for i in (1, 0)))

    def _some(self) -> np.ndarray:
        """A few hundred evenly spaced ones."""
        return self.data[:: max(1, self.size // max(200, 4 * max(self.shape)))]

    def divided(self, size: np.ndarray) -> DenseMeasurements:
        return self._like(DenseMeasurements(self.data / size[:, None], self.y / size, self.shape))

    def second_moments(self, rows: np.ndarray, cols: np.ndarray) -> Moments:
        """Second moments of a few hundred evenly spaced measurements."""
        (d1, d2), some, size = self.shape, self._some(), np.outer(rows, cols)
        left, right = np.zeros((d1, d1)), np.zeros((d2, d2))
        for a in (row.reshape(d1, d2) / size for row in some):
            left += a @ a.T
            right += a.T @ a
        return Moments(left / (len(some) * d2), right / (len(some) * d1))
