"""Entries of a matrix of which rows and columns have few: what is known of the others draws them near."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery


def ratings(seed):
    """Ids and ratings from 1 to 5 of users and items, most of which have few: to be seen, and to be predicted."""
    rng = np.random.RandomState(seed)
    n, p = 200, 120
    mean = 3.5 + 0.4 * rng.standard_normal((n, 1)) + 0.5 * rng.standard_normal(p)
    mean += 0.3 * rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
    activity = np.clip(0.1 * rng.pareto(1.2, (n, 1)) * (0.3 + rng.pareto(1.5, p)), 0.0, 0.9)
    rows, cols = np.nonzero(rng.uniform(size=(n, p)) < activity)
    values = np.clip(np.round(mean[rows, cols] + 0.6 * rng.standard_normal(len(rows))), 1.0, 5.0)
    held = rng.uniform(size=len(rows)) < 0.2
    X = np.column_stack([rows, cols])
    return X[~held], values[~held], X[held], values[held]


def test_no_prediction_is_beyond_all_ratings():
    X, y, others, expected = ratings(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = RobustLowRankRecovery(measurements="entries").fit(X, y)
    found = model.predict(others)
    assert np.mean((found - expected) ** 2) < np.mean((y.mean() - expected) ** 2)
    assert found.min() > 0.0 and found.max() < 7.0


def test_of_an_entry_that_is_measured_several_times_the_mean_without_errors_counts():
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40))
    places = np.argwhere(rng.uniform(size=truth.shape) < 0.5)
    many = np.repeat(places, 4, axis=0)
    y = truth[tuple(many.T)] + 0.2 * rng.standard_normal(len(many))
    right = rng.uniform(size=len(many)) > 0.1
    model = RobustLowRankRecovery(measurements="entries", shape=truth.shape)
    among_errors, alone = (
        np.linalg.norm(model.fit(*data).matrix_ - truth)
        for data in ((many, np.where(right, y, 30.0 * rng.standard_normal(len(many)))), (many[::4], y[::4]))
    )
    assert among_errors < 0.7 * alone


def test_rows_without_entries_are_typical():
    X, y, _, _ = ratings(1)
    n, p = X.max(axis=0) + 1
    model = RobustLowRankRecovery(measurements="entries", shape=(n + 3, p + 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = model.fit(X, y).matrix_
    typical = np.broadcast_to(np.median(found[:n], axis=0), (3, p + 2))
    np.testing.assert_allclose(found[n:], typical, rtol=0.0, atol=0.5)


@pytest.mark.parametrize("weighted", [False, True])
def test_standard_errors_of_a_large_matrix_are_those_of_its_rows(weighted):
    rng = np.random.RandomState(1)
    n, p, k = 400, 250, 3
    left, right = rng.standard_normal((n, k)), rng.standard_normal((p, k))
    places = np.argwhere(rng.uniform(size=(n, p)) < 0.15)
    mean, weight = np.sum(left[places[:, 0]] * right[places[:, 1]], axis=1), np.where(places[:, 0] < n // 2, 1.0, 4.0)
    y = mean + 0.3 * rng.standard_normal(len(places)) / np.sqrt(weight if weighted else 1.0)
    model = RobustLowRankRecovery(measurements="entries", shape=(n, p))
    model.fit(places, y, sample_weight=weight if weighted else None)
    for half in (0, n // 2):
        others = np.column_stack([half + rng.randint(n // 2, size=2000), rng.randint(p, size=2000)])
        found, std = model.predict(others, return_std=True)
        missed = found - np.sum(left[others[:, 0]] * right[others[:, 1]], axis=1)
        for level, width in ((0.5, 0.674), (0.9, 1.645)):
            assert np.mean(np.abs(missed) <= width * std) == pytest.approx(level, abs=0.06)
