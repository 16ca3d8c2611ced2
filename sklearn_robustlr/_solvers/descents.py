"""The sub-gradient stage of a fit: from a tiny start, widened while all directions are used."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np

from .._operators.units import Problem
from .._utils.checkpoint import stage
from .._utils.ranks import find_gap, largest_rank
from .._utils.rules import CLEAR_GAP, FIRST_WIDTH
from .._utils.values import Factors, Options, Watch
from .starts import tiny_start
from .step_rules import StepRule, make_step_rule
from .subgradient import Descent, descent, subgradient_methods


class Begin(NamedTuple):
    """Where a descent begins: factors, a step rule, and how many iterations the factors have behind them."""

    left: np.ndarray
    right: np.ndarray
    rule: StepRule
    n_iter: int = 0


class Width(NamedTuple):
    """Directions that the sub-gradient method is given first, and the most that the measurements can identify."""

    first: int
    most: int


def first_width(problem: Problem, options: Options) -> Width:
    """Directions that the sub-gradient method is given first, and the most that it may be given."""
    work = problem.work
    most = largest_rank(work.shape, work.size, symmetric=options.symmetric)
    if options.rank is None:
        return Width(min(most, FIRST_WIDTH), most)
    # a gap behind the rank that is told shows that the descent has come to it
    further = min(most, max(FIRST_WIDTH, 2 * options.rank)) if options.polish else 0
    return Width(max(options.rank, further), most)


def descend(
    problem: Problem,
    options: Options,
    starts: list[Begin],
    *,
    max_iter: int | None = None,
    to_gap: bool = False,
    watch: Watch | None = None,
) -> list[Descent]:
    """Run the sub-gradient method with these options from several starts, side by side.

    With `to_gap`, and where only an exact fit is wanted, they stop at the first clear gap.
    """
    rules = [start.rule for start in starts]

    def run() -> tuple[list[Descent], list[StepRule]]:
        descents = [
            descent(
                problem.work,
                start.left,
                start.right,
                start.rule,
                max_iter=options.first_stage if max_iter is None else min(max_iter, options.first_stage),
                tol=options.tol,
                first=start.n_iter,
                symmetric=options.symmetric,
                gap=CLEAR_GAP if to_gap or options.screening else np.inf,
                watch=watch,
            )
            for start in starts
        ]
        return subgradient_methods(problem.work, descents), rules

    # where callbacks watch, and may ask for an end, the iterations are made
    checkpoint = options.checkpoint if watch is None else None
    results, moved = stage(checkpoint, "subgradient", run, problem, options.apart, starts, max_iter, to_gap)
    for rule, after in zip(rules, moved, strict=True):
        vars(rule).update(vars(after))
    for start, result in zip(starts, results, strict=True):
        if len(result.history):
            n_iter = result.history.iteration[-1] + 1 - start.n_iter
            options.meter.add(n_iter, problem.work.size, start.left.shape[1])
    return results


def begin_at(problem: Problem, options: Options, factors: Factors) -> Begin | None:
    """Where a descent begins from given factors; None where the measurements do not depend on the matrix."""
    *_, norm = tiny_start(problem.work, 1, options.init_scale, symmetric=options.symmetric)
    if not norm > 0.0:
        return None
    return Begin(*factors, make_step_rule(options.step_size, problem.work, options.init_scale, norm))


def descend_from_tiny(
    problem: Problem, options: Options, *, to_gap: bool = False, watch: Watch | None = None
) -> Descent | None:
    """Run the sub-gradient method from a tiny start, widened while all directions are used.

    With `to_gap`, it stops at the first clear gap, from which it can :func:`go_on`.

    None where the measurements do not depend on the matrix: all of them are zero.
    """
    work = problem.work
    width, most = first_width(problem, options)
    while True:
        left, right, norm = tiny_start(work, width, options.init_scale, symmetric=options.symmetric)
        if not norm > 0.0:
            return None
        rule = make_step_rule(options.step_size, work, options.init_scale, norm)
        result = descend(problem, options, [Begin(left, right, rule)], to_gap=to_gap, watch=watch)[0]
        if options.rank is not None or find_gap(result.history.spectrum[-1]).rank < width or width >= most:
            return result
        width = min(2 * width, most)


def go_on(problem: Problem, options: Options, descended: Descent, *, watch: Watch | None = None) -> Descent:
    """Take a descent that has stopped at a gap to its end."""
    left, right, history, rule = descended
    if rule is None:
        return descended
    begin = Begin(left, right, copy(rule), history.iteration[-1] + 1)
    further = descend(problem, options, [begin], watch=watch)[0]
    return further._replace(history=history + further.history)
