"""Study of uncertainty: how often intervals and standard errors hold the truth, how wide they are, and draws pooled.

    python asv_bench/studies/uncertainty.py                    # all parts
    python asv_bench/studies/uncertainty.py --row grid --count 5
    python asv_bench/studies/uncertainty.py --row spectra      # that decay in other ways
    python asv_bench/studies/uncertainty.py --row new          # rows that the fit has not seen
    python asv_bench/studies/uncertainty.py --row float32      # single precision
    python asv_bench/studies/uncertainty.py --row sensing      # dense, sparse and rank-one measurements
    python asv_bench/studies/uncertainty.py --row tables       # hidden entries of tables, beside peers
    python asv_bench/studies/uncertainty.py --row imputation   # regression coefficients by Rubin's rules

grid: 120 x 80 of rank 3 (sharp) or with singular values that fall as j^-1.5 (decaying), noise of a fifth of the data,
2 to 10 observed inliers per degree of freedom of rank 3, without errors, with 20 % huge ones and with 20 % of three
standard deviations, seen evenly or unevenly. Intervals are judged by new values of hidden entries, standard errors by
the clean matrix. Widths are those of 90 % intervals over those of an oracle: least squares told rank and errors, with
the exact covariance of its tangent space, and the noise (sharp spectrum alone). The error is the root mean square at
hidden entries (geometric mean of the fits), in standard deviations of the matrix.

spectra: a part of the grid, singular values falling as j^-1, j^-2 and exp(-j / 3).

new, float32: a part of the grid, judged on 120 rows that are regressed after the fit, or fitted in single precision.

sensing: 24 x 16 of rank 2, or decaying, 3 and 6 inliers per degree of freedom of rank 2; it predicts new measurements.
Standard errors are judged by their clean values, intervals (these with the noise of the fit, under a normal law) by
noisy ones. A sparse measurement has a tenth of its entries. Of entries and measurements without bounds, which are not
identifiable or from a fit that is not, the share is told, here and in the grid; they do not count as held.

tables: five tables of scikit-learn, five kinds of damage, of `tables.py`. The log loss is that of normal laws, by mean
and standard deviation. Peers are iterative imputation, by 20 draws of its posterior, and a Gaussian process of each
column on the others; beside gross errors also behind a fence, which takes the errors out before.

imputation: y and twelve columns of rank 3 with noise, 20 % missing, with and without 5 % gross errors; the coefficients
of y on three columns, of 20 imputations by Rubin's rules and of a single filled table, at a nominal 95 %.
"""

from functools import partial
from itertools import product

import numpy as np
from harness import Arguments, Table, over_processes, quiet, write_json
from scipy import sparse
from scipy.stats import norm, t
from tables import KINDS, PROBABILISTIC, TABLES, damaged

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion

FIRST_TEST_SEED = 40000
NOMINAL = (0.5, 0.9, 0.95)
SHAPE, RANK, NOISE = (120, 80), 3, 0.2
RATIOS = (2, 3, 4, 6, 10)
SENSED, SENSED_RANK, N_PREDICTED = (24, 16), 2, 1000
ENSEMBLES = ("dense", "sparse", "rank one")
SPECTRA = {
    "decaying": lambda j: j**-1.5,
    "1/j": lambda j: j**-1.0,
    "1/j^2": lambda j: j**-2.0,
    "exponential": lambda j: np.exp(-j / 3.0),
}
ERRORS = {"none": (0.0, 0.0), "huge": (0.2, 10.0), "3 sd": (0.2, 3.0)}


def draw_clean(n, p, k, spectrum, rng):
    """A matrix of rank k, or with a spectrum that decays, and a standard deviation of one."""
    if spectrum == "sharp":
        clean = rng.standard_normal((n, k)) @ rng.standard_normal((k, p))
    else:
        size = SPECTRA[spectrum](np.arange(1.0, p + 1.0))
        clean = rng.standard_normal((n, p)) * size @ np.linalg.qr(rng.standard_normal((p, p)))[0]
    return clean / clean.std()


