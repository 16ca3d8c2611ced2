"""What both estimators of a matrix share: forms of input and output, types, pickles, what they refuse."""

import pickle

import numpy as np
import pandas as pd
import pytest
from cases import BOTH
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error


@pytest.mark.parametrize("estimator", BOTH)
def test_fit_transform_is_fit_and_transform(estimator, noisy):
    a = clone(estimator).fit_transform(noisy.data)
    assert_array_equal(a, clone(estimator).fit(noisy.data).transform(noisy.data))


def test_float32_is_kept(noiseless):
    fitted = RobustMatrixCompletion()
    out = fitted.fit_transform(noiseless.data.astype(np.float32))
    assert out.dtype == fitted.left_.dtype == fitted.singular_values_.dtype == np.float32
    assert relative_recovery_error(noiseless.clean, out) < 1e-3
    pca = RobustPCA().fit(noiseless.data.astype(np.float32))
    assert (
        pca.components_.dtype == pca.mean_.dtype == pca.transform(noiseless.data.astype(np.float32)).dtype == np.float32
    )


def test_integers():
    p = make_corrupted_matrix((60, 40), rank=1, outliers=0, random_state=0)
    data = np.outer(np.arange(1, 61), np.arange(1, 41))
    data[p.clean > 1] = 7777
    out = RobustMatrixCompletion().fit_transform(data)
    assert_allclose(out, np.outer(np.arange(1, 61), np.arange(1, 41)), rtol=1e-8)


def test_pandas_in_and_out(noiseless):
    frame = pd.DataFrame(noiseless.data, columns=[f"c{j}" for j in range(60)])
    fitted = RobustMatrixCompletion().set_output(transform="pandas")
    out = fitted.fit_transform(frame)
    assert list(out.columns) == list(frame.columns)
    assert_allclose(out.to_numpy(), noiseless.clean, atol=1e-8)
    scores = RobustPCA().set_output(transform="pandas").fit_transform(frame)
    assert list(scores.columns) == ["robustpca0", "robustpca1", "robustpca2"]


def as_sparse(data, kind=sparse.csr_array):
    seen = np.isfinite(data)
    return kind((data[seen], np.nonzero(seen)), shape=data.shape)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_stored_is_observed(noiseless, completion, pca, kind):
    X = as_sparse(noiseless.data, kind)
    fitted = RobustMatrixCompletion().fit(X)
    assert_allclose(fitted.singular_values_, completion.singular_values_)
    assert_array_equal(fitted.outliers_.toarray(), completion.outliers_)
    out = fitted.transform(X)
    assert sparse.issparse(out)
    assert out.nnz == X.nnz
    assert_allclose(out.toarray()[noiseless.observed], noiseless.clean[noiseless.observed], atol=1e-8)
    i, j = np.nonzero(~noiseless.observed)
    assert_allclose(fitted.predict_entries(i, j), noiseless.clean[i, j], atol=1e-8)
    assert_allclose(RobustPCA(absent="missing").fit(X).transform(X), pca.transform(noiseless.data), atol=1e-8)


def test_sparse_stored_zero_is_a_value_and_stored_nan_is_missing(noiseless, rng):
    X = as_sparse(noiseless.data, sparse.csr_array)
    X.data[7] = np.nan
    data = noiseless.data.copy()
    data[X.tocoo().row[7], X.tocoo().col[7]] = np.nan
    assert_array_equal(
        RobustMatrixCompletion().fit(X).outliers_.toarray(), RobustMatrixCompletion().fit(data).outliers_
    )
    X = sparse.csr_array(np.ones((20, 15)))
    X.data[rng.uniform(size=300) < 0.15] = 0.0
    out = RobustMatrixCompletion().fit_transform(X)
    assert_allclose(out.toarray(), 1.0, atol=1e-8)  # zeros that are stored were seen, and are wrong


