"""Study of which new rows of a sharp rank are known, where some of their entries are errors, or all.

    python asv_bench/studies/known_rows.py --count 20
    python asv_bench/studies/known_rows.py --count 20 --json one.json   # then with another version, --against one.json

A fit of 300 x 40 of rank 2 to 5, noise of a thousandth to a third of its size, tells 200 new rows of 6 to 40 entries. A
tenth of the entries of the fit are errors of two to ten times its size; of the new rows none, a third, half, or all.

Known are rows whose standard errors are finite. They are wrong where the root mean square of their errors is four times
these and beyond. Errors are in units of the size of the matrix: of all rows, and of those that are known.
"""

import numpy as np
from harness import compare_tables, mean_of, quiet

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 830000
WRONG = {"none": 0.0, "third": 1.0 / 3.0, "half": 0.5, "all": 1.0}


def run(row, seed):
    rng = np.random.RandomState(seed)
    rank, noise, size = rng.randint(2, 6), 10.0 ** rng.uniform(-3.0, -0.5), rng.uniform(2.0, 10.0)
    loadings = rng.standard_normal((rank, 40)) / np.sqrt(rank)
    fitted, new = rng.standard_normal((300, rank)) @ loadings, rng.standard_normal((200, rank)) @ loadings
    parts = [rows + noise * rng.standard_normal(rows.shape) for rows in (fitted, new)]
    for rows, share in zip(parts, (0.1, WRONG[row]), strict=True):
        rows += (rng.uniform(size=rows.shape) < share) * size * rng.standard_normal(rows.shape)
    n_seen = rng.randint(6, 41, size=(len(new), 1))
    parts[1][np.argsort(rng.uniform(size=new.shape), axis=1) >= n_seen] = np.nan
    with quiet():
        model = RobustMatrixCompletion(replace="all").fit(parts[0])
        repaired, deviation = model.transform(parts[1], return_std=True)
    error, stated = (np.sqrt(np.mean(rows**2, axis=1)) for rows in (repaired - new, deviation))
    known = np.isfinite(stated)
    wrong = known & (error > 4.0 * stated)
    return {
        "seed": seed,
        "known": float(known.mean()),
        "wrong": float(wrong.mean()),
        "error": float(np.sqrt(np.mean(error**2))),
        "error of known": float(np.sqrt(np.mean(error[known] ** 2))) if known.any() else np.nan,
        "verdict": model.stop_reason_,
    }


def cells(results):
    return {
        "fits": len(results),
        "known": f"{np.mean([r['known'] for r in results]):.3f}",
        "known and wrong": f"{np.mean([r['wrong'] for r in results]):.3f}",
        "error": f"{mean_of(results, 'error'):.3f}",
        "error of known": f"{np.nanmedian([r['error of known'] for r in results]):.3f}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, WRONG, run, cells, first_seed=FIRST_TEST_SEED)
