"""Observed entries of a matrix by rows and by columns, in units in which all columns are alike."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.special import gammaln

from .._operators.observed import Entries
from .._utils.arrays import sorted_within
from .._utils.rules import FLAG_WIDTH
from .noise import NoiseLaw, Weights
from .tails import bend

# Largest value in even units.
_MOST = 1e8
# Weight, in units of the median one, below which an entry hardly counts: a few of these say nothing of the others.
_FAINT = 1e-2
#: Distinct values of a column, in units of its entries, below which they are few.
FEW_VALUES = 0.25
# Step, in scales of the column, up to which values are one but for rounding.
_SAME = 1e-6
# Degrees of freedom that noise variances of rows may have.
_FREEDOM = 2.0 ** np.arange(1, 11)


def even(
    values: np.ndarray, cols: np.ndarray, shift: np.ndarray, scale: np.ndarray, long: np.ndarray | None = None
) -> np.ndarray:
    """Values in units in which columns have median 0 and scale 1; a gross error beyond all measure is bounded.

    Those on the sides of `long` tails (None: there are none) are bent.
    """
    with np.errstate(over="ignore"):
        found = np.clip((values.astype(np.float64) - shift[cols]) / scale[cols], -_MOST, _MOST)
    return found if long is None else bend(found, long[cols])


class Table:
    """Observed entries by rows and by columns, in units in which columns have median 0 and scale 1.

    `weight` is the relative precision of each entry, where that is known, `row_weight` how often each row counts where
    that is not once. `noise_of_rows` are the noise variances of rows that the former have in them, where they differ.
    `errors` are shares of gross errors that are expected in columns, beside the most frequent value (None: of none).
    """

    noise_of_rows: np.ndarray | None = None
    origin: Table | None = None
    errors: np.ndarray | None = None

    def __init__(
        self,
        indptr: np.ndarray,
        cols: np.ndarray,
        values: np.ndarray,
        shape: tuple[int, int],
        weight: np.ndarray | None = None,
        row_weight: np.ndarray | None = None,
    ):
        self.indptr, self.cols, self.values, self.shape = indptr, cols, values, shape
        self.weight, self.row_weight = weight, row_weight

    @classmethod
    def of(cls, entries: Entries, shift: np.ndarray, scale: np.ndarray, long: np.ndarray | None = None) -> Table:
        """The entries of a matrix in even units."""
        cols = np.ascontiguousarray(entries.cols, dtype=np.int32)
        values = even(entries.y, cols, shift, scale, long)
        indptr = np.ascontiguousarray(entries.indptr, dtype=np.int32)
        return cls(indptr, cols, values, entries.shape, entries.weight, entries.row_weight)

    @cached_property
    def rounding(self) -> np.ndarray:
        """Variance of rounding in columns of few values; 0 in others.

        Without it a third of the values of clean questionnaires (200 x 4, 5 levels, one factor) were errors in 9 of 10
        samples, and 90 % intervals held 0.55 of what was hidden. With a quarter of it they hold 0.84, with all 0.89,
        and the error at hidden entries is 0.95 times as large.
        """
        return np.minimum(self.grid[0], 1.0) ** 2 / 12.0

    @cached_property
    def grid(self) -> np.ndarray:
        """Least step between the values of columns that have few (0 of others), and their most frequent value, (2, p).

        What differs by rounding alone is one value.
        """
        if self.origin is not None:
            return self.origin.grid
        order, grid, bounds = self.by_value, np.zeros((2, self.shape[1])), self.column_bounds
        values, cols = self.values[order], self.cols[order]
        with np.errstate(over="ignore"):  # from one column to the next, and beside extreme errors
            new = (np.diff(values) > _SAME) & (np.diff(cols) == 0)
        n_new = np.bincount(cols[1:][new], minlength=self.shape[1])
        for j in np.flatnonzero((n_new > 0) & (n_new < FEW_VALUES * np.diff(bounds))):
            own = values[bounds[j] : bounds[j + 1]]
            step = np.diff(own)
            starts = np.concatenate([[0], np.flatnonzero(step > _SAME) + 1])
            count = np.diff(np.append(starts, len(own)))
            grid[:, j] = step[starts[1:] - 1].min(), own[starts[np.argmax(count)]]
        return grid

    @property
    def root_weight(self) -> np.ndarray:
        """What errors of entries are multiplied by, to be alike."""
        return np.ones(len(self.values)) if self.weight is None else np.sqrt(self.weight)

    @property
    def usual_weight(self) -> float:
        """Weight of an entry of which none is known: that of the mean variance of these."""
        if self.weight is None or not len(self.weight):
            return 1.0
        return 1.0 / float(np.mean(1.0 / np.maximum(self.weight, _FAINT * np.median(self.weight))))

    def by_rows(self, law: NoiseLaw, squares: np.ndarray) -> Table:
        """The same entries, each with the precision of its row by squared residuals, where a law lets rows differ."""
        if not np.isfinite(law.freedom):
            return self
        units = self._alike(squares) / law.variances[self.cols]
        return self.with_noise_of_rows(law.variances_of_lines(units, self.rows, self.shape[0], law.freedom))

    def largest_of_rows(self, law: NoiseLaw, squares: np.ndarray) -> np.ndarray:
        """Largest squared residual of each row, in units of the noise of its column, and one at least."""
        largest = np.ones(self.shape[0])
        np.maximum.at(largest, self.rows, self._alike(squares) / law.variances[self.cols])
        return largest

    def with_noise_of_rows(self, noise: np.ndarray | None) -> Table:
        """The same entries with these noise variances of rows, in units of those of columns (None: all are one)."""
        if noise is None:
            return self
        found = copy(self)
        found.noise_of_rows = noise
        found.weight = (1.0 if self.weight is None else self.weight) / noise[self.rows]
        return found

    def with_freedom(self, law: NoiseLaw, squares: np.ndarray, weights: Weights) -> NoiseLaw:
        """The law with the degrees of freedom, of a few, that the squared residuals of rows speak for most.

        Those of a row, with their weights, follow Student's law.
        """
        if not np.isfinite(law.freedom):
            return law
        own = weights.effective * self._alike(squares) / law.variances[self.cols]
        power, count = (np.bincount(self.rows, part, self.shape[0])[:, None] for part in (own, weights.counted))
        half, each = 0.5 * _FREEDOM, 0.5 * (_FREEDOM + count)
        likely = gammaln(each) - gammaln(half) + half * np.log(half) - each * np.log(half + 0.5 * power)
        times = np.ones(self.shape[0]) if self.row_weight is None else self.row_weight
        return replace(law, freedom=float(_FREEDOM[np.argmax(times @ likely)]))

    def _alike(self, squares: np.ndarray) -> np.ndarray:
        """Squares in units of the weight of each entry."""
        return squares if self.weight is None else self.weight * squares

    def weigh(self, law: NoiseLaw, squares: np.ndarray) -> Weights:
        """Weigh the entries by their expected squared residuals under a law."""
        if self.weight is None:
            return law.weigh(squares, self.cols)
        weights = law.weigh(self._alike(squares), self.cols)
        return weights._replace(precision=self.weight * weights.precision)

    def learn(self, law: NoiseLaw, squares: np.ndarray, weights: Weights) -> NoiseLaw:
        """The law that the expected squared residuals of the entries and their weights speak for.

        A robust one has the noise of rounding at least: values that are met by chance would be all that it sees.
        """
        law = law.update(*self.of_noise(squares, weights), self.cols)
        law = replace(law, of_inliers=None if self.tied is None else self._of_inliers(law, squares, weights))
        return replace(law, variances=np.maximum(law.variances, self.rounding)) if law.has_wide else law

    def of_noise(self, squares: np.ndarray, weights: Weights) -> tuple[np.ndarray, Weights]:
        """Squares in units of the weight of each entry, and weights as often as it counts."""
        if self.row_weight is not None or self.tied is not None:
            _, *shares = weights
            count = self.count(self._told_of_noise(weights.counted))
            weights = Weights(weights.precision, *(count * share for share in shares))
        return self._alike(squares), weights

    def _of_inliers(self, law: NoiseLaw, squares: np.ndarray, weights: Weights) -> np.ndarray:
        """Mean squares of the inliers of columns with ties, as far as they are smaller, in units of the usual variance.

        Beside the noise of the others a missing value of a column of rare ones would be rare: of clean tables with
        three columns of 1 % ones, 15 % missing (600 x 15, standardised), the components were those of these columns.
        """
        assert self.tied is not None
        usual, squares = law.usual_variances, self._alike(squares)
        inlier = np.maximum(weights.counted, squares <= FLAG_WIDTH**2 * usual[self.cols])  # these are not flagged
        parts = self.count(inlier) * squares, self.count(inlier), self.tied
        power, count, ties = (np.bincount(self.cols, part, self.shape[1]) for part in parts)
        return np.where(ties > 0.0, np.minimum(power / np.maximum(count, 1.0) / usual, 1.0), 1.0)

    def _told_of_noise(self, inlier: np.ndarray) -> np.ndarray:
        """How often entries count: of each column those that are tied as much as all other inliers, at most."""
        tied = self.tied
        if tied is None:
            return np.ones_like(inlier)
        ties, others = (np.bincount(self.cols, self.count(inlier * own), self.shape[1]) for own in (tied, ~tied))
        share = others / np.maximum(np.maximum(others, ties), np.finfo(np.float64).tiny)
        return np.where(tied, share[self.cols], 1.0)

    @cached_property
    def tied(self) -> np.ndarray | None:
        """Mask of the entries with the value that most entries of their column have, if not all have it; None: no such.

        A fit of that value alone meets most entries: the noise would be none, and all others errors. Such a value is
        the median.
        """
        even_with_median = self.values == 0.0
        met = np.bincount(self.cols, even_with_median, minlength=self.shape[1])
        n = np.bincount(self.cols, minlength=self.shape[1])
        most = (2 * met > n) & (met < n)
        return even_with_median & most[self.cols] if most.any() else None

    def count(self, values: np.ndarray) -> np.ndarray:
        """Values of entries, as often as their rows count: what sums over rows are made of."""
        return values if self.row_weight is None else self.row_weight[self.rows] * values

    @cached_property
    def size(self) -> float:
        """Number of entries, as often as their rows count."""
        return float(len(self.values) if self.row_weight is None else self.row_weight @ np.diff(self.indptr))

    @property
    def n_rows(self) -> float:
        """Number of rows, as often as they count."""
        return float(self.shape[0] if self.row_weight is None else self.row_weight.sum())

    @cached_property
    def rows(self) -> np.ndarray:
        """Row of each entry."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    @cached_property
    def by_column(self) -> np.ndarray:
        """Order of the entries by columns."""
        return np.argsort(self.cols, kind="stable")

    @cached_property
    def by_value(self) -> np.ndarray:
        """Order of the entries by columns, and by values in each."""
        return sorted_within(self.cols, self.values, self.shape[1])

    @cached_property
    def column_bounds(self) -> np.ndarray:
        """Bounds of each column in that order."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.cols, minlength=self.shape[1]))]).astype(np.int32)

    @cached_property
    def rows_by_column(self) -> np.ndarray:
        """Row of each entry in that order."""
        return np.ascontiguousarray(self.rows[self.by_column])

    def subset(self, keep: np.ndarray) -> Table:
        """The entries of a mask."""
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr].astype(np.int32)
        weight = None if self.weight is None else self.weight[keep]
        found = Table(indptr, self.cols[keep], self.values[keep], self.shape, weight, self.row_weight)
        found.origin = self if self.origin is None else self.origin
        return found.expecting(self.errors)

    def expecting(self, errors: np.ndarray | None) -> Table:
        """The same entries, where such shares of errors are expected."""
        if errors is None:
            return self
        found = copy(self)
        found.errors = errors
        return found

    def of_rows(self, keep: np.ndarray) -> Table:
        """The rows of a mask alone."""
        own = keep[self.rows]
        indptr = np.concatenate([[0], np.cumsum(np.diff(self.indptr)[keep])]).astype(np.int32)
        weight, row_weight = (
            None if part is None else part[mask] for part, mask in ((self.weight, own), (self.row_weight, keep))
        )
        return Table(indptr, self.cols[own], self.values[own], (len(indptr) - 1, self.shape[1]), weight, row_weight)

    def with_values(self, values: np.ndarray) -> Table:
        """The same places with other values."""
        return Table(self.indptr, self.cols, values, self.shape, self.weight, self.row_weight).expecting(self.errors)

    def sparse(self) -> sparse.csr_matrix:
        """The matrix, zero where nothing is observed."""
        return sparse.csr_matrix((self.values, self.cols, self.indptr), shape=self.shape)
