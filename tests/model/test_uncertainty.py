"""Calibration and posterior variances beside slow NumPy counterparts."""

from dataclasses import replace

import numpy as np
import pytest

from sklearn_robustlr._model.average import FirstAverage
from sklearn_robustlr._model.calibration import Calibration
from sklearn_robustlr._model.uncertainty import spread
from sklearn_robustlr._operators.observed import Entries


def test_widths_are_those_of_the_law_of_the_errors():
    rng = np.random.RandomState(0)
    errors = rng.standard_t(3, size=4000)
    calibration = Calibration.of(2.0 * errors, np.full(4000, 2.0), np.ones(4000))
    fresh = np.abs(rng.standard_t(3, size=20_000))
    for coverage in (0.5, 0.9, 0.95):
        assert abs(np.mean(fresh <= calibration.width(coverage)) - coverage) < 0.02


def test_probable_errors_do_not_count():
    rng = np.random.RandomState(0)
    errors, gross = rng.standard_normal(2000), rng.uniform(size=2000) < 0.3
    clean = Calibration.of(errors[~gross], np.ones(np.sum(~gross)), np.ones(np.sum(~gross)))
    spoilt = Calibration.of(np.where(gross, 50.0, errors), np.ones(2000), (~gross).astype(float))
    assert spoilt.width(0.95) == pytest.approx(clean.width(0.95), rel=1e-6)
    assert spoilt.factor == pytest.approx(clean.factor, rel=1e-6)


def test_without_errors_it_is_the_normal_law():
    calibration = Calibration.of(np.zeros(0), np.zeros(0), np.zeros(0))
    assert calibration.width(0.5) == pytest.approx(0.6745, abs=0.02)
    assert calibration.width(0.9) == pytest.approx(1.645, abs=0.1)
    assert calibration.factor == pytest.approx(1.0, abs=0.05)


def test_standard_errors_are_calibrated():
    rng = np.random.RandomState(0)
    values = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 8)) + 0.3 * rng.standard_normal((60, 8))
    entries = Entries(values)
    space = replace(FirstAverage.fit(entries).finish().space, share_beyond=0.0)
    errors = rng.standard_normal(1000)
    doubled = Calibration.of(2.0 * errors, np.ones(1000), np.ones(1000))
    usual = Calibration.of(errors, np.ones(1000), np.ones(1000))
    once, twice = (spread(replace(space, calibration=calibration), entries) for calibration in (usual, doubled))
    noise = space.noise**2
    # what is beyond the prediction is no noise
    np.testing.assert_allclose(twice.error**2 + noise, 4.0 * (once.error**2 + noise), rtol=0.15)
    np.testing.assert_array_equal(twice.value, once.value)  # which widths are in units of
