"""Ranks scanned from a start, and the chosen one judged."""

from __future__ import annotations

import numpy as np

from .._operators.units import Problem
from .._utils.values import Factors, Fit, Options, StopReason, Verdict, Watch
from .results import Candidate
from .scan import Scan
from .verdict import judge, judge_noise


def scan_from(
    problem: Problem,
    factors: Factors,
    guess: int,
    limit: int,
    options: Options,
    *,
    gap: float = np.inf,
    warm: np.ndarray | None = None,
    watch: Watch | None = None,
) -> Candidate:
    """Scan ranks from the factors of one start, beginning at a `guess` and up to a `limit`."""
    return choose(Scan(problem, *factors, options, warm=warm, watch=watch), problem, guess, limit, options, gap)


def scan_on(problem: Problem, fit: Fit, limit: int, options: Options, *, gap: float) -> Candidate:
    """Scan ranks from a fit to other measurements, or of a rank that was a guess.

    Its own rank is fitted from there with a descent and without: the one frees rows that were stuck, the other keeps
    directions that half of the measurements wrong would drown.
    """
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    scan = Scan(problem, u * s, v, options)
    scan.fits[fit.rank] = scan.better_of(u, s, v)
    return choose(scan, problem, fit.rank, limit, options, gap)


def choose(scan: Scan, problem: Problem, guess: int, limit: int, options: Options, gap: float) -> Candidate:
    """Choose a rank from a scan, beginning at a `guess` that a `gap` speaks for, and judge it."""
    k = scan.choose(guess, limit)
    return Candidate(scan.fit(k), judge(scan, k, limit, problem, options, gap, guess))


def as_it_is(fit: Fit, problem: Problem, options: Options) -> Candidate:
    """A fit with noise that was compared with no other rank, judged by its noise alone."""
    hidden = None if options.is_told else judge_noise(fit, problem.base)
    return Candidate(fit, hidden or Verdict(StopReason.NOISY))
