"""A fit of a sharp rank as a model of tables: one member, whose noise has one scale; and what a fit explains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._model.beyond import edge_power, share_beyond
from .._model.calibration import Calibration
from .._model.joint import joint_root
from .._model.noise import NoiseLaw
from .._model.posterior import Columns, moments, power_of, regress, sweep_until_settled
from .._model.space import SHARP, ModelSpace
from .._model.stuck import StuckValues
from .._model.table import Table
from .._operators.observed import Entries
from .._solvers.mending import broken
from .._utils.linalg import unpack
from .._utils.rules import LEAST_FREE
from .measurements import LowRankFit

#: Share of the entries that is left out of its rows to calibrate intervals.
HELD_OUT = 0.1
# Held-out errors that are enough for a calibration: of fewer entries several groups are held out by turns.
_CALIBRATED = 1000
# Variance of the noise of a refined fit, in units of that before, from which it vanishes.
_VANISHES = 0.01
#: Mean of what is missed, in units of the threshold and at most that, by which a fit is to be better than medians.
TELLS = 0.1
# Entries that are looked at to tell what a fit explains, and fewest rows.
_LOOKED_AT, _ROWS = 20_000, 60
# Least noise, in units of the data.
_LEAST_NOISE = 1e-14


class Missed(NamedTuple):
    """Errors at entries that are left out, the standard deviations expected of them, and the chances of gross errors.

    They are in units of the weight of each entry, where it has one.
    """

    error: np.ndarray
    deviation: np.ndarray
    gross: np.ndarray


@dataclass(frozen=True)
class SharpColumns:
    """The row space of a fit of a sharp rank as `columns` of a model, and the `unit` that they are in."""

    columns: Columns
    unit: float

    @classmethod
    def of(cls, entries: Entries, fit: LowRankFit) -> SharpColumns | None:
        """The columns, apart from their covariances.

        None where the fit tells no noise, has no direction, or is larger than the data.
        """
        if not (np.isfinite(fit.threshold) and fit.rank and fit.scale > 0.0):
            return None
        n, p = entries.shape
        top = float(fit.singular_values[0])
        size = top / np.sqrt(float(n) * p) * float(np.linalg.norm(fit.singular_values / top)) if top > 0.0 else 0.0
        unit = max(size, float(fit.scale))  # squares of extreme sizes are no numbers
        if not unit <= float(np.abs(entries.y).max()):
            return None
        loadings = (fit.right * (fit.singular_values / np.sqrt(n) / unit)).astype(np.float64)
        k = loadings.shape[1]
        law = NoiseLaw.start(np.full(p, max(float(fit.scale) / unit, _LEAST_NOISE) ** 2), True)
        none = np.zeros((p, k * (k + 1) // 2))
        law = replace(law.without_wide(), common=True)
        return cls(Columns(loadings, none, np.zeros(p), law, learns_mean=False), unit)

    @property
    def prior(self) -> np.ndarray:
        """Precision of the loadings before they are learnt: their size over all columns."""
        loadings = self.columns.loadings
        return len(loadings) / np.maximum(np.sum(loadings**2, axis=0), _LEAST_NOISE**2)

    def table(self, entries: Entries) -> Table:
        """Entries in the unit."""
        p = entries.shape[1]
        return Table.of(entries, np.zeros(p), np.full(p, self.unit))

    def space(self, entries: Entries, seen: Entries) -> ModelSpace:
        """The space of one member, calibrated by some of these entries, of all those that were `seen`."""
        p = entries.shape[1]
        table = self.table(entries)
        group = np.random.RandomState(0).randint(round(1.0 / HELD_OUT), size=len(table.values))
        n_groups = min(-(-_CALIBRATED // max(int(HELD_OUT * len(group)), 1)), group.max(initial=0) + 1)
        held = group < n_groups
        order = np.argsort(group[held], kind="stable")
        each = [self._missed(table, group == g) for g in range(n_groups)]
        missed = Missed(*(np.concatenate(part) for part in zip(*each, strict=True)))
        law, edge = self.columns.law, edge_power(len(seen.y), *seen.shape)
        error = missed.deviation**2 / law.inlier_variances[table.cols[held][order]] - 1.0
        error = float(np.mean(np.clip(error, 0.0, 1.0))) if len(error) else 1.0
        return ModelSpace(
            names=(SHARP,),
            members=(self.columns,),
            weights=np.ones(1),
            shift=np.zeros(p),
            scale=np.full(p, self.unit),
            low=np.full(p, -np.inf),
            high=np.full(p, np.inf),
            center=np.zeros(0),
            stuck=StuckValues.none(entries.dtype),
            screen=None,
            column_errors=np.full(p, np.sqrt(np.mean(missed.deviation**2)) if held.any() else np.nan),
            calibration=Calibration.of(missed.error, missed.deviation, 1.0 - missed.gross),
            share_beyond=share_beyond(power_of(self.columns.loadings, law), edge, error),
            usual_weight=table.usual_weight,
        )

    def missed(self, entries: Entries, held: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Absolute errors at the entries of a mask, each left out, in units of the scale of its column."""
        return np.abs(self._missed(self.table(entries), held).error) * self.unit / scale[entries.cols[held]]

    def _missed(self, table: Table, held: np.ndarray) -> Missed:
        """Errors at entries that are left out of their rows, and of their columns by the leverage they have there."""
        columns, test = self.columns, table.subset(held)
        posterior = regress(table.subset(~held), columns)
        mean, variance = moments(posterior, columns, test)
        core = columns.law.variances[test.cols]
        error, variance = test.root_weight * (mean - test.values), test.root_weight**2 * variance
        gross = columns.law.weigh(error**2 * core / (core + variance), test.cols).gross
        u = test.root_weight[:, None] * posterior.means[test.rows]
        leverage = np.einsum("pk,pkl,pl->p", u, unpack(columns.covariances)[test.cols], u) / core
        free = np.maximum(1.0 - (1.0 - gross) * leverage, LEAST_FREE)
        noise = columns.law.inlier_variances[test.cols]
        return Missed(error / free, np.sqrt(variance / free + noise), gross)


