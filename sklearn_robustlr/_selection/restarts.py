"""Several starts of one problem: seeds drawn up front, a race on held-out measurements, a deterministic winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from joblib import delayed
from sklearn.utils import check_random_state

from .._operators.base import evaluate
from .._operators.units import Problem
from .._solvers.descents import Begin, Descent, descend, first_width
from .._solvers.starts import tiny_start
from .._solvers.step_rules import make_step_rule
from .._solvers.subgradient import History
from .._utils.rules import LOSS_LEVEL
from .._utils.stats import quantile
from .._utils.threads import count_threads, interruptible, run_jobs, single_threaded_blas, working_for
from .._utils.values import Factors, Options, is_exact
from .evidence import is_better
from .search import Solution, finish, previews, solve
from .verdict import DECAYS

# Iterations of the first round; each following one is that many times longer, with half of the starts.
_FIRST_ROUND, _LONGER = 40, 3
# Share of the measurements that the starts do not see, and fewest that can be held out.
_HELD_OUT, _FEWEST = 0.1, 20
# Multiplications of a pass over the data from which a second thread shortens it.
_LONG_PASS = 1 << 23
# Share of inliers below which a noisy winner is compared with the fit of the plain start to all of them.
_INLIERS = 0.75


@dataclass(frozen=True)
class Run:
    """One start of a race: its factors, and how far it has come. Lower `loss` is better."""

    index: int
    left: np.ndarray
    right: np.ndarray
    rule: Any
    history: History
    n_iter: int = 0
    loss: float = np.inf
    done: bool = False


class BestOfStarts(NamedTuple):
    """The best solution, and the score of each start; higher is better."""

    best: Solution
    scores: np.ndarray


class Split(NamedTuple):
    """The problem of most of the measurements, and that of the held-out ones."""

    train: Problem
    held: Problem


class Ended(NamedTuple):
    """A start at its end, its solution, and the iterations from the sub-gradient stage to that."""

    run: Run
    solution: Solution
    spent: float


class Halved(NamedTuple):
    """The last starts of a race, best first; their solutions by number; the losses of all starts."""

    runs: list[Run]
    solutions: dict[int, Solution]
    losses: np.ndarray


def run_starts(
    problem: Problem, options: Options, *, start: Factors | None = None, progress: Any = None
) -> BestOfStarts:
    """Solve from up to `options.n_init` starts.

    A score is minus the 0.4 quantile of the residuals, in the user's units, on measurements that the start has not seen
    (with a single start: on all). `start` are factors of a fit to nearly the same data: where they lead to a fit that
    converges, no other start is made. The scores of starts that were not made are NaN.
    """
    n_init, n_jobs = options.n_init, options.n_jobs
    seeds = check_random_state(options.random_state).randint(np.iinfo(np.int32).max, size=n_init)
    scores = np.full(n_init, np.nan)
    problem = problem.with_threads(count_threads(n_jobs))
    if n_init == 1 or start is not None or options.screening:
        task = None if progress is None else progress.start(0)
        solution = solve(problem, options, start=start, watch=task)
        if task is not None:
            task.end(solution)
        if n_init == 1 or options.screening or solution.converged:
            scores[0] = -quantile(np.abs(solution.fit.residual), LOSS_LEVEL) * problem.scale
            return BestOfStarts(solution, scores)
    return _race(problem, options, seeds, progress)


def _split(problem: Problem, seed: int) -> Split:
    """Hold out a share of the measurements; where there are few, all are trained on and all are held out."""
    size = problem.work.size
    count = int(_HELD_OUT * size)
    if count < _FEWEST:
        return Split(problem, problem)
    if not problem.work.entrywise:  # whole rows of memory: a slice is not copied
        return Split(problem.subset(slice(0, size - count)), problem.subset(slice(size - count, size)))
    held = np.zeros(size, dtype=bool)
    held[np.random.RandomState(seed).permutation(size)[:count]] = True
    return Split(problem.subset(~held), problem.subset(held))


def _begin(problem: Problem, options: Options, index: int, seed: int) -> Run:
    """The start of this number: the plain spectral one, then by turns perturbed, from half of the data, perturbed."""
    rng = np.random.RandomState(seed) if index else None
    width = first_width(problem, options).first
    left, right, norm = tiny_start(
        problem.work, width, options.init_scale, symmetric=options.symmetric, rng=rng, half=index % 3 == 2
    )
    if not norm > 0.0:
        return Run(index, left, right, None, History(), done=True)
    return Run(index, left, right, make_step_rule(options.step_size, problem.work, options.init_scale, norm), History())


def _loss(held: Problem, left: np.ndarray, right: np.ndarray) -> float:
    """Robust size of the residuals of held-out measurements."""
    return quantile(np.abs(evaluate(held.work, left, 1, right)), LOSS_LEVEL)


def _advance(problem: Problem, held: Problem, options: Options, runs: Sequence[Run], upto: int) -> list[Run]:
    """Take starts on to `upto` iterations, side by side: they share each read of the data."""
    alive = [run for run in runs if not run.done]
    begins = [Begin(run.left, run.right, run.rule, run.n_iter) for run in alive]
    results = iter(descend(problem, options, begins, max_iter=upto))
    advanced = []
    for run in runs:
        if not run.done:
            left, right, history, _ = next(results)
            # where one has ended by itself, the last record is more than one interval back
            done = len(history) == 0 or history.iteration[-1] + 10 < upto or upto >= options.first_stage
            whole = run.history + history
            n_iter = whole.iteration[-1] + 1 if done else upto
            run = replace(run, left=left, right=right, history=whole, done=done, n_iter=n_iter)
        advanced.append(replace(run, loss=_loss(held, run.left, run.right)))
    return advanced


def _end(problem: Problem, held: Problem, options: Options, run: Run, token: int) -> Ended:
    """Take a start through the stages after the sub-gradient method."""
    with single_threaded_blas(), working_for(token):
        options = replace(options, meter=options.meter.fresh())
        solution = finish(problem, options, Descent(run.left, run.right, run.history))
        fit = solution.fit
        left, s, right = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
        root = np.sqrt(s)
        left, right = left * root, right * root
        run = replace(run, left=left, right=right, loss=_loss(held, left, right))
        return Ended(run, solution, options.meter.spent)


def _end_each(problem: Problem, held: Problem, options: Options, runs: Sequence[Run]) -> list[Ended]:
    """Take the last starts to their ends, best first, until one is exact.

    Side by side where the passes over the data are too short for a second thread: what came after an exact one is then
    left aside, so that the result is the same.
    """
    n_threads = count_threads(options.n_jobs)
    short = problem.work.entrywise or problem.work.size * np.prod(problem.work.shape, dtype=float) < _LONG_PASS
    with interruptible() as token:
        if n_threads > 1 and short:
            each = problem.with_threads(max(n_threads // 2, 1))
            jobs = [delayed(_end)(each, held, options, run, token) for run in runs]
            ends = iter(run_jobs(jobs, options.n_jobs))
        else:
            ends = (_end(problem, held, options, run, token) for run in runs)
        ended = []
        for end in ends:
            ended.append(end)
            options.meter.add(end.spent)
            if end.solution.converged and is_exact(end.solution.fit):
                break
        return ended


def _ranking(runs: Sequence[Run]) -> list[Run]:
    """The runs, best first."""
    return sorted(runs, key=lambda run: run.loss if np.isfinite(run.loss) else np.inf)


def _race(problem: Problem, options: Options, seeds: np.ndarray, progress: Any) -> BestOfStarts:
    """A race of the starts, on a share of many measurements where that will do; the winner is then fitted to all."""
    tasks = [] if progress is None else [progress.start(i) for i in range(len(seeds))]
    share = next(previews(problem), None) if options.polish else None
    for part in (problem,) if share is None else (share, problem):
        halved = _halve(part, options, seeds, tasks)
        runs, solutions = halved.runs, halved.solutions
        if runs and runs[0].index in solutions and solutions[runs[0].index].converged:
            break
    own = replace(options, meter=options.meter.fresh())
    # where there is no sharp rank, starts make no difference
    decays = bool(runs) and runs[0].index in solutions and solutions[runs[0].index].verdict == DECAYS
    solution = _fit_winner(problem, own, runs[0], seeds) if runs and not decays else solve(problem, own)
    options.meter.add(own.meter.spent)
    for index, task in enumerate(tasks):
        task.end(solutions.get(index))
    return BestOfStarts(solution, -halved.losses * problem.scale)


def _halve(problem: Problem, options: Options, seeds: np.ndarray, tasks: Sequence[Any]) -> Halved:
    """Successive halving of the starts by the loss on held-out measurements.

    Fits to the same measurements would have to be told apart by how well they fit them, which the wrong ones do too.
    """
    train, held = _split(problem, seeds[0])
    screening = replace(options, screening=options.polish, meter=options.meter.fresh())
    losses = np.full(len(seeds), np.nan)
    runs = [_begin(train, screening, i, seed) for i, seed in enumerate(seeds)]
    upto = _FIRST_ROUND
    while True:
        last = len(runs) <= 2
        runs = _advance(train, held, screening, runs, options.first_stage if last else upto)
        losses[[run.index for run in runs]] = [run.loss for run in runs]
        going = [run for run in runs if not _asked_to_stop(tasks, run)]
        runs = _ranking(going or runs)[: max((len(runs) + 1) // 2, 2)]
        if last or not going:
            break
        upto *= _LONGER
    runs = runs[:2]
    solutions = {}
    if options.polish:
        ended = _end_each(train, held, screening, [run for run in runs if run.rule is not None])
        runs = [end.run for end in ended]
        solutions = {end.run.index: end.solution for end in ended}
    options.meter.add(screening.meter.spent)
    losses[[run.index for run in runs]] = [run.loss for run in runs]
    return Halved(_ranking(runs), solutions, losses)


def _fit_winner(problem: Problem, options: Options, run: Run, seeds: np.ndarray) -> Solution:
    """Fit all measurements: from where the winner has come to, or, without a polish, from where it began."""
    if options.polish:
        solution = solve(problem, options, start=Factors(run.left, run.right))
        if solution.history.iteration == [0]:  # its own iterations are those that led here
            solution = replace(solution, n_iter=run.n_iter, history=run.history)
        if not is_exact(solution.fit) and np.mean(solution.fit.inlier_weight) < _INLIERS:
            again = solve(problem, replace(options, meter=options.meter.fresh()))
            if is_better(again.fit, solution.fit, problem.base, symmetric=options.symmetric):
                solution = again
        return solution
    begun = _begin(problem, options, run.index, seeds[run.index])
    if begun.rule is None:
        return solve(problem, options)
    descended = descend(problem, options, [Begin(begun.left, begun.right, begun.rule)])[0]
    return finish(problem, options, descended)


def _asked_to_stop(tasks: Sequence[Any], run: Run) -> bool:
    """Say how far a start has come to callbacks; returns whether one wants it to end there."""
    return bool(tasks) and tasks[run.index]("subgradient", Factors(run.left, run.right))
