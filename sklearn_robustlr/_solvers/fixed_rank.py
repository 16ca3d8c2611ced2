"""Fits of one rank to a problem: from a start by a descent and an efficient estimate, its broken rows mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .._operators.base import evaluate
from .._operators.entries import EntryMeasurements
from .._operators.units import Problem
from .._utils.checkpoint import stage
from .._utils.linalg import SVD, product_svd, told_by_others
from .._utils.stats import median_scale, quantile, robust_size
from .._utils.values import Fit, Options, is_exact, is_met
from .gauss_newton import MOST_CONJUGATE, UNFINISHED, least_squares, m_estimate
from .manifold import manifold_subgradient, truncate
from .mending import mend
from .misfit import bisquare, improves, with_missed_lines
from .mixture import SUPPORTED, has_enough_inliers, mean_log_density
from .starts import clipped_targets, spectral_start

# Where only an exact fit is wanted: of nine dense problems as many exact fits as with the schedule that is kept for
# the others, with 70 tangent spaces instead of 117; of 180 blocks of matrices 163 instead of 161, with 250 passes
# instead of 410.
_SCREENING = {"decay": 0.9, "fresh": 0}
# Share of the first step at which that ends: the estimate that follows goes on from there. And the bound on the fall of
# the scale in one of its steps, of entries, where a block of them that is spoilt by it is tried again in another way.
_NEAR, _NEAR_DENSE, _FREE_FALL = 1e-2, 1e-3, 0.03
# Gauss-Newton steps of a fit beside an exact one. With 14, as many of 20 matrices are right where 5 % of the signs are
# turned (8), and where 30 % of the values are stuck (13) (``structure.py``).
_FEW_STEPS = 4
# Inliers per degree of freedom below which a fit may be one of measurements that it has chosen. Of 268 problems with
# few measurements (``doubtful.py --row few``) 193 are right where it is compared with least squares, 183 without.
_CHOSEN = 2.5
# Least share of what a fit meets that others tell, below which the fit of one rank less does not see it. Of 160 small
# tables with a mean and huge errors, as single entries, 148 are right, with 0.35 and 0.5 149; beside a block of one
# value in a fifth of the rows and a quarter of the columns too little is left with 0.5.
_TOLD = 0.25


class FixedRank:
    """Fits of given ranks to a problem. Starts are in the coordinates of `problem.work`, fits in those of the base."""

    def __init__(self, problem: Problem, options: Options) -> None:
        self._problem, self._options = problem, options

    def truncated(self, left: np.ndarray, right: np.ndarray, k: int) -> SVD:
        """A start from factors; ranks beyond their width are filled up from what they leave."""
        symmetric, work = self._options.symmetric, self._problem.work
        u, s, v = truncate(left, right, k, symmetric=symmetric)
        if len(s) < k:
            rest = work.with_targets(-evaluate(work, u, s, v))
            more, size, turned = spectral_start(rest, k - len(s), symmetric=symmetric)
            left, right = np.hstack([u * s, more * size]), np.hstack([v, turned])
            u, s, v = truncate(left, right, k, floor=0.02, symmetric=symmetric)
        return SVD(u, s, v)

    def augmented(self, fit: Fit) -> SVD:
        """A start of one rank more: a fit, and the leading direction of what it leaves.

        An exact one leaves what it misses, as if that were noise.
        """
        base, symmetric = self._problem.base, self._options.symmetric
        missed = fit.residual[~is_met(fit) & (fit.residual != 0.0)] if is_exact(fit) else np.empty(0)
        scale = median_scale(missed) if len(missed) else fit.scale
        left = bisquare(fit.residual, scale) * fit.residual
        if not len(missed):
            left = with_missed_lines(left, fit, base)
        rest = base.with_targets(-left.astype(base.dtype))
        more, size, turned = spectral_start(rest, 1, symmetric=symmetric)
        start = product_svd(np.hstack([fit.u * fit.s, more * size]), np.hstack([fit.v, turned]), symmetric=symmetric)
        return self._problem.to_work(*start, symmetric=symmetric)

    def refit(
        self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, among: np.ndarray | None = None, few: bool = False
    ) -> Fit:
        """Fit the rank of a start by a descent, which sees the measurements `among` a mask, and an estimate."""
        *start, n_iter = self._stage("descent", self._descend, u, s, v, among)
        size = self._problem.work.size if among is None else int(np.count_nonzero(among))
        self._options.meter.add(n_iter, size, len(s))
        return self.estimate(*start, few=few)

    def refit_twice(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, few: bool = False) -> Fit:
        """Fit the rank of a start with a descent and without; the better of both.

        With half of the measurements wrong the first steps of a descent are long, and may lead astray.
        """
        again = self.refit(u, s, v, few=few)
        near = self.estimate(*self._problem.to_base(u, s, v, symmetric=self._options.symmetric), few=few)
        return near if improves(near, again) else again

    def reduced(self, fit: Fit, *, few: bool = False) -> Fit:
        """Fit one rank less, the descent seeing only what a fit meets.

        Errors look like one more direction where they are one-sided, or where the start did not tell them apart. The
        fit of one rank too many is then the truth but for a block of a few rows by columns, while that of the right
        rank may be stuck. What the former meets is nearly free of errors, so that a fresh start will do; least squares
        would still follow the few that are left, for they are huge, and so may the start: where others tell little of
        what is met, it is left out. Of 160 small tables with a mean and huge errors
        (``tests/fits/test_means_and_huge_errors.py``) 152 are right, 74 with what is met as it is. Measured with 10 to
        20 % of every kind of errors and 10 % noise, 60 problems of 40 to 60 rows and columns: from starts of size 1e-6
        to 1, 13 had a wrong fit for some size, most of them said to be right; with this, and small targets first, none.
        """
        if not self._problem.work.entrywise:  # a subset of dense measurements would be a copy
            # what an exact fit has too much may be next to nothing
            less = fit.u[:, :-1], fit.s[:-1], fit.v[:, :-1]
            again = self.estimate(*less, few=few)
            symmetric = self._options.symmetric
            return again if is_exact(again) else self.refit(*self._problem.to_work(*less, symmetric=symmetric), few=few)
        told = self._told_by_others(fit)
        met = (is_met(fit) if is_exact(fit) else fit.inlier_weight > 0.5) & (told > _TOLD)
        part = self._problem.work.subset(np.flatnonzero(met))
        values = clipped_targets(part) * told[met].astype(part.dtype)
        start = spectral_start(part, fit.rank - 1, values=values, symmetric=self._options.symmetric)
        return self.refit(*start, among=met, few=few)

    def _told_by_others(self, fit: Fit) -> np.ndarray:
        """Share of what a fit meets that others tell, of each measurement: all, but of entries.

        Errors that a direction meets are where it has most of a row or of a column to itself.
        """
        base = self._problem.base
        if not isinstance(base, EntryMeasurements):
            return np.ones(base.size)
        left, right = (told_by_others(np.sum(f.astype(np.float64) ** 2, axis=1), fit.rank) for f in (fit.u, fit.v))
        return left[base.rows] * right[base.cols]

    def estimate(
        self, u: np.ndarray, s: np.ndarray, v: np.ndarray, residual: np.ndarray | None = None, *, few: bool = False
    ) -> Fit:
        """Efficient estimate from a start in the coordinates of the base, its broken rows mended.

        Beside an exact fit only another exact one counts: with `few`, what is not on its way there after a few steps is
        left.
        """
        fit: Fit = self._stage("estimate", self._estimate, u, s, v, residual, few)
        self._options.meter.add(fit.n_iter, self._problem.base.size, (1 + MOST_CONJUGATE) * fit.rank)
        return fit

    def _stage(self, name: str, compute: Callable[..., Any], *what: Any) -> Any:
        """A stage of the fit, kept on disk where there is a checkpoint."""
        checkpoint = self._options.checkpoint
        return stage(checkpoint, name, lambda: compute(*what), self._problem, self._options.apart, what)

    def _descend(
        self, u: np.ndarray, s: np.ndarray, v: np.ndarray, among: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """The sub-gradient method from a start, in the coordinates of the base, and its iterations."""
        symmetric = self._options.symmetric
        work = self._problem.work if among is None else self._problem.work.subset(np.flatnonzero(among))
        size = robust_size(work.y, 0.5)
        first = max(quantile(np.abs(evaluate(work, u, s, v)), 0.5), 0.5 * size)
        schedule: dict[str, Any] = (
            _SCREENING | {"tol": _NEAR if work.entrywise else _NEAR_DENSE} if self._options.screening else {}
        )
        u, s, v = (factor.astype(work.dtype, copy=False) for factor in (u, s, v))
        u, s, v, residual, n_iter = manifold_subgradient(work, u, s, v, step=first, symmetric=symmetric, **schedule)
        # in other units an exact fit is as exact, but the way there may be too long
        if self._problem.is_uneven and quantile(np.abs(residual), 0.25) < UNFINISHED * size:
            even = m_estimate(work, u, s, v, symmetric=symmetric)
            u, s, v = (even.u, even.s, even.v) if is_exact(even) else (u, s, v)
        return *self._problem.to_base(u, s, v, symmetric=symmetric), n_iter

    def _estimate(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, residual: np.ndarray | None, few: bool) -> Fit:
        symmetric, base = self._options.symmetric, self._problem.base
        fall = _FREE_FALL if self._options.screening and base.entrywise else None
        how: dict[str, Any] = {"fall": fall} | ({"n_iter": _FEW_STEPS} if few else {})
        if residual is None and self._problem.is_uneven:
            residual = evaluate(base, u, s, v)
        fit = m_estimate(base, u, s, v, residual=residual, symmetric=symmetric, **how)
        if isinstance(base, EntryMeasurements) and (is_exact(fit) or not few):
            whole = base.mirrored() if symmetric else base
            for _ in range(3):
                left = evaluate(whole, fit.u, fit.s, fit.v) if symmetric else fit.residual
                u, s, v, changed = mend(whole, replace(fit, residual=left))
                if not changed:
                    break
                u, s, v = product_svd(u * s, v, symmetric=True) if symmetric else (u, s, v)
                better = m_estimate(base, u, s, v, symmetric=symmetric, **how)
                if not improves(better, fit):
                    break
                fit = better
        n_inliers = float(fit.inlier_weight.sum())
        may_choose = n_inliers < _CHOSEN * fit.dof or not has_enough_inliers(fit, of=SUPPORTED)
        if may_choose and not (few or is_exact(fit) or fit.heavy_tailed):
            other = least_squares(base, fit.u, fit.s, fit.v, symmetric=symmetric)
            # one that follows a part of the measurements is too good by what it has chosen
            chosen = max(_CHOSEN * fit.dof - n_inliers, 0.0) / base.size
            if has_enough_inliers(other) and mean_log_density(other) > mean_log_density(fit) - chosen:
                return other
        return fit
