"""Entries are held out as they go missing: what is said of errors holds for values that are missing together."""

import numpy as np
from numpy.testing import assert_allclose

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


def sensors(n_channels, *, seed=0):
    """Channels that share a daily course and a few others, with a decaying spectrum and noise."""
    rng = np.random.RandomState(seed)
    weights = rng.standard_normal((8, n_channels)) * np.arange(1, 9)[:, None] ** -1.0
    course = np.cumsum(rng.standard_normal((400, 8)), axis=0)
    course = (course - course.mean(axis=0)) / course.std(axis=0)
    return course @ weights + 0.1 * rng.standard_normal((400, n_channels)), rng


def test_channels_that_are_missing_together():
    """Each was predicted from its copy, which is not there: 90 % intervals held a half, stated errors were a third."""
    n_copies = 4
    truth, rng = sensors(8, seed=2)
    missing = rng.uniform(size=truth.shape) < 0.1
    copies = slice(0, n_copies)
    truth = np.hstack([truth, 1.8 * truth[:, copies] + 32.0])
    missing = np.hstack([missing, missing[:, copies]])
    model = RobustMatrixCompletion().fit(np.where(missing, np.nan, truth))
    both = np.r_[0:n_copies, 8 : 8 + n_copies]
    data = np.where(missing, np.nan, truth)
    low, high = model.predict_interval(data)
    inside = ((low <= truth) & (truth <= high))[:, both][missing[:, both]]
    assert inside.mean() > 0.8
    off = ((model.transform(data) - truth) / truth.std(axis=0))[:, both][missing[:, both]]
    assert 0.6 < np.sqrt(np.mean(model.expected_error_[both] ** 2) / np.mean(off**2)) < 1.6


def test_rows_that_end_early_are_held_out_entry_by_entry():
    """Most columns are missing together there: with all of them held out, nothing would tell of any."""
    truth, rng = sensors(8)
    data = np.where(np.arange(8) > np.where(rng.uniform(size=400) < 0.3, 1, 8)[:, None], np.nan, truth)
    model = RobustMatrixCompletion().fit(data)
    assert model.converged_ and model.expected_error_.mean() < 0.35


def test_constant_channels_change_nothing_for_the_others():
    """They were predicted without error: intervals of the others held 0.8 instead of 0.9, and more was flagged."""
    truth, rng = sensors(6)
    missing, wrong = rng.uniform(size=(2, *truth.shape)) < np.array([0.1, 0.05])[:, None, None]
    channels = np.where(missing, np.nan, truth + 10.0 * wrong)
    constants = np.tile([5e6, 0.0, -3.0, 1e-3, 7.0, 1.0], (400, 1))
    constants[rng.uniform(size=constants.shape) < 0.1] = np.nan
    data = np.hstack([channels, constants])
    plain, model = RobustMatrixCompletion().fit(channels), RobustMatrixCompletion().fit(data)
    assert plain.stop_reason_ == model.stop_reason_ == "approximate"
    assert np.mean(model.outliers_[:, :6] != plain.outliers_) < 0.003
    low, high = model.predict_interval(data)
    assert np.mean(((low[:, :6] <= truth) & (truth <= high[:, :6]))[missing]) > 0.86
    widths = [np.median(high[:, :6] - low[:, :6]) for low, high in (plain.predict_interval(channels), (low, high))]
    assert_allclose(widths[1] / widths[0], 1.0, atol=0.1)
    for end in (low, high):
        assert_allclose(end[:, 6:], np.broadcast_to(np.nanmax(constants, axis=0), constants.shape), atol=1e-6)


def test_constant_channels_have_no_part_in_likelihoods():
    """Of a value without noise the density has no end: another one would be infinitely strange."""
    truth = sensors(6)[0][:200]
    data = np.hstack([truth, np.full((200, 1), 5.0)])
    changed = data.copy()
    changed[:, 6] = 9.0
    for estimator in (RobustMatrixCompletion, RobustPCA):
        expected, model = estimator().fit(truth).score_samples(truth), estimator().fit(data)
        found = model.score_samples(data)
        assert abs(np.mean(found - expected)) < 0.2 * np.std(expected)
        assert_allclose(model.score_samples(changed), found)


def test_two_values_that_are_the_same_do_not_tell_the_next():
    truth, _ = sensors(8)
    data = np.hstack([truth, np.full((400, 1), np.nan)])
    data[:2, 8] = 4.0
    low, high = RobustMatrixCompletion().fit(data).predict_interval(data)
    assert np.all(high[2:, 8] - low[2:, 8] > 1.0)
