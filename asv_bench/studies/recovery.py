"""Study of recovery: how often, how exactly and with what warnings, with default settings and the rank not given.

    python asv_bench/studies/recovery.py                 # all rows, 100 problems each
    python asv_bench/studies/recovery.py --row gauss6    # one row
    python asv_bench/studies/recovery.py --count 20 --seed 5000 --jobs 2

Each line of the output is a row: how many of its problems are recovered (relative error below 1e-6) and the bar, how
many fits are wrong (1e-5) among those that claim to have converged, and wrong ones without a warning; with noise, the
error over that of the oracle. Seeds below 1000 were used while the method was being built, and are refused.
"""

from functools import partial

import numpy as np
from harness import Arguments, Row, common_figures, exact_figures, noise_figures, recorded, run_rows
from problems import draw
from references import measurements_oracle_error

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

FIRST_TEST_SEED = 1000

# At 30 % noise, errors of the data's own size are only 2 to 5 noise scales large: even with weights from their true
# distribution, a fit that starts at the truth ends at up to 1.7 times the oracle's error. They have their own row.
GROSS_KINDS = tuple(kind for kind in OUTLIER_KINDS if kind != "same-size")


sensing = partial(draw, sides=(20, 60), ranks=(1, 4))
entries = partial(draw, sides=(200, 400), ranks=(1, 5), observed=(0.3, 1.0), outliers=(0.1, 0.3))
NOISE = (0.05, 0.3)
ROWS = {
    "gauss6": Row(partial(sensing, multiple=6, outliers=(0, 0.3)), 95, "Gaussian, 6 dof, up to 30 % of every kind"),
    "gauss6p30": Row(partial(sensing, multiple=6, outliers=(0.3, 0.3)), 95, "the same, 30 % in every problem"),
    "gauss10": Row(
        partial(sensing, multiple=10, outliers=(0.4, 0.4), kinds=("huge", "one-sided", "cauchy")),
        95,
        "Gaussian, 10 dof, 40 % huge, one-sided or Cauchy",
    ),
    "gauss16": Row(partial(sensing, multiple=16, outliers=(0.5, 0.5), kinds=("huge",)), 90, "16 dof, 50 % huge"),
    "gauss4": Row(
        partial(sensing, multiple=4, outliers=(0.1, 0.1), condition=(10, 10)),
        95,
        "4 dof, 10 % of every kind, condition 10",
    ),
    "ensembles": Row(
        partial(sensing, multiple=8, outliers=(0.2, 0.2), ensembles=("sign", "rank_one")),
        95,
        "random-sign and rank-one, 8 dof, 20 % of every kind",
    ),
    "entries": Row(entries, 95, "entries, 200 to 400 wide, 30 to 100 % observed, 10 to 30 % of every kind"),
    "noise": Row(
        partial(sensing, multiple=6, outliers=(0.2, 0.2), noise=NOISE, kinds=GROSS_KINDS),
        None,
        "Gaussian, 6 dof, 20 % errors, noise 5 to 30 %: error over that of the oracle",
    ),
    "noise_same": Row(
        partial(sensing, multiple=6, outliers=(0.2, 0.2), noise=NOISE, kinds=("same-size",)),
        None,
        "the same with errors of the data's own size (no bar: see the user guide)",
    ),
    "noise_half": Row(
        partial(sensing, multiple=16, outliers=(0.5, 0.5), noise=NOISE, kinds=("huge",)),
        None,
        "Gaussian, 16 dof, 50 % huge errors, noise 5 to 30 % (no bar)",
    ),
}


def run_problem(row, seed):
    """Fit one problem; returns its options and figures."""
    told = ROWS[row].draw(seed)
    if row == "entries":
        problem = make_corrupted_matrix(**told)
        X, y, truth, kind = np.argwhere(problem.observed), problem.data[problem.observed], problem.clean, "entries"
    else:
        problem = make_measurements(**told)
        X, y, truth = problem.data, problem.target, problem.coef
        kind = "rank_one" if told["ensemble"] == "rank_one" else "matrix"
    model = RobustLowRankRecovery(measurements=kind, shape=truth.shape)
    _, record = recorded(model, lambda: model.fit(X, y))
    result = {
        **told,
        "seed": seed,
        "error": relative_recovery_error(truth, model.matrix_),
        "rank_right": model.rank_ == told["rank"],
        **record,
    }
    if row.startswith("noise"):
        oracle = measurements_oracle_error(X, y, ~problem.outliers, truth, told["rank"])
        result["ratio"] = result["error"] / oracle
        result["scale_ratio"] = model.scale_ / (told["noise"] * problem.clean_target.std())
    return result


def summarise(name, results):
    """Cells of a row."""
    row = ROWS[name]
    figures = exact_figures(row, results) if row.bar else noise_figures(results)
    return figures | common_figures(row, results)


def main():
    options = Arguments(__doc__).add_rows(ROWS).add_seeds(FIRST_TEST_SEED, count=100).add_failures()
    run_rows(options.parse_args(), ROWS, run_problem, summarise)


if __name__ == "__main__":
    main()
