"""Data at the edges of what numbers can hold, in each type."""

import warnings

import numpy as np
import pytest
from cases import MEASUREMENTS, measure, recover, repaired
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_recovery_in_single_precision(kind):
    X, y, truth = measure(kind)
    single = recover(kind, X if kind == "entries" else X.astype(np.float32), y.astype(np.float32), truth.shape)
    double = recover(kind, X, y, truth.shape)
    assert single.matrix_.dtype == np.float32
    assert relative_recovery_error(double.matrix_, single.matrix_) < 1e-4
    assert_array_equal(single.outliers_, double.outliers_)


@pytest.mark.parametrize("seed", range(4))
def test_the_mean_leaves_no_component_in_single_precision(seed):
    """What is left of its direction once the rows are centred is rounding."""
    data = make_corrupted_matrix((60, 44), 2, observed=0.9, outliers=0.08, mean=1.0, random_state=seed).data
    assert RobustPCA().fit(data.astype(np.float32)).n_components_ == 2


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_matrices_in_single_precision(shifted, shifted_pca, factor):
    """Squares of the data lie outside of what the type holds."""
    data = (factor * shifted.data).astype(np.float32)
    single = RobustPCA().fit(data)
    assert single.converged_
    spans = [
        model.components_.T @ model.components_ for model in (single, shifted_pca)
    ]  # two sizes are nearly the same
    assert_allclose(*spans, atol=1e-5)
    assert_array_equal(single.outliers_, shifted_pca.outliers_)
    assert relative_recovery_error(shifted.clean, repaired(data) / factor) < 1e-5


def test_small_integers_are_not_centred_in_their_own_type():
    truth = np.outer(np.arange(1, 21), [5, -4, 6, 3, -6, 2, 4, -5, 1, 6, -3, 5]).astype(np.int8)  # -120 to 120
    data = truth.copy()
    data[::5, ::4] = -128
    assert_array_equal(np.round(repaired(data)), truth)
    pca = RobustPCA().fit(data)
    assert_allclose(pca.inverse_transform(pca.transform(data)), truth, atol=0.5)


def test_rows_of_another_size_than_those_that_were_fitted():
    """Few entries at 1e250: the squares that weigh them against the prior are beyond all numbers."""
    problem = make_corrupted_matrix((20, 16), rank=2, mean=1.0, random_state=0)
    few = np.full((1, 16), np.nan)
    few[0, :2] = problem.clean[0, :2]
    expected = repaired_row(problem.clean, few, 1.0)
    for factor in (1e250, 1e-250):
        assert_allclose(repaired_row(factor * problem.clean, factor * few, factor), expected, rtol=1e-6)


def repaired_row(data, row, factor):
    return RobustMatrixCompletion(replace="all").fit(data).transform(row) / factor


