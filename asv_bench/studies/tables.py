"""Study of real tables: what imputers make of hidden entries of tables of scikit-learn, by kind of damage.

    python asv_bench/studies/tables.py                 # five tables, five kinds of damage, three seeds
    python asv_bench/studies/tables.py --row wine --count 1
    python asv_bench/studies/tables.py --clean         # nothing damaged: verdicts, flags, times
    python asv_bench/studies/tables.py --low-rank      # beside SoftImpute, pyrpca and qolmat

Kinds: 20 % missing (holes) or 50 % (half); 20 % missing and 10 % of the others moved by 5 to 15 interquartile ranges
(gross), taken from other rows (swapped), or a quarter of the rows of a fifth of the columns at one value (stuck). Each
imputer sees columns that are scaled robustly by what is observed. Errors are those of the missing entries, in units of
the robust spread of each column; a ratio is to the best of the peers in that case, chosen with hindsight. These tables
judge, and were not tuned on.

--low-rank: SoftImpute (Mazumder, Hastie and Tibshirani, JMLR 11, 2010) in plain NumPy, its penalty chosen by held-out
entries; principal component pursuit by pyrpca, which takes complete tables only and so gets the missing entries filled
by medians, and by qolmat (``pip install pyrpca qolmat``; one that is not installed is left out).
"""

import importlib.util
import time

import numpy as np
from harness import Arguments, Table, over_processes, quiet, write_json
from scipy.stats import norm
from sklearn import datasets
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

FIRST_TEST_SEED = 30000
TABLES = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
KINDS = ("holes", "half", "gross", "swapped", "stuck")


def fence(X):
    """The same without what lies more than 1.5 interquartile ranges beyond the quartiles (Tukey)."""
    low, high = np.nanpercentile(X, [25, 75], axis=0)
    reach = 1.5 * (high - low)
    inside = np.clip(X, low - reach, high + reach)
    return np.where(inside == X, X, np.nan)


def iterative():
    return IterativeImputer(n_nearest_features=20, random_state=0)


PEERS = {
    "median": lambda X: SimpleImputer(strategy="median").fit_transform(X),
    "neighbours": lambda X: KNNImputer().fit_transform(X),
    "iterative": lambda X: iterative().fit_transform(X),
    "fence, neighbours": lambda X: KNNImputer().fit_transform(fence(X)),
    "fence, iterative": lambda X: iterative().fit_transform(fence(X)),
}


def shrunk_path(X, penalties, steps=40):
    """Yield the estimates of SoftImpute for falling penalties, each begun at the one before."""
    seen = np.isfinite(X)
    mean = np.nanmean(X, axis=0)
    estimate, target = np.zeros(X.shape), np.nan_to_num(X - mean)
    for penalty in penalties:
        for _ in range(steps):
            u, s, vt = np.linalg.svd(np.where(seen, target, estimate), full_matrices=False)
            estimate = u * np.maximum(s - penalty, 0.0) @ vt
        yield estimate + mean


def soft_impute(X):
    """SoftImpute, its penalty chosen on a tenth of the entries."""
    seen = np.isfinite(X)
    held = seen & (np.random.RandomState(0).uniform(size=X.shape) < 0.1)
    largest = np.linalg.norm(np.nan_to_num(X - np.nanmean(X, axis=0)), 2)
    penalties = largest * 0.6 ** np.arange(1, 13)
    errors = [np.mean((found - X)[held] ** 2) for found in shrunk_path(np.where(held, np.nan, X), penalties)]
    *_, found = shrunk_path(X, penalties[: int(np.argmin(errors)) + 1])
    return np.where(seen, X, found)


def pursuit_pyrpca(X):
    """Principal component pursuit of a table filled by medians."""
    from pyrpca import rpca_pcp_ialm

    low, _ = rpca_pcp_ialm(PEERS["median"](X), max(X.shape) ** -0.5, verbose=False)
    return low


