"""What the rows of a table say of its columns, as sums over batches and chunks that are solved for columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._operators.observed import Entries
from .._rows.regression import Regression, RowSpace
from .._utils.linalg import pack, packed_diagonals, unpack
from .columns import Columns
from .noise import NoiseSums
from .rows import MemberRows, RowPosterior, moments
from .screen import range_without
from .space import ModelSpace
from .table import Table

# Precision of the prior of the mean of a column, in entries.
_MEAN_PRIOR = 1.0


class MemberSums(NamedTuple):
    """Normal equations of the columns under one member, x = (1, u) for the coefficients u of a row; and its noise.

    `normal` is the sum of w (x x^T + cov x), packed, (p, (k + 1) (k + 2) / 2), `target` that of w y x, (p, k + 1).
    """

    normal: np.ndarray
    target: np.ndarray
    noise: NoiseSums

    def plus(self, other: MemberSums) -> MemberSums:
        """The sums over both."""
        return MemberSums(self.normal + other.normal, self.target + other.target, self.noise.plus(other.noise))

    def times(self, factor: float) -> MemberSums:
        """The sums where all counts so much."""
        return MemberSums(self.normal * factor, self.target * factor, self.noise.times(factor))


@dataclass(frozen=True)
class TableSums:
    """What rows say of the columns under each member of a model, and how they spread.

    `n` is the number of rows, `first` and `second` are sums of the coefficients x on the basis of the space and of
    x x^T, `low` and `high` the range of what is seen of each column, `seen` and `beyond` the numbers of entries, and
    of gross errors, of each.
    """

    members: tuple[MemberSums, ...]
    n: float
    first: np.ndarray
    second: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seen: np.ndarray
    beyond: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of gross errors in each column; in one that is not seen, that in all."""
        usual = self.beyond.sum() / max(self.seen.sum(), 1.0)
        return np.divide(self.beyond, self.seen, out=np.full(len(self.seen), usual), where=self.seen > 0.0)

    def plus(self, other: TableSums) -> TableSums:
        """The sums over both."""
        return TableSums(
            tuple(one.plus(two) for one, two in zip(self.members, other.members, strict=True)),
            self.n + other.n,
            self.first + other.first,
            self.second + other.second,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.seen + other.seen,
            self.beyond + other.beyond,
        )

    def times(self, factor: float) -> TableSums:
        """The sums where all that was seen counts so much; its range stays."""
        return replace(
            self,
            members=tuple(member.times(factor) for member in self.members),
            n=self.n * factor,
            first=self.first * factor,
            second=self.second * factor,
            seen=self.seen * factor,
            beyond=self.beyond * factor,
        )


class SummedRows(NamedTuple):
    """Sums over rows, and the regression that they are made from."""

    sums: TableSums
    regression: Regression


def sum_rows(space: RowSpace | ModelSpace, entries: Entries, *, threshold: float | None = None) -> SummedRows:
    """Regress rows on a space and sum over them; sums of members are made where it is a model."""
    n, p = entries.shape
    total: list[tuple[MemberSums, ...]] = []

    def visit(lo: int, hi: int, members: list[MemberRows]) -> None:
        found = tuple(_sum_member(member) for member in members)
        total[:] = [tuple(one.plus(two) for one, two in zip(total[0], found, strict=True)) if total else found]

    if isinstance(space, ModelSpace):
        regression = space.regress(entries, n_jobs=1, visit=visit)
    else:
        regression = space.regress(entries, n_jobs=1, threshold=threshold)
    others = (space.low, space.high) if isinstance(space, ModelSpace) else None
    low, high = range_without(entries, regression.beyond, others)
    count = np.ones(n) if entries.row_weight is None else entries.row_weight
    x, of_entry = regression.factors, count[entries.rows]
    sums = TableSums(
        total[0] if total else (),
        float(count.sum()),
        count @ x,
        (x * count[:, None]).T @ x,
        low,
        high,
        np.bincount(entries.cols, of_entry, minlength=p),
        np.bincount(entries.cols, of_entry * regression.beyond, minlength=p),
    )
    return SummedRows(sums, regression)


def _sum_member(member: MemberRows) -> MemberSums:
    columns, table, rows = member
    weight = sparse.csr_matrix((table.count(rows.precision), table.cols, table.indptr), shape=table.shape).T
    ones = np.ones((table.shape[0], 1))
    x = np.hstack([ones, rows.means])
    target = sparse.csr_matrix((weight.T.data * table.values, table.cols, table.indptr), shape=table.shape).T @ x
    return MemberSums(weight @ _products(x, rows), target, _noise_sums(columns, table, rows))


def _products(x: np.ndarray, rows: RowPosterior) -> np.ndarray:
    """x x^T + cov x of each row, packed."""
    second = x[:, :, None] * x[:, None]
    second[:, 1:, 1:] += unpack(rows.covariances)
    return pack(second)


def _noise_sums(columns: Columns, table: Table, rows: RowPosterior) -> NoiseSums:
    """What the residuals of the entries say of the noise."""
    fitted, variance = moments(rows, columns, table)
    table = table.with_noise_of_rows(rows.noise)
    squares = (table.values - fitted) ** 2 + variance
    squares, weights = table.of_noise(squares, table.weigh(columns.law, squares))
    return NoiseSums.of(squares, weights, table.cols, table.shape[1])


class Refined(NamedTuple):
    """A space that sums speak for, and the sums with coefficients on its basis."""

    space: ModelSpace
    sums: TableSums


def refine(space: ModelSpace, sums: TableSums) -> Refined:
    """The space with the columns, the noise and the centre that sums over more rows speak for."""
    members = tuple(_solve_columns(columns, own) for columns, own in zip(space.members, sums.members, strict=True))
    refined = replace(space, members=members)
    across = np.linalg.lstsq(refined.basis / space.scale[:, None], space.basis / space.scale[:, None], rcond=None)[0]
    sums = replace(sums, first=across @ sums.first, second=across @ sums.second @ across.T)
    return Refined(replace(refined, center=sums.first / sums.n), sums)


def _solve_columns(columns: Columns, sums: MemberSums) -> Columns:
    """The columns that the normal equations speak for, with their covariances and noise."""
    if not columns.loadings.any():  # the medians
        return columns
    power = np.sum(columns.loadings**2 + packed_diagonals(columns.covariances), axis=0)
    prior = len(columns.loadings) / np.maximum(power, np.finfo(np.float64).tiny)
    normal, target = unpack(sums.normal), sums.target
    law = columns.law.learnt(sums.noise)
    if columns.center is not None:
        target = target[:, 1:] - normal[:, 1:, 0] * columns.mean[:, None]
        inverse = np.linalg.inv(normal[:, 1:, 1:] + np.diag(prior))
        return Columns(
            np.einsum("pkl,pl->pk", inverse, target), pack(inverse), columns.mean, law, center=columns.center
        )
    inverse = np.linalg.inv(normal + np.diag(np.append(_MEAN_PRIOR, prior)))
    solved = np.einsum("pkl,pl->pk", inverse, target)
    return Columns(solved[:, 1:], pack(inverse[:, 1:, 1:]), solved[:, 0], law, low_rank=columns.low_rank)
