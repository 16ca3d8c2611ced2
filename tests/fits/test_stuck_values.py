"""Sensors that are stuck at a value: it is found, left out and flagged; values that repeat by nature are kept."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

STUCK = {2: 0.3, 7: -0.4}


def sensors(rng, n=240, p=12):
    """A log of sensors that have much in common, in a spectrum that decays."""
    left = rng.standard_normal((n, p)) / np.arange(1.0, p + 1.0) ** 2
    return left @ np.linalg.qr(rng.standard_normal((p, p)))[0] + 0.02 * rng.standard_normal((n, p))


def stick(truth, rng):
    """The log with two sensors stuck for a quarter of the time, a fifth of it hidden; masks of both."""
    data, wrong = truth.copy(), np.zeros(truth.shape, bool)
    for j, value in STUCK.items():
        first = rng.randint(len(data) - len(data) // 4)
        rows = slice(first, first + len(data) // 4)
        data[rows, j], wrong[rows, j] = np.quantile(truth[:, j], 0.5 + value), True
    hidden = rng.uniform(size=truth.shape) < 0.2
    data[hidden] = np.nan
    return data, wrong & ~hidden, hidden


@pytest.fixture(scope="module")
def log():
    rng = np.random.RandomState(0)
    truth = sensors(rng)
    data, wrong, hidden = stick(truth, rng)
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(data)
    return truth, data, wrong, hidden, model, repaired


@pytest.mark.filterwarnings("ignore:. (row|rows|column|columns) of X")
@pytest.mark.parametrize(
    ("shape", "rank", "observed", "seed"),
    [((140, 120), 1, 0.06, 5), ((130, 100), 2, 0.13, 7)],
)
def test_beside_few_entries_a_value_that_keeps_coming_back_does_no_harm(shape, rank, observed, seed):
    """These fits warned or were "approximate", with three to five times the error of the fit without that value."""
    told = {"observed": observed, "outliers": 0.15, "outlier_kind": "stuck", "noise": 0.1}
    problem = make_corrupted_matrix(shape, rank, **told, random_state=seed)
    errors = []
    for data in (problem.data, np.where(problem.outliers, np.nan, problem.data)):
        model = RobustMatrixCompletion(replace="all", keep_empty_features=True).fit(data)
        assert model.stop_reason_ == "noisy" and model.rank_ == rank
        known = np.ones(shape, dtype=bool)
        known[model.undetermined_rows_] = known[:, model.undetermined_columns_] = False
        errors.append(np.sqrt(np.mean((model.transform(data) - problem.clean)[known] ** 2)))
    assert errors[0] < 1.05 * errors[1]
    assert errors[0] < 0.25 * problem.clean.std()


def test_stuck_values_are_flagged_and_the_rest_is_not(log):
    _, data, wrong, _, model, _ = log
    assert model.converged_
    assert model.outliers_[wrong].mean() > 0.95
    assert model.outliers_[~wrong & np.isfinite(data)].mean() < 0.03


def test_what_is_hidden_is_as_if_the_stuck_values_were_missing(log):
    truth, data, wrong, hidden, model, _ = log
    told = RobustMatrixCompletion().fit(np.where(wrong, np.nan, data))
    errors = [np.sqrt(np.mean((m.transform(data) - truth)[hidden] ** 2)) for m in (model, told)]
    assert errors[0] < 1.1 * errors[1]
    assert np.sqrt(np.mean((model.transform(data) - truth)[wrong] ** 2)) < 0.3 * np.std(truth)


def test_a_new_row_with_a_stuck_value_is_that_with_it_missing(log):
    truth, data, wrong, _, model, _ = log
    rows = np.flatnonzero(wrong.any(axis=1))[:5]
    new = truth[rows].copy()
    new[wrong[rows]] = data[rows][wrong[rows]]
    repaired = model.transform(new)
    assert_array_equal(repaired, model.transform(np.where(wrong[rows], np.nan, new)))
    assert_allclose(repaired[wrong[rows]], truth[rows][wrong[rows]], atol=0.5 * np.std(truth))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["zeros", "limits", "rounded"])
def test_values_that_repeat_by_nature_are_kept(kind):
    rng = np.random.RandomState(3)
    truth = sensors(rng, n=120)
    if kind == "zeros":
        data = np.maximum(truth, 0.0)
    elif kind == "limits":
        data = np.clip(truth, np.quantile(truth, 0.2, axis=0), np.quantile(truth, 0.8, axis=0))
    else:
        data = np.round(truth, 1)
    model = RobustMatrixCompletion().fit(data)
    repeats = data == [most(column) for column in data.T]
    assert model.outliers_[repeats].mean() < 0.05


def most(column):
    """The most frequent value."""
    values, count = np.unique(column, return_counts=True)
    return values[np.argmax(count)]


def test_a_table_is_fitted_and_repaired_at_once(log):
    _, data, _, _, model, repaired = log
    assert model.stop_reason_ == "approximate"
    assert_array_equal(repaired, model.transform(data))


def test_a_fault_that_another_column_reports_is_one():
    """The other column is 1 where a sensor is stuck, which is at no zero."""
    rng = np.random.RandomState(0)
    log = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 12)) + 0.1 * rng.standard_normal((400, 12))
    fault = np.zeros(400)
    fault[200:300] = 1.0
    log[200:300, 4] = 0.73
    model = RobustMatrixCompletion().fit(np.column_stack([log, fault]))
    assert model.outliers_[200:300, 4].mean() > 0.95 and model.outliers_[:200].mean() < 0.02


def test_a_value_that_columns_have_in_common_is_none():
    """Codes of districts in four years, the same in most rows: every sixth row is in one large district."""
    rng = np.random.RandomState(0)
    district = np.where(rng.uniform(size=500) < 0.17, 11, rng.randint(1, 43, 500))[:, None]
    moved = rng.uniform(size=(500, 4)) < 0.05
    codes = np.where(moved, rng.randint(1, 43, (500, 4)), district)
    table = np.hstack([sensors(rng, 500), codes])
    flags = RobustMatrixCompletion().fit(table).outliers_
    assert flags[:, 12:][~moved & (codes == 11)].mean() < 0.02
