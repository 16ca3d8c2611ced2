"""Study of structured errors: which patterns break the recovery of a matrix, and whether `converged_` tells.

    python asv_bench/studies/structure.py                      # all structures, 20 seeds, a quarter of an hour
    python asv_bench/studies/structure.py --structure rows --share 0.3 --count 5

A 100 x 80 matrix of rank 3, without noise, is corrupted by each structure at growing shares of its entries:

rows, columns   whole rows (columns) of random numbers, three times as large as the data
block           a block of such numbers in one corner, of the proportions of the matrix
stuck           each column keeps, for a stretch of rows, the value that it had before
stripes         diagonal stripes, repeated every 20 entries: three standard deviations of the data are added
second          scattered entries of another matrix of rank 3 and the same size
adversary       the largest entries of the leading singular component change their sign
saturation      the largest values, of either sign, are clipped
missing         the largest values, of either sign, are missing

Rows and columns that the estimator lists as undetermined are not judged. A fit is right where the error of all others
is below 1e-6 and every listed one is corrupted in a quarter of its entries or more; it misleads where it claims to have
converged and that error is above 1e-5; it warns where `converged_` is False. Seeds below 90000 were used to build the
method and its verdict, and are refused.
"""

import numpy as np
from harness import RECOVERED, WRONG, Arguments, recorded, run_rows

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

FIRST_TEST_SEED = 90_000
SHAPE, RANK = (100, 80), 3
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def _largest(size, share):
    """Mask of the largest numbers of a matrix."""
    return size >= np.quantile(size, 1.0 - share)


def _rows(truth, share, rng):
    wrong = np.zeros(truth.shape, dtype=bool)
    wrong[rng.permutation(len(truth))[: round(share * len(truth))]] = True
    return np.where(wrong, 3 * truth.std() * rng.standard_normal(truth.shape), truth)


def _columns(truth, share, rng):
    return _rows(truth.T, share, rng).T


def _block(truth, share, rng):
    wrong = np.zeros(truth.shape, dtype=bool)
    wrong[tuple(slice(round(np.sqrt(share) * d)) for d in truth.shape)] = True
    return np.where(wrong, 3 * truth.std() * rng.standard_normal(truth.shape), truth)


def _stuck(truth, share, rng):
    n, d = truth.shape
    first = rng.randint(n, size=d)
    wrong = (np.arange(n)[:, None] - first) % n < round(share * n)
    return np.where(wrong, truth[first - 1, np.arange(d)], truth)


def _stripes(truth, share, rng):
    place = np.add.outer(*map(np.arange, truth.shape)) % 20
    return np.where(place < 20 * share, truth + 3 * truth.std(), truth)


def _second(truth, share, rng):
    other = make_corrupted_matrix(truth.shape, RANK, outliers=0, random_state=rng).clean
    return np.where(rng.uniform(size=truth.shape) < share, other, truth)


def _adversary(truth, share, rng):
    u, _, vt = np.linalg.svd(truth, full_matrices=False)
    return np.where(_largest(np.abs(np.outer(u[:, 0], vt[0])), share), -truth, truth)


def _saturation(truth, share, rng):
    limit = np.quantile(np.abs(truth), 1.0 - share)
    return np.clip(truth, -limit, limit)


def _missing(truth, share, rng):
    return np.where(_largest(np.abs(truth), share), np.nan, truth)


STRUCTURES = {
    "rows": _rows,
    "columns": _columns,
    "block": _block,
    "stuck": _stuck,
    "stripes": _stripes,
    "second": _second,
    "adversary": _adversary,
    "saturation": _saturation,
    "missing": _missing,
}


def run_problem(structure, share, seed):
    """Fit one problem; returns a dict of figures."""
    rng = np.random.RandomState(seed)
    truth = make_corrupted_matrix(SHAPE, RANK, outliers=0, random_state=rng).clean
    data = STRUCTURES[structure](truth, share, rng)
    model = RobustMatrixCompletion(replace="all")
    estimate, record = recorded(model, lambda: model.fit_transform(data))
    wrong = data != truth  # missing entries, too
    known, unduly = np.ones(SHAPE, dtype=bool), 0
    for axis, lost in enumerate((model.undetermined_rows_, model.undetermined_columns_)):
        np.moveaxis(known, axis, 0)[lost] = False
        unduly += int(np.sum(wrong.mean(axis=1 - axis)[lost] < 0.25))
    error = float(np.linalg.norm((estimate - truth)[known]) / np.linalg.norm(truth[known])) if known.any() else 1.0
    return {
        "structure": structure,
        "share": share,
        "seed": seed,
        "wrong_share": float(wrong.mean()),
        "error": error,
        "rank": int(model.rank_),
        "listed": int(len(model.undetermined_rows_) + len(model.undetermined_columns_)),
        "right": error < RECOVERED and not unduly,
        "misled": record["converged"] and error > WRONG,
        "reason": model.stop_reason_,
        **record,
        "warned": not record["converged"],
    }


def summarise(structure, results):
    """Cells of a structure: right, misled and warned at each share, in percent."""
    cells = {}
    for share in sorted({r["share"] for r in results}):
        some = [r for r in results if r["share"] == share]
        percent = (100 * np.mean([r[key] for r in some]) for key in ("right", "misled", "warned"))
        cells[f"{share:.0%}"] = " ".join(f"{value:3.0f}" for value in percent)
    return cells


def main():
    options = Arguments(__doc__).add_rows(STRUCTURES, "--structure", "structure")
    options.add_argument("--share", action="append", type=float, help=f"share of the entries (default: {SHARES})")
    options.add_seeds(FIRST_TEST_SEED, count=20, of="problems of each share")
    args = options.parse_args()
    print("right, misled and warned, in percent, at each share of the entries")
    tasks = lambda row: [(row, share, seed) for share in args.share or SHARES for seed in args.seeds]  # noqa: E731
    run_rows(args, STRUCTURES, run_problem, summarise, tasks=tasks)


if __name__ == "__main__":
    main()
