"""What estimates lack of the entries that they replace: posterior covariances of rows, and the noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._utils.linalg import roots_of
from .rows import MemberRows, moments
from .space import ModelSpace
from .table import Table
from .tails import slope

# Multiplications that covariances of all columns may take: of more rows, evenly spaced ones stand for all. Of 6000 x
# 200 so many take a tenth of the fit at most.
_MOST_WORK = 2e8
# Numbers of a block of rows at a time.
_BLOCK = 4_000_000


class _Block(NamedTuple):
    """A member's posterior of some rows, the weight of the member, that of each row, and which entries are replaced.

    `slopes` (n, p) are what these change by in straight units where they do in bent ones.
    """

    member: MemberRows
    share: float
    weight: np.ndarray
    replaced: np.ndarray
    slopes: np.ndarray


def lacking_products(space: ModelSpace, entries: Entries, replaced: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum over rows of the covariance (p, p) of the entries that are missing or `replaced`, given the others.

    That is the expectation of what the products of repaired rows lack, in squares of the units of the data. Rows count
    as `weight` says.
    """
    p = entries.shape[1]
    rank = sum(columns.rank for columns in space.members)
    total, step = np.zeros((p, p)), max(int(np.ceil(len(weight) * rank * float(p) ** 2 / _MOST_WORK)), 1)
    for block in _blocks(space, entries, replaced, weight, step):
        columns, _, rows = block.member
        spread = columns.loadings @ roots_of(rows.covariances)
        spread *= np.sqrt(block.share * block.weight)[:, None, None] * (block.replaced * block.slopes)[:, :, None]
        flat = spread.transpose(1, 0, 2).reshape(p, -1)
        total += flat @ flat.T
        rest = _variances(block) - np.einsum("ijk,ijk->ij", spread, spread)
        total.flat[:: p + 1] += rest.sum(axis=0)
    return step * (space.calibration.factor * space.scale[:, None]) * total * (space.calibration.factor * space.scale)


def lacking_variances(space: ModelSpace, entries: Entries, replaced: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The diagonal of :func:`lacking_products`."""
    total = np.zeros(entries.shape[1])
    for block in _blocks(space, entries, replaced, weight, 1):
        total += _variances(block).sum(axis=0)
    return total * (space.calibration.factor * space.scale) ** 2


def _blocks(
    space: ModelSpace, entries: Entries, replaced: np.ndarray, weight: np.ndarray, step: int
) -> Iterator[_Block]:
    """Yield the posteriors of every so manyth row that has entries which are missing or replaced."""
    n, p = entries.shape
    unknown = space.unknown(entries) | (space.low == space.high)  # nothing is known of those, and these do not vary
    observed = entries.rows[~replaced]
    wanted = np.flatnonzero((np.arange(n) % step == 0) & (np.bincount(observed, minlength=n) < p))
    rows_at_a_time = max(_BLOCK // (p * max(columns.rank for columns in space.members)), 1)
    for lo in range(0, len(wanted), rows_at_a_time):
        mask = np.zeros(n, dtype=bool)
        mask[wanted[lo : lo + rows_at_a_time]] = True
        part = entries.part(mask, np.ones(p, dtype=bool))
        kept = ~replaced[mask[entries.rows]]
        lost = np.ones(part.shape, dtype=bool)
        lost[part.rows[kept], part.cols[kept]] = False
        lost[:, unknown] = False
        table = space.table(space.measured(part), 0, part.shape[0])
        members = space.posteriors(table)
        slopes = _slopes(space, members)
        for share, member in zip(space.weights, members, strict=True):
            yield _Block(member, float(share), weight[mask], lost, slopes)


def _slopes(space: ModelSpace, members: list[MemberRows]) -> np.ndarray:
    """What estimates of rows change by in straight units where they do in bent ones."""
    n, p = members[0].table.shape
    if space.long is None:
        return np.ones((n, p))
    means = [m.rows.means @ m.columns.loadings.T + m.columns.mean for m in members]
    even = sum(weight * mean for weight, mean in zip(space.weights, means, strict=True))
    return slope(space.bounded(even), space.long)


def _variances(block: _Block) -> np.ndarray:
    """Variances (n, p) of the values of the entries that are replaced, as much as member and rows count."""
    columns, _, rows = block.member
    n, p = block.replaced.shape
    every = Table(
        np.arange(n + 1, dtype=np.int32) * np.int32(p),
        np.tile(np.arange(p, dtype=np.int32), n),
        np.zeros(n * p),
        (n, p),
    )
    variance = moments(rows, columns, every)[1].reshape(n, p)
    noise = np.ones(n) if rows.noise is None else rows.noise
    variance += columns.law.inlier_variances * noise[:, None]
    return variance * block.slopes**2 * block.replaced * (block.share * block.weight)[:, None]