def draw(ratio, errors, sampling, spectrum, seed, n_new=0):
    """Data, the clean matrix, and the mask of the inliers; the new rows are the last."""
    rng = np.random.RandomState(seed)
    (n, p), k = SHAPE, RANK
    share, magnitude = ERRORS[errors]
    rate = ratio * k * (n + p - k) / (n * p * (1.0 - share))
    n += n_new
    clean, rate = draw_clean(n, p, k, spectrum, rng), np.full((n, p), rate)
    if sampling == "uneven":
        rate *= np.outer(rng.uniform(0.4, 1.6, n), rng.uniform(0.4, 1.6, p))
    seen, wrong = rng.uniform(size=(n, p)) < rate, rng.uniform(size=(n, p)) < share
    data = clean + NOISE * rng.standard_normal((n, p))
    data[wrong] += magnitude * rng.choice([-1, 1], wrong.sum())
    return np.where(seen, data, np.nan), clean, seen & ~wrong


def oracle_deviations(data, clean, inlier):
    """Standard errors of least squares told rank and errors: the tangent space at its solution."""
    u, s, vt = np.linalg.svd(clean, full_matrices=False)
    u, v = u[:, :RANK] * s[:RANK], vt[:RANK].T
    ridge = 1e-9 * np.eye(RANK)
    for _ in range(20):
        u = np.stack([np.linalg.solve(v[m].T @ v[m] + ridge, v[m].T @ y[m]) for m, y in zip(inlier, data, strict=True)])
        v = np.stack(
            [np.linalg.solve(u[m].T @ u[m] + ridge, u[m].T @ y[m]) for m, y in zip(inlier.T, data.T, strict=True)]
        )
    n, p = data.shape
    gradient = np.zeros((n, p, n + p, RANK))
    gradient[np.arange(n), :, np.arange(n)] = v
    gradient[:, np.arange(p), n + np.arange(p)] = u[:, None]
    gradient = gradient.reshape(n * p, -1)
    seen = gradient[inlier.ravel()]
    root = np.linalg.pinv(np.linalg.cholesky(seen.T @ seen + 1e-9 * np.eye(seen.shape[1])))
    return NOISE * np.linalg.norm(gradient @ root.T, axis=1).reshape(n, p)


def run_grid(part, ratio, errors, sampling, spectrum, seed):
    data, clean, inlier = draw(ratio, errors, sampling, spectrum, seed, n_new=SHAPE[0] if part == "new" else 0)
    fitted = data = data.astype(np.float32 if part == "float32" else np.float64)
    if part == "new":
        fitted, data, clean = data[: SHAPE[0]], data[SHAPE[0] :], clean[SHAPE[0] :]
    hidden = ~np.isfinite(data)
    value = clean + NOISE * np.random.RandomState(seed + 1).standard_normal(clean.shape)
    model = RobustMatrixCompletion(replace="all")
    with quiet():
        estimate = model.fit(fitted).transform(data)
    _, std = model.transform(data, return_std=True)
    ends = [model.predict_interval(data, coverage=c) for c in NOMINAL]
    inside = [(low <= value) & (value <= high) for low, high in ends]
    bounded = hidden & np.isfinite(std)
    missed = np.abs(estimate - clean)[bounded]
    result = {
        "interval": [float(np.mean(x[bounded])) if bounded.any() else np.nan for x in inside],
        "std": [
            float(np.mean(missed <= norm.ppf(0.5 + c / 2) * std[bounded])) if len(missed) else np.nan for c in NOMINAL
        ],
        "error": float(np.sqrt(np.mean((estimate - clean)[hidden] ** 2))),
        "unbounded": 1.0 - float(bounded.sum() / hidden.sum()),
        "rows": [float(np.mean(x[m])) for x, m in zip(inside[1], bounded, strict=True) if m.sum() >= 10],
        "converged": bool(model.converged_),
        "verdict": model.stop_reason_,
    }
    if spectrum == "sharp" and part != "new":
        known = norm.ppf(0.95) * np.hypot(oracle_deviations(np.nan_to_num(data), clean, inlier), NOISE)
        low, high = ends[1]
        result["width"] = float(np.median(((high - low) / 2 / known)[hidden]))
    return result


