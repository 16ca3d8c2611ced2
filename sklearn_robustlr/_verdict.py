"""Whether a fit is to be trusted, and if not, why.

Measured on 300 problems drawn from the whole grid of the studies and beyond what can be recovered
(`asv_bench/verdict_study.py`), half of the fits that left noise were wrong, and told apart by four things. The noise:
no right one left more than 0.81 times the median target, two thirds of the wrong ones did. The gap in the spectrum that
the sub-gradient method came to: below 1.25 for most wrong ones, above 2 for nearly all right ones. The residuals: their
leading singular value is at most 1.06 times that of the same with random signs in fits of the right rank, more in most
of those that miss a direction. And, where measurements are few, or there is hardly a gap, what fits to nine tenths of
them come to: for most right ones they leave as much noise as the fit to all, and the last tenth is missed by little
more than theory allows. Where there is no gap at all such a fit must also stay where it was: right ones moved by up to
0.18 of their size (240 problems each of completion and PCA), wrong ones by more than 0.5.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from . import _rank
from ._factors import product_spectrum
from ._polish import Fit, evaluate
from ._scan import Scan
from ._step_sizes import quantile

#: Verdict where a callback has asked for an end.
STOPPED = "a callback asked it to stop"

# Most noise, in units of the median target, beside which structure is seen; the same with a heavy tail.
_MOST_NOISE, _MOST_HEAVY = 0.85, 0.3
# Ratio of neighbouring singular values below which there is no gap, below which there hardly is, and a clear one.
_NO_GAP, SMALL_GAP, _CLEAR = 1.25, 2.0, 12.0
# Sound measurements an unknown below which a fit is repeated on parts of them, the same where there hardly is a gap,
# how far its noise may differ, how far beyond theory it may miss the others, and, without a gap, how far it may move.
_FEW, _ENOUGH, _STEADY, _MISSED, _MOVED = 6.0, 10.0, 0.1, 1.2, 0.3
# Within this move, and beside a gap, the noise may differ twice as far; it is also the most where one more rank is
# asked for but not determined, and of dense measurements, where no single row can move; the most of entries.
_NEAR, _FAR = 0.2, 0.4
# What the residuals may have in common, in units of the most that noise has by chance.
_COMMON = 1.05
# Noise edges that one more rank, not determined, may gain beside a steady fit: with more, and where the gap speaks no
# plainer, a direction is missed.
_PLAIN, _WIDE = 2.5, 5.0
# The most noise, in the same units, that a single direction may leave that no gap speaks for.
_MOST_ALONE = 0.6
# Share of dense measurements below which what an exact fit meets may as well be what has the wrong sign.
_HALF = 0.56
# Sound share of entries below which so many sound ones an unknown are asked for: some row may have but few of them.
_MAJORITY, _ASKED = 0.65, 4.0
# Share of the measurements that those fits do not see.
_HELD = 0.1
# Share of the measurements that an exact fit meets beyond which they may all be one value.
_MOST = 0.75


def is_doubtful(fit, gap=np.inf):
    """Whether a wrong fit may have passed: it leaves many errors, much noise, or is exact on a minority only.

    Or there was hardly a `gap` (ratio of neighbouring values) in the spectrum that the sub-gradient method came to:
    huge errors in single entries can drown it, and the scan then starts from nothing.
    """
    if _rank.is_exact(fit):
        return _rank.exact_count(fit) < 0.5 * _rank.informative_count(fit)
    return not fit.heavy and (float(np.mean(fit.sound)) < 0.55 or fit.scale > 0.6 or gap < SMALL_GAP)


def judge(scan, k, limit, problem, options, gap=np.inf, guess=None):
    """Return (converged, reason) of the fit of rank k that a scan has chosen, where a `gap` spoke for rank `guess`."""
    fit = scan.fit(k)
    if _rank.is_exact(fit):
        return judge_exact(fit, problem)
    if scan.stopped:
        return False, STOPPED
    if scan.gave_up:
        return False, f"the scan was given up at rank {k}"
    size = len(fit.residual)
    sound = float(fit.sound.sum())
    thin = problem.work.coherent and sound < min(_MAJORITY * size, _ASKED * fit.dof)
    if thin or not _rank.is_determined(fit):
        return False, (
            f"too few sound measurements: about {sound:.0f} of {size} for the {fit.dof} degrees of freedom of rank {k}"
        )
    if any(f.rank < k and f.heavy == fit.heavy and f.scale < 0.9 * fit.scale for f in scan.fits.values()):
        return False, f"fits of smaller ranks leave less noise than that of rank {k}: some of them are stuck"
    if k == limit and options.rank is None:
        return False, f"the rank stopped at {k}, the largest that {size} measurements can determine"
    gained = scan.gained(k + 1) if k < limit and k + 1 in scan.fits else 0.0
    asked = gained > _rank.EDGES
    if asked and scan.prefers_larger(k, k + 1):
        return False, f"structure is left beyond rank {k}"
    if k == 1 or k - 1 in scan.fits or not scan.is_firm(fit):
        nothing = Fit(fit.u[:, :0], fit.s[:0], fit.v[:, :0], -problem.base.y, fit.scale, fit.sound, 0)
        below = scan.fit(k - 1) if k > 1 else nothing
        edges = _rank.gain(below, fit, problem.base.shape, symmetric=options.symmetric)
        if edges <= (_rank.LEAST_EDGES if k > 1 and scan.has_structure_left(k - 1) else _rank.EDGES):
            return False, f"no low-rank structure stands out: direction {k} gains only {edges:.2g} noise edges"
    if not fit.heavy and _signs_are_open(fit, problem.base, 3.5 * fit.scale):
        return False, "half of the measurements are met, and nearly all others with the other sign"
    if k < limit and scan.left_over(k) > _COMMON:
        return False, f"structure is left beyond rank {k}: what it leaves has more in common than noise has"
    # where a rank was asked for, more structure than that may be left
    if options.rank is None and fit.heavy and fit.scale > _MOST_HEAVY:
        return False, f"the noise is heavy-tailed and {fit.scale:.2g} of the size of the data: most may be errors"
    if options.rank is None and fit.scale > _MOST_NOISE:
        return False, "the noise is about as large as the data: structure that was not found may hide in it"
    few = fit.sound.sum() < (_ENOUGH if options.rank is None and gap < SMALL_GAP else _FEW) * fit.dof
    blurred = options.rank is None and gap < _NO_GAP
    contested = guess is not None and k != guess and _CLEAR < gap < np.inf
    if (few or blurred or asked or contested) and not options.hurried:
        steady, moved = _is_steady(fit, problem, options, gap)
        missed = gained > _PLAIN and gap < _WIDE
        if asked and (missed or not (steady and moved < _NEAR)):
            return False, f"the data ask for more than rank {k}, but are too few to determine it"
        if blurred and not (steady and moved < (_NEAR if fit.heavy else _MOVED)):
            return False, f"no rank stands out: the widest gap in the spectrum is only a factor of {gap:.3g}"
        if not steady:
            return False, "fits to parts of the measurements do not agree: they are too few, or the fit is stuck"
    return True, ""


def judge_unpolished(fit, guess, gap):
    """Return (converged, reason) of what the sub-gradient method came to, with a `gap` in its spectrum at rank `guess`.

    A spectrum of one value has no gap: the noise must be small.
    """
    if _rank.is_exact(fit) or 10.0 <= gap < np.inf:
        return True, ""
    if gap < np.inf:
        return False, f"the widest gap in the spectrum is only a factor of {gap:.3g} (at rank {guess})"
    if fit.scale > _MOST_ALONE:
        return False, f"what one direction leaves is {fit.scale:.2g} of the size of the data"
    return True, ""


def judge_exact(fit, problem):
    """Return (converged, reason) of an exact fit: it is right, with two exceptions.

    What it meets is the same few values, such as those of sensors that are stuck; or the entries that it does not meet
    agree with it but for the sign, and it meets no more than rows and columns of random signs might.
    """
    is_met, y = _rank.is_met(fit), problem.base.y
    met = y[is_met]
    share = len(met) / _rank.informative_count(fit)
    if share < _MOST and len(np.unique(met)) < 0.5 * len(met):
        return False, f"what is met exactly, {share:.0%} of the measurements, are a few values that keep coming back"
    if _signs_are_open(fit, problem.base, _rank.exact_tolerance(y.dtype)):
        return False, f"{share:.0%} of the measurements are met exactly, and nearly all others with the other sign"
    return True, ""


def _signs_are_open(fit, base, tolerance):
    """Whether what is not met agrees but for the sign, and no more is met than random signs might be, or about half."""
    clear = np.abs(base.y) > tolerance
    met = (np.abs(fit.residual) <= tolerance)[clear]
    chance = 0.5 + 0.5 * sum(np.sqrt(base.shape)) / np.sqrt(max(len(met), 1)) if base.coherent else _HALF
    if met.all() or np.mean(met) >= chance:
        return False
    turned = (np.abs(0.5 * fit.residual + base.y) <= 0.5 * tolerance)[clear]
    return bool(np.mean(turned[~met]) > 0.9)


def _is_steady(fit, problem, options, gap):
    """Whether fits to two random parts leave the same noise as that to all, and tell the rest; and how far they move.

    How far is told in units of the size of the fit.
    """
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    share = float(np.mean(fit.sound))
    near_to = fit.scale if gap >= _NO_GAP else np.inf  # where no gap speaks for the rank, fits from farther must agree
    change, missed, moved = [], [], []
    for seed in range(2):
        held = np.random.RandomState(seed).uniform(size=problem.base.size) < _HELD
        held[seed % len(held)] = True  # one at least
        part = Scan(problem.subset(np.flatnonzero(~held)), u * s, v, options)
        again = part.refit(*part.start(fit.rank), noise=near_to)
        change.append(abs(np.log(again.scale / fit.scale)))
        rest = evaluate(problem.base.subset(np.flatnonzero(held)), again.u, again.s, again.v)
        # of the few that are held out, by chance fewer may be sound
        level = 0.9 * max(share - 2.0 * np.sqrt(share * (1.0 - share) / max(len(rest), 1)), 0.5 * share)
        missed.append(quantile(np.abs(rest), level) / ndtri(0.5 + 0.5 * level / share))
        apart = product_spectrum(np.hstack([fit.u * fit.s, -again.u * again.s]), np.hstack([fit.v, again.v]))
        moved.append(np.linalg.norm(apart) / np.linalg.norm(fit.s))
    expected = fit.scale * np.sqrt(1.0 + fit.dof / ((1.0 - _HELD) * fit.sound.sum()))
    allowed = _MISSED + 1.0 / np.sqrt(_HELD * problem.base.size)
    near = bool(np.mean(moved) < _NEAR)
    may_change = _STEADY * (2.0 if near and gap >= SMALL_GAP else 1.3 if near else 1.0)
    steady = np.mean(change) <= may_change and np.mean(missed) <= allowed * expected
    return bool(steady and np.mean(moved) < (_FAR if problem.base.coherent else _NEAR)), float(np.mean(moved))
