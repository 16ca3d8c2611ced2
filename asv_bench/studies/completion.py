"""Study of completion and robust PCA: RobustMatrixCompletion with default settings, the rank not given.

    python asv_bench/completion_study.py                  # all rows, 100 problems each
    python asv_bench/completion_study.py --row full       # one row
    python asv_bench/completion_study.py --peers          # the instances that peers were measured on

Seeds below 10000 were used while the method was being built; the study starts there and refuses lower ones.
A row reports how many problems are recovered to a relative error of 1e-6, how many fits that claim to have
converged are wrong (1e-5), and the lowest precision and recall of the outlier flags; with noise, the error over that of
alternating least squares told the rank and the bad entries.
"""

import argparse
import os
import time
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error

FIRST_TEST_SEED = 10000


def _full(seed):
    rng = np.random.RandomState(seed)
    kind = OUTLIER_KINDS[seed % len(OUTLIER_KINDS)]
    most = 0.3 if kind in ("sign-flip", "one-sided") else 0.5
    return {
        "shape": tuple(int(d) for d in rng.randint(300, 501, 2)),
        "rank": int(rng.randint(1, 11)),
        "outliers": float(rng.uniform(0.1, most)),
        "outlier_kind": kind,
        "condition": float(rng.uniform(1, 5)),
        "random_state": seed,
    }