def draw_measurements(kind, m, rng):
    """Rows that describe m measurements, and the same as flat matrices."""
    d1, d2 = SENSED
    if kind == "rank one":
        rows = rng.standard_normal((m, d1 + d2))
        return rows, (rows[:, :d1, None] * rows[:, None, d1:]).reshape(m, -1)
    flat = rng.standard_normal((m, d1 * d2))
    if kind == "sparse":
        flat[rng.uniform(size=flat.shape) > 0.1] = 0.0
        return sparse.csr_matrix(flat), flat
    return flat, flat


def run_sensing(kind, ratio, errors, spectrum, seed):
    rng, (d1, d2), k = np.random.RandomState(seed), SENSED, SENSED_RANK
    clean, (share, magnitude) = draw_clean(d1, d2, k, spectrum, rng), ERRORS[errors]
    m = round(ratio * k * (d1 + d2 - k) / (1.0 - share))
    rows, flat = draw_measurements(kind, m, rng)
    size = (flat @ clean.ravel()).std()
    y, wrong = flat @ clean.ravel() + NOISE * size * rng.standard_normal(m), rng.uniform(size=m) < share
    y[wrong] += magnitude * size * rng.choice([-1, 1], wrong.sum())
    model = RobustLowRankRecovery(measurements="rank_one" if kind == "rank one" else "matrix", shape=SENSED)
    with quiet():
        model.fit(rows, y)
    rows, new = draw_measurements(kind, N_PREDICTED, rng)
    estimate, std = model.predict(rows, return_std=True)
    truth = new @ clean.ravel()
    value, whole = truth + NOISE * size * rng.standard_normal(len(truth)), np.hypot(std, model.scale_)
    reach = norm.ppf(0.5 + np.array(NOMINAL) / 2)[:, None]
    known = np.isfinite(std)  # all of them or none
    result = {
        "interval": np.mean(np.abs(estimate - value) <= reach * whole, axis=1).tolist()
        if known.all()
        else [np.nan] * 3,
        "std": np.mean(np.abs(estimate - truth) <= reach * std, axis=1).tolist() if known.all() else [np.nan] * 3,
        "rows": [],
        "converged": bool(model.converged_),
        "verdict": model.stop_reason_,
        "unbounded": float(np.mean(~known)),
        "scale": float(model.scale_ / (NOISE * size)),
    }
    if spectrum == "sharp":
        u, s, vt = np.linalg.svd(clean)
        sides = np.kron(np.eye(d1), vt[:k].T * s[:k]), np.kron(u[:, :k] * s[:k], np.eye(d2))
        tangent, *_ = np.linalg.svd(np.hstack(sides), full_matrices=False)
        tangent = tangent[:, : k * (d1 + d2 - k)]
        inverse = np.linalg.pinv(flat[~wrong] @ tangent)
        oracle = NOISE * size * np.sqrt(1.0 + np.sum((new @ tangent @ inverse) ** 2, axis=1))
        result["width"] = float(np.median(whole / oracle)) if known.all() else np.nan
    return result


def log_loss(missed, deviation):
    """Mean negative logarithm of normal densities, where these have bounds."""
    known = np.isfinite(deviation)
    missed, deviation = missed[known], np.maximum(deviation[known], 1e-6)
    return float(np.mean(0.5 * (missed / deviation) ** 2 + np.log(deviation)))


