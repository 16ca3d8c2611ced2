"""Passes over the entries of a table: posteriors of rows and of columns, and moments of entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._kernels.posterior import entry_moments, posterior_rows, second_moments, solve_rows
from .._utils.linalg import off_diagonals_twice
from .table import Table

# Share of the entries that are observed from which whole matrices are multiplied, by BLAS. Of 128 x 128 to 2000 x 100,
# k = 20, it takes half of the time with 80 % observed, as long with 20 %.
_DENSE = 0.3
# Most numbers of such a matrix: a bound on memory.
_MOST_NUMBERS = 10_000_000


class Gaussian(NamedTuple):
    """Posterior means, (n, k), and packed covariances of the coefficients of rows, or of the loadings of columns."""

    mean: np.ndarray
    covariance: np.ndarray


class Passes:
    """Passes over the entries of one table; each overwrites what the one before it has returned.

    Where many are observed, sums over entries are products of whole matrices. Their rounding depends on the number of
    rows, which that of the kernels does not.
    """

    def __init__(self, table: Table):
        self._table = table
        n, p = table.shape
        is_dense = _DENSE * n * p <= len(table.values) and n * p <= _MOST_NUMBERS
        self._places = table.rows.astype(np.intp) * p + table.cols if is_dense else None
        self._memory: dict[str, np.ndarray] = {}
        self._rows: Gaussian | None = None  # those that columns were last computed by, with their second moments
        self._second_of_rows = np.empty(0)

    def rows(self, target: np.ndarray, precision: np.ndarray, columns: Gaussian, prior: np.ndarray) -> Gaussian:
        """Posterior of the rows, where `target` is what is left of the entries beside the mean of columns."""
        table, found = self._table, self._found("rows", self._table.shape[0], len(prior))
        if self._places is None:
            posterior_rows(table.indptr, table.cols, target, precision, *columns, prior, *found)
        else:
            weight, weighted = self._spread("weight", precision), self._spread("weighted", precision * target)
            np.matmul(weight, self._second("columns", columns), out=found.covariance)
            solve_rows(prior, weighted @ columns.mean, *found)
        return found

    def columns(self, target: np.ndarray, precision: np.ndarray, rows: Gaussian, prior: np.ndarray) -> Gaussian:
        """Posterior of the columns."""
        table, found = self._table, self._found("columns", self._table.shape[1], len(prior))
        if self._places is None:
            turn = table.by_column
            entries = table.column_bounds, table.rows_by_column, target[turn], precision[turn]
            posterior_rows(*entries, *rows, prior, *found)
        else:
            weight, weighted = self._spread("weight", precision), self._spread("weighted", precision * target)
            self._rows, self._second_of_rows = rows, self._second("rows", rows)
            np.matmul(weight.T, self._second_of_rows, out=found.covariance)
            solve_rows(prior, weighted.T @ rows.mean, *found)
        return found

    def moments(self, rows: Gaussian, columns: Gaussian) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of u . v at each entry."""
        table, shape = self._table, self._table.shape
        mean, variance = self._room("mean", len(table.values)), self._room("variance", len(table.values))
        if self._places is None:
            entry_moments(table.indptr, table.cols, *rows, *columns, mean, variance)
            return mean, variance
        both = self._second("columns", columns)
        both *= off_diagonals_twice(columns.mean.shape[1])
        own = self._second_of_rows if rows is self._rows else self._second("rows", rows)
        whole = self._room("weight", *shape)
        np.take(np.matmul(rows.mean, columns.mean.T, out=whole), self._places, out=mean)
        np.take(np.matmul(own, both.T, out=whole), self._places, out=variance)
        variance -= mean**2  # rounding is less than what the covariance of the row or that of the column adds
        return mean, np.maximum(variance, 0.0, out=variance)

    def _second(self, what: str, law: Gaussian) -> np.ndarray:
        """Second moments."""
        second = self._room(f"second {what}", *law.covariance.shape)
        second_moments(*law, second)
        return second

    def _spread(self, name: str, values: np.ndarray) -> np.ndarray:
        """Values of entries as a matrix, zero where nothing is observed."""
        matrix = self._room(name, *self._table.shape)
        matrix[:] = 0.0
        matrix.ravel()[self._places] = values
        return matrix

    def _found(self, what: str, n: int, k: int) -> Gaussian:
        """Room for a posterior."""
        return Gaussian(self._room(f"mean of {what}", n, k), self._room(f"covariance of {what}", n, k * (k + 1) // 2))

    def _room(self, name: str, *shape: int) -> np.ndarray:
        """Memory that is used again: with new one most of the time of a small product is that of the system."""
        if name not in self._memory or self._memory[name].shape != shape:
            self._memory[name] = np.empty(shape)
        return self._memory[name]
