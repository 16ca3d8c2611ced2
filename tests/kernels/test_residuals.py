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


def test_weigh_parts(residual, rng):
    """More entries than are weighed at a time, some of them met exactly and some beyond all measure."""
    squares, cols = np.minimum(np.abs(residual), 1e30) ** 2, rng.randint(3, size=len(residual)).astype(np.int32)
    variances, parts, wide, spread = np.array([0.1, 1e-3, 20.0]), np.array([0.7, 0.2, 0.01]), 30.0, 12.0
    out = np.empty((4, len(squares)))
    odds = np.array([1.0, 8.0, 0.5])
    residual_kernels.weigh_parts(squares, cols, variances, parts, odds, wide, spread**-2, out)
    z = squares / variances[cols]
    core, middle = parts[0] * np.exp(-0.5 * np.minimum(z, 1e3)), parts[1] * np.exp(-0.5 * np.minimum(z / wide, 1e3))
    gross = odds[cols] * parts[2] / (1.0 + z / spread**2)
    total = core + middle + gross
    effective = (core + middle / wide) / total
    expected = effective / variances[cols], effective, (core + middle) / total, gross / total
    assert_allclose(out, expected, rtol=1e-10, atol=1e-20)


def test_sum_parts(residual, rng):
    n, cols = len(residual), rng.randint(3, size=len(residual)).astype(np.int32)
    squares, (effective, counted, gross) = np.minimum(residual**2, 1e3), rng.uniform(size=(3, n))
    power, count, wrong = np.zeros((3, 4))  # of a column that has no entry there is none
    totals = residual_kernels.sum_weights(squares, cols, effective, counted, gross, power, count, wrong)
    assert_allclose(totals, [effective.sum(), counted.sum(), gross.sum()], rtol=1e-12)
    assert_allclose(power, np.bincount(cols, effective * squares, minlength=4), rtol=1e-12)
    assert_allclose(count, np.bincount(cols, counted, minlength=4), rtol=1e-12)
    assert_allclose(wrong, np.bincount(cols, gross, minlength=4), rtol=1e-12)


@pytest.mark.parametrize("size", [0, 1, 40, 3000])
def test_median_gross(size, rng):
    cols, variances = rng.randint(3, size=size).astype(np.int32), np.array([0.1, 1e-3, 20.0])
    squares, gross = rng.standard_cauchy(size) ** 2, rng.uniform(size=size) ** 3
    gross[::3] = 1e-4
    found = residual_kernels.median_gross(squares, cols, variances, gross, 1e-3)
    counts = gross > 1e-3
    if gross[counts].sum() < 1.0:
        assert found == 0.0
        return
    sizes, mass = np.sqrt(squares / variances[cols])[counts], gross[counts]
    below, upto = mass[sizes < found * (1.0 - 1e-12)].sum(), mass[sizes <= found * (1.0 + 1e-12)].sum()
    assert below < 0.5 * mass.sum() <= upto * (1.0 + 1e-12)


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