def run_table(name, kind, seed):
    Y, truth, _, missing = damaged(name, kind, seed)
    model = RobustMatrixCompletion(replace="all")
    with quiet():
        estimate = model.fit_transform(Y)
    ends = [model.predict_interval(Y, coverage=c) for c in NOMINAL]
    one = (np.subtract(*model.predict_interval(Y, coverage=0.6827)[::-1]) / 2)[missing]
    result = {
        "interval": [float(np.mean(((low <= truth) & (truth <= high))[missing])) for low, high in ends],
        "log loss": log_loss((estimate - truth)[missing], one),
        "converged": bool(model.converged_),
    }
    for peer, impute in PROBABILISTIC.items():
        if "fence" in peer and kind != "gross":  # the only damage that a fence sees
            continue
        with quiet():
            mean, deviation, low, high = impute(Y)
        result[f"{peer} at .9"] = float(np.mean(((low <= truth) & (truth <= high))[missing]))
        result[f"log loss, {peer}"] = log_loss((mean - truth)[missing], deviation[missing])
    return result


def regression(table):
    """Coefficients of the last column on the first three, and their variances."""
    design = np.column_stack([np.ones(len(table)), table[:, :3]])
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ table[:, -1]
    rest = table[:, -1] - design @ found
    return found[1:], rest @ rest / (len(table) - 4) * np.diag(inverse)[1:]


def run_imputation(share, seed, n=300, p=13, m=20):
    rng = np.random.RandomState(seed)
    loadings = rng.standard_normal((p, RANK))
    X = rng.standard_normal((n, RANK)) @ loadings.T + rng.standard_normal((n, p))
    cov = loadings @ loadings.T + np.eye(p)
    truth = np.linalg.solve(cov[:3, :3], cov[:3, -1])
    wrong = rng.uniform(size=X.shape) < share
    X[wrong] += 15 * rng.choice([-1, 1], wrong.sum())
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    with quiet():
        model = RobustMatrixCompletion().fit(X)
    found, variance = regression(model.transform(X))
    single = np.abs(found - truth) <= t.ppf(0.975, n - 4) * np.sqrt(variance)
    found, variance = map(
        np.array, zip(*map(regression, model.sample_imputations(X, m, random_state=seed)), strict=True)
    )
    within, between = variance.mean(axis=0), (1 + 1 / m) * found.var(axis=0, ddof=1)
    freedom = (m - 1) * (1 + within / between) ** 2
    pooled = np.abs(found.mean(axis=0) - truth) <= t.ppf(0.975, freedom) * np.sqrt(within + between)
    return {"pooled": float(pooled.mean()), "single": float(single.mean())}


def shares(results, key):
    """Mean coverages at the nominal ones, of the fits that tell any bounds."""
    told = [r[key] for r in results if np.isfinite(r[key]).all()]
    return " ".join(f"{x:.3f}" for x in np.mean(told, axis=0)) if told else ""


def grid(args, part="grid", ratios=RATIOS, spectra=("sharp", "decaying")):
    print(f"{part}: coverage at nominal .5 .9 .95; rows: 5 % quantile of that of rows at .9")
    table, figures = Table({}, sentences=()), {}
    for spectrum, errors, sampling, ratio in product(spectra, ERRORS, ("even", "uneven"), ratios):
        if ratio * RANK * (sum(SHAPE) - RANK) > np.prod(SHAPE) * (1 - ERRORS[errors][0]):
            continue
        cell = ratio, errors, sampling, spectrum
        results = over_processes(run_grid, [(part, *cell, seed) for seed in args.seeds], args.jobs)
        figures[" ".join(map(str, cell))] = results
        table.print({"spectrum": spectrum, "errors": errors, "seen": sampling, "per dof": ratio, **cells(results)})
    every = [r for results in figures.values() for r in results]
    table.print({"spectrum": "all", "errors": "", "seen": "", "per dof": "", **cells(every)})
    sure = [r for r in every if r["verdict"] == "noisy"]
    table.print({"spectrum": "noisy", "errors": "", "seen": "", "per dof": "", **cells(sure)})
    return figures


