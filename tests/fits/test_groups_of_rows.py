"""Tables with groups of rows: one of its own profile, rows that are off, those of another instrument, outages."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_a_small_group_of_rows_has_its_direction():
    """What a fit misses in most of a row did not count: 12 of 300 rows were errors, three quarters of their values."""
    rng = np.random.RandomState(4)
    profiles, groups = 2.0 * rng.standard_normal((3, 60)), np.repeat([0, 1, 2], [160, 128, 12])
    X = profiles[groups] + 0.1 * rng.standard_normal((300, 60))
    model, usual = RobustPCA().fit(X), PCA(2).fit(X)
    away = profiles[2] - X.mean(axis=0)
    assert np.linalg.norm(model.components_ @ away) > 0.99 * np.linalg.norm(away)
    np.testing.assert_allclose(model.explained_variance_[:2], usual.explained_variance_, rtol=0.05)
    assert model.outliers_[groups == 2].mean() < 0.02


def plants(rng, lost):
    """Hourly yields of 20 plants, zero at night, with noise of a tenth, a tenth missing; a share of days' is lost."""
    sun = np.clip(np.sin(2 * np.pi * np.arange(600) / 24 + rng.uniform(-0.1, 0.1, 600)), 0.0, None) ** 1.2
    size = np.exp(0.5 * rng.standard_normal(20)) * 10
    cloud = rng.uniform(0.3, 1.0, (600, 2)) @ rng.dirichlet([2, 2], 20).T
    clean = sun[:, None] * cloud * size
    data = clean * (1.0 + 0.1 * rng.standard_normal(clean.shape))
    day, hidden = sun > 0, rng.uniform(size=clean.shape) < 0.1
    wrong = (rng.uniform(size=clean.shape) < lost) & day[:, None]
    return np.where(hidden, np.nan, np.where(wrong, 0.0, data)), data, day, hidden, wrong


def test_nights_do_not_tell_the_noise_of_days():
    """They are met exactly: up to 0.7 of the right values of days were flagged, 90 % intervals held 0.07 of them."""
    table, data, day, hidden, wrong = plants(np.random.RandomState(0), 0.02)
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(table)
    right = day[:, None] & ~wrong & ~hidden
    assert model.outliers_[right].mean() < 0.01
    low, high = model.predict_interval(table)
    of_days = hidden & day[:, None] & ~wrong
    assert 0.84 < ((low <= data) & (data <= high))[of_days].mean() < 0.96
    at_night = hidden & ~day[:, None]
    assert rms(repaired[at_night]) < 0.1 * data[day].std()
    assert not model.outliers_[~day].any()
    np.testing.assert_allclose(model.transform(table), repaired, rtol=1e-10, atol=1e-10 * data.std())


def test_rows_that_are_off_and_no_estimates_stay():
    """No row that follows the others has zeros alone: what is learnt without such rows is far from them."""
    rng = np.random.RandomState(0)
    data = np.exp(
        0.5 * rng.standard_normal((300, 2)) @ rng.standard_normal((2, 20)) + 0.1 * rng.standard_normal((300, 20))
    )
    data[rng.uniform(size=300) < 0.35] = 0.0
    hidden = rng.uniform(size=data.shape) < 0.15
    found = RobustMatrixCompletion().fit_transform(np.where(hidden, np.nan, data))
    assert rms((found - data)[hidden] / data.std(axis=0)[np.nonzero(hidden)[1]]) < 0.3


def test_noisy_rows_are_no_rows_of_errors():
    """A fifth of the rows has six times the noise of the others: a third of their values was flagged."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 40))
    noisy = rng.uniform(size=120) < 0.2
    data = clean + np.where(noisy, 0.6, 0.1)[:, None] * rng.standard_normal(clean.shape)
    table = np.where(rng.uniform(size=data.shape) < 0.1, np.nan, data)
    model = RobustMatrixCompletion().fit(table)
    assert model.outliers_[noisy].mean() < 0.03


def test_few_noisy_rows_have_noise_of_their_own():
    """In the mean over all rows they gained too little, and the sharp rank was lost."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((120, 3)) @ rng.standard_normal((3, 30))
    noisy = rng.uniform(size=120) < 0.3
    model = RobustMatrixCompletion().fit(clean + np.where(noisy, 0.5, 0.1)[:, None] * rng.standard_normal(clean.shape))
    assert model.stop_reason_ == "noisy" and model.rank_ == 3
    assert model.outliers_.mean() < 0.005


