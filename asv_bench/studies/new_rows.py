"""Study of rows that a fit has not seen, and that are further from its columns than those that it has.

    python asv_bench/studies/new_rows.py --count 20
    python asv_bench/studies/new_rows.py --count 20 --json one.json   # then with another version, --against one.json

replicates: 20 or 40 samples, each measured two or three times, in 100 columns of 40 directions with noise of a tenth;
the new samples are measured once. slow: 30 sensors of 12 directions with a correlation time of 600 rows; the first 1000
rows are fitted, the next 1000 are new. usual: 120 samples, measured once, as the new ones are; slow and usual ones have
10 % missing, new samples 20 %.

Errors of hidden entries of new rows are in standard deviations of the columns: root mean squares of ours, beside those
of iterative imputation that was fitted to the same rows. The cover is that of 95 % intervals, of new rows and of the
fitted ones; replaced is the share of the observed values of new rows, none of which is wrong.
"""

import numpy as np
from harness import compare_tables, mean_of, quiet
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 16000


def samples(rng, n_samples, n_times):
    loadings = 0.5 * rng.standard_normal((40, 100)) * np.arange(1, 41)[:, None] ** -0.3
    level = 20.0 + 2.0 * rng.standard_normal(100)
    fitted = np.repeat(rng.standard_normal((n_samples, 40)), n_times, axis=0) @ loadings + level
    new = rng.standard_normal((30, 40)) @ loadings + level
    return [rows + 0.1 * rng.standard_normal(rows.shape) for rows in (fitted, new)]


def replicates(rng):
    return samples(rng, *[(20, 3), (40, 3), (40, 2)][rng.randint(3)])


def usual(rng):
    return samples(rng, 120, 1)


def slow(rng):
    keep, course = np.exp(-1 / 600), np.empty((2000, 12))
    course[0] = rng.standard_normal(12)
    for t in range(1, len(course)):
        course[t] = keep * course[t - 1] + np.sqrt(1 - keep**2) * rng.standard_normal(12)
    rows = course @ (rng.standard_normal((12, 30)) * np.arange(1, 13)[:, None] ** -0.7) + 5 * rng.standard_normal(30)
    rows += 0.1 * rng.standard_normal(rows.shape)
    return rows[:1000], rows[1000:]


ROWS = {row.__name__: row for row in (replicates, slow, usual)}


def run(row, seed):
    rng = np.random.RandomState(seed)
    parts, last = ROWS[row](rng), 0.1 if row == "slow" else 0.2
    hidden = [rng.uniform(size=rows.shape) < share for rows, share in zip(parts, (0.1, last), strict=True)]
    fitted, new = (np.where(holes, np.nan, rows) for rows, holes in zip(parts, hidden, strict=True))
    unit, judged, (_, truth) = np.concatenate(parts).std(axis=0), hidden[1], parts

    def error(filled):
        return float(np.sqrt(np.mean(((filled - truth) / unit)[judged] ** 2)))

    with quiet():
        model = RobustMatrixCompletion().fit(fitted)
        repaired = model.transform(new)
        intervals = [model.predict_interval(rows, coverage=0.95) for rows in (fitted, new)]
        peer = make_pipeline(StandardScaler(), IterativeImputer(max_iter=5, random_state=0)).fit(fitted)
        theirs = error(peer[0].inverse_transform(peer.transform(new)))
    covers = [
        float(((low <= rows) & (rows <= high))[holes].mean())
        for rows, holes, (low, high) in zip(parts, hidden, intervals, strict=True)
    ]
    return {
        "seed": seed,
        "error": error(repaired),
        "over iterative": error(repaired) / theirs,
        "cover": covers[1],
        "cover of fitted": covers[0],
        "replaced": float(np.mean((repaired != new)[~judged])),
        "verdict": model.stop_reason_,
    }


def cells(results):
    return {
        "tables": len(results),
        "error": f"{mean_of(results, 'error'):.3f}",
        "over iterative": f"{mean_of(results, 'over iterative'):.2f}",
        "cover, new": f"{np.mean([r['cover'] for r in results]):.3f}",
        "least": f"{min(r['cover'] for r in results):.2f}",
        "cover, fitted": f"{np.mean([r['cover of fitted'] for r in results]):.3f}",
        "replaced": f"{np.mean([r['replaced'] for r in results]):.1%}",
        "most replaced": f"{max(r['replaced'] for r in results):.1%}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, ROWS, run, cells, first_seed=FIRST_TEST_SEED)
