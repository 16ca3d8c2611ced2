"""Growth of the model: directions that the residuals have in common are added to those that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._utils.linalg import pack, pack_diagonals, packed_diagonals, truncated_svd, unpack
from .columns import FLAT, Columns, start_columns
from .noise import NoiseLaw
from .posterior import NEGLIGIBLE, SETTLED, mean_moments, mean_of, signal, sweep_until_settled
from .row_passes import row_passes
from .rows import moments, regress
from .table import Table

# Entries for each degree of freedom of all directions that are asked for, below which a fit that grows is made too. If
# none is, of 223 cases of 56 real tables, and 96 of `asv_bench/studies/uncertainty.py --row grid` with 2 to 6 inliers
# for each, mean errors are a hundredth and a twentieth larger. If it is always taken, 0.70 of the gross errors of a
# table of air quality are found (0.98 so), and pictures, above this bound, come out 2 % worse.
ENOUGH = 1.3
# Sweeps after each of its steps, and those of them in which nothing shrinks: more of the latter, at the end,
# are no better, and take longer.
_BETWEEN, _FREE = 15, 5
# The study of all that follow is asv_bench/studies/decaying.py.
# Most directions that a model may grow to, a bound on time, and most degrees of freedom, as a share of the entries.
# With 0.6 the error of exponential spectra without noise (600 x 60 and 1000 x 100, 20 % missing) is 1.15 and 1.33 times
# as large; nine real tables with five kinds of damage, and 130 cases of 26 others, are the same.
_MOST_DIRECTIONS, _MOST_FREE = 100, 0.9
# Standard deviations of the largest squared singular value of noise, by which that of residuals is beyond it: those of
# the 99 % quantile of the Tracy-Widom law (I. M. Johnstone, Annals of Statistics 29, 2001, theorem 1.1).
_BY_CHANCE = 2.0
# Sweeps before and after directions are added, and those at the end. Until they have settled, each time, growth takes
# twice as long to the same error.
_FIRST, _LAST = 8, 30
# Share of the power of the residuals, beyond chance, for which directions are worth another round. By their number
# instead (an eighth of those that there are) the last 3 of 40 equal ones were left, and the error of 480 x 100 was
# twice the noise. Of 1500 x 200 and 6000 x 200 whose spectra decay errors are the same, of 195 cases of real tables
# 1.0001, and with 0.04 and 0.08 as well.
_LEAST = 0.02


class _Law(NamedTuple):
    """Variational means and variances, (n, k), of the coefficients of rows or of the loadings of columns."""

    mean: np.ndarray
    variance: np.ndarray

    def kept(self, keep: np.ndarray) -> _Law:
        """The directions of a mask alone."""
        return _Law(*(np.ascontiguousarray(part[:, keep]) for part in self))

    def joined(self, more: np.ndarray) -> _Law:
        """With more directions, given by their means."""
        return _Law(np.hstack([self.mean, more]), np.hstack([self.variance, np.zeros_like(more)]))


class _State(NamedTuple):
    """Rows, columns, the mean of each column and the noise law; `rest` is what they leave of the entries."""

    rows: _Law
    columns: _Law
    mean: np.ndarray
    law: NoiseLaw
    rest: np.ndarray

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.columns.mean.shape[1]


def grow(table: Table, columns: Columns, n_threads: int = 1) -> Columns:
    """Sweep over a table, and add the directions that its residuals have beyond noise until there are none.

    Covariances are taken as diagonal, as they nearly are where rows and columns have many entries: each sweep takes
    O(k) an entry.
    """
    n, p = table.shape
    most = min(n - 1, p - 1, _MOST_DIRECTIONS, int(_MOST_FREE * len(table.values) / (n + p)))
    rows = regress(table, columns, n_cooling=4, n_sweeps=1)
    u = _Law(rows.means, packed_diagonals(rows.covariances))
    v = _Law(columns.loadings.copy(), packed_diagonals(columns.covariances))
    state = _State(u, v, columns.mean, columns.law, np.zeros(0))
    state = _sweep(table, state, n_threads, _FIRST)
    grown = False
    while state.rank < most:
        more = _leading_directions(table, state.law, state.rest, min(most - state.rank, 2 * state.rank)).beyond_chance
        if more.excess < _LEAST:
            break
        grown = True
        state = state._replace(rows=state.rows.joined(more.rows), columns=state.columns.joined(more.columns))
        state = _sweep(table, state, n_threads, _FIRST, shrink=False)
    if grown:
        state = _sweep(table, state, n_threads, _LAST)
    return Columns(state.columns.mean, pack_diagonals(state.columns.variance), state.mean, state.law)


class _Directions(NamedTuple):
    """Coefficients of rows (n, m), loadings of columns (p, m), and powers in units of the most that noise has.

    `chance` is the power that a direction of noise of the size of the residuals may have by chance, `total` theirs.
    """

    rows: np.ndarray
    columns: np.ndarray
    powers: np.ndarray
    chance: float
    total: float

    @property
    def excess(self) -> float:
        """Share of the residuals' power that these directions have beyond chance."""
        return float(np.sum(self.powers - self.chance)) / self.total if len(self.powers) else 0.0

    @property
    def beyond_chance(self) -> _Directions:
        """Those of more power than a direction of noise of the size of the residuals may have.

        What the directions that there are draw to themselves is no part of the residuals, but is of the noise law.
        """
        m = int(np.count_nonzero(self.powers > self.chance))
        return self._replace(rows=self.rows[:, :m], columns=self.columns[:, :m], powers=self.powers[:m])