def _seen(seed, *, condition=10, **options):
    """15 to 60 % seen, at least 6 observations an unknown."""
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
    return _seen(seed, condition=5, **kinds[seed // 6 % len(kinds)])


# Errors of the data's own size cannot all be told from noise: a flipped sign of a value below two noise scales.
SMALL_KINDS = ("same-size", "sign-flip")


def _noise(seed, *, kinds=tuple(kind for kind in OUTLIER_KINDS if kind not in SMALL_KINDS), outliers=(0.1, 0.3)):
    rng = np.random.RandomState(seed)
    problem = _seen(seed, condition=4)
    return {
        **problem,
        "observed": float(rng.uniform(0.4, 1.0)),
        "outliers": float(rng.uniform(*outliers)),
        "outlier_kind": kinds[seed % len(kinds)],
        "noise": float(rng.uniform(0.05, 0.3)),
    }


# name: (problem of a seed, number that must be recovered of 100, what it is)
ROWS = {
    "full": (_full, 95, "full, 300 to 500 wide, rank 1 to 10, 10 to 50 % of every kind (30 % flips, one-sided)"),
    "seen": (_seen, 95, "15 to 60 % seen, at least 6 an unknown, up to 30 % errors, condition to 10"),
    "uneven": (_uneven, 90, "uneven sampling, heavy leverage, a mean"),
    "noise": (_noise, None, "noise 5 to 30 %, 10 to 30 % gross errors, 40 to 100 % seen"),
    "noise_small": (
        lambda s: _noise(s, kinds=SMALL_KINDS),
        None,
        "the same with flipped signs and errors of the data's own size",
    ),
    "noise_half": (lambda s: _noise(s, kinds=("huge",), outliers=(0.5, 0.5)), None, "the same with 50 % huge errors"),
}

# Instances of the comparison with peers: share and size of errors, one-sided, noise, condition, share seen.
PEERS = {
    "10% x10": (0.1, 10, False, 0, 1, 1.0),
    "30% x10": (0.3, 10, False, 0, 1, 1.0),
    "30% x1": (0.3, 1, False, 0, 1, 1.0),
    "10% x100": (0.1, 100, False, 0, 1, 1.0),
    "20% +only": (0.2, 10, True, 0, 1, 1.0),
    "20% x10, noise": (0.2, 10, False, 0.05, 1, 1.0),
    "20% x10, cond. 10": (0.2, 10, False, 0, 10, 1.0),
    "half seen": (0.0, 10, False, 0, 1, 0.5),
    "half seen, 10% x10": (0.1, 10, False, 0, 1, 0.5),
    "half seen, 20% x10": (0.2, 10, False, 0, 1, 0.5),
    "half seen, 30% x10": (0.3, 10, False, 0, 1, 0.5),
    "30% seen, 10% x10": (0.1, 10, False, 0, 1, 0.3),
    "30% seen, 20% x10": (0.2, 10, False, 0, 1, 0.3),
    "half seen, 10% x1": (0.1, 1, False, 0, 1, 0.5),
    "half seen, 10% x100": (0.1, 100, False, 0, 1, 0.5),
    "half seen, 10% +only": (0.1, 10, True, 0, 1, 0.5),
    "half seen, 10% x10, noise": (0.1, 10, False, 0.05, 1, 0.5),
}


def make_peers_instance(name, seed, *, size=200, rank=5):
    """Matrix, its corrupted and partly hidden copy, and the mask of errors."""
    share, magnitude, one_sided, noise, condition, seen = PEERS[name]
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
    data[rng.uniform(size=clean.shape) >= seen] = np.nan
    return clean, data, bad & np.isfinite(data)


def oracle_error(clean, data, sound, rank, *, sweeps=60):
    """Error of alternating least squares told the rank, the sound entries and a start at the truth."""
    vt = np.linalg.svd(clean, full_matrices=False)[2]
    right = vt[:rank].T
    filled = np.where(sound, np.nan_to_num(data), 0.0)
    weight = sound.astype(float)

    def regress(basis, values, seen):
        products = np.einsum("jk,jl->jkl", basis, basis).reshape(len(basis), -1)
        gram = (seen @ products).reshape(-1, rank, rank)
        return np.linalg.solve(gram, (values @ basis)[:, :, None])[:, :, 0]

    for _ in range(sweeps):
        left = regress(np.linalg.qr(right)[0], filled, weight)
        left = np.linalg.qr(left)[0]
        right = regress(left, filled.T, weight.T)
    return relative_recovery_error(clean, left @ right.T)


def fit(data, clean, bad, rank=None):
    """Fit one problem; returns a dict of figures."""
    model = RobustMatrixCompletion(rank, replace="all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        estimate = model.fit(data).transform(data)
        seconds = time.perf_counter() - start
    precision, recall = outlier_precision_recall(bad, model.outliers_)
    return {
        "error": relative_recovery_error(clean, estimate),
        "rank_found": model.rank_,
        "converged": bool(model.converged_),
        "warned": any(issubclass(w.category, ConvergenceWarning) for w in caught),
        "precision": precision,
        "recall": recall,
        "scale": model.scale_,
        "seconds": seconds,
    }


def run_problem(row, seed):
    """Draw and fit one problem of a row."""
    options = ROWS[row][0](seed)
    problem = make_corrupted_matrix(**options)
    result = {"seed": seed, **fit(problem.data, problem.clean, problem.outliers)}
    result["rank_right"] = result["rank_found"] == options["rank"] + (options.get("mean", 0.0) != 0)
    if row.startswith("noise"):
        sound = problem.observed & ~problem.outliers
        result["ratio"] = result["error"] / oracle_error(problem.clean, problem.data, sound, options["rank"])
        result["scale_ratio"] = result["scale"] / options["noise"]
    return result


def summarise(row, results):
    """One line of the report."""
    _, bar, text = ROWS[row]
    n = len(results)
    claimed = [r for r in results if r["converged"]]
    seconds = np.median([r["seconds"] for r in results])
    right = f"rank right {sum(r['rank_right'] for r in results)}/{n}, {seconds:.2f} s   [{text}]"
    if row.startswith("noise"):
        ratios = np.array([r["ratio"] for r in results])
        scales = [r["scale_ratio"] for r in results]
        return (
            f"{row:7s} ratio median {np.median(ratios):.3f} (bar 1.15), worst {ratios.max():.2f} (bar 1.5), "
            f"scale ratio {min(scales):.2f} to {max(scales):.2f}, converged {len(claimed)}/{n}, {right}"
        )
    good = [r for r in results if r["error"] < 1e-6]
    wrong = sum(r["error"] >= 1e-5 for r in claimed)
    silent = sum(r["error"] >= 1e-5 and not r["warned"] for r in results)
    doubted = sum(r["warned"] for r in good)
    flags = "".join(f", {name} from {min((r[name] for r in good), default=0):.4f}" for name in ("precision", "recall"))
    return (
        f"{row:7s} recovered {len(good)}/{n} (bar {bar} of 100), converged and wrong {wrong}/{len(claimed)}, "
        f"wrong without a warning {silent}, right but warned {doubted}{flags}, {right}"
    )


def run_peer(name, rank, seed):
    """One instance of the comparison with peers, told the bound `rank`."""
    clean, data, bad = make_peers_instance(name, seed)
    result = fit(data, clean, bad, rank)
    noise = PEERS[name][3]
    result["oracle"] = oracle_error(clean, data, np.isfinite(data) & ~bad, 5) if noise else 0.0
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", choices=sorted(ROWS), help="row to run (default: all)")
    parser.add_argument("--peers", action="store_true", help="the instances of the comparison with peers instead")
    parser.add_argument("--count", type=int, default=100, help="problems a row (peers: 3 at most)")
    parser.add_argument("--seed", type=int, default=FIRST_TEST_SEED, help="first seed")
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    parser.add_argument("--failures", action="store_true", help="list the problems that were not recovered")
    args = parser.parse_args()
    if args.seed < FIRST_TEST_SEED:
        parser.error(f"seeds below {FIRST_TEST_SEED} were used to build the method: results on them are not reported")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    seeds = range(args.seed, args.seed + args.count)
    if args.peers:
        print("largest error of the seeds: rank not given / bound 10 / bound 20 (true rank 5)")
        for name in PEERS:
            jobs = [(name, rank, seed) for rank in (None, 10, 20) for seed in seeds[:3]]
            results = Parallel(n_jobs=args.jobs)(delayed(run_peer)(*job) for job in jobs)
            worst = np.array([r["error"] for r in results]).reshape(3, -1).max(axis=1)
            oracle = max(r["oracle"] for r in results)
            told = f"   oracle {oracle:.2e}" if oracle else ""
            print(f"{name:28s}" + " / ".join(f"{e:.1e}" for e in worst) + told, flush=True)
        return
    for row in args.row or ROWS:
        results = Parallel(n_jobs=args.jobs)(delayed(run_problem)(row, seed) for seed in seeds)
        print(summarise(row, results), flush=True)
        if args.failures:
            for r in results:
                if r.get("ratio", 0) > 1.5 or ("ratio" not in r and r["error"] >= 1e-6):
                    print("   ", {**ROWS[row][0](r["seed"]), **r}, flush=True)


if __name__ == "__main__":
    main()
