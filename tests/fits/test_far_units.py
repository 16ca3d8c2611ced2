"""Columns in units that are far apart: the fit is that of columns in even units."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_wine

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix


def draw(seed, noise=0.0):
    """A matrix of a sharp rank with errors and holes, and units of its columns from 1e-6 to 1e6."""
    rng = np.random.RandomState(seed)
    shape = ((200, 20), (300, 16), (100, 80), (60, 40))[seed % 4]
    problem = make_corrupted_matrix(shape, rank=3, observed=0.8, outliers=0.1, noise=noise, random_state=seed)
    return problem, 10.0 ** rng.uniform(-6, 6, shape[1])


@pytest.mark.parametrize("seed", range(4))
def test_an_exact_rank_is_found(seed):
    """Of 60 such matrices 16 were exact; the others had errors up to 0.15 and took ten times as long."""
    problem, units = draw(seed)
    X = problem.data * units
    model, even = (RobustMatrixCompletion(replace="all").fit(data) for data in (X, problem.data))
    assert model.stop_reason_ == even.stop_reason_ == "exact" and model.rank_ == even.rank_ == 3
    assert_array_equal(model.outliers_, even.outliers_)
    assert_allclose(model.transform(X) / units, problem.clean, atol=1e-8)
    assert_allclose(model.location_ / units, even.location_, atol=1e-8)
    rows, columns = np.indices(X.shape).reshape(2, -1)
    entries = model.predict_entries(rows, columns).reshape(X.shape)
    assert_allclose(entries / units, problem.clean, atol=1e-8)
    assert model.score(X) > 1.0 - 1e-9


def test_rows_that_come_later():
    problem, units = draw(0)
    X, first = problem.data * units, 150
    model = RobustMatrixCompletion(warm_start=True).fit(X[:first])
    assert_array_equal(model.detect_outliers(X[first:]), problem.outliers[first:])
    repaired = problem.clean.copy()
    assert_allclose(model.transform(X) / units, repaired, atol=1e-8)
    strange = np.where(np.arange(20) % 2 == 0, X[first:], X[first:][::-1])
    assert np.median(model.score_samples(strange)) < np.median(model.score_samples(X[first:]))
    iterations = model.n_iter_
    model.fit(X)
    assert model.stop_reason_ == "exact" and model.n_iter_ < iterations
    stream = RobustMatrixCompletion()
    for lo in (0, 100):
        stream.partial_fit(X[lo : lo + 100])
    assert stream.stop_reason_ == "exact"
    assert_allclose(stream.transform(X) / units, repaired, atol=1e-8)


@pytest.mark.parametrize("form", ["sparse", "float32"])
def test_forms_of_data(form):
    problem, units = draw(1)
    X, tolerance = problem.data * units, 1e-8
    if form == "float32":
        units = np.sqrt(units)  # further apart, columns would be rounding beside others
        X, tolerance = (problem.data * units).astype(np.float32), 1e-4
    else:
        seen = np.isfinite(X)
        X = sparse.csr_array((X[seen], np.nonzero(seen)), shape=X.shape)
    model = RobustMatrixCompletion(absent="missing").fit(X)
    assert model.stop_reason_ == "exact" and sparse.issparse(model.outliers_) == (form == "sparse")
    rows, columns = np.indices(X.shape).reshape(2, -1)
    assert_allclose(model.predict_entries(rows, columns).reshape(X.shape) / units, problem.clean, atol=tolerance)


def test_noise_is_in_the_units_of_columns():
    """Three of four fits were approximate; the estimates were 0 to 40 % further from the matrix."""
    problem, units = draw(3, noise=0.1)
    X, hidden = problem.data * units, ~np.isfinite(problem.data)
    model, even = (RobustMatrixCompletion(replace="all").fit(data) for data in (X, problem.data))
    assert model.stop_reason_ == even.stop_reason_ == "noisy"
    (filled, std), other = model.transform(X, return_std=True), even.transform(problem.data)
    error, usual = (np.sqrt(np.mean((table - problem.clean)[hidden] ** 2)) for table in (filled / units, other))
    assert error < 1.1 * usual
    assert 0.8 < np.mean(np.abs(filled / units - problem.clean)[hidden] < 1.645 * (std / units)[hidden]) < 0.97
    assert np.mean(model.outliers_ == even.outliers_) > 0.999


def test_an_approximate_fit_is_the_same():
    X = load_wine().data
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.2] = np.nan
    units = 10.0 ** np.random.RandomState(1).uniform(-6, 6, X.shape[1])
    model, even = RobustMatrixCompletion(replace="all").fit(X * units), RobustMatrixCompletion(replace="all").fit(X)
    assert model.stop_reason_ == even.stop_reason_ == "approximate"
    spread = np.nanstd(X, axis=0)
    (filled, std), (other, error) = (m.transform(t, return_std=True) for m, t in ((model, X * units), (even, X)))
    assert_allclose(filled / units / spread, other / spread, atol=1e-6)
    assert_allclose(std / units / spread, error / spread, atol=1e-6)
    assert_allclose(model.expected_error_, even.expected_error_, atol=1e-6)
    assert_array_equal(model.outliers_, even.outliers_)


def test_rounding_has_no_unit_of_its_own():
    """Columns of zeros but for rounding are met as they are."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 20))
    X[:, [3, 7]] = 1e-16 * rng.standard_normal((80, 2))
    data = np.where(rng.uniform(size=X.shape) < 0.1, X + 10.0 * rng.standard_normal(X.shape), X)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "exact"
    assert_allclose(model.transform(data), X, atol=1e-8)


def test_components_are_those_of_the_matrix():
    """In such units a component is a column, and the smaller ones are rounding."""
    problem, units = draw(1)
    units = units ** (1.0 / 3.0)
    ours, clean = RobustPCA(2).fit(problem.data * units), RobustPCA(2).fit(problem.clean * units)
    assert ours.stop_reason_ == "exact"
    assert_allclose(ours.explained_variance_, clean.explained_variance_, rtol=1e-9)
    assert_allclose(np.abs(ours.components_), np.abs(clean.components_), atol=1e-8)


@pytest.mark.parametrize(("size", "tolerance"), [(1e6, 1e-8), (1e11, 1e-12)])
def test_errors_of_a_column_are_no_unit(size, tolerance):
    """Two fifths of one column are huge, all to one side: the others are met, and the larger the errors the better."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 20))
    wrong = rng.uniform(size=120) < 0.4
    data = X.copy()
    data[wrong, 5] += size
    model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "exact"
    assert_array_equal(model.outliers_[:, 5], wrong)
    assert_allclose(model.transform(data), X, atol=tolerance)


def test_units_that_only_some_rows_have():
    """Every third row is in units of its own, by column; the rows that are looked at first are such."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 8)) + 0.1 * rng.standard_normal((300, 8))
    X[::3] *= 10.0 ** np.linspace(0, 6, 8)
    model = RobustMatrixCompletion().fit(X)
    assert np.isfinite(model.transform(X)).all()
