"""Several starts of one problem: seeds drawn up front, a race on held-out measurements, a deterministic winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import delayed
from sklearn.utils import check_random_state

from .._operators.base import evaluate
from .._operators.units import Problem
from .._solvers.descents import Begin, Descent, descend, first_width
from .._solvers.starts import tiny_start
from .._solvers.step_rules import StepRule, make_step_rule
from .._solvers.subgradient import History
from .._utils.rules import LOSS_LEVEL
from .._utils.stats import quantile
from .._utils.threads import count_threads, interruptible, run_jobs, single_threaded_blas, working_for
from .._utils.values import Factors, Options, is_exact
from .candidates import Solution
from .search import finish, previews, solve
from .verdict import DECAYS

# Iterations of the first round; each following one is that many times longer, with half of the starts.
_FIRST_ROUND, _LONGER = 40, 3
# Share of the measurements that the starts do not see, and fewest that can be held out.
_HELD_OUT, _FEWEST = 0.1, 20
# Multiplications of a pass over the data from which a second thread shortens it.
_LONG_PASS = 1 << 23


@dataclass(frozen=True)
class Run:
    """One start of a race: its factors, and how far it has come. Lower `loss` is better.

    Its `rule` is what it goes on with (None: its descent has ended). One that was taken through all stages has a
    `solution`, and the iterations that were `spent` after the descent.
    """

    index: int
    left: np.ndarray
    right: np.ndarray
    rule: StepRule | None
    history: History = field(default_factory=History)
    loss: float = np.inf
    solution: Solution | None = None
    spent: float = 0.0


def run_starts(
    problem: Problem, options: Options, *, start: Factors | None = None, progress: Any = None
) -> tuple[Solution, np.ndarray]:
    """Solve from up to `options.n_init` starts; the best solution, and the score of each start.

    A score is minus the 0.4 quantile of the residuals, in the user's units, on measurements that the start has not seen
    (with a single start: on all). `start` are factors of a fit to nearly the same data: where they lead to a fit that
    converges, no other start is made. The scores of starts that were not made are NaN.
    """
    n_init, n_jobs = options.n_init, options.n_jobs
    scores = np.full(n_init, np.nan)
    problem = problem.with_threads(count_threads(n_jobs))
    if n_init == 1 or start is not None or options.screening:
        task = None if progress is None else progress.start(0)
        solution = solve(problem, options, start=start, watch=task)
        if task is not None:
            task.end(solution)
        if n_init == 1 or options.screening or solution.converged:
            scores[0] = -quantile(np.abs(solution.fit.residual), LOSS_LEVEL) * problem.scale
            return solution, scores
    seeds = check_random_state(options.random_state).randint(np.iinfo(np.int32).max, size=n_init)
    return _race(problem, options, seeds, progress)


def _split(problem: Problem, seed: int) -> tuple[Problem, Problem]:
    """The problem of most measurements, and that of held-out ones; where they are few, both are that of all."""
    size = problem.work.size
    count = int(_HELD_OUT * size)
    if count < _FEWEST:
        return problem, problem
    if not problem.work.entrywise:  # whole rows of memory: a slice is not copied
        return problem.subset(slice(0, size - count)), problem.subset(slice(size - count, size))
    held = np.zeros(size, dtype=bool)
    held[np.random.RandomState(seed).permutation(size)[:count]] = True
    return problem.subset(~held), problem.subset(held)


def _begin(problem: Problem, options: Options, index: int, seed: int) -> Run:
    """The start of this number: the plain spectral one, then by turns perturbed, from half of the data, perturbed."""
    rng = np.random.RandomState(seed) if index else None
    width = first_width(problem, options).first
    left, right, norm = tiny_start(
        problem.work, width, options.init_scale, symmetric=options.symmetric, rng=rng, half=index % 3 == 2
    )
    if not norm > 0.0:
        return Run(index, left, right, None)
    return Run(index, left, right, make_step_rule(options.step_size, problem.work, options.init_scale, norm))


def _loss(held: Problem, left: np.ndarray, right: np.ndarray) -> float:
    """Robust size of the residuals of held-out measurements."""
    return quantile(np.abs(evaluate(held.work, left, 1, right)), LOSS_LEVEL)


def _advance(
    problem: Problem, held: Problem, options: Options, runs: Sequence[Run], since: int, upto: int
) -> list[Run]:
    """Take starts on to `upto` iterations, side by side: they share each read of the data."""
    begins = [Begin(run.left, run.right, run.rule, since) for run in runs if run.rule is not None]
    results = iter(descend(problem, options, begins, max_iter=upto))
    advanced = []
    for run in runs:
        if run.rule is not None:
            left, right, history, _ = next(results)
            # where one has ended by itself, the last record is more than one interval back
            done = len(history) == 0 or history.iteration[-1] + 10 < upto or upto >= options.first_stage
            rule = None if done else run.rule
            run = replace(run, left=left, right=right, rule=rule, history=run.history + history)
        advanced.append(replace(run, loss=_loss(held, run.left, run.right)))
    return advanced


def _end(problem: Problem, held: Problem, options: Options, run: Run, token: int) -> Run:
    """Take a start through the stages after the sub-gradient method."""
    with single_threaded_blas(), working_for(token):
        options = replace(options, meter=options.meter.fresh())
        solution = finish(problem, options, Descent(run.left, run.right, run.history))
        fit = solution.fit
        left, s, right = problem.to_work(fit.u, fit.s, fit.v, symmetric=options.symmetric)
        left, right = left * np.sqrt(s), right * np.sqrt(s)
        loss, spent = _loss(held, left, right), options.meter.spent
        return replace(run, left=left, right=right, loss=loss, solution=solution, spent=spent)


def _end_each(problem: Problem, held: Problem, options: Options, runs: Sequence[Run]) -> list[Run]:
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
            if end.solution is not None and end.solution.converged and is_exact(end.solution.fit):
                break
        return ended


def _ranking(runs: Sequence[Run]) -> list[Run]:
    """The runs, best first."""
    return sorted(runs, key=lambda run: run.loss if np.isfinite(run.loss) else np.inf)


def _race(problem: Problem, options: Options, seeds: np.ndarray, progress: Any) -> tuple[Solution, np.ndarray]:
    """A race of the starts, on a share of many measurements where that will do; the winner is then fitted to all."""
    tasks = [] if progress is None else [progress.start(i) for i in range(len(seeds))]
    share = next(previews(problem), None) if options.polish else None
    for part in (problem,) if share is None else (share, problem):
        runs, losses = _halve(part, options, seeds, tasks)
        best = runs[0].solution if runs else None
        if best is not None and best.converged:
            break
    own = replace(options, meter=options.meter.fresh())
    # where there is no sharp rank, starts make no difference
    decays = best is not None and best.verdict == DECAYS
    solution = _fit_winner(problem, own, runs[0], seeds) if runs and not decays else solve(problem, own)
    options.meter.add(own.meter.spent)
    ended = {run.index: run.solution for run in runs}
    for index, task in enumerate(tasks):
        task.end(ended.get(index))
    return solution, -losses * problem.scale


def _halve(problem: Problem, options: Options, seeds: np.ndarray, tasks: Sequence[Any]) -> tuple[list[Run], np.ndarray]:
    """Successive halving of the starts by the loss on held-out measurements: the last ones, best first, and all losses.

    Fits to the same measurements would have to be told apart by how well they fit them, which the wrong ones do too.
    """
    train, held = _split(problem, seeds[0])
    screening = replace(options, screening=options.polish, meter=options.meter.fresh())
    losses = np.full(len(seeds), np.nan)
    runs = [_begin(train, screening, i, seed) for i, seed in enumerate(seeds)]
    since, upto = 0, _FIRST_ROUND
    while True:
        last = len(runs) <= 2
        runs = _advance(train, held, screening, runs, since, options.first_stage if last else upto)
        losses[[run.index for run in runs]] = [run.loss for run in runs]
        going = [run for run in runs if not _asked_to_stop(tasks, run)]
        runs = _ranking(going or runs)[: max((len(runs) + 1) // 2, 2)]
        if last or not going:
            break
        since, upto = upto, _LONGER * upto
    runs = runs[:2]
    if options.polish:
        runs = _end_each(train, held, screening, [run for run in runs if len(run.history)])
    options.meter.add(screening.meter.spent)
    losses[[run.index for run in runs]] = [run.loss for run in runs]
    return _ranking(runs), losses


def _fit_winner(problem: Problem, options: Options, run: Run, seeds: np.ndarray) -> Solution:
    """Fit all measurements: from where the winner has come to, or, without a polish, from where it began."""
    if options.polish:
        solution = solve(problem, options, start=Factors(run.left, run.right))
        if solution.history.iteration == [0]:  # its own iterations are those that led here
            solution = replace(solution, history=run.history)
        return solution
    begun = _begin(problem, options, run.index, seeds[run.index])
    if begun.rule is None:
        return solve(problem, options)
    descended = descend(problem, options, [Begin(begun.left, begun.right, begun.rule)])[0]
    return finish(problem, options, descended)


def _asked_to_stop(tasks: Sequence[Any], run: Run) -> bool:
    """Say how far a start has come to callbacks; returns whether one wants it to end there."""
    return bool(tasks) and tasks[run.index]("subgradient", Factors(run.left, run.right))
