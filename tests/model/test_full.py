"""Columns of any covariance: beside a slow oracle, and in tables that no few directions tell."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr._model.columns import Columns
from sklearn_robustlr._model.full import full_columns
from sklearn_robustlr._model.noise import NoiseLaw
from sklearn_robustlr._model.rows import moments, regress
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries

LAW = NoiseLaw.start(np.ones(6), False)


def _unrelated(p):
    return Columns(np.zeros((p, 1)), np.zeros((p, 1)), np.zeros(p), NoiseLaw.start(np.ones(p), True))


def _table(values, row_weight=None):
    entries = Entries(values)
    table = Table.of(entries, np.zeros(values.shape[1]), np.ones(values.shape[1]))
    table.row_weight = row_weight
    return table


def _draw(rng, n=200, p=6):
    root = rng.standard_normal((p, p)) / np.sqrt(p)
    values = rng.standard_normal((n, p)) @ root + rng.standard_normal(p)
    return np.where(rng.uniform(size=(n, p)) < 0.2, np.nan, values)


def _conditional(row, mean, covariance):
    """Mean and covariance of a row of a normal law, by what is seen of it."""
    seen = np.isfinite(row)
    gain = covariance[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    return mean + gain @ (row - mean)[seen], covariance - gain @ covariance[seen]


def _slow_moments(values, weight, n_sweeps):
    """Expectation maximization row by row: entries differ from their rows by a thousandth of the variance."""
    p = values.shape[1]
    mean, spread = np.nanmean(values, axis=0), np.nanvar(values, axis=0)
    covariance, own = np.diag(spread), 1e-3 * spread
    for _ in range(n_sweeps):
        total, square = np.zeros(p), np.zeros((p, p))
        for row, count in zip(values, weight, strict=True):
            seen = np.isfinite(row)
            gain = covariance[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)] + np.diag(own[seen]))
            away = gain @ (row - mean)[seen]
            total += count * away
            square += count * (np.outer(away, away) + covariance - gain @ covariance[seen])
        n = weight.sum()
        mean = mean + total / n
        covariance = (square - np.outer(total, total) / n + np.diag(spread)) / (n + 1.0)
    return mean, covariance + np.diag(own)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_covariance_is_that_of_slow_expectation_maximization(weighted, rng):
    values = _draw(rng)
    weight = rng.randint(1, 4, len(values)).astype(float) if weighted else np.ones(len(values))
    columns = full_columns(_table(values, weight if weighted else None), LAW, _unrelated(6))
    mean, covariance = _slow_moments(values, weight, 100)
    found = columns.loadings @ columns.loadings.T + np.diag(columns.law.variances)
    size = np.sqrt(np.diag(covariance))
    assert_allclose(columns.mean, mean, atol=0.02 * size.max())
    assert_allclose(found / np.outer(size, size), covariance / np.outer(size, size), atol=0.03)


def test_predictions_are_those_of_a_normal_law(rng):
    values = _draw(rng)
    table = _table(values)
    columns = full_columns(table, LAW, _unrelated(6))
    assert (columns.covariances[:, 0] > 0.0).all()
    columns = replace(columns, covariances=np.zeros_like(columns.covariances))  # as if it were known
    covariance = columns.loadings @ columns.loadings.T + np.diag(columns.law.variances)
    every = _table(np.zeros_like(values))
    mean, variance = (part.reshape(values.shape) for part in moments(regress(table, columns), columns, every))
    for i in range(20):
        expected, about = _conditional(values[i], columns.mean, covariance)
        hidden = np.isnan(values[i])
        assert_allclose(mean[i, hidden], expected[hidden], atol=1e-8)
        assert_allclose(variance[i, hidden], np.diag(about)[hidden] - columns.law.variances[hidden], atol=1e-8)


def test_noise_is_as_much_as_leaves_a_covariance(rng):
    # with one share of noise for all columns that of the loudest was half a column's own: wrong values were followed
    loadings, noise = rng.standard_normal((8, 2)), np.geomspace(0.1, 3.0, 8)
    values = rng.standard_normal((5000, 2)) @ loadings.T + np.sqrt(noise) * rng.standard_normal((5000, 8))
    columns = full_columns(_table(values), NoiseLaw.start(np.ones(8), False), _unrelated(8))
    covariance = columns.loadings @ columns.loadings.T + np.diag(columns.law.variances)
    assert_allclose(columns.law.variances, noise, rtol=0.3)
    size = values.std(axis=0)
    assert_allclose(covariance / np.outer(size, size), np.corrcoef(values.T), atol=0.005)


def test_columns_that_nothing_is_known_of_are_unrelated(rng):
    values = _draw(rng)
    values[:, 2], values[:, 4] = np.nan, 3.0
    columns = full_columns(_table(values), LAW, _unrelated(6))
    covariance = columns.loadings @ columns.loadings.T + np.diag(columns.law.variances)
    assert np.isfinite(covariance).all() and np.abs(covariance[2, [0, 1, 3, 5]]).max() < 1e-6
    assert columns.mean[4] == pytest.approx(3.0) and covariance[4, 4] < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_indicators_of_a_category_tell_one_another(seed):
    # they sum to one: five of them are as good as four, but no few directions tell that
    rng = np.random.RandomState(seed)
    n = 400
    factor = rng.standard_normal((n, 1))
    of = np.argmax(factor * np.linspace(-1.0, 1.0, 5) + 0.7 * rng.gumbel(size=(n, 5)), axis=1)
    X = np.hstack([np.eye(5)[of], factor + 0.5 * rng.standard_normal((n, 4))])
    hidden = rng.uniform(size=X.shape) < 0.2
    data = np.where(hidden, np.nan, X)
    model = RobustMatrixCompletion(replace="all").fit(data)

    def error(estimate):
        return np.sqrt(np.mean(((estimate - X) / X.std(axis=0))[hidden] ** 2))

    assert error(model.transform(data)) < 1.02 * error(
        IterativeImputer(max_iter=50, tol=1e-2, random_state=0).fit_transform(data)
    )
    assert model.converged_ and model.outliers_.mean() < 0.01
    assert {"full", "robust full"} & set(model.mixture_weights_)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_others", [0, 3])
def test_indicators_alone_or_beside_columns_without_structure(n_others, seed):
    # medians meet most of them, and are of no use
    rng = np.random.RandomState(seed)
    of = rng.randint(4, size=300), rng.randint(3, size=300)
    X = np.hstack([np.eye(4)[of[0]], np.eye(3)[of[1]], rng.standard_normal((300, n_others))])
    hidden = rng.uniform(size=X.shape) < 0.2
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, X))
    missed = ((model.transform(np.where(hidden, np.nan, X)) - X) / X.std(axis=0))[hidden]
    assert np.sqrt(np.mean(missed**2)) < (0.7 if n_others == 0 else 0.85)
    assert model.stop_reason_ == "approximate" and not model.outliers_.any()


@pytest.mark.parametrize("seed", range(3))
def test_errors_among_columns_of_which_each_has_its_own_part(seed):
    # an autoregression: all directions are there, and the nearest columns tell most
    rng = np.random.RandomState(seed)
    covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(15), np.arange(15)))
    X = rng.multivariate_normal(np.zeros(15), covariance, 400)
    hidden, wrong = rng.uniform(size=(2, 400, 15)) < np.array([0.2, 0.05])[:, None, None]
    wrong &= ~hidden
    data = np.where(hidden, np.nan, np.where(wrong, X + 10.0 * rng.choice([-1.0, 1.0], X.shape), X))
    model = RobustMatrixCompletion(replace="all").fit(data)
    estimate, right = model.transform(data), np.where(wrong, np.nan, data)
    best = np.array([_conditional(row, np.zeros(15), covariance)[0] for row in right])
    least = np.sqrt(np.mean((best - X)[hidden] ** 2))
    assert np.sqrt(np.mean((estimate - X)[hidden] ** 2)) < 1.06 * least
    assert model.outliers_[wrong].mean() > 0.99 and model.outliers_[~wrong].mean() < 0.005


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_and_offsets_do_not_matter(scale, rng):
    values = np.hstack([_draw(rng), np.round(_draw(rng))])
    units = scale ** rng.uniform(0.0, 1.0, 12)
    plain, other = (RobustMatrixCompletion(replace="all") for _ in range(2))
    expected = plain.fit(values).transform(values)
    found = other.fit(values * units + 1e3 * units).transform(values * units + 1e3 * units)
    assert_allclose(found / units - 1e3, expected, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_unrelated_columns_most_of_which_are_zero(seed):
    """A law that had all but zeros for errors predicted what medians do: a quarter of the values was flagged."""
    rng = np.random.RandomState(seed)
    size = np.exp(1.5 * rng.standard_normal((1500, 16)))
    data = np.where(rng.uniform(size=size.shape) < 0.7, 0.0, size)
    data[np.random.RandomState(seed + 99).uniform(size=size.shape) < 0.1] = np.nan
    assert RobustMatrixCompletion().fit(data).outliers_.mean() < 0.05
