"""One fit from one start: sub-gradient method, rank, polish and verdict, in this order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._operators.base import evaluate
from .._solvers.starts import tiny_start
from .._solvers.step_rules import make_step_rule
from .._solvers.subgradient import History
from .._utils.linalg import degrees_of_freedom, product_spectrum, product_svd
from .._utils.rules import scale_floor
from .._utils.stats import median_scale
from .._utils.values import Fit, exact_count, is_exact, is_met
from .choice import scan_from
from .descents import descend, overparameterised
from .evidence import gap_guess, largest_rank
from .leverage import has_high_leverage, has_ordinary_leverage
from .second_opinion import from_small_targets, has_far_less_noise, second_opinion
from .verdict import SMALL_GAP, STOPPED, is_doubtful, judge_unpolished

# Measurements for each row and column of X that a preview needs.
_PREVIEW = 14
# Share of the values that do not repeat which an exact fit meets beyond which those that do have not drawn it aside.
_MOST_MET = 0.9


@dataclass
class Solution:
    """Outcome of one start."""

    fit: Fit
    rank: int
    converged: bool
    reason: str
    n_iter: int
    history: History


def solve(problem, options, *, start=None, watch=None):
    """Run all stages from the plain spectral start.

    `start` is a pair of factors in the coordinates of
    `problem.work`, of a fit to nearly the same data; where no fit to be trusted is found from it, it is forgotten.
    `watch` is called with the name of a step and the factors it came to, and may ask for an end by returning True.
    """
    history = None
    if start is None and options.polish and not options.screening:
        start, history = _preview(problem, options, watch)
    solution = _solve(problem, options, start, watch)
    if history is not None and solution.history.iteration == [0]:  # its own iterations are those that led here
        solution = replace(solution, n_iter=history.iteration[-1] + 1, history=history)
    if not solution.rank or solution.reason == STOPPED:
        return solution
    stuck = repeated(problem.base.y)
    if not stuck.any():
        return solution
    before = is_met(solution.fit)[~stuck] if is_exact(solution.fit) else None
    if before is not None and np.mean(before) > _MOST_MET:
        return solution
    again = _solve(problem.subset(np.flatnonzero(~stuck)), options, None, watch)
    fit = again.fit
    if before is not None and not (is_exact(fit) and exact_count(fit) > np.count_nonzero(before)):
        return solution
    residual = evaluate(problem.base, fit.u, fit.s, fit.v)
    inlier = np.zeros_like(residual)
    inlier[~stuck] = fit.inlier_weight
    fit = replace(fit, residual=residual, inlier_weight=inlier, informative=problem.base.informative)
    return replace(again, fit=fit)


def previews(problem):
    """Problems of a sixteenth, an eighth and a quarter of many measurements that each see all of X.

    Their sub-gradient stages, which are bound by reading, are in single precision: ranks and starts are told there.
    """
    for share in (16, 8, 4):
        if not problem.work.entrywise and problem.work.size >= _PREVIEW * share * sum(problem.work.shape):
            yield problem.subset(np.arange(0, problem.work.size, share)).in_single()


def _preview(problem, options, watch):
    """Fit a few of many measurements; returns factors to begin at and their history, or None.

    The sub-gradient method reads its data a hundred times: what a sixteenth of them tells need not be read from all.
    """
    for part in previews(problem):
        solution = _solve(part, replace(options, screening=True), None, watch)
        if solution.converged and solution.rank and not solution.fit.heavy_tailed:
            fit = solution.fit
            u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
            return (u * np.sqrt(s), v * np.sqrt(s)), solution.history
    return None, None


def repeated(values, *, share=0.005, fewest=10):
    """Mask of values that keep coming back among others that never do.

    With noise that is not rounded no value occurs twice: one that does is that of a sensor that is stuck, cut off, or
    filled in. Where it lies well inside the range of the data the noise hides it, and it draws the fit towards itself.
    """
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    often = count > max(share * len(values), fewest)
    mask = often[index]
    others = np.count_nonzero(~mask)
    return mask & (np.count_nonzero(count == 1) > 0.99 * others) & (others > 0.25 * len(values))


def _solve(problem, options, start, watch):
    """The stages of :func:`solve`, all measurements taken as they are."""
    base = problem.base
    if not np.any(base.y):
        return _zero_solution(base)
    if start is not None:
        if not options.polish:
            norm = tiny_start(problem.work, 1, options.init_scale, symmetric=options.symmetric)[2]
            if not norm > 0.0:
                return _zero_solution(base, "the measurements do not depend on the matrix: all of them are zero")
            rule = make_step_rule(options.step_size, problem.work, options.init_scale, norm)
            left, right, history = descend(problem, options, [(*start, rule, 0)], watch=watch)[0]
            return finish(problem, options, left, right, history, watch=watch)
        solution = solve_warm(problem, options, start, watch=watch)
        if solution.converged:
            return solution
    left, right, history = overparameterised(problem, options, watch=watch)
    if left is None:
        return _zero_solution(base, "the measurements do not depend on the matrix: all of them are zero")
    return finish(problem, options, left, right, history, watch=watch)


def _limit(problem, options):
    """Largest rank that the scan may come to."""
    limit = min(problem.work.shape) if options.rank is None else options.rank
    return min(limit, largest_rank(problem.work.shape, problem.work.size, symmetric=options.symmetric))


def finish(problem, options, left, right, history, *, shift=0, watch=None):
    """The stages after the sub-gradient method: ranks, estimate, verdict, and a second opinion where that is bad.

    The scan begins `shift` ranks above the one that the gap tells.
    """
    guess, ratio = gap_guess(history.spectrum[-1])
    n_iter = history.iteration[-1] + 1
    if not options.polish:
        fit = _unpolished(problem, left, right, options)
        converged, reason = judge_unpolished(fit, guess, ratio)
        return Solution(fit, guess, converged, reason, n_iter, history)
    limit = _limit(problem, options)
    # a scan from a start that huge errors have drowned goes through many ranks in vain: what is small comes first
    drowned = problem.work.entrywise and ratio < SMALL_GAP and not options.screening
    small = from_small_targets(problem, limit, options) if drowned else None
    if small is not None and not is_doubtful(small[0]):
        fit, converged, reason = small
        if is_exact(fit) or (converged and not has_high_leverage(fit)):
            return Solution(fit, fit.rank, converged, reason, n_iter, history)
    found = scan_from(problem, left, right, guess + shift, limit, options, gap=ratio, watch=watch)
    doubtful = not (found[1] or is_exact(found[0])) or is_doubtful(found[0], ratio)
    search = doubtful
    if small is not None and doubtful and has_far_less_noise(small, found):
        found, search = small, not small[1]
    # a gap speaks for a low rank, and no gap in the residuals for it: errors that agree may have drawn the fit aside
    odd = found[0].heavy_tailed and problem.work.entrywise and ratio >= SMALL_GAP
    if (doubtful or odd) and not options.screening and found[2] != STOPPED:
        found = second_opinion(problem, found, limit, options, drowned, search=search)
    fit, converged, reason = found
    if options.screening and not is_exact(fit):
        converged &= not doubtful
    return Solution(fit, fit.rank, converged, reason, n_iter, history)


def solve_warm(problem, options, start, *, watch=None):
    """Scan ranks from the factors of a fit to nearly the same data."""
    left, right = (factor.astype(problem.work.dtype, copy=False) for factor in start)
    history = History()
    symmetric = options.symmetric
    u, s, v = problem.to_base(*product_svd(left, right, symmetric=symmetric), symmetric=symmetric)
    residual = evaluate(problem.base, u, s, v)
    history.record(0, residual, 0.0, product_spectrum(left, right))
    limit = _limit(problem, options)
    found = scan_from(problem, left, right, left.shape[1], limit, options, warm=residual, watch=watch)
    fit, converged, reason = found
    # rows or columns that stand out are what a fit of one rank too many has made of those that it is stuck on
    ordinary = is_exact(fit) or all(has_ordinary_leverage(factor) for factor in (fit.u, fit.v))
    converged = converged and ordinary and not is_doubtful(fit)
    return Solution(fit, fit.rank, converged, reason, 1, history)


def _unpolished(problem, left, right, options):
    u, s, v = product_svd(left, right, symmetric=options.symmetric)
    u, s, v = problem.to_base(u, s, v, symmetric=options.symmetric)
    residual = evaluate(problem.base, u, s, v)
    scale = max(median_scale(residual), scale_floor(residual.dtype))
    inlier = (np.abs(residual) <= 3.0 * scale).astype(residual.dtype)
    dof = degrees_of_freedom(problem.base.shape, len(s), symmetric=options.symmetric)
    return Fit(u, s, v, residual, scale, inlier, dof, problem.base.informative)


def _zero_solution(base, reason=""):
    dtype = base.dtype
    u = np.eye(base.shape[0], 1, dtype=dtype)
    v = np.eye(base.shape[1], 1, dtype=dtype)
    fit = Fit(u, np.zeros(1, dtype), v, -base.y, 0.0, np.ones_like(base.y), 0)
    history = History()
    history.record(0, fit.residual, 0.0, np.zeros(1))
    return Solution(fit, 0, not reason, reason, 1, history)
