"""Phase transition of recovery: share of errors by measurements per unknown, ours against a prototype told the rank.

    python asv_bench/phase_transition.py [--count 5] [--jobs -1]

The prototype is the normalised scaled sub-gradient in plain NumPy from a clipped spectral start (geometric step,
600 iterations), told the rank; ours is RobustLowRankRecovery with default settings, told nothing. Each cell counts
the problems (20 to 40 wide, rank 1 to 3, Gaussian, huge errors) recovered to a relative error of 1e-6.
"""

import argparse
import warnings

import numpy as np
from joblib import Parallel, delayed

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
MULTIPLES = (2, 3, 4, 6, 8, 12)


def prototype(data, y, shape, rank, *, steps=600, decay=0.96, damping=1e-3):
    """Scaled sub-gradient method (Tong, Ma and Chi, 2021) with a geometric step, told the rank."""
    stack = data.reshape(len(y), *shape)
    bound = 3 * np.median(np.abs(y))
    u, s, vt = np.linalg.svd(np.tensordot(np.clip(y, -bound, bound), stack, 1) / len(y), full_matrices=False)
    left, right = u[:, :rank] * np.sqrt(s[:rank]), vt[:rank].T * np.sqrt(s[:rank])
    eye = np.eye(rank)
    for t in range(steps):
        residual = data @ (left @ right.T).ravel() - y
        g = (np.sign(residual) @ data).reshape(shape)
        rr, ll = right.T @ right, left.T @ left
        p_left = np.linalg.solve(rr + damping * np.linalg.norm(rr, 2) * eye, (g @ right).T).T
        p_right = np.linalg.solve(ll + damping * np.linalg.norm(ll, 2) * eye, (g.T @ left).T).T
        size = np.sqrt(max(((g @ right) * p_left).sum() + ((g.T @ left) * p_right).sum(), 1e-300))
        if t == 0:
            eta = np.median(np.abs(residual)) * len(y) / size
        left = left - eta * decay**t / size * p_left
        right = right - eta * decay**t / size * p_right
    return left @ right.T


def cell(multiple, share, seed):
    rng = np.random.RandomState(seed)
    shape = tuple(int(d) for d in rng.randint(20, 41, 2))
    rank = int(rng.randint(1, 4))
    m = multiple * rank * (sum(shape) - rank)
    p = make_measurements(m, shape, rank, outliers=share, condition=float(rng.uniform(1, 5)), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = RobustLowRankRecovery(shape=shape).fit(p.data, p.target).coef_
    theirs = prototype(p.data, p.target, shape, rank)
    return [relative_recovery_error(p.coef, x) < 1e-6 if np.isfinite(x).all() else False for x in (ours, theirs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=-1)
    args = parser.parse_args()
    print("recovered by ours / by the prototype told the rank, of", args.count)
    print("errors  " + "".join(f"m = {k:2d} dof " for k in MULTIPLES))
    for share in SHARES:
        jobs = [(k, share, args.seed + i) for k in MULTIPLES for i in range(args.count)]
        won = np.array(Parallel(n_jobs=args.jobs)(delayed(cell)(*job) for job in jobs)).reshape(len(MULTIPLES), -1, 2)
        print(f"{share:6.0%}  " + "".join(f"{a:5d} /{b:2d}   " for a, b in won.sum(axis=1)), flush=True)


if __name__ == "__main__":
    main()
