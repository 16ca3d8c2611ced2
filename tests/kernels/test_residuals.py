"""The kernels of residuals, each against a slow NumPy oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr._kernels import residuals as residual_kernels


@pytest.fixture
def residual(rng):
    values = 0.1 * rng.standard_normal(1000)
    values[::4] += 3.0 * rng.standard_cauchy(250)
    return np.append(values, [0.0, 1e-200, 5.0, -5.0, 1e150, -np.inf])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_inlier_probabilities(dtype, residual):
    residual = np.clip(residual, -1e30, 1e30).astype(dtype)
    scale, spread, bad = 0.12, 2.5, 0.3
    weight = np.empty(len(residual))
    sums = residual_kernels.inlier_probabilities(residual, scale, spread, bad, weight)
    size = np.abs(residual.astype(np.float64))
    inlier = (1.0 - bad) / (scale * np.sqrt(2.0 * np.pi)) * np.exp(-0.5 * (size / scale) ** 2)
    expected = inlier / (inlier + bad / (np.pi * spread * (1.0 + (size / spread) ** 2)))
    assert_allclose(weight, expected, rtol=1e-10, atol=1e-20)
    core = expected * (size <= 2.0 * scale)
    assert_allclose(sums, [expected.sum(), core.sum(), core @ size**2, np.sum(expected < 0.99)], rtol=1e-11)


def test_sizes_beyond_all_measure_have_no_weight(residual):
    weight = np.empty(len(residual))
    assert np.isfinite(residual_kernels.inlier_probabilities(residual, 0.1, 1.0, 0.3, weight)).all()
    assert np.all(weight[np.abs(residual) > 1e100] < 1e-50)


@pytest.mark.parametrize("step", [1, 7])
def test_likely_errors(step, rng):
    residual, weight = rng.standard_normal(300), rng.choice([0.2, 0.9, 0.995], 300)
    places = np.flatnonzero(weight < 0.99)[::step]
    size, probability = np.empty((2, len(places)))
    residual_kernels.likely_errors(residual, weight, step, size, probability)
    assert_array_equal(size, np.abs(residual[places]))
    assert_array_equal(probability, 1.0 - weight[places])


def test_bisquare_sum(residual):
    z = np.minimum(np.abs(residual) / 0.4, 1.0)
    assert residual_kernels.bisquare_sum(residual, 0.4) == pytest.approx(np.sum(1.0 - (1.0 - z**2) ** 3), rel=1e-12)


def test_bisquare_saved(residual, rng):
    large, n = residual * rng.uniform(0.5, 3.0, len(residual)), len(residual)
    rows, cols = rng.randint(5, size=n).astype(np.int32), rng.randint(7, size=n).astype(np.int32)
    of_row, of_col = rng.uniform(size=5), rng.uniform(size=7)
    after, before = ((1.0 - np.minimum(np.abs(r) / 0.4, 1.0) ** 2) ** 3 for r in (residual, large))
    saved = residual_kernels.bisquare_saved(large, residual, 0.4, rows, cols, of_row, of_col)
    assert saved == pytest.approx(np.sum((after - before) * of_row[rows] * of_col[cols]), rel=1e-9)
