"""Study of completion and robust PCA: RobustMatrixCompletion with default settings, the rank not given.

    python asv_bench/studies/completion.py                  # all rows, 100 problems each
    python asv_bench/studies/completion.py --row full       # one row
    python asv_bench/studies/completion.py --peers          # the instances that peers were measured on

A row reports how many problems are recovered (relative error below 1e-6), how many fits that claim to have converged
are wrong (1e-5), and the lowest precision and recall of the outlier flags; with noise, the error over that of
alternating least squares told the rank and the corrupted entries. Seeds below 10000 were used while the method was
being built, and are refused.
"""

import numpy as np
from harness import (
    Arguments,
    Row,
    Table,
    common_figures,
    exact_figures,
    failed,
    noise_figures,
    over_processes,
    recorded,
    run_rows,
    write_json,
)
from problems import draw
from references import matrix_oracle_error

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error

FIRST_TEST_SEED = 10000


def _full(seed):
    most = 0.3 if OUTLIER_KINDS[seed % len(OUTLIER_KINDS)] in ("sign-flip", "one-sided") else 0.5
    return draw(seed, sides=(300, 500), ranks=(1, 10), outliers=(0.1, most))


def _observed(seed, *, condition=10, **options):
    """15 to 60 % observed, at least 6 entries per degree of freedom."""
    rng = np.random.RandomState(seed)
    shape = tuple(int(d) for d in rng.randint(200, 501, 2))
    observed = float(rng.uniform(0.15, 0.6))
    largest = 1
    while largest < 10 and 6 * (largest + 1) * (sum(shape) - largest - 1) <= observed * shape[0] * shape[1]:
        largest += 1
    return {
        "shape": shape,
        "rank": int(rng.randint(1, largest + 1)),
        "observed": observed,
        "outliers": float(rng.uniform(0.0, 0.3)),
        "outlier_kind": OUTLIER_KINDS[seed % len(OUTLIER_KINDS)],
        "condition": float(rng.uniform(1, condition)),
        "random_state": seed,
        **options,
    }


