"""Candidates for the fit of a problem: the ways in which one comes to be, each from a start of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from .._operators.base import evaluate
from .._operators.units import Problem
from .._solvers.descents import descend_from_tiny
from .._solvers.mixture import SUPPORTED, has_enough_inliers
from .._solvers.starts import bounded_targets, clipped_targets, spectral_start
from .._solvers.subgradient import Descent, History
from .._utils.linalg import degrees_of_freedom, product_svd
from .._utils.ranks import Gap, find_gap, largest_rank
from .._utils.rules import SMALL_GAP, SMALL_LEVEL, scale_floor
from .._utils.stats import median_scale, quantile
from .._utils.values import Factors, Fit, Options, StopReason, Verdict, Watch, is_exact
from .evidence import COMMON
from .ranks import Ranks
from .verdict import is_doubtful, judge, judge_exact, judge_unpolished

# Largest rank of a spectral start.
_LARGEST = 6
#: Noise of a fit, in units of that of another, below which it is far less.
LESS = 0.85


@dataclass(frozen=True)
class Solution:
    """A fit, the rank that is found in it, and the verdict on it.

    `settled`: it is beyond doubt, and the search may end. `sharp`: no stage had a doubt that its rank is the true one.
    `history` is that of the descent that led to it, `left_out` masks the measurements that it does without, as those of
    a sensor that is stuck (None: none).
    """

    fit: Fit
    rank: int
    verdict: Verdict
    settled: bool = False
    sharp: bool = False
    history: History = field(default_factory=History)
    left_out: np.ndarray | None = None

    @property
    def converged(self) -> bool:
        """Whether the fit is to be trusted."""
        return self.verdict.converged


class Candidates:
    """Makes candidates for the solution of one problem."""

    def __init__(self, problem: Problem, options: Options, watch: Watch | None = None) -> None:
        self._problem, self._options, self._watch = problem, options, watch
        most = largest_rank(problem.work.shape, problem.work.size, symmetric=options.symmetric)
        #: Largest rank that a search may come to.
        self.limit = min(most, *problem.work.shape, *([] if options.rank is None else [options.rank]))

    def ranks_of(self, descended: Descent) -> tuple[Ranks, Gap]:
        """Fits from the end of a descent, and the gap in its spectrum, which speaks for a rank."""
        factors = Factors(descended.left, descended.right)
        return Ranks(self._problem, factors, self._options, watch=self._watch), find_gap(descended.history.spectrum[-1])

    def choose(self, ranks: Ranks, guess: int, *, most: int | None = None, sharp: bool = False) -> Solution:
        """The fit of the rank that the data ask for, of up to `most`, beginning at a `guess`."""
        k = ranks.choose(guess, self.limit if most is None else min(most, self.limit))
        verdict = judge(ranks, k, self.limit, self._problem, self._options, guess)
        return self._judged(ranks.fit(k), verdict, sharp=sharp)

    def as_it_is(self, fit: Fit) -> Solution:
        """A sharp fit that is compared with no other rank."""
        return self._judged(fit, Verdict(StopReason.NOISY), sharp=True)

    def from_fit(self, start: Factors, residual: np.ndarray) -> Solution:
        """From the factors of a fit to nearly the same data, in the coordinates of `work`, and what they leave."""
        ranks = Ranks(self._problem, start, self._options, warm=residual, watch=self._watch)
        return self.choose(ranks, start.left.shape[1], sharp=True)

    def from_likely(self, *, only_sharp: bool = False) -> Solution | None:
        """From the factors that another model holds likely; None without any.

        If `only_sharp`, also None where their fit is neither exact nor leaves residuals that are nothing but noise.
        """
        options, problem = self._options, self._problem
        likely = None if options.likely is None else options.likely()
        start = None if likely is None else problem.from_user_units(*likely, symmetric=options.symmetric)
        if start is None:
            return None
        fitted = problem.to_base(*product_svd(*start, symmetric=options.symmetric), symmetric=options.symmetric)
        ranks = Ranks(problem, start, options, warm=evaluate(problem.base, *fitted), watch=self._watch)
        k = min(start.rank, self.limit)
        sharp = is_exact(ranks.fit(k)) or ranks.leaves_noise(k, of=SUPPORTED, most=COMMON)
        if only_sharp and not (sharp or ranks.stopped):
            return None
        return self.choose(ranks, k, most=k)

    @cached_property
    def _small_targets(self) -> tuple[Ranks, Gap, int] | None:
        """Fits of the targets of less than median size, for errors are large: where they begin, and their largest rank.

        None where such targets tell nothing.
        """
        problem, options = self._problem, self._options
        size = np.abs(problem.base.y)
        part = problem.subset(np.flatnonzero(size <= quantile(size, SMALL_LEVEL)))
        # squares of targets must not vanish
        if not np.abs(part.base.y).max(initial=0.0) > np.finfo(part.base.dtype).eps ** 2:
            return None
        within = Candidates(part, options)
        descended = descend_from_tiny(part, replace(options, rank=None))
        return None if descended is None else (*within.ranks_of(descended), within.limit)

    def from_small_targets(self, *, only_sharp: bool = False, at_gap: bool = False) -> Solution | None:
        """Fit all from the fit of small targets; None without a result.

        If `only_sharp`, one of these that is neither exact nor leaves noise alone is not gone on with; if `at_gap`, one
        that is not exact at the first gap of their spectrum. That of a block, which is but a start, may leave noise.
        """
        if self._small_targets is None:
            return None
        ranks, (guess, gap), limit = self._small_targets
        k = min(guess, limit)
        if at_gap and (
            gap < SMALL_GAP or not (is_exact(ranks.fit(k)) or (self._options.screening and ranks.leaves_noise(k)))
        ):
            return None
        k = ranks.choose(guess, limit)
        if only_sharp and not (is_exact(ranks.fit(k)) or ranks.leaves_noise(k)):
            return None
        return self._go_on_from(ranks.fit(k))

    def from_spectral_starts(self, found: Solution) -> Iterator[Solution]:
        """Yield fits of any small rank from several spectral starts, and from halves of the data.

        Exact ones, and those with far less noise than what was found. Of 150 problems with 25 to 45 % errors (dense and
        rank-one measurements, 4 to 12 for each degree of freedom) 128 are right, 119 without. Of entries, as many of
        300 are right without, in half the time.
        """
        work, symmetric = self._problem.work, self._options.symmetric
        starts = bounded_targets(work)
        for seed in range(2):  # a mask, not a subset: dense measurements are not copied
            starts.append(2 * clipped_targets(work) * (np.random.RandomState(seed).uniform(size=work.size) < 0.5))
        for k, values in itertools.product(range(1, min(self.limit, _LARGEST) + 1), starts):
            u, s, v = spectral_start(work, k, values=values, symmetric=symmetric)
            if self._options.meter.is_spent or not s[0] > 0:
                continue
            fit = Ranks(self._problem, Factors(u * s, v), self._options).fit(k)
            for other in self._with_enough_inliers(fit):
                if is_exact(other):
                    yield self._judged(other, judge_exact(other, self._problem))
                elif not (found.converged or other.heavy_tailed) and other.scale < LESS * found.fit.scale:
                    yield self._go_on_from(other)

    def _with_enough_inliers(self, fit: Fit) -> Iterator[Fit]:
        """Yield a fit; or, if it has so few inliers that it follows the errors, those of smaller ranks within it."""
        if is_exact(fit) or has_enough_inliers(fit, of=SUPPORTED):
            yield fit
            return
        u, s, v = self._problem.to_work(fit.u, fit.s, fit.v, symmetric=self._options.symmetric)
        ranks = Ranks(self._problem, Factors(u * s, v), self._options)
        smaller = (ranks.fit(k) for k in range(1, fit.rank))
        yield from (other for other in smaller if is_exact(other) or has_enough_inliers(other, of=SUPPORTED))

    def unpolished(self, descended: Descent, verdict: Verdict | None = None) -> Solution:
        """The fit of the sub-gradient method as it is, all its directions kept; without a verdict it is judged."""
        base, symmetric = self._problem.base, self._options.symmetric
        u, s, v = product_svd(descended.left, descended.right, symmetric=symmetric)
        u, s, v = self._problem.to_base(u, s, v, symmetric=symmetric)
        residual = evaluate(base, u, s, v)
        scale = max(median_scale(residual), scale_floor(residual.dtype))
        inlier = (np.abs(residual) <= 3.0 * scale).astype(residual.dtype)
        dof = degrees_of_freedom(base.shape, len(s), symmetric=symmetric)
        fit = Fit(u, s, v, residual, scale, inlier, dof, base.informative)
        rank, history = fit.rank, descended.history
        if verdict is None:
            rank, gap = find_gap(history.spectrum[-1])
            verdict = judge_unpolished(fit, rank, gap)
        return Solution(fit, rank, verdict, settled=True, history=history)

    def _go_on_from(self, fit: Fit) -> Solution:
        """Search from a fit to other measurements, or of a rank that was a guess.

        Its own rank is fitted from there with a descent and without: the one frees rows that were stuck, the other
        keeps directions that half of the measurements wrong would drown.
        """
        u, s, v = self._problem.to_work(fit.u, fit.s, fit.v, symmetric=self._options.symmetric)
        ranks = Ranks(self._problem, Factors(u * s, v), self._options)
        ranks.begin_at(u, s, v)
        return self.choose(ranks, fit.rank)

    def _judged(self, fit: Fit, verdict: Verdict, *, sharp: bool = False) -> Solution:
        certain = (verdict.converged or is_exact(fit)) and not is_doubtful(fit, self._problem.base)
        settled = certain or verdict.code is StopReason.INTERRUPTED
        return Solution(fit, fit.rank, verdict, settled, sharp and verdict.converged)
