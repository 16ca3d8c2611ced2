"""One table of peers: plain yardsticks, NumPy references, packages from PyPI and imputers; and our estimators.

None is told the share of errors, the noise or the optimal loss; the rank is told where the name says so. A method that
ends by a tolerance is run from the loosest tolerance on, and the time at the first that reaches the target counts.
Packages: ``pip install pyrpca tensorly qolmat``; one that is not installed is left out, and named.
"""

import importlib.util
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from harness import quiet
from references import DenseSigns, MatrixSigns, RankOneSigns, als_sweeps, cauchy_als, matrix_start, scaled_subgradient
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA


@dataclass
class Peer:
    """`run(problem, step, tolerance)` returns an estimate: a matrix, or a generator of pairs of factors.

    `step` is the step parameter; `speed_profiles.py --tune` compares `steps` on its tuning seeds. A `yardstick` is
    timed, but need not reach the target error: its `run` prepares everything and returns the function to be timed.
    `cold` is the code of a small fit of the package in a process of its own.
    """

    name: str
    kinds: tuple
    run: Callable
    step: float | None = None
    steps: tuple = ()
    tolerances: tuple = (None,)
    package: str | None = None
    yardstick: bool = False
    cold: str = ""

    @property
    def installed(self):
        return self.package is None or importlib.util.find_spec(self.package) is not None


