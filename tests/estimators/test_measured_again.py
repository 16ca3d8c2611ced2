"""Entries that are measured several times: values that agree are right, be they the same number without noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import RobustLowRankRecovery


def measured(shape, rank, n, share, noise, seed):
    """Pairs of row and column, drawn with repetition, values of which a share is wrong, these, and the matrix."""
    rng = np.random.RandomState(seed)
    matrix = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    matrix /= matrix.std()
    pairs = np.column_stack([rng.randint(size, size=n) for size in shape])
    wrong = rng.uniform(size=n) < share
    y = matrix[tuple(pairs.T)] + noise * rng.standard_normal(n) + 10.0 * wrong * rng.standard_normal(n)
    return pairs, y, wrong, matrix


@pytest.mark.parametrize(("shape", "n", "seed"), [((12, 12), 640, 2), ((12, 12), 640, 5), ((20, 15), 1300, 7)])
def test_a_majority_of_equal_values_is_right(shape, n, seed):
    """Each different value counted once: errors were half of them, and one of these fits was "exact" but wrong."""
    pairs, y, wrong, matrix = measured(shape, 4, n, 0.15, 0.0, seed)
    model = RobustLowRankRecovery(shape=shape, measurements="entries").fit(pairs, y)
    assert model.stop_reason_ == "exact" and model.rank_ == 4
    assert_allclose(model.matrix_, matrix, atol=1e-9)
    assert_array_equal(model.outliers_, wrong)


def test_copies_of_noisy_values_are_met_no_more_than_these():
    pairs, y, _, _ = measured((30, 20), 2, 400, 0.1, 0.1, 0)
    alone, copies = (
        RobustLowRankRecovery(shape=(30, 20), measurements="entries").fit(np.tile(pairs, (k, 1)), np.tile(y, k))
        for k in (1, 3)
    )
    assert alone.stop_reason_ == copies.stop_reason_ == "noisy"
    assert_allclose(copies.matrix_, alone.matrix_, atol=1e-6)
    assert np.mean(copies.outliers_ == np.tile(alone.outliers_, 3)) > 0.99  # some are at the threshold


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.*(row|column)")
@pytest.mark.parametrize("seed", [2, 13, 16])
def test_copies_of_each_value_prove_nothing(seed):
    """Copies make any fit seem to be exact: 11 of 25 were so at too large a rank, and wrong."""
    rng = np.random.RandomState(seed)
    matrix = rng.standard_normal((10, 3)) @ rng.standard_normal((3, 10))
    matrix /= matrix.std()
    pairs = np.argwhere(np.ones((10, 10)))
    y = matrix.ravel() + 10.0 * (rng.uniform(size=100) < 0.1) * rng.standard_normal(100)
    model = RobustLowRankRecovery(shape=(10, 10), measurements="entries").fit(np.tile(pairs, (3, 1)), np.tile(y, 3))
    known = np.ones((10, 10), dtype=bool)
    known[model.undetermined_rows_] = known[:, model.undetermined_columns_] = False
    assert model.stop_reason_ != "exact" or np.abs(model.matrix_ - matrix)[known].max() < 1e-9


def test_weights_are_no_numbers_of_copies():
    """Only their ratios matter: a weight of three made each value count three times."""
    pairs, y, _, _ = measured((30, 20), 2, 400, 0.1, 0.1, 0)
    less, more = (
        RobustLowRankRecovery(shape=(30, 20), measurements="entries").fit(pairs, y, sample_weight=np.full(400, each))
        for each in (0.3, 3.0)
    )
    assert less.n_iter_ == more.n_iter_
    assert_allclose(less.matrix_, more.matrix_, rtol=1e-9)
