"""What must not change the answer: units, order, transposition, errors further away, empty rows."""

import numpy as np
import pytest
from cases import MEASUREMENTS, measure, recover, repaired
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import subspace_angle

SHAPE = (28, 22)
FEW = settings(max_examples=3, deadline=None, derandomize=True, database=None)


@FEW
@given(exponent=st.floats(-290, 290))
def test_pca_in_other_units(shifted, shifted_pca, exponent):
    factor = 10.0**exponent
    scaled = RobustPCA().fit(factor * shifted.data)
    assert scaled.converged_
    assert_allclose(scaled.components_, shifted_pca.components_, atol=1e-9)
    assert_allclose(scaled.singular_values_ / factor, shifted_pca.singular_values_, rtol=1e-9)
    assert_allclose(scaled.mean_ / factor, shifted_pca.mean_, atol=1e-9)
    assert_allclose(scaled.explained_variance_ratio_, shifted_pca.explained_variance_ratio_, rtol=1e-9)
    assert_array_equal(scaled.outliers_, shifted_pca.outliers_)
    assert_allclose(
        scaled.transform(factor * shifted.data[:4]) / factor, shifted_pca.transform(shifted.data[:4]), atol=1e-9
    )


@FEW
@given(exponent=st.floats(-290, 290))
def test_completion_in_other_units(shifted, exponent):
    factor = 10.0**exponent
    assert_allclose(repaired(factor * shifted.data) / factor, shifted.clean, atol=1e-9)


@pytest.mark.parametrize("kind", MEASUREMENTS)
@FEW
@given(exponent=st.floats(-250, 250))
def test_recovery_in_other_units(kind, exponent):
    X, y, truth = measure(kind)
    factor = 10.0**exponent
    assert_allclose(recover(kind, X, factor * y, truth.shape).matrix_ / factor, truth, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [33, 40])
def test_measurements_in_another_order_are_judged_alike(seed):
    """Few beside noise, of which fits to parts are compared."""
    rng = np.random.RandomState(seed)
    rank = 1 + seed % 2
    n = int(rank * (17 - rank) * rng.uniform(3.0, 5.5))
    problem = make_measurements(n, shape=(9, 8), rank=rank, noise=0.2, outliers=0.1, random_state=seed)
    first, second = (
        RobustLowRankRecovery(shape=(9, 8)).fit(problem.data[order], problem.target[order])
        for order in (np.arange(n), rng.permutation(n))
    )
    assert (first.stop_reason_, first.rank_) == (second.stop_reason_, second.rank_)


@FEW
@given(seed=st.integers(0, 10**6))
def test_pca_of_rows_and_columns_in_another_order(shifted, shifted_pca, seed):
    rng = np.random.RandomState(seed)
    rows, cols = (rng.permutation(d) for d in SHAPE)
    other = RobustPCA().fit(shifted.data[np.ix_(rows, cols)])
    assert_allclose(other.singular_values_, shifted_pca.singular_values_, rtol=1e-9)
    assert_allclose(other.mean_, shifted_pca.mean_[cols], atol=1e-9)
    assert subspace_angle(other.components_.T, shifted_pca.components_[:, cols].T) < 1e-6
    assert_array_equal(other.outliers_, shifted_pca.outliers_[np.ix_(rows, cols)])


