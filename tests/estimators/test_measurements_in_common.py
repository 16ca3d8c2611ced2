"""Measurements that have much in common: sums over blocks, and those that leave the matrix open."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


@pytest.mark.parametrize("seed", [0, 3])
def test_sparse_sums_over_blocks(seed):
    """Of ten such problems eight were wrong, and "exact" but for a few rows: their blocks have much in common."""
    (d1, d2), rng = (30, 24), np.random.default_rng(seed)
    clean = rng.normal(size=(d1, 2)) @ rng.normal(size=(2, d2))
    m = 6 * 2 * (d1 + d2 - 2)
    blocks = np.zeros((m, d1, d2))
    for block in blocks:
        h, w = rng.integers(1, 6, size=2)
        i, j = rng.integers(d1 - h + 1), rng.integers(d2 - w + 1)
        block[i : i + h, j : j + w] = 1.0
    blocks = blocks.reshape(m, -1)
    y = blocks @ clean.ravel()
    wrong = rng.permutation(m)[: m // 10]
    y[wrong] += 100 * y.std() * rng.normal(size=len(wrong))
    model = RobustLowRankRecovery(shape=(d1, d2)).fit(sparse.csr_array(blocks), y)
    assert relative_recovery_error(clean, model.matrix_) < 1e-8
    assert model.stop_reason_ == "exact"


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_sums_along_antidiagonals_leave_a_matrix_open(noise):
    """A fit of rank one has as many degrees of freedom as there are of these: it was "noisy", its error a half."""
    d, rng = 20, np.random.default_rng(0)
    index = np.add.outer(np.arange(d), np.arange(d))
    hankel = 0.9**index + (-0.6) ** index
    drawn = rng.normal(size=(300, 2 * d - 1)) / np.bincount(index.ravel())
    X = drawn[:, index].reshape(300, -1)
    y = X @ hankel.ravel()
    y += noise * y.std() * rng.normal(size=300)
    with pytest.warns(ConvergenceWarning, match="as large as the matrix"):
        model = RobustLowRankRecovery(shape=(d, d)).fit(X, y)
    assert model.stop_reason_ == "undetermined"
    assert np.median(model.predict(np.eye(d * d), return_std=True)[1]) > 0.5 * np.sqrt(np.mean(hankel**2))


@pytest.mark.parametrize("seed", [0, 1])
def test_squares_of_projections_without_the_symmetry(seed):
    """They say nothing of the antisymmetric part: that was "noisy", with standard errors of two to five entries."""
    rng = np.random.default_rng(seed)
    x, a = rng.normal(size=15), rng.normal(size=(120, 15))
    y = (a @ x) ** 2
    y += 0.1 * y.std() * rng.standard_t(3, size=120)
    X = np.hstack([a, a])
    with pytest.warns(ConvergenceWarning, match="as large as the matrix"):
        RobustLowRankRecovery(measurements="rank_one").fit(X, y)
    assert RobustLowRankRecovery(measurements="rank_one", symmetric=True).fit(X, y).converged_


@pytest.mark.filterwarnings("ignore:RobustLowRankRecovery did not converge")
def test_a_noisy_fit_that_moves_with_the_measurements_is_not_trusted():
    """One that left three quarters of the size of the data was, its error 0.274. The search for another goes on."""
    problem = make_measurements(
        n_measurements=2085,
        shape=(36, 24),
        rank=3,
        ensemble="sign",
        outliers=0.5071855913561403,
        outlier_kind="same-size",
        condition=9.605080054723869,
        noise=0.11291821818119283,
        random_state=230138,
    )
    model = RobustLowRankRecovery(shape=(36, 24)).fit(problem.data, problem.target)
    assert not model.converged_ or relative_recovery_error(problem.coef, model.matrix_) < 0.06