def pursuit_qolmat(X):
    """Principal component pursuit with missing entries."""
    from qolmat.imputations.rpca.rpca_pcp import RpcaPcp

    low, _ = RpcaPcp(max_iterations=1000, verbose=False).decompose(np.nan_to_num(X), np.isfinite(X))
    return np.asarray(low)


LOW_RANK = {
    "SoftImpute": (None, soft_impute),
    "pyrpca": ("pyrpca", pursuit_pyrpca),
    "qolmat": ("qolmat", pursuit_qolmat),
}


def installed(low_rank):
    """The imputers beside ours: those of scikit-learn, and the low-rank ones where asked for."""
    more = LOW_RANK if low_rank else {}
    return PEERS | {
        name: impute
        for name, (package, impute) in more.items()
        if package is None or importlib.util.find_spec(package) is not None
    }


def draws(X, count=20):
    """Means, standard deviations and ends of 90 % intervals of tables filled by draws of iterative imputation."""
    options = {"n_nearest_features": 20, "sample_posterior": True, "max_iter": 5}
    drawn = np.array([IterativeImputer(**options, random_state=i).fit_transform(X) for i in range(count)])
    return drawn.mean(axis=0), drawn.std(axis=0), *np.quantile(drawn, [0.05, 0.95], axis=0)


def gaussian_process(X, most=500):
    """The same of a Gaussian process of each column on the others, filled by medians.

    It learns from at most 500 rows, for its cost is their cube; one length for all columns, and noise, are fitted.
    """
    seen, rng = np.isfinite(X), np.random.RandomState(0)
    filled = np.where(seen, X, np.nanmedian(X, axis=0))
    mean, deviation = filled.copy(), np.zeros(X.shape)
    for j in range(X.shape[1]):
        others, rows = np.delete(filled, j, axis=1), rng.permutation(np.flatnonzero(seen[:, j]))[:most]
        kernel = ConstantKernel() * RBF(np.sqrt(X.shape[1])) + WhiteKernel()
        model = GaussianProcessRegressor(kernel, normalize_y=True).fit(others[rows], X[rows, j])
        hidden = ~seen[:, j]
        mean[hidden, j], deviation[hidden, j] = model.predict(others[hidden], return_std=True)
    reach = norm.ppf(0.95) * deviation
    return mean, deviation, mean - reach, mean + reach


PROBABILISTIC = {
    "iterative": draws,
    "process": gaussian_process,
    "fence, iterative": lambda X: draws(fence(X)),
    "fence, process": lambda X: gaussian_process(fence(X)),
}


def load(name):
    """The table, without columns that hardly vary."""
    X = TABLES[name]().data.astype(float)
    away = np.abs(X - np.median(X, axis=0)) > 0
    return X[:, away.mean(axis=0) > 0.3]


def spread(X):
    """Robust standard deviation of each column."""
    low, high = np.nanpercentile(X, [25, 75], axis=0)
    return np.where(high > low, (high - low) / 1.349, np.nanstd(X, axis=0))


