"""What fits miss entries by: those that they are of, and those that the averaged model holds out."""

from __future__ import annotations

import numpy as np

from .._kernels.posterior import entry_means
from .._model.average import Averaged
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .._utils.rules import LEAST_FREE, flag_width
from .measurements import LowRankFit
from .sharp import SharpColumns


def misfit_of(entries: Entries, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What factors of rows and columns miss the entries by."""
    fitted = np.empty(len(entries.y))
    factors = (np.ascontiguousarray(factor, np.float64) for factor in (left, right))
    entry_means(entries.indptr, entries.cols, *factors, fitted)
    return fitted - entries.y


def predicted_errors(fit: LowRankFit, averaged: Averaged) -> np.ndarray | None:
    """Absolute errors that a fit makes at held-out entries, in even units; None: not known.

    Its rows are regressed on the other entries. Its columns have seen those of the inliers: their errors are divided by
    one minus the leverage of the entry in the regression of its column. Estimates of one that has converged stay in the
    range that is seen of a column; others may be far beyond it. One that has not converged although it is exact has met
    what it meets by chance, and tells nothing of the rest.
    """
    entries, held, model = averaged.entries, averaged.held, averaged.space
    u = fit.left[averaged.rows].astype(np.float64)
    row_scale = min(fit.threshold / flag_width(fit.heavy_tailed), np.finfo(np.float64).max)
    left = u * fit.singular_values
    space = RowSpace.learn(fit.right, left, slice(None), row_scale, efficient=not fit.heavy_tailed)
    if space.is_clean and not fit.converged:
        return None
    rows = space.regress(entries.subset(~held)).factors
    rest = entries.subset(held)
    y, missed = rest.y.astype(np.float64), space.residual(rest, rows).astype(np.float64)
    every = fit.left.astype(np.float64)  # columns are fitted to all rows
    gram = np.linalg.pinv(every.T @ every)
    seen = entries.seen()[1] / entries.shape[0]
    leverage = np.einsum("pk,kl,pl->p", u[rest.rows], gram, u[rest.rows]) / seen[rest.cols]
    residual = np.abs(space.residual(rest, left.astype(rest.dtype)).astype(np.float64))
    leverage[residual > fit.threshold] = 0.0
    estimate = y + missed / np.maximum(1.0 - leverage, LEAST_FREE)
    if fit.converged:
        estimate = np.clip(estimate, model.low[rest.cols], model.high[rest.cols])
    return averaged.miss(estimate, rest)


def missed_by(refined: SharpColumns, model: Averaged) -> np.ndarray:
    """Absolute errors of columns at the held-out entries of a model, in even units and its limits."""
    limits = model.space.between(*model.space.seen_range).seen_range
    rest = model.entries.subset(model.held)
    weight = 1.0 if rest.weight is None else np.sqrt(rest.weight)
    return weight * model.miss(refined.predicted(model.entries, model.held, limits), rest)
