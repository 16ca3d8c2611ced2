"""Metrics: what they return and refuse."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import LinearRegression

from sklearn_robustlr import metrics


def test_robust_r2():
    y = np.arange(11.0)
    assert metrics.robust_r2_score(y, y) == 1
    assert metrics.robust_r2_score(y, np.full(11, 5.0)) == 0
    spoilt = y.copy()
    spoilt[:4] = 1e9
    assert metrics.robust_r2_score(spoilt, y) == 1
    assert metrics.robust_r2_score(np.ones(5), np.ones(5)) == 1
    assert metrics.robust_r2_score(np.ones(5), np.zeros(5)) == 0
    model = LinearRegression().fit(y[:, None], y)
    assert metrics.robust_r2_scorer(model, y[:, None], spoilt) > 1 - 1e-12


@pytest.mark.parametrize("weight", [0.1, 1 / 3, 1.0, 7.0])
def test_equal_weights_change_nothing(weight, rng):
    """Sums of tenths are no multiples of a tenth: the median lay at a value, not between two."""
    y, predicted = rng.standard_normal((2, 20))
    weights = np.full(20, weight)
    assert metrics.robust_r2_score(y, predicted, sample_weight=weights) == metrics.robust_r2_score(y, predicted)


def test_metrics_by_hand():
    assert metrics.outlier_precision_recall([1, 1, 0], [1, 1, 1]) == (2 / 3, 1.0)
    assert metrics.outlier_precision_recall([0, 0], [0, 0]) == (1.0, 1.0)
    assert metrics.subspace_angle(np.eye(4, 2), np.eye(4, 2)) < 1e-7
    assert_allclose(metrics.subspace_angle(np.eye(4)[:, :1], np.eye(4)[:, 1:2]), np.pi / 2)
    assert metrics.relative_recovery_error(np.zeros((2, 2)), np.ones((2, 2))) == 2.0


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_pass_at_k_counts_subsets(n):
    for c in range(n + 1):
        trials = [True] * c + [False] * (n - c)
        shares = [np.mean([any(some) for some in combinations(trials, k)]) for k in range(1, n + 1)]
        assert_allclose(metrics.pass_at_k(c, n, np.arange(1, n + 1)), shares, atol=1e-14)


def test_pass_at_k_of_arrays():
    table = metrics.pass_at_k(np.arange(4)[:, None], 5, [1, 2, 5])
    assert table.shape == (4, 3)
    assert_allclose(table[:, 0], np.arange(4) / 5)
    assert metrics.pass_at_k(np.empty(0, int), 5, 2).shape == (0,)
    assert metrics.pass_at_k(1, 10**6, 10**6) == 1.0
    assert_array_equal(metrics.pass_at_k([4, 1, 0], [4, 1, 9], 1), [1, 1, 0])


def test_pass_at_k_is_unbiased(rng):
    draws = rng.binomial(6, 0.3, size=20000)
    assert abs(metrics.pass_at_k(draws, 6, 3).mean() - (1 - 0.7**3)) < 0.006


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, 4, 2), "n_correct must hold integers"),
        ((1, 4, True), "k must hold integers"),
        ((0, 0, 1), "n_trials must be at least 1, got 0"),
        ((5, 4, 2), "n_correct must be from 0 to n_trials = 4, got 5"),
        ((-1, 4, 2), "n_correct must be from 0"),
        (([1, 1], [4, 3], 4), "k must be from 1 to n_trials = 3, got 4"),
        ((1, 4, 0), "k must be from 1"),
        (([1, 1], [4, 3, 2], 1), "do not fit together"),
    ],
)
def test_pass_at_k_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.pass_at_k(*arguments)


@pytest.mark.parametrize(
    ("function", "a", "b"),
    [
        (metrics.relative_recovery_error, np.eye(2), np.eye(3)),
        (metrics.subspace_angle, np.eye(2), np.eye(3)),
        (metrics.outlier_precision_recall, [True], [True, False]),
        (metrics.robust_r2_score, [1.0, 2.0], [1.0]),
        (metrics.relative_recovery_error, [[np.nan]], [[1.0]]),
    ],
)
def test_metrics_refuse(function, a, b):
    with pytest.raises(ValueError):
        function(a, b)


def test_flags_may_be_sparse_and_must_be_flags():
    true, flagged = np.eye(4, dtype=bool), sparse.csr_matrix(np.eye(4, dtype=bool))
    assert metrics.outlier_precision_recall(sparse.csr_matrix(true), flagged) == (1.0, 1.0)
    for wrong in (["False", "True"], [np.nan, 0.0], [2, 0]):
        with pytest.raises(ValueError, match="outliers_true must hold True and False"):
            metrics.outlier_precision_recall(wrong, [0, 1])


@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0])
def test_errors_of_numbers_of_any_size(size):
    assert_allclose(metrics.relative_recovery_error([[size, size]], [[size, 0.0]]), np.sqrt(0.5))


def test_a_matrix_of_zeros_spans_no_space():
    with pytest.raises(ValueError, match="B must span a space"):
        metrics.subspace_angle(np.eye(3), np.zeros((3, 1)))