def spoil(X, kind, seed):
    """A damaged copy, and the mask of what is missing."""
    rng = np.random.RandomState(seed)
    missing = rng.uniform(size=X.shape) < (0.5 if kind == "half" else 0.2)
    wrong = rng.uniform(size=X.shape) < 0.1
    Y = X.copy()
    if kind == "gross":
        size = rng.uniform(5, 15, X.shape) * rng.choice([-1, 1], X.shape) * 1.349 * spread(X)
        Y[wrong] += size[wrong]
    elif kind == "few":
        few = wrong & (rng.uniform(size=X.shape) < 0.2)
        Y[few] += (6.0 * rng.choice([-1, 1], X.shape) * np.nanstd(X, axis=0))[few]
    elif kind == "swapped":
        Y = np.where(wrong, np.take_along_axis(X, rng.randint(len(X), size=X.shape), axis=0), X)
    elif kind == "stuck":
        for j in rng.choice(X.shape[1], max(2, round(0.2 * X.shape[1])), replace=False):
            first = rng.randint(len(X) - len(X) // 4)
            Y[first : first + len(X) // 4, j] = np.quantile(X[:, j], rng.uniform(0.1, 0.9))
    Y[missing] = np.nan
    return Y, missing


def damaged(name, kind, seed):
    """A damaged table, scaled robustly by what is observed; its truth, the unit of each column, and what is missing."""
    X = load(name)
    Y, missing = spoil(X, kind, seed)
    shift, scale = np.nanmedian(Y, axis=0), spread(Y)
    return (Y - shift) / scale, (X - shift) / scale, spread(X) / scale, missing


def run(name, kind, seed, low_rank=False):
    """Root mean square errors and seconds of ours and of each peer; whether ours has converged."""
    Y, truth, unit, missing = damaged(name, kind, seed)
    model = RobustMatrixCompletion(replace="all")
    errors, seconds = {}, {}
    for label, impute in {"ours": model.fit_transform, **installed(low_rank)}.items():
        began = time.perf_counter()
        with quiet():
            filled = impute(Y)
        seconds[label] = time.perf_counter() - began
        errors[label] = float(np.sqrt(np.mean(((filled - truth) / unit)[missing] ** 2)))
    return {"errors": errors, "seconds": seconds, "verdict": model.stop_reason_, "converged": bool(model.converged_)}


def geometric(values):
    return f"{np.exp(np.mean(np.log(values))):.2f}"


def summarise(results):
    """Cells: ratios of errors to the best peer, and times."""
    best = [min(r["errors"][peer] for peer in PEERS) for r in results]
    ratios = {
        label: [r["errors"][label] / least for r, least in zip(results, best, strict=True)]
        for label in results[0]["errors"]
    }
    return {
        **{label: geometric(values) for label, values in ratios.items()},
        "worst of ours": f"{max(ratios['ours']):.2f}",
        "worse than medians": sum(r["errors"]["ours"] > r["errors"]["median"] for r in results),
        "converged": f"{sum(r['converged'] for r in results)}/{len(results)}",
        "seconds": f"{np.median([r['seconds']['ours'] for r in results]):.2f}",
        "of iterative": f"{np.median([r['seconds']['iterative'] for r in results]):.2f}",
    }


def clean(names):
    """Print what ours say of tables that nothing is wrong with, as they are and standardised."""
    table = Table(TABLES, sentences=())
    for name in names:
        X = TABLES[name]().data
        size = np.std(X, axis=0)
        for scaled, Y in (("no", X), ("yes", (X - X.mean(axis=0)) / np.where(size > 0, size, 1.0))):
            for kind in (RobustMatrixCompletion, RobustPCA):
                began = time.perf_counter()
                with quiet():
                    model = kind().fit(Y)
                cells = {"table": name, "standardised": scaled, "model": kind.__name__, "verdict": model.stop_reason_}
                seconds = f"{time.perf_counter() - began:.2f}"
                table.print({**cells, "flagged": f"{np.mean(model.outliers_):.2%}", "seconds": seconds})


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=3, of="seeds")
    options.add_rows(TABLES, what="table")
    options.add_argument("--clean", action="store_true", help="nothing damaged: verdicts, flags and times")
    options.add_argument("--low-rank", action="store_true", help="beside SoftImpute, pyrpca and qolmat as well")
    args = options.parse_args()
    names = args.row or list(TABLES)
    if args.clean:
        clean(names)
        return
    print("error of the missing entries over that of the best peer, geometric mean over seeds")
    table, figures = Table(TABLES), {}
    for name in names:
        for kind in KINDS:
            figures[f"{name} {kind}"] = over_processes(
                run, [(name, kind, seed, args.low_rank) for seed in args.seeds], args.jobs
            )
            table.print({"table": name, "damage": kind, **summarise(figures[f"{name} {kind}"])})
    table.print({"table": "all", "damage": "all", **summarise([r for results in figures.values() for r in results])})
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
