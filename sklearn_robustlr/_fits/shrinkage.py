"""Fits with noise drawn towards what is likely beforehand: the posterior mean in place of least squares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._model.measured import fit_measured, takes_too_long
from .._model.rows import regress
from .._operators.base import Measurements, evaluate
from .._operators.entries import EntryMeasurements
from .._operators.observed import Entries
from .._solvers.gauss_newton import reweighted
from .._utils.ranks import largest_rank
from .._utils.values import Factors, Fit, StopReason
from .measurements import LowRankFit, Outcome
from .sharp import swept_columns

# Directions of the residuals that are looked at beyond those of the fit.
_FURTHER = 2
# Rise of the squares of residuals, in units of what the noise has moved a fit by, beyond which a posterior mean is
# lost. Of 68 problems of independent matrices they rise by 0.13 at most. Where these have much in common (sums over
# boxes, means of 1 to 10) the error is 1.1 to 18 times as large where they rise by 0.3 and more, up to 44.
_MOST_RISE = 0.25


def shrunk(measurements: Measurements, outcome: Outcome, weight: np.ndarray | None = None) -> LowRankFit:
    """The posterior mean near a fit, in the user's units; `weight` is the precision of measurements.

    Where it would take too long, where residuals are heavy-tailed and of a symmetric matrix the fit stays as it is, but
    for a `weight`, by which its inliers are fitted again. Noise scale and degrees of freedom stay those of the fit. Of
    entries rows and columns are drawn towards the others even if the fit is not to be trusted: those of few entries
    would be anywhere.
    """
    best, options = outcome.best, outcome.options
    fit, code = best.fit, best.verdict.code
    may_be_drawn = options.polish and not options.symmetric and code not in (StopReason.EXACT, StopReason.INTERRUPTED)
    if may_be_drawn and isinstance(measurements, EntryMeasurements):
        told = outcome.in_user_units()
        drawn = _drawn_to_others(measurements, told, weight)
        if drawn is not None and not (told.converged and _has_lost(measurements, told, drawn, fit.dof)):
            return drawn
    if may_be_drawn and code is StopReason.NOISY and not fit.heavy_tailed:
        found = _posterior_mean(outcome, weight)
        if found is not None:
            return replace(outcome, best=replace(best, fit=found, rank=found.rank)).in_user_units()
    if weight is not None:
        fit = reweighted(outcome.problem.base, fit, weight, symmetric=options.symmetric)
    return replace(outcome, best=replace(best, fit=fit)).in_user_units()


def _drawn_to_others(measurements: EntryMeasurements, fit: LowRankFit, weight: np.ndarray | None) -> LowRankFit | None:
    """The posterior means of rows and columns by turns; None where the fit has no direction, or no noise.

    They begin at a fit of which no row or column is larger, in root mean square, than any target.
    """
    entries = _merged(measurements, fit.outliers, weight).without(fit.repeated)
    most = float(np.abs(entries.y).max(initial=0.0))
    if not most > 0.0:
        return None
    left, right = (part.astype(np.float64) for part in (fit.left, fit.right))
    for _ in range(2):  # rows, and then columns
        size = np.linalg.norm(left * (fit.singular_values / most / np.sqrt(len(right))), axis=1)
        left /= np.maximum(size, 1.0)[:, None]
        left, right = right, left
    columns = swept_columns(entries, fit.with_factors(left * fit.singular_values, right))
    if columns is None:
        return None
    rows = regress(columns.table(entries), columns.columns)
    found = fit.with_factors(rows.means, columns.columns.loadings * columns.units[:, None])
    return replace(found, rank=len(found.singular_values))


def _has_lost(measurements: EntryMeasurements, fit: LowRankFit, drawn: LowRankFit, dof: int) -> bool:
    """Whether posterior means are further from the inliers than all that noise has moved a fit by: a part is lost."""
    inlier = ~fit.outliers
    old, new = (
        np.linalg.norm(evaluate(measurements, one.left, one.singular_values, one.right)[inlier].astype(np.float64))
        for one in (fit, drawn)
    )
    return bool(new > old + np.sqrt(dof) * fit.scale)


def _merged(measurements: EntryMeasurements, outliers: np.ndarray, weight: np.ndarray | None) -> Entries:
    """The entries of a matrix: of those that are measured several times the mean, without outliers among others."""
    entries = measurements.first_of_each()
    if len(entries.y) == len(measurements.y):
        return entries.weighted(weight)
    new = (np.diff(measurements.rows) != 0) | (np.diff(measurements.cols) != 0)
    first = np.flatnonzero(np.append(True, new))
    place = np.append(0, np.cumsum(new))
    mass = np.ones(len(place)) if weight is None else weight.astype(np.float64)
    right = np.add.reduceat(np.where(outliers, 0.0, mass), first)
    mass = np.where(outliers & (right[place] > 0.0), 0.0, mass)
    total = np.add.reduceat(mass, first)
    mean = np.add.reduceat(mass * measurements.y, first) / total
    return entries.with_values(mean.astype(entries.dtype)).weighted(total)


def _posterior_mean(outcome: Outcome, weight: np.ndarray | None) -> Fit | None:
    problem, fit = outcome.problem, outcome.best.fit
    measurements, inlier = problem.plain, fit.inlier_weight  # values that keep coming back have none
    d1, d2 = measurements.shape
    bound = min(d1, d2) if outcome.options.rank is None else outcome.options.rank
    # where weights are unequal the noise of a direction is not known
    used = int(np.count_nonzero(inlier))
    most = fit.rank if weight is not None else min(bound, largest_rank(measurements.shape, used))
    further = max(min(_FURTHER, most - fit.rank), 0)
    if takes_too_long(measurements, fit.rank + further):
        return None
    u, s, v = problem.to_plain(fit.u, fit.s, fit.v)
    if further:
        mean_square = float(measurements.squares(inlier.astype(np.float64)).sum()) / (d1 * d2)
        more, size, turned = measurements.leading((-fit.residual * inlier).astype(measurements.dtype), further)
        u, s, v = np.hstack([u, more]), np.append(s, size / mean_square), np.hstack([v, turned])
    root = np.sqrt(d1)
    try:
        u, s, v = problem.from_plain(
            *fit_measured(measurements, Factors(u * root, v * s / root), inlier, float(fit.scale), weight)
        )
    except np.linalg.LinAlgError:  # beside so little noise the normal equations are singular to rounding
        return None
    found = replace(fit, u=u, s=s, v=v, residual=evaluate(problem.base, u, s, v))
    return None if _rise(fit, found, weight) > _MOST_RISE else found


def _rise(fit: Fit, found: Fit, weight: np.ndarray | None) -> float:
    """What the squares of residuals of inliers rise by, in units of what the noise has moved a fit by.

    A posterior mean that is further from the inliers than that has lost some of the matrix: the covariance of the
    factors is taken to be that of measurements which have nothing in common.
    """
    inlier = fit.inlier_weight if weight is None else fit.inlier_weight * weight
    old, new = (float(np.sum(inlier * one.residual.astype(np.float64) ** 2)) for one in (fit, found))
    return (new - old) / max(fit.dof * float(fit.scale) ** 2, np.finfo(np.float64).tiny)
