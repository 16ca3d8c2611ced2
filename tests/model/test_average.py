"""The averaged model: it knows the range of what is seen, which the predictions of the estimator stay in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

from sklearn_robustlr._model.average import FirstAverage
from sklearn_robustlr._model.samples import Samples
from sklearn_robustlr._model.stacking import least_absolute_weights
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


@pytest.mark.parametrize("shape", [(3, 40), (12, 7), (31, 5)])
def test_medians_that_have_not_seen_an_entry(shape, rng):
    X = np.round(rng.standard_normal(shape), 1)  # with ties
    X[rng.uniform(size=shape) < 0.3] = np.nan
    X[:, 0] = np.nan
    X[0, 0] = 1.0  # there are no others
    samples = Samples.of(Entries(X), 2)
    rows, cols = (np.asarray(part)[samples.held] for part in (samples.entries.rows, samples.entries.cols))
    expected = []
    for i, j in zip(rows, cols, strict=True):
        others = np.delete(X[:, j], i)
        known = np.isfinite(others).any()
        expected.append((np.nanmedian(others) - samples.units.shift[j]) / samples.units.scale[j] if known else 0.0)
    assert_allclose(samples.medians_of_others, expected, atol=1e-12)
