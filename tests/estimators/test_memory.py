"""Memory: the estimate is that of a real fit, and a fit that would need more than there is fails before it begins."""

import os
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._estimators import memory
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements


def matrix(shape, observed, dtype=np.float64, kind=np.array):
    data = make_corrupted_matrix(shape, 2, observed=observed, noise=0.1, random_state=0).data
    if kind is sparse.csr_matrix:
        rows, cols = np.nonzero(np.isfinite(data))
        return (kind((data[rows, cols].astype(dtype), (rows, cols)), shape=shape),)
    return (data.astype(dtype),)


def measurements(kind, n, shape):
    rng = np.random.RandomState(0)
    coef = rng.standard_normal((shape[0], 2)) @ rng.standard_normal((2, shape[1]))
    if kind == "entries":
        X = np.column_stack([rng.randint(d, size=n) for d in shape])
        y = coef[X[:, 0], X[:, 1]]
    elif kind == "sparse":
        cols = np.sort((rng.randint(coef.size, size=n)[:, None] + np.arange(0, coef.size, 20)) % coef.size, axis=1)
        indptr = np.arange(n + 1) * cols.shape[1]
        X = sparse.csr_matrix((rng.standard_normal(cols.size), cols.ravel(), indptr), shape=(n, coef.size))
        y = X @ coef.ravel()
    else:
        problem = make_measurements(n, shape, 2, ensemble=kind, outliers=0.1, noise=0.1, random_state=0)
        return problem.data, problem.target
    y = y + 0.1 * y.std() * rng.standard_normal(n)
    y[rng.uniform(size=n) < 0.1] += 10 * y.std()
    return X, y


CASES = {
    "dense": (RobustLowRankRecovery(shape=(40, 40)), lambda: measurements("gaussian", 25000, (40, 40))),
    "sparse": (RobustLowRankRecovery(shape=(30, 30)), lambda: measurements("sparse", 40000, (30, 30))),
    "rank_one": (
        RobustLowRankRecovery(measurements="rank_one", shape=(50, 50)),
        lambda: measurements("rank_one", 45000, (50, 50)),
    ),
    "entries": (RobustLowRankRecovery(measurements="entries"), lambda: measurements("entries", 600_000, (600, 500))),
    "full": (RobustPCA(), lambda: matrix((750, 700), 1.0)),
    "full float32": (RobustPCA(), lambda: matrix((900, 800), 1.0, np.float32)),
    "large": (RobustMatrixCompletion(), lambda: matrix((2000, 1800), 1.0)),
    "missing": (RobustMatrixCompletion(), lambda: matrix((1200, 1200), 0.35)),
    "zeros": (RobustPCA(), lambda: matrix((750, 700), 1.0, kind=sparse.csr_matrix)),
    "stored": (RobustMatrixCompletion(), lambda: matrix((2200, 2200), 0.3, kind=sparse.csr_matrix)),
}


SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case != "sparse"]


@pytest.mark.parametrize("case", ["sparse", *SLOW])
def test_the_estimate_is_that_of_a_fit(case, available_memory):
    """Within a factor of 1.5, beyond 50 MB, with noise."""
    estimator, data = clone(CASES[case][0]), CASES[case][1]()
    available_memory(1)
    with pytest.raises(MemoryError) as refused:
        estimator.fit(*data)
    estimate = 1e9 * float(re.search(r"takes about (\S+) GB", str(refused.value))[1])
    available_memory(1e15)
    tracemalloc.start()
    try:
        estimator.fit(*data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak > 50e6
    assert 1 / 1.5 < estimate / peak < 1.5


@pytest.mark.parametrize("case", ["sparse", "full", "missing"])
def test_too_large_a_fit_fails_before_it_begins(case, available_memory):
    estimator, data = clone(CASES[case][0]), CASES[case][1]()
    available_memory(40_000_000)
    with pytest.raises(MemoryError, match=r"takes about 0\.06\d* GB .* only 0\.04 GB are available"):
        estimator.fit(*data)
    assert not hasattr(estimator, "rank_")


def test_measurements_of_unlike_sizes_are_copied(available_memory):
    X, y = measurements("gaussian", 8000, (40, 40))
    X[::2] *= 10.0
    available_memory(100_000_000)
    with pytest.raises(MemoryError, match=r"takes about 0\.12\d* GB .* only 0\.1 GB are available"):
        RobustLowRankRecovery(shape=(40, 40)).fit(X, y)


def test_small_fits_and_unknown_systems_are_let_through(available_memory):
    available_memory(None)
    memory.require(1e15)
    available_memory(0)
    memory.require(10e6)


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_available_memory(tmp_path):
    """The least of what the machine has and of what the control groups leave, of either version."""
    assert memory.available(tmp_path) is None
    write(tmp_path, proc__meminfo="MemTotal: 9000 kB\nMemAvailable: 4000 kB\nSwapFree: 1000 kB\nHugePages_Total: 0\n")
    assert memory.available(tmp_path) == 5000 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    write(tmp_path, proc__self__cgroup="0::/job/worker\n")
    write(group, **{"job__worker__memory.max": "max\n", "job__worker__memory.current": "5\n"})
    assert memory.available(tmp_path) == 5000 * 1024
    write(
        group, **{"job__memory.max": "900\n", "job__memory.current": "700\n", "job__memory.stat": "inactive_file 50\n"}
    )
    assert memory.available(tmp_path) == 250
    write(group, **{"memory.max": "100\n", "memory.current": "300\n"})  # above its limit already
    assert memory.available(tmp_path) == 0
    write(tmp_path, proc__self__cgroup="9:cpu:/x\n4:memory,hugetlb:/job\n0::/\n")
    write(
        group,
        **{
            "memory.max": "max\n",
            "memory__job__memory.limit_in_bytes": "800",
            "memory__job__memory.usage_in_bytes": "100",
        },
    )
    write(group, **{"memory__job__memory.stat": "inactive_file 1\ntotal_inactive_file 20\n"})
    assert memory.available(tmp_path) == 720


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="only Linux tells by files")
def test_this_machine_tells():
    assert 10e6 < memory.available() < 1e14


def test_wide_sparse_problem_never_becomes_dense():
    """Rank-one measurements of a 300 x 300 matrix: d1 * d2 numbers a row would be 144 MB."""
    p = make_measurements(200, shape=(300, 300), rank=1, ensemble="rank_one", outliers=0, random_state=0)
    model = RobustLowRankRecovery(measurements="rank_one", max_iter=5, polish=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(p.data, p.target)  # compiled
        tracemalloc.start()
        model.fit(p.data, p.target)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200 * 300 * 300 * 8 / 5


def test_dense_fit_peaks_below_1_3_times_its_input():
    p = make_measurements(3000, shape=(40, 40), rank=2, outliers=0.1, random_state=0)
    model = RobustLowRankRecovery()
    model.fit(p.data[:400], p.target[:400])  # compiled
    tracemalloc.start()
    model.fit(p.data, p.target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * p.data.nbytes
