"""Rank-one measurements: each is the product of two stored vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.measurements import rank_one_weigh
from .._utils.arrays import read_only
from .base import SLICE, InUnits, Measurements, in_units_of_largest, is_ordinary, ordinary_unit, root_mean
from .results import Moments, Request, Step


class RankOneMeasurements(Measurements):
    """Measurements by the matrices a_i b_i^T; a d1 x d2 matrix is formed once per spectral start, never per row."""

    def __init__(self, a: np.ndarray, b: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> None:
        super().__init__(y, shape)
        self.a, self.b = read_only(a), read_only(b)

    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        n, k = len(requests), requests[0][0].shape[1]
        left = np.hstack([request[0] for request in requests]).astype(self.dtype)
        right = np.hstack([request[1] for request in requests]).astype(self.dtype)
        clip = np.array([delta for _, _, delta in requests], dtype=self.dtype)
        residual = np.empty((self.size, n), self.dtype)
        weights, targets = self._or_default(weight, y)
        few = max(SLICE // sum(self.shape), 16)  # the second products find a and b in cache

        def part(lo: int, hi: int, grad_left: np.ndarray, grad_right: np.ndarray) -> None:
            for start in range(lo, hi, few):
                rows = slice(start, min(start + few, hi))
                u, v = self.a[rows] @ left, self.b[rows] @ right
                whole = (-1, n, k)
                own = targets[rows], weights[rows], clip, residual[rows]
                rank_one_weigh(u.reshape(whole), v.reshape(whole), *own)
                grad_left += self.a[rows].T @ u
                grad_right += self.b[rows].T @ v

        grad_left, grad_right = self._pass(part, 2 * (left.size + right.size), [left.shape, right.shape])
        whole = zip(residual.T, np.hsplit(grad_left, n), np.hsplit(grad_right, n), strict=True)
        return [Step(*(np.ascontiguousarray(a) for a in one)) for one in whole]

    def in_units(self) -> InUnits:
        units = ordinary_unit(self.a), ordinary_unit(self.b)
        if units == (1.0, 1.0):
            return InUnits(self, ())
        a, b = (data / self.dtype.type(unit) for data, unit in zip((self.a, self.b), units, strict=True))
        return InUnits(self._like(RankOneMeasurements(a, b, self.y, self.shape)), units)

    def single(self) -> RankOneMeasurements:
        if not all(is_ordinary(data, np.float32) for data in (self.a, self.b)):
            return self
        a, b = (data.astype(np.float32) for data in (self.a, self.b))
        return self._like(RankOneMeasurements(a, b, self._single_targets(), self.shape))

    def gradients(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        left, right = self.a[:, :, None] * (self.b @ v)[:, None], self.b[:, :, None] * (self.a @ u)[:, None]
        return np.hstack([left.reshape(self.size, -1), right.reshape(self.size, -1)])

    def squares(self, weight: np.ndarray) -> np.ndarray:
        return (self.a**2 * weight[:, None]).T @ self.b**2

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        return (self.a * values[:, None]).T @ self.b

    def subset(self, index: np.ndarray | slice) -> RankOneMeasurements:
        return self._like(RankOneMeasurements(self.a[index], self.b[index], self.y[index], self.shape))

    def seen_lines(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        rows, cols = (
            np.argmax(x != 0.0, axis=1) if np.count_nonzero(x, axis=1).max(initial=0) <= 1 else None
            for x in (self.a, self.b)
        )
        return rows, cols

    def sizes(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return (np.sqrt(self.a**2 @ rows**-2.0) * np.sqrt(self.b**2 @ cols**-2.0)).astype(self.dtype)

    def line_sizes(self) -> Moments:
        parts = (in_units_of_largest(vectors) for vectors in (self.a, self.b))
        return Moments(*(root_mean((x**2).sum(axis=0), np.count_nonzero(x, axis=0)) for x in parts))

    def divided(self, size: np.ndarray) -> RankOneMeasurements:
        root = np.sqrt(size)[:, None]
        return self._like(RankOneMeasurements(self.a / root, self.b / root, self.y / size, self.shape))

    def second_moments(self, rows: np.ndarray, cols: np.ndarray) -> Moments:
        norm_a, norm_b = self.a**2 @ rows**-2.0, self.b**2 @ cols**-2.0
        left = (self.a * norm_b[:, None]).T @ self.a / (self.size * self.shape[1])
        right = (self.b * norm_a[:, None]).T @ self.b / (self.size * self.shape[0])
        return Moments(left / np.outer(rows, rows), right / np.outer(cols, cols))