class Ours:
    """Our estimator of a kind of problem, with default settings and two threads; nothing told."""

    def __init__(self, kind, n_jobs=2):
        self.kind = kind
        if kind == "full":
            self.model = RobustPCA(n_jobs=n_jobs)
        elif kind == "completion":
            self.model = RobustMatrixCompletion(n_jobs=n_jobs)
        else:
            measurements = "rank_one" if kind == "rank_one" else "matrix"
            self.model = RobustLowRankRecovery(measurements=measurements, n_jobs=n_jobs)

    def fit(self, problem, clock=time.perf_counter):
        """Seconds of the fit."""
        if problem.y is not None:
            self.model.set_params(shape=problem.shape)
        with quiet():
            start = clock()
            self.model.fit(problem.data, problem.y)
            return clock() - start

    @property
    def rank(self):
        return int(self.model.rank_)

    def error(self, problem):
        model = self.model
        if self.kind == "full":
            rows = problem.data[:: -(-len(problem.data) // 1000)]
            truth = problem.truth[:: -(-len(problem.data) // 1000)]
            estimate = model.inverse_transform(model.transform(rows))
            return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))
        if self.kind == "completion":
            return problem.error(model.left_ * model.singular_values_, model.right_)
        return problem.error(model.matrix_)


def _pca(problem, step, tolerance):
    return lambda: PCA(problem.rank, svd_solver="randomized", random_state=0).fit(problem.data)


def _sweep(problem, step, tolerance):
    sweeps = als_sweeps(problem.data, problem.rank)
    next(sweeps)  # sorting the entries does not count
    return lambda: next(sweeps)


def _read(problem, step, tolerance):
    return problem.data.sum


def _cauchy(problem, step, tolerance):
    return cauchy_als(problem.data, problem.rank, decay=step)


def _scaled(problem, step, tolerance):
    if problem.y is None:
        start = matrix_start(problem.data, problem.rank)
        return scaled_subgradient(MatrixSigns(problem.data), *start, decay=step)
    signs = (RankOneSigns if problem.kind == "rank_one" else DenseSigns)(problem.data, problem.y, problem.shape)
    return scaled_subgradient(signs, *signs.start(problem.rank), decay=step)


def _pyrpca(problem, step, tolerance):
    from pyrpca import rpca_pcp_ialm

    return rpca_pcp_ialm(problem.data, 1 / np.sqrt(max(problem.shape)), rho=step, tol=tolerance, verbose=False)[0]


def _tensorly(problem, step, tolerance):
    """With the weight of principal component pursuit; at the package's default nothing is an outlier."""
    from tensorly.decomposition import robust_pca

    observed = np.isfinite(problem.data)
    data = np.nan_to_num(problem.data, nan=0.0)
    return robust_pca(
        data,
        mask=None if observed.all() else observed,
        tol=tolerance * float(np.linalg.norm(data)),
        reg_E=2 / np.sqrt(max(problem.shape) * observed.mean()),
        mu_init=1 / float(np.linalg.norm(data, 2)),
        learning_rate=step,
        n_iter_max=1000,
        verbose=0,
    )[0]


def _qolmat(problem, step, tolerance):
    from qolmat.imputations.rpca.rpca_pcp import RpcaPcp

    model = RpcaPcp(tolerance=tolerance, max_iterations=2000, verbose=False)
    return model.decompose(problem.data.copy(), np.isfinite(problem.data))[0]


MATRICES, VECTORS, IMPUTATION = ("full", "completion"), ("sensing", "rank_one"), ("imputation",)
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
PEERS = [
    Peer("PCA, randomised, number told", ("full",), _pca, yardstick=True),
    Peer("one sweep of plain ALS, rank told", ("completion",), _sweep, yardstick=True),
    Peer("one read of A, A.sum()", ("sensing",), _read, yardstick=True),
    Peer("Cauchy IRLS-ALS, rank told", MATRICES, _cauchy, 0.8, (0.7, 0.8, 0.9, 0.95)),
    Peer("scaled sub-gradient, rank told", MATRICES + VECTORS, _scaled, 0.93, (0.85, 0.9, 0.93, 0.95, 0.97)),
    Peer(
        "pyrpca",
        ("full",),
        _pyrpca,
        1.2,
        (1.1, 1.2, 1.5),
        TOLERANCES,
        "pyrpca",
        cold="from pyrpca import rpca_pcp_ialm\nrpca_pcp_ialm(X, 60**-0.5, verbose=False)",
    ),
    Peer(
        "tensorly robust_pca",
        MATRICES,
        _tensorly,
        1.1,
        (1.05, 1.1, 1.2),
        TOLERANCES,
        "tensorly",
        cold=("from tensorly.decomposition import robust_pca\nrobust_pca(X, reg_E=0.26, n_iter_max=200, verbose=0)"),
    ),
    Peer(
        "qolmat RpcaPcp",
        MATRICES,
        _qolmat,
        tolerances=TOLERANCES,
        package="qolmat",
        cold=(
            "from qolmat.imputations.rpca.rpca_pcp import RpcaPcp\n"
            "RpcaPcp(verbose=False).decompose(X, np.ones(X.shape, dtype=bool))"
        ),
    ),
    Peer("median", IMPUTATION, lambda *_: SimpleImputer(strategy="median")),
    Peer("knn", IMPUTATION, lambda *_: KNNImputer()),
    Peer("iterative", IMPUTATION, lambda *_: IterativeImputer(random_state=0)),
]
YARDSTICKS = [peer for peer in PEERS if peer.yardstick]
RIVALS = [peer for peer in PEERS if not peer.yardstick and peer.kinds != IMPUTATION]
IMPUTERS = {peer.name: peer.run() for peer in PEERS if peer.kinds == IMPUTATION}


def name_missing_packages():
    """Print which packages are not installed."""
    missing = sorted({peer.package for peer in RIVALS if not peer.installed})
    if missing:
        print(f"not installed, left out: {', '.join(missing)}")


def run_once(method, problem, tolerance, target, limit=np.inf, clock=time.perf_counter):
    """Seconds until the target, or to the end; and the error there.

    Of a generator only the iterations are timed, not the computing of the error. It is stopped after `limit` seconds.
    """
    start = clock()
    estimate = method.run(problem, method.step, tolerance)
    seconds = clock() - start
    if method.yardstick:
        start = clock()
        estimate()
        return clock() - start, np.nan
    if not isinstance(estimate, Generator):
        return seconds, problem.error(estimate)
    error = np.inf
    while seconds < limit and not error <= target:
        start = clock()
        factors = next(estimate, None)
        seconds += clock() - start
        if factors is None:
            break
        error = problem.error(*factors)
    return seconds, error


def run_to_target(method, problem, target, limit=np.inf, tick=lambda: None, clock=time.perf_counter):
    """(seconds, error, tolerance) at the loosest tolerance that reaches the target; where none does, at the best.

    Tighter ones are not tried after two that did not reduce the error. `tick` is called before each run.
    """
    best, idle = None, 0
    for tolerance in method.tolerances:
        tick()
        seconds, error = run_once(method, problem, tolerance, target, limit, clock)
        idle = idle + 1 if best and not error < 0.9 * best[1] else 0
        if best is None or error < best[1]:
            best = seconds, error, tolerance
        if error <= target or idle == 2:
            break
    return best
