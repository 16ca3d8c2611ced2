"""The averaged model: its predictions stay in the range of what is seen."""

import numpy as np
from sklearn.datasets import load_iris

from sklearn_robustlr._model.average import fit_average
from sklearn_robustlr._operators.observed import Entries


def test_predictions_stay_in_the_range_of_each_column():
    X = load_iris().data
    entries = Entries(X)
    space = fit_average(entries).space
    far = space.predict(50.0 * space.regress(entries).factors)
    assert np.all(far >= X.min(axis=0)) and np.all(far <= X.max(axis=0))
