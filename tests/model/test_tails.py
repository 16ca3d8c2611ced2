"""Tables with columns of long tails: money, populations, counts."""

from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.compression import compress, load
from sklearn_robustlr.metrics import log_likelihood_scorer

BEHIND = 40


@pytest.fixture(scope="module")
def table():
    """Logarithms of a low rank; a tenth of the values is hidden, and some are thirty times the median."""
    rng = np.random.RandomState(0)
    logs = rng.standard_normal((240, 3)) @ (rng.standard_normal((3, 14)) * [[1.5], [0.8], [0.4]])
    truth = 100.0 * np.exp(logs + 0.15 * rng.standard_normal(logs.shape))
    hidden, wrong = rng.uniform(size=truth.shape) < 0.1, rng.uniform(size=truth.shape) < 0.03
    data = np.where(wrong, 30.0 * np.median(truth, axis=0), truth)
    return np.where(hidden, np.nan, data), truth, hidden, wrong & ~hidden


@pytest.fixture(scope="module")
def fitted(table):
    return RobustMatrixCompletion().fit(table[0][:-BEHIND])


def of_scale(values, truth):
    return np.abs(values - truth) / (np.abs(truth) + np.median(truth, axis=0))


def test_hidden_values_are_told_by_their_logarithms(table, fitted):
    data, truth, hidden, wrong = table
    filled = fitted.transform(data)
    by_median = np.broadcast_to(np.nanmedian(data, axis=0), data.shape)
    for rows in (slice(None, -BEHIND), slice(-BEHIND, None)):  # fitted and new ones
        own, others = (of_scale(x[rows], truth[rows])[hidden[rows]].mean() for x in (filled, by_median))
        assert own < 0.45 * others  # 0.51 in units of the values
    assert fitted.stop_reason_ == "approximate" and len(fitted.log_features_) == 14
    seen = ~hidden[:-BEHIND]
    assert fitted.outliers_[seen & ~wrong[:-BEHIND]].mean() < 0.04  # 0.06 in units of the values


def test_intervals_draws_and_likelihoods_are_those_of_the_values(table, fitted):
    data, truth, hidden, _ = table
    low, high = fitted.predict_interval(data)
    assert 0.84 < np.mean(((low <= truth) & (truth <= high))[hidden]) < 0.97
    _, error = deepcopy(fitted).set_params(replace="all").transform(data, return_std=True)
    assert np.all(error > 0.0)
    large = truth > 5.0 * np.median(truth, axis=0)
    assert np.median(error[large]) > 3.0 * np.median(error[~large])  # errors grow with the values
    drawn = fitted.sample_imputations(data, 40, random_state=0)[:, hidden]
    inside = (low[hidden] <= drawn) & (drawn <= high[hidden])
    assert 0.85 < inside.mean() < 0.95
    # densities of values add up to one, of whatever unit
    likelihood = log_likelihood_scorer(fitted, data)
    thousands = RobustMatrixCompletion().fit(data[:-BEHIND] / 1000.0)
    assert_allclose(log_likelihood_scorer(thousands, data / 1000.0), likelihood + np.log(1000.0), atol=1e-6)
    assert np.isfinite(fitted.score_samples(data)).all()


def test_factors_are_those_of_the_estimates(table, fitted):
    data = table[0][:-BEHIND]
    every = deepcopy(fitted).set_params(replace="all")
    product = (every.left_ * every.singular_values_) @ every.right_.T
    inside = np.clip(product, np.nanmin(data, axis=0), np.nanmax(data, axis=0))
    assert_allclose(every.transform(data), inside, rtol=1e-8, atol=1e-6)
    assert_allclose(every.predict_entries([3, 5], [2, 7]), every.transform(data)[[3, 5], [2, 7]], rtol=1e-8)
    median = np.nanmedian(data, axis=0)
    scale = np.nanmedian(np.abs(data - median), axis=0) / 0.6745
    usual = np.mean(np.arcsinh((every.transform(data) - median) / scale / 2.0), axis=0)
    assert_allclose(every.location_, median + 2.0 * scale * np.sinh(usual), rtol=0.1)  # means are up to four times this


