"""Study of spectra that decay and have no rank: the error of hidden entries beside that of the best rank, told errors.

    python asv_bench/studies/decaying.py                  # 1500 x 200, three spectra, with and without errors
    python asv_bench/studies/decaying.py --rows 6000
    python asv_bench/studies/decaying.py --rows 100000 --cols 50

A fifth of the entries is missing; where there are errors, a tenth of the others is off by ten standard deviations. The
other method knows which: least squares by turns (ALS) of ranks 5 to 80 with four weights of the ridge, of which the
best is taken with hindsight, on at most 3000 of the rows. Errors are root mean squares of the missing entries, in units
of the standard deviation of the data. Neither method holds its estimates to the range of what is seen.
"""

import numpy as np
from harness import Arguments, Table, over_processes, quiet, recorded, write_json

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 31000
SPECTRA = {
    "1 / k": lambda k, p: 1.0 / k,
    "k^-1.5": lambda k, p: k**-1.5,
    "exponential, three decades": lambda k, p: 10.0 ** (-3.0 * (k - 1) / (p - 1)),
}
RANKS, RIDGES, SWEEPS, MOST_ROWS = (5, 10, 20, 30, 40, 60, 80), (0.003, 0.03, 0.3, 1.0), 12, 3000


def draw(spectrum, rows, cols, errors, seed):
    """The matrix, what is seen of it, and the mask of what is seen and right."""
    rng = np.random.RandomState(seed)
    right = np.linalg.qr(rng.standard_normal((cols, cols)))[0]
    sizes = SPECTRA[spectrum](np.arange(1.0, cols + 1), cols)
    X = (rng.standard_normal((rows, cols)) * (sizes * np.sqrt(cols / np.sum(sizes**2)))) @ right.T
    seen, wrong = rng.uniform(size=X.shape) >= 0.2, rng.uniform(size=X.shape) < (0.1 if errors else 0.0)
    return X, np.where(seen, X + np.where(wrong, 10.0 * rng.standard_normal(X.shape), 0.0), np.nan), seen & ~wrong


def alternating(Y, known, k, ridge):
    """Least squares in rows and columns by turns, of what is known."""
    weight, filled = known.astype(float), np.where(known, Y, 0.0)
    u, s, vt = np.linalg.svd(filled / known.mean(), full_matrices=False)
    v = vt[:k].T * np.sqrt(s[:k])
    for _ in range(SWEEPS):
        u = solve(weight, filled, v, ridge)
        v = solve(weight.T, filled.T, u, ridge)
    return u @ v.T


def solve(weight, filled, v, ridge):
    """Ridge regressions of all rows on v."""
    k = v.shape[1]
    normal = (weight @ (v[:, :, None] * v[:, None]).reshape(len(v), -1)).reshape(-1, k, k) + ridge * np.eye(k)
    return np.linalg.solve(normal, (filled @ v)[:, :, None])[:, :, 0]


def size(error):
    return float(np.sqrt(np.mean(error**2)))


def run(spectrum, rows, cols, errors, seed):
    """Errors and ranks of ours and of the best told rank; what ours says, and its seconds."""
    X, Y, known = draw(spectrum, rows, cols, errors, seed)
    hidden = np.isnan(Y)
    model = RobustMatrixCompletion(min_value=-np.inf, max_value=np.inf, n_jobs=2)
    with quiet():
        RobustMatrixCompletion(n_jobs=2).fit(Y[:300, :30])  # so that all is compiled
        filled, record = recorded(model, lambda: model.fit_transform(Y))
    some = slice(0, None, -(-rows // MOST_ROWS))
    told = {
        (k, ridge): size((alternating(Y[some], known[some], k, ridge) - X[some])[hidden[some]])
        for k in RANKS
        if k < 0.6 * cols
        for ridge in RIDGES
    }
    best = min(told, key=told.get)
    return {
        "error": size((filled - X)[hidden]),
        "rank": int(model.rank_),
        "verdict": model.stop_reason_,
        "expected": float(np.sqrt(np.mean(model.expected_error_**2))),
        "seconds": record["seconds"],
        "told": told[best],
        "best rank": best[0],
    }


def summarise(results):
    """Cells: means over seeds."""

    def mean(name, digits=3):
        return f"{np.mean([r[name] for r in results]):.{digits}f}"

    return {
        "ours": mean("error"),
        "expected": mean("expected"),
        "rank": mean("rank", 0),
        "verdict": ", ".join(sorted({r["verdict"] for r in results})),
        "seconds": mean("seconds", 1),
        "told errors and rank": mean("told"),
        "best rank": mean("best rank", 0),
        "ratio": f"{np.exp(np.mean([np.log(r['error'] / r['told']) for r in results])):.2f}",
    }


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=2, of="seeds")
    options.add_rows(SPECTRA, what="spectrum")
    options.add_argument("--rows", type=int, default=1500)
    options.add_argument("--cols", type=int, default=200)
    args = options.parse_args()
    args.jobs = 1 if args.jobs == -1 else args.jobs  # times are of two threads
    table, figures = Table(SPECTRA, sentences=()), {}
    for spectrum in args.row or SPECTRA:
        for errors in (False, True):
            tasks = [(spectrum, args.rows, args.cols, errors, seed) for seed in args.seeds]
            figures[f"{spectrum}, {errors}"] = over_processes(run, tasks, args.jobs)
            cells = {"spectrum": spectrum, "errors": "10 %" if errors else "none"}
            table.print({**cells, **summarise(figures[f"{spectrum}, {errors}"])})
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
