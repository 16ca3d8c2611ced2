"""Fits of several ranks from the factors of one start, and the rank that the data ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._operators.base import evaluate
from .._operators.entries import EntryMeasurements
from .._operators.units import Problem
from .._solvers.fixed_rank import FixedRank
from .._solvers.misfit import improves
from .._solvers.mixture import SUPPORTED, has_enough_inliers
from .._utils.linalg import product_svd
from .._utils.ranks import is_localised
from .._utils.rules import LEAST_FREE, NORMAL_MEDIAN, exact_tolerance
from .._utils.stats import medians_within
from .._utils.values import Factors, Fit, Options, Watch, exact_count, informative_count, is_exact, is_met
from .evidence import EDGES, LEAST_EDGES, gain, in_common, is_better, left_over

# Fits, none of them exact, after which a brief search is given up. Of 136 matrices of a sharp rank the search of one
# makes more.
_PATIENCE = 6
# Multiplications of fits, none exact, after which a search is given up beside a model that predicts well, or sees but
# noise. Searches of 18 real tables make up to 8e7, in vain; of percentages (600 x 48) they made 4e8 and took 3.5 to 5.5
# s, with this 1.7 to 2.4 s. Sharp matrices of up to 1500 x 200 with a condition of 10 to 20 have the same fits.
_MOST_WORK = 1e8
# Ranks beyond one that leaves structure that are tried at a time; twice as many, or an eighth more, in all: data that
# are only nearly low-rank leave structure at any rank. With one at a time two of 100 doubtful problems are lost.
_FURTHER = 3
# Noise beside that of the fit of one rank less beyond which a fit is stuck. Of right ranks the next one leaves up to
# 1.2 times as much, where few measurements are inliers.
_STUCK = 1.3
# Inliers for each degree of freedom of one rank more from which residuals tell whether a direction is missed. Of 400
# problems as many are right as with a fit of that rank wherever its first step promised to explain more than noise.
_TELLING = 10.0
# Share of the measurements that are met from which no other fit meets as many. At a half one of ten matrices is lost in
# which half of the entries are a block (``asv_bench/studies/structure.py --structure block --share 0.5``).
_MAJORITY = 0.55


class Ranks:
    """Fits of several ranks to one problem, each made once.

    `warm` is given where the factors are those of a fit already, of nearly the same data, and is what they leave of
    these: their own rank is estimated from there, and what they tell of smaller ranks is believed where it is clear.
    """

    def __init__(
        self,
        problem: Problem,
        factors: Factors,
        options: Options,
        *,
        warm: np.ndarray | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._problem, self._options, self._factors = problem, options, factors
        self._warm, self._watch = warm, watch
        self._solver = FixedRank(problem, options)
        self.fits: dict[int, Fit] = {}
        self.gave_up = self.stopped = self.is_spent = False
        self._is_brief = options.screening or options.only_sharp
        self._n_made, self._work_before = 0, options.meter.work
        self._left_over: dict[int, tuple[Fit, float]] = {}

    def fit(self, k: int) -> Fit:
        """The fit of rank k, made where it has not been."""
        if k not in self.fits:
            left, right = self._factors
            if self._warm is not None and k == left.shape[1]:
                symmetric = self._options.symmetric
                start = self._problem.to_base(*product_svd(left, right, symmetric=symmetric), symmetric=symmetric)
                self._keep(k, self._solver.estimate(*start, self._warm, few=self._few))
            else:
                self._keep(k, self._solver.refit(*self._solver.truncated(left, right, k), few=self._few))
        return self.fits[k]

    def begin_at(self, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> None:
        """Make the fit of the rank of a start with a descent and without."""
        self._keep(len(s), self._solver.refit_twice(u, s, v), made=2)

    def _keep(self, k: int, fit: Fit, *, made: int = 1) -> None:
        """Keep a fit where it is better than that of the same rank; tell callbacks, one of which may ask for an end."""
        self._n_made += made
        if k in self.fits and not improves(fit, self.fits[k]):
            return
        self.fits[k] = fit
        if self._watch is not None:
            u, s, v = self._problem.to_work(fit.u, fit.s, fit.v, symmetric=self._options.symmetric)
            self.stopped |= bool(self._watch(f"rank {k}", Factors(u * s, v)))

    @property
    def _few(self) -> bool:
        """Whether there is an exact fit: others are not worth many steps."""
        return any(is_exact(fit) for fit in self.fits.values())

    def must_end(self) -> bool:
        """Whether the search is to end: it was asked to, or has done the work that it may, and no fit is exact."""
        rival, work = self._options.rival, self._options.meter.work - self._work_before
        is_long = work >= _MOST_WORK and rival is not None and rival.leaves_little_to_search()
        self.gave_up = not self._few and (is_long or (self._is_brief and self._n_made >= _PATIENCE))
        self.is_spent = not self._few and self._options.meter.is_spent
        return self.gave_up or self.stopped or self.is_spent

    def choose(self, guess: int, limit: int) -> int:
        """Walk up while the data ask for more directions, then down while they do not ask for the last.

        Steps up grow with the rank, a quarter of it at a time, and are halved where one was too long. Where the
        residuals then have more in common than noise, some further ranks are fitted from what they have in common.
        """
        k, most, stride = min(guess, limit), limit, 1
        while k < most and not self.must_end() and self._may_hide_more(k):
            step = min(stride, most - k)
            if self.prefers(k + step, k):
                k, stride = k + step, max(stride, (k + step) // 4)
            elif step == 1:
                break
            else:
                stride, most = step // 2, k + step - 1
        k = self._walk_down(k)
        limit = min(limit, k + max(2 * _FURTHER, k // 8))
        while k < limit and (self.has_structure_left(k) or self._is_stuck(k + 1)):
            further = range(k + 1, min(k + _FURTHER, limit) + 1)
            larger = next((j for j in further if not self.must_end() and self._explains(j, k)), k)
            if larger == k:
                break
            before, down = self.fit(k), self._walk_down(larger)
            if down <= k and self.fit(down) is not before:  # of a rank too many, the right one has been found
                return down
            k = down if down > k else larger  # else by the word of the residuals alone
        return k

    def _walk_down(self, k: int) -> int:
        """Largest of the ranks up to k whose last direction the data ask for."""
        while k > 1 and not self._is_firm(k) and not self.must_end():
            exact = is_exact(self.fit(k))
            # an exact fit of a rank too many leads to the right one, and so does one that a few errors are part of
            if self._may_hold_errors(k) and self.prefers(k, k - 1):
                self._keep(k - 1, self._solver.reduced(self.fit(k), few=self._few))
            if not self.prefers(k, k - 1):
                k -= 1
            elif exact and not self.prefers(k, k // 2):  # what errors have added may be several directions
                k //= 2
            else:
                break
        return k

    def prefers(self, large: int, small: int) -> bool:
        """Whether the data ask for the larger of two ranks."""
        one, other = self.fit(large), self.fit(small)
        # measured by the noise of a fit that is stuck, all that the smaller one leaves would seem explained
        if _is_stuck(one, other):
            return False
        return is_better(one, other, self._problem.base, symmetric=self._options.symmetric)

    def gain(self, k: int) -> float:
        """What direction k explains, times what it would of noise, be it determined or not."""
        return gain(self.fit(k - 1), self.fit(k), self._problem.base, symmetric=self._options.symmetric)

    def left_over(self, k: int) -> float:
        """What the residuals of rank k have in common, in units of the most that noise has by chance."""
        fit = self.fit(k)
        if self._left_over.get(k, (None,))[0] is not fit:
            self._left_over[k] = fit, left_over(fit, self._problem.base)
        return self._left_over[k][1]

    def has_structure_left(self, k: int) -> bool:
        """Whether what the fit of rank k leaves has more in common than noise: a direction that no start has led to."""
        return not self._options.screening and self.left_over(k) > 1.0

    def leaves_noise(self, k: int, *, of: float = 1.0, most: float = 1.0) -> bool:
        """Whether the fit of rank k has enough inliers, `of` these, and their residuals have next to nothing in common.

        That is at `most` so much, in units of the most that noise has by chance.
        """
        fit = self.fit(k)
        return not fit.heavy_tailed and has_enough_inliers(fit, of=of) and self.left_over(k) <= most

    def first_of_noise(self, k: int, limit: int) -> int:
        """Smallest of a few ranks from k on whose fit is exact or leaves noise alone, each less than the one before.

        0 if there is none.
        """
        last = np.inf
        for j in range(k, min(k + _FURTHER, limit) + 1):
            if j > k:
                self._augment(j)
            if self.must_end():
                break
            if is_exact(self.fit(j)) or self.leaves_noise(j):
                return j
            if not self.left_over(j) < last:
                break
            last = self.left_over(j)
        return 0

    def usual_miss(self, k: int) -> float:
        """Median of what the fit of rank k misses entries by, in scales of their columns, as it would without them."""
        fit, base = self.fit(k), self._problem.base
        assert isinstance(base, EntryMeasurements)
        away = np.abs(base.y - medians_within(base.y, base.cols, base.shape[1])[base.cols])
        scale = medians_within(away, base.cols, base.shape[1]) / NORMAL_MEDIAN
        told = scale[base.cols] > 0.0
        if not told.any():
            return np.inf
        free = max(1.0 - fit.dof / max(float(fit.inlier_weight.sum()), 1.0), LEAST_FREE)
        return float(np.median(np.abs(fit.residual[told]) / scale[base.cols][told])) / free

    def _explains(self, larger: int, k: int) -> bool:
        """Whether a larger rank explains what rank k leaves, fitted from there too.

        With the word of the residuals a direction need gain no more than noise would, if nothing is left after it.
        """
        self._augment(larger)
        if self.prefers(larger, k) or larger > k + 1:
            return self.prefers(larger, k)
        determined = has_enough_inliers(self.fit(larger), of=SUPPORTED)
        return self.gain(larger) > LEAST_EDGES and determined and not self.has_structure_left(larger)

    def _augment(self, k: int) -> None:
        """Fit rank k from what one of one rank less leaves; a descent may lose a weak direction again."""
        self._keep(k, self._solver.refit_twice(*self._solver.augmented(self.fit(k - 1)), few=self._few), made=2)

    def _is_stuck(self, k: int) -> bool:
        """Whether a fit that was made leaves far more noise than that of one rank less: it says nothing of its rank."""
        return k in self.fits and _is_stuck(self.fits[k], self.fit(k - 1))

    def _is_firm(self, k: int) -> bool:
        """Whether a fit needs no comparison with one rank less.

        An exact one, where a majority is met, and needs the last direction: a smaller fit as good as that would meet
        measurements in common with it, far more than would make them one. A warm one, where the last direction is
        worth many noise edges. No direction may be that of a few rows or columns alone, as a block of one-sided errors
        is.
        """
        fit, base = self.fit(k), self._problem.base
        if self._is_localised(fit):
            return False
        last = evaluate(base, fit.u[:, -1:], fit.s[-1:], fit.v[:, -1:]) + base.y
        if self._warm is not None and k == self._factors.left.shape[1] and not is_exact(fit):
            without = replace(fit, residual=fit.residual - last, u=fit.u[:, :-1], s=fit.s[:-1], v=fit.v[:, :-1])
            explained = gain(without, fit, base, symmetric=self._options.symmetric)
            return explained > 10.0 * EDGES
        if not is_exact(fit) or exact_count(fit) < _MAJORITY * informative_count(fit):
            return False
        needed = np.abs(last[is_met(fit)]) > exact_tolerance(last.dtype)
        return bool(np.count_nonzero(needed) > 0.5 * exact_count(fit) + 2 * fit.dof)

    def _may_hide_more(self, k: int) -> bool:
        """Whether the fit of one rank more is worth making: residuals have more in common than noise, or tell nothing.

        Those of a fit that leaves many errors tell nothing: its scale is not that of the noise. Nor do they where
        inliers are few: a fit of one rank too many is then sometimes exact, and leads to the right one.
        """
        fit = self.fit(k)
        if is_exact(fit):
            return self._errors_agree(fit, k)
        inlier = fit.inlier_weight if fit.informative is None else fit.inlier_weight[fit.informative]
        silent = fit.heavy_tailed or fit.inlier_weight.sum() < _TELLING * fit.dof * (k + 1) / k or np.mean(inlier) < 0.6
        return silent or self.left_over(k) > 1.0 or self._errors_agree(fit, k)

    def _errors_agree(self, fit: Fit, k: int) -> bool:
        """Whether what is missed, more than one direction more may meet, has more in common than random errors.

        A direction of a group of rows and a group of columns may be missed as a whole: of ten block models of five by
        five groups (300 x 200, 1 % noise, no errors) seven had one of 25 blocks for errors.
        """
        missed = fit.inlier_weight <= 0.5
        if np.count_nonzero(missed) <= fit.dof / k:
            return False
        return in_common(np.sign(fit.residual) * missed, self._problem.base) > 1.0

    def _may_hold_errors(self, k: int) -> bool:
        """Whether a direction may be that of errors: of an exact fit it may, with noise one of few rows or columns."""
        fit = self.fit(k)
        return is_exact(fit) or (not fit.heavy_tailed and self._is_localised(fit))

    def _is_localised(self, fit: Fit) -> bool:
        """Whether a direction is that of a few rows or columns, as that of errors may be where there are these."""
        return self._problem.work.entrywise and is_localised(fit.u, fit.v)


def _is_stuck(large: Fit, small: Fit) -> bool:
    """Whether the fit of the larger rank leaves far more noise."""
    return small.heavy_tailed == large.heavy_tailed and not is_exact(small) and large.scale > _STUCK * small.scale