def test_a_row_of_another_size_leaves_the_others_as_they_are(table):
    """Beyond what is seen of a column, estimates would grow without measure, and what is left of others be rounding."""
    rng = np.random.RandomState(1)
    logs = rng.standard_normal((150, 3)) @ rng.standard_normal((3, 30))
    data = np.where(np.arange(30) < 8, np.exp(1.5 * logs), logs + 0.1 * rng.standard_normal(logs.shape))
    data[3] *= 40.0
    data[3, :8] = np.nan
    model = RobustMatrixCompletion(replace="all").fit(data)
    filled, error = model.transform(data, return_std=True)
    rows, columns = np.indices(data.shape)
    assert_allclose(
        model.predict_entries(rows.ravel(), columns.ravel()).reshape(data.shape), filled, rtol=1e-6, atol=1e-6
    )
    top = np.nanmax(np.abs(data))
    assert model.singular_values_[0] < top * np.sqrt(data.size) and np.all(np.abs(model.location_) < top)
    far = data[10:11] * 300.0
    far[:, :8] = np.nan
    for value, of_value in ((filled, error), model.transform(far, return_std=True)):
        assert np.isfinite(value).all() and np.all(of_value < 1e3 * top)


def test_results_do_not_depend_on_units_signs_rows_alone_or_threads(table, fitted):
    data = table[0][:-BEHIND]
    filled = fitted.transform(data)
    unit, shift = np.logspace(-6, 6, data.shape[1]) * np.where(np.arange(data.shape[1]) % 2, -1.0, 1.0), 1e3
    other = RobustMatrixCompletion(n_jobs=2).fit(data * unit + shift * unit)
    assert_allclose((other.transform(data * unit + shift * unit)) / unit - shift, filled, rtol=1e-5, atol=1e-2)
    assert_allclose(np.vstack([fitted.transform(row[None]) for row in data[:20]]), filled[:20], rtol=1e-10)


def test_a_compressed_fit_transforms_as_the_fit_does(table, fitted, tmp_path):
    data = table[0]
    stored = compress(fitted, "float16")
    stored.save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    assert_array_equal(small.log_features_, fitted.log_features_)
    assert_allclose(small.transform(data), fitted.transform(data), rtol=0.02, atol=1.0)


def test_a_rank_that_is_told_is_that_of_the_values(table):
    model = RobustMatrixCompletion(rank=3).fit(table[0])
    assert model.rank_ <= 4 and not len(model.log_features_)  # with the mean


def test_another_fit_begins_afresh(table, fitted):
    """The factors of the first are not those of logarithms."""
    data = table[0][:-BEHIND]
    model = deepcopy(fitted).set_params(warm_start=True)
    again = model.fit_transform(data)
    assert_array_equal(again, model.transform(data))
    assert_allclose(again, fitted.transform(data), rtol=1e-6, atol=1e-6)


def test_densities_of_single_values_add_up_to_one(fitted):
    """In the units of the data: where values are large, so are the intervals between logarithms."""
    value = np.concatenate([-np.geomspace(1e-3, 1e4, 2000)[::-1], np.geomspace(1e-3, 1e6, 4000)])
    rows = np.full((len(value), fitted.n_features_in_), np.nan)
    rows[:, 2] = value
    density = np.exp(fitted.score_samples(rows))
    total = np.sum(0.5 * (density[1:] + density[:-1]) * np.diff(value))
    assert total == pytest.approx(1.0, abs=0.2)  # errors have a law of their own


def test_draws_of_columns_of_long_tails_end_where_the_data_do():
    """Turned back, a draw far out in the tail was beyond all measure."""
    rng = np.random.RandomState(0)
    data = np.exp(rng.standard_normal((150, 2)) @ rng.standard_normal((2, 8)) + 0.3 * rng.standard_normal((150, 8)))
    data[rng.uniform(size=data.shape) < 0.05] *= 100.0
    data[rng.uniform(size=data.shape) < 0.15] = np.nan
    model = RobustMatrixCompletion().fit(data)
    drawn = model.sample_imputations(data, 40, random_state=0)
    largest = np.nanmax(data, axis=0)
    assert (drawn < 1.5 * largest).all() and (drawn > -0.5 * largest).all()


def test_the_largest_of_a_column_is_told_where_it_is_hidden():
    """Sizes of countries over years: what is beyond all that is seen of a year follows the other years of the row."""
    rng = np.random.RandomState(1)
    growth = 1.0 + 0.02 * rng.standard_normal(200)
    size = np.exp(15.0 + 2.0 * rng.standard_normal(200))
    truth = size[:, None] * growth[:, None] ** np.arange(18) * np.exp(0.003 * rng.standard_normal((200, 18)))
    hidden = rng.uniform(size=truth.shape) < 0.2
    data = np.where(hidden, np.nan, truth)
    beyond = hidden & (truth > np.nanmax(data, axis=0))
    model = RobustMatrixCompletion().fit(data)
    assert model.converged_ and np.count_nonzero(beyond) >= 3
    assert_allclose(model.transform(data)[beyond], truth[beyond], rtol=0.03)
    lower, upper = model.predict_interval(data, coverage=0.95)
    inside = (lower <= truth) & (truth <= upper)
    assert np.mean(inside[beyond]) >= 0.5 and np.mean(inside[hidden]) > 0.9
    limit = np.nanmax(data, axis=0)
    assert np.all(RobustMatrixCompletion(max_value=limit).fit(data).transform(data) <= limit)


