"""Data at the edges of what a low rank can mean: constants, ties, full rank, errors with a pattern."""

import warnings

import numpy as np
import pytest
from cases import recover, repaired
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error


@pytest.mark.parametrize("value", [0.0, 3.7, -1e-200])
def test_constant_matrices(value):
    data = np.full((14, 12), value)
    assert_allclose(repaired(data), data, rtol=1e-12)
    pca = RobustPCA().fit(data)
    assert pca.converged_
    assert_allclose(pca.inverse_transform(pca.transform(data)), data, rtol=1e-12)
    data[3, 4] = 9.0
    if value:
        assert_allclose(repaired(data), value, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_matrices_from_measurements(value):
    X = np.random.RandomState(0).standard_normal((150, 30))
    model = recover("matrix", X, value * X.sum(axis=1), (6, 5))
    assert_allclose(model.matrix_, value, atol=1e-12)
    assert model.rank_ == bool(value)


@pytest.mark.parametrize("rank", [1, 5, 10])
def test_exact_low_rank_without_noise_or_errors(rank):
    problem = make_corrupted_matrix((40, 30), rank=rank, outliers=0, random_state=0)
    model = RobustMatrixCompletion(replace="all")
    assert_allclose(repaired(problem.data, model), problem.clean, atol=1e-12)
    assert model.rank_ == rank and not model.outliers_.any()


def test_rank_of_the_smaller_side():
    """No entry of such a matrix can be told from the others; measurements of it are a regression, and determine it."""
    rng = np.random.RandomState(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not RobustMatrixCompletion().fit(rng.standard_normal((60, 3))).converged_
    coef, X = rng.standard_normal((6, 3)), rng.standard_normal((200, 18))
    y = X @ coef.ravel()
    y[::8] += 20
    model = recover("matrix", X, y, (6, 3))
    assert_allclose(model.matrix_, coef, atol=1e-9)
    assert model.rank_ == 3


def test_duplicated_columns(shifted):
    data = np.hstack([shifted.data, shifted.data[:, :10], np.repeat(shifted.data[:, :1], 5, axis=1)])
    truth = np.hstack([shifted.clean, shifted.clean[:, :10], np.repeat(shifted.clean[:, :1], 5, axis=1)])
    assert_allclose(repaired(data), truth, atol=1e-9)


def test_integers_with_ties():
    """Counts of few values: what is met by chance is no evidence, and rounding gives them back."""
    rng = np.random.RandomState(0)
    truth = rng.randint(-2, 3, (50, 2)) @ rng.randint(-2, 3, (2, 40))
    wrong = rng.uniform(size=truth.shape) < 0.1
    data = np.where(wrong, rng.randint(-30, 30, truth.shape), truth)
    assert_array_equal(np.round(repaired(data)), truth)


def structured(kind, rng):
    """A matrix with errors that have a pattern, the truth, and the rows and columns that nobody could know."""
    problem = make_corrupted_matrix((80, 60), rank=2, outliers=0, random_state=rng)
    data, truth, lost = problem.data.copy(), problem.clean, ([], [])
    if kind == "rows":
        lost = [3, 17, 40, 41], []
        data[lost[0]] = 5 * rng.standard_normal((4, 60))
    elif kind == "columns":
        lost = [], [0, 8, 30]
        data[:, lost[1]] = 5 * rng.standard_normal((80, 3))
    elif kind == "block":
        data[:20, :15] = 5 * rng.standard_normal((20, 15))
    elif kind == "stuck":  # each of ten sensors from some hour on
        for j in range(10):
            data[rng.randint(50, 70) :, j] = rng.uniform(-2, 2)
    else:  # the entries that the leading singular vectors stand on, turned over
        u, _, vt = np.linalg.svd(truth)
        largest = np.argsort(np.abs(np.outer(u[:, 0], vt[0])).ravel())[-150:]
        data.ravel()[largest] *= -1
    return data, truth, lost


@pytest.mark.parametrize("kind", ["rows", "columns", "block", "stuck", "adversary"])
def test_structured_errors(kind):
    data, truth, lost = structured(kind, np.random.RandomState(1))
    model = RobustMatrixCompletion(replace="all")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="[34] (rows|columns) of X are not")
        out = repaired(data, model)
    assert_array_equal(model.undetermined_rows_, lost[0])
    assert_array_equal(model.undetermined_columns_, lost[1])
    known = np.ix_(np.setdiff1d(np.arange(80), lost[0]), np.setdiff1d(np.arange(60), lost[1]))
    assert_allclose(out[known], truth[known], atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rounded_data_full_of_ties_are_not_taken_for_exact():
    """Half of the pixels of the digits are zero: meeting those is no evidence, and rounding is noise."""
    X = load_digits().data[:300]
    fitted = RobustPCA(4).fit(X)
    assert fitted.stop_reason_ != "exact"
    assert fitted.n_components_ >= 3
    assert fitted.scale_ >= 0.28
    assert fitted.outliers_.mean() < 0.25


def test_zero_matrix():
    fitted = RobustMatrixCompletion().fit(np.zeros((10, 8)))
    assert fitted.rank_ == 0
    assert_array_equal(fitted.transform(np.full((2, 8), np.nan)), 0.0)


def test_full_rank_matrix_is_refused_honestly(rng):
    with pytest.warns(ConvergenceWarning):
        fitted = RobustMatrixCompletion().fit(rng.standard_normal((60, 40)))
    assert not fitted.converged_


def test_a_stuck_value_inside_the_data_is_seen_through_by_its_repetition():
    """A quarter of the entries read 1.2, in noise that hides them: no worse than if they were missing."""
    problem = make_corrupted_matrix((120, 100), rank=2, noise=0.25, random_state=2)
    stuck = np.random.RandomState(0).uniform(size=problem.data.shape) < 0.25
    fits = []
    for value in (1.2, np.nan):
        data = np.where(stuck, value, problem.data)
        fits.append(RobustMatrixCompletion(replace="all").fit(data))
        assert fits[-1].rank_ == 2
        assert relative_recovery_error(problem.clean, fits[-1].transform(np.where(stuck, np.nan, data))) < 0.08
    assert_allclose(fits[0].scale_, fits[1].scale_, rtol=0.02)


def test_constant_column_that_has_nothing_to_do_with_the_others(noiseless):
    """No verdict is passed on it: its values come back, with a warning."""
    data = np.column_stack([noiseless.data, np.ones(80)])
    fitted = RobustMatrixCompletion()
    with pytest.warns(UserWarning, match="1 column of X"):
        out = fitted.fit_transform(data)
    assert_allclose(out[:, :-1], noiseless.clean, atol=1e-8)
    assert_array_equal(out[:, -1], 1.0)
    assert_array_equal(fitted.undetermined_columns_, [60])
    # part of a mean that all columns have, it is explained
    mean = make_corrupted_matrix((80, 60), rank=2, outliers=0.2, mean=2.0, random_state=0)
    data = np.column_stack([mean.data, np.ones(80)])
    data[::9, -1] = np.nan
    assert_allclose(RobustMatrixCompletion().fit_transform(data)[:, -1], 1.0)


def test_entries_of_a_second_matrix():
    """They hide the gap of the rank from the sub-gradient method, and not from the model of tables."""
    rng = np.random.RandomState(1)
    truth, other = (make_corrupted_matrix((100, 80), 3, outliers=0, random_state=rng).clean for _ in range(2))
    data = np.where(rng.uniform(size=truth.shape) < 0.4, other, truth)
    model = RobustMatrixCompletion(replace="all")
    assert_allclose(repaired(data, model), truth, atol=1e-8)
    assert model.stop_reason_ == "exact" and model.rank_ == 3


def votes(rng):
    """Counts of five parties, two sums of some, and one of all."""
    parties = rng.poisson(np.exp(rng.standard_normal((400, 1)) + 7) * rng.dirichlet(np.full(5, 4.0), 400))
    return np.column_stack([parties, parties[:, :2].sum(axis=1), parties[:, 2:].sum(axis=1), parties.sum(axis=1)])


def incomes(rng):
    parts = rng.gamma(2.0, 1.0, (500, 4))
    return np.column_stack([parts, parts[:, :2].sum(axis=1), parts[:, 2:].sum(axis=1), parts.sum(axis=1)])


def units(rng):
    """One quantity in three units."""
    celsius = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 5)) + 0.3 * rng.standard_normal((300, 5))
    return np.column_stack([celsius, 1.8 * celsius + 32.0, celsius + 273.15])


