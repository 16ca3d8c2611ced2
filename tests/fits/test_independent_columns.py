"""Columns that have nothing in common: nothing is claimed of them, whatever the law of their values."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("shape", "spread"), [((80, 16), 1.0), ((300, 10), 1.0), ((300, 16), 0.5)])
def test_skewed_columns_are_not_their_mean_beside_noise_and_errors(shape, spread):
    """All were "noisy" of rank 1, that of the mean, worse than medians, and up to a tenth was flagged: large values."""
    rng = np.random.RandomState(0)
    right = np.exp(spread * rng.standard_normal(shape))
    hidden = rng.uniform(size=shape) < 0.1
    data = np.where(hidden, np.nan, right)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "unexplained" and not model.converged_
    assert model.outliers_.mean() < 0.01
    missed, usual = (abs(each - right)[hidden].mean() for each in (model.transform(data), np.nanmedian(data, axis=0)))
    assert missed < 1.02 * usual


def test_a_picture_that_does_not_move_is_noisy_beside_objects():
    """Medians are as near to it, and the sizes of what objects add fall as a tail does."""
    rng = np.random.RandomState(50)
    picture = np.ones((60, 1)) * rng.uniform(50, 200, (1, 100))
    objects = rng.uniform(size=(60, 100)) < 0.1
    data = picture + rng.standard_normal((60, 100)) + np.where(objects, rng.exponential(2.5, (60, 100)) + 2.0, 0.0)
    data[rng.uniform(size=data.shape) < 0.1] = np.nan
    model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "noisy" and model.rank_ == 1
    assert np.sqrt(np.mean((model.transform(data) - picture) ** 2)) < 0.35
