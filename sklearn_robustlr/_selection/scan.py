"""Fits of several ranks to one problem: what each direction gains, and which rank the data ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._operators.base import evaluate
from .._operators.entries import EntryMeasurements
from .._operators.units import Problem
from .._rows.mending import mend
from .._solvers.gauss_newton import least_squares, m_estimate
from .._solvers.manifold import manifold_subgradient, truncate
from .._solvers.misfit import bisquare
from .._solvers.mixture import mean_log_density
from .._solvers.starts import spectral_start
from .._utils.checkpoint import stage
from .._utils.linalg import SVD, product_svd
from .._utils.rules import exact_tolerance
from .._utils.stats import quantile, robust_size
from .._utils.values import Factors, Fit, Options, Watch, informative_count, is_exact, is_met
from .evidence import (
    EDGES,
    LEAST_EDGES,
    PROMISE,
    SUPPORTED,
    edges_between,
    gain,
    has_enough_inliers,
    improves,
    left_over,
    prefers_larger,
)
from .leverage import localised_mass

#: Fits that a screening scan makes until one is exact, and one that another model may end until its rank is found. Of
#: 136 matrices of a sharp rank the scan of one makes more.
PATIENCE = 6
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
# Ranks beyond one that leaves structure that are tried at a time; twice as many, or an eighth more, in all: data that
# are only nearly low-rank leave structure at any rank.
_FURTHER = 3
# Noise beside that of the fit of one rank less beyond which a fit is stuck. Of right ranks the next one leaves up to
# 1.2 times as much, where few measurements are inliers.
_STUCK = 1.3
# Inliers per degree of freedom below which a fit may be one of measurements that it has chosen. Of 268 problems with
# few measurements (``doubtful.py --row few``) 193 are right where it is compared with least squares, 183 without.
_CHOSEN = 2.5
# Share of inliers from which a fit is taken for one of the majority: with half of them wrong, a little less is found.
_HALF = 0.4


class Scan:
    """Fits of several ranks to one problem, each made once.

    `warm` is given where the factors are those of a fit already, of nearly the same data, and is what they leave of
    these: their own rank is estimated from there, and what they tell of smaller ranks is believed where it is clear.
    """

    def __init__(
        self,
        problem: Problem,
        left: np.ndarray,
        right: np.ndarray,
        options: Options,
        *,
        warm: np.ndarray | None = None,
        watch: Watch | None = None,
    ):
        self._problem, self._options = problem, options
        self._left, self._right = left, right
        self._warm, self._residual = (None if warm is None else left.shape[1]), warm
        self.fits: dict[int, Fit] = {}
        self.gave_up = self.stopped = self.is_spent = False
        self._patience, self._n_made = PATIENCE if options.screening else None, 0  # None: as many as it takes
        self._left_over: dict[int, tuple[Fit, float]] = {}
        self._watch = watch

    @contextmanager
    def patient_for(self, n_fits: int | None) -> Iterator[None]:
        """Give up after so many fits in all, none of them exact (None: as before); what is made within is kept."""
        before = self._patience
        self._patience = before if n_fits is None else n_fits
        try:
            yield
        finally:
            self._patience, self.gave_up = before, False

    def start(self, k: int) -> SVD:
        """Truncation of the given factors; ranks beyond their width are filled up from the residual."""
        symmetric, work = self._options.symmetric, self._problem.work
        u, s, v = truncate(self._left, self._right, k, symmetric=symmetric)
        if len(s) < k:
            rest = work.with_targets(-evaluate(work, u, s, v))
            more, size, turned = spectral_start(rest, k - len(s), symmetric=symmetric)
            left, right = np.hstack([u * s, more * size]), np.hstack([v, turned])
            u, s, v = truncate(left, right, k, floor=0.02, symmetric=symmetric)
        return SVD(u, s, v)

    def fit(self, k: int) -> Fit:
        """The fit of rank k, made where it has not been."""
        if k not in self.fits:
            self._n_made += 1
            if k == self._warm:
                symmetric = self._options.symmetric
                start = product_svd(self._left, self._right, symmetric=symmetric)
                u, s, v = self._problem.to_base(*start, symmetric=symmetric)
                self.fits[k] = self.estimate(u, s, v, self._residual)
            else:
                self.fits[k] = self.refit(*self.start(k))
            self._tell(k)
        return self.fits[k]

    def _tell(self, k: int) -> None:
        """Tell callbacks of a fit of rank k; one may ask for an end."""
        if self._watch is not None:
            fit = self.fits[k]
            u, s, v = self._problem.to_work(fit.u, fit.s, fit.v, symmetric=self._options.symmetric)
            self.stopped |= bool(self._watch(f"rank {k}", Factors(u * s, v)))

    def refit(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, among: np.ndarray | None = None) -> Fit:
        """Fit the rank of a start: sub-gradient on the manifold, efficient estimate, mended rows.

        `among`: mask of the measurements that the sub-gradient is to see.
        """
        *start, n_iter = self._stage("descent", self._descend, u, s, v, among)
        size = self._problem.work.size if among is None else int(np.count_nonzero(among))
        self._options.meter.add(n_iter, size)
        return self.estimate(*start)

    def better_of(self, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> Fit:
        """Fit the rank of a start with a descent and without; the better of both.

        With half of the measurements wrong the first steps of a descent are long, and may lead astray.
        """
        self._n_made += 2
        again = self.refit(u, s, v)
        near = self.estimate(*self._problem.to_base(u, s, v, symmetric=self._options.symmetric))
        return near if improves(near, again) else again

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
        u, s, v, _, n_iter = manifold_subgradient(work, u, s, v, step=first, symmetric=symmetric, **schedule)
        return *self._problem.to_base(u, s, v, symmetric=symmetric), n_iter

    def _reduce(self, fit: Fit) -> Fit:
        """Fit one rank less from a fit, its sub-gradient seeing only what that fit meets.

        Errors look like one more direction where they are one-sided, or where the start did not tell them apart. The
        fit of one rank too many is then the truth but for a block of a few rows by columns, while that of the right
        rank may be stuck. What the former meets is nearly free of errors, so that a fresh start will do; least squares
        would still follow the few that are left, for they are huge. Measured with 10 to 20 % of every kind of errors
        and 10 % noise, 60 problems of 40 to 60 rows and columns: from starts of size 1e-6 to 1, 13 had a wrong fit for
        some size, most of them said to be right; with this, and small targets first, none.
        """
        symmetric = self._options.symmetric
        if not self._problem.work.entrywise:  # a subset of dense measurements would be a copy
            less = fit.u[:, :-1], fit.s[:-1], fit.v[:, :-1]
            again = self.estimate(*less)  # what an exact fit has too much may be next to nothing
            return again if is_exact(again) else self.refit(*self._problem.to_work(*less, symmetric=symmetric))
        met = is_met(fit) if is_exact(fit) else fit.inlier_weight > 0.5
        part = self._problem.work.subset(np.flatnonzero(met))
        return self.refit(*spectral_start(part, fit.rank - 1, symmetric=symmetric), among=met)

    def _may_be_reduced(self, fit: Fit) -> bool:
        """Whether a direction of a fit may be that of errors: an exact one's may, that of few entries with noise."""
        return is_exact(fit) or (self._problem.work.entrywise and not fit.heavy_tailed and _is_localised(fit))

    def estimate(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, residual: np.ndarray | None = None) -> Fit:
        """Efficient estimate from a start in the coordinates of the base, its broken rows mended.

        Beside an exact fit only another exact one counts: what is not on its way there after a few steps is left.
        """
        few = any(is_exact(fit) for fit in self.fits.values())
        fit = self._stage("estimate", self._estimate, u, s, v, residual, few)
        self._options.meter.add(fit.n_iter, self._problem.base.size)
        return fit

    def _estimate(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, residual: np.ndarray | None, few: bool) -> Fit:
        symmetric, base = self._options.symmetric, self._problem.base
        fall = _FREE_FALL if self._options.screening and base.entrywise else None
        how: dict[str, Any] = {"fall": fall} | ({"n_iter": _FEW_STEPS} if few else {})
        fit = m_estimate(base, u, s, v, residual=residual, symmetric=symmetric, **how)
        if isinstance(base, EntryMeasurements) and not symmetric and (is_exact(fit) or not few):
            for _ in range(3):
                u, s, v, changed = mend(base, fit)
                if not changed:
                    break
                better = m_estimate(base, u, s, v, **how)
                if not improves(better, fit):
                    break
                fit = better
        if not (few or is_exact(fit) or fit.heavy_tailed or has_enough_inliers(fit, of=SUPPORTED)):
            other = least_squares(base, fit.u, fit.s, fit.v, symmetric=symmetric)
            # one that follows a part of the measurements is too good by what it has chosen
            chosen = max(_CHOSEN * fit.dof - float(fit.inlier_weight.sum()), 0.0) / base.size
            if has_enough_inliers(other) and mean_log_density(other) > mean_log_density(fit) - chosen:
                return other
        return fit

    def is_firm(self, fit: Fit) -> bool:
        """Whether a fit needs no comparison with one rank less.

        An exact one, where a majority is met, and needs the last direction: a smaller fit as good as that would meet
        measurements in common with it, far more than would make them one. A warm one, where the last direction is
        worth many noise edges. No direction may be that of a few rows or columns alone, as a block of one-sided errors
        is.
        """
        if _is_localised(fit):
            return False
        if fit.rank == self._warm and not is_exact(fit):
            symmetric, base = self._options.symmetric, self._problem.base
            rest = evaluate(base, fit.u[:, :-1], fit.s[:-1], fit.v[:, :-1])
            lost = edges_between(rest, fit.residual, fit.scale, base.shape, fit.rank - 1, symmetric)
            return not fit.heavy_tailed and lost > 10.0 * EDGES
        met = is_met(fit)
        count, n = np.count_nonzero(met), informative_count(fit)
        if not is_exact(fit) or count < 0.55 * n:
            return False
        part = evaluate(self._problem.base, fit.u[:, -1:], fit.s[-1:], fit.v[:, -1:]) + self._problem.base.y
        needed = np.abs(part[met]) > 10.0 * exact_tolerance(part.dtype)
        # of measurements that each see all of X, a fit as good as this one misses no more than it does
        missed = 0.5 * count if self._problem.work.entrywise else min(0.5 * count, n - count)
        return bool(np.count_nonzero(needed) > missed + 2 * fit.dof)

    def _promise(self, fit: Fit) -> float:
        """Noise edges that one more direction would gain if the others stayed as they are, from one adjoint pass.

        Nothing is told from a fit that leaves many errors: its scale is not that of the noise. Nor where measurements
        are few: a fit of one rank too many is then sometimes exact, and leads to the right one.
        """
        inlier = fit.inlier_weight if fit.informative is None else fit.inlier_weight[fit.informative]
        if (
            fit.heavy_tailed
            or fit.inlier_weight.sum() < 10.0 * fit.dof * (fit.rank + 1) / fit.rank
            or np.mean(inlier) < 0.6
        ):
            return np.inf
        base = self._problem.base
        weight = bisquare(fit.residual, fit.scale)
        u, _, v = base.leading(weight * fit.residual, 1)
        part = evaluate(base, u, np.ones(1, u.dtype), v) + base.y
        power = float(weight @ (part * part))
        if not power > 0.0:
            return 0.0
        rest = fit.residual - part * part.dtype.type((weight * part) @ fit.residual / power)
        return edges_between(fit.residual, rest, fit.scale, base.shape, fit.rank, self._options.symmetric)

    def _must_end(self) -> bool:
        """Whether the scan is to end: it was asked to, or has made all the fits or iterations that it may.

        Of the fits none is exact.
        """
        exact = any(is_exact(fit) for fit in self.fits.values())
        self.gave_up = self._patience is not None and not exact and self._n_made >= self._patience
        self.is_spent = not exact and self._options.meter.is_spent
        return self.gave_up or self.stopped or self.is_spent

    def prefers_larger(self, k: int, larger: int) -> bool:
        """Whether the data ask for the larger of two ranks."""
        small, large = self.fit(k), self.fit(larger)
        # measured by the noise of a fit that is stuck, all that the smaller one leaves would seem explained
        if (
            _is_stuck(large, small)
            and not small.heavy_tailed
            and np.mean(small.inlier_weight) > _HALF
            and improves(small, large)
        ):
            return False
        return prefers_larger(small, large, self._problem.base.shape, symmetric=self._options.symmetric)

    def choose(self, guess: int, limit: int) -> int:
        """Walk up while the data ask for more directions, then down while they do not ask for the last.

        Steps up grow with the rank, a quarter of it at a time, and are halved where one was too long.
        """
        k = min(guess, limit)
        stride = 1
        while k < limit and not is_exact(self.fit(k)):
            step = min(max(stride, 1), limit - k)
            if self._promise(self.fit(k)) < PROMISE:
                break
            if self._must_end():
                break
            if self.prefers_larger(k, k + step):
                k += step
                stride = max(stride, k // 4, 1)
            elif step > 1:
                stride = step // 2
                limit = k + step - 1
            else:
                break
        k = self._walk_down(k)
        limit = min(limit, k + max(2 * _FURTHER, k // 8))
        while k < limit and (self.has_structure_left(k) or self.is_stuck(k + 1)):
            further = range(k + 1, min(k + _FURTHER, limit) + 1)
            larger = next((j for j in further if not self._must_end() and self._explains(j, k)), k)
            if larger == k:
                break
            before, down = self.fit(k), self._walk_down(larger)
            if down <= k and self.fit(down) is not before:  # of a rank too many, the right one has been found
                return down
            k = down if down > k else larger  # else by the word of the residuals alone
        return k

    def _walk_down(self, k: int) -> int:
        """Largest of the ranks up to k whose last direction the data ask for."""
        while k > 1 and not self.is_firm(self.fit(k)) and not self._must_end():
            if is_exact(self.fit(k)) and k - 1 not in self.fits:
                self.fits[k - 1] = self._reduce(self.fit(k))
                self._n_made += 1
                self._tell(k - 1)
            elif self._may_be_reduced(self.fit(k)) and self.prefers_larger(k - 1, k):
                again = self._reduce(self.fit(k))
                if improves(again, self.fit(k - 1)):
                    self.fits[k - 1] = again
            if self.prefers_larger(k - 1, k):
                break
            k -= 1
        return k

    def is_stuck(self, k: int) -> bool:
        """Whether a fit that was made leaves far more noise than that of one rank less: it says nothing of its rank."""
        if k not in self.fits or self._options.screening:
            return False
        return _is_stuck(self.fits[k], self.fit(k - 1))

    def _explains(self, larger: int, k: int) -> bool:
        """Whether a larger rank explains what rank k leaves, fitted from there too.

        With the word of the residuals a direction need gain no more than noise would, if nothing is left after it.
        """
        again = self.better_of(*self._augmented(larger - 1))  # a descent may lose the weak direction again
        if larger not in self.fits or improves(again, self.fits[larger]):
            self.fits[larger] = again
        if self.prefers_larger(k, larger) or larger > k + 1:
            return self.prefers_larger(k, larger)
        small, large = self.fit(k), self.fit(larger)
        gained = gain(small, large, self._problem.base.shape, symmetric=self._options.symmetric)
        determined = has_enough_inliers(large, of=SUPPORTED)
        return gained > LEAST_EDGES and determined and not self.has_structure_left(larger)

    def gained(self, k: int) -> float:
        """Noise edges that the data gain by direction k, be it determined or not; without end where it is exact."""
        small, large = self.fit(k - 1), self.fit(k)
        if is_exact(small) or is_exact(large):
            return np.inf if self.prefers_larger(k - 1, k) else 0.0
        if not small.heavy_tailed and large.scale > _STUCK * small.scale:  # it is stuck, and tells nothing
            return 0.0
        return gain(small, large, self._problem.base.shape, symmetric=self._options.symmetric)

    def has_structure_left(self, k: int) -> bool:
        """Whether what the fit of rank k leaves has more in common than noise: a direction that no start has led to."""
        return not self._options.screening and self.left_over(k) > 1.0

    def leaves_noise(self, k: int) -> bool:
        """Whether the fit of rank k has enough inliers, and their residuals have nothing in common."""
        fit = self.fit(k)
        return not fit.heavy_tailed and has_enough_inliers(fit) and self.left_over(k) <= 1.0

    def left_over(self, k: int) -> float:
        """What the residuals of rank k have in common, in units of the most that noise has by chance."""
        fit = self.fit(k)
        if is_exact(fit) or fit.heavy_tailed:
            return 0.0
        if self._left_over.get(k, (None,))[0] is not fit:
            self._left_over[k] = fit, left_over(fit, self._problem.base)
        return self._left_over[k][1]

    def _augmented(self, k: int) -> SVD:
        """A start of rank k + 1: the fit of rank k, and the leading direction of what it leaves."""
        fit, base, symmetric = self.fit(k), self._problem.base, self._options.symmetric
        weight = bisquare(fit.residual, fit.scale)
        rest = base.with_targets((-weight * fit.residual).astype(base.dtype))
        more, size, turned = spectral_start(rest, 1, symmetric=symmetric)
        start = product_svd(np.hstack([fit.u * fit.s, more * size]), np.hstack([fit.v, turned]), symmetric=symmetric)
        return self._problem.to_work(*start, symmetric=symmetric)


def _is_stuck(large: Fit, small: Fit) -> bool:
    """Whether the fit of the larger rank leaves far more noise."""
    return small.heavy_tailed == large.heavy_tailed and not is_exact(small) and large.scale > _STUCK * small.scale


def _is_localised(fit: Fit) -> bool:
    """Whether a direction may be that of a few rows or columns alone."""
    return any(localised_mass(factor) > 0.5 for factor in (fit.u, fit.v))
