"""Starts of the sub-gradient method."""

import numpy as np

from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._solvers.starts import tiny_start


def test_kinds_of_starts(sensing):
    """The plain one and that of half of the data are spectral, by orthogonal columns; a perturbed one is not."""
    measurements = DenseMeasurements(sensing.data, sensing.target, (20, 15))
    plain = tiny_start(measurements, 10, 1e-3)[0]
    perturbed, half = (
        tiny_start(measurements, 10, 1e-3, rng=np.random.RandomState(5), half=half)[0] for half in (0, 1)
    )
    grams = [left.T @ left for left in (plain, half, perturbed)]
    aside = [np.abs(gram - np.diag(np.diag(gram))).max() / gram.max() for gram in grams]
    assert max(aside[:2]) < 1e-8 < 1e-3 < aside[2]
    assert np.abs(plain - half).max() > 1e-2 * np.abs(plain).max()