def test_duplicates_in_a_sparse_matrix_are_summed_as_scipy_does(noiseless, completion):
    X = as_sparse(noiseless.data, sparse.coo_array)
    row, col = X.coords
    twice = sparse.coo_array((np.r_[X.data / 2, X.data / 2], (np.r_[row, row], np.r_[col, col])), shape=X.shape)
    assert_allclose(RobustMatrixCompletion().fit(twice).singular_values_, completion.singular_values_)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: np.vstack([X, X[:20]]),
        lambda X: np.asfortranarray(X),
        lambda X: X[::2],
        lambda X: X.astype(object),
    ],
    ids=["duplicated rows", "F order", "strides", "objects"],
)
def test_odd_data(noiseless, change):
    data = noiseless.data.copy()
    fitted = RobustMatrixCompletion(replace="all")
    out = fitted.fit_transform(change(data))
    truth = np.asarray(change(noiseless.clean), dtype=float)
    assert_allclose(out, truth, atol=1e-8)
    assert_array_equal(data, noiseless.data)


def test_score_sees_only_held_out_entries(noisy, noisy_completion):
    fitted = noisy_completion
    signal = 1 - (0.1 / noisy.clean.std()) ** 2
    assert fitted.score(noisy.data) == fitted.score(noisy.data)
    assert abs(fitted.score(noisy.data) - signal) < 0.02
    # rows of pure noise: a regression that saw the entry it predicts would explain part of it
    rng = np.random.RandomState(0)
    noise = rng.standard_normal((400, 80))
    noise[rng.uniform(size=noise.shape) < 0.9] = np.nan
    assert fitted.score(noise) < 0.0


@pytest.mark.parametrize("estimator", BOTH)
def test_pickle(estimator, noisy):
    fitted = clone(estimator).fit(noisy.data)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(noisy.data), fitted.transform(noisy.data))


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((4, 3), np.nan), "no observed entry: all 4 x 3 values are missing"),
        (np.array([[1.0, 2.0], [2.0, np.inf]]), "infinity .* in column 1, first in row 1: set it to NaN"),
        (np.array([[1.0, 2j], [2.0, 3.0]]), "Complex"),
        (np.array([["a", "b"], ["c", "d"]]), "X must hold numbers, got the text 'a'"),
        (np.empty((4, 0)), "0 feature"),
        (np.empty((0, 4)), "0 sample"),
        (np.arange(4.0), "2D array"),
        (sparse.csr_array(([1.0, np.inf], ([0, 1], [0, 2])), shape=(3, 3)), "infinity .* in column 2, first in row 1"),
        (pd.DataFrame({"a": [np.inf, 1.0], "b": [np.nan, -np.inf]}), "infinity .* in columns 'a', 'b', first in row 0"),
        (pd.DataFrame({"a": [1.0, None], "b": [2.0, np.inf]}, dtype="Float64"), "infinity .* in column 'b'"),
        (sparse.csr_array((3, 3)), "no observed entry"),
    ],
)
def test_bad_data(estimator, data, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).set_params(absent="missing").fit(data)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be from 1 to min.shape. = 60, got 0"),
        ({"rank": 61}, ValueError, "rank must be from 1 to min.shape. = 60, got 61"),
        ({"rank": 2.5}, TypeError, "rank must be an integer or None, got 2.5"),
        ({"replace": "both"}, ValueError, "replace must be one of .*, got 'both'"),
        ({"absent": None}, ValueError, "absent must be one of .'missing', 'zero'., got None"),
        ({"init_scale": 0}, ValueError, "init_scale must be from 1e-15 to 10, got 0"),
        ({"step_size": "fast"}, ValueError, "step_size must be one of"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"n_init": 0}, ValueError, "n_init must be at least 1"),
        ({"polish": 1}, TypeError, "polish must be True or False"),
    ],
)
def test_bad_parameters(noiseless, parameters, error, message):
    with pytest.raises(error, match=message):
        RobustMatrixCompletion(**parameters).fit(noiseless.data)
