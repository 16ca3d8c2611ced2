"""Entries, their splitter, and estimators of matrices on entries."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import robust_r2_score
from sklearn_robustlr.model_selection import EntryKFold, EntryRegressor, to_entries


@pytest.fixture(scope="module")
def matrix():
    return make_corrupted_matrix((70, 60), rank=2, observed=0.9, outliers=0.2, random_state=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_entries_of_dense_and_sparse(dtype):
    X = np.array([[0.0, np.nan, 2.0], [np.nan, np.nan, np.nan], [3.0, 4.0, 0.0]], dtype=dtype)
    indices, values = to_entries(X)
    assert_array_equal(indices, [[0, 0], [0, 2], [2, 0], [2, 1], [2, 2]])
    assert_array_equal(values, [0, 2, 3, 4, 0])
    assert values.dtype == dtype
    stored = sparse.coo_array((values, indices.T), shape=X.shape)
    for given_sparse in (stored, stored.tocsc(), stored.tocsr()):
        again = to_entries(given_sparse)
        assert_array_equal(again[0], indices)
        assert_array_equal(again[1], values)


def test_entries_share_no_memory():
    X = np.ones((3, 2))
    to_entries(X)[1][:] = 5
    assert_array_equal(X, 1)


@pytest.mark.parametrize(
    ("X", "message"),
    [(np.full((3, 2), np.nan), "all 3 x 2 values are missing"), ([[1.0, np.inf]], "infinity"), ([1.0, 2.0], "2D")],
)
def test_entries_refuse(X, message):
    with pytest.raises(ValueError, match=message):
        to_entries(X)


def held(index, fold, n_splits):
    """How many entries of each row (or column) each fold holds, and how many it has."""
    count = np.zeros((index.max() + 1, n_splits), dtype=int)
    np.add.at(count, (index, fold), 1)
    return count, count.sum(axis=1)


def folds_of(cv, indices):
    fold = np.full(len(indices), -1)
    for k, (train, test) in enumerate(cv.split(indices)):
        assert (fold[test] == -1).all()
        fold[test] = k
        assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(indices)))
    assert (fold >= 0).all()
    return fold


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(2, 25), st.integers(2, 25), st.floats(0.05, 1.0), st.integers(3, 7), st.booleans(), st.integers(0, 999)
)
def test_every_row_and_column_keeps_training_entries(d1, d2, share, n_splits, uneven, seed):
    rng = np.random.RandomState(seed)
    rate = share * rng.uniform(size=(d1, 1)) * rng.uniform(size=d2) * 2 if uneven else share
    indices = np.argwhere(rng.uniform(size=(d1, d2)) < rate)
    if len(indices) < n_splits:
        return
    indices = indices[rng.permutation(len(indices))]
    fold = folds_of(EntryKFold(n_splits, random_state=seed), indices)
    for index in indices.T:
        count, total = held(index, fold, n_splits)
        assert (count.max(axis=1) < total)[total > 1].all()


def test_folds_of_a_diagonal_are_even():
    """Nothing but the size of the folds tells them apart."""
    fold = folds_of(EntryKFold(10, random_state=0), np.repeat(np.arange(95), 2).reshape(-1, 2))
    assert np.ptp(np.bincount(fold)) == 1


@pytest.mark.parametrize("n_splits", [2, 5, 10])
def test_folds_are_even_in_rows_and_columns(n_splits, rng):
    indices = np.argwhere(rng.uniform(size=(400, 300)) < rng.uniform(size=(400, 1)))
    fold = folds_of(EntryKFold(n_splits, random_state=0), indices)
    for index in indices.T:
        count, total = held(index, fold, n_splits)
        over = count.max(axis=1) - np.ceil(total / n_splits)
        assert over.max() <= 2
        assert (over > 0).mean() < 0.2
    assert np.ptp(np.bincount(fold)) < 0.01 * len(indices)


def test_folds_depend_on_the_seed_alone(matrix):
    indices, values = to_entries(matrix.data)
    one, again, other = (folds_of(EntryKFold(random_state=seed), indices) for seed in (0, 0, 1))
    assert_array_equal(one, again)
    assert (one != other).mean() > 0.5
    assert_array_equal(one, folds_of(EntryKFold(random_state=0), to_entries(sparse.csr_array(
        (values, indices.T), shape=matrix.data.shape))[0]))  # fmt: skip
    assert repr(EntryKFold(3)) == "EntryKFold(n_splits=3, random_state=None)"


def test_folds_are_random(matrix):
    """Two entries of different rows and columns are in one fold as often as chance has it."""
    indices, _ = to_entries(matrix.data)
    a, b = 0, np.flatnonzero((indices[:, 0] > 0) & (indices[:, 1] != indices[0, 1]))[-1]
    same = 0
    for seed in range(300):
        fold = folds_of(EntryKFold(5, random_state=seed), indices)
        same += fold[a] == fold[b]
    assert 35 < same < 85


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([[0, 0], [1, 1]], "n_splits=5 needs as many entries at least, but X has 2"),
        (np.ones((9, 3)), "has 3 columns: to_entries"),
        (np.full((9, 2), 0.5), "integer indices"),
        (np.full((9, 2), -1), "non-negative"),
    ],
)
def test_splitter_refuses(indices, message):
    with pytest.raises(ValueError, match=message):
        list(EntryKFold().split(indices))


def test_splitter_refuses_its_parameters():
    with pytest.raises(ValueError, match="n_splits must be at least 2, got 1"):
        EntryKFold(1)
    with pytest.raises(TypeError, match="n_splits must be an integer"):
        EntryKFold(2.5)


FILLERS = [
    RobustMatrixCompletion(),
    RobustMatrixCompletion(replace="missing"),
    RobustPCA(),
    make_pipeline(RobustScaler(), RobustMatrixCompletion()),
    make_pipeline(RobustScaler(), RobustPCA()),
    make_pipeline("passthrough", RobustMatrixCompletion(), StandardScaler()),
]


@pytest.mark.parametrize("filler", FILLERS, ids=repr)
def test_held_out_entries_are_predicted(filler, matrix):
    indices, values = to_entries(matrix.data)
    model = EntryRegressor(filler, shape=matrix.data.shape)
    predicted = cross_val_predict(model, indices, values, cv=EntryKFold(3, random_state=0))
    assert_allclose(predicted, matrix.clean[tuple(indices.T)], atol=1e-8)


@pytest.mark.parametrize(
    "imputer",
    [
        SimpleImputer(strategy="median"),
        KNNImputer(),
        IterativeImputer(max_iter=1, tol=1e9, n_nearest_features=10, random_state=0),
    ],
    ids=lambda imputer: type(imputer).__name__,
)
def test_imputers_of_scikit_learn_are_judged_too(imputer, matrix):
    entries, cv = to_entries(matrix.data), EntryKFold(3, random_state=0)
    theirs = cross_val_score(EntryRegressor(imputer, shape=matrix.data.shape), *entries, cv=cv)
    ours = cross_val_score(EntryRegressor(RobustMatrixCompletion(), shape=matrix.data.shape), *entries, cv=cv)
    assert ours.min() > 0.999 > theirs.max()


def test_output_of_scalers_is_undone():
    """An imputer that changes nothing else must predict in the units of the input."""
    X = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan], [np.nan, 40.0]])
    scaled = EntryRegressor(make_pipeline(StandardScaler(), SimpleImputer()), shape=X.shape).fit(*to_entries(X))
    assert_allclose(scaled.filled_, SimpleImputer().fit_transform(X))


def test_large_matrices_stay_sparse(matrix):
    entries = to_entries(matrix.data)
    model = EntryRegressor(RobustMatrixCompletion(), shape=matrix.data.shape).fit(*entries)
    assert sparse.issparse(model.estimator_.outliers_)
    assert not hasattr(model, "filled_")


def test_entry_regressor_is_a_good_estimator(matrix):
    indices, values = to_entries(matrix.data)
    model = EntryRegressor(RobustMatrixCompletion(rank=3), shape=matrix.data.shape)
    assert clone(model).get_params()["estimator__rank"] == 3
    model.set_params(estimator__rank=4).fit(indices, values)
    assert model.estimator_.rank == 4
    assert model.estimator.get_params() == model.estimator_.get_params()
    assert not hasattr(model.estimator, "rank_")
    assert model.n_features_in_ == 2
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(indices), model.predict(indices))
    assert model.score(indices, values) == robust_r2_score(values, model.predict(indices))
    order = np.random.RandomState(0).permutation(len(values))
    shuffled = clone(model).fit(indices[order], values[order])
    assert_allclose(shuffled.predict(indices), model.predict(indices))


def test_entry_regressor_finds_the_shape():
    model = EntryRegressor(SimpleImputer()).fit([[0, 0], [2, 1]], [1.0, 2.0])
    assert model.shape_ == (3, 2)
    with pytest.raises(ValueError, match="column index 2"):
        model.predict([[0, 2]])


@pytest.mark.parametrize(
    ("X", "shape", "message"),
    [
        ([[0, 0], [0, 0], [1, 1]], None, "at most once, but 1 are repeated"),
        ([[0, 0], [0, 1], [1, 1]], (2, 3), "keep_empty_features=True"),
        ([[0, 0], [0, 1], [1, 4]], (2, 3), "column index 4"),
        (np.zeros((3, 3)), None, "to_entries"),
        ([[0, 0], [0, 0.5], [1, 1]], None, "integer indices"),
        ([[0, 0], [0, 1], [1, 1]], 5, "shape must be None or a pair"),
    ],
)
@pytest.mark.filterwarnings("ignore:Skipping features:UserWarning")
def test_entry_regressor_refuses(X, shape, message):
    with pytest.raises(ValueError, match=message):
        EntryRegressor(SimpleImputer(), shape).fit(X, [1.0, 2.0, 3.0])


def test_entry_regressor_refuses_before_fit():
    with pytest.raises(ValueError, match="not fitted"):
        EntryRegressor(SimpleImputer()).predict([[0, 0]])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_grid_search_over_a_parameter_of_the_filler(matrix):
    model = EntryRegressor(RobustMatrixCompletion(), shape=matrix.data.shape)
    search = GridSearchCV(model, {"estimator__rank": [1, 2]}, cv=EntryKFold(2, random_state=0), refit=False)
    assert search.fit(*to_entries(matrix.data)).best_params_ == {"estimator__rank": 2}


@pytest.mark.parametrize(
    "values",
    [
        np.array([["2020-01-01", "2021-05-05"]], dtype="M8[D]"),
        np.array([[np.timedelta64("NaT", "s"), np.timedelta64(1, "s")]]),
        [["x", 1.0]],
    ],
)
def test_dates_and_text_are_no_entries(values):
    """Times that are missing were numbers of 19 digits."""
    with pytest.raises(ValueError, match="X must hold numbers"):
        to_entries(values)


@pytest.mark.parametrize("estimator", [LinearRegression(), GridSearchCV(RobustMatrixCompletion(), {"rank": [1]})])
def test_an_estimator_that_fills_no_matrix_is_refused(estimator):
    with pytest.raises(TypeError, match="estimator must fill a matrix"):
        EntryRegressor(estimator).fit([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 1.0])


def test_an_estimator_that_leaves_entries_missing_is_refused(matrix):
    X, y = to_entries(np.where(np.random.RandomState(0).uniform(size=matrix.data.shape) < 0.9, matrix.data, np.nan))
    with pytest.raises(ValueError, match=r"StandardScaler left .* entries missing"):
        EntryRegressor(StandardScaler(), shape=matrix.data.shape).fit(X, y)
