"""What is known of the estimates of a fit beside their values: the posterior that standard errors are taken from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._kernels.posterior import posterior_rows
from .._model.calibration import Calibration
from .._model.joint import joint_root
from .._model.noise import NoiseLaw
from .._model.posterior import Columns, Table, moments, regress
from .._model.space import ModelSpace
from .._model.stuck import StuckValues
from .._operators.observed import Entries
from .._utils.linalg import unpack
from .._utils.values import StopReason
from .matrix import MatrixFit
from .measurements import LowRankFit

# Entries that held-out errors are taken at, and the share of those of some rows that they are.
_CALIBRATED, _HELD_OUT = 3000, 0.1
# Sizes whose squares are numbers, and least noise, in units of the data.
_EXTREME, _LEAST_NOISE = 1e100, 1e-9
# Precision of the prior of loadings, which are as a fit without one has found them.
_FLAT = 1e-9
# Sweeps that the shares of the noise law take.
_SWEEPS = 3
# Least share of an entry that is not its own leverage.
_LEAST_FREE = 1e-3


def posterior_of(entries: Entries, found: MatrixFit) -> ModelSpace | None:
    """The space and calibration that the uncertainty of a fit is computed on; None: it is exact, or tells nothing.

    Of a fit of a sharp rank it has one member: Gaussian errors about the factors of least squares (the Laplace
    approximation of the posterior), with the noise scale of the fit.
    """
    if isinstance(found.space, ModelSpace):
        return found.space
    fit = found.fit
    if fit.verdict.code is StopReason.EXACT or not (np.isfinite(fit.threshold) and fit.rank and fit.scale > 0.0):
        return None
    n, p = entries.shape
    if not 1.0 / _EXTREME < max(float(fit.singular_values[0]), float(fit.scale)) < _EXTREME:
        return None
    scale = max(float(np.linalg.norm(fit.singular_values / np.sqrt(n) / np.sqrt(p))), float(fit.scale))
    even = np.zeros(p), np.full(p, scale)
    loadings = (fit.right * (fit.singular_values / np.sqrt(n) / scale)).astype(np.float64)
    k = loadings.shape[1]
    law = NoiseLaw.start(np.full(p, max(float(fit.scale) / scale, _LEAST_NOISE) ** 2), True)
    first = Columns(loadings, np.zeros((p, k * (k + 1) // 2)), np.zeros(p), law)
    columns = _with_covariances(Table.of(entries, *even), fit, first, scale)
    space = ModelSpace(
        members=(columns,),
        weights=np.ones(1),
        shift=even[0],
        scale=even[1],
        low=np.full(p, -np.inf),
        high=np.full(p, np.inf),
        center=np.zeros(0),
        stuck=StuckValues(np.zeros(0, dtype=np.int64), np.zeros(0, entries.dtype)),
        screen=None,
        column_errors=np.full(p, np.nan),
        calibration=Calibration.of(np.zeros(0), np.zeros(0), np.zeros(0)),
    )
    return replace(space, calibration=_calibrate(entries, space))


def _with_covariances(table: Table, fit: LowRankFit, columns: Columns, scale: float) -> Columns:
    """Covariances of the loadings, of each column and joint, by the inliers; `scale` is the unit of the table."""
    u = fit.left.astype(np.float64) * np.sqrt(len(fit.left))
    rest = table.values - np.einsum("pk,pk->p", u[table.rows], columns.loadings[table.cols])
    inlier = np.abs(rest) <= fit.threshold / scale
    law = columns.law
    for _ in range(_SWEEPS):  # of the shares alone; what is wide is an error here, for the fit has said what noise is
        learnt = law.update(rest**2, law.weigh(rest**2, table.cols), table.cols)
        law = replace(law, shares=learnt.shares * [1.0, 0.0, 1.0] / (1.0 - learnt.shares[1]), spread=learnt.spread)
    columns = replace(columns, law=law)
    p, k = columns.loadings.shape
    precision = inlier / columns.law.variances[table.cols]
    turn = table.by_column
    means, packed = np.empty((p, k)), np.empty_like(columns.covariances)
    sure = np.zeros((len(u), packed.shape[1]))
    at = table.column_bounds, table.rows_by_column
    posterior_rows(*at, table.values[turn], precision[turn], u, sure, np.full(k, _FLAT), means, packed)
    columns = replace(columns, covariances=packed)
    return replace(columns, joint=joint_root(table, u, precision, columns.loadings, np.full(k, _FLAT)))


def _calibrate(entries: Entries, space: ModelSpace) -> Calibration:
    """Errors at entries that are left out of their rows, and of their columns by the leverage that they have there."""
    stride = max(round(len(entries.y) * _HELD_OUT / _CALIBRATED), 1)
    rows = np.arange(entries.shape[0]) % stride == 0
    if stride > 1:
        entries = entries.part(rows, np.ones(entries.shape[1], dtype=bool))
    (columns,) = space.members
    table = space.table(entries, 0, entries.shape[0])
    held = np.random.RandomState(0).uniform(size=len(table.values)) < _HELD_OUT
    test = table.subset(held)
    posterior = regress(table.subset(~held), columns)
    mean, variance = moments(posterior, columns, test)
    core = columns.law.variances[test.cols]
    missed = mean - test.values
    gross = columns.law.weigh(missed**2 * core / (core + variance), test.cols).gross
    u = posterior.means[test.rows]
    leverage = np.einsum("pk,pkl,pl->p", u, unpack(columns.covariances)[test.cols], u) / core
    free = np.maximum(1.0 - (1.0 - gross) * leverage, _LEAST_FREE)
    noise = columns.law.inlier_variances[test.cols]
    return Calibration.of(missed / free, np.sqrt(variance / free + noise), 1.0 - gross)
