"""Measurements that each see one row of the matrix, or one column: regressions of several tasks on the same."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_robustlr import RobustLowRankRecovery

N_TASKS, N_FEATURES, RANK = 30, 20, 2


def tasks(seed, n=20, share=0.2, noise=0.0):
    """Features and values of tasks, with huge errors, and the coefficients."""
    rng = np.random.RandomState(seed)
    coef = rng.standard_normal((N_TASKS, RANK)) @ rng.standard_normal((RANK, N_FEATURES))
    features = rng.standard_normal((N_TASKS * n, N_FEATURES))
    task = np.repeat(np.arange(N_TASKS), n)
    y = np.einsum("ij,ij->i", features, coef[task])
    size = y.std()
    y += noise * size * rng.standard_normal(len(y))
    wrong = rng.uniform(size=len(y)) < share
    y[wrong] += 100.0 * size * rng.standard_normal(wrong.sum())
    return features, task, y, coef


def as_rows(features, task, kind):
    one_hot = np.eye(N_TASKS)[task]
    if kind == "rank_one":
        return np.hstack([one_hot, features])
    if kind == "columns":
        return np.einsum("ij,ik->ijk", features, one_hot).reshape(len(task), -1)
    whole = np.einsum("ij,ik->ijk", one_hot, features).reshape(len(task), -1)
    return sparse.csr_matrix(whole) if kind == "sparse" else whole


@pytest.mark.parametrize(
    ("kind", "noise"),
    [("rows", 0.0), ("rank_one", 0.0), *((kind, 0.05) for kind in ("rows", "columns", "sparse", "rank_one"))],
)
def test_no_task_is_lost(kind, noise):
    """Half of the fits met none, or a few, of the values of a task, and took all of it for errors."""
    for seed in range(2):
        features, task, y, coef = tasks(seed, noise=noise)
        shape = (N_FEATURES, N_TASKS) if kind == "columns" else (N_TASKS, N_FEATURES)
        model = RobustLowRankRecovery(shape=shape, measurements="rank_one" if kind == "rank_one" else "matrix")
        model.fit(as_rows(features, task, kind), y)
        found = model.matrix_.T if kind == "columns" else model.matrix_
        error = np.linalg.norm(found - coef, axis=1) / np.sqrt(np.mean(np.sum(coef**2, axis=1)))
        assert model.stop_reason_ == ("noisy" if noise else "exact")
        assert error.max() < (0.3 if noise else 1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.*not identifiable")
def test_weights_count_in_tasks():
    """Two instruments: tasks that are regressed again without the weights are a fifth further from the truth."""
    rng = np.random.RandomState(0)
    coef = rng.standard_normal((N_TASKS, RANK)) @ rng.standard_normal((RANK, N_FEATURES))
    features, task = rng.standard_normal((N_TASKS * 15, N_FEATURES)), np.repeat(np.arange(N_TASKS), 15)
    y = np.einsum("ij,ij->i", features, coef[task])
    sd = np.where(rng.uniform(size=len(y)) < 0.4, 0.02, 0.4) * y.std()
    y += sd * rng.standard_normal(len(y))
    wrong = rng.uniform(size=len(y)) < 0.2
    y[wrong] += 50.0 * rng.standard_normal(wrong.sum())
    model = RobustLowRankRecovery(shape=(N_TASKS, N_FEATURES))
    model.fit(as_rows(features, task, "rows"), y, sample_weight=sd**-2.0)
    error = np.linalg.norm(model.matrix_ - coef, axis=1) / np.sqrt(np.mean(np.sum(coef**2, axis=1)))
    assert np.median(error) < 0.105
