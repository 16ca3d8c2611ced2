"""The fit of rows that come in parts: of a sample of them first, then sums over all, and of a stream of batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .._model.growth import is_beyond_noise
from .._model.space import ModelSpace
from .._model.sums import TableSums, refine, sum_rows
from .._operators.observed import Entries
from .._rows.odds import GrossErrors
from .._rows.regression import RowSpace
from .._utils.linalg import product_svd
from .._utils.values import Options, StopReason, Verdict
from .components import Components, RepairedRows, principal_components
from .matrix import fit_matrix
from .matrix_fit import MatrixFit, counts_of_rows
from .measurements import LowRankFit
from .standard_errors import posterior_of

# Entries of the rows that a stream keeps, and the least number of rows: bounds on memory.
_KEPT, _KEPT_ROWS = 250_000, 200
# Share of the largest of sums of squares below which the others are rounding.
_ROUNDING = 32.0 * float(np.finfo(np.float64).eps)
# Weight below which a row that has been forgotten is not kept.
_FORGOTTEN = 1e-3
# Standard deviations by which gross errors may be more than is usual.
_BY_CHANCE = 5.0
# Parts of the rows that are kept after each of which what is left of them is looked at: each look takes as long as that
# many batches do.
_LOOKS = 8


@dataclass(frozen=True)
class RunningFit:
    """The fit of a sample of rows, its space as all rows refine it, and sums over all rows.

    `sample` is the fit without what it has of single rows, `expected` the share of gross errors in each column of it.
    """

    sample: LowRankFit
    expected: np.ndarray
    expected_error: np.ndarray
    undetermined_columns: np.ndarray
    space: RowSpace | ModelSpace
    by_least_squares: bool
    all: PartFit
    dtype: np.dtype

    @classmethod
    def begin(cls, sample: MatrixFit, entries: Entries, *, repairs: bool) -> RunningFit:
        """From the fit of the entries of a sample, which is all that has been seen."""
        posterior = posterior_of(entries, sample)
        # columns that are not known have no part in a posterior
        space = sample.space if posterior is None or len(sample.undetermined_columns) else posterior
        if isinstance(space, ModelSpace):
            space = space.open(space.unknown(entries))  # they may come
        part = PartFit.of(space, entries, sample.fit.threshold, repairs=repairs and not sample.space.is_sharp)
        fit = replace(sample.fit, left=sample.fit.left[:0], outliers=np.zeros(0, dtype=bool))
        told = sample.expected_error, sample.undetermined_columns
        by_least_squares = isinstance(sample.space, RowSpace)
        return cls(fit, part.sums.shares, *told, space, by_least_squares, part, entries.dtype)

    @property
    def sums(self) -> TableSums:
        """Sums over all rows."""
        return self.all.sums

    def summed(self, entries: Entries) -> PartFit:
        """Sums over more rows on the space."""
        return PartFit.of(self.space, entries, self.threshold, repairs=self.all.repaired is not None)

    def refined(self, part: PartFit) -> RunningFit:
        """With these sums over all rows, and the space that they speak for."""
        if not isinstance(self.space, ModelSpace):
            return replace(self, all=part)
        space, sums = refine(self.space, part.sums)
        return replace(self, space=space, all=part._replace(sums=sums))

    @property
    def threshold(self) -> float:
        """Residual beyond which a value is flagged."""
        return self.sample.threshold

    @property
    def verdict(self) -> Verdict:
        """That of the sample, if the other rows are like it."""
        verdict, sums = self.sample.verdict, self.sums
        others = self.has_more_errors(sums.beyond, sums.seen)
        if verdict.converged and others.any():
            j = int(np.argmax(np.where(others, sums.shares - self.expected, -1.0)))
            first = f"but only {self.expected[j]:.1%} of those of the rows that were fitted first"
            message = f"{sums.shares[j]:.1%} of the entries of column {j} are gross errors, {first}"
            return Verdict(StopReason.UNEXPLAINED, message)
        return verdict

    def has_more_errors(self, beyond: np.ndarray, seen: np.ndarray, *, anywhere: bool = False) -> np.ndarray:
        """Mask of the columns with more gross errors, `beyond` of those that are `seen`, than fitted rows have.

        That is all, if there are more in all together, and else those in which there are more beyond chance than fitted
        rows have there, or have `anywhere`.
        """
        usual = (np.minimum(self.expected, np.median(self.expected)) if anywhere else self.expected) * seen
        if beyond.sum() > _most_errors(usual.sum(), seen.sum()):
            return np.ones(len(seen), dtype=bool)
        return np.asarray(beyond > _most_errors(usual, seen))

    @cached_property
    def _triplets(self) -> tuple[np.ndarray, np.ndarray]:
        """Singular values and right singular vectors of the estimate of all rows."""
        values, turn = np.linalg.eigh(self.sums.second)
        root = turn * np.sqrt(np.maximum(values, 0.0))
        _, s, v = product_svd(root.T, self.space.basis)
        kept = s > 1e-12 * max(s[0], np.finfo(np.float64).tiny)
        return s[kept], v[:, kept]

    def left(self, factors: np.ndarray) -> np.ndarray:
        """Left singular vectors of rows of these coefficients on the space of rows."""
        s, v = self._triplets
        return (factors @ (self.row_space.basis.T @ (v / s))).astype(self.dtype)

    @property
    def n_directions(self) -> int:
        """Number of singular values."""
        return len(self._triplets[0])

    @property
    def scale(self) -> float:
        """Noise scale."""
        return self.sample.scale if self.posterior is None else float(np.sqrt(np.mean(self.posterior.noise**2)))

    def fit(self, outliers: np.ndarray, factors: np.ndarray) -> LowRankFit:
        """The fit of all rows as one; its flags and left vectors are those of some rows."""
        s, v = self._triplets
        sample = self.sample
        return replace(
            sample,
            left=self.left(factors),
            singular_values=s.astype(self.dtype),
            right=v.astype(self.dtype),
            rank=sample.rank if self.space.is_sharp else len(s),
            scale=self.scale,
            outliers=outliers,
            verdict=self.verdict,
        )

    @property
    def lost_columns(self) -> np.ndarray:
        """Columns that are not identifiable: in the sample, or of which nothing is remembered."""
        return np.union1d(self.undetermined_columns, np.flatnonzero(self.sums.seen < _FORGOTTEN))

    @property
    def location(self) -> np.ndarray:
        """Mean of the columns of the estimate."""
        return (self.space.basis @ (self.sums.first / self.sums.n)).astype(self.dtype)

    @cached_property
    def posterior(self) -> ModelSpace | None:
        """What standard errors are taken from, its estimates of a table within what is seen; None: the fit is exact."""
        if not isinstance(self.space, ModelSpace) or self.space.is_sharp:
            return self.space if isinstance(self.space, ModelSpace) else None
        return self.space.between(self.sums.low, self.sums.high)

    @cached_property
    def row_space(self) -> RowSpace | ModelSpace:
        """What rows are regressed on: as by a fit of all, that of least squares where the rank is sharp.

        Where inliers are few, or the noise of columns differs, it is the posterior.
        """
        if self.posterior is None or not (self.posterior.is_sharp and self.by_least_squares):
            return self.posterior or self.space
        _, v = self._triplets
        across = v.T @ self.space.basis
        mean = across @ (self.sums.first / self.sums.n)
        spread = across @ (self.sums.second / self.sums.n) @ across.T - np.outer(mean, mean)
        values, turn = np.linalg.eigh(spread)
        root = (turn * np.sqrt(np.maximum(values, 0.0))) @ turn.T
        sample, law = self.sample, self.posterior.members[0].law
        errors = GrossErrors(float(law.shares[2]), law.spread * sample.row_scale)
        efficient = not sample.heavy_tailed
        return RowSpace(v, mean, root, sample.row_scale, efficient, repeated=sample.repeated, errors=errors)

    def components(self, n_components: float | None, center: bool, shape: tuple[int, int]) -> Components:
        """Principal components of all rows."""
        if self.all.repaired is not None:
            assert isinstance(self.space, ModelSpace)
            return self.all.repaired.components(self.space, n_components, center, min(shape), self.dtype)
        n, first, second = self.sums.n, self.sums.first, self.sums.second
        middle = first / n if center else np.zeros_like(first)
        values, turn = np.linalg.eigh(second - n * np.outer(middle, middle))
        whole = float(np.linalg.norm(second, 2))  # the mean is a part of what is rounded
        values = np.where(values > _ROUNDING * whole, values, 0.0)
        top = float(np.sqrt(whole)) or 1.0
        # as many rows as coefficients, which spread as all rows do
        k = len(values)
        rows = (turn * np.sqrt(values * k / n)).T + middle
        return principal_components(
            (rows / top).astype(self.dtype),
            np.full(k, top),
            replace(self.space, center=middle),
            scale=self.scale,
            density=float(self.sums.seen.sum() / (n * len(self.sums.seen))),
            n_components=n_components,
            center=center,
            row_weight=np.full(k, n / k),
        )


class PartFit(NamedTuple):
    """Sums over some rows, and over the repaired rows where these are asked for."""

    sums: TableSums
    repaired: RepairedRows | None

    @classmethod
    def of(cls, space: RowSpace | ModelSpace, entries: Entries, threshold: float, *, repairs: bool) -> PartFit:
        """Those of entries on a space."""
        sums, regression = sum_rows(space, entries, threshold=threshold)
        if not (repairs and isinstance(space, ModelSpace)):
            return cls(sums, None)
        flags, x = space.gross(entries, regression), regression.factors
        weight = counts_of_rows(entries, flags)
        return cls(sums, RepairedRows.of(entries, space, lambda lo, hi: space.predict(x[lo:hi]), flags, weight))

    def plus(self, other: PartFit) -> PartFit:
        """The sums over both, which are of the same space."""
        one, two = self.repaired, other.repaired
        return PartFit(self.sums.plus(other.sums), None if one is None or two is None else one.plus(two))

    def times(self, factor: float) -> PartFit:
        """The sums where all counts so much."""
        return PartFit(self.sums.times(factor), None if self.repaired is None else self.repaired.times(factor))


@dataclass(frozen=True)
class Stream:
    """What is kept of a stream of rows: the last ones, how many there were, and the fit.

    As long as all rows are kept, they are fitted anew whenever their number has grown by half. In between, and when
    there are more, sums over batches refine the fit. Rows that have something in common that it does not explain are
    fitted anew.
    """

    rows: Entries
    n_seen: int
    running: RunningFit
    next_fit: int
    next_look: int
    fitted_at: int

    @classmethod
    def begin(cls, rows: Entries, options: Options, forgetting: float, *, repairs: bool, n_seen: int = 0) -> Stream:
        """From rows that are fitted, the last of `n_seen` where there were more."""
        n_seen = n_seen or rows.shape[0]
        most = _most_rows(rows.shape[1], forgetting)
        rows = rows.last(most).copied()  # a caller may use the memory of a batch again
        weighted = rows.counting(_fading(rows.shape[0], forgetting))
        if not len(rows.y):
            raise ValueError(f"X has no observed entry: all {rows.shape[0]} x {rows.shape[1]} values are missing.")
        if options.rank is not None:
            options = replace(options, rank=min(options.rank, *rows.shape))
        options = replace(options, meter=options.meter.of(len(rows.y)))
        running = RunningFit.begin(fit_matrix(weighted, options), weighted, repairs=repairs)
        next_fit, next_look = min(n_seen + n_seen // 2 + 1, max(most, n_seen + 1)), n_seen + max(most // _LOOKS, 1)
        return cls(rows, n_seen, running, next_fit, next_look, n_seen)

    def followed_by(self, batch: Entries, options: Options, forgetting: float, *, repairs: bool) -> Stream:
        """With one more batch."""
        most = _most_rows(batch.shape[1], forgetting)
        rows, n_seen = self.rows.followed_by(batch).last(most), self.n_seen + batch.shape[0]
        again = self.next_fit <= n_seen <= 2 * most and self.next_fit <= most and len(rows.y) > 0
        looks = n_seen >= self.next_look and len(rows.y) > 0
        running = self.running
        if not again:
            faded = batch.counting(_fading(batch.shape[0], forgetting))
            running = running.refined(running.all.times(forgetting ** batch.shape[0]).plus(running.summed(faded)))
        are_new = n_seen - self.fitted_at >= most  # a fit that has not converged may do so with these
        lost = are_new and not running.sample.verdict.converged
        if again or (looks and (lost or _is_other(running, rows, are_new))):
            return self.begin(rows, options, forgetting, repairs=repairs, n_seen=n_seen)
        next_look = n_seen + max(most // _LOOKS, 1) if looks else self.next_look
        return replace(self, rows=rows, n_seen=n_seen, running=running, next_look=next_look)


def _most_errors(usual: Any, seen: Any) -> Any:
    """Most gross errors of so many entries, up to chance, where so many are usual."""
    slack = 1.2 * usual + 0.02 * seen
    return slack + _BY_CHANCE * np.sqrt(slack)


def _fading(n: int, forgetting: float) -> np.ndarray | None:
    """How often each of the last n rows counts; None: all once."""
    return None if forgetting == 1.0 else forgetting ** np.arange(n - 1, -1, -1.0)


def _most_rows(p: int, forgetting: float) -> int:
    """Number of rows that are kept."""
    most = max(_KEPT // p, _KEPT_ROWS)
    return most if forgetting == 1.0 else int(min(most, np.ceil(np.log(_FORGOTTEN) / np.log(forgetting))))


def _is_other(running: RunningFit, rows: Entries, are_new: bool) -> bool:
    """Whether rows have more gross errors than those that were fitted, or all new ones something more in common.

    Errors are counted in each column, too: of many, one that is another from some row on is a small part of all. The
    rows of its change may have been fitted, and most of it taken for errors.
    """
    space = running.space
    regression = space.regress(rows, n_jobs=1, threshold=running.threshold)
    beyond, seen = (np.bincount(rows.cols[part], minlength=rows.shape[1]) for part in (regression.beyond, slice(None)))
    if running.has_more_errors(beyond, seen, anywhere=are_new).any():
        return True
    if isinstance(space, RowSpace) or not are_new:
        return False
    table = space.table(space.measured(rows), 0, rows.shape[0])
    columns, table, posterior = space.posteriors(table)[int(np.argmax(space.weights))]
    fitted = np.einsum("pk,pk->p", posterior.means[table.rows], columns.loadings[table.cols])
    rest = table.values - columns.mean[table.cols] - fitted
    return is_beyond_noise(table, columns.law, rest)
