"""One fit from one start: candidates, cheap ones first, until one is beyond doubt; the best of them is the fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._operators.base import Measurements, evaluate
from .._operators.entries import EntryMeasurements
from .._operators.units import Problem
from .._solvers.descents import begin_at, descend, descend_from_tiny, go_on
from .._solvers.mixture import SUPPORTED
from .._solvers.subgradient import Descent, History
from .._utils.linalg import product_spectrum, product_svd
from .._utils.ranks import find_gap
from .._utils.rules import CLEAR_GAP, SMALL_GAP
from .._utils.stats import find_repeated
from .._utils.values import Factors, Fit, Options, StopReason, Verdict, Watch, exact_count, is_exact, is_met
from .candidates import LESS, Candidates, Solution
from .evidence import is_better
from .ranks import Ranks
from .verdict import DECAYS, DOUBTFUL, has_many_inliers

# Measurements for each row and column of X that a preview needs.
_PREVIEW = 14
# An exact fit that meets more than this share of the values that do not repeat is right: those that repeat have not
# drawn it aside. Without, 11 of 14 matrices of which half of the entries are stuck are right, 12 with it
# (``asv_bench/studies/structure.py --structure stuck --share 0.5``).
_MOST_MET = 0.9
# Largest rank whose fit costs less than another model does. If any is tried at a small gap, of 20 matrices with 30 % of
# the entries stuck 9 are right instead of 13 (``asv_bench/studies/structure.py``).
_CHEAP = 8


def solve(problem: Problem, options: Options, *, start: Factors | None = None, watch: Watch | None = None) -> Solution:
    """Search from the plain spectral start.

    `start` are factors in the coordinates of `problem.work`, of a fit to nearly the same data: where they lead to no
    fit that converges, they are forgotten. `watch` is called with the name of a step and the factors it came to, and
    may ask for an end by returning True.

    With noise that is not rounded no value occurs twice: one that keeps coming back is that of a sensor that is stuck,
    cut off, or filled in. Where no exact fit shows what it is, the others are fitted alone.
    """
    history = None
    if start is None and options.polish and not options.screening:
        start, history = _preview(problem, options, watch)
    stuck = _find_stuck(problem.base)
    # beside values that keep coming back only an exact fit of all is wanted
    first = replace(options, screening=True) if stuck.any() and options.polish else options
    solution = _solve(problem, first, start, watch)
    if history is not None and solution.history.iteration == [0]:  # its own iterations are those that led here
        solution = replace(solution, history=history)
    if not (solution.rank and stuck.any()) or solution.verdict.code is StopReason.INTERRUPTED:
        return solution
    before = is_met(solution.fit)[~stuck] if is_exact(solution.fit) else None
    if before is not None and np.mean(before) > _MOST_MET:
        return replace(solution, left_out=stuck)
    part = problem.subset(np.flatnonzero(~stuck))
    again = _solve(part, options, None, watch)
    fit = again.fit
    # one that is not to be trusted meets nothing but the values that repeat, and gives way to any that is
    doubted = before is None or (again.converged and not solution.converged)
    if before is not None and not (doubted or (is_exact(fit) and _proves_more(part.base, fit, solution.fit, before))):
        return solution
    residual = evaluate(problem.base, fit.u, fit.s, fit.v)
    inlier = np.zeros_like(residual)
    inlier[~stuck] = fit.inlier_weight
    fit = replace(fit, residual=residual, inlier_weight=inlier, informative=problem.base.informative)
    return replace(again, fit=fit, left_out=stuck)


def _find_stuck(base: Measurements) -> np.ndarray:
    lines = (base.rows, base.cols) if isinstance(base, EntryMeasurements) else ()
    return find_repeated(base.y, *lines)


def _proves_more(part: Measurements, fit: Fit, other: Fit, met: np.ndarray) -> bool:
    """Whether a fit of measurements that do not repeat meets more of them than another does, which has a mask of these.

    What interpolation can meet proves nothing: as many as the rank in each row, and in each column. Those that have
    nothing but repeated values and errors are free without the former, and meet some of the latter.
    """
    if not isinstance(part, EntryMeasurements):
        return bool(exact_count(fit) - fit.dof > np.count_nonzero(met) - other.dof)

    def proved(index: np.ndarray, rank: int) -> int:
        return int(np.maximum(np.bincount(index, minlength=1) - rank, 0).sum())

    own = is_met(fit)
    return all(proved(i[own], fit.rank) > proved(i[met], other.rank) for i in (part.rows, part.cols))


def previews(problem: Problem) -> Iterator[Problem]:
    """Problems of a sixteenth, an eighth and a quarter of many measurements that each see all of X.

    Their sub-gradient stages, which wait for memory, are in single precision: that is enough for ranks and starts.
    """
    for share in (16, 8, 4):
        if not problem.work.entrywise and problem.work.size >= _PREVIEW * share * sum(problem.work.shape):
            yield problem.subset(np.arange(0, problem.work.size, share)).in_single()


def _preview(problem: Problem, options: Options, watch: Watch | None) -> tuple[Factors | None, History | None]:
    """Fit a few of many measurements; the factors to begin at, and the history that led to them.

    The sub-gradient method reads its data a hundred times: a sixteenth of them is enough for a start.
    """
    for part in previews(problem):
        solution = _solve(part, replace(options, screening=True), None, watch)
        if solution.converged and solution.rank and not solution.fit.heavy_tailed:
            fit = solution.fit
            u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
            return Factors(u * np.sqrt(s), v * np.sqrt(s)), solution.history
    return None, None


def _solve(problem: Problem, options: Options, start: Factors | None, watch: Watch | None) -> Solution:
    """Search in all measurements as they are: from the factors of a fit, where there are any, and the tiny start."""
    if not np.any(problem.base.y):
        return _zero_solution(problem.base, Verdict(StopReason.EXACT))
    if start is not None and options.polish:
        solution = _solve_warm(problem, options, start, watch)
        if solution.converged or (options.rival is not None and options.rival.saves_most()):
            return solution
    if start is not None and not options.polish:
        begin = begin_at(problem, options, start)
        descended = None if begin is None else descend(problem, options, [begin], watch=watch)[0]
    else:
        descended = descend_from_tiny(problem, options, to_gap=options.polish, watch=watch)
    if descended is None:
        unseen = "the measurements do not depend on the matrix: all of them are zero"
        return _zero_solution(problem.base, Verdict(StopReason.UNDETERMINED, unseen))
    return finish(problem, options, descended, watch=watch)


def _solve_warm(problem: Problem, options: Options, start: Factors, watch: Watch | None) -> Solution:
    """Search from the factors of a fit to nearly the same data."""
    left, right = (factor.astype(problem.work.dtype, copy=False) for factor in start)
    u, s, v = product_svd(left, right, symmetric=options.symmetric)
    residual = evaluate(problem.base, *problem.to_base(u, s, v, symmetric=options.symmetric))
    history = History()
    history.record(0, residual, 0.0, product_spectrum(left, right))
    found = Candidates(problem, options, watch).from_fit(Factors(left, right), residual)
    if found.converged and not found.settled:
        found = replace(found, verdict=DOUBTFUL)
    return replace(found, history=history)


def finish(problem: Problem, options: Options, descended: Descent, *, watch: Watch | None = None) -> Solution:
    """The best of the candidates that follow a descent; they end with the first that is settled."""
    if not options.polish:
        return Candidates(problem, options).unpolished(descended)
    search, best = _Search(problem, options, watch), None
    begin = search.begin(descended)
    if options.only_sharp and not begin.sharp:
        return Candidates(problem, options).unpolished(begin.descended, DOUBTFUL)
    for found in search.candidates(begin):
        if best is None or _takes_place_of(found, best, problem.base, options):
            best = found
        if best.settled:
            break
    assert best is not None
    return replace(best, history=begin.descended.history)


def _takes_place_of(new: Solution, old: Solution, base: Measurements, options: Options) -> bool:
    """Whether a candidate is to be preferred to an earlier one: it is better, and to be trusted if the other is.

    One with fewer directions may be, although its noise is larger: beside one and the same value, added to 30 to 45 %
    of the entries, a direction met these in 14 of 60 matrices (``asv_bench/studies/doubtful.py --row large --seed
    940000``). And so is one that alone is to be trusted and has far less noise, be it as good by chance: without, two
    of 222 problems with few inliers are lost (``--row few --seed 743000``).
    """
    if new.converged < old.converged:
        return False
    newly = new.converged > old.converged and not (is_exact(new.fit) or is_exact(old.fit))
    has_far_less_noise = new.fit.scale < LESS * old.fit.scale
    return (newly and has_far_less_noise) or is_better(new.fit, old.fit, base, symmetric=options.symmetric)


class _Begin(NamedTuple):
    """Where the ranks of a descent begin, the gap that speaks for that, and whether its fit leaves nothing."""

    descended: Descent
    ranks: Ranks
    rank: int
    gap: float
    sharp: bool


class _Advice(NamedTuple):
    """What another model says: the rank to begin at, and whether its spectrum may decay, or does.

    `has_end` says whether one that may decay ends, for a fit of the rank at which it may leaves noise alone. If it
    `is_sharp`, that of `rank` does although the spectrum decays, for its further directions are those of errors.
    """

    rank: int
    may_decay: bool = False
    decays: bool = False
    has_end: bool = True
    is_sharp: bool = False


class _Search:
    """The candidates for the fit of one problem, and the order in which they come."""

    def __init__(self, problem: Problem, options: Options, watch: Watch | None) -> None:
        self._problem, self._options, self._watch = problem, options, watch
        self._made = Candidates(problem, options, watch)
        self._entrywise = problem.work.entrywise
        self._rival = options.rival if self._entrywise else None

    def begin(self, descended: Descent) -> _Begin:
        """Where the ranks begin: at a first gap that needs no further iterations, or at the end of the descent."""
        first = self._begin(descended)
        ends = descended.rule is None or self._options.screening or first.ranks.stopped
        if ends or (first.sharp and self._is_plain(first.ranks, first.rank)):
            return first
        return self._begin(go_on(self._problem, self._options, descended, watch=self._watch))

    def candidates(self, begin: _Begin) -> Iterator[Solution]:
        """Yield the candidates, cheap ones first."""
        options, ranks, small = self._options, begin.ranks, None
        # another model takes ten times as long: of 168 matrices of up to 100,000 entries with huge, one-sided or Cauchy
        # errors, fits take two thirds of the time in the mean, those of blocks of larger ones an eighth
        if self._entrywise and not (begin.sharp or ranks.stopped):
            small = self._made.from_small_targets(at_gap=True)
            if small is not None and small.settled:
                yield small
        # a search from a start that huge errors have drowned goes through many ranks in vain: small targets come first
        drowned = self._entrywise and begin.gap < SMALL_GAP
        advice = self._ask(begin)
        first = advice.rank
        if advice.is_sharp:
            yield self._made.choose(ranks, first, most=first)
        if advice.decays:
            may_end = self._rival is not None and self._rival.may_end()
            ends = self._made.from_likely(only_sharp=True) if may_end else None
            if ends is not None and ends.settled:
                yield ends
            yield self._made.unpolished(begin.descended, DECAYS)
        found_exact = first in ranks.fits and is_exact(ranks.fits[first])
        likely = None if begin.sharp or found_exact or ranks.stopped else self._made.from_likely()
        if likely is not None and likely.settled:
            yield likely
        if drowned and not (options.screening or found_exact or ranks.stopped):
            small = self._made.from_small_targets(only_sharp=advice.may_decay)
            if small is not None and small.settled:
                yield small
        if not advice.has_end:
            yield self._made.unpolished(begin.descended, DECAYS)
        if options.is_start and begin.sharp and not is_exact(ranks.fit(first)):
            found = self._made.as_it_is(ranks.fit(first))
        else:
            found = self._made.choose(ranks, first, sharp=begin.sharp)
        # an exact one may be a part of the truth, or a search may have met a few errors as well
        if likely is not None and not found.converged:
            yield likely
        yield found
        if small is not None:
            yield small
        if not options.screening:
            yield from self._second_opinions(found, drowned)

    def _begin(self, descended: Descent) -> _Begin:
        """Where the ranks of a descent begin; another model is not asked where its fit leaves nothing."""
        ranks, (guess, gap) = self._made.ranks_of(descended)
        rank = min(guess, self._made.limit)
        clear = SMALL_GAP if rank <= _CHEAP else CLEAR_GAP
        sharp = gap >= clear and (is_exact(ranks.fit(rank)) or ranks.leaves_noise(rank))
        return _Begin(descended, ranks, rank, gap, sharp)

    def _is_plain(self, ranks: Ranks, k: int) -> bool:
        """Whether a sharp fit of the rank of a first gap needs no further iterations: it is exact, or the rank stays.

        Where inliers are few, the whole run may lead to a better one.
        """
        fit = ranks.fit(k)
        return is_exact(fit) or (has_many_inliers(fit) and ranks.choose(k, self._made.limit) == k)

    def _ask(self, begin: _Begin) -> _Advice:
        """Ask another model whether a rank is sharp, and where to begin: where its spectrum may end.

        Where it says none, only an exact fit would be better. Errors may hide the gap of its rank from the sub-gradient
        method, but not from the model: so do entries of a second matrix in 8 of 20 matrices at a share of 40 %
        (``python asv_bench/studies/structure.py --structure second``). Where the method has seen a clear gap, a
        rank just behind it may leave noise alone beside errors that agree, which the model follows: of 12 videos of 1
        to 3 objects before a scene of rank 2 all were "approximate", of rank 13 to 66, and 11 are right. Most entries
        have to be nearer to it than to the model: in some units of its columns wine was "noisy" of rank 2.
        """
        rival, descended, ranks, first = self._rival, begin.descended, begin.ranks, begin.rank
        guess = find_gap(descended.history.spectrum[-1]).rank
        if rival is None or begin.sharp or ranks.stopped:
            return _Advice(first)
        if self._watch is not None and self._watch("model", Factors(descended.left, descended.right)):
            ranks.stopped = True
            return _Advice(first)
        rank, ratio = rival.gap()
        rank = min(rank, self._made.limit)
        if SMALL_GAP <= ratio < np.inf and is_exact(ranks.fit(rank)):
            return _Advice(rank)
        if ranks.stopped or not rival.has_decaying_spectrum(guess, begin.gap, strict=False):
            return _Advice(first)
        near = ranks.first_of_noise(first, self._made.limit) if begin.gap >= CLEAR_GAP else 0
        if near and ranks.usual_miss(near) < rival.usual_miss():
            return _Advice(near, is_sharp=True)
        if rival.has_decaying_spectrum(guess, begin.gap):
            return _Advice(first, may_decay=True, decays=True)
        ends = [k for k in rival.ends() if k <= self._made.limit]
        end = next((k for k in ends if is_exact(ranks.fit(k)) or ranks.leaves_noise(k, of=SUPPORTED)), None)
        return _Advice(end or first, may_decay=True, has_end=end is not None or ranks.stopped)

    def _second_opinions(self, found: Solution, drowned: bool) -> Iterator[Solution]:
        """Yield candidates that the search may have missed, where what it has found is in doubt.

        Small targets are fitted on their own, unless that was done because the start was `drowned`. Of measurements
        that each see all of X no part can be told: starts are made from targets bounded in several ways.
        """
        exact = is_exact(found.fit)
        if not exact and self._rival is not None and self._rival.is_good():
            return
        if not self._entrywise:
            if not exact:
                yield from self._made.from_spectral_starts(found)
            return
        other = None if drowned else self._made.from_small_targets()
        if other is not None:
            yield other


def _zero_solution(base: Measurements, verdict: Verdict) -> Solution:
    """The zero matrix and the verdict on it."""
    u, v = (np.eye(n, 1, dtype=base.dtype) for n in base.shape)
    fit = Fit(u, np.zeros(1, base.dtype), v, -base.y, 0.0, np.ones_like(base.y), 0)
    history = History()
    history.record(0, fit.residual, 0.0, np.zeros(1))
    return Solution(fit, 0, verdict, history=history)