def columns_of_law(
    table: Table, most: int, bound: int | None = None, *, robust: bool, only_grown: bool = False
) -> Iterator[Columns]:
    """Yield columns of up to `most` directions under a law, begun with all; where entries are few, grown too.

    Only the latter there, if that is enough.

    Of few entries a fit that begins with many directions meets all of them, errors too, and misses what is exact: of
    tables of six parts and three sums, 10 % hidden, those that follow from others were missed by 0.6 sd, 0.2 so. The
    other grows from one direction, by as many again as it has, for as long as any is added; it begins without what is
    far from the median, if that leads further: clipped, a fifth of huge errors hides where few entries lead. At the end
    they have no more than a `bound` (None: there is none): where some are errors, the others are not found without
    them.
    """
    yield from (with_leading(table, columns, bound) for columns in _columns_of_law(table, most, robust, only_grown))


def with_leading(table: Table, columns: Columns, bound: int | None) -> Columns:
    """Columns with their leading directions, no more than a `bound`, after further sweeps; those of no more stay."""
    if bound is None or columns.rank <= bound:
        return columns
    covariances = pack(unpack(columns.covariances)[:, :bound, :bound])
    leading = replace(columns, loadings=np.ascontiguousarray(columns.loadings[:, :bound]), covariances=covariances)
    return sweep_until_settled(table, leading, free=0)


def _columns_of_law(table: Table, most: int, robust: bool, only_grown: bool) -> Iterator[Columns]:
    are_few = len(table.values) < ENOUGH * most * (sum(table.shape) - most)
    if not (are_few and only_grown):
        yield sweep_until_settled(table, start_columns(table, most, robust))
    if not are_few:
        return
    start = start_columns(table, 1, robust, only_near=True)
    k, columns = 0, sweep_until_settled(table, start, n_sweeps=_BETWEEN, free=_FREE)
    while k < columns.rank < most:
        k = columns.rank
        more = _with_more(table, columns, min(k, most - k))
        columns = sweep_until_settled(table, more, n_sweeps=_BETWEEN, free=_FREE)
    yield sweep_until_settled(table, columns, free=_FREE)


