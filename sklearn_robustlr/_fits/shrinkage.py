"""Fits with noise drawn towards what is likely beforehand: the posterior mean in place of least squares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._model.measured import fit_measured, takes_too_long
from .._operators.base import evaluate
from .._solvers.gauss_newton import reweighted
from .._utils.ranks import largest_rank
from .._utils.values import Factors, Fit, StopReason
from .measurements import Outcome

# Directions of the residuals that are looked at beyond those of the fit.
_FURTHER = 2
# Rise of the squares of residuals, in units of what the noise has moved a fit by, beyond which a posterior mean is
# lost. Of 68 problems of independent matrices they rise by 0.13 at most. Where these have much in common (sums over
# boxes, means of 1 to 10) the error is 1.1 to 18 times as large where they rise by 0.3 and more, up to 44.
_MOST_RISE = 0.25


def shrunk(outcome: Outcome, weight: np.ndarray | None = None) -> Outcome:
    """The posterior mean near a fit with noise, whose inliers it keeps; `weight` is the precision of measurements.

    Where it would take too long, where residuals are heavy-tailed and of a symmetric matrix the fit stays as it is, but
    for a `weight`, by which its inliers are fitted again. Noise scale and degrees of freedom stay those of the fit.
    """
    fit, options = outcome.best.fit, outcome.options
    if outcome.best.verdict.code is StopReason.NOISY and options.polish and not (fit.heavy_tailed or options.symmetric):
        found = _posterior_mean(outcome, weight)
        if found is not None:
            return replace(outcome, best=replace(outcome.best, fit=found, rank=found.rank))
    if weight is None:
        return outcome
    fit = reweighted(outcome.problem.base, fit, weight, symmetric=options.symmetric)
    return replace(outcome, best=replace(outcome.best, fit=fit))


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