class Explained(NamedTuple):
    """How many entries of each column there are, how many a fit meets, and what it and their medians miss them by.

    That is in units of the threshold, beyond which all count alike. Of many entries some are looked at.
    """

    seen: np.ndarray
    met: np.ndarray
    by_fit: np.ndarray
    by_median: np.ndarray

    @classmethod
    def of(cls, entries: Entries, fit: LowRankFit) -> Explained:
        """By a fit of the entries."""
        n, p = entries.shape
        rows = np.arange(n) % max(min(len(entries.y) // _LOOKED_AT, n // _ROWS), 1) == 0
        some = entries if rows.all() else entries.part(rows, np.ones(p, dtype=bool))
        y, cols = some.y.astype(np.float64), some.cols
        fitted = np.einsum("pk,pk->p", fit.factors.left[rows][some.rows], fit.right[cols], dtype=np.float64)
        seen = np.bincount(cols, minlength=p)
        order = np.lexsort((y, cols))
        middle = y[order[np.minimum(np.cumsum(seen) - seen + seen // 2, len(order) - 1)]]
        reach = max(float(fit.threshold), np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):  # where errors are the largest numbers
            rest = np.abs(fitted - y)
            sizes = (np.minimum(size / reach, 1.0) for size in (rest, np.abs(y - middle[cols])))
            by_fit, by_median = (np.bincount(cols, size, p) for size in sizes)
        return cls(seen, np.bincount(cols, rest <= reach, p), by_fit, by_median)

    def lost(self, margin: float) -> np.ndarray:
        """Mask of the columns that meet far fewer entries than all do, and that medians explain better by a margin."""
        return broken(self.met, self.seen) & (self.by_fit - self.by_median > margin * self.seen)

    @property
    def is_much(self) -> bool:
        """Whether the fit explains more than medians do."""
        return float(self.by_fit.sum()) < (1.0 - TELLS) * float(self.by_median.sum())

    @property
    def is_all(self) -> bool:
        """Whether the fit explains more than medians do, in all columns."""
        return self.is_much and not self.lost(-TELLS).any()


def refined_columns(entries: Entries, fit: LowRankFit) -> SharpColumns | None:
    """The columns of a sharp fit refined by all entries and their precisions.

    None where it has none to refine, or where next to nothing is left of the noise: it was that of rounding.

    The fit, of some entries or without the precisions, has told inliers from outliers. From there posteriors of rows
    and columns alternate under a robust law of one noise scale, that of an entry of weight one, without a wide part:
    what is beyond the noise is an error.
    """
    start = SharpColumns.of(entries, fit)
    if start is None:
        return None
    table = start.table(entries)
    found = replace(start, columns=sweep_until_settled(table, start.columns, free=0))
    if found.columns.law.variances[0] < _VANISHES * start.columns.law.variances[0]:
        return None
    rows = regress(table, found.columns)
    joint = joint_root(table, rows.means, rows.precision, found.columns.loadings, found.prior)
    return replace(found, columns=replace(found.columns, joint=joint))
