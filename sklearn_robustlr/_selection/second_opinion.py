"""A second opinion on a doubtful fit: other starts, and fits to parts of the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .._operators.base import evaluate
from .._operators.units import Problem
from .._solvers.starts import bounded_targets, clipped_targets, spectral_start
from .._utils.rules import SMALL_GAP, SMALL_LEVEL
from .._utils.stats import quantile
from .._utils.values import Fit, Options, exact_count, is_exact, is_met
from .choice import scan_on
from .descents import descend_from_tiny
from .evidence import SUPPORTED, find_gap, has_enough_inliers, improves, largest_rank
from .results import Candidate
from .scan import Scan
from .verdict import judge_exact

# Most measurements of a heavy-tailed fit, and of any other, for which an exact fit is searched: larger ones would be
# searched for minutes, and nearly low-rank data have none.
_MOST_HEAVY_TAILED, _MOST = 20_000, 200_000
# Targets, in units of the median one, whose squares vanish beside those of the others, in either type.
_LEAST = {"d": 1e-30, "f": 1e-15}
# Noise of a fit, in units of that of another, below which it is far less.
_LESS = 0.85


def second_opinion(
    problem: Problem, found: Candidate, limit: int, options: Options, drowned: bool, *, search: bool
) -> Candidate:
    """Look for a fit that the scan has missed; returns the better of both.

    Gross errors that agree with one another (a stuck sensor) can be met exactly by a small rank: what an exact fit of a
    minority does not meet is fitted on its own. So are small targets, unless that was done because the start was
    `drowned`. Then, to `search`, starts are made from targets bounded in several ways.
    """
    fit = found.fit
    if not problem.work.entrywise:
        return found if is_exact(fit) else _spectral_search(problem, found, limit, options)
    best = exact_count(fit) if is_exact(fit) else 0
    others = [lambda: from_small_targets(problem, limit, options)] if not drowned else []
    if best:
        others.insert(0, lambda: _from_part(problem, ~is_met(fit), limit, options))
    for look in others:
        other = look()
        if other is None:
            continue
        if is_exact(other.fit):
            if other.converged and exact_count(other.fit) > best:
                return other
        elif not (best or found.converged) and has_far_less_noise(other, found):
            found, search = other, search and not other.converged
    hopeless = not search or problem.work.size > (_MOST_HEAVY_TAILED if fit.heavy_tailed else _MOST)
    return found if best or hopeless else _spectral_search(problem, found, limit, options)


def has_far_less_noise(one: Candidate, other: Candidate) -> bool:
    """Whether one candidate has far less noise, and has converged if the other has.

    One that is as good as another that has not converged would only be one more throw for the verdict.
    """
    less = one.fit.scale < _LESS * other.fit.scale
    as_good = one.converged == other.converged and improves(one.fit, other.fit)
    return less and (one.converged > other.converged or as_good)


def from_small_targets(problem: Problem, limit: int, options: Options, *, only_sharp: bool = False) -> Candidate | None:
    """Fit all from the targets of less than median size, for errors are large; None without a result.

    If `only_sharp`, one of these that is neither exact nor leaves noise alone is not gone on with.
    """
    size = np.abs(problem.base.y)
    return _from_part(problem, size <= quantile(size, SMALL_LEVEL), limit, options, only_sharp=only_sharp)


def _from_part(
    problem: Problem, among: np.ndarray, limit: int, options: Options, *, only_sharp: bool = False
) -> Candidate | None:
    """Fit all from a fit of the measurements of a mask; None without a result."""
    part = problem.subset(np.flatnonzero(among))
    if not np.abs(part.base.y).max(initial=0.0) > _LEAST[part.base.dtype.char]:
        return None
    descended = descend_from_tiny(part, replace(options, rank=None))
    if descended is None:
        return None
    guess, gap = find_gap(descended.history.spectrum[-1])
    if options.screening and gap < SMALL_GAP:  # a larger block may show one
        return None
    scan = Scan(part, descended.left, descended.right, options)
    most = min(limit, largest_rank(part.work.shape, part.work.size, symmetric=options.symmetric))
    fit = scan.fit(scan.choose(min(guess, most), most))
    if fit.heavy_tailed:
        return None
    if is_exact(fit):
        u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
        scan = Scan(problem, u * s, v, options, warm=evaluate(problem.base, fit.u, fit.s, fit.v))
        fit = scan.fit(scan.choose(fit.rank, fit.rank))
        return Candidate(fit, judge_exact(fit, problem)) if is_exact(fit) else None
    if only_sharp and not scan.leaves_noise(fit.rank):
        return None
    # from few measurements a single direction may be all that shows: it has no gap
    return scan_on(problem, fit, limit, options, gap=gap if gap < np.inf else 1.0)


def _spectral_search(
    problem: Problem, found: Candidate, limit: int, options: Options, *, largest: int = 6
) -> Candidate:
    """Look for a better fit of any small rank from several spectral starts, and from halves of the data.

    An exact one ends the search; so does one with far less noise than what was found, where a scan from it converges.
    ``python asv_bench/studies/doubtful.py`` has problems that come this far.

    Measured on 40 problems with 30 % sign flips, the hardest kind: given the rank, each start alone is exact in 33 to
    39; the scan, which has to find the rank as well, in fewer.
    """
    work = problem.work
    starts = bounded_targets(work)
    for seed in range(2):  # a mask, not a subset: dense measurements are not copied
        starts.append(2 * clipped_targets(work) * (np.random.RandomState(seed).uniform(size=work.size) < 0.5))
    for k in range(1, min(limit, largest) + 1):
        for values in starts:
            u, s, v = spectral_start(work, k, values=values, symmetric=options.symmetric)
            if not s[0] > 0 or options.meter.is_spent:
                continue
            for fit in _of_told_ranks(problem, Scan(problem, u * s, v, options).fit(k), found, options):
                if is_exact(fit):
                    other = Candidate(fit, judge_exact(fit, problem))
                    if other.converged:
                        return other
                elif _is_promising(fit, found) and _may_be_told(fit):
                    other = scan_on(problem, fit, limit, options, gap=1.0)
                    if has_far_less_noise(other, found):
                        found = other
                    if found.converged:
                        return found
    return found


def _is_promising(fit: Fit, found: Candidate) -> bool:
    """Whether a fit has far less noise than a candidate that has not converged."""
    return not (found.converged or fit.heavy_tailed) and fit.scale < _LESS * found.fit.scale


def _may_be_told(fit: Fit) -> bool:
    """Whether a fit has the inliers that a verdict asks for."""
    return has_enough_inliers(fit, of=SUPPORTED)


def _of_told_ranks(problem: Problem, fit: Fit, found: Candidate, options: Options) -> Iterator[Fit]:
    """Yield the fit; or, if it is promising but has too few inliers, fits of smaller ranks from its leading directions.

    It then follows the errors, and a scan from its own rank would come down to one of these.
    """
    if is_exact(fit) or _may_be_told(fit) or not _is_promising(fit, found):
        yield fit
        return
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    scan = Scan(problem, u * s, v, options)
    yield from (scan.fit(k) for k in range(1, fit.rank))
