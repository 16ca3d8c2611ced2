"""Rows that are far from the others, in the directions that these have, are no errors."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion

NOISE = 0.3


def student_rows(freedom, n_columns, seed):
    """A table of rank 2 with rows from Student's law, without and with a part that is hidden."""
    rng = np.random.default_rng(100 + seed)
    far = np.sqrt(rng.chisquare(freedom, (500, 1)) / freedom)
    clean = (rng.normal(size=(500, 2)) / far) @ rng.normal(size=(2, n_columns))
    data = clean + NOISE * rng.normal(size=clean.shape)
    hidden = np.random.default_rng(7 * seed + 1).random(data.shape) < 0.15
    return data, np.where(hidden, np.nan, data), hidden


def test_far_rows_are_met():
    data, seen, hidden = student_rows(2, 15, 2)
    model = RobustMatrixCompletion()
    error = (model.fit_transform(seen) - data)[hidden]
    assert np.sqrt(np.mean(error**2)) < 1.4 * NOISE
    assert model.outliers_.mean() < 5e-4


def test_errors_in_rows_that_are_far_are_found():
    data, seen, hidden = student_rows(3, 15, 1)
    rng = np.random.default_rng(0)
    wrong = (rng.random(data.shape) < 0.05) & ~hidden
    seen[wrong] += (rng.choice([-1, 1], data.shape) * rng.uniform(5, 15, data.shape) * data.std(axis=0))[wrong]
    model = RobustMatrixCompletion()
    error = (model.fit_transform(seen) - data)[hidden]
    assert np.sqrt(np.mean(error**2)) < 1.3 * NOISE
    assert model.outliers_[wrong].mean() > 0.99
    assert (model.outliers_ & ~wrong).mean() < 1e-3


def test_rows_of_errors_are_far_from_all_directions():
    _, seen, _ = student_rows(30, 15, 0)
    seen[:10] = 20 * np.random.default_rng(1).normal(size=(10, 15))
    model = RobustMatrixCompletion()
    with pytest.warns(UserWarning, match="not identifiable"):  # one meets too few entries
        model.fit(seen)
    assert model.outliers_[:10].mean() > 0.6
    assert model.outliers_[10:].mean() < 1e-3


def test_two_errors_in_a_row_of_three_are_no_far_row():
    """They could be met by a row that is far enough, which is less likely than both errors."""
    found = []
    for seed in (0, 2, 3):
        rng = np.random.RandomState(seed)
        data = rng.standard_normal((400, 1)) @ (1.0 + rng.uniform(size=(1, 3))) + 0.2 * rng.standard_normal((400, 3))
        wrong = rng.uniform(size=data.shape) < 0.05
        data[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(8, 15, wrong.sum())
        found.append(RobustMatrixCompletion().fit(data).outliers_[wrong].mean())
    assert np.mean(found) > 0.99


@pytest.mark.filterwarnings("ignore:.*rows of X are not identifiable")
def test_rows_in_another_unit_leave_the_others_as_they_are():
    """Their directions had most of the power: errors of the others were 1.2 to 2.6 times as large."""
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 10)) * 0.8 + 0.5 * rng.normal(size=(500, 10))
    level, size = (
        np.array([37, 75, 125, 80, 72, 170, 25, 5.5, 5, 40.0]),
        np.array([0.4, 13, 18, 10, 11, 10, 3, 1, 1, 14]),
    )
    truth = level + size * factors
    moved, hidden = rng.random(500) < 0.1, rng.random(truth.shape) < 0.1
    others, clean = hidden & ~moved[:, None], np.where(hidden, np.nan, truth)
    data = np.where(moved[:, None], 100.0 * clean, clean)
    model, usual = RobustMatrixCompletion(replace="missing"), RobustMatrixCompletion(replace="missing")
    error, least = (
        (m.fit_transform(x) - truth)[others] / (size * np.ones((500, 1)))[others]
        for m, x in ((model, data), (usual, clean))
    )
    assert np.sqrt(np.mean(error**2)) < 1.05 * np.sqrt(np.mean(least**2))
    assert model.outliers_[moved][~hidden[moved]].mean() > 0.95 and model.outliers_[~moved].mean() < 0.005


def test_rows_of_another_size_along_a_direction_of_the_others_are_told_by_it():
    rng = np.random.default_rng(1)
    large = rng.random(400) < 0.05
    size = (10.0 + 2.0 * rng.normal(size=400)) * np.where(large, 50.0, 1.0)
    rest = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 12)) + 0.5 * rng.normal(size=(400, 12))
    truth = size[:, None] * rng.uniform(0.5, 1.5, 12) + rest
    hidden = rng.random(truth.shape) < 0.1
    model = RobustMatrixCompletion()
    own = hidden & large[:, None]
    missed = model.fit_transform(np.where(hidden, np.nan, truth))[own] / truth[own] - 1.0
    assert np.mean(np.abs(missed)) < 0.01
