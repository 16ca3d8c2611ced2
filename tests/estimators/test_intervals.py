"""Standard errors, intervals and draws say how far estimates are from the truth, in any form and unit of the data."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

NOISE = 0.2


def noisy(seed=0, *, shape=(90, 60), rank=2, observed=0.5, outliers=0.0, **kwargs):
    return make_corrupted_matrix(
        shape, rank, observed=observed, outliers=outliers, noise=NOISE, random_state=seed, **kwargs
    )


@pytest.fixture(scope="module")
def problem():
    return noisy(outliers=0.1)


@pytest.fixture(scope="module")
def model(problem):
    return RobustMatrixCompletion(replace="all").fit(problem.data)


@pytest.fixture(scope="module")
def plain(model):
    return deepcopy(model).set_params(replace="outliers")


@pytest.fixture(scope="module")
def table():
    """A real table, standardised, with a fifth of its entries hidden."""
    X = load_breast_cancer().data[:200]
    truth = (X - X.mean(axis=0)) / X.std(axis=0)
    hidden = np.random.RandomState(0).uniform(size=X.shape) < 0.2
    return np.where(hidden, np.nan, truth), truth, hidden


@pytest.fixture(scope="module")
def table_model(table):
    return RobustMatrixCompletion(replace="all").fit(table[0])


def tangent_deviations(u, v, inlier, scale):
    """Standard errors of least squares in both factors, from the pseudo-inverse of all normal equations."""
    (n, k), p = u.shape, len(v)

    def gradient(i, j):
        g = np.zeros((n + p, k))
        g[i], g[n + j] = v[j], u[i]
        return g.ravel()

    every = np.array([gradient(i, j) for i in range(n) for j in range(p)])
    seen = every[inlier.ravel()]
    cov = np.linalg.pinv(seen.T @ seen, rcond=1e-9, hermitian=True)
    return scale * np.sqrt(np.einsum("ij,jk,ik->i", every, cov, every, optimize=True)).reshape(n, p)


def test_standard_errors_are_those_of_least_squares_in_both_factors():
    problem = noisy(0, shape=(40, 25), observed=0.5)
    model = RobustMatrixCompletion().fit(problem.data)
    assert model.stop_reason_ == "noisy" and not model.outliers_.any()
    _, std = model.transform(problem.data, return_std=True)
    u, v = model.left_ * model.singular_values_, model.right_
    expected = tangent_deviations(u, v, np.isfinite(problem.data), model.scale_)
    # a part of the noise is added where held-out errors are larger than predicted
    factor, added = np.polyfit(expected.ravel() ** 2, std.ravel() ** 2, 1)
    ratio = std / np.sqrt(factor * expected**2 + added)
    assert np.quantile(np.abs(ratio - 1.0), 0.95) < 0.03  # but for the prior
    assert 0.8 < np.sqrt(factor) < 1.25 and -0.02 < added / model.scale_**2 < 0.1


def test_they_cover_the_truth_of_a_sharp_rank():
    within, inside = [], []
    for seed in range(3):
        problem = noisy(seed, outliers=0.1)
        model = RobustMatrixCompletion(replace="all").fit(problem.data)
        estimate, std = model.transform(problem.data, return_std=True)
        hidden = ~problem.observed
        error = (estimate - problem.clean)[hidden]
        within.append([np.mean(np.abs(error) <= norm.ppf(0.5 + c / 2) * std[hidden]) for c in (0.5, 0.9, 0.95)])
        value = problem.clean + NOISE * np.random.RandomState(seed).standard_normal(problem.clean.shape)
        ends = [model.predict_interval(problem.data, coverage=c) for c in (0.5, 0.9, 0.95)]
        inside.append([np.mean(((low <= value) & (value <= high))[hidden]) for low, high in ends])
    for found in (within, inside):
        np.testing.assert_allclose(np.mean(found, axis=0), (0.5, 0.9, 0.95), atol=0.04)


def test_intervals_cover_hidden_entries_of_a_real_table(table, table_model):
    X, truth, hidden = table
    for coverage in (0.5, 0.9, 0.95):
        low, high = table_model.predict_interval(X, coverage=coverage)
        assert abs(np.mean(((low <= truth) & (truth <= high))[hidden]) - coverage) < 0.06
    _, std = table_model.transform(X, return_std=True)
    missed = np.abs(table_model.transform(X) - truth)
    sure = std < np.median(std[hidden])  # they tell good estimates from poor ones
    assert missed[hidden & sure].mean() < 0.7 * missed[hidden & ~sure].mean()


def test_an_exact_fit_is_sure():
    problem = make_corrupted_matrix((40, 30), 2, observed=0.7, outliers=0.1, random_state=0)
    problem.data[3, 1:] = np.nan  # one entry, two unknowns
    with pytest.warns(UserWarning, match="too few inliers"):
        model = RobustMatrixCompletion().fit(problem.data)
    assert model.stop_reason_ == "exact" and list(model.undetermined_rows_) == [3]
    repaired, std = model.transform(problem.data, return_std=True)
    assert not np.delete(std, 3, axis=0).any() and np.isinf(std[3]).all()
    low, high = model.predict_interval(problem.data)
    estimate = model.set_params(replace="all").transform(problem.data)
    model.set_params(replace="outliers")
    np.testing.assert_array_equal(np.delete(low, 3, axis=0), np.delete(estimate, 3, axis=0))
    np.testing.assert_array_equal(np.delete(high, 3, axis=0), np.delete(estimate, 3, axis=0))
    assert np.isneginf(low[3]).all() and np.isposinf(high[3]).all()
    for drawn in model.sample_imputations(problem.data, 2, random_state=0):
        np.testing.assert_array_equal(drawn, repaired)
    _, std = model.predict_entries([0, 3], [5, 5], return_std=True)
    np.testing.assert_array_equal(std, [0.0, np.inf])


def test_what_is_not_identifiable_has_no_bounds(problem):
    data = problem.data.copy()
    data[7, 2:] = np.nan
    data[:, 5] = np.nan
    with pytest.warns(UserWarning, match="too few inliers"):
        model = RobustMatrixCompletion().fit(data)
    _, std = model.transform(data, return_std=True)
    assert np.isinf(std[7]).all() and np.isinf(std[:, 5]).all()
    assert np.isfinite(np.delete(np.delete(std, 7, axis=0), 5, axis=1)).all()


def test_less_seen_is_less_sure(problem, model):
    row = problem.data[:1].copy()
    poorer = row.copy()
    poorer[0, np.flatnonzero(np.isfinite(row[0]))[8:]] = np.nan
    (_, std), (_, more) = model.transform(row, return_std=True), model.transform(poorer, return_std=True)
    assert (more > std).mean() > 0.9
    low, high = model.predict_interval(row, coverage=0.5)
    lower, higher = model.predict_interval(row, coverage=0.9)
    assert (lower < low).all() and (high < higher).all()


def test_rows_do_not_depend_on_their_batch(problem, model, table, table_model):
    for X, fitted in ((problem.data, model), (table[0], table_model)):
        _, std = fitted.transform(X, return_std=True)
        np.testing.assert_allclose(fitted.transform(X[11:14], return_std=True)[1], std[11:14], rtol=1e-9)
        _, other = fitted.set_params(n_jobs=2).transform(X, return_std=True)
        fitted.set_params(n_jobs=None)
        np.testing.assert_array_equal(other, std)


def test_entries_have_the_errors_of_their_rows(problem, model, table, table_model):
    rows, cols = np.array([5, 0, 5, 17]), np.array([3, 3, 0, 11])
    for X, fitted in ((problem.data, model), (table[0], table_model)):
        _, std = fitted.transform(X, return_std=True)
        values, found = fitted.predict_entries(rows, cols, return_std=True)
        np.testing.assert_array_equal(values, fitted.predict_entries(rows, cols))
        np.testing.assert_allclose(found, std[rows, cols], rtol=1e-9)


def test_they_have_the_units_of_the_data(table, table_model):
    X, _, _ = table
    units = 1e5 ** np.linspace(-1.0, 1.0, X.shape[1])
    offset = np.linspace(-30.0, 30.0, X.shape[1]) * units
    scaled = RobustMatrixCompletion(replace="all").fit(X * units + offset)
    _, std = table_model.transform(X, return_std=True)
    _, there = scaled.transform(X * units + offset, return_std=True)
    np.testing.assert_allclose(there, std * units, rtol=1e-4)


def test_sparse_rows_have_them_at_their_entries(problem, plain):
    seen = np.isfinite(problem.data)
    stored = sparse.csr_matrix((problem.data[seen], np.nonzero(seen)), shape=seen.shape)
    dense, model = plain, RobustMatrixCompletion().fit(stored)
    _, std = model.transform(stored, return_std=True)
    _, expected = dense.transform(problem.data, return_std=True)
    np.testing.assert_allclose(std.toarray()[seen], expected[seen], rtol=1e-6)
    for end, other in zip(model.predict_interval(stored), dense.predict_interval(problem.data), strict=True):
        np.testing.assert_allclose(end.toarray()[seen], other[seen], rtol=1e-6)
    chance = model.outlier_probability(stored)
    np.testing.assert_allclose(chance.toarray()[seen], dense.outlier_probability(problem.data)[seen], atol=1e-6)
    with pytest.raises(ValueError, match="X is sparse"):
        model.sample_imputations(stored)


def test_single_precision_is_kept(problem, plain):
    model = RobustMatrixCompletion().fit(problem.data.astype(np.float32))
    repaired, std = model.transform(problem.data.astype(np.float32), return_std=True)
    low, high = model.predict_interval(problem.data.astype(np.float32))
    assert {a.dtype for a in (repaired, std, low, high)} == {np.dtype(np.float32)}
    _, expected = plain.transform(problem.data, return_std=True)
    np.testing.assert_allclose(std, expected, rtol=0.02)


def test_draws_have_the_spread_that_is_stated(table, table_model):
    X, _, _ = table
    model = deepcopy(table_model).set_params(replace="outliers")
    tables = model.sample_imputations(X, 60, random_state=0)
    seen = np.isfinite(X) & ~model.outliers_
    assert (tables[:, seen] == X[seen]).all()
    missing = ~np.isfinite(X)
    estimate = model.transform(X)
    # limits cut the tails of draws, so that quantiles are compared
    low, high = model.predict_interval(X, coverage=0.5)
    inside = (low <= tables) & (tables <= high)
    assert abs(inside[:, missing].mean() - 0.5) < 0.1
    assert abs(np.median((tables - estimate)[:, missing])) < 0.1
    np.testing.assert_array_equal(
        model.sample_imputations(X, 2, random_state=1), model.sample_imputations(X, 2, random_state=1)
    )
    assert (tables[0] != tables[1]).any()


def test_draws_of_a_row_belong_together():
    """Entries of a draw share the coefficients of their row: their errors are correlated as those of the model are."""
    problem = noisy(1, rank=1, observed=0.3, shape=(80, 40))
    row = np.full((1, 40), np.nan)
    row[0, :3] = problem.clean[0, :3]
    model = RobustMatrixCompletion(rank=1, replace="all").fit(problem.data)
    tables = model.sample_imputations(row, 400, random_state=0)[:, 0]
    v = model.right_[:, 0]
    strong = np.argsort(-np.abs(v))[:2]
    expected = np.sign(np.prod(v[strong]))
    assert expected * np.corrcoef(tables[:, strong].T)[0, 1] > 0.3


def test_outliers_of_new_rows(problem):
    model = RobustMatrixCompletion().fit(problem.data[:70])
    np.testing.assert_array_equal(model.detect_outliers(problem.data[:70]), model.outliers_)
    new = problem.data[70:]
    flags, chance = model.detect_outliers(new), model.outlier_probability(new)
    assert np.isnan(chance[~np.isfinite(new)]).all()
    assert flags[problem.outliers[70:]].mean() > 0.95 and flags[~problem.outliers[70:]].mean() < 0.01
    assert np.all(chance[flags] > 0.5) and np.nanmean(chance[~problem.outliers[70:]]) < 0.02


def test_intervals_stay_within_the_limits(table, table_model):
    X, _, _ = table
    model = deepcopy(table_model).set_params(min_value=-0.5, max_value=0.5)
    low, high = model.predict_interval(X, coverage=0.99)
    assert low.min() == -0.5 and high.max() == 0.5


@pytest.mark.parametrize("coverage", [0, 1.0, -0.1, 2, np.nan])
def test_a_coverage_is_a_share(problem, model, coverage):
    with pytest.raises(ValueError, match="coverage must be"):
        model.predict_interval(problem.data, coverage=coverage)


def test_parameters_of_draws_are_checked(problem, model):
    with pytest.raises(TypeError, match="coverage"):
        model.predict_interval(problem.data, coverage="most")
    with pytest.raises(ValueError, match="n_samples"):
        model.sample_imputations(problem.data, 0)
    with pytest.raises(TypeError, match="random_state"):
        model.sample_imputations(problem.data, random_state="seed")
    with pytest.raises(TypeError, match="return_std"):
        model.transform(problem.data, return_std="yes")


def test_strange_rows_have_low_scores(problem, model, table, table_model):
    for X, fitted in ((problem.data, model), (table[0], table_model)):
        usual = fitted.score_samples(X)
        np.testing.assert_allclose(fitted.score_samples(X[5:8]), usual[5:8], rtol=1e-9)
        strange = X[:40, ::-1]
        assert np.median(fitted.score_samples(strange)) < np.quantile(usual, 0.05)
    units = np.logspace(-3, 3, table[0].shape[1])
    scaled = RobustMatrixCompletion(replace="all").fit(table[0] * units).score_samples(table[0] * units)
    moved = usual - np.isfinite(table[0]) @ np.log(units)
    np.testing.assert_allclose(scaled, moved, rtol=1e-3, atol=0.05)


def test_scores_of_a_sharp_fit_are_normal_densities():
    problem = noisy(2, observed=0.8)
    model = RobustMatrixCompletion().fit(problem.data)
    assert model.stop_reason_ == "noisy" and model.mixture_weights_ == {"sharp": 1.0}
    clean = problem.data[~model.outliers_.any(axis=1)][:20]
    estimate = model.set_params(replace="all").transform(problem.data)
    covariance = np.cov(estimate.T, bias=True) + model.scale_**2 * np.eye(estimate.shape[1])
    mean = estimate.mean(axis=0)
    expected = []
    for row in clean:
        seen = np.isfinite(row)
        cov, away = covariance[np.ix_(seen, seen)], (row - mean)[seen]
        density = seen.sum() * np.log(2 * np.pi) + np.linalg.slogdet(cov)[1] + away @ np.linalg.solve(cov, away)
        expected.append(-0.5 * density)
    np.testing.assert_allclose(model.score_samples(clean), expected, rtol=0.02, atol=0.15)  # estimates are shrunk


def test_weights_of_the_average_are_a_mixture(table_model):
    weights = table_model.mixture_weights_
    assert set(weights) <= {"normal", "robust", "robust from descent", "full", "robust full", "medians"}
    assert sum(weights.values()) == pytest.approx(1.0) and min(weights.values()) > 0.0


def test_exact_fits_have_finite_scores():
    problem = make_corrupted_matrix((40, 30), 2, observed=0.7, outliers=0.1, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    assert np.isfinite(model.score_samples(problem.data)).all()


def test_intervals_of_few_values_have_ends():
    """Held-out errors may be zero, and a column empty."""
    rng = np.random.RandomState(0)
    X = rng.randint(0, 5, (80, 12)).astype(float)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    X[:, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        low, high = RobustMatrixCompletion().fit(X).predict_interval(X, coverage=0.05)
    assert np.isneginf(low[:, 3]).all() and np.isposinf(high[:, 3]).all()
    assert np.isfinite(np.delete(low, 3, axis=1)).all()


@pytest.mark.filterwarnings("ignore:. (rows?|columns?) of X")
def test_a_fit_that_knows_medians_alone_claims_no_more():
    covered = []
    for seed in range(10):
        rng = np.random.RandomState(seed)
        truth = rng.standard_normal((6, 6))
        hidden = rng.uniform(size=truth.shape) < 0.15
        data = np.where(hidden, np.nan, truth)
        with pytest.warns(ConvergenceWarning):
            model = RobustMatrixCompletion(replace="all").fit(data)
        low, high = model.predict_interval(data, coverage=0.9)
        covered.append(((low <= truth) & (truth <= high))[hidden])
        assert np.isfinite(model.score_samples(data)).all()
    assert 0.78 < np.mean(np.concatenate(covered)) < 0.97


def test_an_empty_row_is_known_by_the_others(table):
    """Of an approximate fit: its values are drawn from what rows are, and so are their errors."""
    X = table[0][:150].copy()
    X[5] = np.nan
    with pytest.warns(UserWarning, match="too few inliers"):
        model = RobustMatrixCompletion(replace="all").fit(X)
    _, std = model.transform(X, return_std=True)
    assert np.isfinite(std[5]).all() and (std[5] > np.median(std, axis=0)).all()
    np.testing.assert_allclose(model.predict_entries([5, 5], [0, 4], return_std=True)[1], std[5, [0, 4]], rtol=1e-9)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_extreme_sizes_have_errors_of_their_size(problem, model, size):
    X = problem.data * size
    other = RobustMatrixCompletion(replace="all").fit(X)
    _, std = other.transform(X, return_std=True)
    _, usual = model.transform(problem.data, return_std=True)
    np.testing.assert_allclose(std / size, usual, rtol=1e-3)
    assert np.isfinite(other.score_samples(X)).all()


def test_nothing_is_suspected_where_nothing_is_identifiable(problem):
    data = problem.data.copy()
    data[7, 2:] = np.nan
    data[7, 0] = 1e3
    with pytest.warns(UserWarning, match="too few inliers"):
        model = RobustMatrixCompletion().fit(data)
    chance = model.outlier_probability(data)
    assert not np.nanmax(chance[7]) and np.nanmax(chance) > 0.99


def test_draws_vary_as_much_more_as_errors_do():
    """Of an entry that is less sure than another, the variance of the draws is larger by that of its error."""
    problem = noisy(5, observed=0.3)
    model = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert model.stop_reason_ == "noisy"
    _, std = model.transform(problem.data, return_std=True)
    variance = model.sample_imputations(problem.data, 300, random_state=0).var(axis=0)
    slope = np.polyfit(std.ravel() ** 2, variance.ravel(), 1)[0]
    assert 0.85 < slope < 1.15


def test_the_calibration_knows_that_held_out_entries_were_fitted():
    """Errors at entries that the columns have seen are too small, by their leverage."""
    ratios = []
    for seed in range(4):
        problem = noisy(seed, shape=(60, 40))
        model = RobustMatrixCompletion().fit(problem.data)
        assert model.stop_reason_ == "noisy"
        _, std = model.transform(problem.data, return_std=True)
        inlier = np.isfinite(problem.data) & ~model.outliers_
        expected = tangent_deviations(model.left_ * model.singular_values_, model.right_, inlier, model.scale_)
        ratios.append(np.median(std / expected))
    assert 0.955 < np.mean(ratios) < 1.06


def test_small_gross_errors_do_not_widen_intervals():
    problem = noisy(6, observed=0.8, outliers=0.2, magnitude=2.0)
    model = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert model.stop_reason_ == "noisy"
    low, high = model.predict_interval(problem.data, coverage=0.9)
    value = problem.clean + NOISE * np.random.RandomState(0).standard_normal(problem.clean.shape)
    assert np.mean(((low <= value) & (value <= high))[~problem.observed]) < 0.95


def decaying(seed, errors=0.0, noise=0.2, seen=0.45):
    """A matrix whose singular values fall as j^-1.5, a part seen, with errors of three standard deviations."""
    rng = np.random.RandomState(seed)
    clean = (
        rng.standard_normal((120, 80)) * np.arange(1.0, 81.0) ** -1.5 @ np.linalg.qr(rng.standard_normal((80, 80)))[0]
    )
    clean /= clean.std()
    data, wrong = clean + noise * rng.standard_normal(clean.shape), rng.uniform(size=clean.shape) < errors
    data[wrong] += 3.0 * rng.choice([-1, 1], wrong.sum())
    data[rng.uniform(size=data.shape) > seen] = np.nan
    return data, clean, wrong & np.isfinite(data)


def test_standard_errors_hold_what_no_direction_captures():
    data, clean, _ = decaying(0)
    model = RobustMatrixCompletion().fit(data)
    estimate, std = model.transform(data, return_std=True)
    hidden = np.isnan(data)
    assert 0.84 < np.mean(np.abs(estimate - clean)[hidden] <= 1.645 * std[hidden]) < 0.97


def test_standard_errors_hold_no_more_of_it_than_the_spectrum_says():
    """With many entries few directions are left, and those of any covariance miss none."""
    held = []
    for seed in range(4):
        data, clean, _ = decaying(seed, seen=0.55)
        estimate, std = RobustMatrixCompletion(replace="all").fit(data).transform(data, return_std=True)
        score = (np.abs(estimate - clean) / std)[np.isnan(data)]
        held.append([np.mean(score <= norm.ppf(0.5 + 0.5 * nominal)) for nominal in (0.5, 0.9)])
    assert np.allclose(np.mean(held, axis=0), [0.5, 0.9], atol=0.04)


def test_errors_of_one_size_are_found_and_do_not_widen_intervals():
    data, clean, wrong = decaying(3, errors=0.2)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_[wrong].mean() > 0.85
    assert model.outliers_[np.isfinite(data) & ~wrong].mean() < 0.02
    lower, upper = model.predict_interval(data, coverage=0.9)
    value = clean + 0.2 * np.random.RandomState(4).standard_normal(clean.shape)
    assert 0.84 < np.mean(((lower <= value) & (value <= upper))[np.isnan(data)]) < 0.95


@pytest.mark.parametrize(("shape", "mean"), [((8, 5), 0.0), ((60, 30), 2.0), ((12, 150), 3.0)])
def test_draws_fall_into_intervals_as_often_as_these_are_to_hold_them(shape, mean):
    """Of small tables two thirds were within 90 % of the draws, which ended where the data do; where rows have a mean,
    2 % of them."""
    rng = np.random.RandomState(0)
    data = rng.standard_normal((shape[0], 2)) @ rng.standard_normal((2, shape[1])) + 0.3 * rng.standard_normal(shape)
    data += mean
    data[rng.uniform(size=shape) < 0.25] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = RobustMatrixCompletion().fit(data)
    drawn = model.sample_imputations(data, 500, random_state=0)[:, np.isnan(data)]
    for coverage in (0.5, 0.9):
        low, high = (end[np.isnan(data)] for end in model.predict_interval(data, coverage))
        assert_allclose(np.mean((low <= drawn) & (drawn <= high)), coverage, atol=0.04)


def test_rows_that_are_not_identifiable_are_not_flagged_when_they_come_again():
    problem = make_corrupted_matrix((80, 30), rank=2, observed=0.25, noise=0.1, outliers=0.05, random_state=1)
    data = problem.data
    data[5] = np.nan
    data[5, :2] = 1.0, 30.0
    with pytest.warns(UserWarning, match="too few inliers"):
        model = RobustMatrixCompletion().fit(data)
    lost = model.undetermined_rows_
    assert 5 in lost and not model.outliers_[lost].any()
    assert_array_equal(model.detect_outliers(data), model.outliers_)
    assert_array_equal(model.transform(data)[5, :2], data[5, :2])


def test_intervals_of_rare_indicators_beside_numbers():
    """Those of all columns alike hold 0.35 of the numbers at 50 %, and more of the others."""
    inside = []
    for seed in range(2):
        rng = np.random.RandomState(seed)
        latent = rng.standard_normal((300, 3))
        numbers = latent @ rng.standard_normal((3, 12)) + 0.5 * rng.standard_normal((300, 12))
        rare = (latent @ rng.standard_normal((3, 12)) + rng.standard_normal((300, 12)) > 2.0).astype(float)
        data = np.hstack([numbers, rare])
        hidden = rng.uniform(size=data.shape) < 0.2
        seen = np.where(hidden, np.nan, data)
        low, high = RobustMatrixCompletion().fit(seen).predict_interval(seen, coverage=0.5)
        holds = np.where(hidden, (low <= data) & (data <= high), np.nan)
        inside.append([np.nanmean(holds[:, :12]), np.nanmean(holds[:, 12:])])
    numbers, rare = np.mean(inside, axis=0)
    assert 0.42 < numbers < 0.6
    assert rare < 0.75


def test_gross_errors_leave_draws_and_intervals_that_are_numbers():
    """Those that were held out say nothing of columns that have laws of their own, be they the largest of all."""
    X = load_diabetes().data
    X = X / X.std(axis=0)
    rng = np.random.RandomState(0)
    missing, wrong = rng.uniform(size=X.shape) < 0.2, rng.uniform(size=X.shape) < 0.1
    data = np.where(wrong, X + rng.uniform(7, 20, X.shape) * rng.choice([-1, 1], X.shape), X)
    data[missing] = np.nan
    model = RobustMatrixCompletion().fit(data)
    drawn = model.sample_imputations(data, 20, random_state=0)[:, missing]
    assert np.isfinite(drawn).all()
    inner, outer = (model.predict_interval(data, coverage) for coverage in (0.9, 0.9999))
    assert (np.diff([outer[0], inner[0], inner[1], outer[1]], axis=0) >= 0).all()
    assert np.mean((outer[0] <= X) & (outer[1] >= X), where=missing) > 0.95


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_standard_errors_hold_the_directions_that_few_entries_do_not_tell():
    """One direction stands out of a spectrum that falls as j^-1.5 beside errors; those after it count as noise."""
    held = []
    for seed in (1, 8):
        rng = np.random.RandomState(seed)
        truth = rng.standard_normal((120, 80)) * np.arange(1, 81) ** -1.5
        truth = truth @ np.linalg.qr(rng.standard_normal((80, 80)))[0]
        truth /= truth.std()
        data = truth + 0.2 * rng.standard_normal(truth.shape)
        wrong = rng.uniform(size=truth.shape) < 0.2
        data[wrong] += 3.0 * rng.choice([-1, 1], wrong.sum())
        data[rng.uniform(size=truth.shape) > 0.155] = np.nan
        model = RobustMatrixCompletion(replace="all").fit(data)
        assert model.rank_ == 1
        estimate, error = model.transform(data, return_std=True)
        known = np.isfinite(error)
        assert known.mean() > 0.9
        held.append(np.mean((np.abs(estimate - truth) < norm.ppf(0.95) * error)[known]))
    assert 0.6 < np.mean(held) < 0.95


def test_probabilities_of_errors_are_probabilities():
    """Weights of the noise laws add up to one but for rounding."""
    X = load_wine().data / load_wine().data.std(axis=0)
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=X.shape) < 0.1
    data = np.where(wrong, X + rng.uniform(7, 20, X.shape) * rng.choice([-1, 1], X.shape), X)
    chances = RobustMatrixCompletion().fit(data).outlier_probability(data)
    assert chances.min() >= 0.0 and chances.max() <= 1.0 and chances[wrong].mean() > 0.9
