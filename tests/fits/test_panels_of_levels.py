"""Panels of levels, as incomes of countries by years: rows differ by orders of magnitude, and move together."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion


def panel(seed, shape=(120, 40)):
    """Levels that grow and are shocked in common, with later starts and earlier ends, and what is missing."""
    rng = np.random.default_rng(seed)
    n, p = shape
    growth, shocks = rng.normal(0.025, 0.015, size=(n, 1)), rng.normal(0, 0.02, size=p)
    steps = growth + rng.normal(1, 0.5, size=(n, 1)) * shocks + rng.normal(0, 0.03, size=shape)
    levels = np.exp(rng.normal(8, 1.5, size=(n, 1)) + np.cumsum(steps, axis=1))
    year = np.arange(p)
    starts = np.where(rng.random(n) < 0.4, rng.integers(1, p // 2, size=n), 0)
    ends = np.where(rng.random(n) < 0.2, rng.integers(p - 6, p, size=n), p)
    missing = (year < starts[:, None]) | (year >= ends[:, None]) | (rng.random(shape) < 0.15)
    return levels, np.where(missing, np.nan, levels)


def test_small_and_large_rows_are_repaired_alike():
    """Errors of noisy rows count as they are, and so do held-out values that are large and predicted.

    Else the fit is of two or three directions, or has a fifth of the values for outliers.
    """
    levels, seen = panel(1)
    model = RobustMatrixCompletion()
    missing, repaired = np.isnan(seen), model.fit_transform(seen)
    assert model.stop_reason_ == "approximate"
    assert np.mean(model.outliers_[~missing]) < 0.01
    assert np.median(np.abs(repaired / levels - 1.0)[missing]) < 0.04
