"""Measurements whose matrices, or rows and columns of these, are of unlike sizes: they are found as others are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHAPE, RANK = (20, 15), 2
FEW = settings(max_examples=2, deadline=None, derandomize=True, database=None)


def unlike(kind, seed, spread, noise=0.0):
    """Measurements with 20 % errors whose sizes have a logarithmic standard deviation of `spread`: X, y, the matrix.

    Noise and errors do not depend on the size.
    """
    rng = np.random.RandomState(seed)
    ensemble = "rank_one" if kind == "rank_one" else "gaussian"
    problem = make_measurements(
        264, SHAPE, RANK, ensemble=ensemble, outliers=0.2, noise=noise, random_state=np.random.RandomState(seed)
    )
    X, size = problem.data, np.exp(spread * rng.standard_normal(len(problem.data)))
    if kind == "sparse":
        X = X * (rng.uniform(size=X.shape) < 0.2)
    added = problem.target - clean(problem.data, problem.coef, kind)
    X = X * (np.sqrt(size) if kind == "rank_one" else size)[:, None]
    y = clean(X, problem.coef, kind) + added
    return sparse.csr_matrix(X) if kind == "sparse" else X, y, problem.coef


def clean(X, coef, kind):
    if kind == "rank_one":
        return np.einsum("ij,jk,ik->i", X[:, : SHAPE[0]], coef, X[:, SHAPE[0] :])
    return X @ coef.ravel()


def fitted(kind, X, y):
    return RobustLowRankRecovery(shape=SHAPE, measurements="rank_one" if kind == "rank_one" else "matrix").fit(X, y)


@pytest.mark.parametrize("kind", ["dense", "sparse", "rank_one"])
@FEW
@given(seed=st.integers(0, 10**6), spread=st.floats(1.5, 2.5))
def test_they_are_met_exactly(kind, seed, spread):
    X, y, coef = unlike(kind, seed, spread)
    model = fitted(kind, X, y)
    assert model.stop_reason_ == "exact"
    assert relative_recovery_error(coef, model.matrix_) < 1e-9


def test_matrices_of_zeros_tell_nothing():
    X, y, coef = unlike("dense", 0, 2.0)
    X[::10] = 0.0
    model = fitted("dense", X, y)
    assert model.stop_reason_ == "exact"
    assert_allclose(model.matrix_, coef, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 1, 2))])
def test_beside_noise_the_large_ones_count_most(seed):
    """As for least squares that is told the rank and the errors; measurements of one size have an error of 0.07."""
    X, y, coef = unlike("dense", seed, 1.0, noise=0.1)
    model = fitted("dense", X, y)
    assert model.rank_ == RANK
    assert relative_recovery_error(coef, model.matrix_) < 0.08


@pytest.mark.parametrize(
    ("kind", "noise"), [*((kind, 0.0) for kind in ("dense", "sparse", "rank_one")), ("dense", 0.05), ("rank_one", 0.05)]
)
@FEW
@given(seed=st.integers(0, 10**6), spread=st.floats(1.0, 3.0))
def test_units_of_features_do_not_matter(kind, noise, seed, spread):
    """Those of x and z in x^T M z: with noise the result is that in one unit, but for what its errors are."""
    rng = np.random.RandomState(seed)
    X, y, coef = unlike(kind, seed, 0.0, noise=noise)
    units = [np.exp(spread * rng.standard_normal(d)) for d in SHAPE]
    if kind == "rank_one":
        other = X * np.concatenate(units)
    else:
        flat = np.outer(*units).ravel()
        other = X @ sparse.diags_array(flat) if kind == "sparse" else X * flat
    first, second = fitted(kind, X, y), fitted(kind, other, y)
    assert (
        (first.stop_reason_, first.rank_)
        == (second.stop_reason_, second.rank_)
        == (("noisy" if noise else "exact"), RANK)
    )
    back = second.matrix_ * np.outer(*units)
    assert relative_recovery_error(coef, back) < 1.05 * relative_recovery_error(coef, first.matrix_) + 1e-9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["dense", "rank_one"])
@pytest.mark.parametrize("spread", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_most_matrices_may_be_zero_beside_noise(spread, kind):
    ensemble = "rank_one" if kind == "rank_one" else "gaussian"
    problem = make_measurements(600, SHAPE, RANK, ensemble=ensemble, outliers=0.0, random_state=0)
    size = np.exp(spread * np.random.RandomState(0).standard_normal(600))
    X = problem.data * (np.sqrt(size) if kind == "rank_one" else size)[:, None]
    X = np.vstack([X, np.zeros((900, X.shape[1]))])
    y = np.append(problem.target * size, np.zeros(900)) + 0.25 * np.random.RandomState(0).standard_normal(1500)
    assert relative_recovery_error(problem.coef, fitted(kind, X, y).matrix_) < 0.02


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("size", "n_small"), [(1e-2, 1500), pytest.param(1e-4, 750, marks=pytest.mark.slow)])
def test_small_matrices_of_nothing_but_noise_do_no_harm(size, n_small):
    """They are evened at first, and count as much as the others."""
    problem = make_measurements(500 + n_small, SHAPE, RANK, outliers=0.0, random_state=0)
    rng = np.random.RandomState(0)
    each = np.where(np.arange(500 + n_small) < 500, 1.0, size)
    X, y = problem.data * each[:, None], problem.target * each
    y += 0.05 * problem.target.std() * rng.standard_normal(len(y))
    model = fitted("dense", X, y)
    assert model.rank_ == RANK
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.04
