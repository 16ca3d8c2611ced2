"""Several noise laws fitted to one matrix, averaged with the medians of its columns by their held-out errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from .._operators.observed import Entries
from .._utils.linalg import unpack
from .._utils.rules import NORMAL_MEDIAN
from .._utils.values import Factors
from .calibration import Calibration
from .joint import joint_root
from .noise import NoiseLaw
from .posterior import Columns, Table, columns_of, moments, regress, signal, start_columns, sweep_until_settled
from .space import ModelSpace, Screen
from .stuck import find_stuck_values

# Most directions; most entries that loadings are learnt from, or those times columns (of more, those of some rows);
# share that is held out.
_MOST_DIRECTIONS, _MOST_ENTRIES, _COLUMN_ENTRIES, _HELD_OUT = 20, 30_000, 50, 0.1
# Scales of its column beyond which a held-out entry may be a gross error, which says nothing of a fit.
_FENCE = 3.0
# Sizes whose squares are numbers.
_EXTREME = 1e100
# Weight from which a member counts, and held-out error, in units of the mean one, beyond which it is all one.
_LEAST_WEIGHT, _FAR = 0.02, 1e4
# Share of the held-out error of the medians of the columns that a useful approximation saves.
_USEFUL = 0.1
# Weight of what is common beside the held-out errors of a column, in entries.
_COMMON = 5.0
# Sweeps over all entries after those over what is not held out: of nine real tables the error is the same with 15.
_LAST_SWEEPS = 6


@dataclass(frozen=True)
class Averaged:
    """The averaged model of a matrix: its space, and what it misses held-out entries by.

    It was learnt from `entries`, those of the `rows` of a mask. `held` masks the entries that were held out and are not
    beyond the fence; `missed` are the absolute errors at them, and `baseline` those of the medians, in units of the
    scale of each column. `signal` is the power of each direction under the likeliest law, in units of the most that a
    direction of noise has; there may be `most` of them.
    """

    space: ModelSpace
    entries: Entries
    rows: np.ndarray
    held: np.ndarray
    missed: np.ndarray
    baseline: np.ndarray
    signal: np.ndarray
    most: int

    @property
    def error_share(self) -> float:
        """Share of the entries that the robust members take for something else than noise: wide or gross; else 0."""
        space = self.space
        robust = [(w, c.law.shares[0]) for w, c in zip(space.weights, space.members, strict=True) if c.law.robust]
        total = sum(weight for weight, _ in robust)
        return 1.0 - sum(weight * core for weight, core in robust) / total if total else 0.0

    @property
    def is_useful(self) -> bool:
        """Whether it predicts held-out entries better than the medians of the columns beyond doubt."""
        return self.gained > _USEFUL

    @property
    def gained(self) -> float:
        """Share of the held-out errors of the medians of the columns that it saves: of their mean and of their median.

        Errors in the data that are not known stand in both and in the way of the mean.
        """
        if not self.baseline.any():
            return 0.0
        mean = np.mean(self.missed) / np.mean(self.baseline)
        median = np.median(self.missed) / np.median(self.baseline) if np.median(self.baseline) else mean
        return 1.0 - float(np.sqrt(mean * median))


def fit_average(
    entries: Entries, rank: int | None = None, start: Callable[[Table], Factors | None] | None = None
) -> Averaged | None:
    """Fit noise laws to some of the rows, and average them and the medians by their held-out errors.

    None where columns have sizes whose squares are no numbers.

    `start` returns factors of an estimate of a table: where the leading directions of the matrix are those of gross
    errors, a robust law comes to a good solution from there alone.
    """
    rows = _sample_rows(entries)
    entries = entries if rows.all() else entries.part(rows, np.ones(entries.shape[1], dtype=bool))
    shift, scale, low, high = _even_units(entries)
    if not (scale.min() > 1.0 / _EXTREME and max(scale.max(), np.abs(shift).max()) < _EXTREME):
        return None
    table = Table.of(entries, shift, scale)
    k = max(min(entries.shape[0] - 1, entries.shape[1] - 1, _MOST_DIRECTIONS if rank is None else rank), 1)
    stuck = find_stuck_values(entries, table, k)
    if len(stuck.cols):
        entries = entries.subset(~stuck.among(entries))
        table = Table.of(entries, shift, scale)
    held = np.random.RandomState(0).uniform(size=len(table.values)) < _HELD_OUT
    train, test = table.subset(~held), table.subset(held)
    robust = sweep_until_settled(train, start_columns(train, k, True))
    screen = Screen.of(table, robust)
    near = ~screen.hides(table)
    narrow, of_train = table.subset(near), train.subset(near[~held])
    fitted = [sweep_until_settled(of_train, start_columns(of_train, k, False)), robust]
    estimate = None if start is None else start(train)
    if estimate is not None:
        begin = columns_of(train, *estimate, k)
        fitted += [] if begin is None else [sweep_until_settled(train, begin)]
    bounds = (low - shift) / scale, (high - shift) / scale
    names = [*("normal", "robust", "robust from descent")[: len(fitted)], "medians"]
    fitted.append(_no_directions(table))
    predictions, variances = [], []
    for columns in fitted:
        rows_of = regress(train if columns.law.robust else of_train, columns)
        predicted, variance = moments(rows_of, columns, test)
        predictions.append(np.clip(predicted, bounds[0][test.cols], bounds[1][test.cols]))
        variances.append(variance)
    missed = np.array(predictions) - test.values
    weights = least_absolute_weights(missed)
    kept = np.flatnonzero(weights > _LEAST_WEIGHT)
    weights = weights[kept] / weights[kept].sum()
    members = [fitted[i] for i in kept]
    calibration = _calibrate_average(test, members, weights, missed[kept], np.array(variances)[kept])
    members = [
        sweep_until_settled(table if columns.law.robust else narrow, columns, n_sweeps=_LAST_SWEEPS, free=0)
        if columns.loadings.any()
        else columns
        for columns in members
    ]
    members = [_with_joint(table if columns.law.robust else narrow, columns) for columns in members]
    within = np.abs(test.values) <= _FENCE
    error = np.abs(weights @ missed[kept])[within]
    noise = np.sqrt(weights @ [columns.law.inlier_variances for columns in members])
    likeliest = members[int(np.argmax(weights))]
    space = ModelSpace(
        names=tuple(names[i] for i in kept),
        members=tuple(members),
        weights=weights,
        shift=shift,
        scale=scale,
        low=low,
        high=high,
        center=np.zeros(0),
        stuck=stuck,
        screen=screen,
        column_errors=_column_errors(error**2, test.cols[within], noise),
        calibration=calibration,
    )
    return Averaged(
        space=space,
        entries=entries,
        rows=rows,
        held=held & (np.abs(table.values) <= _FENCE),
        missed=error,
        baseline=np.abs(test.values[within]),
        signal=np.sort(signal(likeliest.loadings, likeliest.law, table))[::-1],
        most=k,
    )


def least_absolute_weights(missed: np.ndarray) -> np.ndarray:
    """Weights of the average with the least absolute held-out error, from errors (members, entries).

    That is a linear program. Its dual is solved, which has one constraint a member. This is stacking (D. H. Wolpert,
    "Stacked generalization", Neural Networks 5, 1992; L. Breiman, "Stacked regressions", Machine Learning 24, 1996).
    """
    if not missed.size:
        return np.full(len(missed), 1.0 / len(missed))
    size = float(np.mean(np.abs(missed), axis=1).min()) or 1.0
    scaled = np.clip(missed / size, -_FAR, _FAR)
    n_members, n = scaled.shape
    solution = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.column_stack([scaled, np.ones(n_members)]),
        b_ub=np.zeros(n_members),
        bounds=[(-1.0, 1.0)] * n + [(None, None)],
        method="highs",
    )
    if solution.status != 0:  # the best alone
        return (np.arange(n_members) == np.argmin(np.mean(np.abs(missed), axis=1))).astype(np.float64)
    weights = np.maximum(-solution.ineqlin.marginals, 0.0)
    return weights / weights.sum()


def _no_directions(table: Table) -> Columns:
    """The medians alone, rank 0: what no average of models is to be worse than."""
    p, cols, squares = table.shape[1], table.cols, table.values**2
    law = NoiseLaw.start(np.ones(p), True)
    for _ in range(_LAST_SWEEPS):
        law = law.update(squares, law.weigh(squares, cols), cols)
    return Columns(np.zeros((p, 1)), np.zeros((p, 1)), np.zeros(p), law)


def _with_joint(table: Table, columns: Columns) -> Columns:
    """Columns with the joint covariance of their loadings, by the posterior weights of the entries."""
    if not columns.loadings.any():
        return columns
    rows = regress(table, columns)
    power = np.sum(columns.loadings**2, axis=0) + np.diag(unpack(columns.covariances.sum(axis=0)))
    root = joint_root(table, rows.means, rows.precision, columns.loadings, len(columns.loadings) / power)
    return replace(columns, joint=root)


def _calibrate_average(
    test: Table, members: list[Columns], weights: np.ndarray, missed: np.ndarray, variances: np.ndarray
) -> Calibration:
    """Held-out errors of the average beside what its members predict of them; `missed` and `variances` are theirs."""
    error = weights @ missed
    noise = np.array([columns.law.inlier_variances[test.cols] for columns in members])
    spread = weights @ (variances + noise + (missed - error) ** 2)
    gross, sure = np.zeros(len(error)), 0.0
    for weight, columns, rest, variance in zip(weights, members, missed, variances, strict=True):
        if columns.law.robust:
            core = columns.law.variances[test.cols]
            gross += weight * columns.law.weigh(rest**2 * core / (core + variance), test.cols).gross
            sure += weight
    return Calibration.of(error, np.sqrt(spread), 1.0 - gross)


def _column_errors(squares: np.ndarray, cols: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Root mean squares of the held-out errors of each column, drawn to a common multiple of its noise."""
    total = np.bincount(cols, squares, minlength=len(noise))
    count = np.bincount(cols, minlength=len(noise))
    common = np.sum(squares) / max(float(np.sum(noise[cols] ** 2)), np.finfo(np.float64).tiny)
    return np.sqrt((total + _COMMON * common * noise**2) / (count + _COMMON))


def _even_units(entries: Entries) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Median, robust scale, least and largest value of each column; of an empty one 0, 1, 0 and 0."""
    p = entries.shape[1]
    shift, scale, low, high = np.zeros(p), np.ones(p), np.zeros(p), np.zeros(p)
    order = np.argsort(entries.cols, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(entries.cols, minlength=p))])
    values = entries.y[order].astype(np.float64)
    for j in np.flatnonzero(np.diff(bounds)):
        column = values[bounds[j] : bounds[j + 1]]
        shift[j] = np.median(column)
        away = column - shift[j]
        top = float(np.abs(away).max()) or 1.0  # squares of extremes overflow
        scale[j] = float(np.median(np.abs(away))) / NORMAL_MEDIAN or float(np.std(away / top)) * top or 1.0
        low[j], high[j] = column.min(), column.max()
    return shift, scale, low, high


def _sample_rows(entries: Entries) -> np.ndarray:
    """Mask of evenly spaced rows with about as many entries as loadings are learnt from; all where there are few."""
    n, p = entries.shape
    stride = -(-len(entries.y) // max(_MOST_ENTRIES, _COLUMN_ENTRIES * p))
    return np.arange(n) % stride == 0
