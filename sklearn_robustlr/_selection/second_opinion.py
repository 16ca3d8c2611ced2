"""A second opinion on a doubtful fit: other starts, and fits to parts of the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._operators.base import evaluate
from .._solvers.starts import bounded_targets, clipped_targets, spectral_start
from .._utils.rules import SMALL_LEVEL
from .._utils.stats import quantile
from .._utils.values import exact_count, is_exact, is_met
from .choice import scan_on
from .descents import overparameterised
from .evidence import gap_guess, improves, largest_rank
from .scan import Scan
from .verdict import judge_exact

# Measurements up to which noise is looked behind: there an exact fit is soon found, or not.
_SEARCHABLE = 20_000
# Targets, in units of the median one, whose squares vanish beside those of the others, in either type.
_LEAST = {"d": 1e-30, "f": 1e-15}
# Noise of a fit, in units of that of another, below which it is far less.
_LESS = 0.85


def second_opinion(problem, found, limit, options, drowned, *, search):
    """Look for a fit that the scan has missed; returns the better of both.

    Errors in single entries that agree with one another (a stuck sensor) can be met exactly by a small rank: what an
    exact fit of a minority does not meet is tried on its own. So are small targets, unless they were in what is
    `drowned`. Then, to `search`, starts are made from targets bounded in several ways.
    """
    fit = found[0]
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
        if is_exact(other[0]):
            if other[1] and exact_count(other[0]) > best:
                return other
        elif not (best or found[1]) and has_far_less_noise(other, found):
            found, search = other, search and not other[1]
    # nearly low-rank data have no exact fit to be found, and large ones would be searched for minutes
    hopeless = not search or problem.work.size > (_SEARCHABLE if fit.heavy_tailed else 200_000)
    return found if best or hopeless else _spectral_search(problem, found, limit, options)


def has_far_less_noise(one, other):
    """Whether one result (fit, converged, reason) has far less noise, and has converged if the other has.

    A fit that is as good as one that has not converged would only be one more throw for the verdict.
    """
    less = one[0].scale < _LESS * other[0].scale
    return less and (one[1] > other[1] or (one[1] == other[1] and improves(one[0], other[0])))


def from_small_targets(problem, limit, options):
    """Fit all from those of less than median size, for errors are large; (fit, converged, reason) or None."""
    size = np.abs(problem.base.y)
    return _from_part(problem, size <= quantile(size, SMALL_LEVEL), limit, options)


def _from_part(problem, among, limit, options):
    """Fit all from a fit of the measurements of a mask; returns (fit, converged, reason), or None without a result."""
    part = problem.subset(np.flatnonzero(among))
    if not np.abs(part.base.y).max(initial=0.0) > _LEAST[part.base.dtype.char]:
        return None
    left, right, history = overparameterised(part, replace(options, rank=None))
    if left is None:
        return None
    guess, gap = gap_guess(history.spectrum[-1])
    scan = Scan(part, left, right, options)
    most = min(limit, largest_rank(part.work.shape, part.work.size, symmetric=options.symmetric))
    fit = scan.fit(scan.choose(min(guess, most), most))
    if fit.heavy_tailed:
        return None
    if is_exact(fit):
        u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
        scan = Scan(problem, u * s, v, options, warm=evaluate(problem.base, fit.u, fit.s, fit.v))
        fit = scan.fit(scan.choose(fit.rank, fit.rank))
        return (fit, *judge_exact(fit, problem)) if is_exact(fit) else None
    # from few, one value may be all that can be told: it has no gap
    return scan_on(problem, fit, limit, options, gap=gap if gap < np.inf else 1.0)


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
            if is_exact(fit):
                if judge_exact(fit, problem)[0]:
                    return fit, True, ""
            elif not (found[1] or fit.heavy_tailed) and fit.scale < _LESS * found[0].scale:
                other = scan_on(problem, fit, limit, options, gap=1.0)
                if has_far_less_noise(other, found):
                    found = other
                if found[1]:
                    return found
    return found