def test_codes_below_columns_of_long_tails_are_errors_and_nothing_else_is():
    """What is far below the median of money is no small value; by its logarithm it was, and others were flagged."""
    rng = np.random.RandomState(1)
    logs = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 8))
    truth = np.exp(1.3 * logs / logs.std(axis=0) + 0.5 * rng.standard_normal(logs.shape))
    wrong = rng.uniform(size=truth.shape) < 0.05
    data = np.where(wrong, -20.0 * np.median(truth, axis=0) * rng.uniform(0.5, 1.5, truth.shape), truth)
    model = RobustMatrixCompletion().fit(data)
    assert len(model.log_features_) == 8
    assert model.outliers_[wrong].mean() > 0.98 and model.outliers_[~wrong].mean() < 0.01


def test_no_estimate_is_beyond_what_rows_that_are_seen_there_contradict():
    """A column that saturates: rows that would be beyond its end are seen below it."""
    rng = np.random.RandomState(1)
    decaying = rng.standard_normal((240, 12)) / np.arange(1, 13) @ np.linalg.qr(rng.standard_normal((12, 12)))[0]
    data = 3.0 * np.sort(rng.standard_normal(240))[:, None] * rng.uniform(0.8, 1.2, 12) + 0.5 * decaying
    data[-36:, 0] = data[-40, 0] - 0.3 * rng.uniform(size=36)
    data[rng.uniform(size=data.shape) < 0.15] = np.nan
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_[-36:, 0].mean() > 0.5
    assert model.transform(data)[:, 0].max() <= np.nanmax(data[:, 0])


def test_sums_of_columns_are_told_where_entries_are_few():
    """Parts, subtotals and their total: beside many directions no sum was met, and large rows were flagged."""
    rng = np.random.RandomState(1)
    parts = np.round(100.0 * np.exp(0.5 * rng.standard_normal((600, 1)) + 0.7 * rng.standard_normal((600, 6))))
    truth = np.column_stack([parts, parts[:, :3].sum(axis=1), parts[:, 3:].sum(axis=1), parts.sum(axis=1)])
    hidden = rng.uniform(size=truth.shape) < 0.1
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, truth))
    missed = (model.transform(np.where(hidden, np.nan, truth)) - truth) / truth.std(axis=0)
    others = hidden[:, [0, 1, 2, 6]].sum(axis=1) == 1  # one of the first sum alone
    own = hidden & others[:, None] & np.isin(np.arange(9), [0, 1, 2, 6])
    assert np.median(np.abs(missed[own])) < 0.01 and model.outliers_.mean() < 0.003


def test_the_total_of_all_rows_is_told_by_the_rest_of_it():
    """It is a hundred times the largest of them."""
    rng = np.random.RandomState(0)
    towns = np.exp(rng.standard_normal((1000, 1)) + 0.15 * rng.standard_normal((1000, 2)) @ rng.standard_normal((2, 8)))
    towns = towns * rng.uniform(0.5, 2.0, 8) * np.exp(0.1 * rng.standard_normal(towns.shape))
    model, total = RobustMatrixCompletion(replace="missing").fit(towns), towns.sum(axis=0)
    rows = np.where(np.eye(8, dtype=bool), np.nan, total)
    assert len(model.log_features_) == 8
    assert_allclose(np.diag(model.transform(rows)), total, rtol=0.5)


@pytest.mark.parametrize("kind", ["one error", "sensor that hangs"])
def test_a_few_errors_do_not_end_a_trend(kind):
    rng = np.random.RandomState(0)
    slope, t = rng.uniform(0.5, 1.5, 12), np.linspace(0.0, 10.0, 300)
    truth = t[:, None] * slope + 0.1 * rng.standard_normal((300, 3)) @ rng.standard_normal((3, 12))
    truth += 0.05 * rng.standard_normal(truth.shape)
    data, new = truth[:240].copy(), truth[240:].copy()
    if kind == "one error":
        data[-1, 0] = 0.0
    else:
        data[-36:, 0] = data[-36, 0]
    model = RobustMatrixCompletion(replace="missing").fit(data)
    assert model.outliers_[-1, 0]
    new[:, 0] = np.nan
    assert np.sqrt(np.mean((model.transform(new) - truth[240:])[:, 0] ** 2)) < 0.3
