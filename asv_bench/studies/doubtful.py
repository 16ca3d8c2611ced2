"""Study of doubtful problems: small, with many errors, from few data; what fits come to, and in what time.

    python asv_bench/studies/doubtful.py --count 300
    python asv_bench/studies/doubtful.py --count 300 --json one.json   # then with another version, --against one.json

Half of the problems are 8 to 19 x 8 to 19 with 2.5 to 12 dense measurements for each degree of freedom, half are
matrices of 12 to 59 x 12 to 59 with 40 to 100 % of the entries; the rank is 1 to 4, 10 to 50 % of the values are wrong,
in any of the ways of `datasets.OUTLIER_KINDS`, and the noise is 0, 2, 10 or 30 % of the data. A fit is right where its
relative error is below 1e-6, with noise below three times that, and 2 %. With --against, the problems that only one of
two versions solves are listed.
"""

import json
import time

import numpy as np
from harness import RECOVERED, Arguments, Table, over_processes, quiet, write_json

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements

FIRST_TEST_SEED = 620000


def run(seed):
    rng = np.random.RandomState(seed)
    options = {"outlier_kind": list(OUTLIER_KINDS)[rng.randint(len(OUTLIER_KINDS))], "random_state": seed}
    noise, rank = rng.choice([0.0, 0.0, 0.02, 0.1, 0.3]), rng.randint(1, 5)
    options |= {"noise": noise, "outliers": rng.uniform(0.1, 0.5)}
    with quiet():
        if seed % 2:
            shape = tuple(rng.randint(8, 20, 2))
            m = int(rank * (sum(shape) - rank) * rng.uniform(2.5, 12))
            problem = make_measurements(m, shape, rank, **options)
            model, truth = RobustLowRankRecovery(shape=shape), problem.coef
            began = time.perf_counter()
            estimate = model.fit(problem.data, problem.target).matrix_
        else:
            shape = tuple(rng.randint(12, 60, 2))
            problem = make_corrupted_matrix(
                shape, min(rank, *np.array(shape) // 3), observed=rng.uniform(0.4, 1), **options
            )
            model, truth = RobustMatrixCompletion(replace="all", keep_empty_features=True), problem.clean
            began = time.perf_counter()
            estimate = model.fit_transform(problem.data)
    seconds = time.perf_counter() - began
    error = float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))
    right = error < (max(3 * noise, 0.02) if noise else RECOVERED)
    return {"seed": seed, "right": bool(right), "converged": bool(model.converged_), "seconds": seconds, "error": error}


def cells(results):
    converged = [r for r in results if r["converged"]]
    return {
        "problems": len(results),
        "right": sum(r["right"] for r in results),
        "converged and right": sum(r["right"] for r in converged),
        "converged and wrong": sum(not r["right"] for r in converged),
        "seconds": f"{sum(r['seconds'] for r in results):.0f}",
        "slowest": f"{max(r['seconds'] for r in results):.1f}",
    }


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=300, of="problems")
    options.add_argument("--against", help="file of the figures of another version, for the same seeds")
    args = options.parse_args()
    results = over_processes(run, [(seed,) for seed in args.seeds], args.jobs)
    table = Table({}, sentences=())
    table.print({"version": "this", **cells(results)})
    if args.against:
        with open(args.against) as file:
            others = {r["seed"]: r for r in json.load(file)}
        both = [(r, others[r["seed"]]) for r in results if r["seed"] in others]
        table.print({"version": "other", **cells([other for _, other in both])})
        for what, first in (("gained", True), ("lost", False)):
            print(what, [r["seed"] for r, other in both if r["right"] is first and other["right"] is not first])
    write_json(args.json, results)


if __name__ == "__main__":
    main()