def sensing(args):
    print("sensing: coverage of new measurements at nominal .5 .9 .95")
    table, figures = Table({}, sentences=()), {}
    for kind, spectrum, errors, ratio in product(
        ("dense", "sparse", "rank one"), ("sharp", "decaying"), ERRORS, (3, 6)
    ):
        cell = kind, ratio, errors, spectrum
        results = figures[" ".join(map(str, cell))] = over_processes(
            run_sensing, [(*cell, seed) for seed in args.seeds], args.jobs
        )
        table.print({"kind": kind, "spectrum": spectrum, "errors": errors, "per dof": ratio, **cells(results)})
    every = [r for results in figures.values() for r in results]
    table.print({"kind": "all", "spectrum": "", "errors": "", "per dof": "", **cells(every)})
    sure = [r for r in every if r["converged"]]
    table.print({"kind": "converged", "spectrum": "", "errors": "", "per dof": "", **cells(sure)})
    return figures


def cells(results):
    widths = [r["width"] for r in results if np.isfinite(r.get("width", np.nan))]
    rows = [x for r in results for x in r["rows"]]
    errors = [r["error"] for r in results if "error" in r]
    return {
        "error": f"{np.exp(np.mean(np.log(errors))):.3f}" if errors else "",
        "intervals": shares(results, "interval"),
        "standard errors": shares(results, "std"),
        "rows": f"{np.quantile(rows, 0.05):.2f}" if rows else "",
        "width": f"{np.median(widths):.2f}" if widths else "",
        "unbounded": f"{np.mean([r['unbounded'] for r in results]):.1%}" if results else "",
        "converged": f"{sum(r['converged'] for r in results)}/{len(results)}",
    }


def tables(args):
    print("coverage of hidden entries at nominal .5 .9 .95, and log loss")
    table, figures = Table({}, sentences=()), {}
    for name in args.table or TABLES:
        for kind in KINDS:
            results = over_processes(run_table, [(name, kind, seed) for seed in args.seeds], args.jobs)
            figures[f"{name} {kind}"] = results
            table.print({"table": name, "damage": kind, **table_cells(results)})
    every = [r for results in figures.values() for r in results]
    table.print({"table": "all", "damage": "all", **table_cells(every)})
    return figures


def table_cells(results):
    cells = {"intervals": shares(results, "interval"), "log loss": f"{np.mean([r['log loss'] for r in results]):.2f}"}
    for peer in PROBABILISTIC:
        for key, form in ((f"{peer} at .9", ".3f"), (f"log loss, {peer}", ".2f")):
            values = [r[key] for r in results if key in r]
            cells[key] = f"{np.mean(values):{form}}" if values else ""
    return cells


def imputation(args):
    print("coverage of 95 % intervals of regression coefficients")
    table, figures = Table({}, sentences=()), {}
    for share in (0.0, 0.05):
        tasks = [(share, seed) for first in args.seeds for seed in range(20 * first, 20 * first + 20)]
        results = over_processes(run_imputation, tasks, args.jobs)
        figures[f"gross {share}"] = results
        table.print(
            {
                "gross errors": f"{share:.0%}",
                "pooled": f"{np.mean([r['pooled'] for r in results]):.3f}",
                "single": f"{np.mean([r['single'] for r in results]):.3f}",
                "of": len(results),
            }
        )
    return figures


PARTS = {
    "grid": grid,
    "spectra": partial(grid, part="spectra", ratios=(3, 6, 10), spectra=tuple(SPECTRA)[1:]),
    "new": partial(grid, part="new", ratios=(3, 6)),
    "float32": partial(grid, part="float32", ratios=(3, 6)),
    "sensing": sensing,
    "tables": tables,
    "imputation": imputation,
}


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=3, of="seeds (of the imputation, groups of 20)")
    options.add_rows(PARTS, what="part")
    options.add_argument("--table", action="append", choices=list(TABLES), help="table of `tables` (default: all)")
    args = options.parse_args()
    figures = {}
    for part in args.row or PARTS:
        figures[part] = PARTS[part](args)
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
