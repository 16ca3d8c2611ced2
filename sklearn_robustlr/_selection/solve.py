"""One fit from one start: sub-gradient method, rank, polish and verdict, in this order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._operators.base import Measurements, evaluate
from .._operators.entries import EntryMeasurements
from .._operators.units import Problem
from .._solvers.subgradient import History
from .._utils.linalg import degrees_of_freedom, product_spectrum, product_svd
from .._utils.rules import CLEAR_GAP, SMALL_GAP, scale_floor
from .._utils.stats import median_scale, random_sample
from .._utils.values import Factors, Fit, Options, Rival, StopReason, Verdict, Watch, exact_count, is_exact, is_met
from .choice import as_it_is, choose, scan_from
from .descents import Descent, begin_at, descend, descend_from_tiny, go_on
from .evidence import find_gap, largest_rank
from .leverage import has_high_leverage, has_ordinary_leverage
from .results import Candidate, Solution
from .scan import PATIENCE, Scan
from .second_opinion import from_small_targets, has_far_less_noise, second_opinion
from .verdict import DECAYS, DOUBTFUL, FEW, is_doubtful, judge_unpolished

# Measurements for each row and column of X that a preview needs.
_PREVIEW = 14
# An exact fit that meets more than this share of the values that do not repeat is right: those that repeat have not
# drawn it aside.
_MOST_MET = 0.9
# Largest rank whose fit costs less than another model does.
_CHEAP = 8
# Share of the measurements, and their number, beyond which a value occurs often.
_OFTEN, _FEWEST_OFTEN = 0.005, 10
# Measurements, of many, among which such a value is looked for first.
_SAMPLE = 20_000


def solve(problem: Problem, options: Options, *, start: Factors | None = None, watch: Watch | None = None) -> Solution:
    """Run all stages from the plain spectral start.

    `start` are factors in the coordinates of `problem.work`, of a fit to nearly the same data: where they lead to no
    fit that converges, they are forgotten. `watch` is called with the name of a step and the factors it came to, and
    may ask for an end by returning True.
    """
    history = None
    if start is None and options.polish and not options.screening:
        start, history = _preview(problem, options, watch)
    solution = _solve(problem, options, start, watch)
    if history is not None and solution.history.iteration == [0]:  # its own iterations are those that led here
        solution = replace(solution, n_iter=history.iteration[-1] + 1, history=history)
    if not solution.rank or solution.verdict.code is StopReason.INTERRUPTED:
        return solution
    stuck = find_repeated(problem.base.y)
    if not stuck.any():
        return solution
    before = is_met(solution.fit)[~stuck] if is_exact(solution.fit) else None
    if before is not None and np.mean(before) > _MOST_MET:
        return solution
    part = problem.subset(np.flatnonzero(~stuck))
    again = _solve(part, options, None, watch)
    fit = again.fit
    if before is not None and not (is_exact(fit) and _proves_more(part.base, fit, solution.fit, before)):
        return solution
    residual = evaluate(problem.base, fit.u, fit.s, fit.v)
    inlier = np.zeros_like(residual)
    inlier[~stuck] = fit.inlier_weight
    fit = replace(fit, residual=residual, inlier_weight=inlier, informative=problem.base.informative)
    return replace(again, fit=fit)


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


class _Preview(NamedTuple):
    """Factors to begin at and the history that led to them; None where a preview is not made or fails."""

    start: Factors | None = None
    history: History | None = None


def _preview(problem: Problem, options: Options, watch: Watch | None) -> _Preview:
    """Fit a few of many measurements.

    The sub-gradient method reads its data a hundred times: a sixteenth of them is enough for a start.
    """
    for part in previews(problem):
        solution = _solve(part, replace(options, screening=True), None, watch)
        if solution.converged and solution.rank and not solution.fit.heavy_tailed:
            fit = solution.fit
            u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
            return _Preview(Factors(u * np.sqrt(s), v * np.sqrt(s)), solution.history)
    return _Preview()


def find_repeated(values: np.ndarray) -> np.ndarray:
    """Mask of values that keep coming back among others that never do.

    With noise that is not rounded no value occurs twice: one that does is that of a sensor that is stuck, cut off, or
    filled in. Where it lies well inside the range of the data the noise hides it, and it draws the fit towards itself.
    """
    some = np.sort(values[random_sample(len(values), _SAMPLE)])
    if not np.any(some[1:] == some[:-1]):  # one that occurs often is there dozens of times
        return np.zeros(len(values), dtype=bool)
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    often = count > max(_OFTEN * len(values), _FEWEST_OFTEN)
    mask = often[index]
    others = np.count_nonzero(~mask)
    return mask & (np.count_nonzero(count == 1) > 0.99 * others) & (others > 0.25 * len(values))


def _solve(problem: Problem, options: Options, start: Factors | None, watch: Watch | None) -> Solution:
    """Run the stages of :func:`solve` on all measurements as they are."""
    if not np.any(problem.base.y):
        return _zero_solution(problem.base, Verdict(StopReason.EXACT))
    descended: Descent | None
    if start is not None and not options.polish:
        begin = begin_at(problem, options, start)
        descended = None if begin is None else descend(problem, options, [begin], watch=watch)[0]
    else:
        if start is not None:
            solution = solve_warm(problem, options, start, watch=watch)
            if solution.converged:
                return solution
        descended = descend_from_tiny(problem, options, to_gap=options.polish, watch=watch)
    if descended is None:
        unseen = "the measurements do not depend on the matrix: all of them are zero"
        return _zero_solution(problem.base, Verdict(StopReason.UNDETERMINED, unseen))
    return finish(problem, options, descended, watch=watch)


def _limit(problem: Problem, options: Options) -> int:
    """Largest rank that the scan may come to."""
    limit = min(problem.work.shape) if options.rank is None else options.rank
    return min(limit, largest_rank(problem.work.shape, problem.work.size, symmetric=options.symmetric))


def finish(
    problem: Problem, options: Options, descended: Descent, *, shift: int = 0, watch: Watch | None = None
) -> Solution:
    """Run the stages after the sub-gradient method: ranks, estimate, verdict, a second opinion where that is bad.

    The scan begins `shift` ranks above the one that the gap in the spectrum speaks for.
    """
    left, right, history, rule = descended
    guess, ratio = find_gap(history.spectrum[-1])
    n_iter = history.iteration[-1] + 1
    if not options.polish:
        fit = _unpolished(problem, left, right, options)
        return Solution(fit, guess, judge_unpolished(fit, guess, ratio), n_iter, history)
    limit = _limit(problem, options)
    # a scan from a start that huge errors have drowned goes through many ranks in vain: small targets come first
    drowned = problem.work.entrywise and ratio < SMALL_GAP
    scan = Scan(problem, left, right, options, watch=watch)
    first = min(guess + shift, limit)
    sharp = _is_sharp(scan, first, ratio, options)
    if rule is not None and not (options.screening or (sharp and _is_plain(scan, first, limit)) or scan.stopped):
        ended = finish(problem, options, go_on(problem, options, descended, watch=watch), shift=shift, watch=watch)
        if ended.converged or not sharp or ended.verdict.code is StopReason.INTERRUPTED:
            return ended
        # the rank of the first gap leaves noise alone, and errors may hide it from the whole run
        found = choose(scan, problem, first, limit, options, ratio)
        is_better = found.converged and not is_doubtful(found.fit, problem.base, ratio)
        return Solution.of(found, n_iter, history) if is_better else ended
    small = None
    if drowned and options.screening and not sharp:
        small = from_small_targets(problem, limit, options, only_sharp=True)
    if small is not None and _may_end(small, problem):
        return Solution.of(small, n_iter, history)
    rival = options.rival if problem.work.entrywise else None
    if not (sharp or rival is None or watch is None):
        scan.stopped |= bool(watch("model", Factors(left, right)))
    asked = None if sharp or scan.stopped else rival
    first, may_decay, decays = _ask(asked, scan, first, guess, ratio, limit)
    if decays:
        return _without_rank(problem, descended, options)
    is_met = first in scan.fits and is_exact(scan.fits[first])
    if drowned and not (options.screening or is_met):
        small = from_small_targets(problem, limit, options, only_sharp=may_decay)
        if small is not None and _may_end(small, problem):
            return Solution.of(small, n_iter, history)
    with scan.patient_for(PATIENCE if may_decay else None):
        if options.is_start and sharp and not is_exact(scan.fit(first)):
            found = as_it_is(scan.fit(first), problem, options)
        else:
            found = choose(scan, problem, first, limit, options, ratio)
        if scan.gave_up and may_decay and not (scan.stopped or options.screening):
            return _without_rank(problem, descended, options)
    found = _doubted(problem, found, small, limit, options, ratio, rival)
    return Solution.of(found, n_iter, history, sharp=sharp and found.converged)


def _doubted(
    problem: Problem,
    found: Candidate,
    small: Candidate | None,
    limit: int,
    options: Options,
    gap: float,
    rival: Rival | None,
) -> Candidate:
    """A candidate, or a better one where there is reason to doubt it; `small` is that of small targets."""
    failed = not (found.converged or is_exact(found.fit))
    search = doubtful = failed or is_doubtful(found.fit, problem.base, gap)
    if small is not None and doubtful and has_far_less_noise(small, found):
        found, search = small, not small.converged
    # a gap speaks for a low rank, and no gap in the residuals for it: errors that agree may have drawn the fit aside
    odd = found.fit.heavy_tailed and problem.work.entrywise and gap >= SMALL_GAP
    looks = (doubtful or odd) and not options.screening and found.verdict.code is not StopReason.INTERRUPTED
    # of 280 matrices with 10 to 50 % gross errors 11 were in doubt where another model was good
    failed = not (found.converged or is_exact(found.fit))
    if looks and not (failed and rival is not None and rival.is_good()):
        drowned = problem.work.entrywise and gap < SMALL_GAP  # small targets were looked at
        found = second_opinion(problem, found, limit, options, drowned, search=search)
    if options.screening and doubtful and found.converged and not is_exact(found.fit):
        found = replace(found, verdict=DOUBTFUL)
    return found


class _Answer(NamedTuple):
    """What another model says: the rank to begin at, and whether the spectrum may decay, or does.

    Where it does, no rank is sharp.
    """

    rank: int
    may_decay: bool
    decays: bool


def _ask(rival: Rival | None, scan: Scan, first: int, guess: int, gap: float, limit: int) -> _Answer:
    """Ask another model whether a rank is sharp, where a `gap` spoke for `guess` and the scan would begin at `first`.

    Where it says none, only an exact fit would be better. Errors may hide the gap of its rank from the sub-gradient
    method, but not from the model: so do entries of a second matrix in 8 of 20 matrices at a share of 40 %
    (``python asv_bench/studies/structure.py --structure second``).
    """
    if rival is None or not rival.has_decaying_spectrum(guess, gap, strict=False):
        return _Answer(first, False, False)
    rank, ratio = rival.gap()
    rank = min(rank, limit)
    if SMALL_GAP <= ratio < np.inf and is_exact(scan.fit(rank)):
        return _Answer(rank, False, False)
    if scan.stopped:
        return _Answer(first, False, False)
    return _Answer(first, True, rival.has_decaying_spectrum(guess, gap))


def _is_sharp(scan: Scan, k: int, gap: float, options: Options) -> bool:
    """Whether the fit of the rank that a gap speaks for leaves nothing: another model would tell nothing new."""
    if gap < (SMALL_GAP if k <= _CHEAP and not options.screening else CLEAR_GAP):
        return False
    fit = scan.fit(k)
    return is_exact(fit) or scan.leaves_noise(k)


def _is_plain(scan: Scan, k: int, limit: int) -> bool:
    """Whether a sharp fit of the rank of a first gap needs no further iterations: it is exact, or the rank stays.

    Where inliers are few, the whole run may lead to a better one.
    """
    fit = scan.fit(k)
    return is_exact(fit) or (float(fit.inlier_weight.sum()) >= FEW * fit.dof and scan.choose(k, limit) == k)


def _without_rank(problem: Problem, descended: Descent, options: Options) -> Solution:
    """The end where no rank is sharp: the fit of the sub-gradient method, the place of which a model takes."""
    left, right, history, _ = descended
    found = Candidate(_unpolished(problem, left, right, options), DECAYS)
    return Solution.of(found, history.iteration[-1] + 1, history)


def _may_end(found: Candidate, problem: Problem) -> bool:
    """Whether a candidate ends the search: beyond doubt, and exact or not stuck on single rows or columns."""
    settled = is_exact(found.fit) or (found.converged and not has_high_leverage(found.fit))
    return settled and not is_doubtful(found.fit, problem.base)


def solve_warm(problem: Problem, options: Options, start: Factors, *, watch: Watch | None = None) -> Solution:
    """Scan ranks from the factors of a fit to nearly the same data."""
    left, right = (factor.astype(problem.work.dtype, copy=False) for factor in start)
    history = History()
    symmetric = options.symmetric
    u, s, v = problem.to_base(*product_svd(left, right, symmetric=symmetric), symmetric=symmetric)
    residual = evaluate(problem.base, u, s, v)
    history.record(0, residual, 0.0, product_spectrum(left, right))
    limit = _limit(problem, options)
    found = scan_from(problem, Factors(left, right), left.shape[1], limit, options, warm=residual, watch=watch)
    fit = found.fit
    # a fit of one rank too many makes a direction of single rows or columns that it is stuck on: they stand out
    ordinary = is_exact(fit) or all(has_ordinary_leverage(factor) for factor in (fit.u, fit.v))
    if found.converged and not (ordinary and not is_doubtful(fit, problem.base)):
        found = replace(found, verdict=DOUBTFUL)
    return Solution.of(found, 1, history, sharp=found.converged)


def _unpolished(problem: Problem, left: np.ndarray, right: np.ndarray, options: Options) -> Fit:
    """The fit of the sub-gradient method as it is, all its directions kept."""
    u, s, v = product_svd(left, right, symmetric=options.symmetric)
    u, s, v = problem.to_base(u, s, v, symmetric=options.symmetric)
    residual = evaluate(problem.base, u, s, v)
    scale = max(median_scale(residual), scale_floor(residual.dtype))
    inlier = (np.abs(residual) <= 3.0 * scale).astype(residual.dtype)
    dof = degrees_of_freedom(problem.base.shape, len(s), symmetric=options.symmetric)
    return Fit(u, s, v, residual, scale, inlier, dof, problem.base.informative)


def _zero_solution(base: Measurements, verdict: Verdict) -> Solution:
    """The zero matrix and the verdict on it."""
    dtype = base.dtype
    u = np.eye(base.shape[0], 1, dtype=dtype)
    v = np.eye(base.shape[1], 1, dtype=dtype)
    fit = Fit(u, np.zeros(1, dtype), v, -base.y, 0.0, np.ones_like(base.y), 0)
    history = History()
    history.record(0, fit.residual, 0.0, np.zeros(1))
    return Solution(fit, 0, verdict, 1, history)
