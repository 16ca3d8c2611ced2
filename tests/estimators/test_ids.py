"""Entries given by ids of any size: the fit has a row for each that occurs, and predicts those that do not."""

import tracemalloc
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from cases import Recorder
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.model_selection import EntryKFold

ENTRIES = RobustLowRankRecovery(measurements="entries")
FITTED = ("left_", "singular_values_", "right_", "matrix_", "outliers_", "scale_", "rank_", "shape_")


def fit(X, y, **params):
    return RobustLowRankRecovery(measurements="entries", **params).fit(X, y)


@contextmanager
def quiet():
    """Fits to parts of the entries need not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".*not identifiable", UserWarning)
        yield


def assert_same_fit(one, other):
    for name in FITTED:
        assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.fixture(scope="module")
def problem():
    return make_corrupted_matrix((40, 30), rank=2, observed=0.7, outliers=0.1, mean=2.0, random_state=0)


@pytest.fixture(scope="module")
def entries(problem):
    """Indices in a random order, their values, and the fit that is given the shape."""
    X = np.random.RandomState(0).permutation(np.argwhere(problem.observed))
    y = problem.data[tuple(X.T)]
    return X, y, fit(X, y, shape=problem.data.shape)


@pytest.fixture(scope="module")
def ids():
    """Ids of rows and columns, of no order and far apart."""
    rng = np.random.RandomState(1)
    return [np.unique(rng.randint(10**7, 10**12, size=n)) for n in (40, 30)]


@pytest.fixture(scope="module")
def named(entries, ids):
    """The entries by ids, and their fit."""
    X, y, _ = entries
    X = np.column_stack([known[index] for known, index in zip(ids, X.T, strict=True)])
    return X, y, fit(X, y)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64])
def test_indices_that_all_occur_are_as_ever(entries, dtype):
    X, y, told = entries
    model = fit(X.astype(dtype), y)
    assert_same_fit(model, told)
    assert_array_equal(model.predict(X), told.predict(X))
    assert_array_equal(model.row_ids_, np.arange(40))
    assert_array_equal(model.column_ids_, np.arange(30))
    assert model.row_ids_.dtype == np.int64
    assert told.row_ids_ is None and told.column_ids_ is None


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64])
def test_ids_are_as_their_places(entries, ids, named, dtype):
    X, y, told = entries
    raw, _, model = named
    again = fit(raw.astype(dtype), y)
    assert_same_fit(again, told)
    assert_same_fit(model, told)
    assert_array_equal(model.row_ids_, ids[0])
    assert_array_equal(model.column_ids_, ids[1])
    for method in ("predict", "transform"):
        assert_array_equal(getattr(model, method)(raw.astype(dtype)), getattr(told, method)(X))
    assert model.score(raw, y) == told.score(X, y)


def test_ids_of_any_order(entries, problem):
    """Rows are those of the sorted ids."""
    X, y, _ = entries
    names = np.random.RandomState(2).permutation(1000)[:40]
    model = fit(np.column_stack([names[X[:, 0]], X[:, 1]]), y)
    assert_allclose(model.matrix_, problem.clean[np.argsort(names)], atol=1e-8)


def test_ids_in_the_millions_cost_nothing():
    """200 entries of a matrix that would have 1e14."""
    rng = np.random.RandomState(0)
    rows, cols = (np.sort(rng.randint(10**7, size=n)) for n in (16, 14))
    X = np.argwhere(np.ones((16, 14)))[:200]
    y = np.outer(rng.uniform(1, 2, 16), rng.uniform(1, 2, 14))[tuple(X.T)]
    X = np.column_stack([rows[X[:, 0]], cols[X[:, 1]]])
    fit(X, y)  # compiled
    tracemalloc.start()
    model = fit(X, y)
    folds = list(EntryKFold(3, random_state=0).split(X))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
    assert model.converged_ and model.matrix_.size < 300 and len(folds) == 3


def test_ids_that_fit_has_not_seen_are_typical(problem, ids, named):
    model = named[2]
    rows, columns = ids
    asked = [[5, columns[3]], [rows[7], 10**15], [5, 6], [rows[7], columns[3]], [0, columns[3]]]
    new_row, new_column, neither, known, another = model.predict(asked)
    left, right = np.median(model.left_, axis=0), np.median(model.right_, axis=0)
    s = model.singular_values_
    assert_allclose([new_row, new_column], [(left * s) @ model.right_[3], (model.left_[7] * s) @ right])
    assert_allclose([neither, another], [(left * s) @ right, new_row])
    assert_allclose(known, problem.clean[7, 3])
    # what is usual in the column, and in the row
    assert abs(new_row - np.median(problem.clean[:, 3])) < 0.3 * problem.clean[:, 3].std()
    assert abs(new_column - np.median(problem.clean[7])) < 0.3 * problem.clean[7].std()
    assert_allclose(model.transform(asked) @ s, model.predict(asked))
    assert_array_equal(np.isin(np.array(asked)[:, 0], model.row_ids_), [False, True, False, True, False])


def test_a_row_of_one_entry_does_not_move_the_typical_one(problem, named):
    """Its coefficients may have any size."""
    X, y, model = named
    X = np.vstack([X, [[7 + i, X[0, 1]] for i in range(12)]])
    with pytest.warns(UserWarning, match="12 rows of the matrix are not identifiable"):
        more = fit(X, np.append(y, np.full(12, 1e6)))
    assert len(more.row_ids_) == 52
    unseen = np.column_stack([np.full(30, 3), model.column_ids_])
    usual = np.median(problem.clean, axis=0)
    assert np.median(np.abs(more.predict(unseen) - usual)) < 0.5 * problem.clean.std()


@pytest.mark.parametrize(
    "cv", [EntryKFold(3, random_state=0), KFold(3, shuffle=True, random_state=0)], ids=["entries", "rows"]
)
def test_cross_validation_over_entries(named, cv):
    """No shape is given, and some ids occur in one entry alone, which a fold may hold out."""
    X, y, _ = named
    X = np.vstack([X, [[1, X[0, 1]], [X[0, 0], 2], [3, 4]]])
    y = np.append(y, [1.0, 2.0, 3.0])
    with quiet():
        scores = cross_val_score(ENTRIES, X, y, cv=cv, error_score="raise")
        search = GridSearchCV(ENTRIES, {"rank": [1, 3]}, cv=cv, error_score="raise").fit(X, y)
    assert scores.min() > 0.999
    assert search.best_params_ == {"rank": 3}
    assert len(search.best_estimator_.row_ids_) == 42


def test_whole_rows_are_held_out(named):
    """New users: as good as what is usual for each item, and no better."""
    X, y, _ = named
    with quiet():
        scores = cross_val_score(ENTRIES, X, y, groups=X[:, 0], cv=GroupKFold(4), error_score="raise")
    assert np.all((scores > -1.0) & (scores < 0.9))


def test_symmetric_matrices_have_the_same_ids_on_both_sides():
    rng = np.random.RandomState(0)
    factor = rng.standard_normal((20, 2))
    truth = factor @ factor.T
    X = np.argwhere(np.triu(np.ones((20, 20))))
    y = truth[tuple(X.T)]
    upper = X[:, 0] < X[:, 1]
    y[np.flatnonzero(upper)[::15]] += 10
    names = np.sort(rng.randint(10**9, size=20))
    told = fit(X, y, symmetric=True, shape=(20, 20))
    for index in (slice(None), upper):  # above the diagonal the last id is never that of a row, the first of a column
        model = fit(names[X][index], y[index], symmetric=True)
        assert_array_equal(model.row_ids_, names)
        assert_array_equal(model.column_ids_, names)
        assert_allclose(model.matrix_, truth, atol=1e-6)
    assert_same_fit(fit(names[X], y, symmetric=True), told)


def test_warm_starts_are_of_the_same_ids(named):
    X, y, model = named
    warm = RobustLowRankRecovery(measurements="entries", warm_start=True).fit(X, y)
    assert warm.fit(X, 1.001 * y).n_iter_ < model.n_iter_
    shifted = X + 1
    assert_same_fit(warm.fit(shifted, y), model)  # as many, but others
    assert_array_equal(warm.row_ids_, model.row_ids_ + 1)


def test_what_was_learnt_of_ids_is_forgotten_with_another_shape(entries, named):
    X, y, told = entries
    model = fit(named[0], y).set_params(shape=(40, 30)).fit(X, y)
    assert model.row_ids_ is None
    assert_array_equal(model.predict(X), told.predict(X))
    with pytest.raises(ValueError, match="row index 40"):
        model.predict([[40, 0]])


def test_callbacks_predict_by_ids(named):
    X, y, _ = named
    scores = []
    recorder = Recorder(look=lambda task, model: model is None or scores.append(model.score(X, y)))
    RobustLowRankRecovery(measurements="entries").set_callbacks(recorder).fit(X, y)
    assert max(scores) > 0.999


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([[0.5, 1.0]], "integer indices, got 0.5"),
        ([[1e17, 0]], "integers"),
    ],
)
def test_what_is_no_id_is_refused(named, asked, message):
    with pytest.raises(ValueError, match=message):
        named[2].predict(asked)


def test_folds_do_not_depend_on_names(entries, named):
    one, other = (list(EntryKFold(3, random_state=0).split(X)) for X in (entries[0], named[0]))
    for (train, test), (train_too, test_too) in zip(one, other, strict=True):
        assert_array_equal(train, train_too)
        assert_array_equal(test, test_too)


def test_rows_that_do_not_occur_are_not_fitted(problem):
    """Of a matrix with an empty row, without its shape: no row of zeros."""
    X = np.argwhere(problem.observed)
    y = problem.data[problem.observed]
    keep = X[:, 0] != 17
    model = fit(X[keep], y[keep])
    assert model.shape_ == (39, 30) and 17 not in model.row_ids_
    assert relative_recovery_error(np.delete(problem.clean, 17, axis=0), model.matrix_) < 1e-8


def test_ids_that_an_encoder_has_not_seen_are_those_of_nobody():
    """What OrdinalEncoder(unknown_value=-1) makes of a new user is a typical one; in `fit` it is refused."""
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 30)) + 3.0
    X = np.argwhere(rng.uniform(size=truth.shape) < 0.7)
    y = truth[tuple(X.T)]
    names = np.array([f"u{i}" for i in X[:, 0]]), np.array([f"film {j}" for j in X[:, 1]])
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(encoder, RobustLowRankRecovery(measurements="entries")).fit(np.column_stack(names), y)
    assert_allclose(model.predict([["u3", "film 7"]]), truth[3, 7], rtol=1e-8)
    new, other = model.predict([["somebody", "film 7"], ["somebody else", "film 7"]])
    assert np.isfinite(new) and new == other
    with pytest.raises(ValueError, match="non-negative"):
        RobustLowRankRecovery(measurements="entries").fit([[-1, 0], [0, 1]], [1.0, 2.0])


def test_errors_of_many_entries():
    """Evenly spaced entries stand for all: none beyond the last is asked for."""
    p = make_corrupted_matrix((290, 120), rank=3, observed=0.13, outliers=0.05, noise=0.2, random_state=10)
    model = RobustLowRankRecovery(measurements="entries").fit(np.argwhere(p.observed), p.data[p.observed])
    assert np.isfinite(model.predict([[0, 0]], return_std=True)[1]).all()


def test_rows_that_nothing_confirms_are_listed():
    """As many entries of a row as the rank are met whatever they are: a single wrong one is no exact row."""
    n_lost = 0
    for seed in range(4):
        rng = np.random.RandomState(seed)
        truth = np.outer(rng.standard_normal(100), rng.standard_normal(12))
        rows, cols = np.nonzero(rng.uniform(size=truth.shape) < 0.35)
        y = truth[rows, cols]
        wrong = rng.uniform(size=len(y)) < 0.1
        y[wrong] += 50.0 * rng.standard_normal(wrong.sum())
        model = RobustLowRankRecovery(measurements="entries", shape=truth.shape)
        with pytest.warns(UserWarning, match="not identifiable"):
            model.fit(np.column_stack([rows, cols]), y)
        assert model.stop_reason_ == "exact"
        places = np.indices(truth.shape).reshape(2, -1).T
        estimate, std = (part.reshape(truth.shape) for part in model.predict(places, return_std=True))
        lost = np.abs(estimate - truth).max(axis=1) > 1e-6
        assert np.isin(np.flatnonzero(lost), model.undetermined_rows_).all()
        assert np.isinf(std[lost]).all() and np.mean(std == 0.0) > 0.8
        n_lost += lost.sum()
    assert n_lost >= 3


@pytest.mark.filterwarnings("ignore:.*not identifiable")
def test_an_entry_of_the_diagonal_confirms_a_row_of_a_symmetric_matrix_once():
    """Two equations for two unknowns, one of them wrong."""
    rng = np.random.RandomState(8)
    factor = rng.standard_normal((30, 2))
    truth = factor @ factor.T
    rows, cols = np.nonzero(np.triu(rng.uniform(size=truth.shape) < 0.8))
    kept = (rows > 0) & (cols > 0)
    pairs = np.column_stack([np.append(rows[kept], [0, 0]), np.append(cols[kept], [0, 5])])
    y = truth[pairs[:, 0], pairs[:, 1]]
    y[-2] *= 1.7
    model = RobustLowRankRecovery(measurements="entries", shape=(30, 30), symmetric=True).fit(pairs, y)
    assert model.stop_reason_ == "exact" and model.undetermined_rows_.tolist() == [0]
    _, std = model.predict([[0, 0], [0, 7], [3, 4]], return_std=True)
    assert_array_equal(std, [np.inf, np.inf, 0.0])
