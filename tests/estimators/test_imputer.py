"""RobustMatrixCompletion keeps the conventions of scikit-learn's imputers."""

import numpy as np
import pandas as pd
import polars
import pytest
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


@pytest.fixture(scope="module")
def table():
    X = load_iris().data.copy()
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.15] = np.nan
    return X


@pytest.fixture(scope="module")
def repaired(table):
    return RobustMatrixCompletion().fit_transform(table)


@pytest.mark.parametrize("marker", [-999, 0.55, np.nan, None])
def test_a_marker_of_missing_values(table, repaired, marker):
    expected = repaired
    marked = table if marker is None or np.isnan(marker) else np.where(np.isnan(table), marker, table)
    model = RobustMatrixCompletion(missing_values=marker)
    np.testing.assert_array_equal(model.fit_transform(marked), expected)
    np.testing.assert_array_equal(model.transform(marked[:9]), expected[:9])
    np.testing.assert_array_equal(model.transform(marked[:9].astype(object)), expected[:9])
    frame = pd.DataFrame(marked, columns=list("abcd"))
    model.set_output(transform="pandas")
    found = model.fit_transform(frame)
    np.testing.assert_array_equal(found.to_numpy(), expected)
    assert list(found.columns) == list("abcd")


@pytest.fixture(scope="module")
def whole_numbers(table):
    """Integers with a marker, and the repaired ones."""
    whole = np.where(np.isnan(table), -999, 10 * table).round().astype(int)[::3]
    return whole, RobustMatrixCompletion(missing_values=-999).fit_transform(whole)


@pytest.mark.parametrize("kind", ["text", "bytes", "list", "column of texts", "masked"])
def test_a_marker_in_numbers_that_are_written_as_text(whole_numbers, kind):
    whole, expected = whole_numbers
    text = whole.astype(str)
    forms = {
        "text": text,
        "bytes": text.astype("S"),
        "list": text.tolist(),
        "column of texts": pd.DataFrame(text).astype(object),
        "masked": np.ma.masked_array(np.where(whole == -999, 5, whole).astype(object), whole == -999),
    }
    found = RobustMatrixCompletion(missing_values=-999).fit_transform(forms[kind])
    np.testing.assert_array_equal(found, expected)


def test_false_as_a_marker_is_the_same_in_arrays_and_frames():
    whole = np.random.RandomState(0).uniform(size=(30, 6)) > 0.3
    model = RobustMatrixCompletion(missing_values=0)
    for form in whole, whole.tolist(), pd.DataFrame(whole), polars.DataFrame(whole):
        np.testing.assert_allclose(model.fit_transform(form), 1.0)


def test_integers_with_a_marker(table, whole_numbers):
    whole, found = whole_numbers
    expected = RobustMatrixCompletion().fit_transform(np.where(np.isnan(table[::3]), np.nan, whole))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", object])
def test_nullable_columns(table, dtype):
    frame = pd.DataFrame(table if dtype != "Int64" else np.round(table), columns=list("abcd"))
    expected = RobustMatrixCompletion().fit_transform(frame)
    np.testing.assert_array_equal(RobustMatrixCompletion().fit_transform(frame.astype(dtype)), expected)


def test_a_marker_in_a_sparse_matrix():
    problem = make_corrupted_matrix((40, 30), 2, outliers=0.1, random_state=0)
    seen = np.random.RandomState(0).uniform(size=problem.data.shape) < 0.6
    stored = sparse.csr_matrix(np.where(seen, problem.data, -7.0))
    found = RobustMatrixCompletion(missing_values=-7.0).fit(stored)
    expected = RobustMatrixCompletion().fit(np.where(seen, problem.data, np.nan))
    np.testing.assert_allclose(found.singular_values_, expected.singular_values_, rtol=1e-6)
    with pytest.raises(ValueError, match="missing_values=0 with a sparse X"):
        RobustMatrixCompletion(missing_values=0).fit(stored)


