"""Study of restarts: do they pay near the edge of what can be recovered, and does the race find the best start?

    python asv_bench/studies/restarts.py --count 25

Of each problem eight starts are run to their end, each alone and on all measurements; from the number of exact ones
follows the chance that the best of k starts is exact (pass@k). `one` is the default fit, `raced` is the race of eight
starts, and `full` the same without dropping any: every start runs to its end on the training measurements, and the best
on the held-out ones is refit. `same`: both end at the same matrix, or both miss the truth; `silent`: the race claims to
have converged and is wrong. Seeds below 30000 were used to build the method, and are refused.
"""

import time
from dataclasses import replace

import numpy as np
from harness import Arguments, quiet, run_rows
from problems import draw

from sklearn_robustlr._estimators.validation import make_measurements_object
from sklearn_robustlr._operators.units import make_problem
from sklearn_robustlr._selection import restarts as racing
from sklearn_robustlr._selection.search import finish, solve
from sklearn_robustlr._solvers.descents import Begin, descend
from sklearn_robustlr._utils.meter import Meter
from sklearn_robustlr._utils.threads import interruptible
from sklearn_robustlr._utils.values import Options
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import pass_at_k, relative_recovery_error

FIRST_TEST_SEED = 30_000
N_STARTS = 8

# name: share of errors, their kind, measurements per degree of freedom, noise
ROWS = {
    "easy": (0.2, "huge", 6, 0.0),
    "easy, noise": (0.2, "huge", 6, 0.1),
    "flips 35 %": (0.35, "sign-flip", 6, 0.0),
    "huge 50 %": (0.5, "huge", 8, 0.0),
    "one-sided 45 %": (0.45, "one-sided", 8, 0.0),
}


def run_problem(row, seed):
    """Run one problem; returns a dict of figures."""
    with quiet():
        return _run_problem(row, seed)


def _run_problem(row, seed):
    share, kind, multiple, noise = ROWS[row]
    told = draw(
        seed, sides=(16, 30), ranks=(1, 3), multiple=multiple, outliers=(share, share), kinds=(kind,), condition=None
    )
    drawn = make_measurements(**told, noise=noise)
    problem = make_problem(make_measurements_object(drawn.data, drawn.target, told["shape"], "matrix")[0])
    meter = Meter(60_000, problem.work.size)
    options = Options(None, 1e-3, "auto", meter, 1e-4, polish=True, symmetric=False)
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
        run = racing._begin(problem, options, index, seeds[index])
        descended = descend(problem, options, [Begin(run.left, run.right, run.rule)])[0]
        screening = replace(options, screening=True, meter=options.meter.fresh())
        alone.append(error(finish(problem, screening, descended)) < limit)
    start = time.perf_counter()
    one = solve(problem, replace(options, meter=meter.fresh()))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    raced, _ = racing.run_starts(
        problem, replace(options, meter=meter.fresh(), n_init=N_STARTS, n_jobs=1, random_state=seed)
    )
    cost = (time.perf_counter() - start) / seconds

    train, held = racing._split(problem, seeds[0])
    screening = replace(options, screening=True, meter=meter.fresh())
    runs = [racing._begin(train, screening, i, s) for i, s in enumerate(seeds)]
    runs = racing._advance(train, held, screening, runs, options.first_stage)
    with interruptible() as token:
        runs = [racing._end(train, held, screening, run, token).run for run in runs]
    full = racing._fit_winner(problem, replace(options, meter=meter.fresh()), racing._ranking(runs)[0], seeds)
    same = relative_recovery_error(matrix(full), matrix(raced)) < (1e-6 if noise == 0.0 else 1e-2)
    return {
        "seed": seed,
        "alone": sum(alone),
        "one": error(one) < limit,
        "raced": error(raced) < limit,
        "full": error(full) < limit,
        "same": bool(same) or (error(full) >= limit and error(raced) >= limit),
        "cost": cost,
        "silent": raced.converged and error(raced) >= limit,
    }


def summarise(row, results):
    """Cells of a row."""
    counts = np.array([r["alone"] for r in results])
    cells = {f"best of {k}": f"{np.mean(pass_at_k(counts, N_STARTS, k)):.2f}" for k in (1, 2, 4, 8)}
    cells |= {
        key: f"{sum(r[key] for r in results)}/{len(results)}" for key in ("one", "raced", "full", "same", "silent")
    }
    return cells | {"fits that a race costs on one thread": f"{np.median([r['cost'] for r in results]):.2f}"}


def main():
    options = Arguments(__doc__).add_rows(ROWS).add_seeds(FIRST_TEST_SEED, count=25)
    run_rows(options.parse_args(), ROWS, run_problem, summarise)


if __name__ == "__main__":
    main()
