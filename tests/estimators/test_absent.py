"""What an entry is that a sparse matrix does not store: missing or zero, as `absent` says."""

import warnings

import numpy as np
import pytest
from cases import BOTH
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.model_selection import EntryRegressor, to_entries
from sklearn_robustlr.plotting import OutlierDisplay

ATTRIBUTES = ("singular_values_", "location_", "scale_", "threshold_", "outliers_", "undetermined_rows_")


def sparse_table(noise, rng, dtype=np.float64):
    """A matrix of rank 2, half of it zeros (rows of one part of the columns each), with gross errors in both halves."""
    X = np.zeros((60, 40))
    X[:30, :20] = np.outer(rng.uniform(1, 2, 30), rng.uniform(1, 2, 20))
    X[30:, 20:] = np.outer(rng.uniform(1, 2, 30), rng.uniform(1, 2, 20))
    X[X != 0] += noise * rng.standard_normal(np.count_nonzero(X))
    X[rng.uniform(size=X.shape) < 0.05] += 20.0
    return X.astype(dtype)


def test_what_a_masked_array_masks_is_missing():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 20))
    mask = rng.uniform(size=X.shape) < 0.2
    masked, plain = np.ma.MaskedArray(np.where(mask, 999.0, X), mask), np.where(mask, np.nan, X)
    model, expected = RobustMatrixCompletion().fit(masked), RobustMatrixCompletion().fit(plain)
    assert_array_equal(model.left_, expected.left_)
    assert_array_equal(model.transform(masked), expected.transform(plain))
    indices, values = to_entries(masked)
    assert_array_equal(indices, np.argwhere(~mask))
    assert_array_equal(values, X[~mask])
    numbers = np.ma.MaskedArray(np.arange(60).reshape(20, 3), np.eye(20, 3, dtype=bool))
    assert_array_equal(RobustPCA(1).fit(numbers).mean_, RobustPCA(1).fit(numbers.astype(float).filled(np.nan)).mean_)


def same_bits(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
    assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("estimator", "kind", "noise"),
    [
        *((estimator, sparse.csr_array, 0.1) for estimator in BOTH),
        (BOTH[0], sparse.csc_matrix, 0.0),
        (BOTH[1], sparse.coo_array, 0.0),
    ],
)
def test_zeros_are_those_of_the_dense_array(estimator, noise, kind, rng):
    X = sparse_table(noise, rng, np.float32 if kind is sparse.csc_matrix else np.float64)
    stored = sparse.csr_array(X)
    stored.data[::17] = np.nan  # missing, whatever is not stored
    stored = kind(stored)
    X = stored.toarray()
    assert np.isnan(X).any() and (X == 0).mean() > 0.4
    ours, dense = (clone(estimator).set_params(absent=absent) for absent in ("zero", "missing"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = ours.fit_transform(stored), dense.fit_transform(X)
    same_bits(a, b)
    same_bits(ours.transform(stored), b)
    same_bits(ours.transform(X), b)  # of a dense array it says nothing
    for name in ATTRIBUTES:
        same_bits(getattr(ours, name), getattr(dense, name))
    assert ours.score(stored) == dense.score(X)
    one, other = (OutlierDisplay.from_estimator(*pair) for pair in ((ours, stored), (dense, X)))
    same_bits(one.residual, other.residual)


def test_defaults_are_those_of_what_they_stand_in_for(rng):
    X = sparse_table(0.0, rng)
    clean = np.where(X > 10, X - 20, X)
    pca = RobustPCA().fit(sparse.csr_array(X))
    assert pca.n_components_ == 2
    np.testing.assert_allclose(
        pca.explained_variance_, PCA(2, svd_solver="arpack").fit(sparse.csr_array(clean)).explained_variance_
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        completion = RobustMatrixCompletion().fit(sparse.csr_array(X))
    assert sparse.issparse(completion.outliers_) and completion.absent == "missing"


@pytest.mark.parametrize(("estimator", "value"), list(zip(BOTH, (1.0, -2.5), strict=True)))
def test_one_stored_value_and_nothing_else_is_warned_of(estimator, value, rng):
    """One-hot columns: their ones alone are a matrix of ones."""
    seen = rng.uniform(size=(40, 30)) < 0.6
    X = sparse.csr_array((np.full(seen.sum(), value), np.nonzero(seen)), shape=seen.shape)
    model = clone(estimator).set_params(absent="missing")
    said = rf"All {seen.sum()} stored values of the sparse X are {value:g}, .*'zero'"
    with pytest.warns(UserWarning, match=said) as caught:
        model.fit(X)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.transform(X)  # said once
        warnings.filterwarnings("ignore", "(?!.*stored values of the sparse X)", UserWarning)
        clone(estimator).set_params(absent="zero").fit(X)
        model.fit(sparse.csr_array(np.full((5, 4), value)))  # all of it is stored
        X.data[0] += 1.0
        model.fit(X)


def test_entries_that_are_not_given_to_a_regressor_are_not_zeros(small):
    entries = to_entries(small.data)
    models = [
        EntryRegressor(RobustMatrixCompletion(absent=absent), shape=small.data.shape).fit(*entries)
        for absent in ("missing", "zero")
    ]
    same_bits(models[0].predict(entries[0]), models[1].predict(entries[0]))
    assert models[1].estimator.absent == "zero"


def test_memory_is_asked_for_before_a_matrix_is_made_dense(available_memory, small):
    model = RobustPCA().fit(small.data)
    wide = sparse.csr_array(([1.0, 2.0], ([0, 5], [3, 29])), shape=(1_000_000, 30))
    available_memory(100_000_000)
    with pytest.raises(MemoryError, match=r"the dense array of these data \(absent='zero'\) takes about 0.24 GB"):
        model.transform(wide)
    with pytest.raises(MemoryError, match=r"as a dense array \(absent='zero'\) takes about .* GB"):
        RobustPCA().fit(wide)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_estimates_in_place_of_huge_errors_are_those_of_the_dense_array(dtype):
    """They were what is observed plus the residual: of values next to 1e20 nothing is left."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((80, 2)) @ rng.standard_normal((2, 30))
    data = clean.copy()
    data[rng.uniform(size=clean.shape) < 0.05] = 1e20 if dtype is np.float64 else 1e8
    seen = rng.uniform(size=clean.shape) < 0.7
    stored = sparse.csr_matrix((data[seen].astype(dtype), np.nonzero(seen)), shape=clean.shape)
    model = RobustMatrixCompletion().fit(stored)
    assert_allclose(model.transform(stored).toarray()[seen], clean[seen], atol=1e-5)
    low, high = (end.toarray()[seen] for end in model.predict_interval(stored))
    assert_allclose((low + high) / 2.0, clean[seen], atol=1e-5)
