"""Columns of any covariance: what all of them tell of each, where no few directions tell it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._utils.linalg import pack, unpack
from .._utils.threads import check_interrupt
from .apart import told_apart
from .columns import Columns
from .noise import NoiseLaw
from .passes import Gaussian, Passes
from .posterior import SETTLED, left_of, mean_moments, mean_of
from .rows import moments, regress
from .table import Table

#: Names of members of any covariance, under a Gaussian law and under a robust one.
FULL = "full", "robust full"
# Most multiplications of a sweep: a bound on time. No other was tried.
_MOST_WORK = 1e8
# Most sweeps: of 30 real tables none took more than 13, and most eight to ten.
_SWEEPS = 15
# Rows by which unrelated columns stand in for what is known of their covariance. With 0.3 and 5 hidden entries of 14
# real tables are missed by 1.000 and 1.012 times as much.
_PRIOR = 1.0
# Variance that entries have beside that of their row, in units of that of their column: equations stay solvable.
# No other was tried.
_NUGGET = 1e-3
# Variance, about, that the common part of a column has beside what those of others tell of it, in units of what others
# do not tell of the column. Of nine real tables hidden and wrong entries are missed by 1.0004 and 0.998 times as much
# with 0.01, and by 1.0001 and 1.003 with 0.3; but a table of counts with errors (281 x 20) by 1.3 with 0.01.
_SLACK = 0.1
# Most Newton steps for the noise: of 2 to 99 columns four to 25 are taken.
_STEPS = 60
# Least variance of a column, in even units: one of a single value is nearly known.
_LEAST = 1e-6


class _Moments(NamedTuple):
    """Mean and covariance of the entries of a row, in units of the `scale` of each column."""

    mean: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class FullColumns(Columns):
    """Columns of any covariance: that of the loadings and the noise; `moments` are what they come from."""

    moments: _Moments | None = None


def can_be_full(table: Table) -> bool:
    """Whether a table has rows enough for a covariance of its columns, and not too many for the time that takes.

    Where entries have weights these are those of all of their noise, of which a covariance knows a part alone.
    """
    n, p = table.shape
    return _rows_at_least(table) > p and float(n) * p**3 <= _MOST_WORK and table.weight is None


def _rows_at_least(table: Table) -> float:
    """Number of rows that tell as much as these: of a few that count for most there are few."""
    weight = table.row_weight
    return float(table.shape[0] if weight is None else min(weight.sum() ** 2 / (weight @ weight), weight.sum()))


def full_columns(
    table: Table, law: NoiseLaw, told: Columns, errors: np.ndarray | None = None, start: FullColumns | None = None
) -> FullColumns:
    """Columns of the likeliest covariance of entries without `errors`, a mask (None: there are none), under a law.

    What others do not tell of a column is its noise, and what rows have of their own in it, which no data tell apart:
    the noise is as much as leaves a covariance. A robust law begins with the shares of `law`. Columns under a robust
    law, by which errors were `told`, say what is large without being wrong: a covariance has but one variance for the
    value that most of a column have and for the others.
    """
    right = table if errors is None else table.subset(~errors)
    columns = _columns_of(right, law, _likeliest(right, start.moments if start is not None else None))
    if law.robust:
        rows = regress(table, columns)
        fitted, variance = moments(rows, columns, table)
        squares = (table.values - fitted) ** 2 + variance
        learnt = table.learn(columns.law, squares, table.weigh(columns.law, squares))
        learnt = replace(learnt, variances=columns.law.variances)
        own = told_apart(learnt, table, left_of(table, fitted, variance, rows.precision), fitted)
        # what is wide for the law by which errors were told is none of the covariance
        law = replace(own, wide_is_errors=own.wide_is_errors or told.law.wide_is_errors)
    else:
        law = columns.law
    if table.tied is not None:
        large = np.ones(table.shape[1]) if law.large is None else law.large
        tied = np.bincount(table.cols, table.tied, len(large)) > 0.0
        law = replace(law, large=np.where(tied, np.maximum(told.law.largest_variances / law.variances, large), large))
    return replace(columns, law=law)


def _columns_of(table: Table, law: NoiseLaw, likeliest: _Moments) -> FullColumns:
    """Columns of a mean and a covariance, with the shares of a law."""
    mean, covariance, scale = likeliest
    total = covariance + _NUGGET * np.eye(len(scale))
    own = 1.0 / np.diag(np.linalg.inv(total))
    unit = np.sqrt(own)
    total = total / np.outer(unit, unit)
    noise = _most_noise(total)
    power, turn = np.linalg.eigh(total - np.diag(noise))
    kept = power > _NUGGET
    loadings = (scale * unit)[:, None] * turn[:, kept] * np.sqrt(power[kept])
    own = own * scale**2
    known = np.maximum(np.bincount(table.cols, table.count(np.ones(len(table.cols))), len(own)), 1.0)
    covariances = np.multiply.outer(own / known, pack(np.eye(loadings.shape[1])))
    law = replace(law, variances=noise * own, large=None, wrong=None, of_inliers=None, freedom=np.inf)
    return FullColumns(
        np.ascontiguousarray(loadings), covariances, scale * mean, law, low_rank=False, moments=likeliest
    )


def _most_noise(covariance: np.ndarray) -> np.ndarray:
    """Variances of noise, as large as leaves a covariance; what others do not tell of each column is one, its unit.

    They maximize the sum of noise / `_SLACK`, log det(covariance - noise) and log noise, by damped Newton steps, which
    stay within and get there (Y. Nesterov and A. Nemirovskii, "Interior-point polynomial algorithms in convex
    programming", 1994, 2.2). Without slack it is constrained minimum trace factor analysis (A. Shapiro, Psychometrika
    47, 1982): the common part of some column is told by those of others, and what is there is followed.
    """
    noise = np.full(len(covariance), 0.5 * np.linalg.eigvalsh(covariance)[0])
    for _ in range(_STEPS):
        inverse = np.linalg.inv(covariance - np.diag(noise))
        slope = 1.0 / _SLACK + 1.0 / noise - np.diag(inverse)
        step = np.linalg.solve(inverse**2 + np.diag(1.0 / noise**2), slope)
        size = float(np.sqrt(step @ slope))
        noise = noise + step / (1.0 + size)
        if size < SETTLED:
            break
    return noise


def _likeliest(table: Table, start: _Moments | None) -> _Moments:
    """The likeliest mean and covariance of rows, by expectation maximization."""
    p, cols, row_weight = table.shape[1], table.cols, table.row_weight
    n = float(table.shape[0] if row_weight is None else row_weight.sum())
    prior = _PRIOR * n / _rows_at_least(table)
    count = np.bincount(cols, minlength=p)
    mean = np.bincount(cols, table.values, p) / np.maximum(count, 1)
    spread = np.bincount(cols, (table.values - mean[cols]) ** 2, p) / np.maximum(count, 1)
    scale = np.sqrt(np.where(count > 1, np.maximum(spread, _LEAST), 1.0))
    mean, covariance = mean / scale, np.eye(p)
    if start is not None:
        across = start.scale / scale
        mean, covariance = start.mean * across, start.covariance * np.outer(across, across)
    values, precision, passes = table.values / scale[cols], np.full(len(cols), 1.0 / _NUGGET), Passes(table)
    none, ones, last = np.zeros((p, p * (p + 1) // 2)), np.ones(p), np.inf
    for _ in range(_SWEEPS):
        check_interrupt()
        root = np.linalg.cholesky(covariance)
        rows = passes.rows(values - mean[cols], precision, Gaussian(root, none), ones)
        middle = mean_of(rows.mean, row_weight)
        second = mean_moments(rows.mean, unpack(mean_of(rows.covariance, row_weight)), row_weight)
        mean = mean + root @ middle
        second = root @ (second - np.outer(middle, middle)) @ root.T
        covariance = (0.5 * n * (second + second.T) + prior * np.eye(p)) / (n + prior)
        now = float(np.linalg.slogdet(covariance)[1]) / p
        if abs(now - last) < SETTLED:
            break
        last = now
    return _Moments(mean, covariance, scale)
