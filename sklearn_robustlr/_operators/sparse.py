"""Sparse measurements: each is a stored matrix of which most entries are zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from .._kernels.measurements import sparse_steps
from .._utils.arrays import read_only
from .base import FlatMeasurements, InUnits, in_units_of_largest, ordinary_unit, root_mean
from .results import FlatStep, Moments

# Most entries of measurements that second moments are computed from: a bound on memory.
_MOST_ENTRIES = 800_000


class SparseMeasurements(FlatMeasurements):
    """Measurements by flattened d1 x d2 matrices, the rows of a CSR matrix; they stay sparse."""

    def __init__(self, data: sparse.csr_matrix, y: np.ndarray, shape: tuple[int, int]) -> None:
        super().__init__(y, shape)
        self.data = data
        self._arrays = tuple(read_only(a) for a in (data.indptr, data.indices, data.data))
        self.entrywise = data.nnz <= 4 * data.shape[0]

    def vector_steps(
        self, x: np.ndarray, delta: Sequence[float], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> FlatStep:
        x = np.ascontiguousarray(x.T)
        residual = np.empty((self.size, x.shape[1]), self.dtype)
        clip = np.array(delta, dtype=self.dtype)
        weights, targets = self._or_default(weight, y)
        indptr, *stored = self._arrays

        def part(lo: int, hi: int, adjoint: np.ndarray) -> None:
            rows = slice(lo, hi)
            sparse_steps(indptr[lo : hi + 1], *stored, x, targets[rows], weights[rows], clip, residual[rows], adjoint)

        (adjoint,) = self._pass(part, x.shape[1] * self.data.nnz / self.size, [x.shape])
        return FlatStep(np.ascontiguousarray(residual.T), np.ascontiguousarray(adjoint.T))

    def in_units(self) -> InUnits:
        unit = ordinary_unit(self.data.data)
        if unit == 1.0:
            return InUnits(self, ())
        even = SparseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)
        return InUnits(self._like(even), (unit,))

    def gradients(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        by_row, by_col = _stacked(self.data, self.shape)
        return np.hstack([(by_row @ v).reshape(self.size, -1), (by_col @ u).reshape(self.size, -1)])

    def squares(self, weight: np.ndarray) -> np.ndarray:
        return np.asarray(self.data.multiply(self.data).T @ weight).reshape(self.shape)

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        return (self.data.T @ values).reshape(self.shape)

    def subset(self, index: np.ndarray | slice) -> SparseMeasurements:
        return self._like(SparseMeasurements(self.data[index], self.y[index], self.shape))

    def seen_lines(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        stored = np.repeat(np.arange(self.size), np.diff(self.data.indptr))
        found: list[np.ndarray | None] = []
        for line in (self.data.indices // self.shape[1], self.data.indices % self.shape[1]):
            first = np.zeros(self.size, dtype=np.int64)
            first[stored] = line
            found.append(first if np.array_equal(first[stored], line) else None)
        return found[0], found[1]

    def sizes(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return np.sqrt(self.data.multiply(self.data) @ (1.0 / np.outer(rows, cols) ** 2).ravel()).astype(self.dtype)

    def line_sizes(self) -> Moments:
        where, n = self.data.indices, int(np.prod(self.shape))
        squares = in_units_of_largest(self.data.data.astype(np.float64)) ** 2
        total, count = (np.bincount(where, own, n).reshape(self.shape) for own in (squares, squares != 0.0))
        return Moments(*(root_mean(total.sum(axis=i), count.sum(axis=i)) for i in (1, 0)))

    def divided(self, size: np.ndarray) -> SparseMeasurements:
        data = sparse.csr_matrix(self.data.multiply(1.0 / size[:, None]), dtype=self.dtype)
        return self._like(SparseMeasurements(data, self.y / size, self.shape))

    def second_moments(self, rows: np.ndarray, cols: np.ndarray) -> Moments:
        """Second moments of all measurements, or of evenly spaced ones; diagonals alone where each has few entries."""
        size = np.outer(rows, cols).ravel()
        if self.entrywise:
            square = (np.asarray(self.data.multiply(self.data).mean(axis=0)).ravel() / size**2).reshape(self.shape)
            return Moments(np.diag(square.mean(axis=1)), np.diag(square.mean(axis=0)))
        step = max(1, self.data.nnz // _MOST_ENTRIES)
        some = sparse.csr_matrix(self.data[::step].multiply(1.0 / size), dtype=np.float64)
        by_row, by_col = _stacked(some, self.shape)
        left, right = ((each.T @ each).toarray() for each in (by_col, by_row))
        return Moments(left / (some.shape[0] * len(right)), right / (some.shape[0] * len(left)))


def _stacked(data: sparse.csr_matrix, shape: tuple[int, int]) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Flattened d1 x d2 matrices, the rows of `data`, one below the other; and the same of their transposes."""
    (n, (d1, d2)), at = (data.shape[0], shape), data.tocoo()
    rows, cols = at.col // d2, at.col % d2
    by_row = sparse.csr_matrix((at.data, (at.row * d1 + rows, cols)), shape=(n * d1, d2))
    return by_row, sparse.csr_matrix((at.data, (at.row * d2 + cols, rows)), shape=(n * d2, d1))
