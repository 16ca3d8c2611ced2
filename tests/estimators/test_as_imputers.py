"""RobustMatrixCompletion does what scikit-learn's tests ask of its imputers, of what applies to it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import kstest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer, MissingIndicator
from sklearn.pipeline import make_union

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


def integers():
    """Positive integers of rank two: a clean matrix of which every entry can be told from the others."""
    i, j = np.arange(1.0, 21.0), np.arange(1.0, 9.0)
    return np.outer(i, j) + np.outer(i % 3, j % 4)


@pytest.fixture(scope="module")
def holes():
    """Mask of a few entries in some of the columns, none in the first."""
    mask = np.zeros((20, 8), dtype=bool)
    mask[[3, 9, 9, 14], [4, 1, 6, 4]] = True
    return mask


@pytest.fixture(scope="module")
def table(holes):
    return np.where(holes, np.nan, integers())


@pytest.fixture(scope="module")
def plain(table):
    """The fit that others are compared with."""
    return RobustMatrixCompletion().fit(table)


@pytest.fixture(scope="module")
def indicated(table):
    """The repaired table with its indicators."""
    return RobustMatrixCompletion(add_indicator=True).fit_transform(table)


# Shapes and columns


def test_rows_without_any_entry_are_rows(small, small_completion):
    rows = small.data.copy()
    rows[::2] = np.nan
    found = small_completion.transform(rows)
    assert found.shape == rows.shape and np.isfinite(found).all()
    assert_array_equal(found[::2], np.broadcast_to(found[0], (20, 30)))
    stored = sparse.csr_array((rows[np.isfinite(rows)], np.nonzero(np.isfinite(rows))), shape=rows.shape)
    assert small_completion.transform(stored).shape == rows.shape


def test_an_empty_column_is_told_and_left_out(table):
    frame = pd.DataFrame(table, columns=list("abcdefgh"))
    frame.insert(2, "empty", np.nan)
    model = RobustMatrixCompletion(add_indicator=True)
    with pytest.warns(UserWarning, match=r"1 column of X .*\(empty\)"):
        model.fit(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    names = model.get_feature_names_out()
    assert list(names) == [*"abcdefgh", "missingindicator_b", "missingindicator_e", "missingindicator_g"]
    assert model.transform(frame).shape == (20, 11)


@pytest.mark.filterwarnings("ignore:1 column of X")
@pytest.mark.parametrize("place", [0, 8])
def test_what_an_empty_column_holds_later_does_not_matter(table, holes, place):
    X, Y = (np.insert(table, place, value, axis=1) for value in (np.nan, 7.0))
    dropped, kept = (RobustMatrixCompletion(keep_empty_features=keep).fit(X) for keep in (False, True))
    others = np.arange(9) != place
    for rows in (X, Y):
        assert_allclose(dropped.transform(rows), integers(), atol=1e-8)
        assert_array_equal(kept.transform(rows)[:, others], dropped.transform(rows))
    assert_array_equal(kept.transform(Y)[:, place], 7.0)


def test_without_empty_columns_to_keep_them_is_nothing(table):
    kept, dropped = (RobustMatrixCompletion(keep_empty_features=keep).fit_transform(table) for keep in (True, False))
    assert_array_equal(kept, dropped)


@pytest.mark.filterwarnings("ignore:1 column of X")
def test_limits_are_those_of_the_columns_given(table):
    X = np.insert(table, 2, np.nan, axis=1)
    low, high = np.full(9, -np.inf), np.full(9, np.inf)
    low[1], high[5] = 1e4, -1e4
    found = RobustMatrixCompletion(min_value=low, max_value=high, replace="missing").fit_transform(X)
    expected = integers()
    expected[9, 1], expected[[3, 14], 4] = 1e4, -1e4
    assert_allclose(found, expected, atol=1e-8)


def test_one_limit_for_all_and_one_for_each(table):
    X = load_iris().data[::2]
    X = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.15, np.nan, X)
    one, each = (
        RobustMatrixCompletion(min_value=low, max_value=high).fit_transform(X)
        for low, high in ((1.5, 4.0), ([1.5] * 4, [4.0] * 4))
    )
    assert_array_equal(one, each)
    # where the rank is sharp there is no limit unless one is given
    none, infinite = (
        RobustMatrixCompletion(min_value=low, max_value=high).fit_transform(table)
        for low, high in ((None, None), (-np.inf, np.inf))
    )
    assert_array_equal(none, infinite)


# Indicators


@pytest.mark.parametrize("marker", [np.nan, -1, 0])
def test_indicators_with_a_marker(table, holes, marker):
    X = np.where(holes, marker, table)
    model = RobustMatrixCompletion(missing_values=marker, add_indicator=True, replace="missing")
    found = model.fit_transform(X)
    theirs = KNNImputer(missing_values=marker, add_indicator=True).fit(X)
    assert_array_equal(model.indicator_features_, theirs.indicator_.features_)
    assert_array_equal(found[:, 8:], theirs.transform(X)[:, 8:])
    assert_allclose(found[:, :8], integers(), atol=1e-8)


def test_indicators_are_those_of_fit(table):
    """Rows without missing values have them too; a column that was complete has none."""
    model = RobustMatrixCompletion(add_indicator=True).fit(table)
    rows = integers()[:5]
    assert_allclose(model.transform(rows), np.hstack([rows, np.zeros((5, 3))]), atol=1e-12)
    rows[2, [0, 4]] = np.nan
    found = model.transform(rows)
    assert found.shape == (5, 11)
    assert_array_equal(np.argwhere(found[:, 8:]), [[2, 1]])


def test_complete_data_have_no_indicators():
    model = RobustMatrixCompletion(add_indicator=True)
    assert_array_equal(model.fit_transform(integers()), integers())
    assert model.indicator_features_.size == 0


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.lil_array])
def test_indicators_of_a_sparse_matrix_of_zeros(table, indicated, kind):
    model = RobustMatrixCompletion(absent="zero", add_indicator=True)
    assert_array_equal(model.fit_transform(kind(table)), indicated)


def test_beside_a_missing_indicator(table, holes):
    union = make_union(RobustMatrixCompletion(), MissingIndicator())
    assert_allclose(union.fit_transform(table), np.hstack([integers(), holes[:, [1, 4, 6]]]), atol=1e-8)


# Input


def test_lists(table, plain):
    model = RobustMatrixCompletion().fit(table.tolist())
    row = [[1, None, *integers()[0, 2:]]]
    assert_allclose(model.transform(row), integers()[:1], atol=1e-8)
    assert_array_equal(model.transform(table.tolist()), plain.transform(table))


@pytest.mark.parametrize("kind", [list, np.array, lambda X: np.array(X, dtype=object), pd.DataFrame])
def test_text_is_refused(kind):
    with pytest.raises(ValueError, match=r"must hold numbers, got the text 'a'|not numbers: '0', '1'"):
        RobustMatrixCompletion().fit(kind([["a", "b", 3], ["c", "e", 6], ["g", "h", 9]]))


@pytest.mark.parametrize("marker", [np.nan, -1])
def test_infinity_is_refused_later_too(table, holes, marker):
    X = np.where(holes, marker, table)
    model = RobustMatrixCompletion(missing_values=marker).fit(X)
    X[0, 0] = np.inf
    for use in (model.transform, model.score, RobustMatrixCompletion(missing_values=marker).fit):
        with pytest.raises(ValueError, match="contains infinity"):
            use(X)


def test_nan_is_missing_beside_a_marker(table):
    X = table.copy()
    X[5, 2] = 0.0
    found = RobustMatrixCompletion(missing_values=0).fit_transform(X)
    assert_allclose(found, integers(), atol=1e-8)


def test_zero_is_no_marker_of_sparse_rows(table):
    model = RobustMatrixCompletion(missing_values=0).fit(np.nan_to_num(table))
    with pytest.raises(ValueError, match="missing_values=0 with a sparse X"):
        model.transform(sparse.csr_array(np.nan_to_num(table)))


@pytest.mark.parametrize("marker", [np.nan, -1])
def test_nan_is_allowed_whatever_the_marker(marker):
    assert RobustMatrixCompletion(missing_values=marker).__sklearn_tags__().input_tags.allow_nan


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_rows_keep_their_type(table, plain, dtype):
    for rows in (table[:12], np.full((1, 8), np.nan)):
        assert plain.transform(rows.astype(dtype)).dtype == dtype


def test_data_are_not_changed(table):
    X, stored = table.copy(), sparse.csr_array(np.nan_to_num(table))
    stored_values = stored.data.copy()
    found = RobustMatrixCompletion().fit_transform(X)
    found[:] = -1.0
    assert_array_equal(X, table)
    found = RobustMatrixCompletion().fit_transform(stored)
    found.data[:] = -1.0
    assert_array_equal(stored.data, stored_values)


# Frames


@pytest.mark.parametrize(("dtype", "marker"), [("Int16", np.nan), ("Int64", pd.NA), ("Float64", None), ("Float64", -9)])
def test_nullable_columns(table, indicated, dtype, marker):
    """With indicators, names and an index."""
    frame = pd.DataFrame(table, columns=list("abcdefgh"), index=range(100, 120)).astype(dtype)
    model = RobustMatrixCompletion(missing_values=marker, add_indicator=True).set_output(transform="pandas")
    found = model.fit_transform(frame)
    assert_array_equal(found.to_numpy(), indicated)
    assert list(found.columns) == [*frame.columns, *(f"missingindicator_{name}" for name in "beg")]
    assert (found.dtypes == np.float64).all() and found.index.equals(frame.index)


def test_a_boolean_column_with_missing_values():
    X = np.column_stack([load_iris().data, load_iris().data[:, 3] > 1.5])[::2]
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.1] = np.nan
    frame = pd.DataFrame(X, columns=list("abcde"))
    mixed = frame.astype({"b": "Float64", "e": "boolean"})
    assert mixed["e"].isna().any() and mixed["e"].dtype == "boolean"
    assert_array_equal(RobustMatrixCompletion().fit_transform(mixed), RobustMatrixCompletion().fit_transform(X))


@pytest.mark.parametrize("missing", [None, np.nan])
def test_polars(small, small_completion, missing):
    pl = pytest.importorskip("polars")
    names = [f"c{j}" for j in range(30)]
    frame = pl.DataFrame(small.data, schema=names).fill_nan(missing)
    model = RobustMatrixCompletion(add_indicator=True, replace="missing").set_output(transform="polars")
    found = model.fit_transform(frame)
    assert isinstance(found, pl.DataFrame)
    assert found.columns == [*names, *(f"missingindicator_{name}" for name in names)]
    assert_array_equal(found[:, 30:].to_numpy(), ~small.observed)
    assert list(model.feature_names_in_) == names
    model.set_params(add_indicator=False, replace="outliers")
    assert_array_equal(model.transform(frame).to_numpy(), small_completion.transform(small.data))
    assert model.score(frame) == small_completion.score(small.data)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename({"c0": "other"}))


def test_polars_integers_and_booleans_with_nulls(table, plain):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(table, schema=list("abcdefgh")).fill_nan(None).cast(pl.Int64)
    assert frame["e"].null_count() == 2
    assert_array_equal(RobustMatrixCompletion().fit_transform(frame), plain.transform(table))
    X = np.column_stack([load_iris().data, load_iris().data[:, 3] > 1.5])[::2]
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.1] = np.nan
    mixed = pl.DataFrame(X, schema=list("abcde")).fill_nan(None).with_columns(pl.col("e").cast(pl.Boolean))
    assert_array_equal(RobustMatrixCompletion().fit_transform(mixed), RobustMatrixCompletion().fit_transform(X))
    with pytest.raises(ValueError, match="not numbers: 'city'"):
        RobustMatrixCompletion().fit(frame.with_columns(pl.lit("x").alias("city")))


# Values


def test_a_single_column_has_a_location_alone():
    for X in ([[1.0], [2.0], [6.0]], [[1.0], [2.0], [6.0], [np.nan]]):
        with pytest.warns(ConvergenceWarning, match="only a location of the columns was estimated"):
            model = RobustMatrixCompletion().fit(X)
        assert_allclose(model.transform([[3.0], [np.nan]]), [[3.0], [2.0]])


def test_rows_that_share_no_column_have_a_location_alone():
    with pytest.warns(ConvergenceWarning, match="no two rows share two columns"):
        model = RobustMatrixCompletion().fit([[np.nan, 11.0], [np.nan, 1.0], [3.0, np.nan]])
    assert_allclose(model.transform([[np.nan, 11.0], [4.0, np.nan]]), [[3.0, 11.0], [4.0, 6.0]])


def test_missing_in_new_rows_alone():
    """A column that was complete is filled like any other."""
    model = RobustMatrixCompletion().fit(integers()[:15])
    rows = integers()[15:]
    rows[:, 0] = np.nan
    assert_allclose(model.transform(rows), integers()[15:], atol=1e-8)


def test_equal_columns():
    X = np.outer(np.arange(14.0), np.ones(6))
    Y = X.copy()
    Y[[0, 0, 1, 2, 13], [1, 3, 3, 2, 0]] = np.nan
    assert_allclose(RobustMatrixCompletion().fit_transform(Y), X, atol=1e-8)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_half_of_the_entries_and_new_rows(rank):
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(70, rank)) @ rng.uniform(size=(rank, 60))
    Y = np.where(rng.uniform(size=X.shape) < 0.5, np.nan, X)
    model = RobustMatrixCompletion().fit(Y[:45])
    assert_allclose(model.transform(Y), X, atol=1e-6)


def test_a_constant_column_of_a_real_table():
    X = load_diabetes().data[:80].copy()
    X[:, 3] = 1.0
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.15] = np.nan
    found = RobustMatrixCompletion().fit_transform(X)
    assert np.isfinite(found).all()
    assert_allclose(found[:, 3], 1.0)


# Draws


@pytest.fixture(scope="module")
def noisy_rows():
    """A fit with noise, and rows with missing entries."""
    problem = make_corrupted_matrix((80, 20), 2, observed=0.85, outliers=0.0, noise=0.3, random_state=0)
    return RobustMatrixCompletion().fit(problem.data), problem.data[:6]


def test_draws_vary_and_estimates_do_not(noisy_rows):
    model, rows = noisy_rows
    first, second = (model.sample_imputations(rows, 3, random_state=seed) for seed in (0, 1))
    missing = np.isnan(rows)
    assert missing.any() and (first != second)[:, missing].all()
    assert_array_equal(model.transform(rows), model.transform(rows))


def test_draws_of_an_entry_are_normal(noisy_rows):
    model, rows = noisy_rows
    draws = model.sample_imputations(rows, 200, random_state=0)[:, np.isnan(rows)]
    for values in draws.T[:3]:
        assert kstest((values - values.mean()) / values.std(), "norm").pvalue > 0.01


def test_draws_stay_within_the_limits():
    problem = make_corrupted_matrix((60, 20), 2, observed=0.8, outliers=0.0, noise=0.3, random_state=0)
    model = RobustMatrixCompletion(min_value=-0.1, max_value=0.2, replace="missing").fit(problem.data)
    draws = model.sample_imputations(problem.data, 3, random_state=0)
    drawn = draws[:, ~problem.observed]
    assert drawn.min() == -0.1 and drawn.max() == 0.2
    assert_array_equal(draws[1][problem.observed], problem.data[problem.observed])


# What a user who comes from there stumbled on


def test_what_is_done_to_a_sparse_result_does_not_reach_the_data():
    X = sparse.csr_array(np.outer(np.arange(1.0, 21), np.arange(1.0, 11)))
    X.data[7] = 0.0
    before = X.toarray()
    model = RobustMatrixCompletion(replace="missing")
    model.fit_transform(X).eliminate_zeros()
    for result in (*model.transform(X, return_std=True), model.outlier_probability(X), *model.predict_interval(X)):
        result.data[:] = 0.0
        result.eliminate_zeros()
    assert_array_equal(X.toarray(), before)


def test_names_are_those_of_sparse_results():
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    X[:, 4] = 0.0
    X[np.arange(10), np.arange(10)] = 0.0
    for options in ({}, {"add_indicator": True}):
        with pytest.warns(UserWarning, match="not be identifiable|too few inliers"):
            model = RobustMatrixCompletion(**options).fit(sparse.csr_array(X))
        assert model.transform(sparse.csr_array(X)).shape[1] == len(model.get_feature_names_out()) == 10


def test_a_marker_keeps_the_names_of_a_polars_frame():
    polars = pytest.importorskip("polars")
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    X[2, 3] = -1.0
    frame = polars.DataFrame(X, schema=[f"c{j}" for j in range(10)])
    model = RobustMatrixCompletion(missing_values=-1).set_output(transform="polars")
    repaired = model.fit_transform(frame)
    assert repaired.columns == frame.columns
    assert repaired["c3"][2] == pytest.approx(12.0)
    with pytest.raises(ValueError, match="names"):
        model.transform(frame.rename({"c0": "other"}))


def test_na_in_a_column_of_objects_is_missing():
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    frame = pd.DataFrame(X).astype({3: object})
    frame.loc[2, 3] = pd.NA
    assert RobustMatrixCompletion().fit_transform(frame)[2, 3] == pytest.approx(12.0)


def test_an_empty_column_of_a_frame_is_named():
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(10)]).assign(c5=np.nan)
    with pytest.warns(UserWarning, match=r"\(c5\)"):
        RobustMatrixCompletion().fit(frame)


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.* of X are not")
def test_few_rows_of_many_columns_are_no_confident_guess(n):
    for seed in range(2):
        rng = np.random.RandomState(seed)
        X = 0.1 * rng.standard_normal((n, 100)) + np.linspace(3, 5, n)[:, None]
        model = RobustMatrixCompletion().fit(X)
        assert not model.converged_ or model.outliers_.mean() < 0.05


def test_dense_results_after_a_sparse_fit_have_its_columns():
    X = np.outer(np.arange(1.0, 21), np.arange(1.0, 11))
    X[2, 3] = 0.0
    model = RobustMatrixCompletion(add_indicator=True, replace="all").fit(sparse.csr_array(X))
    assert model.transform(X).shape[1] == len(model.get_feature_names_out()) == 10