def test_the_stated_error_is_that_of_all_rows():
    """That of a typical row was stated: half of the true one, where the noise of rows has a logarithmic sd of 0.7."""
    rng = np.random.RandomState(1)
    clean = rng.gamma(3, 1, size=(400, 2)) @ rng.uniform(0.3, 1.5, size=(2, 25))
    noise = 0.04 * clean.std(axis=0) * np.exp(0.7 * rng.standard_normal((400, 1)))
    data = clean + noise * rng.standard_normal(clean.shape)
    hidden = rng.uniform(size=data.shape) < 0.15
    model = RobustMatrixCompletion()
    found = model.fit_transform(np.where(hidden, np.nan, data))
    true = rms((found - data)[hidden] / data.std(axis=0)[np.nonzero(hidden)[1]])
    assert 0.85 < true / rms(model.expected_error_) < 1.2
    assert model.stop_reason_ == "noisy"
    assert model.scale_ == pytest.approx(rms(noise), rel=0.15)


def test_outages_are_no_pattern():
    """A Gaussian law predicts each hour of an outage by the others: its estimates were taken, up to 4 sd off."""
    rng = np.random.RandomState(5)
    hours = np.arange(24)
    day = 40 + 15 * np.exp(-((hours - 9) ** 2) / 8) + 22 * np.exp(-((hours - 19) ** 2) / 6)
    season = 1 + 0.25 * np.cos(2 * np.pi * np.arange(365) / 365) + 0.03 * rng.standard_normal(365)
    heat = np.outer(rng.gamma(2, 2, 365), 1 + 0.5 * np.cos(2 * np.pi * (hours - 6) / 24))
    clean = np.outer(season, day) + heat + 0.6 * np.cumsum(rng.standard_normal((365, 24)), axis=1) / np.sqrt(6)
    wrong = np.zeros(clean.shape, dtype=bool)
    for i in rng.choice(365, 18, replace=False):
        first = rng.randint(19)
        wrong[i, first : first + 5] = True
    model = RobustMatrixCompletion()
    found = model.fit_transform(np.where(wrong, 0.0, clean))
    assert model.outliers_[wrong].mean() > 0.95
    assert rms(((found - clean) / clean.std(axis=0))[wrong]) < 0.1


