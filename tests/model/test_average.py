"""The averaged model: it knows the range of what is seen, which the predictions of the estimator stay in."""

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

from sklearn_robustlr._model.average import fit_average
from sklearn_robustlr._operators.observed import Entries


def test_the_range_of_each_column_is_known():
    X = load_iris().data
    X[3] = np.nan
    low, high = fit_average(Entries(X)).space.seen_range
    assert_array_equal(low, np.nanmin(X, axis=0))
    assert_array_equal(high, np.nanmax(X, axis=0))
