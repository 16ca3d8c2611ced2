"""What robustness costs: our estimators beside plain methods on the same data, both sides in one run, medians of pairs.

    python asv_bench/speed_report.py [--size 3000 ...] [--pairs 5]

Full matrices: `RobustPCA` (rank not given) beside scikit-learn's randomised PCA told the number of components. A third
of the entries seen: `RobustMatrixCompletion` beside sweeps of plain alternating least squares told the rank. Dense
measurements: `RobustLowRankRecovery` beside streaming reads of the design (`A.sum()`). Cold start: whole processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

RANK = 5


def seconds(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def medians(pairs, ours, plain):
    """Median times of alternating runs, and of the ratio of each pair; ours is run once before."""
    ours()
    times = [(seconds(ours)[0], seconds(plain)[0]) for _ in range(pairs)]
    return tuple(statistics.median(t) for t in zip(*times, strict=True)), statistics.median(a / b for a, b in times)


def tell(ours, other, ratio, rank, error):
    return f"ours {ours:7.3f} s, plain {other:7.3f} s, ratio {ratio:6.2f}, rank {rank}, error {error:.0e}"


def full(size, pairs, *, noise=0.0, outliers=0.3):
    problem = make_corrupted_matrix((size, size), rank=RANK, outliers=outliers, noise=noise, random_state=0)
    model = RobustPCA(n_jobs=2)
    plain = PCA(RANK, svd_solver="randomized", random_state=0)
    (ours, other), ratio = medians(pairs, lambda: model.fit(problem.data), lambda: plain.fit(problem.data))
    some = problem.data[:50]
    error = relative_recovery_error(problem.clean[:50], model.inverse_transform(model.transform(some)))
    words = f"full {size} x {size}, {outliers:.0%} errors, noise {noise:g}"
    print(f"{words:44s} {tell(ours, other, ratio, model.rank_, error)}")


def sweep(rows, cols, y, left, right):
    """One sweep of plain alternating least squares over entries sorted by row, and over the same sorted by column."""
    for (index, other, values), basis, out in (((*rows, y[0]), right, left), ((*cols, y[1]), left, right)):
        b = basis[other]
        starts = np.flatnonzero(np.r_[True, np.diff(index) > 0])
        products = np.einsum("pi,pj->pij", b, b).reshape(len(b), -1)
        gram = np.add.reduceat(products, starts, axis=0).reshape(-1, RANK, RANK)
        right_side = np.add.reduceat(b * values[:, None], starts, axis=0)
        out[index[starts]] = np.linalg.solve(gram + 1e-12 * np.eye(RANK), right_side[:, :, None])[:, :, 0]


def completion(size, pairs, *, observed=0.3):
    problem = make_corrupted_matrix((size, size), rank=RANK, observed=observed, outliers=0.3, random_state=0)
    i, j = np.nonzero(problem.observed)
    y = problem.data[i, j]
    order = np.lexsort((i, j))
    left, right = np.random.RandomState(0).standard_normal((2, size, RANK))
    data = (i, j), (j[order], i[order]), (y, y[order]), left, right
    model = RobustMatrixCompletion(n_jobs=2)
    (ours, other), ratio = medians(pairs, lambda: model.fit(problem.data), lambda: sweep(*data))
    at = np.random.RandomState(1).randint(size, size=(2, 10_000))
    error = relative_recovery_error(problem.clean[tuple(at)][:, None], model.predict_entries(*at)[:, None])
    words = f"{observed:.0%} of {size} x {size}, 30 % errors"
    print(f"{words:44s} {tell(ours, other, ratio, model.rank_, error)}")


def sensing(pairs):
    problem = make_measurements(15_000, (64, 64), 3, outliers=0.2, random_state=0)
    model = RobustLowRankRecovery(shape=(64, 64))
    fit = lambda: model.fit(problem.data, problem.target)  # noqa: E731
    (ours, other), ratio = medians(pairs, fit, problem.data.sum)
    error = relative_recovery_error(problem.coef, model.coef_)
    words = "sensing 64 x 64, m = 15,000, 20 % errors"
    print(f"{words:44s} {tell(ours, other, ratio, model.rank_, error)}")


def cold():
    """First fit ever (nothing compiled), the same with a warm cache, and the import alone, whole processes."""
    fit = (
        "import numpy as np, warnings; warnings.simplefilter('ignore')\n"
        "from sklearn_robustlr import RobustMatrixCompletion\n"
        "rng = np.random.RandomState(0)\n"
        "X = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40)); X[rng.uniform(size=X.shape) < 0.1] = 9\n"
        "RobustMatrixCompletion().fit(X)\n"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}

        def run(code):
            return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment))[0]

        first = run(fit)
        warm = statistics.median(run(fit) for _ in range(3))
        ours = statistics.median(run("import sklearn_robustlr") for _ in range(3))
        theirs = statistics.median(run("import sklearn.decomposition, sklearn.model_selection") for _ in range(3))
    print(
        f"cold start: first fit ever {first:.1f} s; warm cache, whole process {warm:.1f} s; import {ours:.2f} s, ",
        end="",
    )
    print(f"scikit-learn's alone {theirs:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="*", default=[300, 1000, 3000], help="sides of the square matrices")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs a line")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for size in args.size:
        full(size, args.pairs)
    full(max(args.size), args.pairs, outliers=0.1)
    full(max(args.size), args.pairs, noise=0.1)
    completion(max(args.size), args.pairs)
    sensing(args.pairs)
    cold()


if __name__ == "__main__":
    main()
