"""How sure estimates are: posterior variances of entries and the noise of inliers, calibrated, and draws of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from .._kernels.posterior import posterior_rows
from .._operators.observed import Entries
from .._utils.linalg import roots_of, unpack
from .._utils.threads import count_threads, interruptible, run_parts, working_for
from .columns import Columns
from .rows import MemberRows, RowPosterior, moments
from .space import Ends, ModelSpace
from .table import Table
from .tails import slope

# Probability beyond which tails are all one.
_LEAST_TAIL = 1e-12
# Numbers that the errors of a block of rows take at a time.
_BLOCK = 4_000_000


class Spread(NamedTuple):
    """Standard errors of estimates, in units of the data, and standard deviations of the value of an inlier there."""

    error: np.ndarray
    value: np.ndarray


def spread(space: ModelSpace, entries: Entries, places: Entries | None = None, *, n_jobs: int | None = None) -> Spread:
    """Spread at the entries of `places` of rows that are regressed on `entries`; without places at all, (n, p).

    The variance of an average is that of the mixture of its members: the mean of theirs, and of the squares by which
    they differ from it. Standard errors are calibrated: what held-out errors have beyond the prediction is theirs, and
    so is what the directions of the fit cannot capture. Deviations of values are those that the calibration is in units
    of, and their noise has the latter in it; they are in scales of the column as in even units.
    """
    n, p = entries.shape
    entries = space.measured(entries)
    if places is None:
        indptr, cols = np.arange(n + 1) * p, np.tile(np.arange(p, dtype=np.int32), n)
    else:
        indptr, cols = places.indptr, places.cols
    usual = space.usual_noise / np.sqrt(space.usual_weight)  # of entries of no known precision
    error, noise, slopes = np.empty(len(cols)), usual[cols], np.ones(len(cols))

    def block(lo: int, hi: int) -> None:
        own = slice(indptr[lo], indptr[hi])
        where = Table((indptr[lo : hi + 1] - own.start).astype(np.int32), cols[own], error[own], (hi - lo, p))
        members = space.posteriors(space.table(entries, lo, hi))
        means, variances = np.array([_moments(member, where) for member in members]).transpose(1, 0, 2)
        variance = space.weights @ (variances + (means - space.weights @ means) ** 2)
        error[own] = space.scale[where.cols] * np.sqrt(variance)
        if space.long is not None:
            slopes[own] = slope(space.bounded(space.weights @ means, where.cols), space.long[where.cols])
        noise[own] *= np.sqrt(space.noise_of_rows(members))[where.rows]

    pairs = [pair for first, last in pairwise(entries.bounds()) for pair in _parts(first, last, space)]
    with interruptible() as token:
        run_parts(working_for(token)(lambda i: block(*pairs[i])), len(pairs), count_threads(n_jobs))
    calibration = space.calibration
    value = np.hypot(error, noise)
    error = np.hypot(calibration.factor * error, np.sqrt(max(calibration.excess, space.share_beyond)) * noise)
    error *= slopes
    if space.doubt is not None:
        error, value = space.doubt[cols] * error, space.doubt[cols] * value
    return Spread(error, value) if places is not None else Spread(error.reshape(n, p), value.reshape(n, p))


def ends_of(
    space: ModelSpace | None, estimate: np.ndarray, reach: tuple[np.ndarray, np.ndarray], cols: np.ndarray | slice
) -> Ends:
    """Ends of intervals about estimates of entries of columns; `reach` is what they are off, in scales of these."""
    low, high = reach
    if space is None:
        return Ends(estimate + low, estimate + high)
    ends = space.moved(estimate, low, cols), space.moved(estimate, high, cols)
    ends = np.minimum(ends[0], estimate), np.maximum(ends[1], estimate)  # bent units and back are off by rounding
    return space.to_values(Ends(*ends), cols)


def draws(
    space: ModelSpace,
    entries: Entries,
    n_samples: int,
    rng: np.random.RandomState,
    hold: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Draw the values of inliers at all entries of rows from the posterior predictive law, n_samples times (n, p).

    Each draw is of one member of the average: the loadings of its columns, the coefficients of the rows given these,
    and the noise, so that the entries of a draw belong together. Where they are in the predictive law is calibrated one
    by one: they fall into intervals, about estimates that are to `hold` to some limits, as often as these say.
    """
    n, p = entries.shape
    entries, value = space.measured(entries), spread(space, entries).value
    members = space.posteriors(space.table(entries, 0, n))
    roots = [_root(columns) for columns in space.members]
    law = _Predictive.of(space, entries, members)
    center = np.tensordot(space.weights, law.means, axes=1)
    estimate = hold(space.straight(center))
    for m in rng.choice(len(members), size=n_samples, p=space.weights):
        columns, table, rows = members[m]
        k = columns.rank
        loadings = columns.loadings + np.einsum("pkr,pr->pk", roots[m], _normal(columns, roots[m], rng))
        mean = replace(columns, loadings=loadings).prior_mean
        means, packed = np.empty((n, k)), np.empty((n, k * (k + 1) // 2))
        target = table.values - mean[table.cols]
        sure = np.zeros_like(columns.covariances)
        pull = np.ones(n) if rows.prior is None else rows.prior
        precise = rows.precision / pull[table.rows]
        posterior_rows(table.indptr, table.cols, target, precise, loadings, sure, np.ones(k), means, packed)
        packed /= pull[:, None]
        u = means + np.einsum("ikr,ir->ik", roots_of(packed), rng.standard_normal((n, k)))
        noise = np.sqrt(columns.law.usual_variances / space.usual_weight) * rng.standard_normal((n, p))
        if rows.noise is not None:
            noise *= np.sqrt(rows.noise)[:, None]
        away = law.scores(mean + u @ loadings.T + noise)
        drawn = space.moved(estimate, value * space.calibration.signed(away))
        yield drawn if space.long is None else np.where(space.long, np.clip(drawn, *space.seen_range), drawn)


class _Predictive(NamedTuple):
    """Means and standard deviations, (members, n, p), of the values of inliers under each member of `weights`."""

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of(cls, space: ModelSpace, entries: Entries, members: list[MemberRows]) -> _Predictive:
        """Those at all places of rows, which have the posteriors of `members`."""
        n, p = entries.shape
        means, variances = np.empty((2, len(members), n, p))
        for lo, hi in _parts(0, n, space):
            indptr, cols = np.arange(hi - lo + 1) * p, np.tile(np.arange(p, dtype=np.int32), hi - lo)
            where = Table(indptr.astype(np.int32), cols, np.zeros(len(cols)), (hi - lo, p))
            for m, member in enumerate(space.posteriors(space.table(entries, lo, hi))):
                means[m, lo:hi], variances[m, lo:hi] = (part.reshape(-1, p) for part in _moments(member, where))
        for variance, (columns, _, rows) in zip(variances, members, strict=True):
            own = np.ones(n) if rows.noise is None else rows.noise
            variance += own[:, None] * columns.law.usual_variances / space.usual_weight
        return cls(space.weights, means, np.sqrt(variances))

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Standard normal scores of values (n, p): where they are in the mixture of the members."""
        below = np.tensordot(self.weights, ndtr((values - self.means) / self.deviations), axes=1)
        return ndtri(np.clip(below, _LEAST_TAIL, 1.0 - _LEAST_TAIL))


def gross_probability(space: ModelSpace, entries: Entries, *, n_jobs: int | None = None) -> np.ndarray:
    """Posterior probability of each entry to be a gross error; those beyond a half are flagged."""
    probability = np.empty(len(entries.y))
    space.regress(entries, n_jobs=n_jobs, probability=probability)
    return probability


def _moments(member: MemberRows, where: Table) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances at the entries of a table, in even units."""
    columns, table, rows = member
    mean, variance = moments(rows, columns, where)
    if columns.joint is not None:
        variance = _joint_variances(columns, columns.joint, table, rows)[where.rows, where.cols]
    return mean, variance


def _joint_variances(columns: Columns, joint: np.ndarray, table: Table, rows: RowPosterior) -> np.ndarray:
    """Variances of all entries of rows where loadings of columns are not independent, to first order.

    An entry v_j . u_i moves with its own column and with all that its row was regressed on: the derivative of u_i is
    -C_i sum_l w_il v_l (u_i . dv_l).
    """
    v, cov = columns.loadings, unpack(rows.covariances)
    weight = np.zeros(table.shape)
    weight[table.rows, table.cols] = rows.precision
    moved = np.tensordot(rows.means, joint, axes=(1, 1))
    moved -= v @ (cov @ (v.T @ (weight[:, :, None] * moved)))
    return np.einsum("jk,ikl,jl->ij", v, cov, v, optimize=True) + np.einsum("ijr,ijr->ij", moved, moved)


def _parts(first: int, last: int, space: ModelSpace) -> list[tuple[int, int]]:
    """Bounds of blocks of the rows first to last whose errors take bounded memory."""
    numbers = max(columns.loadings.size if columns.joint is None else columns.joint.size for columns in space.members)
    step = max(_BLOCK // max(numbers, 1), 1)
    return [(lo, min(lo + step, last)) for lo in range(first, last, step)]


def _root(columns: Columns) -> np.ndarray:
    """Root of the covariance of the loadings: of each column, (p, k, k), or of all together, (p, k, r)."""
    return roots_of(columns.covariances) if columns.joint is None else columns.joint


def _normal(columns: Columns, root: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Normal variates that a root is multiplied by: those of each column, or the same for all."""
    p, _, r = root.shape
    return rng.standard_normal((p, r)) if columns.joint is None else np.tile(rng.standard_normal(r), (p, 1))