@pytest.mark.parametrize("replace", ["outliers", "missing", "all"])
def test_indicator_columns(replace):
    problem = make_corrupted_matrix((40, 12), 1, observed=1.0, outliers=0.05, random_state=0)
    data = problem.data.copy()
    data[3, [2, 5]] = np.nan
    model = RobustMatrixCompletion(add_indicator=True, replace=replace)
    found = model.fit_transform(data)
    plain = RobustMatrixCompletion(replace=replace).fit_transform(data)
    np.testing.assert_array_equal(found[:, :12], plain)
    replaced = {"missing": np.isnan(data), "outliers": np.isnan(data) | model.outliers_, "all": np.ones_like(data)}
    columns = np.flatnonzero(replaced[replace].any(axis=0))
    np.testing.assert_array_equal(model.indicator_features_, columns)
    np.testing.assert_array_equal(found[:, 12:], replaced[replace][:, columns])
    names = model.get_feature_names_out()
    assert len(names) == found.shape[1] and list(names[12:]) == [f"missingindicator_x{j}" for j in columns]
    assert model.transform(data[:2]).shape == (2, found.shape[1])
    assert model.sample_imputations(data[:2], 3, random_state=0).shape == (3, 2, found.shape[1])


def test_the_indicator_of_missing_values_is_that_of_other_imputers(table):
    ours = RobustMatrixCompletion(add_indicator=True, replace="missing").fit_transform(table)
    theirs = SimpleImputer(add_indicator=True).fit_transform(table)
    np.testing.assert_array_equal(ours[:, 4:], theirs[:, 4:])


@pytest.mark.filterwarnings("ignore:1 column of X")
def test_empty_columns(table):
    X = np.insert(table, 2, np.nan, axis=1)
    found = RobustMatrixCompletion().fit(X)
    assert found.transform(X).shape == KNNImputer().fit_transform(X).shape == (150, 4)
    assert list(found.get_feature_names_out()) == ["x0", "x1", "x3", "x4"]
    kept = RobustMatrixCompletion(keep_empty_features=True).fit(X)
    assert kept.transform(X).shape == (150, 5) and np.isfinite(kept.transform(X)).all()
    np.testing.assert_array_equal(kept.transform(X)[:, [0, 1, 3, 4]], found.transform(X))
    both = RobustMatrixCompletion(add_indicator=True).fit(X)
    theirs = KNNImputer(add_indicator=True).fit(X)
    assert both.transform(X).shape[1] >= 8 and list(both.get_feature_names_out()[:4]) == ["x0", "x1", "x3", "x4"]
    assert not any("x2" in name for name in both.get_feature_names_out())
    assert theirs.transform(X).shape[1] in (8, 9)


@pytest.mark.slow
def test_in_pipelines(table):
    y = load_iris().target
    pipeline = make_pipeline(RobustMatrixCompletion(add_indicator=True), LogisticRegression(max_iter=2000))
    search = GridSearchCV(pipeline, {"robustmatrixcompletion__add_indicator": [False, True]}, cv=3).fit(table, y)
    assert search.best_score_ > 0.9
    union = make_union(RobustMatrixCompletion(), SimpleImputer()).set_output(transform="pandas")
    assert union.fit_transform(pd.DataFrame(table, columns=list("abcd"))).shape == (150, 8)


@pytest.mark.parametrize("column", [["x"] * 150, pd.date_range("2020", periods=150), pd.Categorical(["a", "b"] * 75)])
def test_columns_that_are_no_numbers_are_named(table, column):
    frame = pd.DataFrame(table, columns=list("abcd")).assign(city=column)
    with pytest.raises(ValueError, match=r"not numbers: 'city'\. Encode them first"):
        RobustMatrixCompletion().fit(frame.astype({"city": "string"} if isinstance(column, list) else {}))


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"missing_values": "?"}, TypeError),
        ({"missing_values": True}, TypeError),
        ({"add_indicator": 1}, TypeError),
        ({"keep_empty_features": "no"}, TypeError),
    ],
)
def test_bad_parameters_are_named(table, parameters, error):
    with pytest.raises(error, match=next(iter(parameters))):
        RobustMatrixCompletion(**parameters).fit(table)


def test_a_frame_that_is_not_in_memory_and_threads_that_are_no_number_are_refused(table):
    frame = polars.DataFrame(table)
    model = RobustMatrixCompletion().fit(frame)
    with pytest.raises(TypeError, match=r"X must be in memory, got LazyFrame: pass X.collect\(\)"):
        model.transform(frame.lazy())
    with pytest.raises(TypeError, match="n_jobs must be an integer or None, got 'a'"):
        model.set_params(n_jobs="a").transform(frame)
