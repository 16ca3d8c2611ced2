"""Do restarts pay, and does the race find the winner? Near the edge of what can be recovered.

For each problem eight starts are taken to their end, each alone, on all measurements: how many are exact gives the
chance that the best of k starts is (pass@k). Then the race of eight starts is run, and the same without a race: every
start to its end on the measurements that are not held out, and the best of them by those that are.

    python asv_bench/restarts_study.py --count 25
"""

import argparse
import os
import time
import warnings
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed

from sklearn_robustlr import _restarts
from sklearn_robustlr._pipeline import descend, finish, solve
from sklearn_robustlr._problem import make_problem
from sklearn_robustlr._scan import Options
from sklearn_robustlr._validation import make_measurements_object
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import pass_at_k, relative_recovery_error

FIRST_TEST_SEED = 30_000
N_STARTS = 8

# name: share of errors, their kind, measurements an unknown, noise
ROWS = {
    "easy": (0.2, "huge", 6, 0.0),
    "easy, noise": (0.2, "huge", 6, 0.1),
    "flips 35 %": (0.35, "sign-flip", 6, 0.0),
    "huge 50 %": (0.5, "huge", 8, 0.0),
    "one-sided 45 %": (0.45, "one-sided", 8, 0.0),
}


def run_problem(row, seed):
    share, kind, multiple, noise = ROWS[row]
    rng = np.random.RandomState(seed)
    shape, rank = tuple(int(d) for d in rng.randint(16, 31, 2)), int(rng.randint(1, 4))
    drawn = make_measurements(
        multiple * rank * (sum(shape) - rank),
        shape,
        rank,
        outliers=share,
        outlier_kind=kind,
        noise=noise,
        random_state=seed,
    )
    problem = make_problem(make_measurements_object(drawn.data, drawn.target, shape, "matrix")[0])
    options = Options(None, 1e-3, "auto", 300, 1e-4, True, False)
    seeds = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=N_STARTS)

    def matrix(solution):
        fit = solution.fit
        u, s, v = problem.finalise(fit.u, fit.s, fit.v)
        return (u * s) @ v.T

    def error(solution):
        return relative_recovery_error(drawn.coef, matrix(solution))

    limit = noise or 1e-6
    alone = []
    for index in range(N_STARTS):
        run = _restarts._begin(problem, options, index, seeds[index])
        left, right, history = descend(problem, options, [(run.left, run.right, run.rule, 0)])[0]
        alone.append(error(finish(problem, replace(options, hurried=True), left, right, history)) < limit)
    start = time.perf_counter()
    one = solve(problem, options)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    raced, _ = _restarts.run_starts(problem, options, n_init=N_STARTS, n_jobs=1, random_state=seed)
    cost = (time.perf_counter() - start) / seconds

    train, held = _restarts._split(problem, seeds[0])
    hurried = replace(options, hurried=True)
    runs = [_restarts._begin(train, hurried, i, s) for i, s in enumerate(seeds)]
    runs = _restarts._advance(train, held, hurried, runs, options.max_iter)
    runs = [_restarts._end(train, held, hurried, run, None)[0] for run in runs]
    full = _restarts._fit_winner(problem, options, _restarts._ranking(runs)[0], seeds)
    same = relative_recovery_error(matrix(full), matrix(raced)) < (1e-6 if noise == 0.0 else 1e-2)
    return {
        "alone": sum(alone),
        "one": error(one) < limit,
        "raced": error(raced) < limit,
        "full": error(full) < limit,
        "same": bool(same) or (error(full) >= limit and error(raced) >= limit),
        "cost": cost,
        "silent": raced.converged and error(raced) >= limit,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", choices=ROWS, help="row to run (default: all)")
    parser.add_argument("--count", type=int, default=25, help="problems a row")
    parser.add_argument("--seed", type=int, default=FIRST_TEST_SEED, help="first seed")
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    args = parser.parse_args()
    if args.seed < FIRST_TEST_SEED:
        parser.error(f"seeds below {FIRST_TEST_SEED} were used to build the method: results on them are not reported")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    warnings.simplefilter("ignore")
    for row in args.row or ROWS:
        seeds = range(args.seed, args.seed + args.count)
        results = Parallel(n_jobs=args.jobs)(delayed(run_problem)(row, seed) for seed in seeds)
        counts = np.array([r["alone"] for r in results])
        chances = [f"{np.mean(pass_at_k(counts, N_STARTS, k)):.2f}" for k in (1, 2, 4, 8)]
        text = ", ".join(f"{key} {sum(r[key] for r in results)}" for key in ("one", "raced", "full", "same", "silent"))
        cost = np.median([r["cost"] for r in results])
        print(
            f"{row:15s} best of 1, 2, 4, 8 starts alone: {', '.join(chances)}; of {args.count}: {text}; "
            f"cost of the race on one thread {cost:.2f} fits",
            flush=True,
        )


if __name__ == "__main__":
    main()
