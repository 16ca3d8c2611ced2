"""Study of tables whose columns have nothing in common: nothing is to be worse than filling in their medians.

    python asv_bench/studies/independent.py
    python asv_bench/studies/independent.py --row tiny --count 40

tiny: 8 to 20 rows and 4 to 12 columns; small: 30 to 200 rows and 5 to 20 columns. 30 % of the entries are hidden. The
cells are independent: normal, Student's t with three and with two degrees of freedom, log-normal, or counts. The root
mean square of the errors at hidden entries is given in units of that of the medians of the columns: its mean, its
largest value, the share of tables where it is above 1.1, and how often a fit says that it has converged.
"""

import numpy as np
from harness import Arguments, Table, over_processes, quiet, write_json

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 40
SHAPES = {
    "tiny": [(8, 12), (10, 6), (12, 4), (15, 8), (20, 6)],
    "small": [(30, 20), (40, 6), (60, 8), (100, 12), (200, 5)],
}
LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t 3": lambda rng, shape: rng.standard_t(3, shape),
    "t 2": lambda rng, shape: rng.standard_t(2, shape),
    "log-normal": lambda rng, shape: rng.lognormal(size=shape),
    "counts": lambda rng, shape: rng.poisson(2.0, shape).astype(float),
}


def run_problem(shape, law, seed):
    """Error of the fit beside that of the medians, and what the fit says."""
    rng = np.random.RandomState(seed)
    truth = LAWS[law](rng, shape)
    hidden = rng.uniform(size=shape) < 0.3
    data = np.where(hidden, np.nan, truth)
    model = RobustMatrixCompletion(replace="all", keep_empty_features=True)
    with quiet():
        filled = model.fit_transform(data)
        medians = np.broadcast_to(np.nan_to_num(np.nanmedian(data, axis=0)), shape)
    ours, theirs = (np.sqrt(np.mean((guess - truth)[hidden] ** 2)) for guess in (filled, medians))
    return {"ratio": float(ours / theirs), "converged": bool(model.converged_)}


def summarise(results):
    ratios = np.array([r["ratio"] for r in results])
    return {
        "tables": len(results),
        "mean": f"{ratios.mean():.3f}",
        "largest": f"{ratios.max():.3g}",
        "above 1.1": f"{np.mean(ratios > 1.1):.1%}",
        "converged": f"{np.mean([r['converged'] for r in results]):.1%}",
    }


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=12, of="tables of each shape and law")
    options.add_rows(SHAPES)
    args = options.parse_args()
    table, figures = Table({}, sentences=()), {}
    for row in args.row or SHAPES:
        tasks = [(shape, law, seed) for shape in SHAPES[row] for law in LAWS for seed in args.seeds]
        figures[row] = over_processes(run_problem, tasks, args.jobs)
        table.print({"row": row, **summarise(figures[row])})
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
