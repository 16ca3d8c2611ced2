"""The fit of any measurements: from the user's units to those of the solver, and the result back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._operators.base import FAR_APART, Measurements
from .._operators.units import Problem, make_problem
from .._selection.candidates import Solution
from .._selection.evidence import is_better, least_value
from .._selection.restarts import run_starts
from .._solvers.mixture import unbiased_scale
from .._utils.linalg import degrees_of_freedom, product_svd
from .._utils.rules import exact_scale, flag_width
from .._utils.values import Factors, Fit, Masks, Options, StopReason, Verdict, is_exact

# Share of the other values that a limit of a range is below, or above, and of the estimates at it that are there or
# beyond: 0.99 and more of those of noisy matrices of rank 3 that were cut off at their 10 or 30 % quantile.
_LIMIT = 0.9


@dataclass(frozen=True)
class LowRankFit:
    """A fit in the user's units: X = left diag(singular_values) right^T.

    `outliers` are the flags of the measurements in their order, `scale` is the noise scale, `threshold` the residual
    beyond which a value is flagged. `sharp`: no stage of the fit had a doubt that its rank is the true one. The
    `repeated` values keep coming back and have nothing to do with it (None: there are none).
    """

    left: np.ndarray
    singular_values: np.ndarray
    right: np.ndarray
    rank: int
    scale: float
    threshold: float
    heavy_tailed: bool
    outliers: np.ndarray
    verdict: Verdict
    n_iter: int
    history: dict
    restart_scores: np.ndarray
    sharp: bool = False
    repeated: np.ndarray | None = None

    @property
    def converged(self) -> bool:
        """Whether the fit is to be trusted."""
        return self.verdict.converged

    @property
    def factors(self) -> Factors:
        """Factors whose product is X."""
        return Factors(self.left * self.singular_values, self.right)

    @property
    def row_scale(self) -> float:
        """Noise scale that rows are regressed with: that of the flags, so that rounding counts as noise."""
        return min(self.threshold / flag_width(self.heavy_tailed), np.finfo(np.float64).max)

    def expected_errors(self, noise: np.ndarray | float) -> np.ndarray:
        """Errors of a hidden entry of each column: the `noise` of these and that of the fit, in units of their sd."""
        n, p = len(self.left), len(self.right)
        if not self.converged:
            return np.full(p, np.nan)
        factors = (self.left - self.left.mean(axis=0)).astype(np.float64)
        spread = (self.right * (self.singular_values / np.sqrt(max(n - 1, 1)))).astype(np.float64)
        top = max(float(np.abs(spread).max(initial=0.0)), float(np.max(noise))) or 1.0  # squares of extremes overflow
        spread, noise = spread / top, noise / top
        variance = np.einsum("jk,kl,jl->j", spread, factors.T @ factors, spread) + noise**2
        share = degrees_of_freedom((n, p), self.rank) / max(float(np.sum(~self.outliers)), 1.0)
        return noise * np.sqrt((1.0 + share) / np.where(variance > 0.0, variance, np.inf))

    def is_of_means(self, n_entries: int) -> bool:
        """Whether nothing but the means of columns stands out of its noise, if it is one of so many entries."""
        left, right = (factor.astype(np.float64) for factor in self.factors)
        leading, shape = float(product_svd(left - left.mean(axis=0), right)[1][0]), (len(left), len(right))
        return leading <= least_value(self.scale, n_entries / (shape[0] * shape[1]), shape)

    def with_factors(self, left: np.ndarray, right: np.ndarray) -> LowRankFit:
        """The same fit with X = left right^T, in the type that it had."""
        dtype = self.left.dtype
        u, s, v = product_svd(left, right)
        return replace(self, left=u.astype(dtype), singular_values=s.astype(dtype), right=v.astype(dtype))

    def beside(self, shift: np.ndarray) -> LowRankFit:
        """The same fit beside a value of each column, which is one direction more, if it has not that of these too."""
        left = np.column_stack([self.factors.left, np.ones(len(self.left))]).astype(np.float64)
        u, s, v = product_svd(left, np.column_stack([self.right, shift]).astype(np.float64))
        kept = s > np.finfo(self.left.dtype).eps * (len(u) + len(v)) * s[0]
        return replace(self.with_factors(u[:, kept] * s[kept], v[:, kept]), rank=int(kept.sum()))

    def in_units(self, units: np.ndarray) -> LowRankFit:
        """The same fit where columns are in other units, in which the present ones are these.

        Its right vectors are from the factors: what is small in a column of small units is as exact as the rest.
        """
        left, right = (factor.astype(np.float64) for factor in self.factors)
        right *= units[:, None]
        fit = self.with_factors(left, right)
        s = fit.singular_values.astype(np.float64)
        exact = right @ (left.T @ fit.left.astype(np.float64)) / np.where(s > 0.0, s, np.inf)
        return replace(fit, right=exact.astype(self.right.dtype))


@dataclass(frozen=True)
class Outcome:
    """What the starts came to, in the units of the solver."""

    problem: Problem
    options: Options
    best: Solution
    scores: np.ndarray
    repeated: np.ndarray | None
    are_single: bool

    def in_user_units(self) -> LowRankFit:
        """The fit in the units of the data."""
        problem, best = self.problem, self.best
        fit = best.fit
        u, s, v = problem.finalise(fit.u, fit.s, fit.v, symmetric=self.options.symmetric)
        check_size(s)
        # Signs: the largest component of each left vector is positive, as in scikit-learn's svd_flip.
        signs = np.sign(u[np.argmax(np.abs(u), axis=0), np.arange(u.shape[1])])
        signs[signs == 0] = 1
        threshold = outlier_threshold(fit)
        if self.are_single and is_exact(fit):
            threshold = above_rounding(threshold, problem.base.y, fit.residual)
        return LowRankFit(
            left=u * signs,
            singular_values=s,
            right=v * signs,
            rank=best.rank,
            scale=noise_scale(fit) * problem.scale,
            threshold=threshold * problem.scale,
            heavy_tailed=fit.heavy_tailed,
            outliers=np.abs(fit.residual) > threshold,
            verdict=best.verdict,
            n_iter=self.options.meter.count,
            history=best.history.as_arrays(problem),
            restart_scores=self.scores,
            sharp=best.sharp,
            repeated=self.repeated,
        )


def fit_measurements(
    measurements: Measurements,
    options: Options,
    start: Factors | None = None,
    *,
    whole: bool = True,
    masks: Masks | None = None,
) -> Outcome:
    """Fit measurements from one start or several.

    `start` are factors of a fit to nearly the same data, in the user's units. `whole` says that the measurements are
    all of the data, but for rows and columns of too few entries: callbacks are then given estimators that can predict.
    `masks` are the rows and columns that they measure (None: all).
    """
    problem = make_problem(measurements, symmetric=options.symmetric)
    progress = None if options.report is None else options.report(problem, whole, masks)
    begin = None if start is None else problem.from_user_units(*start, symmetric=options.symmetric)
    best, scores = run_starts(problem, options, start=begin, progress=progress)
    if problem.work is not problem.base and not is_exact(best.fit) and measurements.has_unlike_sizes(FAR_APART):
        best = _as_they_are(problem, options, begin, best)
    repeated = None if best.left_out is None else _unrelated(best, measurements.y, best.left_out)
    return Outcome(problem, options, best, scores, repeated, are_single(measurements.y))


def _as_they_are(problem: Problem, options: Options, start: Factors | None, found: Solution) -> Solution:
    """The fit of measurements of unlike sizes as they are, if the data speak for it rather than for what was found.

    Small ones that are nothing but noise count as much as the others where sizes are evened. Beside 500 ordinary ones
    (20 x 15, rank 2, 5 % noise) three times as many of a hundredth of the size made the error 1.5 instead of 0.02.
    """
    if found.verdict.code is StopReason.INTERRUPTED or not options.polish:
        return found
    plain, _ = run_starts(replace(problem, work=problem.base), options, start=start)
    if plain.converged != found.converged:
        return plain if plain.converged else found
    return plain if is_better(plain.fit, found.fit, problem.base, symmetric=options.symmetric) else found


def _unrelated(solution: Solution, y: np.ndarray, repeated: np.ndarray) -> np.ndarray | None:
    """Values that keep coming back, a mask, and have nothing to do with a fit; None: there are none.

    A value that is filled in or stuck has nothing to do with the estimates. One that was cut off says that its row is
    there or beyond: nearly none of the others are beyond it, and the estimates are.
    """
    reach, others = outlier_threshold(solution.fit), y[~repeated]
    apart = []
    for value in np.unique(y[repeated]):
        rest = solution.fit.residual[y == value]
        is_least, is_largest = (float(np.mean(side)) < 1.0 - _LIMIT for side in (others < value, others > value))
        below, above = float(np.mean(rest <= reach)), float(np.mean(rest >= -reach))
        if not ((is_least and below > _LIMIT) or (is_largest and above > _LIMIT)):
            apart.append(value)
    return np.array(apart, y.dtype) if apart else None


def check_size(singular_values: np.ndarray) -> None:
    """Refuse what cannot be represented: values near the largest number have singular values beyond it."""
    if not np.isfinite(singular_values).all():
        top = np.finfo(singular_values.dtype).max
        raise ValueError(
            f"The data are too large: singular values of the low-rank matrix exceed {top:.2g}, the largest number of "
            f"type {singular_values.dtype}. Divide X (or y) by a power of ten."
        )


def are_single(values: np.ndarray) -> bool:
    """Whether most values in double precision have been numbers in single precision before: by chance few are."""
    if values.dtype != np.float64:
        return False
    with np.errstate(over="ignore"):
        return bool(2 * np.count_nonzero(values == values.astype(np.float32)) > len(values))


def above_rounding(threshold: float, values: np.ndarray, residual: np.ndarray) -> float:
    """A threshold, or the rounding to single precision of the largest value that is met but for that."""
    rounding = float(np.finfo(np.float32).eps) * np.abs(values)
    return max(threshold, float(np.max(rounding[np.abs(residual) <= rounding], initial=0.0)))


def noise_scale(fit: Fit) -> float:
    """Standard deviation of the residuals of the inliers, in the units of the fit."""
    if is_exact(fit):
        inlier = np.abs(fit.residual) <= outlier_threshold(fit)
        return float(np.sqrt(np.mean(fit.residual[inlier].astype(np.float64) ** 2)))
    return float(fit.scale) if fit.heavy_tailed else unbiased_scale(fit)


def outlier_threshold(fit: Fit) -> float:
    """Residual beyond which a value is flagged, in the units of the fit."""
    if is_exact(fit):
        return flag_width(fit.heavy_tailed) * max(fit.scale, exact_scale(fit.residual.dtype))
    return flag_width(fit.heavy_tailed) * noise_scale(fit)
