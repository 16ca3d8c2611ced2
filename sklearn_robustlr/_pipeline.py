"""One fit from one start: sub-gradient method, rank, polish and verdict, in this order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import _rank
from ._checkpoint import stage
from ._factors import degrees_of_freedom, product_spectrum, product_svd
from ._initialization import bounded_targets, clipped_targets, spectral_start, tiny_start
from ._polish import Fit, evaluate, scale_floor
from ._scan import Scan, improves
from ._step_sizes import make_step_rule, quantile
from ._subgradient import History, descent, subgradient_methods
from ._verdict import SMALL_GAP, STOPPED, is_doubtful, judge, judge_exact, judge_unpolished

# Surplus directions that the first run of the sub-gradient method is given; doubled while all are used.
_FIRST_WIDTH = 20
# Ratio of neighbouring singular values that a hurried fit takes for the gap.
CLEAR_GAP = 12.0
# Measurements for each row and column of X that a preview needs.
_PREVIEW = 14
# Measurements up to which noise is looked behind: there an exact fit is soon found, or not.
_SEARCHABLE = 20_000
# Targets, in units of the median one, whose squares vanish beside those of the others, in either type.
_LEAST = {"d": 1e-30, "f": 1e-15}
# Share of the values that do not repeat which an exact fit meets beyond which those that do have not drawn it aside.
_MOST_MET = 0.9
# Noise of a fit, in units of that of another, below which it is far less.
_LESS = 0.85


@dataclass
class Solution:
    """Outcome of one start."""

    fit: Fit
    rank: int
    converged: bool
    reason: str
    n_iter: int
    history: History


def first_width(problem, options):
    """Directions that the sub-gradient method is given first, and the most that the measurements can determine."""
    work = problem.work
    measurable = _rank.largest_rank(work.shape, work.size, symmetric=options.symmetric)
    return (min(measurable, _FIRST_WIDTH) if options.rank is None else options.rank), measurable


def descend(problem, options, starts, *, max_iter=None, watch=None):
    """The sub-gradient method with these options from several starts (left, right, rule, iterations behind them)."""
    rules = [rule for _, _, rule, _ in starts]

    def run():
        descents = [
            descent(
                problem.work,
                left,
                right,
                rule,
                max_iter=options.max_iter if max_iter is None else min(max_iter, options.max_iter),
                tol=options.tol,
                first=first,
                symmetric=options.symmetric,
                gap=CLEAR_GAP if options.hurried else np.inf,
                watch=watch,
            )
            for left, right, rule, first in starts
        ]
        return subgradient_methods(problem.work, descents), rules

    # where callbacks watch, and may ask for an end, the iterations are made
    checkpoint = options.checkpoint if watch is None else None
    results, moved = stage(checkpoint, "subgradient", run, problem, options.apart, starts, max_iter)
    for rule, after in zip(rules, moved, strict=True):
        vars(rule).update(vars(after))
    return results


def _overparameterised(problem, options, *, watch=None):
    """Sub-gradient method from a tiny start, widened while all directions are used.

    Returns (left, right, history); left is None where the measurements are all zero.
    """
    work = problem.work
    width, measurable = first_width(problem, options)
    while True:
        left, right, norm = tiny_start(work, width, options.init_scale, symmetric=options.symmetric)
        if not norm > 0.0:
            return None, None, None
        rule = make_step_rule(options.step_size, work, options.init_scale, norm)
        left, right, history = descend(problem, options, [(left, right, rule, 0)], watch=watch)[0]
        guess = _rank.gap_guess(history.spectrum[-1])[0]
        if options.rank is not None or guess < width or width >= measurable:
            break
        width = min(2 * width, measurable)
    return left, right, history


def solve(problem, options, *, start=None, watch=None):
    """Run all stages from the plain spectral start.

    `start` is a pair of factors in the coordinates of
    `problem.work`, of a fit to nearly the same data; where no fit to be trusted is found from it, it is forgotten.
    `watch` is called with the name of a step and the factors it came to, and may ask for an end by returning True.
    """
    history = None
    if start is None and options.polish and not options.hurried:
        start, history = _preview(problem, options, watch)
    solution = _solve(problem, options, start, watch)
    if history is not None and solution.history.iteration == [0]:  # its own iterations are those that led here
        solution = replace(solution, n_iter=history.iteration[-1] + 1, history=history)
    if not solution.rank or solution.reason == STOPPED:
        return solution
    stuck = repeated(problem.base.y)
    if not stuck.any():
        return solution
    before = _rank.is_met(solution.fit)[~stuck] if _rank.is_exact(solution.fit) else None
    if before is not None and np.mean(before) > _MOST_MET:
        return solution
    again = _solve(problem.subset(np.flatnonzero(~stuck)), options, None, watch)
    fit = again.fit
    if before is not None and not (_rank.is_exact(fit) and _rank.exact_count(fit) > np.count_nonzero(before)):
        return solution
    residual = evaluate(problem.base, fit.u, fit.s, fit.v)
    sound = np.zeros_like(residual)
    sound[~stuck] = fit.sound
    fit = replace(fit, residual=residual, sound=sound, informative=problem.base.informative)
    return replace(again, fit=fit)


def previews(problem):
    """Problems of a sixteenth, an eighth and a quarter of many measurements that each see all of X.

    Their sub-gradient stages, which are bound by reading, are in single precision: ranks and starts are told there.
    """
    for share in (16, 8, 4):
        if not problem.work.coherent and problem.work.size >= _PREVIEW * share * sum(problem.work.shape):
            yield problem.subset(np.arange(0, problem.work.size, share)).in_single()


def _preview(problem, options, watch):
    """Fit a few of many measurements; returns factors to begin at and their history, or None.

    The sub-gradient method reads its data a hundred times: what a sixteenth of them tells need not be read from all.
    """
    for part in previews(problem):
        solution = _solve(part, replace(options, hurried=True), None, watch)
        if solution.converged and solution.rank and not solution.fit.heavy:
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
    left, right, history = _overparameterised(problem, options, watch=watch)
    if left is None:
        return _zero_solution(base, "the measurements do not depend on the matrix: all of them are zero")
    return finish(problem, options, left, right, history, watch=watch)


def _limit(problem, options):
    """Largest rank that the scan may come to."""
    limit = min(problem.work.shape) if options.rank is None else options.rank
    return min(limit, _rank.largest_rank(problem.work.shape, problem.work.size, symmetric=options.symmetric))


def finish(problem, options, left, right, history, *, shift=0, watch=None):
    """The stages after the sub-gradient method: ranks, estimate, verdict, and a second opinion where that is bad.

    The scan begins `shift` ranks above the one that the gap tells.
    """
    guess, ratio = _rank.gap_guess(history.spectrum[-1])
    n_iter = history.iteration[-1] + 1
    if not options.polish:
        fit = _unpolished(problem, left, right, options)
        converged, reason = judge_unpolished(fit, guess, ratio)
        return Solution(fit, guess, converged, reason, n_iter, history)
    limit = _limit(problem, options)
    # a scan from a start that huge errors have drowned goes through many ranks in vain: what is small comes first
    drowned = problem.work.coherent and ratio < SMALL_GAP and not options.hurried
    small = _from_small_targets(problem, limit, options) if drowned else None
    if small is not None and not is_doubtful(small[0]):
        fit, converged, reason = small
        if _rank.is_exact(fit) or (converged and not _rank.has_lonely(fit)):
            return Solution(fit, fit.rank, converged, reason, n_iter, history)
    found = _scan(problem, left, right, guess + shift, limit, options, gap=ratio, watch=watch)
    doubtful = not (found[1] or _rank.is_exact(found[0])) or is_doubtful(found[0], ratio)
    search = doubtful
    if small is not None and doubtful and _is_better(small, found):
        found, search = small, not small[1]
    # a gap speaks for a low rank, and no gap in the residuals for it: errors that agree may have drawn the fit aside
    odd = found[0].heavy and problem.work.coherent and ratio >= SMALL_GAP
    if (doubtful or odd) and not options.hurried and found[2] != STOPPED:
        found = _second_opinion(problem, found, limit, options, drowned, search=search)
    fit, converged, reason = found
    if options.hurried and not _rank.is_exact(fit):
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
    found = _scan(problem, left, right, left.shape[1], limit, options, warm=residual, watch=watch)
    fit, converged, reason = found
    # rows or columns that stand out are what a fit of one rank too many has made of those that it is stuck on
    ordinary = _rank.is_exact(fit) or all(_rank.has_ordinary_leverage(factor) for factor in (fit.u, fit.v))
    converged = converged and ordinary and not is_doubtful(fit)
    return Solution(fit, fit.rank, converged, reason, 1, history)


def _second_opinion(problem, found, limit, options, drowned, *, search):
    """Look for a fit that the scan has missed; returns the better of both.

    Errors in single entries that agree with one another (a stuck sensor) can be met exactly by a small rank: what an
    exact fit of a minority does not meet is tried on its own. So are small targets, unless they were in what is
    `drowned`. Then, to `search`, starts are made from targets bounded in several ways.
    """
    fit = found[0]
    if not problem.work.coherent:
        return found if _rank.is_exact(fit) else _spectral_search(problem, found, limit, options)
    best = _rank.exact_count(fit) if _rank.is_exact(fit) else 0
    others = [lambda: _from_small_targets(problem, limit, options)] if not drowned else []
    if best:
        others.insert(0, lambda: _from_part(problem, ~_rank.is_met(fit), limit, options))
    for look in others:
        other = look()
        if other is None:
            continue
        if _rank.is_exact(other[0]):
            if other[1] and _rank.exact_count(other[0]) > best:
                return other
        elif not (best or found[1]) and _is_better(other, found):
            found, search = other, search and not other[1]
    # nearly low-rank data have no exact fit to be found, and large ones would be searched for minutes
    hopeless = not search or problem.work.size > (_SEARCHABLE if fit.heavy else 200_000)
    return found if best or hopeless else _spectral_search(problem, found, limit, options)


def _is_better(one, other):
    """Whether one result (fit, converged, reason) has far less noise, and has converged if the other has.

    A fit that is as good as one that has not converged would only be one more throw for the verdict.
    """
    less = one[0].scale < _LESS * other[0].scale
    return less and (one[1] > other[1] or (one[1] == other[1] and improves(one[0], other[0])))


def _from_small_targets(problem, limit, options):
    """Fit all from those of less than median size, for errors are large; (fit, converged, reason) or None."""
    size = np.abs(problem.base.y)
    return _from_part(problem, size <= quantile(size, 0.45), limit, options)


def _from_part(problem, among, limit, options):
    """Fit all from a fit of the measurements of a mask; returns (fit, converged, reason), or None without a result."""
    part = problem.subset(np.flatnonzero(among))
    if not np.abs(part.base.y).max(initial=0.0) > _LEAST[part.base.dtype.char]:
        return None
    left, right, history = _overparameterised(part, replace(options, rank=None))
    if left is None:
        return None
    guess, gap = _rank.gap_guess(history.spectrum[-1])
    scan = Scan(part, left, right, options)
    most = min(limit, _rank.largest_rank(part.work.shape, part.work.size, symmetric=options.symmetric))
    fit = scan.fit(scan.choose(min(guess, most), most))
    if fit.heavy:
        return None
    if _rank.is_exact(fit):
        u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
        scan = Scan(problem, u * s, v, options, warm=evaluate(problem.base, fit.u, fit.s, fit.v))
        fit = scan.fit(scan.choose(fit.rank, fit.rank))
        return (fit, *judge_exact(fit, problem)) if _rank.is_exact(fit) else None
    # from few, one value may be all that can be told: it has no gap
    return _scan_on(problem, fit, limit, options, gap=gap if gap < np.inf else 1.0)


def _spectral_search(problem, found, limit, options, *, largest=6):
    """Look for a better fit of any small rank from several spectral starts, and from halves of the data.

    An exact one ends the search; so does one with far less noise than what was found, where a scan from it converges.

    Measured on 40 problems with 30 % sign flips, the hardest kind: told the rank, each start alone is
    exact in 33 to 39; the scan, which has to find the rank as well, in fewer.
    """
    work = problem.work
    starts = bounded_targets(work)
    for seed in range(2):  # a mask, not a subset: dense measurements are not copied
        starts.append(2 * clipped_targets(work) * (np.random.RandomState(seed).uniform(size=work.size) < 0.5))
    for k in range(1, min(limit, largest) + 1):
        for values in starts:
            u, s, v = spectral_start(work, k, values=values, symmetric=options.symmetric)
            if not s[0] > 0:
                continue
            fit = Scan(problem, u * s, v, options).fit(k)
            if _rank.is_exact(fit):
                if judge_exact(fit, problem)[0]:
                    return fit, True, ""
            elif not (found[1] or fit.heavy) and fit.scale < _LESS * found[0].scale:
                other = _scan_on(problem, fit, limit, options, gap=1.0)
                if _is_better(other, found):
                    found = other
                if found[1]:
                    return found
    return found


def _scan_on(problem, fit, limit, options, *, gap):
    """Scan ranks from a fit to other measurements, or of a rank that was a guess.

    Its own rank is fitted from there with a descent and without: the one frees rows that were stuck, the other keeps
    directions that half of the measurements wrong would drown.
    """
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    scan = Scan(problem, u * s, v, options)
    scan.fits[fit.rank] = scan.better_of(u, s, v)
    return _choose(scan, problem, fit.rank, limit, options, gap)


def _scan(problem, left, right, guess, limit, options, *, gap=np.inf, warm=None, watch=None):
    """Scan ranks from the factors of one start; returns (fit, converged, reason)."""
    return _choose(Scan(problem, left, right, options, warm=warm, watch=watch), problem, guess, limit, options, gap)


def _choose(scan, problem, guess, limit, options, gap):
    k = scan.choose(guess, limit)
    return scan.fit(k), *judge(scan, k, limit, problem, options, gap, guess)


def _unpolished(problem, left, right, options):
    u, s, v = product_svd(left, right, symmetric=options.symmetric)
    u, s, v = problem.to_base(u, s, v, symmetric=options.symmetric)
    residual = evaluate(problem.base, u, s, v)
    scale = max(quantile(np.abs(residual), 0.5) / 0.6745, scale_floor(residual.dtype))
    sound = (np.abs(residual) <= 3.0 * scale).astype(residual.dtype)
    dof = degrees_of_freedom(problem.base.shape, len(s), symmetric=options.symmetric)
    return Fit(u, s, v, residual, scale, sound, dof, problem.base.informative)


def _zero_solution(base, reason=""):
    dtype = base.dtype
    u = np.eye(base.shape[0], 1, dtype=dtype)
    v = np.eye(base.shape[1], 1, dtype=dtype)
    fit = Fit(u, np.zeros(1, dtype), v, -base.y, 0.0, np.ones_like(base.y), 0)
    history = History()
    history.record(0, fit.residual, 0.0, np.zeros(1))
    return Solution(fit, 0, not reason, reason, 1, history)
