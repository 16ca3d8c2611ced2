"""Several starts of one problem: seeds drawn up front, threads, a deterministic best."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from . import _rank
from ._pipeline import solve
from ._threads import single_threaded_blas


def run_starts(problem, options, *, n_init, n_jobs, random_state, start=None):
    """Solve from `n_init` starts; return (best solution, scores). `start` is given to the first (:func:`solve`).

    The first start is the plain spectral one, the others are perturbed, each by a seed of its own, all drawn
    before any work starts: the result does not depend on `n_jobs`. Starts are compared by
    :func:`starts_score`, never by the training loss; ties go to the earlier start.
    """
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_init)

    def one(index):
        rng = np.random.RandomState(seeds[index]) if index else None
        with single_threaded_blas() if small or n_init > 1 else nullcontext():
            return solve(problem, options, rng=rng, start=None if index else start)

    small = problem.base.coherent  # entries: all that is left to BLAS are factorisations in the width of the factors

    if n_init == 1:
        solutions = [one(0)]
    else:
        solutions = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(one)(i) for i in range(n_init))
    scores = starts_score(solutions, problem.base.shape, symmetric=options.symmetric)
    return solutions[int(np.argmax(scores))], scores


def starts_score(solutions, shape, *, symmetric=False):
    """Score of each solution, higher is better: minus the penalised robust misfit per measurement.

    All are judged at the smallest noise scale among them, and each pays for its directions what the scan
    over ranks asks of them, so that starts which ended at different ranks stand on equal footing.
    """
    scale = min(s.fit.scale for s in solutions) or 1.0
    scores = []
    for solution in solutions:
        price = _rank.EDGES * sum(_rank.noise_edge(shape, k, symmetric=symmetric) for k in range(solution.rank))
        scores.append(-(_rank.misfit(solution.fit.residual, scale).sum() + price) / len(solution.fit.residual))
    return np.array(scores)
