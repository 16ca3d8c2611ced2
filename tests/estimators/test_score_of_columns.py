"""The score of a table is in the units of each column: units and means of the columns do not matter."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_wine

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


def of_unrelated_columns(seed, means):
    X = np.random.RandomState(seed).standard_normal((120, 12)) + means * np.arange(12)
    with warnings.catch_warnings():  # without means there is nothing to find
        warnings.simplefilter("ignore")
        return RobustMatrixCompletion().fit(X), X


@pytest.fixture(scope="module")
def wine():
    """A table and its fit."""
    X = load_wine().data
    return X, RobustMatrixCompletion().fit(X)


@pytest.fixture(scope="module")
def ninety():
    """Some rows of it and the score of their fit."""
    X = load_wine().data[:90]
    return X, RobustMatrixCompletion().fit(X).score(X)


@pytest.mark.parametrize("unit, mean", [(1e3, 0.0), (1e-3, 1.0)])
def test_score_does_not_depend_on_units_and_means(ninety, unit, mean):
    X, score = ninety
    factor = np.where(np.arange(13) % 2, unit, 1.0)
    other = X * factor + mean * factor * np.arange(13)
    assert RobustMatrixCompletion().fit(other).score(other) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("means", [0.0, 100.0])
def test_columns_with_nothing_in_common_have_no_score(means):
    # the means of the columns, far apart, are no achievement of the fit
    model, X = of_unrelated_columns(0, means)
    assert abs(model.score(X)) < 0.15


def test_few_rows_are_beside_the_medians_of_the_others():
    # a median of five values is one of them, and that of the other four is further away
    model, X = of_unrelated_columns(1, 100.0)
    assert np.median([model.score(X[i : i + 5]) for i in range(0, 120, 5)]) == pytest.approx(0.2, abs=0.2)


def test_a_single_row_and_constant_columns_are_judged_together():
    problem = make_corrupted_matrix((60, 40), rank=2, observed=0.8, outliers=0.1, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    assert model.score(problem.data[:1]) == pytest.approx(1.0)
    assert model.score(sparse.csr_matrix(np.nan_to_num(problem.data[:1]))) == pytest.approx(1.0)
    model, _ = of_unrelated_columns(2, 100.0)
    assert model.score(np.tile(model.location_, (5, 1))) > 0.99


def test_indicators_do_not_drown_the_other_columns(wine):
    """Most of their values are the same: a median is right there, and says nothing."""
    X, model = wine
    kinds = np.eye(12)[np.random.RandomState(0).randint(12, size=len(X))]
    joined = np.hstack([X, kinds])
    assert 0.4 < RobustMatrixCompletion().fit(joined).score(joined) < model.score(X) + 0.1


@pytest.mark.parametrize("size", [1e-3, 1.0 / 178.0, 3.0])
def test_the_size_of_weights_does_not_change_what_is_judged(wine, size):
    X, model = wine
    assert model.score(X, sample_weight=np.full(len(X), size)) == pytest.approx(model.score(X), abs=0.02)
