"""Passes over rows beside the kernels; what is computed of a row depends on nothing but the row."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr._kernels.posterior import diagonal_moments, entry_means, posterior_rows, relax_rows
from sklearn_robustlr._model.columns import Columns
from sklearn_robustlr._model.noise import NoiseLaw
from sklearn_robustlr._model.row_passes import row_passes
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._utils.linalg import pack

K, P = 4, 20


def rows_of(rng, n, density):
    """Places of the entries of rows, one of them empty; targets and weights."""
    seen = rng.uniform(size=(n, P)) < density
    seen[n // 2 : n // 2 + 1] = False
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
    cols = np.nonzero(seen)[1].astype(np.int32)
    return indptr, cols, rng.standard_normal(len(cols)), rng.uniform(0.0, 2.0, len(cols))


def passed(indptr, cols, target, weight, columns, start, n_threads=1):
    """What each pass fills."""
    loadings, variances, prior = columns
    passes = row_passes(indptr, cols, P)
    n = len(indptr) - 1
    mean, variance, (fitted, spread, means) = start.copy(), np.empty((n, K)), np.empty((3, len(cols)))
    placed = passes.placed(target), passes.placed(weight)
    passes.relax(*placed, loadings, variances, prior, mean, variance, n_threads=n_threads)
    passes.moments(mean, variance, loadings, variances, fitted, spread, n_threads=n_threads)
    passes.means(mean, loadings, means)
    exact, covariance = np.empty((n, K)), np.empty((n, K * (K + 1) // 2))
    passes.posterior(*placed, loadings, pack(variances[:, :, None] * np.eye(K)), prior, exact, covariance)
    return mean, variance, fitted, spread, means, exact, covariance


@pytest.fixture
def columns(rng):
    return rng.standard_normal((P, K)), rng.uniform(0.0, 0.1, (P, K)), rng.uniform(0.5, 2.0, K)


@pytest.mark.parametrize("density", [0.1, 0.8, 1.0])
@pytest.mark.parametrize("n", [9, 32, 75])
def test_passes_are_those_of_the_kernels(rng, columns, n, density):
    data, start = rows_of(rng, n, density), rng.standard_normal((n, K))
    few = row_passes(np.zeros(2, int), data[1][:0], P)
    assert (type(row_passes(*data[:2], P)) is type(few)) == (density < 0.5)
    own = passed(*data, columns, start)
    for other in passed(*data, columns, start, n_threads=3), expected(*data, columns, start):
        for one, two in zip(own, other, strict=True):
            assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def expected(indptr, cols, target, weight, columns, start):
    loadings, variances, prior = columns
    n = len(indptr) - 1
    mean, variance, (fitted, spread, means) = start.copy(), np.empty((n, K)), np.empty((3, len(cols)))
    relax_rows(0, n, indptr, cols, target, weight, loadings, variances, prior, 2, mean, variance)
    diagonal_moments(0, n, indptr, cols, mean, variance, loadings, variances, fitted, spread)
    entry_means(indptr, cols, mean, loadings, means)
    exact, covariance = np.empty((n, K)), np.empty((n, K * (K + 1) // 2))
    packed = pack(variances[:, :, None] * np.eye(K))
    posterior_rows(indptr, cols, target, weight, loadings, packed, prior, exact, covariance)
    return mean, variance, fitted, spread, means, exact, covariance


@pytest.mark.parametrize("density", [0.2, 0.8])
def test_no_rows(columns, rng, density):
    indptr, cols, target, weight = rows_of(rng, 0, density)
    for found in passed(indptr, cols, target, weight, columns, np.zeros((0, K))):
        assert len(found) == 0


def test_a_row_depends_on_no_other_and_on_no_thread(rng, columns):
    """But for rounding, on the rows before it."""
    data, start = rows_of(rng, 1500, 0.8), rng.standard_normal((1500, K))
    indptr, cols, target, weight = data
    own, side_by_side = passed(*data, columns, start), passed(*data, columns, start, n_threads=3)
    for one, two in zip(own, side_by_side, strict=True):
        assert_array_equal(one, two)
    for first, last in ((0, 2), (31, 33), (117, 1450)):
        some = slice(indptr[first], indptr[last])
        part = indptr[first : last + 1] - indptr[first], cols[some], target[some], weight[some]
        alone = passed(*part, columns, start[first:last])
        for i, (whole, few) in enumerate(zip(own, alone, strict=True)):
            assert_allclose(whole[some] if i in (2, 3, 4) else whole[first:last], few, rtol=1e-9, atol=1e-12)


def test_rows_of_many_and_of_few_entries_are_regressed_as_they_are_alone(rng):
    """With weights of entries and rows, and noise variances of rows."""
    n = 60
    seen = rng.uniform(size=(n, P)) < np.where(np.arange(n) % 3 == 0, 0.2, 0.9)[:, None]
    data = np.where(seen, rng.standard_normal((n, K)) @ rng.standard_normal((K, P)), np.nan)
    entries = Entries(data)
    entries = entries.weighted(rng.uniform(0.5, 2.0, len(entries.y)))
    table = Table.of(entries, np.zeros(P), np.ones(P))
    table.row_weight = rng.randint(1, 4, n).astype(float)
    law = replace(NoiseLaw.start(np.full(P, 0.04), True), freedom=4.0)
    columns = Columns(rng.standard_normal((P, K)), np.full((P, K * (K + 1) // 2), 0.0), np.zeros(P), law)
    whole = regress(table, columns)
    for i in range(n):
        alone = regress(table.of_rows(np.arange(n) == i), columns)
        own = slice(*table.indptr[i : i + 2])
        for name in ("means", "covariances", "noise", "prior"):
            assert_allclose(getattr(whole, name)[i], getattr(alone, name)[0], rtol=1e-8, atol=1e-12, err_msg=name)
        for name in ("precision", "gross"):
            assert_allclose(getattr(whole, name)[own], getattr(alone, name), rtol=1e-8, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_rows_of_an_approximation_are_those_of_any_batch(rng, share):
    """Some rows have many entries, and some of them few."""
    X = (rng.standard_normal((200, 40)) / np.arange(1, 41)) @ np.linalg.qr(rng.standard_normal((40, 40)))[0]
    X[rng.uniform(size=X.shape) < np.where(rng.uniform(size=(200, 1)) < share, 0.8, 0.1)] = np.nan
    model = RobustMatrixCompletion(replace="all").fit(X)
    assert model.stop_reason_ == "approximate"
    whole = model.transform(X)
    for rows in (slice(0, 1), slice(57, 90), slice(None, None, 7)):
        assert_allclose(model.transform(X[rows]), whole[rows], rtol=0.0, atol=1e-13)
