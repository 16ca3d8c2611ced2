"""The model of the transposed matrix: where rows are few, it tells what the columns, in one unit, have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._utils.linalg import pack, unpack
from .columns import Columns
from .growth import columns_of_law, grow
from .joint import joint_root
from .posterior import mean_moments, mean_of, power_of_directions, sweep_until_settled
from .rows import RowPosterior, regress, regress_all
from .samples import Samples
from .table import Table, even
from .units import Units

# Power of the coefficients of rows, in units of the largest, below which a direction is rounding.
_NULL = 1e-12


@dataclass(frozen=True)
class TurnedColumns(Columns):
    """Columns of a matrix that come from those of its transpose, which are `turned`."""

    turned: Columns | None = None

    @property
    def n_found(self) -> int:
        """Number of directions of the transpose."""
        return self.rank if self.turned is None else self.turned.rank


@dataclass(frozen=True)
class Turned:
    """The transpose of the entries of `samples`: it has a row for each column, and units for each row.

    In it columns are alike, in one unit, and known by what all others say of the rows; a column of few entries tells
    no unit of its own. What is learnt of it becomes columns of the matrix.
    """

    samples: Samples

    @cached_property
    def _order(self) -> np.ndarray:
        """Order of the entries in the transpose."""
        return self.samples.table.by_column

    @cached_property
    def units(self) -> Units:
        """Those of the rows."""
        return Units.of(self.samples.entries.transposed())

    @cached_property
    def _table(self) -> Table:
        """All entries."""
        own, order = self.samples.table, self._order
        rows = own.rows_by_column
        values = even(self.samples.entries.y[order], rows, self.units.shift, self.units.scale)
        weight = None if own.weight is None else own.weight[order]
        return Table(own.column_bounds, rows, values, own.shape[::-1], weight)

    @cached_property
    def train(self) -> Table:
        """Those that are not held out."""
        return self._table.subset(~self.samples.held[self._order])

    def fits(self, most: int, bound: int | None) -> list[TurnedColumns]:
        """Fits of a robust law to what is not held out: :func:`columns_of_law`."""
        return [self.columns(fit, self.train) for fit in columns_of_law(self.train, most, bound, robust=True)]

    def trained(self, columns: Columns, where: np.ndarray) -> TurnedColumns:
        """The columns of all that is not held out, from those of some of it."""
        return self.columns(_turned_of(columns), self.train)

    def grown(self, columns: Columns, n_threads: int) -> TurnedColumns:
        """The columns with the directions that the residuals have beyond noise."""
        return self.columns(grow(self.train, _turned_of(columns), n_threads), self.train)

    def settled(self, columns: Columns, n_sweeps: int) -> TurnedColumns:
        """The columns after so many sweeps over all entries, those that were held out among them."""
        return self.columns(
            sweep_until_settled(self._table, _turned_of(columns), n_sweeps=n_sweeps, free=0), self._table
        )

    def with_joint(self, columns: Columns) -> Columns:
        """The columns with the joint covariance of their loadings, whose prior is one and the same in one unit."""
        table, unit = self.samples.table, self.samples.units.scale[:, None]
        rows = regress(table, columns)
        loadings, covariances = unit * columns.loadings, unit**2 * columns.covariances
        precision = rows.precision / unit[table.cols, 0] ** 2
        prior = len(loadings) / power_of_directions(loadings, covariances)
        root = joint_root(table, rows.means, precision, loadings, prior)
        return columns if root is None else replace(columns, joint=root / unit[:, :, None])

    def columns(self, turned: Columns, table: Table) -> TurnedColumns:
        """Columns of the matrix: posteriors of the rows of its transpose, those of a `table`.

        The coefficients of a row of the matrix are the shift and the loadings of a column of the transpose. They are
        whitened about their mean; the noise, which rows have of their own there, is the mean one. How often rows count
        matters for means over these alone.
        """
        rows, unit, scale = self.units, self.samples.units, self.samples.units.scale[:, None]
        middle = float(np.median(rows.shift))  # what is common to all is apart, for squares of it are rounding
        found: RowPosterior = regress_all(table, turned)  # columns may be far from the others
        coefficients = np.column_stack(
            [rows.shift - middle + rows.scale * turned.mean, rows.scale[:, None] * turned.loadings]
        )
        weight = self.samples.entries.row_weight
        center = mean_of(coefficients, weight)
        own = np.zeros((len(center), len(center)))  # of the shift there is none
        own[1:, 1:] = unpack(mean_of(rows.scale[:, None] ** 2 * turned.covariances, weight))
        moments = mean_moments(coefficients - center, own, weight)
        power, turn = np.linalg.eigh(moments)
        kept = power > _NULL * power[-1]
        root, inverse = turn[:, kept] * np.sqrt(power[kept]), turn[:, kept] / np.sqrt(power[kept])
        basis = np.column_stack([np.ones(len(found.means)), found.means])
        along = inverse.T @ center
        variances = mean_of(rows.scale**2 * turned.law.variances, weight) / unit.scale**2
        return TurnedColumns(
            loadings=basis @ root / scale,
            covariances=pack(root[1:].T @ unpack(found.covariances / scale**2) @ root[1:]),
            mean=(basis @ (center - root @ along) + (middle - unit.shift)) / unit.scale,
            law=replace(turned.law, variances=variances, of_inliers=None, wrong=None, large=None),  # these are of rows
            center=along,
            turned=turned,
        )


def _turned_of(columns: Columns) -> Columns:
    """What columns come from."""
    assert isinstance(columns, TurnedColumns) and columns.turned is not None
    return columns.turned
