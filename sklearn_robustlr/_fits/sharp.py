"""A fit of a sharp rank as a model of tables: one member, whose noise has one scale; and what a fit explains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._model.apart import are_tail_of_noise
from .._model.beyond import edge_power, share_beyond
from .._model.calibration import Calibration
from .._model.columns import Columns
from .._model.joint import joint_root
from .._model.noise import FREEDOM, NoiseLaw
from .._model.posterior import power_of, sweep_until_settled
from .._model.rows import moments, regress
from .._model.space import SHARP, ModelSpace
from .._model.stuck import StuckValues
from .._model.table import Table
from .._operators.observed import Entries
from .._solvers.mending import broken
from .._utils.arrays import sorted_within
from .._utils.linalg import unpack
from .._utils.ranks import may_be_part
from .._utils.rules import LEAST_FREE
from .._utils.values import StopReason
from .measurements import LowRankFit

#: Share of the entries that is left out of its rows to calibrate intervals.
HELD_OUT = 0.1
# Held-out errors that are enough to compare two fits, and for a calibration: of fewer entries several groups are held
# out by turns. With 1000 for both, 90 % standard errors beside 10 inliers per degree of freedom cover 0.86 to 0.97 of
# twelve sharp matrices, with 6000 0.86 to 0.93 (those of ``asv_bench/studies/uncertainty.py --row grid``).
_COMPARED, _CALIBRATED = 1000, 6000
# What a noise scale of its own is worth to some column, in units of what one more parameter costs, from which scales
# are learnt, and sweeps that tell. Of 130 matrices with one noise scale and up to 70 % errors in a column it is 4.6 at
# most; where half of the columns have 1.5 times or twice the noise of the others, it is 3.9 to 8.8, and 7.5 to 22.
_OWN, _NOISE_SWEEPS = 6.0, 4
# What lines gain beyond one parameter each, a line in the mean, in log-likelihood. Of 66 matrices with one noise scale
# and errors of all kinds it is at most 0.28 where the mean of all gains is positive; where 10 to 50 % of rows have 4 to
# 8 times the noise (``asv_bench/studies/row_groups.py --row instruments``) 0.45 to 2.5.
_OWN_OF_ALL = 0.35
# Variance of the noise of a refined fit, in units of that before, from which it vanishes.
_VANISHES = 0.01
# Mean of what is missed, in units of the threshold and at most that, by which a fit is to be better than medians.
_TELLS = 0.1
# Median of what a fit misses, in units of that of the medians, from which it explains nothing of a column.
_AS_FAR = 0.9
# How far entries that are missed are from a fit that is astray, in units of how far they are from the medians. Of 108
# right fits beside errors of nine kinds 107 are below 2.2; where all but a band of a smooth matrix is missed it is 4 to
# 19.
_ASTRAY = 3.0
# Least share of an entry that is told by the others of its row: below it there is rounding alone.
_LEAST_ALONE = 1e-9
# Entries that are looked at to tell what a fit explains, and fewest rows.
_LOOKED_AT, _ROWS = 20_000, 60
# Least variance of the rows in the direction of their mean, in units of the square of that.
_LEAST_SPREAD = 1e-12
# Least density that counts.
_LEAST_DENSITY = float(np.finfo(np.float64).tiny)
# Largest residual, in units of the noise, squares of larger ones overflow; and least noise, in units of the data.
_LARGEST, _LEAST_NOISE = 1e100, 1e-14


class Missed(NamedTuple):
    """Errors at entries that are left out, the standard deviations expected of them, and the chances of gross errors.

    All but the last are multiplied by `root`, that of the weight of an entry or of the precision of its row.
    """

    error: np.ndarray
    deviation: np.ndarray
    gross: np.ndarray
    root: np.ndarray


@dataclass(frozen=True)
class SharpColumns:
    """The row space of a fit of a sharp rank as `columns` of a model, each in the `unit` times its `size`."""

    columns: Columns
    unit: float
    size: np.ndarray

    @classmethod
    def of(cls, entries: Entries, fit: LowRankFit, size: np.ndarray | None = None) -> SharpColumns | None:
        """The columns, apart from their covariances, in units of these sizes (None: all are one).

        None where the fit tells no noise, has no direction, or is larger than the data.
        """
        if not (np.isfinite(fit.threshold) and fit.rank and fit.scale > 0.0):
            return None
        n, p = entries.shape
        size = np.ones(p) if size is None else size
        top = float(fit.singular_values[0])
        whole = top / np.sqrt(float(n) * p) * float(np.linalg.norm(fit.singular_values / top)) if top > 0.0 else 0.0
        unit = max(whole, float(fit.scale))  # squares of extreme sizes are no numbers
        if not unit <= float(np.abs(entries.y).max()):
            return None
        loadings = (fit.right * (fit.singular_values / np.sqrt(n) / unit)).astype(np.float64) / size[:, None]
        k = loadings.shape[1]
        law = NoiseLaw.start(np.maximum(float(fit.scale) / unit / size, _LEAST_NOISE) ** 2, True)
        none = np.zeros((p, k * (k + 1) // 2))
        law = replace(law.without_wide(), common=True)
        return cls(Columns(loadings, none, np.zeros(p), law, center=np.zeros(k)), unit, size)

    @property
    def units(self) -> np.ndarray:
        """Unit of each column."""
        return self.unit * self.size

    @property
    def prior(self) -> np.ndarray:
        """Precision of the loadings before they are learnt: their size over all columns."""
        loadings = self.columns.loadings
        return len(loadings) / np.maximum(np.sum(loadings**2, axis=0), _LEAST_NOISE**2)

    def table(self, entries: Entries) -> Table:
        """Entries in the units."""
        return Table.of(entries, np.zeros(entries.shape[1]), self.units)

    def space(self, entries: Entries, seen: Entries) -> ModelSpace:
        """The space of one member, calibrated by some of these entries, of all those that were `seen`."""
        p, table = entries.shape[1], self.table(entries)
        missed, cols = self._held_out(table, _CALIBRATED)
        law, edge = self.columns.law, edge_power(len(seen.y), *seen.shape)
        error = np.clip(missed.deviation**2 / law.usual_variances[cols] - 1.0, 0.0, 1.0)
        error = float(np.mean(error)) if len(error) else 1.0
        return ModelSpace(
            names=(SHARP,),
            members=(self.columns,),
            weights=np.ones(1),
            shift=np.zeros(p),
            scale=self.units,
            low=np.full(p, -np.inf),
            high=np.full(p, np.inf),
            center=np.zeros(0),
            stuck=StuckValues.none(entries.dtype),
            screen=None,
            column_errors=np.full(p, np.nan),
            calibration=Calibration.of(missed.error, missed.deviation, 1.0 - missed.gross),
            share_beyond=share_beyond(power_of(self.columns.scaled, law), edge, error),
            usual_weight=table.usual_weight,
            tells_chance=entries.row_weight is None,
        )

    def deviations(self, entries: Entries) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations of the noise: of rows, in units of those of columns, and of columns."""
        noise = regress(self.table(entries), self.columns).noise
        rows = np.ones(entries.shape[0]) if noise is None else np.sqrt(noise)
        return rows, self.units * np.sqrt(self.columns.law.variances)

    def log_density(self, entries: Entries) -> np.ndarray:
        """Logarithms of the densities of some entries, each left out: they are the same for columns of other fits."""
        missed, cols = self._held_out(self.table(entries), _COMPARED)
        law = self.columns.law
        variance = np.maximum(missed.deviation**2 - law.usual_variances[cols], 0.0)
        density = missed.root * law.density(missed.error, variance, cols)
        return np.log(np.maximum(density, _LEAST_DENSITY)) - np.log(self.units[cols])

    def _held_out(self, table: Table, enough: int) -> tuple[Missed, np.ndarray]:
        """Errors at some entries that are left out, a tenth of all or `enough`, and the columns of these."""
        group = np.random.RandomState(0).randint(round(1.0 / HELD_OUT), size=len(table.values))
        n_groups = min(-(-enough // max(int(HELD_OUT * len(group)), 1)), group.max(initial=0) + 1)
        order = np.argsort(group, kind="stable")
        each = [self._missed(table, group == g) for g in range(n_groups)]
        cols = table.cols[order[: sum(len(part.error) for part in each)]]
        return Missed(*(np.concatenate(part) for part in zip(*each, strict=True))), cols

    def predicted(self, entries: Entries, held: np.ndarray, limits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Estimates of the entries of a mask, each left out, within these limits."""
        table, cols, y = self.table(entries), entries.cols[held], entries.y[held].astype(np.float64)
        missed = self._missed(table, held)
        estimate = y + missed.error / missed.root * self.units[cols]
        return np.clip(estimate, *(limit[cols] for limit in limits))

    def _missed(self, table: Table, held: np.ndarray) -> Missed:
        """Errors at entries that are left out of their rows, and of their columns by the leverage they have there."""
        columns, test = self.columns, table.subset(held)
        posterior = regress(table.subset(~held), columns)
        mean, variance = moments(posterior, columns, test)
        core = columns.law.variances[test.cols]
        test = test.with_noise_of_rows(posterior.noise)
        error, variance = test.root_weight * (mean - test.values), test.root_weight**2 * variance
        gross = columns.law.weigh(error**2 * core / (core + variance), test.cols).gross
        u = test.root_weight[:, None] * posterior.means[test.rows]
        leverage = np.einsum("pk,pkl,pl->p", u, unpack(columns.covariances)[test.cols], u) / core
        free = np.maximum(1.0 - (1.0 - gross) * leverage, LEAST_FREE)
        noise = columns.law.usual_variances[test.cols]
        return Missed(error / free, np.sqrt(variance / free + noise), gross, test.root_weight)


@dataclass(frozen=True)
class _Looked:
    """Some of many entries of a matrix, and what a fit of all leaves of them, in double precision.

    `alone` is the share of an entry of each column that the other columns tell: one minus the leverage; `alone_in_rows`
    is that of an entry of each row that the other rows tell.
    """

    rows: np.ndarray
    cols: np.ndarray
    y: np.ndarray
    rest: np.ndarray
    alone: np.ndarray
    alone_in_rows: np.ndarray

    @classmethod
    def at(cls, entries: Entries, fit: LowRankFit) -> _Looked:
        """Entries of enough rows."""
        n, p = entries.shape
        rows = np.arange(n) % max(min(len(entries.y) // _LOOKED_AT, n // _ROWS), 1) == 0
        some = entries if rows.all() else entries.part(rows, np.ones(p, dtype=bool))
        y, cols = some.y.astype(np.float64), some.cols
        fitted = np.einsum("pk,pk->p", fit.factors.left[rows][some.rows], fit.right[cols], dtype=np.float64)
        alone, in_rows = (
            np.maximum(1.0 - np.sum(part.astype(np.float64) ** 2, axis=1), _LEAST_ALONE)
            for part in (fit.right, fit.left[rows])
        )
        with np.errstate(over="ignore"):  # where errors are the largest numbers
            return cls(some.rows, cols, y, y - fitted, alone, in_rows)


class Explained(NamedTuple):
    """What a fit and the medians of the columns miss the entries by, and the columns that it explains nothing of.

    The former is in units of the threshold, beyond which all count alike. What the fit misses an entry by is told by
    the other columns of its row: the residual over one minus the leverage of its column, for a direction of its own
    meets all of a column and says nothing of a missing entry. Columns that are `lost`, a mask, meet far fewer entries
    than all do, and their medians explain them as well, in these units and in their own. Of many entries some are
    looked at. How far those that are missed are from the fit, in units of how far they, or the others of their columns,
    are from the medians, tells how far it is `astray`: errors are as far from both. Those may be the `tail` of noise.
    An exact fit may be a part of one of a few directions more.
    """

    by_fit: float
    by_median: float
    lost: np.ndarray
    astray: float
    tail: bool
    is_part: bool

    @classmethod
    def of(cls, entries: Entries, fit: LowRankFit) -> Explained:
        """By a fit of the entries."""
        cols, y, left, alone = (getattr(_Looked.at(entries, fit), name) for name in ("cols", "y", "rest", "alone"))
        n, p, is_exact = len(entries.y), entries.shape[1], fit.verdict.code is StopReason.EXACT
        seen = np.bincount(cols, minlength=p)
        order = sorted_within(cols, y, p)
        middle = y[order[np.minimum(np.cumsum(seen) - seen + seen // 2, len(order) - 1)]]
        reach = max(float(fit.threshold), np.finfo(np.float64).tiny)
        rest = np.abs(left)
        with np.errstate(over="ignore", divide="ignore"):
            sizes = rest / alone[cols], np.abs(y - middle[cols])
            met = np.bincount(cols, sizes[0] <= reach, p)
            by_fit, by_median = (np.bincount(cols, np.minimum(size / reach, 1.0), p) for size in sizes)
            tail = not is_exact and are_tail_of_noise(left / (fit.row_scale * np.sqrt(alone[cols])), cols)
        lost = broken(met, seen) & (by_fit > by_median - _TELLS * seen)
        for j in np.flatnonzero(lost):  # one of much noise has that, but less than the medians leave
            typical = (float(np.median(size[cols == j])) for size in sizes)
            lost[j] = next(typical) > _AS_FAR * next(typical)
        missed, unit = rest > reach, np.bincount(cols, np.minimum(sizes[1], _LARGEST), p) / np.maximum(seen, 1)
        unit = np.where(unit > 0.0, unit, 1.0)[cols[missed]]
        far, usual = (np.minimum(size[missed], _LARGEST) / unit for size in (rest, sizes[1]))
        astray = float(np.sum(far) / np.sum(np.maximum(usual, 1.0))) if missed.any() else 0.0
        is_part = is_exact and may_be_part(entries.shape, fit.rank, n - round(n * float(np.mean(missed))), n)
        return cls(float(by_fit.sum()), float(by_median.sum()), lost, astray, tail, is_part)

    @property
    def is_much(self) -> bool:
        """Whether the fit explains more than medians do."""
        return self.by_fit < (1.0 - _TELLS) * self.by_median

    @property
    def is_less(self) -> bool:
        """Whether medians explain more than the fit does."""
        return self.by_median < (1.0 - _TELLS) * self.by_fit

    @property
    def is_all(self) -> bool:
        """Whether the fit explains more than medians do, in all columns, and what it misses is no more than errors."""
        return self.is_much and not (self.lost.any() or self.is_part or self.astray > _ASTRAY)


class OwnNoise(NamedTuple):
    """Noise variances of columns, in units of that of a fit, and whether rows have some of their own, too."""

    variances: np.ndarray
    of_rows: bool

    @classmethod
    def of(cls, entries: Entries, fit: LowRankFit) -> OwnNoise | None:
        """Those beside a noisy fit; None where they may be one and the same, or nothing is told of noise.

        Some row or column must be likelier by far under a noise scale of its own than with a share of errors of its
        own, in units of what one more parameter is worth (G. Schwarz, "Estimating the dimension of a model", Annals of
        Statistics 6, 1978). Of many, of few entries each, all together may be, by one for each parameter (H. Akaike, "A
        new look at the statistical model identification", IEEE Transactions on Automatic Control 19, 1974).
        """
        if fit.verdict.code is StopReason.EXACT or SharpColumns.of(entries, fit) is None:
            return None
        looked, p = _Looked.at(entries, fit), entries.shape[1]
        with np.errstate(over="ignore"):  # beside extreme errors
            rest = looked.rest / (fit.scale * np.sqrt(looked.alone[looked.cols] * looked.alone_in_rows[looked.rows]))
        rest = np.minimum(np.abs(rest), _LARGEST)
        of_rows = _noise_of_lines(rest, np.unique(looked.rows, return_inverse=True)[1])
        of_columns = _noise_of_lines(rest, looked.cols, p)
        if of_rows.is_own and (of_rows.beyond > of_columns.beyond or not of_columns.is_own):
            return cls(np.ones(p), True)
        return cls(of_columns.variances, False) if of_columns.is_own else None


class _NoiseOfLines(NamedTuple):
    """Noise variances of lines, rows or columns, and the log-likelihood that each gains beside a share of errors.

    `most` is what the best of them gains in units of what a parameter is worth.
    """

    variances: np.ndarray
    gain: np.ndarray
    most: float

    @property
    def beyond(self) -> float:
        """What those gain together that gain more than a parameter is worth."""
        return float(np.sum(np.maximum(self.gain - 1.0, 0.0)))

    @property
    def is_own(self) -> bool:
        """Whether one of them has noise of its own beyond doubt, or all together."""
        n = len(self.gain)
        return self.most > _OWN or (self.beyond > _OWN_OF_ALL * n and float(np.mean(self.gain)) > 0.0)


def _noise_of_lines(rest: np.ndarray, lines: np.ndarray, n_lines: int = 0) -> _NoiseOfLines:
    """That of residuals in units of a common noise, each in one of the `lines`."""
    n_lines = max(n_lines, int(lines.max(initial=0)) + 1)
    common = own = replace(NoiseLaw.start(np.ones(n_lines), True).without_wide(), common=True)
    for _ in range(_NOISE_SWEEPS):
        common = common.update(rest**2, common.weigh(rest**2, lines), lines)
        variances = own.variances_of_lines(rest**2 / own.variances[lines], lines, n_lines, FREEDOM)
        apart = rest**2 / variances[lines]
        own = own.update(apart, own.weigh(apart, lines), lines)
    variances = variances * own.variances
    gain = np.log(
        np.maximum(replace(own, variances=variances).density(rest, np.zeros(len(rest)), lines), _LEAST_DENSITY)
    )
    gain -= np.log(np.maximum(_with_own_shares(common, rest, lines), _LEAST_DENSITY))
    gained, count = np.bincount(lines, gain, n_lines), np.bincount(lines, minlength=n_lines)
    return _NoiseOfLines(variances, gained, float(np.max(gained / (0.5 * np.log(np.maximum(count, _ROWS))))))


def _with_own_shares(law: NoiseLaw, rest: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Densities under a law with one noise scale, each line with a share of gross errors of its own."""
    n_lines = len(law.variances)
    core, gross = (
        replace(law, shares=np.array(part)).density(rest, np.zeros(len(rest)), lines) for part in ([1, 0, 0], [0, 0, 1])
    )
    share, seen = np.full(n_lines, law.shares[2]), np.bincount(lines, minlength=n_lines)
    for _ in range(_NOISE_SWEEPS):
        wrong = share[lines] * gross
        wrong /= np.maximum(wrong + (1.0 - share[lines]) * core, _LEAST_DENSITY)
        share = (np.bincount(lines, wrong, n_lines) + law.shares[2]) / (seen + 1.0)
    return (1.0 - share[lines]) * core + share[lines] * gross


def _centred(columns: Columns, mean: np.ndarray) -> Columns:
    """The same columns where coefficients of rows, which have this `mean` and moments of one, are whitened about it.

    What tells nothing of a row then leaves it at the mean of all, not at zero.
    """
    size = float(mean @ mean)
    if not size > 0.0:
        return columns
    left = np.sqrt(max(1.0 - size, _LEAST_SPREAD))  # of the direction of the mean: the others keep their spread
    loadings = columns.loadings + np.outer(columns.loadings @ mean, (left - 1.0) / size * mean)
    return replace(columns, loadings=loadings, center=mean / left)


def refined_columns(
    entries: Entries, fit: LowRankFit, own: OwnNoise | None = None, size: np.ndarray | None = None
) -> SharpColumns | None:
    """The columns of a sharp fit refined, with the joint covariance of their loadings: see :func:`swept_columns`."""
    found = swept_columns(entries, fit, own, size)
    if found is None:
        return None
    table, columns = found.table(entries), found.columns
    rows = regress(table, columns)
    joint = joint_root(table, rows.means, rows.precision, columns.loadings, found.prior)
    return replace(found, columns=replace(columns, joint=joint))


def swept_columns(
    entries: Entries, fit: LowRankFit, own: OwnNoise | None = None, size: np.ndarray | None = None
) -> SharpColumns | None:
    """The columns of a sharp fit refined by all entries and their precisions, and by the noise of each column.

    `own` are variances of that to begin at (None: all columns have the same noise), `size` the units in which the noise
    of columns is drawn to a common one (None: those of the data). None where it has none to refine, or where the noise
    is that of rounding: next to nothing of it is left.

    The fit, of some entries or without the precisions, has told inliers from outliers. From there posteriors of rows
    and columns alternate under a robust law of one noise scale, that of an entry of weight one, without a wide part:
    what is beyond the noise is an error.
    """
    start = SharpColumns.of(entries, fit, size)
    if start is None:
        return None
    columns = _centred(start.columns, np.sqrt(entries.shape[0]) * fit.left.astype(np.float64).mean(axis=0))
    if own is not None:
        law = replace(columns.law, variances=own.variances * columns.law.variances, common=False)
        columns = replace(columns, law=replace(law, freedom=FREEDOM if own.of_rows else np.inf))
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = replace(start, columns=sweep_until_settled(start.table(entries), columns, free=0))
    except np.linalg.LinAlgError:  # beside so little noise the last directions are rounding
        return None
    noise = float(np.mean(found.columns.law.variances))
    return found if np.isfinite(noise) and noise >= _VANISHES * np.mean(columns.law.variances) else None
