"""What must not change the answer, and data at the edges of what numbers can hold or a low rank can mean."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error, subspace_angle

SHAPE = (28, 22)
FEW = settings(max_examples=4, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def problem():
    return make_corrupted_matrix(SHAPE, rank=2, observed=0.9, outliers=0.08, mean=1.0, random_state=4)


@pytest.fixture(scope="module")
def pca(problem):
    return RobustPCA().fit(problem.data)


KINDS = ["matrix", "rank_one", "entries"]


def measure(kind):
    """Measurements of a 9 x 7 matrix of rank two: X, y, the matrix."""
    rng = np.random.RandomState(3)
    if kind == "entries":
        problem = make_corrupted_matrix((26, 22), rank=2, outliers=0.08, random_state=0)
        return np.argwhere(problem.observed), problem.data[problem.observed], problem.clean
    ensemble = "rank_one" if kind == "rank_one" else "gaussian"
    problem = make_measurements(280, shape=(9, 7), rank=2, ensemble=ensemble, outliers=0.1, random_state=rng)
    return problem.data, problem.target, problem.coef


def recover(kind, X, y, shape):
    model = RobustLowRankRecovery(measurements=kind, shape=shape).fit(X, y)
    assert model.converged_
    return model


def repaired(data, model=None):
    """The low-rank part of a matrix, from a fit that has to be trusted."""
    model = RobustMatrixCompletion(replace="all") if model is None else model
    out = model.fit_transform(data)
    assert model.converged_
    return out


# What must not change the answer


@FEW
@given(exponent=st.floats(-290, 290))
def test_pca_in_other_units(problem, pca, exponent):
    factor = 10.0**exponent
    scaled = RobustPCA().fit(factor * problem.data)
    assert scaled.converged_
    assert_allclose(scaled.components_, pca.components_, atol=1e-9)
    assert_allclose(scaled.singular_values_ / factor, pca.singular_values_, rtol=1e-9)
    assert_allclose(scaled.mean_ / factor, pca.mean_, atol=1e-9)
    assert_allclose(scaled.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-9)
    assert_array_equal(scaled.outliers_, pca.outliers_)
    assert_allclose(scaled.transform(factor * problem.data[:4]) / factor, pca.transform(problem.data[:4]), atol=1e-9)


@FEW
@given(exponent=st.floats(-290, 290))
def test_completion_in_other_units(problem, exponent):
    factor = 10.0**exponent
    assert_allclose(repaired(factor * problem.data) / factor, problem.clean, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(exponent=st.floats(-250, 250))
def test_recovery_in_other_units(kind, exponent):
    X, y, truth = measure(kind)
    factor = 10.0**exponent
    assert_allclose(recover(kind, X, factor * y, truth.shape).coef_ / factor, truth, atol=1e-9)


@FEW
@given(seed=st.integers(0, 10**6))
def test_pca_of_rows_and_columns_in_another_order(problem, pca, seed):
    rng = np.random.RandomState(seed)
    rows, cols = (rng.permutation(d) for d in SHAPE)
    other = RobustPCA().fit(problem.data[np.ix_(rows, cols)])
    assert_allclose(other.singular_values_, pca.singular_values_, rtol=1e-9)
    assert_allclose(other.mean_, pca.mean_[cols], atol=1e-9)
    assert subspace_angle(other.components_.T, pca.components_[:, cols].T) < 1e-6
    assert_array_equal(other.outliers_, pca.outliers_[np.ix_(rows, cols)])


@pytest.mark.parametrize("kind", KINDS)
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
    coef = recover(kind, turned[order], y[order], truth.shape).coef_
    assert_allclose(coef, truth[np.ix_(rows, cols)], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_recovery_of_the_transposed_matrix(kind):
    X, y, truth = measure(kind)
    d1, d2 = truth.shape
    turned = {
        "matrix": lambda: X.reshape(-1, d1, d2).transpose(0, 2, 1).reshape(X.shape),
        "rank_one": lambda: np.hstack([X[:, d1:], X[:, :d1]]),
        "entries": lambda: X[:, ::-1],
    }[kind]()
    assert_allclose(recover(kind, turned, y, (d2, d1)).coef_, truth.T, atol=1e-9)


def test_pca_of_the_transposed_matrix(problem):
    """Without a centre both have the singular values of the matrix."""
    values = [RobustPCA(center=False).fit(data).singular_values_ for data in (problem.data, problem.data.T)]
    assert_allclose(values[0], values[1], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_each_measurement_twice(kind):
    X, y, truth = measure(kind)
    model = recover(kind, np.concatenate([X, X]), np.concatenate([y, y]), truth.shape)
    assert_allclose(model.coef_, truth, atol=1e-9)
    assert_array_equal(model.outliers_[: len(y)], model.outliers_[len(y) :])


def test_each_row_twice(problem, pca):
    twice = RobustPCA().fit(np.repeat(problem.data, 2, axis=0))
    assert_allclose(twice.mean_, pca.mean_, atol=1e-9)
    assert_allclose(twice.singular_values_, np.sqrt(2) * pca.singular_values_, rtol=1e-9)
    assert subspace_angle(twice.components_.T, pca.components_.T) < 1e-6
    assert_array_equal(twice.outliers_, np.repeat(pca.outliers_, 2, axis=0))


@FEW
@given(exponent=st.floats(1, 250))
def test_pca_with_errors_further_away(problem, pca, exponent):
    data = np.where(problem.outliers, 10.0**exponent * np.sign(problem.data), problem.data)
    other = RobustPCA().fit(data)
    assert_allclose(other.components_, pca.components_, atol=1e-9)
    assert_array_equal(other.outliers_, pca.outliers_)


@pytest.mark.parametrize("kind", KINDS)
@FEW
@given(exponent=st.floats(2, 250))
def test_recovery_with_errors_further_away(kind, exponent):
    X, y, truth = measure(kind)
    wrong = recover(kind, X, y, truth.shape).outliers_
    y = np.where(wrong, 10.0**exponent * np.sign(y), y)
    assert_allclose(recover(kind, X, y, truth.shape).coef_, truth, atol=1e-9)


def test_empty_rows_and_columns(problem, pca):
    """A row of holes is the mean, and changes no component; a column of holes is listed."""
    data = np.vstack([problem.data[:10], np.full((1, SHAPE[1]), np.nan), problem.data[10:]])
    with pytest.warns(UserWarning, match="1 rows of X"):
        other = RobustPCA().fit(data)
    assert_allclose(other.mean_, pca.mean_, atol=1e-9)
    assert_allclose(other.singular_values_, pca.singular_values_, rtol=1e-9)
    assert_allclose(other.components_, pca.components_, atol=1e-9)
    with pytest.warns(UserWarning, match="1 columns of X"):
        other = RobustPCA().fit(np.column_stack([problem.data, np.full(SHAPE[0], np.nan)]))
    assert subspace_angle(other.components_[:, :-1].T, pca.components_.T) < 1e-6


def test_measurements_that_see_nothing():
    """All of their A_i is zero, and so is what they read."""
    X, y, truth = measure("matrix")
    model = recover("matrix", np.vstack([X, np.zeros_like(X[:40])]), np.append(y, np.zeros(40)), truth.shape)
    assert_allclose(model.coef_, truth, atol=1e-9)
    assert not model.outliers_[-40:].any()


# Numbers


@pytest.mark.parametrize("kind", KINDS)
def test_recovery_in_single_precision(kind):
    X, y, truth = measure(kind)
    single = recover(kind, X if kind == "entries" else X.astype(np.float32), y.astype(np.float32), truth.shape)
    double = recover(kind, X, y, truth.shape)
    assert single.coef_.dtype == np.float32
    assert relative_recovery_error(double.coef_, single.coef_) < 1e-4
    assert_array_equal(single.outliers_, double.outliers_)


@pytest.mark.parametrize("seed", range(4))
def test_the_mean_leaves_no_component_in_single_precision(seed):
    """What is left of its direction once the rows are centred is rounding."""
    data = make_corrupted_matrix((60, 44), 2, observed=0.9, outliers=0.08, mean=1.0, random_state=seed).data
    assert RobustPCA().fit(data.astype(np.float32)).n_components_ == 2


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_matrices_in_single_precision(problem, pca, factor):
    """Squares of the data lie outside of what the type holds."""
    data = (factor * problem.data).astype(np.float32)
    single = RobustPCA().fit(data)
    assert single.converged_
    spans = [model.components_.T @ model.components_ for model in (single, pca)]  # two sizes are nearly the same
    assert_allclose(*spans, atol=1e-5)
    assert_array_equal(single.outliers_, pca.outliers_)
    assert relative_recovery_error(problem.clean, repaired(data) / factor) < 1e-5


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
    model = RobustMatrixCompletion(replace="all", polish=False).fit(data, start=start)
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
def test_errors_of_the_largest_numbers(problem, dtype):
    """The sum of the values, by which scikit-learn looks for NaN, is inf - inf."""
    data, top = problem.clean.astype(dtype), np.finfo(dtype).max
    data.ravel()[0:160:16], data.ravel()[1:160:16] = top, -top
    assert_allclose(repaired(data), problem.clean, atol=1e-3)
    X, y, truth = measure("matrix")
    y = y.astype(dtype)
    y[0:80:8], y[1:80:8] = top, -top  # sums are made in eight lanes
    assert_allclose(recover("matrix", X.astype(dtype), y, truth.shape).coef_, truth, atol=1e-3)


def test_variances_where_all_but_noise_is_lost():
    """Components of 1e-190 beside noise of size one: the square of the ratio is beyond all numbers."""
    rng = np.random.RandomState(0)
    start = 1e-95 * rng.standard_normal((12, 1)), 1e-95 * rng.standard_normal((10, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pca = RobustPCA(polish=False, max_iter=1).fit(rng.standard_normal((12, 10)), start=start)
    assert pca.explained_variance_ratio_.sum() < 1e-9
    assert_allclose(pca.noise_variance_, pca.scale_**2 * 11 / 10, rtol=0.5)


def test_measurements_of_zeros_in_single_precision():
    rng = np.random.RandomState(0)
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        model = RobustLowRankRecovery(shape=(3, 2)).fit(
            np.zeros((30, 6), np.float32), rng.standard_normal(30).astype(np.float32)
        )
    assert np.isfinite(model.coef_).all()


def test_measurements_of_zeros_from_a_first_guess():
    model = RobustLowRankRecovery(shape=(3, 2), polish=False)
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        model.fit(np.zeros((30, 6)), np.arange(30.0), start=(np.ones((3, 1)), np.ones((2, 1))))
    assert not model.converged_ and np.isfinite(model.coef_).all()


def test_a_run_that_diverges_ends_where_it_was_best():
    """Equal measurements, and steps that fall too slowly for so small a start: factors grew to 1e65."""
    X = np.tile(np.random.RandomState(0).randint(-100, 100, 36), (57, 1)).astype(float)
    y = np.zeros(57)
    y[19] = 127.0
    with pytest.warns(ConvergenceWarning):
        model = RobustLowRankRecovery(shape=(6, 6), step_size="geometric", init_scale=1e-6, tol=0).fit(X, y)
    assert np.abs(model.predict(X)).max() < 127
    assert np.isfinite(model.history_["loss"]).all()


# Structure


@pytest.mark.parametrize("value", [0.0, 3.7, -1e-200])
def test_constant_matrices(value):
    data = np.full((14, 12), value)
    assert_allclose(repaired(data), data, rtol=1e-12)
    pca = RobustPCA().fit(data)
    assert pca.converged_
    assert_allclose(pca.inverse_transform(pca.transform(data)), data, rtol=1e-12)
    data[3, 4] = 9.0
    if value:
        assert_allclose(repaired(data), value, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_matrices_from_measurements(value):
    X = np.random.RandomState(0).standard_normal((150, 30))
    model = recover("matrix", X, value * X.sum(axis=1), (6, 5))
    assert_allclose(model.coef_, value, atol=1e-12)
    assert model.rank_ == bool(value)


@pytest.mark.parametrize("rank", [1, 5, 10])
def test_exact_low_rank_without_noise_or_errors(rank):
    problem = make_corrupted_matrix((40, 30), rank=rank, outliers=0, random_state=0)
    model = RobustMatrixCompletion(replace="all")
    assert_allclose(repaired(problem.data, model), problem.clean, atol=1e-12)
    assert model.rank_ == rank and not model.outliers_.any()


def test_rank_of_the_smaller_side():
    """No entry of such a matrix can be told from the others; measurements of it are a regression, and determine it."""
    rng = np.random.RandomState(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not RobustMatrixCompletion().fit(rng.standard_normal((60, 3))).converged_
    coef, X = rng.standard_normal((6, 3)), rng.standard_normal((200, 18))
    y = X @ coef.ravel()
    y[::8] += 20
    model = recover("matrix", X, y, (6, 3))
    assert_allclose(model.coef_, coef, atol=1e-9)
    assert model.rank_ == 3


def test_duplicated_columns(problem):
    data = np.hstack([problem.data, problem.data[:, :10], np.repeat(problem.data[:, :1], 5, axis=1)])
    truth = np.hstack([problem.clean, problem.clean[:, :10], np.repeat(problem.clean[:, :1], 5, axis=1)])
    assert_allclose(repaired(data), truth, atol=1e-9)


def test_integers_with_ties():
    """Counts of few values: what is met by chance is no evidence, and rounding gives them back."""
    rng = np.random.RandomState(0)
    truth = rng.randint(-2, 3, (50, 2)) @ rng.randint(-2, 3, (2, 40))
    wrong = rng.uniform(size=truth.shape) < 0.1
    data = np.where(wrong, rng.randint(-30, 30, truth.shape), truth)
    assert_array_equal(np.round(repaired(data)), truth)


def structured(kind, rng):
    """A matrix with errors that have a pattern, the truth, and the rows and columns that nobody could know."""
    problem = make_corrupted_matrix((80, 60), rank=2, outliers=0, random_state=rng)
    data, truth, lost = problem.data.copy(), problem.clean, ([], [])
    if kind == "rows":
        lost = [3, 17, 40, 41], []
        data[lost[0]] = 5 * rng.standard_normal((4, 60))
    elif kind == "columns":
        lost = [], [0, 8, 30]
        data[:, lost[1]] = 5 * rng.standard_normal((80, 3))
    elif kind == "block":
        data[:20, :15] = 5 * rng.standard_normal((20, 15))
    elif kind == "stuck":  # each of ten sensors from some hour on
        for j in range(10):
            data[rng.randint(50, 70) :, j] = rng.uniform(-2, 2)
    else:  # the entries that the leading singular vectors stand on, turned over
        u, _, vt = np.linalg.svd(truth)
        largest = np.argsort(np.abs(np.outer(u[:, 0], vt[0])).ravel())[-150:]
        data.ravel()[largest] *= -1
    return data, truth, lost


@pytest.mark.parametrize("kind", ["rows", "columns", "block", "stuck", "adversary"])
def test_structured_errors(kind):
    data, truth, lost = structured(kind, np.random.RandomState(1))
    model = RobustMatrixCompletion(replace="all")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="[34] (rows|columns) of X have too few")
        out = repaired(data, model)
    assert_array_equal(model.undetermined_rows_, lost[0])
    assert_array_equal(model.undetermined_columns_, lost[1])
    known = np.ix_(np.setdiff1d(np.arange(80), lost[0]), np.setdiff1d(np.arange(60), lost[1]))
    assert_allclose(out[known], truth[known], atol=1e-9)
