"""The sub-gradient stage of a fit: from a tiny start, widened while all directions are used."""

from __future__ import annotations

import numpy as np

from .._solvers.starts import tiny_start
from .._solvers.step_rules import make_step_rule
from .._solvers.subgradient import descent, subgradient_methods
from .._utils.checkpoint import stage
from .._utils.rules import CLEAR_GAP, FIRST_WIDTH
from .evidence import gap_guess, largest_rank


def first_width(problem, options):
    """Directions that the sub-gradient method is given first, and the most that the measurements can determine."""
    work = problem.work
    measurable = largest_rank(work.shape, work.size, symmetric=options.symmetric)
    return (min(measurable, FIRST_WIDTH) if options.rank is None else options.rank), measurable


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
                gap=CLEAR_GAP if options.screening else np.inf,
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


def overparameterised(problem, options, *, watch=None):
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
        guess = gap_guess(history.spectrum[-1])[0]
        if options.rank is not None or guess < width or width >= measurable:
            break
        width = min(2 * width, measurable)
    return left, right, history