def _uneven(seed):
    kinds = ({"sampling": "uneven"}, {"leverage": "heavy"}, {"mean": 3.0}, {"mean": -1.0, "sampling": "uneven"})
    return _observed(seed, condition=5, **kinds[seed // 6 % len(kinds)])


# Errors of the data's own size cannot all be told from noise: the flipped sign of a small value changes it little.
SMALL_KINDS = ("same-size", "sign-flip")


def _noise(seed, *, kinds=tuple(kind for kind in OUTLIER_KINDS if kind not in SMALL_KINDS), outliers=(0.1, 0.3)):
    rng = np.random.RandomState(seed)
    problem = _observed(seed, condition=4)
    return {
        **problem,
        "observed": float(rng.uniform(0.4, 1.0)),
        "outliers": float(rng.uniform(*outliers)),
        "outlier_kind": kinds[seed % len(kinds)],
        "noise": float(rng.uniform(0.05, 0.3)),
    }


ROWS = {
    "full": Row(_full, 95, "full, 300 to 500 wide, rank 1 to 10, 10 to 50 % of every kind (30 % flips, one-sided)"),
    "seen": Row(_observed, 95, "15 to 60 % observed, at least 6 per dof, up to 30 % errors, condition to 10"),
    "uneven": Row(_uneven, 90, "uneven sampling, heavy leverage, a mean"),
    "noise": Row(_noise, None, "noise 5 to 30 %, 10 to 30 % gross errors, 40 to 100 % observed"),
    "noise_small": Row(
        lambda s: _noise(s, kinds=SMALL_KINDS),
        None,
        "the same with flipped signs and errors of the data's own size",
    ),
    "noise_half": Row(
        lambda s: _noise(s, kinds=("huge",), outliers=(0.5, 0.5)), None, "the same with 50 % huge errors"
    ),
}

# Instances of the comparison with peers: share and size of errors, one-sided, noise, condition, share observed.
PEERS = {
    "10% x10": (0.1, 10, False, 0, 1, 1.0),
    "30% x10": (0.3, 10, False, 0, 1, 1.0),
    "30% x1": (0.3, 1, False, 0, 1, 1.0),
    "10% x100": (0.1, 100, False, 0, 1, 1.0),
    "20% +only": (0.2, 10, True, 0, 1, 1.0),
    "20% x10, noise": (0.2, 10, False, 0.05, 1, 1.0),
    "20% x10, cond. 10": (0.2, 10, False, 0, 10, 1.0),
    "half observed": (0.0, 10, False, 0, 1, 0.5),
    "half observed, 10% x10": (0.1, 10, False, 0, 1, 0.5),
    "half observed, 20% x10": (0.2, 10, False, 0, 1, 0.5),
    "half observed, 30% x10": (0.3, 10, False, 0, 1, 0.5),
    "30% observed, 10% x10": (0.1, 10, False, 0, 1, 0.3),
    "30% observed, 20% x10": (0.2, 10, False, 0, 1, 0.3),
    "half observed, 10% x1": (0.1, 1, False, 0, 1, 0.5),
    "half observed, 10% x100": (0.1, 100, False, 0, 1, 0.5),
    "half observed, 10% +only": (0.1, 10, True, 0, 1, 0.5),
    "half observed, 10% x10, noise": (0.1, 10, False, 0.05, 1, 0.5),
}


def make_peers_instance(name, seed, *, size=200, rank=5):
    """Matrix, its corrupted and partly hidden copy, and the mask of errors."""
    share, magnitude, one_sided, noise, condition, observed = PEERS[name]
    rng = np.random.RandomState(seed)
    u, v = (np.linalg.qr(rng.standard_normal((size, rank)))[0] for _ in range(2))
    clean = (u * np.linspace(condition, 1, rank)) @ v.T
    clean /= clean.std()
    data = clean + noise * rng.standard_normal(clean.shape)
    bad = rng.uniform(size=clean.shape) < share
    error = magnitude * rng.uniform(0.5, 1.5, clean.shape)
    if not one_sided:
        error *= rng.choice([-1, 1], clean.shape)
    data[bad] += error[bad]
    data[rng.uniform(size=clean.shape) >= observed] = np.nan
    return clean, data, bad & np.isfinite(data)


def fit(data, clean, bad, rank=None):
    """Fit one problem; returns a dict of figures."""
    model = RobustMatrixCompletion(rank, replace="all", keep_empty_features=True)
    estimate, record = recorded(model, lambda: model.fit(data).transform(data))
    precision, recall = outlier_precision_recall(bad, model.outliers_)
    return {
        "error": relative_recovery_error(clean, estimate),
        "rank_found": model.rank_,
        "precision": precision,
        "recall": recall,
        "scale": model.scale_,
        **record,
    }


def run_problem(row, seed):
    """Draw and fit one problem of a row; returns its options and figures."""
    told = ROWS[row].draw(seed)
    problem = make_corrupted_matrix(**told)
    result = {**told, "seed": seed, **fit(problem.data, problem.clean, problem.outliers)}
    result["rank_right"] = result["rank_found"] == told["rank"] + (told.get("mean", 0.0) != 0)
    if row.startswith("noise"):
        inliers = problem.observed & ~problem.outliers
        result["ratio"] = result["error"] / matrix_oracle_error(problem.clean, problem.data, inliers, told["rank"])
        result["scale_ratio"] = result["scale"] / told["noise"]
    return result


def summarise(name, results):
    """Cells of a row."""
    row = ROWS[name]
    if row.bar is None:
        figures = noise_figures(results)
    else:
        good = [r for r in results if not failed(r)]
        lowest = {f"lowest {key}": f"{min((r[key] for r in good), default=0):.4f}" for key in ("precision", "recall")}
        figures = exact_figures(row, results) | lowest
    return figures | common_figures(row, results)


def run_peer(name, rank, seed):
    """One instance of the comparison with peers, told the bound `rank`."""
    clean, data, bad = make_peers_instance(name, seed)
    result = fit(data, clean, bad, rank)
    noise = PEERS[name][3]
    result["oracle"] = matrix_oracle_error(clean, data, np.isfinite(data) & ~bad, 5) if noise else 0.0
    return result


def compare_with_peers(args):
    """Print the largest error of the seeds for each instance."""
    ranks = {"rank not given": None, "bound 10": 10, "bound 20": 20}
    print("largest error of the seeds; the true rank is 5")
    table, figures = Table(PEERS), {}
    for name in PEERS:
        jobs = [(name, rank, seed) for rank in ranks.values() for seed in args.seeds[:3]]
        results = figures[name] = over_processes(run_peer, jobs, args.jobs)
        worst = np.array([r["error"] for r in results]).reshape(3, -1).max(axis=1)
        oracle = max(r["oracle"] for r in results)
        errors = {told: f"{error:.1e}" for told, error in zip(ranks, worst, strict=True)}
        table.print({"instance": name, **errors, "oracle": f"{oracle:.2e}" if oracle else ""})
    write_json(args.json, figures)


def main():
    options = Arguments(__doc__).add_rows(ROWS).add_failures()
    options.add_seeds(FIRST_TEST_SEED, count=100, of="problems a row (with --peers at most 3)")
    options.add_argument("--peers", action="store_true", help="the instances of the comparison with peers instead")
    args = options.parse_args()
    if args.peers:
        compare_with_peers(args)
    else:
        run_rows(args, ROWS, run_problem, summarise)


if __name__ == "__main__":
    main()
