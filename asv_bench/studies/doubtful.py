"""Study of doubtful problems: small, with many errors, from few data; what fits come to, and in what time.

    python asv_bench/studies/doubtful.py --count 300
    python asv_bench/studies/doubtful.py --row few --count 300
    python asv_bench/studies/doubtful.py --row large --count 300
    python asv_bench/studies/doubtful.py --count 300 --json one.json   # then with another version, --against one.json

errors: half of the problems are 8 to 19 x 8 to 19 with 2.5 to 12 dense measurements for each degree of freedom, half
are matrices of 12 to 59 x 12 to 59 with 40 to 100 % of the entries; the rank is 1 to 4, 10 to 50 % of the values are
wrong, in any of the ways of `datasets.OUTLIER_KINDS`, and the noise is 0, 2, 10 or 30 % of the data. A fit is right
where its relative error is below 1e-6, with noise below three times that, and 2 %.

few: 1.7 to 6 inliers for each degree of freedom. Dense and rank-one measurements of 10 to 25 x 10 to 25, and matrices
of 30 to 89 x 30 to 89; the rank is 1 to 3, 0 to 40 % of the values are wrong, the noise is 0, 5, 20 or 40 % of the
data. A fit is right where its error is below twice that of least squares that is told the rank and the inliers (without
noise, 1e-6).

large: matrices of 25 to 159 x 16 to 119 of rank 1 to 5, a third of them with a mean, 2.5 to 8 inliers for each degree
of freedom of that rank, noise of 0, 0.1, 5 or 20 %, and 30, 40 or 45 % errors: fifty standard deviations, twenty of one
sign, twenty each, or a Cauchy law of ten. A fit is right where its error is below three times the noise, and 2 %. The
rows and columns that have too few inliers to tell them count, too; "known and wrong" are those that are "exact" or
"noisy" and wrong without the entries that the fit says are not identifiable.

With --against, the problems that only one of two versions solves are listed.
"""

import time
from types import SimpleNamespace

import numpy as np
from harness import RECOVERED, Arguments, Table, over_processes, quiet, read_json, write_json
from references import matrix_oracle_error, measurements_oracle_error

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

FIRST_TEST_SEED = 620000


def fit(problem, measured):
    """The error of a fit, whether it has converged, and its time."""
    with quiet():
        began = time.perf_counter()
        if measured:
            model = RobustLowRankRecovery(shape=problem.coef.shape, measurements=measured)
            estimate, truth = model.fit(problem.data, problem.target).matrix_, problem.coef
        else:
            model = RobustMatrixCompletion(replace="all", keep_empty_features=True)
            estimate, truth = model.fit_transform(problem.data), problem.clean
    seconds = time.perf_counter() - began
    error = known = float(relative_recovery_error(truth, estimate))
    if not measured:
        lost = model.undetermined_rows_, model.undetermined_columns_
        rows, columns = (np.setdiff1d(np.arange(n), some) for n, some in zip(truth.shape, lost, strict=True))
        known = 0.0  # of nothing nothing wrong is said
        if len(rows) and len(columns):
            known = float(relative_recovery_error(truth[np.ix_(rows, columns)], estimate[np.ix_(rows, columns)]))
    sure = model.stop_reason_ in ("exact", "noisy")
    return {"converged": bool(model.converged_), "sure": sure, "seconds": seconds, "error": error, "known": known}


