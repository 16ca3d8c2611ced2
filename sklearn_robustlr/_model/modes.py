"""Columns of several modes, whose values are far from the estimates as those of no other column are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .columns import Columns, most_errors
from .held_out import FENCE
from .rows import moments, regress
from .table import Table

# Share of the values of a column, beyond that of half of the columns, from which what is far from the estimates is a
# mode of it, and no errors.
_LEAST = 0.05
# Median distance of the residuals of a mode from their median, in units of that from zero, at most, and share of them
# that one value has, as a code for a missing value does.
_NARROW, _ALIKE = 0.25, 0.5


def with_modes(table: Table, columns: Columns) -> Columns:
    """Columns whose noise is what modes are apart, where a column has such.

    Errors come about as often in all columns, and are of any size. Where far more values of one column are missed than
    of the others, and they are within its range, or about as far away as one another, it has modes that the others do
    not tell.
    """
    law, p = columns.law, table.shape[1]
    if not law.robust or law.common:
        return columns
    rows = regress(table, columns)
    mean, variance = moments(rows, columns, table)
    residual, gross = table.values - mean, rows.gross > 0.5
    n, missed = (np.bincount(table.cols[part], minlength=p) for part in (slice(None), gross))
    share = missed / np.maximum(n, 1)
    usual = float(np.median(share[n > 0])) if n.any() else 0.0
    variances = law.variances.copy()
    many = most_errors(usual * n) + _LEAST * n
    for j in np.flatnonzero(missed > many):
        own = table.cols == j
        values, far = table.values[own], gross[own]
        of_mode = far & ((np.abs(values) <= FENCE) | _is_one_mode(values[far], residual[own][far]))
        if np.count_nonzero(of_mode) > many[j]:
            squares = (residual**2 + variance)[own]
            variances[j] = max(variances[j], float(np.mean(squares[of_mode | ~far])))
    return replace(columns, law=replace(law, variances=variances))


def _is_one_mode(values: np.ndarray, residual: np.ndarray) -> bool:
    """Whether values are about as far from their estimates as one another, on one side, and are not one value."""
    middle = float(np.median(residual))
    alike = np.unique(values, return_counts=True)[1].max() > _ALIKE * len(values)
    return not alike and bool(np.median(np.abs(residual - middle)) <= _NARROW * abs(middle))