def test_a_location_of_any_size():
    """No two rows share two columns: medians alone are left, and their norm must not overflow."""
    for factor in (1.0, 1e300, 1e-300):
        with pytest.warns(ConvergenceWarning, match="location"):
            model = RobustMatrixCompletion(replace="all").fit(factor * np.arange(1.0, 6.0)[None])
        assert_allclose(model.transform(np.full((1, 5), np.nan))[0] / factor, np.arange(1.0, 6.0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sizes_that_have_nothing_in_common():
    """Hundreds of orders of magnitude between the targets, and between a first guess and the noise."""
    data = np.zeros((3, 6))
    data[0, [0, 5]], data[0, 4], data[1, [1, 4]], data[2, 3] = 1e30, 4e300, [9e299, 4e300], 2e299
    for step_size in ("auto", "constant"):
        model = RobustMatrixCompletion(2, step_size=step_size, max_iter=40).fit(data)
        assert not model.converged_ and np.isfinite(model.singular_values_).all()
    data = np.array([[0, 2, 0, 0, 0, 9], [11, 0, -5, 0, 0, -5], [np.nan] * 6]) * 1e249
    start = 1e31 * np.ones((3, 1)), 1e30 * np.array([[-1.0, 1, 0.4, -0.2, 0.3, 0.1]]).T
    model = RobustMatrixCompletion(replace="all", polish=False).fit(data, init=start)
    assert np.isfinite(model.transform(data)).all()


@pytest.mark.parametrize("data", [np.where(np.eye(6) > 0, 1.0, np.nan), np.ones((9, 8)), np.ones((1, 6))])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_data_beside_the_largest_number(data, dtype):
    """Medians and norms of it overflow; what has singular values beyond it cannot be told."""
    data = (data * (0.95 * np.finfo(dtype).max)).astype(dtype)
    for model in (RobustMatrixCompletion(), RobustPCA(), RobustPCA(n_init=2)):
        with pytest.raises(ValueError, match="too large: singular values of the low-rank matrix exceed"):
            model.fit(data)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_errors_of_the_largest_numbers(shifted, dtype):
    """The sum of the values, by which scikit-learn looks for NaN, is inf - inf."""
    data, top = shifted.clean.astype(dtype), np.finfo(dtype).max
    data.ravel()[0:160:16], data.ravel()[1:160:16] = top, -top
    assert_allclose(repaired(data), shifted.clean, atol=1e-3)
    X, y, truth = measure("matrix")
    y = y.astype(dtype)
    y[0:80:8], y[1:80:8] = top, -top  # sums are made in eight lanes
    assert_allclose(recover("matrix", X.astype(dtype), y, truth.shape).matrix_, truth, atol=1e-3)


def test_one_entry_beyond_all_measure_is_replaced():
    """Beside noise; in units of the standard deviation of its column nothing else is left of that."""
    problem = make_corrupted_matrix((6, 90), rank=2, noise=0.1, observed=0.95, random_state=0)
    errors = []
    for value in (1e6, 1e155, 1e300):
        data = problem.data.copy()
        data[3, 5] = value
        model = RobustMatrixCompletion().fit(data)
        assert model.converged_ and model.outliers_[3, 5]
        errors.append(relative_recovery_error(problem.clean, model.transform(data)))
    assert_allclose(errors, errors[0], rtol=0.02)


def test_variances_where_all_but_noise_is_lost():
    """Components of 1e-190 beside noise of size one: the square of the ratio is beyond all numbers."""
    rng = np.random.RandomState(0)
    start = 1e-95 * rng.standard_normal((12, 1)), 1e-95 * rng.standard_normal((10, 1))
    with warnings.catch_warnings():  # it has not converged, and no row is like what is left of the others
        warnings.simplefilter("ignore")
        pca = RobustPCA(polish=False, max_iter=1).fit(rng.standard_normal((12, 10)), init=start)
    assert pca.explained_variance_ratio_.sum() < 1e-9
    assert_allclose(pca.noise_variance_, pca.scale_**2 * 11 / 10, rtol=0.5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_errors_near_the_largest_number_beside_small_noise():
    """In units of the noise they are no numbers: that is no warning, and the others are estimated as they were."""
    rng = np.random.RandomState(2)
    clean = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 15))
    data = clean + 0.01 * np.exp(rng.standard_normal(15)) * rng.standard_normal(clean.shape)
    wrong = rng.uniform(size=data.shape) < 0.05
    data = np.where(wrong, data * 1e307, data)
    hidden = rng.uniform(size=data.shape) < 0.2
    data[hidden] = np.nan
    estimate = RobustMatrixCompletion(replace="all").fit_transform(data)
    assert np.sqrt(np.mean((estimate - clean)[hidden] ** 2)) < 0.15


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.* of X:UserWarning")
@pytest.mark.parametrize("seed", range(2))
def test_ranges_beyond_all_numbers(seed):
    """In even units what is seen of a column has no end: that is no warning, and estimates are numbers."""
    rng = np.random.RandomState(seed)
    data = rng.standard_normal((20, 2)) @ rng.standard_normal((2, 10)) + 0.01 * rng.standard_normal((20, 10))
    data *= np.exp(3.0 * rng.standard_normal(10))
    wrong = rng.uniform(size=data.shape) < 0.1
    data[wrong] = rng.choice([-1.7e308, 1e300, 1.7e308], np.count_nonzero(wrong))
    data[rng.uniform(size=data.shape) < 0.3] = np.nan
    assert np.isfinite(RobustMatrixCompletion(replace="all", keep_empty_features=True).fit_transform(data)).all()


@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324 * 2**60])
def test_extreme_sizes(scale):
    truth = np.outer(np.arange(1.0, 31.0), np.arange(1.0, 21.0)) / 600
    data = scale * truth
    data[3, 4] = scale
    out = RobustMatrixCompletion().fit_transform(data)
    assert_allclose(out / scale, truth, rtol=1e-6)
    assert np.isfinite(RobustPCA().fit_transform(data)).all()


@pytest.mark.parametrize("ensemble", ["gaussian", "rank_one"])
@pytest.mark.parametrize("size", [1e150, 1e-150])
def test_measurements_of_extreme_size(ensemble, size):
    """Squares of the A_i would overflow or vanish."""
    p = make_measurements(shape=(18, 14), rank=2, ensemble=ensemble, outliers=0.2, random_state=3)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    fitted = RobustLowRankRecovery(measurements=kind, shape=(18, 14)).fit(size * p.data, p.target)
    assert_allclose(fitted.matrix_ * size * (size if kind == "rank_one" else 1.0), p.coef, atol=1e-10)
    if kind == "matrix":
        rows = RobustLowRankRecovery(shape=(18, 14)).fit(sparse.csr_array(size * size * p.data), p.target)
        assert_allclose(rows.matrix_ * size * size, p.coef, atol=1e-10)


def test_an_offset_a_billion_times_the_spread_leaves_numbers():
    """Of tables with more columns than rows."""
    rng = np.random.RandomState(1)
    n = rng.randint(3, 20)
    p = n + rng.randint(1, 25)
    X = rng.standard_normal((n, 2)) @ rng.standard_normal((2, p)) + 0.1 * rng.standard_normal((n, p)) + 1e9
    X[rng.uniform(size=X.shape) < 0.15] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = RobustMatrixCompletion().fit(X)
        components = RobustPCA().fit(X).components_
    assert np.isfinite(components).all()
    assert np.isfinite(model.sample_imputations(X, 2, random_state=0)).all()
    assert not np.isnan([*model.predict_interval(X), *model.transform(X, return_std=True)]).any()


def test_rows_that_are_not_identifiable_beside_large_errors_of_extreme_size():
    """The squares of the factors overflowed with a warning of NumPy's, where it was told how far such rows are."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 12)) + 3.0
    data = clean + 20.0 * (rng.uniform(size=clean.shape) < 0.4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RobustMatrixCompletion did not converge|1 row of X is not identifiable")
        model = RobustMatrixCompletion().fit(1e300 * data)
        assert np.isfinite(model.transform(1e300 * data)).all()
