"""Columns most of whose values are errors: what the other columns tell of them is where they are, and their scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._rows.odds import ODDS, GrossErrors
from .._rows.regression import RowSpace
from .._utils.rules import FLAG_WIDTH, LEAST_FREE
from .._utils.stats import count_equal
from .columns import Columns
from .posterior import signal
from .rows import moments, regress
from .samples import Samples
from .table import Table

# Units in which a column is regressed, in its own: in those of errors, values that are right are all alike. With twice
# as many down to the same least one, as many of 232 matrices with 30 to 45 % large errors are right.
_UNITS = (1.0, 0.25, 0.0625, 0.015625)


def placed_by_others(samples: Samples, columns: Columns) -> Samples:
    """The same, columns of which others miss most values in other units, if what the others tell of them is so.

    The median of a column most of whose values are errors is one of these, and so is its scale; it may have a direction
    to itself, by which its errors are met. What the rest of a row tells of a value under the robust law of these
    `columns` does not meet them. Each such column is regressed on what the rest have found of the rows, in smaller
    units, too. The evidence is to be more than that for the column as it is, and for a mean alone: what most values of
    a column have in common may be a mode of it. And the column is to be elsewhere: to move by more than its scale, or
    to have less than half of it. Values that a column has twice or more do not count.
    """
    table, law, units = samples.table, columns.law, samples.units
    known = signal(columns.loadings, law, table) > 1.0
    if units.long is not None or not known.any() or table.weight is not None or table.row_weight is not None:
        return samples
    single, p = _occur_once(table), table.shape[1]
    noise = float(np.sqrt(np.median(law.variances[np.diff(table.column_bounds) > 0])))
    met = np.bincount(table.cols, single & (_left_out(table, columns) <= FLAG_WIDTH * noise), p).astype(np.int64)
    seen = np.bincount(table.cols, single, p).astype(np.int64)
    missed = 2 * met < seen
    if not missed.any() or missed.all():
        return samples
    rows = regress(table.subset(~missed[table.cols]), columns)
    basis = np.column_stack([np.ones(table.shape[0]), rows.means[:, known]])
    loadings = np.column_stack([columns.mean, columns.loadings[:, known]])
    others = loadings[~missed & (seen > 0)] if len(basis.T) < np.count_nonzero(~missed) else loadings
    share = 1.0 - float(np.median(met[seen > 0] / seen[seen > 0]))
    prior = _Prior(basis, _root_of_moments(others[:, 1:]), noise, share)
    entries = Entries.of(table.indptr, table.cols, table.values, table.shape)
    told = prior.regressed(entries.subset(single & missed[table.cols]).transposed())
    placed = missed & (told.odds > np.maximum(prior.space(1.0).log_odds(loadings, met, seen), told.of_mean) + ODDS)
    fitted = told.loadings @ basis.T
    shift = units.shift + units.scale * fitted.mean(axis=1)
    scale = units.scale * np.hypot(fitted.std(axis=1), noise * told.unit)
    placed &= (np.abs(shift - units.shift) > scale) | (2.0 * scale < units.scale)
    if not placed.any():
        return samples
    units = units._replace(shift=np.where(placed, shift, units.shift), scale=np.where(placed, scale, units.scale))
    return replace(samples, units=units)


def _left_out(table: Table, columns: Columns) -> np.ndarray:
    """How far each value is from what the rest of its row tells of it."""
    rows = regress(table, columns)
    fitted, variance = moments(rows, columns, table)
    return np.asarray(np.abs(table.values - fitted) / np.maximum(1.0 - variance * rows.precision, LEAST_FREE))


class _Told(NamedTuple):
    """Columns in the units that are likeliest, the logarithms of their odds, and those of means alone."""

    loadings: np.ndarray
    unit: np.ndarray
    odds: np.ndarray
    of_mean: np.ndarray


@dataclass(frozen=True)
class _Prior:
    """What is expected of columns regressed on a `basis` of the rows, the first vector of which is one.

    The others have coefficients of this `root` of their covariance, in units of a column without errors; means are
    anywhere among its values. `share` is that of errors.
    """

    basis: np.ndarray
    root: np.ndarray
    noise: float
    share: float

    def space(self, unit: float, *, of_mean: bool = False) -> RowSpace:
        """Where columns are regressed as rows, in this unit of theirs; or by their mean alone."""
        k = 1 if of_mean else len(self.root) + 1
        root = np.zeros((k, k))
        root[0, 0], root[1:, 1:] = 1.0 / unit, self.root[: k - 1, : k - 1]
        errors = GrossErrors(self.share, 1.0 / unit)
        return RowSpace(self.basis[:, :k], np.zeros(k), root, self.noise, True, errors=errors)

    def regressed(self, entries: Entries) -> _Told:
        """Columns, which are the rows of these entries."""
        n, seen = entries.shape[0], np.diff(entries.indptr)
        told = _Told(np.zeros((n, len(self.root) + 1)), np.ones(n), np.full(n, -np.inf), np.full(n, -np.inf))
        for unit in _UNITS:
            in_unit = entries.divided(np.full(entries.shape[1], unit))
            for of_mean, best in ((True, told.of_mean), (False, told.odds)):
                space = self.space(unit, of_mean=of_mean)
                found = space.regress(in_unit)
                odds = space.log_odds(found.factors, found.met, seen)
                better = odds > best
                best[better] = odds[better]
                if not of_mean:
                    told.loadings[better], told.unit[better] = unit * found.factors[better], unit
        return told


def _root_of_moments(loadings: np.ndarray) -> np.ndarray:
    """Symmetric root of the second moments of loadings."""
    _, s, vt = np.linalg.svd(loadings, full_matrices=False)
    return (vt.T * (s / np.sqrt(len(loadings)))) @ vt


def _occur_once(table: Table) -> np.ndarray:
    """Mask of the entries whose value no other of their column has."""
    order, once = table.by_value, np.empty(len(table.values), dtype=bool)
    count, _ = count_equal(table.values[order], table.cols[order])
    once[order] = np.repeat(count == 1, count)
    return once
