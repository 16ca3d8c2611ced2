"""The methods of the speed report: our estimators, plain yardsticks, NumPy references, and packages from PyPI.

Nobody is told the share of errors, the noise or the optimal loss; the rank is told where the name says so. A method
that ends by a tolerance is run from the loosest on, and the time of the first that reaches the target counts.
Packages: ``pip install pyrpca tensorly qolmat``; one that is not installed is left out, and named.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from references import DenseSigns, MatrixSigns, RankOneSigns, als_sweeps, cauchy_als, matrix_start, scaled_subgradient
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA


@dataclass
class Method:
    """`run(problem, step, tolerance)` returns an estimate (a matrix or a pair of factors) or a generator of such pairs.

    `step` is the step parameter; `speed_profiles.py --tune` compares `steps` on its tuning seeds. A `yardstick` is a
    price to compare with, not asked to reach the error: its `run` returns what is to be timed, everything prepared.
    """

    name: str
    kinds: tuple
    run: Callable
    step: float | None = None
    steps: tuple = ()
    tolerances: tuple = (None,)
    package: str | None = None
    yardstick: bool = False

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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
        return problem.error(model.coef_)


def _pca(problem, step, tolerance):
    return lambda: PCA(problem.rank, svd_solver="randomized", random_state=0).fit(problem.data)


def _sweep(problem, step, tolerance):
    sweeps = als_sweeps(problem.data, problem.rank)
    next(sweeps)  # the sorting of the entries is no part of a sweep
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
    """With the weight of principal component pursuit; the package's default calls nothing an outlier."""
    from tensorly.decomposition import robust_pca

    seen = np.isfinite(problem.data)
    data = np.nan_to_num(problem.data, nan=0.0)
    return robust_pca(
        data,
        mask=None if seen.all() else seen,
        tol=tolerance * float(np.linalg.norm(data)),
        reg_E=2 / np.sqrt(max(problem.shape) * seen.mean()),
        mu_init=1 / float(np.linalg.norm(data, 2)),
        learning_rate=step,
        n_iter_max=1000,
        verbose=0,
    )[0]


def _qolmat(problem, step, tolerance):
    from qolmat.imputations.rpca.rpca_pcp import RpcaPcp

    model = RpcaPcp(tolerance=tolerance, max_iterations=2000, verbose=False)
    return model.decompose(problem.data.copy(), np.isfinite(problem.data))[0]


MATRICES, VECTORS = ("full", "completion"), ("sensing", "rank_one")
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
YARDSTICKS = [
    Method("PCA, randomised, number told", ("full",), _pca, yardstick=True),
    Method("one sweep of plain ALS, rank told", ("completion",), _sweep, yardstick=True),
    Method("one read of A, A.sum()", ("sensing",), _read, yardstick=True),
]
RIVALS = [
    Method("Cauchy IRLS-ALS, rank told", MATRICES, _cauchy, 0.8, (0.7, 0.8, 0.9, 0.95)),
    Method("scaled sub-gradient, rank told", MATRICES + VECTORS, _scaled, 0.93, (0.85, 0.9, 0.93, 0.95, 0.97)),
    Method("pyrpca", ("full",), _pyrpca, 1.2, (1.1, 1.2, 1.5), TOLERANCES, "pyrpca"),
    Method("tensorly robust_pca", MATRICES, _tensorly, 1.1, (1.05, 1.1, 1.2), TOLERANCES, "tensorly"),
    Method("qolmat RpcaPcp", MATRICES, _qolmat, None, (), TOLERANCES, "qolmat"),
]


def missing_packages():
    """Names of the packages that are not installed."""
    return sorted({method.package for method in RIVALS if not method.installed})


def run_once(method, problem, tolerance, target, limit=np.inf, clock=time.perf_counter):
    """Seconds until the target, or to the end; and the error there.

    Of a generator the time of its iterations counts, not that of looking at the error. It is stopped after `limit`.
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
    """(seconds, error, tolerance) of the loosest tolerance that reaches the target; where none does, of the closest.

    Tighter ones are not tried once two have brought nothing. `tick` is called before each run.
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