@pytest.mark.parametrize(("table", "missing"), [(votes, 0.15), (incomes, 0.15), (units, 0.1)])
def test_sums_and_copies_of_columns_are_no_errors(table, missing):
    """A fit of fewer directions meets most entries exactly, and takes others, which are right, for errors."""
    rng = np.random.RandomState(0)
    truth = table(rng).astype(np.float64)
    hidden = rng.uniform(size=truth.shape) < missing
    data = np.where(hidden, np.nan, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows of few entries
        model = RobustMatrixCompletion().fit(data)
    assert model.converged_ and model.outliers_[~hidden].mean() < 0.02
    missed = np.abs(model.transform(data) - truth) / truth.std(axis=0)
    by_median = np.abs(np.nanmedian(data, axis=0) - truth) / truth.std(axis=0)
    assert missed[hidden].mean() < 0.35 * by_median[hidden].mean()


def test_smooth_matrices_are_not_taken_for_their_halves():
    """Above and below the diagonal an exponential covariance is of rank one, and nothing is wrong."""
    place = np.linspace(0.0, 1.0, 120)
    truth = np.exp(-np.abs(place[:, None] - place) / 0.2)
    hidden = np.random.RandomState(0).uniform(size=truth.shape) < 0.1
    filled = repaired(np.where(hidden, np.nan, truth))
    assert np.abs(filled - truth).max() < 0.6
    assert np.abs(filled - truth)[hidden].mean() < 0.05


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_seen_in_some_directions_alone_is_not_known(turned):
    """The first ten columns know one direction of three, and some rows have these alone."""
    rng = np.random.RandomState(0)
    right = rng.standard_normal((3, 20))
    right[1:, :10] = 0.0
    truth = rng.standard_normal((200, 3)) @ right
    data = truth.copy()
    data[:40, 10:] = np.nan
    unknown = np.isnan(data)
    if turned:
        truth, data, unknown = truth.T, data.T, unknown.T
    with pytest.warns(UserWarning, match="40 (columns|rows) of X are not identifiable"):
        model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "exact"
    assert_array_equal(model.undetermined_columns_ if turned else model.undetermined_rows_, np.arange(40))
    filled, error = model.transform(data, return_std=True)
    low, high = model.predict_interval(data)
    assert np.isinf(error[unknown]).all() and np.isinf(high[unknown] - low[unknown]).all()
    assert_allclose(filled[~unknown], truth[~unknown], atol=1e-8)
    if not turned:  # new rows, too
        rows = rng.standard_normal((5, 3)) @ right
        rows[:, 10:] = np.nan
        assert np.isinf(model.transform(rows, return_std=True)[1][:, 10:]).all()


def test_errors_drawn_by_a_seed_are_not_those_that_are_held_out():
    """By seed 0 they were: what is fitted had none, and all were kept by a fit that had converged."""
    X = load_iris().data
    wrong = np.random.RandomState(0).uniform(size=X.shape) < 0.1
    model = RobustMatrixCompletion().fit(X + 10.0 * X.std(axis=0) * wrong)
    assert model.converged_ and model.outliers_[wrong].mean() > 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("load", [load_iris, load_diabetes])
def test_a_wrong_value_in_a_new_row_does_not_matter_where_none_was_wrong(load, seed):
    """A Gaussian law has no part for errors: it followed them, and right values of the row were flagged.

    Where members of half of the weight were certain of an error and the others in doubt, it was not flagged.
    """
    X = load().data
    X = X[np.random.RandomState(seed).permutation(len(X))[:250]]
    rows, new = np.split(X, [int(0.7 * len(X))])
    wrong = np.arange(new.shape[1]) == np.arange(len(new))[:, None] % new.shape[1]
    model = RobustMatrixCompletion().fit(rows)
    bad, missing = new + 12.0 * X.std(axis=0) * wrong, np.where(wrong, np.nan, new)
    size = [np.sqrt(np.mean(((model.transform(data) - new) / X.std(axis=0))[wrong] ** 2)) for data in (bad, missing)]
    assert size[0] < 1.1 * size[1]
    assert model.detect_outliers(bad)[~wrong].mean() < 0.03


@pytest.mark.parametrize("load", [load_iris, load_diabetes])
def test_right_values_of_new_rows_are_hardly_errors(load):
    """What was not known of loadings exceeded the noise: residuals were divided by nothing, and chances were a half."""
    X = load().data
    X = X[np.random.RandomState(11).permutation(len(X))[:250]]
    rows, new = np.split(X, [int(0.7 * len(X))])
    assert np.mean(RobustMatrixCompletion().fit(rows).outlier_probability(new) >= 0.1) < 0.005
