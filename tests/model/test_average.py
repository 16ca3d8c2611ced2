"""The averaged model: it knows the range of what is seen, which the predictions of the estimator stay in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from sklearn_robustlr._model.average import FirstAverage, least_absolute_weights
from sklearn_robustlr._operators.observed import Entries


def test_the_range_of_each_column_is_known():
    X = load_iris().data
    X[3] = np.nan
    low, high = FirstAverage.fit(Entries(X)).finish().space.seen_range
    assert_array_equal(low, np.nanmin(X, axis=0))
    assert_array_equal(high, np.nanmax(X, axis=0))


def test_weights_have_the_least_absolute_error(rng):
    missed = np.array([s * rng.standard_t(3, 400) + b for s, b in ((1.0, 0.5), (1.2, -0.5), (3.0, 0.0))])
    weights = least_absolute_weights(missed)
    assert weights.min() >= 0.0 and weights.sum() == pytest.approx(1.0)
    least = np.mean(np.abs(weights @ missed))
    for other in rng.dirichlet(np.ones(3), 2000):
        assert least <= np.mean(np.abs(other @ missed)) + 1e-9
    assert_allclose(least_absolute_weights(1e-9 * missed), weights, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_weights_of_few_errors_are_weights(n):
    weights = least_absolute_weights(np.zeros((3, n)))
    assert weights.shape == (3,) and weights.sum() == pytest.approx(1.0) and weights.min() >= 0.0
    missed = np.array([np.full(n, 1.0), np.full(n, 1e300), np.full(n, 2.0)])
    if n:
        assert_allclose(least_absolute_weights(missed), [1.0, 0.0, 0.0], atol=1e-9)
