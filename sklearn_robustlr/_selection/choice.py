"""Ranks scanned from a start, and what is chosen judged."""

from __future__ import annotations

import numpy as np

from .scan import Scan
from .verdict import judge


def scan_from(problem, left, right, guess, limit, options, *, gap=np.inf, warm=None, watch=None):
    """Scan ranks from the factors of one start; returns (fit, converged, reason)."""
    return choose(Scan(problem, left, right, options, warm=warm, watch=watch), problem, guess, limit, options, gap)


def scan_on(problem, fit, limit, options, *, gap):
    """Scan ranks from a fit to other measurements, or of a rank that was a guess.

    Its own rank is fitted from there with a descent and without: the one frees rows that were stuck, the other keeps
    directions that half of the measurements wrong would drown.
    """
    u, s, v = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
    scan = Scan(problem, u * s, v, options)
    scan.fits[fit.rank] = scan.better_of(u, s, v)
    return choose(scan, problem, fit.rank, limit, options, gap)


def choose(scan, problem, guess, limit, options, gap):
    k = scan.choose(guess, limit)
    return scan.fit(k), *judge(scan, k, limit, problem, options, gap, guess)
