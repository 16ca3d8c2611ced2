"""Tables of few rows: what the transposed matrix tells of columns that are in one unit."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_robustlr import RobustMatrixCompletion, compression
from sklearn_robustlr._model.columns import start_columns
from sklearn_robustlr._model.posterior import sweep_until_settled
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.samples import Samples
from sklearn_robustlr._model.turned import Turned
from sklearn_robustlr._operators.observed import Entries


def few_rows(seed, n=10, p=300, *, missing=0.15, wrong=0.03):
    """A table of few rows whose columns have levels and two directions of their own in one unit, and its holes."""
    rng = np.random.RandomState(seed)
    truth = 20.0 + 2.0 * rng.standard_normal(p) + 0.3 * rng.standard_normal((n, 1))
    truth = truth + rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
    values = truth + 0.3 * rng.standard_normal((n, p))
    hit, hidden = rng.uniform(size=(2, n, p)) < np.array([wrong, missing])[:, None, None]
    values[hit] += rng.choice([-15.0, 15.0], hit.sum())
    return truth, np.where(hidden, np.nan, values), hidden, hit & ~hidden


def rmse(estimate, truth, where):
    return np.sqrt(np.mean((estimate - truth)[where] ** 2))


def by_medians(X):
    return np.broadcast_to(np.nanmedian(X, axis=0), X.shape)


def test_columns_of_the_matrix_say_what_the_transpose_says():
    """All estimates of the transpose are in the row space; the prior of rows has their mean and their covariance."""
    samples = Samples.of(Entries(few_rows(0)[1]), 3)
    transpose, own = Turned(samples), samples.units
    model = sweep_until_settled(transpose.train, start_columns(transpose.train, 3, True))
    found, rows = transpose.columns(model, transpose.train), transpose.units
    told = rows.shift + rows.scale * (model.mean + regress(transpose.train, model).means @ model.loadings.T)
    even = (told.T - own.shift) / own.scale
    apart = even - found.prior_mean
    coefficients = np.linalg.lstsq(found.loadings, apart.T, rcond=None)[0]
    assert_allclose(found.loadings @ coefficients, apart.T, atol=1e-8)
    assert_allclose(found.prior_mean, even.mean(axis=0), atol=1e-8)
    # the coefficients of ten rows are known well by 300 columns: the prior has hardly more spread than they have
    assert_allclose(np.sum(found.loadings**2), np.mean(np.sum(apart**2, axis=1)), rtol=0.02)
    assert_allclose(found.law.variances * own.scale**2, np.mean(rows.scale**2 * model.law.variances), rtol=1e-9)


def test_of_few_rows_columns_in_one_unit_tell_more_than_medians():
    for seed, n in ((0, 6), (2, 20)):
        truth, X, hidden, hit = few_rows(seed, n=n)
        model = RobustMatrixCompletion(replace="all", random_state=0).fit(X)
        assert model.stop_reason_ in ("approximate", "noisy")
        assert rmse(model.transform(X), truth, hidden) < 0.6 * rmse(by_medians(X), truth, hidden)
        assert model.outliers_[hit].mean() > 0.9
        assert model.outliers_[~hit].mean() < 0.01


def test_few_rows_are_no_worse_than_many_columns():
    truth, X, hidden, _ = few_rows(4, n=8)
    errors = [
        rmse(RobustMatrixCompletion(replace="all").fit_transform(Z), T, H)
        for Z, T, H in ((X, truth, hidden), (X.T.copy(), truth.T, hidden.T))
    ]
    assert errors[0] < 1.1 * errors[1]


def test_intervals_of_few_rows_cover():
    covered = []
    for seed in range(2):
        _, X, hidden, _ = few_rows(10 + seed, n=8, wrong=0.0)
        values = few_rows(10 + seed, n=8, wrong=0.0, missing=0.0)[1]
        low, high = RobustMatrixCompletion(replace="all").fit(X).predict_interval(X, coverage=0.9)
        covered.append(((low <= values) & (values <= high))[hidden])
    assert 0.85 < np.mean(np.concatenate(covered)) < 0.96


def test_columns_of_many_units_are_left_to_themselves():
    truth, X, hidden, _ = few_rows(5, n=12, p=60)
    unit = 10.0 ** np.random.RandomState(1).uniform(-4, 4, 60)
    shift = unit * np.random.RandomState(2).uniform(-30, 30, 60)
    table = X * unit + shift
    found = RobustMatrixCompletion(replace="all").fit_transform(table)
    errors = [rmse((guess - shift) / unit, truth, hidden) for guess in (found, by_medians(table))]
    assert errors[0] < 1.05 * errors[1]
    assert (found >= np.nanmin(table, axis=0) - 1e-9 * unit).all()
    assert (found <= np.nanmax(table, axis=0) + 1e-9 * unit).all()


def test_estimates_stay_in_the_range_of_the_table():
    """What is seen of one column may be of others that are in its unit: the largest value of each may be hidden."""
    truth, X, _, hit = few_rows(8, n=8)
    X = np.where(hit, np.nan, X)
    top = truth.argmax(axis=0), np.arange(truth.shape[1])
    hidden = np.zeros(X.shape, dtype=bool)
    hidden[top] = np.arange(truth.shape[1]) % 4 == 0
    X[hidden] = np.nan
    found = RobustMatrixCompletion(replace="all").fit_transform(X)
    assert (found[hidden] > np.nanmax(X, axis=0)[np.nonzero(hidden)[1]]).mean() > 0.5
    assert found.min() >= np.nanmin(X) and found.max() <= np.nanmax(X)


@pytest.fixture(scope="module")
def seventh():
    """A table of few rows, and what is made of it."""
    _, X, _, _ = few_rows(7)
    return X, RobustMatrixCompletion(replace="all").fit_transform(X)


def test_unit_and_offset_of_the_table_do_not_matter(seventh):
    X, first = seventh
    unit, shift = -1e6, -3e7
    other = RobustMatrixCompletion(replace="all").fit_transform(X * unit + shift)
    assert_allclose((other - shift) / unit, first, atol=1e-6 * np.nanstd(X))


def test_order_of_rows_and_columns_does_not_matter():
    _, X, _, _ = few_rows(8, wrong=0.0)
    rows, cols = np.random.RandomState(0).permutation(10), np.random.RandomState(1).permutation(300)
    first, other = (RobustMatrixCompletion(replace="all").fit_transform(Z) for Z in (X, X[rows][:, cols]))
    difference = other - first[rows][:, cols]  # other entries are held out
    assert np.sqrt(np.mean(difference**2)) < 0.1


def test_new_rows():
    truth, X, hidden, _ = few_rows(9, n=30)
    model = RobustMatrixCompletion(replace="all")
    fitted, found = model.fit_transform(X[:10]), model.transform(X[10:])
    assert rmse(found, truth[10:], hidden[10:]) < 0.7 * rmse(by_medians(X[:10])[:1], truth[10:], hidden[10:])
    assert_allclose(model.transform(X[12:15]), found[2:5], rtol=1e-9)
    assert_allclose(fitted, model.transform(X[:10]), rtol=1e-12)


def test_a_fit_of_few_rows_is_stored_in_a_small_file(tmp_path):
    _, X, _, _ = few_rows(11)
    model = RobustMatrixCompletion(replace="all").fit(X)
    compression.compress(model, "float16").save(tmp_path / "model.npz")
    assert_allclose(compression.load(tmp_path / "model.npz").transform(X), model.transform(X), atol=0.05)


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")  # what is below the limit in nearly all samples
def test_columns_far_from_the_others_are_no_errors():
    """Of genes with levels from a gamma law one of the highest was all errors, and replaced by usual values."""
    rng = np.random.RandomState(3)
    level = rng.gamma(0.8, 3.0, 400)
    common = rng.standard_normal((20, 8)) / np.arange(1, 9) @ rng.standard_normal((8, 400))
    right = level + common + 0.3 * rng.standard_normal((20, 400))
    wrong = rng.uniform(size=right.shape) < 0.08
    moved = right + rng.choice([-1.0, 1.0], right.shape) * rng.uniform(5.0, 15.0, right.shape)
    data = np.where(wrong, moved, right)
    data[right < np.quantile(right, 0.3)] = np.nan
    told = np.isfinite(data) & ~wrong
    model = RobustMatrixCompletion(keep_empty_features=True).fit(data)
    flagged = np.sum(model.outliers_ & told, axis=0) / np.maximum(told.sum(axis=0), 1)
    assert flagged[told.sum(axis=0) > 5].max() < 0.5 and np.mean(model.outliers_[told]) < 0.01
