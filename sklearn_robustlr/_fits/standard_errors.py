"""What is known of the estimates of a fit beside their values: the posterior that standard errors are taken from."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import sparse

from .._model.calibration import Calibration
from .._model.joint import joint_root
from .._model.noise import NoiseLaw
from .._model.posterior import Columns, Table, moments, regress
from .._model.space import ModelSpace
from .._model.stuck import StuckValues
from .._operators.observed import Entries
from .._utils.linalg import pack, unpack
from .._utils.rules import LEAST_FREE
from .._utils.values import StopReason
from .matrix import MatrixFit

# Entries that held-out errors are taken at, and the share of those of some rows that they are.
_CALIBRATED, _HELD_OUT = 3000, 0.1
# Least noise, in units of the data.
_LEAST_NOISE = 1e-9
# Sweeps that the shares of the noise law take.
_SWEEPS = 3


def posterior_of(entries: Entries, found: MatrixFit) -> ModelSpace | None:
    """The space and calibration that the uncertainty of a fit is computed on; None: it is exact, or tells nothing.

    Of a fit of a sharp rank it has one member: Gaussian errors about the factors of least squares (the Laplace
    approximation of the posterior), with the noise scale of the fit.
    """
    if isinstance(found.space, ModelSpace):
        return found.space
    fit = found.fit
    if fit.verdict.code in (StopReason.EXACT, StopReason.UNDETERMINED):
        return None
    if not (np.isfinite(fit.threshold) and fit.rank and fit.scale > 0.0):
        return None
    n, p = entries.shape
    top = float(fit.singular_values[0])
    size = top / np.sqrt(float(n) * p) * float(np.linalg.norm(fit.singular_values / top)) if top > 0.0 else 0.0
    scale = max(size, float(fit.scale))  # squares of extreme sizes are no numbers
    if not scale <= float(np.abs(entries.y).max()):  # a fit that has diverged
        return None
    u = fit.left.astype(np.float64) * np.sqrt(n)
    loadings = (fit.right * (fit.singular_values / np.sqrt(n) / scale)).astype(np.float64)
    k = loadings.shape[1]
    law = NoiseLaw.start(np.full(p, max(float(fit.scale) / scale, _LEAST_NOISE) ** 2), True)
    columns = Columns(loadings, np.zeros((p, k * (k + 1) // 2)), np.zeros(p), law)
    rows = np.arange(n) % max(round(len(entries.y) * _HELD_OUT / _CALIBRATED), 1) == 0
    some = entries if rows.all() else entries.part(rows, np.ones(p, dtype=bool))
    table = Table.of(some, np.zeros(p), np.full(p, scale))
    reach = fit.threshold / scale
    columns = replace(columns, law=_shares(table, u[rows], columns))
    columns = replace(columns, covariances=_covariances(entries, u, columns, scale, reach))
    if rows.all():
        columns = replace(columns, joint=_joint(table, u, columns, reach))
    return ModelSpace(
        names=("sharp",),
        members=(columns,),
        weights=np.ones(1),
        shift=np.zeros(p),
        scale=np.full(p, scale),
        low=np.full(p, -np.inf),
        high=np.full(p, np.inf),
        center=np.zeros(0),
        stuck=StuckValues.none(entries.dtype),
        screen=None,
        column_errors=np.full(p, np.nan),
        calibration=_calibrate(table, columns),
    )


def _shares(table: Table, u: np.ndarray, columns: Columns) -> NoiseLaw:
    """The noise law with the shares that residuals speak for; what is wide is an error, for the fit has told noise."""
    law, squares = columns.law, _residual(table, u, columns) ** 2
    for _ in range(_SWEEPS):
        learnt = law.update(squares, law.weigh(squares, table.cols), table.cols)
        law = replace(law, shares=learnt.without_wide().shares, spread=learnt.spread)
    return law


def _residual(table: Table, u: np.ndarray, columns: Columns) -> np.ndarray:
    return table.values - np.einsum("pk,pk->p", u[table.rows], columns.loadings[table.cols])


def _covariances(entries: Entries, u: np.ndarray, columns: Columns, scale: float, reach: float) -> np.ndarray:
    """Packed covariances of the loadings of each column, of least squares in the rows u, by the inliers."""
    p, k = columns.loadings.shape
    normal = np.zeros((p, k * k))
    for lo, hi in pairwise(entries.bounds()):
        indptr, cols, y, _ = entries.block(lo, hi)
        table, own = Table(indptr, cols, y / scale, (hi - lo, p)), u[lo:hi]
        precision = (np.abs(_residual(table, own, columns)) <= reach) / columns.law.variances[cols]
        weight = sparse.csr_matrix((precision, cols, indptr), shape=table.shape)
        normal += weight.T @ (own[:, :, None] * own[:, None]).reshape(hi - lo, -1)
    return pack(np.linalg.inv(normal.reshape(p, k, k) + np.diag(_prior(columns))))


def _prior(columns: Columns) -> np.ndarray:
    """Precision of the loadings before they are learnt: their size over all columns, as the model of entries has it."""
    return len(columns.loadings) / np.maximum(np.sum(columns.loadings**2, axis=0), _LEAST_NOISE**2)


def _joint(table: Table, u: np.ndarray, columns: Columns, reach: float) -> np.ndarray | None:
    """Root of the joint covariance of the loadings, by the inliers; None where it takes too long."""
    precision = (np.abs(_residual(table, u, columns)) <= reach) / columns.law.variances[table.cols]
    return joint_root(table, u, precision, columns.loadings, _prior(columns))


def _calibrate(table: Table, columns: Columns) -> Calibration:
    """Errors at entries that are left out of their rows, and of their columns by the leverage that they have there."""
    held = np.random.RandomState(0).uniform(size=len(table.values)) < _HELD_OUT
    test = table.subset(held)
    posterior = regress(table.subset(~held), columns)
    mean, variance = moments(posterior, columns, test)
    core = columns.law.variances[test.cols]
    missed = mean - test.values
    gross = columns.law.weigh(missed**2 * core / (core + variance), test.cols).gross
    u = posterior.means[test.rows]
    leverage = np.einsum("pk,pkl,pl->p", u, unpack(columns.covariances)[test.cols], u) / core
    free = np.maximum(1.0 - (1.0 - gross) * leverage, LEAST_FREE)
    noise = columns.law.inlier_variances[test.cols]
    return Calibration.of(missed / free, np.sqrt(variance / free + noise), 1.0 - gross)
