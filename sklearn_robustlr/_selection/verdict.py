"""Whether a fit is to be trusted, and if not, why.

Measured on 300 problems drawn from the whole grid of the studies and beyond what can be recovered
(`asv_bench/studies/verdict.py`), half of the fits that left noise were wrong, and told apart by four things. The noise:
no right one left more than 0.81 times the median target, two thirds of the wrong ones did. The gap in the spectrum that
the sub-gradient method came to: below 1.25 for most wrong ones, above 2 for nearly all right ones. The residuals: their
leading singular value is at most 1.06 times that of the same with random signs in fits of the right rank, more in most
of those that miss a direction. And, where measurements are few, or there is hardly a gap, what fits to nine tenths of
them come to: right ones leave as much noise as the fit to all, miss the last tenth by little more than theory allows,
and are apart from it by 0.35 to 0.8 of the error that theory expects of it (48 of 51 right ones of 300 problems, the
others by more, in a row or two). Most wrong ones are apart by 1.0 to 30; not those that miss a direction, which the
residuals tell, and a few that are stuck. A fit to a part only speaks against the whole where it does better there than
what the whole comes to when it is refined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from .._operators.base import Measurements, evaluate
from .._operators.units import Problem
from .._utils.linalg import product_spectrum
from .._utils.rules import CLEAR_GAP, FLAG_WIDTH, NO_GAP, SMALL_GAP, exact_tolerance
from .._utils.stats import quantile
from .._utils.values import Fit, Options, StopReason, Verdict, exact_count, informative_count, is_exact, is_met
from .evidence import EDGES, LEAST_EDGES, SUPPORTED, gain, has_enough_inliers, may_be_another
from .scan import Scan

#: Verdict on a fit that is doubtful where no second opinion is asked for.
DOUBTFUL = Verdict(StopReason.STUCK, "it leaves many outliers or much noise, or no gap in the spectrum speaks for it")
#: Verdict where another model says that no rank is sharp.
DECAYS = Verdict(StopReason.UNEXPLAINED, "the spectrum decays: there is no sharp rank")
#: Verdict where the budget of iterations did not last.
SPENT = Verdict(StopReason.INTERRUPTED, "max_iter iterations were made before the rank was found")
# Most noise, in units of the median target, beside which structure is seen; the same with a heavy tail.
_MOST_NOISE, _MOST_HEAVY = 0.85, 0.3
#: Inliers per degree of freedom below which a fit is repeated on parts of the data, and the same where there is reason
# to doubt it: hardly a gap, a heavy tail, noise beyond this size, or a smaller share of inliers.
FEW, _ENOUGH, _LOUD, _MOST_INLIERS = 6.0, 14.0, 0.6, 0.75
# How far the noise of these fits may differ (logarithm), how far beyond theory they may miss the others, and may move.
_STEADY, _MISSED, _MOVED = 0.15, 1.2, 0.9
# What the residuals may have in common, in units of the most that noise has by chance.
_COMMON = 1.05
# Noise edges that one more rank, not determined, may gain beside a steady fit: with more, and where the gap speaks no
# plainer, a direction is missed.
_PLAIN, _WIDE = 2.5, 5.0
# The most noise, in units of the median target, that a single direction may leave that no gap speaks for.
_MOST_ALONE = 0.6
# Share of dense measurements below which what an exact fit meets may as well be what has the wrong sign.
_HALF = 0.56
# Least share of the measurements whose sign can be told from its opposite, and that stand out of the noise.
_CLEAR_SHARE, _LEAST_CLEAR = 0.25, 0.02
# Share of the measurements that those fits do not see.
_HELD = 0.1
# Share of the measurements that an exact fit meets beyond which they may all be one value.
_MOST = 0.75


def is_doubtful(fit: Fit, measurements: Measurements, gap: float = np.inf) -> bool:
    """Whether a wrong fit may have passed: it leaves much noise, or what it takes for errors may be another matrix.

    That is asked where these are half of the measurements, or where there was hardly a `gap` (ratio of neighbouring
    values) in the spectrum that the sub-gradient method came to: huge errors in single entries can drown it, and the
    scan then starts from nothing.
    """
    if is_exact(fit):
        return exact_count(fit) < 0.5 * informative_count(fit) and may_be_another(fit, measurements)
    if fit.heavy_tailed:
        return False
    asked = float(np.mean(fit.inlier_weight)) < 0.55 or gap < SMALL_GAP
    return fit.scale > _LOUD or (asked and may_be_another(fit, measurements))


def judge(
    scan: Scan,
    k: int,
    limit: int,
    problem: Problem,
    options: Options,
    gap: float = np.inf,
    guess: int | None = None,
) -> Verdict:
    """Judge the fit of rank k that a scan has chosen, where a `gap` spoke for rank `guess`."""
    fit = scan.fit(k)
    if is_exact(fit):
        return judge_exact(fit, problem)
    if scan.stopped:
        return Verdict(StopReason.INTERRUPTED, "a callback asked it to stop")
    if scan.is_spent:
        return SPENT
    if scan.gave_up:
        return Verdict(StopReason.STUCK, f"the search for the rank was given up at rank {k}")
    size = len(fit.residual)
    inlier = float(fit.inlier_weight.sum())
    if not (has_enough_inliers(fit) or _is_supported(scan, k)):
        return Verdict(
            StopReason.UNDETERMINED,
            f"too few inliers: about {inlier:.0f} of {size} for the {fit.dof} degrees of freedom of rank {k}",
        )
    if any(f.rank < k and f.heavy_tailed == fit.heavy_tailed and f.scale < 0.9 * fit.scale for f in scan.fits.values()):
        return Verdict(
            StopReason.STUCK, f"fits of smaller ranks leave less noise than that of rank {k}: some of them are stuck"
        )
    if k == limit and options.rank is None:
        return Verdict(
            StopReason.UNDETERMINED, f"the rank stopped at {k}, the largest that {size} measurements can determine"
        )
    gained = scan.gained(k + 1) if k < limit and k + 1 in scan.fits else 0.0
    verdict = _judge_rank(scan, k, problem, options, asked=gained > EDGES, more=k < limit)
    if verdict is not None:
        return verdict
    if not options.is_told:  # where a rank was asked for, more structure than that may be left
        hidden = judge_noise(fit, problem.base)
        if hidden is not None:
            return hidden
    unclear = (
        fit.heavy_tailed
        or fit.scale > _LOUD
        or inlier < _MOST_INLIERS * size
        or (not options.is_told and gap < SMALL_GAP)
    )
    few = inlier < (_ENOUGH if unclear else FEW) * fit.dof
    blurred = not options.is_told and gap < NO_GAP
    contested = guess is not None and k != guess and CLEAR_GAP < gap < np.inf
    missed = gained > max(_PLAIN, EDGES) and gap < _WIDE
    compared = (few or blurred or gained > EDGES or contested) and not options.screening
    if compared and (missed or not _is_steady(fit, problem, options)):
        return _judge_unsteady(k, gap, asked=gained > EDGES, blurred=blurred)
    return Verdict(StopReason.NOISY)


def _judge_rank(scan: Scan, k: int, problem: Problem, options: Options, *, asked: bool, more: bool) -> Verdict | None:
    """Whether the data speak for more directions, or not for the last; None where rank k is right.

    `asked` says that one more direction gains something, `more` that there may be one.
    """
    fit = scan.fit(k)
    if asked and scan.prefers_larger(k, k + 1):
        return Verdict(StopReason.UNEXPLAINED, f"structure is left beyond rank {k}")
    if k == 1 or k - 1 in scan.fits or not scan.is_firm(fit):
        nothing = Fit(fit.u[:, :0], fit.s[:0], fit.v[:, :0], -problem.base.y, fit.scale, fit.inlier_weight, 0)
        below = scan.fit(k - 1) if k > 1 else nothing
        edges = gain(below, fit, problem.base.shape, symmetric=options.symmetric)
        if edges <= (LEAST_EDGES if k > 1 and scan.has_structure_left(k - 1) else EDGES):
            return Verdict(
                StopReason.UNEXPLAINED,
                f"no low-rank structure stands out: direction {k} gains only {edges:.2g} noise edges",
            )
    if not fit.heavy_tailed and _signs_are_open(fit, problem.base, FLAG_WIDTH * fit.scale):
        return Verdict(
            StopReason.UNDETERMINED, "half of the measurements are met, and nearly all others with the other sign"
        )
    if more and not options.screening and scan.left_over(k) > _COMMON:
        return Verdict(
            StopReason.UNEXPLAINED,
            f"structure is left beyond rank {k}: the residuals have more in common than noise has",
        )
    return None


def judge_noise(fit: Fit, base: Measurements) -> Verdict | None:
    """Distrust a fit whose noise is so large that it may hide structure; None where it is not."""
    if fit.heavy_tailed and fit.scale > _MOST_HEAVY:
        return Verdict(
            StopReason.UNEXPLAINED,
            f"the noise is heavy-tailed and {fit.scale:.2g} of the size of the data: most values may be outliers",
        )
    # next to nothing stands out of the noise
    if fit.scale > _MOST_NOISE or np.mean(np.abs(base.y) > FLAG_WIDTH * fit.scale) < _LEAST_CLEAR:
        return Verdict(
            StopReason.UNEXPLAINED,
            "the noise is about as large as the data: structure that was not found may hide in it",
        )
    return None


def _judge_unsteady(k: int, gap: float, *, asked: bool, blurred: bool) -> Verdict:
    """What is wrong with a fit of rank k that fits to parts of the measurements speak against.

    `asked` says that the data ask for more than rank k, `blurred` that no `gap` speaks for a rank.
    """
    if asked:
        return Verdict(StopReason.UNDETERMINED, f"the data ask for more than rank {k}, but are too few to determine it")
    if blurred:
        return Verdict(
            StopReason.UNEXPLAINED,
            f"no rank stands out: the widest gap in the spectrum is only a factor of {gap:.3g}",
        )
    # of 15 such fits more measurements helped 12, more starts 2
    return Verdict(
        StopReason.UNDETERMINED,
        "fits to parts of the measurements do not agree: they are too few, or the fit is stuck",
    )


def _is_supported(scan: Scan, k: int) -> bool:
    """Whether somewhat fewer inliers are enough: what one direction less leaves speaks for the last one, too."""
    return (
        k > 1
        and k - 1 in scan.fits
        and has_enough_inliers(scan.fit(k), of=SUPPORTED)
        and scan.has_structure_left(k - 1)
    )


def judge_unpolished(fit: Fit, guess: int, gap: float) -> Verdict:
    """Judge what the sub-gradient method came to, with a `gap` in its spectrum at rank `guess`.

    A spectrum of one value has no gap: the noise must be small.
    """
    if is_exact(fit):
        return Verdict(StopReason.EXACT)
    if gap < 10.0:
        return Verdict(
            StopReason.UNPOLISHED, f"the widest gap in the spectrum is only a factor of {gap:.3g} (at rank {guess})"
        )
    if gap == np.inf and fit.scale > _MOST_ALONE:
        return Verdict(StopReason.UNPOLISHED, f"what one direction leaves is {fit.scale:.2g} of the size of the data")
    return Verdict(StopReason.NOISY)


def judge_exact(fit: Fit, problem: Problem) -> Verdict:
    """Judge an exact fit: it is right, with three exceptions.

    What it meets is the same few values, such as those of sensors that are stuck; or all values are a few, and it says
    less of them than it takes to write it down; or the entries that it does not meet agree with it but for the sign,
    and it meets no more than rows and columns of random signs might.
    """
    y = problem.base.y
    met = y[is_met(fit)]
    share = len(met) / informative_count(fit)
    if share < _MOST and len(np.unique(met)) < 0.5 * len(met):
        return Verdict(
            StopReason.UNDETERMINED,
            f"the {share:.0%} of the measurements that are met exactly are a few values that keep coming back",
        )
    if _is_met_by_ties(fit, y):
        return Verdict(
            StopReason.UNDETERMINED,
            f"the data have only a few different values, and that {share:.0%} of them are met exactly may be chance",
        )
    if _signs_are_open(fit, problem.base, exact_tolerance(y.dtype)):
        return Verdict(
            StopReason.UNDETERMINED,
            f"{share:.0%} of the measurements are met exactly, and nearly all others with the other sign",
        )
    return Verdict(StopReason.EXACT)


def _is_met_by_ties(fit: Fit, y: np.ndarray) -> bool:
    """Whether an exact fit of values that mostly repeat takes longer to write down than they do (description length).

    A value met saves its entropy, which is one bit where there are two values; which ones are met has to be told, and
    half the logarithm of the number of measurements for each degree of freedom.
    """
    told = slice(None) if fit.informative is None else fit.informative
    y, residual = y[told], fit.residual[told]
    _, count = np.unique(y, return_counts=True)
    n, missed = len(y), y[np.abs(residual) > exact_tolerance(y.dtype)]
    if len(count) > 0.5 * n or len(np.unique(missed)) >= 0.5 * len(missed):  # what is missed are errors, no values
        return False
    met = 1.0 - len(missed) / n
    share = count / n
    which = sum(-q * np.log2(q) for q in (met, 1.0 - met) if q > 0.0)
    saved = met * float(-(share @ np.log2(share))) - which
    return n * saved < 0.5 * np.log2(n) * fit.dof


def _signs_are_open(fit: Fit, base: Measurements, tolerance: float) -> bool:
    """Whether what is not met agrees but for the sign, and no more is met than random signs might be, or about half."""
    clear = np.abs(base.y) > tolerance
    met = (np.abs(fit.residual) <= tolerance)[clear]
    chance = 0.5 + 0.5 * sum(np.sqrt(base.shape)) / np.sqrt(max(len(met), 1)) if base.entrywise else _HALF
    # few that are clear say little of the others, and any few can be met by some signs
    if np.mean(clear) < _CLEAR_SHARE or met.all() or np.mean(met) >= chance or chance >= 1.0:
        return False
    turned = (np.abs(0.5 * fit.residual + base.y) <= 0.5 * tolerance)[clear]
    return bool(np.mean(turned[~met]) > 0.9)


def _is_steady(fit: Fit, problem: Problem, options: Options) -> bool:
    """Whether fits to random parts leave the same noise as that to all, tell the rest, and stay where it is."""
    change, missed, moved = compare_with_parts(fit, problem, options)
    return change <= _STEADY and missed <= _MISSED + 1.0 / np.sqrt(_HELD * problem.base.size) and moved <= _MOVED


class Parts(NamedTuple):
    """How fits to random parts differ from the fit to all.

    `change` is that of the noise (logarithm), `missed` the misfit of what they have not seen, in units of what theory
    expects, and `moved` their distance from the fit to all, in units of the error that theory expects of it.
    """

    change: float
    missed: float
    moved: float


def compare_with_parts(fit: Fit, problem: Problem, options: Options) -> Parts:
    """Compare a fit with fits to random parts of its measurements: means, and the median of the distances.

    The median of three, for a row may have lost what it needs; the third is not made where it would not matter.
    """
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    share, n_inliers = float(np.mean(fit.inlier_weight)), float(fit.inlier_weight.sum())
    size = np.linalg.norm((fit.residual + problem.base.y) * fit.inlier_weight) / np.sqrt(n_inliers)
    error = fit.scale / max(size, 1e-10) * np.sqrt(fit.dof / n_inliers)
    expected = fit.scale * np.sqrt(1.0 + fit.dof / ((1.0 - _HELD) * n_inliers))
    figures: list[Parts] = []
    for seed in range(3):
        if seed == 2 and (figures[0].moved > _MOVED) == (figures[1].moved > _MOVED):
            break
        held = np.asarray(np.random.RandomState(seed).uniform(size=problem.base.size) < _HELD)
        held[seed % len(held)] = True  # one at least
        part = Scan(problem.subset(np.flatnonzero(~held)), u * s, v, options)
        # a descent that is stuck does not speak against the fit, only one that does better
        again = part.better_of(*part.start(fit.rank))
        rest = evaluate(problem.base.subset(np.flatnonzero(held)), again.u, again.s, again.v)
        # of the few that are held out, by chance fewer may be inlier
        level = 0.9 * max(share - 2.0 * np.sqrt(share * (1.0 - share) / max(len(rest), 1)), 0.5 * share)
        missed = quantile(np.abs(rest), level) / ndtri(0.5 + 0.5 * level / share)
        apart = product_spectrum(np.hstack([fit.u * fit.s, -again.u * again.s]), np.hstack([fit.v, again.v]))
        moved = np.linalg.norm(apart) / np.linalg.norm(fit.s)
        figures.append(Parts(abs(np.log(again.scale / fit.scale)), missed / expected, moved / error))
    changes, misfits, moves = zip(*figures, strict=True)
    return Parts(float(np.mean(changes)), float(np.mean(misfits)), float(np.median(moves)))