def run_errors(seed):
    rng = np.random.RandomState(seed)
    options = {"outlier_kind": list(OUTLIER_KINDS)[rng.randint(len(OUTLIER_KINDS))], "random_state": seed}
    noise, rank = rng.choice([0.0, 0.0, 0.02, 0.1, 0.3]), rng.randint(1, 5)
    options |= {"noise": noise, "outliers": rng.uniform(0.1, 0.5)}
    if seed % 2:
        shape = tuple(rng.randint(8, 20, 2))
        m = int(rank * (sum(shape) - rank) * rng.uniform(2.5, 12))
        problem = make_measurements(m, shape, rank, **options)
    else:
        shape = tuple(rng.randint(12, 60, 2))
        rank = min(rank, *np.array(shape) // 3)
        problem = make_corrupted_matrix(shape, rank, observed=rng.uniform(0.4, 1), **options)
    found = fit(problem, "matrix" if seed % 2 else None)
    return {"seed": seed, "right": bool(found["error"] < (max(3 * noise, 0.02) if noise else RECOVERED)), **found}


def run_few(seed):
    rng = np.random.RandomState(seed)
    kind, rank = ("gaussian", "rank_one", "entries")[seed % 3], rng.randint(1, 4)
    shape = tuple(int(d) for d in (rng.randint(30, 90, 2) if kind == "entries" else rng.randint(10, 26, 2)))
    noise, share = float(rng.choice([0.0, 0.05, 0.2, 0.4])), float(rng.choice([0.0, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4]))
    options = {"outlier_kind": list(OUTLIER_KINDS)[rng.randint(len(OUTLIER_KINDS))], "random_state": seed}
    options |= {"noise": noise, "outliers": share, "condition": float(rng.choice([1.0, 3.0, 8.0]))}
    m = int(rng.choice([1.7, 2, 2.5, 3, 3.5, 4.5, 6]) * rank * (sum(shape) - rank) / (1.0 - share))
    if kind == "entries":
        problem = make_corrupted_matrix(shape, rank, observed=min(m / np.prod(shape), 0.95), **options)
    else:
        problem = make_measurements(m, shape, rank, ensemble=kind, **options)
    found = fit(problem, {"gaussian": "matrix", "rank_one": "rank_one", "entries": None}[kind])
    told = RECOVERED
    if noise and kind == "entries":
        inliers = np.isfinite(problem.data) & ~problem.outliers
        if min(inliers.sum(axis=0).min(), inliers.sum(axis=1).min()) <= rank:  # not even the oracle can tell
            return None
        told = 2 * matrix_oracle_error(problem.clean, problem.data, inliers, rank)
    elif noise:
        d = shape[0]
        flat = problem.data if kind == "gaussian" else np.einsum("mi,mj->mij", problem.data[:, :d], problem.data[:, d:])
        told = 2 * measurements_oracle_error(flat, problem.target, ~problem.outliers, problem.coef, rank)
    return {"seed": seed, "right": bool(found["error"] < told), "oracle": told / 2, **found}


def run_large(seed):
    rng = np.random.RandomState(seed)
    (n, p), rank = (int(rng.randint(25, 160)), int(rng.randint(16, 120))), int(rng.randint(1, 6))
    share, noise = float(rng.choice([0.3, 0.4, 0.45])), float(rng.choice([0.0, 1e-3, 0.05, 0.2]))
    observed = rng.uniform(2.5, 8) * rank * (n + p - rank) / (n * p * (1.0 - share))
    clean = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p)) / np.sqrt(rank)
    if rng.uniform() < 0.3:
        clean += 2.0 * rng.standard_normal(p)
    clean /= clean.std()
    data = clean + noise * rng.standard_normal((n, p))
    errors = (
        50.0 * rng.standard_normal((n, p)),
        20.0 * np.abs(rng.standard_normal((n, p))),
        np.full((n, p), 20.0),
        10.0 * rng.standard_cauchy((n, p)),
    )
    data += errors[rng.randint(len(errors))] * (rng.uniform(size=(n, p)) < share)
    data[rng.uniform(size=(n, p)) > observed] = np.nan
    found, most = fit(SimpleNamespace(data=data, clean=clean), None), max(3 * noise, 0.02)
    return {"seed": seed, "right": bool(found["error"] < most), "known right": bool(found["known"] < most), **found}


ROWS = {"errors": run_errors, "few": run_few, "large": run_large}


def cells(results):
    converged = [r for r in results if r["converged"]]
    return {
        "problems": len(results),
        "right": sum(r["right"] for r in results),
        "converged and right": sum(r["right"] for r in converged),
        "converged and wrong": sum(not r["right"] for r in converged),
        "sure and wrong": sum(not r["right"] for r in converged if r.get("sure", True)),
        "known and wrong": sum(not r.get("known right", r["right"]) for r in converged if r.get("sure", True)),
        "seconds": f"{sum(r['seconds'] for r in results):.0f}",
        "slowest": f"{max(r['seconds'] for r in results):.1f}",
    }


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=300, of="problems")
    options.add_rows(ROWS)
    options.add_argument("--against", help="file of the figures of another version, for the same seeds")
    args = options.parse_args()
    figures, others = {}, read_json(args.against)
    for row in args.row or ROWS:
        results = over_processes(ROWS[row], [(seed,) for seed in args.seeds], args.jobs)
        figures[row] = results = [r for r in results if r is not None]
        table = Table({}, sentences=())
        table.print({"row": row, "version": "this", **cells(results)})
        other = {r["seed"]: r for r in others.get(row, [])}
        both = [(r, other[r["seed"]]) for r in results if r["seed"] in other]
        if both:
            table.print({"row": row, "version": "other", **cells([before for _, before in both])})
            for what, first in (("gained", True), ("lost", False)):
                print(what, [r["seed"] for r, before in both if r["right"] is first and before["right"] is not first])
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