@pytest.mark.parametrize("kind", MEASUREMENTS)
@FEW
@given(seed=st.integers(0, 10**6))
def test_recovery_of_a_matrix_in_another_order(kind, seed):
    """Rows and columns of the matrix, and the measurements."""
    X, y, truth = measure(kind)
    d1, d2 = truth.shape
    rng = np.random.RandomState(seed)
    rows, cols = rng.permutation(d1), rng.permutation(d2)
    if kind == "matrix":
        turned = X.reshape(-1, d1, d2)[:, rows][:, :, cols].reshape(X.shape)
    elif kind == "rank_one":
        turned = np.hstack([X[:, :d1][:, rows], X[:, d1:][:, cols]])
    else:
        turned = np.column_stack([np.argsort(rows)[X[:, 0]], np.argsort(cols)[X[:, 1]]])
    order = rng.permutation(len(y))
    coef = recover(kind, turned[order], y[order], truth.shape).matrix_
    assert_allclose(coef, truth[np.ix_(rows, cols)], atol=1e-9)


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_recovery_of_the_transposed_matrix(kind):
    X, y, truth = measure(kind)
    d1, d2 = truth.shape
    turned = {
        "matrix": lambda: X.reshape(-1, d1, d2).transpose(0, 2, 1).reshape(X.shape),
        "rank_one": lambda: np.hstack([X[:, d1:], X[:, :d1]]),
        "entries": lambda: X[:, ::-1],
    }[kind]()
    assert_allclose(recover(kind, turned, y, (d2, d1)).matrix_, truth.T, atol=1e-9)


def test_pca_of_the_transposed_matrix(shifted):
    """Without a centre both have the singular values of the matrix."""
    values = [RobustPCA(center=False).fit(data).singular_values_ for data in (shifted.data, shifted.data.T)]
    assert_allclose(values[0], values[1], rtol=1e-9)


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_each_measurement_twice(kind):
    X, y, truth = measure(kind)
    model = recover(kind, np.concatenate([X, X]), np.concatenate([y, y]), truth.shape)
    assert_allclose(model.matrix_, truth, atol=1e-9)
    assert_array_equal(model.outliers_[: len(y)], model.outliers_[len(y) :])


def test_each_row_twice(shifted, shifted_pca):
    twice = RobustPCA().fit(np.repeat(shifted.data, 2, axis=0))
    assert_allclose(twice.mean_, shifted_pca.mean_, atol=1e-9)
    assert_allclose(twice.singular_values_, np.sqrt(2) * shifted_pca.singular_values_, rtol=1e-9)
    assert subspace_angle(twice.components_.T, shifted_pca.components_.T) < 1e-6
    assert_array_equal(twice.outliers_, np.repeat(shifted_pca.outliers_, 2, axis=0))


@FEW
@given(exponent=st.floats(1, 250))
def test_pca_with_errors_further_away(shifted, shifted_pca, exponent):
    data = np.where(shifted.outliers, 10.0**exponent * np.sign(shifted.data), shifted.data)
    other = RobustPCA().fit(data)
    assert_allclose(other.components_, shifted_pca.components_, atol=1e-9)
    assert_array_equal(other.outliers_, shifted_pca.outliers_)


@pytest.mark.parametrize("kind", MEASUREMENTS)
@FEW
@given(exponent=st.floats(2, 250))
def test_recovery_with_errors_further_away(kind, exponent):
    X, y, truth = measure(kind)
    wrong = recover(kind, X, y, truth.shape).outliers_
    y = np.where(wrong, 10.0**exponent * np.sign(y), y)
    assert_allclose(recover(kind, X, y, truth.shape).matrix_, truth, atol=1e-9)


def test_empty_rows_and_columns(shifted, shifted_pca):
    """An empty row is the mean, and changes no component; an empty column is listed."""
    data = np.vstack([shifted.data[:10], np.full((1, SHAPE[1]), np.nan), shifted.data[10:]])
    with pytest.warns(UserWarning, match="1 row of X"):
        other = RobustPCA().fit(data)
    assert_allclose(other.mean_, shifted_pca.mean_, atol=1e-9)
    assert_allclose(other.explained_variance_, shifted_pca.explained_variance_, rtol=1e-9)
    assert_allclose(other.components_, shifted_pca.components_, atol=1e-9)
    with pytest.warns(UserWarning, match="1 column of X"):
        other = RobustPCA().fit(np.column_stack([shifted.data, np.full(SHAPE[0], np.nan)]))
    assert subspace_angle(other.components_[:, :-1].T, shifted_pca.components_.T) < 1e-6