def _with_more(table: Table, columns: Columns, m: int) -> Columns:
    """Columns with `m` directions of what they leave; of their errors nothing is known."""
    rows = regress(table, columns, n_cooling=4, n_sweeps=1)
    rest = table.values - moments(rows, columns, table)[0]
    loadings = np.hstack([columns.loadings, _leading_directions(table, columns.law, rest, m).columns])
    p, k = loadings.shape
    return replace(columns, loadings=loadings, covariances=np.zeros((p, k * (k + 1) // 2)))


def is_beyond_noise(table: Table, law: NoiseLaw, rest: np.ndarray) -> bool:
    """Whether a direction of residuals has more power than any direction of noise."""
    return bool(_leading_directions(table, law, rest, 1).powers[0] > 1.0)


def _leading_directions(table: Table, law: NoiseLaw, rest: np.ndarray, m: int) -> _Directions:
    """The `m` leading directions of residuals, as far as these are inliers."""
    n, p = table.shape
    deviation = np.sqrt(law.variances)
    inlier = table.weigh(law, rest**2).effective * table.root_weight * rest / deviation[table.cols]
    u, s, v = truncated_svd(table.with_values(inlier).sparse(), m)
    density = len(table.values) / (n * p)
    roots = np.sqrt([n, p])
    unit = density * np.sum(roots) ** 2
    chance = float(np.mean(inlier**2) * (1.0 + _BY_CHANCE * np.sum(1.0 / roots) ** (1.0 / 3.0) / np.sum(roots)))
    loadings = deviation[:, None] * v * (s / (roots[0] * density))
    return _Directions(u * roots[0], loadings, s**2 / unit, chance, float(np.sum(inlier**2)) / unit)


def _sweep(table: Table, state: _State, n_threads: int, n_sweeps: int, *, shrink: bool = True) -> _State:
    """Sweep as :func:`sweep_until_settled` does, covariances being diagonal."""
    u, v, m, law, _ = state
    cols, turn, (n, p) = table.cols, table.by_column, table.shape
    rows, columns = row_passes(table.indptr, cols, p), row_passes(table.column_bounds, table.rows_by_column, n)
    fitted, variance = np.empty((2, len(cols)))
    precision, last = np.full(state.rank, FLAT), np.inf
    seen = np.diff(table.column_bounds) > 0
    rows.moments(*u, *v, fitted, variance, n_threads=n_threads)
    for _ in range(n_sweeps):
        target = table.values - m[cols]
        weights = table.weigh(law, (target - fitted) ** 2 + variance)
        precise = weights.precision
        prior = precision if shrink else np.full(len(precision), FLAT)
        rows.relax(rows.placed(target), rows.placed(precise), *v, np.ones(len(prior)), *u, n_threads=n_threads)
        precise = table.count(precise)
        told = columns.placed(target[turn]), columns.placed(precise[turn])
        columns.relax(*told, *u, prior, *v, n_threads=n_threads)
        rows.moments(*u, *v, fitted, variance, n_threads=n_threads)
        rest = table.values - fitted
        m = np.bincount(cols, precise * rest, p) / (np.bincount(cols, precise, p) + 1.0)
        rest -= m[cols]
        law = table.learn(law, rest**2 + variance, weights)
        u, v, precision = _whiten(u, v, table.row_weight, seen)
        if shrink:
            keep = signal(v.mean, law, table) > NEGLIGIBLE
            keep[0] = True
            u, v, precision = u.kept(keep), v.kept(keep), precision[keep]
        now = float(np.mean(np.log(law.variances)))
        if abs(now - last) < SETTLED:
            break
        last = now
    return _State(u, v, m, law, rest)


def _whiten(u: _Law, v: _Law, row_weight: np.ndarray | None, seen: np.ndarray) -> tuple[_Law, _Law, np.ndarray]:
    """Whiten rows and rotate directions to a diagonal E[V^T V]; what is then off the diagonals is dropped.

    That is of the columns that are `seen`, a mask.
    """
    mean, variance = v.mean[seen], v.variance[seen]
    root = np.linalg.cholesky(mean_moments(u.mean, np.diag(mean_of(u.variance, row_weight)), row_weight))
    values, turn = np.linalg.eigh(root.T @ (mean.T @ mean + np.diag(variance.sum(axis=0))) @ root)
    values, turn = np.maximum(values[::-1], 1e-300), turn[:, ::-1]
    back, forward = np.linalg.solve(root, np.eye(len(root))).T @ turn, root @ turn
    u = _Law(u.mean @ back, u.variance @ back**2)
    return u, _Law(v.mean @ forward, v.variance @ forward**2), len(mean) / values
