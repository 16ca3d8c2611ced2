"""The posterior of the low-rank model under one noise law: sweeps over rows and columns that share their scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._utils.linalg import pack, packed_diagonals, unpack
from .._utils.rules import LEAST_FREE
from .._utils.threads import check_interrupt
from .apart import columns_told_apart, told_apart
from .beyond import edge_power
from .columns import FLAT, Columns
from .noise import NoiseLaw
from .passes import Gaussian, Passes
from .rows import moments, regress
from .table import Table

#: Power of a direction, in units of the most that noise has, below which it is dropped.
NEGLIGIBLE = 0.1
# Sweeps before the prior shrinks directions, for what is weak at first may still be learnt, and most of all sweeps. Of
# nine real tables with five kinds of damage and 232 cases of 58 others, errors are 0.996 and 1.004 of those with 30 and
# 50 sweeps that end at half of the change below, which take a third longer; with 16 and 28 they are 0.997 and 1.005.
_FREE, _SWEEPS = 20, 35
#: Change of the mean logarithm of the variances below which sweeps end.
SETTLED = 2e-2


def sweep_until_settled(table: Table, columns: Columns, *, n_sweeps: int = _SWEEPS, free: int = _FREE) -> Columns:
    """Alternate posteriors of rows and columns and the noise law until the noise has settled.

    After each sweep the rows are whitened, E[u u^T] = I, and the directions rotated, so that E[V^T V] is diagonal; its
    entries are the prior variances of the directions (automatic relevance determination), and negligible directions are
    dropped. Nothing shrinks until the noise has settled once, or for `free` sweeps.
    """
    p = table.shape[1]
    rows = regress(table, columns, n_cooling=4, n_sweeps=1)
    u, v = Gaussian(rows.means, rows.covariances), Gaussian(columns.loadings, columns.covariances)
    m, law, center, cols, passes = columns.mean, columns.law, columns.center, table.cols, Passes(table)
    precision, pull = np.full(columns.rank, FLAT), rows.prior
    seen = np.bincount(cols, minlength=p) > 0  # of the others nothing is known but the prior, nor do they tell of it
    fitted, variance = passes.moments(u, v)
    last, shrink = np.inf, free == 0
    for t in range(n_sweeps):
        check_interrupt()
        target = table.values - m[cols]
        squares = (target - fitted) ** 2 + variance
        own = table.by_rows(law, squares)
        weights = own.weigh(law, squares)
        away = target if center is None else target - (v.mean @ center)[cols]
        precise = weights.precision if pull is None else weights.precision / pull[table.rows]
        u = passes.rows(away, precise, v, np.ones(len(precision)))
        if pull is not None:
            u = Gaussian(u.mean, u.covariance / pull[:, None])
            pull = law.precision_of_rows(u.mean, packed_diagonals(u.covariance))
        u = u if center is None else Gaussian(u.mean + center, u.covariance)
        precise = table.count(weights.precision)
        v = passes.columns(target, precise, u, precision if shrink else np.full(len(precision), FLAT))
        fitted, variance = passes.moments(u, v)
        residual = table.values - fitted
        if center is None:
            m = np.bincount(cols, precise * residual, minlength=p) / (np.bincount(cols, precise, minlength=p) + 1.0)
        squares = (residual - m[cols]) ** 2 + variance
        law = table.with_freedom(own.learn(law, squares, weights), squares, weights)
        v, precision, center = _rotate(u, v, table.row_weight, center, seen)
        if shrink:
            keep = signal(v.mean, law, table) * (1.0 if center is None else 1.0 + center**2) > NEGLIGIBLE
            keep[0] = True
            kept = pack(unpack(v.covariance)[:, keep][:, :, keep])
            v, precision = Gaussian(np.compress(keep, v.mean, axis=1), kept), precision[keep]
            center = None if center is None else center[keep]
        now = float(np.mean(np.log(law.variances)))
        settled = abs(now - last) < SETTLED
        if settled and shrink:
            break
        if settled or t + 1 == free:
            shrink, now = True, np.inf
        last = now
    fitted = fitted + m[cols]
    law = told_apart(law, table, left_of(table, fitted, variance, weights.precision), fitted)
    return Columns(v.mean, v.covariance, m, law, center=center)


def with_columns_apart(table: Table, columns: Columns) -> Columns | None:
    """Columns after further sweeps in which some have a share of gross errors of their own; None: none needs one."""
    rows = regress(table, columns)
    fitted, variance = moments(rows, columns, table)
    law = columns_told_apart(columns.law, table, left_of(table, fitted, variance, rows.precision))
    if law is None:
        return None
    return sweep_until_settled(table, replace(columns, law=law), n_sweeps=_SWEEPS - _FREE, free=0)


def left_of(table: Table, fitted: np.ndarray, variance: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """What estimates of entries would leave of each without it: it draws the estimate to itself."""
    free = np.maximum(1.0 - variance * precision, LEAST_FREE)
    return np.asarray((table.values - fitted) / np.sqrt(free))


def mean_of(values: np.ndarray, row_weight: np.ndarray | None) -> np.ndarray:
    """Mean over rows, as often as they count."""
    counts = np.ones(len(values)) if row_weight is None else row_weight
    return (counts / counts.sum()) @ values


def mean_moments(means: np.ndarray, covariance: np.ndarray, row_weight: np.ndarray | None) -> np.ndarray:
    """Second moments of the coefficients of rows, from their posterior means and the mean of their covariances."""
    weighted = means if row_weight is None else means * row_weight[:, None]
    total = len(means) if row_weight is None else row_weight.sum()
    return (weighted.T @ means) / total + covariance


def signal(loadings: np.ndarray, law: NoiseLaw, table: Table) -> np.ndarray:
    """Power of each direction, in units of the most that a direction of noise has."""
    return power_of(loadings, law) / edge_power(table.size, table.n_rows, table.shape[1])


def power_of(loadings: np.ndarray, law: NoiseLaw) -> np.ndarray:
    """Mean variance of the entries of each direction, in units of that of the noise."""
    return np.mean(loadings**2 / law.variances[:, None], axis=0)


def power_of_directions(loadings: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Expected sum over columns of the squared loadings of each direction."""
    return np.sum(loadings**2, axis=0) + packed_diagonals(covariances.sum(axis=0))


def _rotate(
    rows: Gaussian, columns: Gaussian, row_weight: np.ndarray | None, center: np.ndarray | None, seen: np.ndarray
) -> tuple[Gaussian, np.ndarray, np.ndarray | None]:
    """Columns where rows are whitened and E[V^T V] is diagonal, the prior precisions of these directions, the center.

    E[V^T V] is that of the columns that are `seen`, a mask. Where rows have a `center` they are whitened about it.
    """
    (mean, covariance), about = columns, rows.mean
    if center is not None:
        center = mean_of(rows.mean, row_weight)
        about = rows.mean - center
    root = np.linalg.cholesky(mean_moments(about, unpack(mean_of(rows.covariance, row_weight)), row_weight))
    known = mean[seen]
    values, turn = np.linalg.eigh(root.T @ (known.T @ known + unpack(covariance[seen].sum(axis=0))) @ root)
    forward = root @ turn[:, ::-1]
    turned = forward.T @ unpack(covariance) @ forward
    center = None if center is None else np.linalg.solve(forward, center)
    return Gaussian(mean @ forward, pack(turned)), len(known) / np.maximum(values[::-1], 1e-300), center
