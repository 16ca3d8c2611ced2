"""What is known of the estimates of a fit beside their values: the posterior that standard errors are taken from."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import sparse

from .._model.columns import Columns
from .._model.joint import joint_root
from .._model.noise import NoiseLaw
from .._model.space import ModelSpace
from .._model.table import Table
from .._operators.observed import Entries
from .._utils.linalg import pack
from .._utils.values import StopReason
from .matrix_fit import MatrixFit
from .sharp import HELD_OUT, SharpColumns

# Entries that held-out errors are taken at.
_CALIBRATED = 3000
# Sweeps that the shares of the noise law take.
_SWEEPS = 3


def posterior_of(entries: Entries, found: MatrixFit) -> ModelSpace | None:
    """The space and calibration that the uncertainty of a fit is computed on; None: it is exact, or tells nothing.

    Of a fit of a sharp rank it has one member: Gaussian errors about the factors of least squares (the Laplace
    approximation of the posterior), with the noise scale of the fit.
    """
    repeated, known = found.fit.repeated, found.space.known
    told = entries.without(repeated)
    if known is not None and known.any():
        told = told.subset(known[told.cols])
    posterior = _posterior(told, found)
    if posterior is not None and repeated is not None:
        posterior = posterior.without(repeated)
    return posterior if posterior is None or known is None or not known.any() else posterior.blind(~known)


def _posterior(entries: Entries, found: MatrixFit) -> ModelSpace | None:
    """The same of a fit to all entries."""
    fit, undetermined = found.fit, found.fit.verdict.code is StopReason.UNDETERMINED
    if isinstance(found.space, ModelSpace) and not (found.space.is_sharp and undetermined):
        return found.space
    if undetermined or fit.verdict.code is StopReason.EXACT:
        return None
    sharp = SharpColumns.of(entries, fit)
    if sharp is None:
        return None
    n, p = entries.shape
    u = fit.left.astype(np.float64) * np.sqrt(n)
    rows = np.arange(n) % max(round(len(entries.y) * HELD_OUT / _CALIBRATED), 1) == 0
    some = entries if rows.all() else entries.part(rows, np.ones(p, dtype=bool))
    table = sharp.table(some)
    reach = fit.threshold / sharp.unit
    columns = replace(sharp.columns, law=_shares(table, u[rows], sharp.columns))
    columns = replace(columns, covariances=_covariances(entries, u, replace(sharp, columns=columns), reach))
    if rows.all():
        columns = replace(columns, joint=_joint(table, u, replace(sharp, columns=columns), reach))
    return replace(sharp, columns=columns).space(some, entries)


def _shares(table: Table, u: np.ndarray, columns: Columns) -> NoiseLaw:
    """The noise law with the shares that residuals speak for; what is wide is an error, for the fit has told noise."""
    law, squares = columns.law, _residual(table, u, columns) ** 2
    for _ in range(_SWEEPS):
        learnt = law.update(squares, law.weigh(squares, table.cols), table.cols)
        law = replace(law, shares=learnt.without_wide().shares, spread=learnt.spread)
    return law


def _residual(table: Table, u: np.ndarray, columns: Columns) -> np.ndarray:
    return table.values - np.einsum("pk,pk->p", u[table.rows], columns.loadings[table.cols])


def _covariances(entries: Entries, u: np.ndarray, sharp: SharpColumns, reach: float) -> np.ndarray:
    """Packed covariances of the loadings of each column, of least squares in the rows u, by the inliers."""
    columns = sharp.columns
    p, k = columns.loadings.shape
    normal = np.zeros((p, k * k))
    for lo, hi in pairwise(entries.bounds()):
        indptr, cols, y, _ = entries.block(lo, hi)
        table, own = Table(indptr, cols, y / sharp.unit, (hi - lo, p)), u[lo:hi]
        precision = (np.abs(_residual(table, own, columns)) <= reach) / columns.law.variances[cols]
        weight = sparse.csr_matrix((precision, cols, indptr), shape=table.shape)
        normal += weight.T @ (own[:, :, None] * own[:, None]).reshape(hi - lo, -1)
    return pack(np.linalg.inv(normal.reshape(p, k, k) + np.diag(sharp.prior)))


def _joint(table: Table, u: np.ndarray, sharp: SharpColumns, reach: float) -> np.ndarray | None:
    """Root of the joint covariance of the loadings, by the inliers; None where it takes too long."""
    columns = sharp.columns
    precision = (np.abs(_residual(table, u, columns)) <= reach) / columns.law.variances[table.cols]
    return joint_root(table, u, precision, columns.loadings, sharp.prior)
