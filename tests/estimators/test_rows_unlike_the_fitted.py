"""New rows that are further from the columns than the fitted ones have noise of their own, not errors."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def measured_several_times(seed, n_samples, n_times, n_features=100, rank=40, noise=0.1):
    """Samples that are each measured several times, and new samples: directions are more than the samples tell."""
    rng = np.random.default_rng(seed)
    loadings = 0.5 * rng.normal(size=(rank, n_features)) * np.arange(1, rank + 1)[:, None] ** -0.3
    level = rng.normal(20.0, 2.0, size=n_features)
    fitted = np.repeat(rng.normal(size=(n_samples, rank)), n_times, axis=0) @ loadings + level
    new = rng.normal(size=(30, rank)) @ loadings + level
    fitted, new = (rows + noise * rng.normal(size=rows.shape) for rows in (fitted, new))
    hidden = rng.random(new.shape) < 0.2
    return np.where(rng.random(fitted.shape) < 0.1, np.nan, fitted), np.where(hidden, np.nan, new), new, hidden


def test_samples_that_were_measured_several_times():
    fitted, data, new, hidden = measured_several_times(0, 20, 3)
    model = RobustMatrixCompletion().fit(fitted)
    lower, upper = model.predict_interval(data, coverage=0.95)
    assert np.mean(((lower <= new) & (new <= upper))[hidden]) > 0.84
    assert np.mean(model.transform(data)[~hidden] != data[~hidden]) < 0.03  # nothing is wrong
    draws = np.array(list(model.sample_imputations(data, n_samples=20, random_state=0)))
    inside = np.mean((draws >= lower) & (draws <= upper), axis=0)[hidden]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_errors_in_new_rows_like_the_fitted_are_found():
    fitted, data, new, hidden = measured_several_times(0, 120, 1, rank=5)
    wrong = (np.random.default_rng(0).random(data.shape) < 0.1) & ~hidden
    model = RobustMatrixCompletion().fit(fitted)
    repaired = model.transform(np.where(wrong, data + 5.0, data))
    assert np.mean(np.abs(repaired - new)[wrong] < 1.0) > 0.98
    assert np.mean(repaired[~wrong & ~hidden] != data[~wrong & ~hidden]) < 0.01


def test_a_row_of_much_noise_is_known_less():
    fitted, data, _, _ = measured_several_times(0, 120, 1, rank=5)
    model = RobustMatrixCompletion().fit(fitted)
    clean = model.transform(np.nan_to_num(data, nan=20.0)[:1])
    noise = 0.1 * np.random.default_rng(1).normal(size=clean.shape)
    usual, loud = (np.median(model.transform(clean + size * noise, return_std=True)[1]) for size in (1.0, 4.0))
    assert 1.7 < loud / usual < 5.0
    assert not (model.transform(clean + 4.0 * noise) != clean + 4.0 * noise).any()


def test_errors_in_new_rows_are_no_noise():
    """Rows with a fifth of errors of two to five standard deviations were taken for rows of much noise."""
    rng = np.random.default_rng(2)
    rows = (rng.standard_normal((240, 150)) / np.arange(1, 151)) @ np.linalg.qr(rng.standard_normal((150, 150)))[0]
    fitted, new, size = rows[:140], rows[140:], rows[:140].std(axis=0)
    wrong = rng.random(new.shape) < 0.2
    errors = rng.choice([-1.0, 1.0], new.shape) * rng.uniform(2.0, 5.0, new.shape) * size
    found = RobustMatrixCompletion().fit(fitted).detect_outliers(np.where(wrong, new + errors, new))
    assert found[wrong].mean() > 0.95 and found[~wrong].mean() < 0.02
