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


@pytest.mark.parametrize("unlike", [False, True], ids=["all columns", "columns of their own"])
def test_improbable_inliers_are_not_the_tails(unlike):
    """The last of the inliers is, to the end of its own mass: gross errors of a ten thousandth begin there."""
    rng = np.random.RandomState(0)
    errors, gross = rng.uniform(-1.0, 1.0, 400), np.arange(400) % 10 == 0
    cols = np.arange(400) % 2 if unlike else None
    errors = np.where(gross, np.sign(errors) * 30.0, errors if cols is None else errors * 3.0**cols)
    calibration = Calibration.of(errors, np.ones(400), np.where(gross, 1e-4, 1.0), cols)
    assert (calibration.of_columns is not None) == unlike
    for coverage in (0.99, 0.995, 0.999):
        assert np.abs(calibration.ends(coverage, 2)).max() < 3.5


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


def test_columns_of_a_law_of_their_own_have_intervals_of_their_own(rng):
    """Half of the columns have mostly one value: 50 % intervals of all would be those of neither kind."""
    cols = np.repeat(np.arange(12), 200)
    plain = rng.standard_normal(2400)
    errors = np.where(cols < 6, plain, np.where(rng.uniform(size=2400) < 0.8, 0.1 * plain, -4.0 - 0.1 * np.abs(plain)))
    calibration = Calibration.of(errors[::2], np.ones(1200), np.ones(1200), cols[::2])
    values, own = -errors[1::2], cols[1::2]
    for coverage in (0.5, 0.9):
        low, high = calibration.ends(coverage, 12)
        assert (low <= 0.0).all() and (high >= 0.0).all()
        inside = (low[own] <= values) & (values <= high[own])
        for kind in (own < 6, own >= 6):
            assert abs(inside[kind].mean() - coverage) < 0.08
    low, high = calibration.ends(0.9, 12)
    assert (high[6:] > -2.0 * low[6:]).all()  # what is missed there lies above
    drawn = calibration.signed(rng.standard_normal((4000, 12)))
    assert np.mean(drawn[:, 6:] > 2.0) == pytest.approx(0.2, abs=0.05)


def test_columns_that_are_alike_have_the_same_intervals(rng):
    errors, cols = rng.standard_normal(2400), np.repeat(np.arange(12), 200)
    calibration = Calibration.of(errors, np.ones(2400), np.ones(2400), cols)
    low, high = calibration.ends(0.9, 12)
    np.testing.assert_array_equal(low, -high)
    np.testing.assert_array_equal(high, np.full(12, calibration.width(0.9)))


def test_gross_errors_of_next_to_no_weight_do_not_widen_standard_errors(rng):
    """A fifth of the held-out entries, a thousand deviations away: their mean square made it five times as large."""
    errors = np.append(rng.standard_normal(400), np.full(100, 1e3))
    inlier = np.append(np.ones(400), np.full(100, 1e-4))
    assert Calibration.of(errors, np.ones(500), inlier).factor == pytest.approx(1.0, abs=0.15)