def test_columns_that_are_there_twice_are_no_exact_matrix_of_a_lower_rank():
    """Of 12 pairs 9 were met by as many directions, exactly, and the other columns were errors."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 12)) + 0.2 * rng.standard_normal((40, 12))
    X = np.hstack([X, X])
    model = RobustMatrixCompletion().fit(X)
    assert model.stop_reason_ != "exact"
    assert not model.outliers_.any()


def on_and_off(rng, n, p=20, *, off):
    """Rows of positive numbers with noise of a tenth, a share of which are zero as a whole, a mask."""
    data = rng.gamma(2, 1, (n, 2)) @ rng.gamma(2, 1, (2, p)) * (1.0 + 0.1 * rng.standard_normal((n, p)))
    rest = rng.uniform(size=n) < off
    data[rest] = 0.0
    return data, rest


def test_rows_that_are_off_are_found_in_complete_tables_whatever_their_order():
    """All of them are copies of one: a sample of the rows mostly missed it.

    The noise is alike in all entries: where it is a tenth of each, their order tells whether rows or columns have it.
    """
    rng = np.random.RandomState(3)
    data = 1.0 + rng.gamma(2, 1, (3000, 2)) @ rng.gamma(2, 1, (2, 10)) + 0.3 * rng.standard_normal((3000, 10))
    off = rng.uniform(size=3000) < 0.4
    data[off] = 0.0
    model, others = RobustMatrixCompletion().fit(data), RobustMatrixCompletion().fit(data[~off])
    assert model.scale_ == pytest.approx(others.scale_, rel=0.02)
    in_all = data[~off].std(axis=0) / data.std(axis=0) * np.sqrt(np.mean(~off))  # the others are missed by nothing
    assert rms(model.expected_error_) == pytest.approx(rms(others.expected_error_ * in_all), rel=0.1)
    order = np.random.RandomState(2).permutation(3000)
    assert RobustMatrixCompletion().fit(data[order]).scale_ == pytest.approx(others.scale_, rel=0.02)


def test_what_is_said_of_the_other_rows_stays_beside_rows_that_are_off():
    truth, off = on_and_off(np.random.RandomState(0), 400, off=0.4)
    hidden = np.random.RandomState(1).uniform(size=truth.shape) < 0.15
    few = np.flatnonzero(~off)[:4]
    hidden[few, 2:] = True
    model = RobustMatrixCompletion(replace="all")
    with pytest.warns(UserWarning, match="4 rows of X are not identifiable"):
        filled = model.fit_transform(np.where(hidden, np.nan, truth))
    np.testing.assert_array_equal(model.undetermined_rows_, few)
    assert not model.outliers_[few].any()
    hidden[few] = False
    true = rms((filled - truth)[hidden] / truth.std(axis=0)[np.nonzero(hidden)[1]])
    assert 0.8 < true / rms(model.expected_error_) < 1.25


def test_errors_are_found_where_rows_are_short():
    """Most rows have no large residual: one was more than what half of them have."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6))
    data += 0.3 * np.sinh(data) + 0.3 * rng.normal(size=data.shape)
    wrong = rng.random(data.shape) < 0.06
    data[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(2, 5, wrong.sum())
    assert RobustMatrixCompletion().fit(data).outliers_[wrong].mean() > 0.6


def test_the_noise_scale_counts_rows_as_often_as_they_do():
    rng = np.random.RandomState(0)
    noise = np.where(np.arange(200) < 100, 0.05, 0.5)[:, None] * rng.standard_normal((200, 30))
    data = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 30)) + noise
    weight = np.where(np.arange(200) < 100, 1.0, 5.0)
    model = RobustMatrixCompletion().fit(data, sample_weight=weight)
    assert model.scale_ == pytest.approx(np.sqrt(np.average(noise**2, weights=np.tile(weight[:, None], 30))), rel=0.15)


@pytest.mark.parametrize("share, errors, seed", [(0.45, 0.0, 3), (0.5, 0.0, 3), (0.2, 0.05, 5)])
def test_rates_and_counts_are_rows_of_one_table(share, errors, seed):
    """Indicators by years: medians leap over the gap between both, and what is large was an error of an exact fit.

    Of a few large values alone is known whether an exact fit is worse than the model, if these are not logarithms.
    """
    rng = np.random.RandomState(seed)
    small = np.arange(400)[:, None] < share * 400
    size = np.where(
        small, 5.0 + 3.0 * rng.standard_normal((400, 1)), np.exp(10.0 + 2.0 * rng.standard_normal((400, 1)))
    )
    trend = 1.0 + 0.02 * rng.standard_normal((400, 1)) * np.arange(12)
    true = size * trend * (1.0 + 0.002 * rng.standard_normal((400, 12))) + 0.3 * small * rng.standard_normal((400, 12))
    sd, wrong, hidden = true.std(axis=0), rng.uniform(size=true.shape) < errors, rng.uniform(size=true.shape) < 0.2
    data = np.where(hidden, np.nan, true + 10.0 * sd * wrong * rng.choice([-1.0, 1.0], true.shape))
    model = RobustMatrixCompletion(replace="missing").fit(data)
    assert rms(((model.transform(data) - true) / sd)[hidden]) < 0.05
    assert model.outliers_[~(wrong | hidden)].mean() < 0.005
    if errors:
        assert model.outliers_[wrong & ~hidden].mean() > 0.99
