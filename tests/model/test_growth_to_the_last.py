"""Directions of nearly equal size are found to the last one."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def test_the_last_of_many_directions_is_found():
    """Three of forty were left as noise: they were few beside those that were found."""
    rng = np.random.RandomState(5)
    loadings = 0.5 * rng.standard_normal((40, 100)) * np.arange(1, 41)[:, None] ** -0.3
    data = rng.standard_normal((480, 40)) @ loadings + 0.1 * rng.standard_normal((480, 100))
    hidden = rng.uniform(size=data.shape) < 0.1
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, data))
    assert 40 <= model.rank_ <= 42
    repaired = model.transform(np.where(hidden, np.nan, data))
    assert np.sqrt(np.mean((repaired - data)[hidden] ** 2)) < 0.16
    assert np.mean(model.noise_scale_) == pytest.approx(0.1, rel=0.2)