def test_measurements_that_see_nothing():
    """All of their A_i is zero, and so is what they read."""
    X, y, truth = measure("matrix")
    model = recover("matrix", np.vstack([X, np.zeros_like(X[:40])]), np.append(y, np.zeros(40)), truth.shape)
    assert_allclose(model.matrix_, truth, atol=1e-9)
    assert not model.outliers_[-40:].any()


@settings(max_examples=3, deadline=None)
@given(factor=st.sampled_from([1e-150, 1e-6, 3.0, 1e9, 1e200]))
def test_scaling(noiseless, completion, factor):
    fitted = RobustMatrixCompletion().fit(factor * noiseless.data)
    assert_allclose(fitted.singular_values_ / factor, completion.singular_values_, rtol=1e-8)
    assert_array_equal(fitted.outliers_, completion.outliers_)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permutation_and_transposition(noiseless, completion, seed):
    rng = np.random.RandomState(seed)
    rows, cols = rng.permutation(80), rng.permutation(60)
    data = noiseless.data[np.ix_(rows, cols)].T
    fitted = RobustMatrixCompletion()
    assert_allclose(fitted.fit_transform(data), noiseless.clean[np.ix_(rows, cols)].T, atol=1e-8)
    assert_array_equal(fitted.outliers_, completion.outliers_[np.ix_(rows, cols)].T)


@settings(max_examples=3, deadline=None)
@given(size=st.sampled_from([10.0, 1e3, 1e8, 1e200]))
def test_moving_errors_further_away_changes_nothing(noiseless, size):
    data = noiseless.data.copy()
    data[noiseless.outliers] = size * np.sign(data[noiseless.outliers])
    assert_allclose(RobustMatrixCompletion().fit_transform(data), noiseless.clean, atol=1e-8)


def test_an_empty_row_changes_nothing(noiseless, completion):
    data = np.vstack([noiseless.data, np.full((1, 60), np.nan)])
    with pytest.warns(UserWarning, match="1 row of X is not"):
        fitted = RobustMatrixCompletion().fit(data)
    assert_allclose(fitted.transform(data)[:-1], completion.transform(noiseless.data), atol=1e-8)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.sampled_from([1e-200, 1e-9, 1e6, 1e200]))
def test_scaling_y_scales_coef(factor):
    p = make_measurements(shape=(12, 10), rank=1, outliers=0.2, noise=0.05, random_state=0)
    base = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, p.target)
    scaled = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, factor * p.target)
    assert_allclose(scaled.matrix_ / factor, base.matrix_, rtol=1e-6, atol=1e-6)
    assert_array_equal(scaled.outliers_, base.outliers_)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.sampled_from([1e-100, 1e-4, 1e5, 1e100]))
def test_scaling_the_measurements_scales_coef_back(factor):
    p = make_measurements(shape=(12, 10), rank=1, outliers=0.2, random_state=0)
    scaled = RobustLowRankRecovery(shape=(12, 10)).fit(factor * p.data, p.target)
    assert_allclose(scaled.matrix_ * factor, p.coef, atol=1e-8)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_order_of_measurements_does_not_matter(seed):
    p = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=2)
    order = np.random.RandomState(seed).permutation(len(p.target))
    base = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, p.target)
    shuffled = RobustLowRankRecovery(shape=(12, 10)).fit(p.data[order], p.target[order])
    assert_allclose(shuffled.matrix_, base.matrix_, atol=1e-9)
    assert_array_equal(shuffled.outliers_, base.outliers_[order])


def test_transposing_the_measurements_transposes_coef(sensing, recovery):
    data = sensing.data.reshape(-1, 20, 15).transpose(0, 2, 1).reshape(-1, 300)
    turned = RobustLowRankRecovery(shape=(15, 20)).fit(data, sensing.target)
    assert_allclose(turned.matrix_.T, recovery.matrix_, atol=1e-9)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.sampled_from([1e3, 1e9, 1e100]))
def test_moving_an_error_further_away_changes_nothing(size):
    p = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=0)
    target = p.target.copy()
    target[np.flatnonzero(p.outliers)[0]] = size
    fitted = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, target)
    assert_allclose(fitted.matrix_, p.coef, atol=1e-9)
