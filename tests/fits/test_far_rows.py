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


@pytest.mark.parametrize(("freedom", "n_columns", "seed"), [(3, 15, 1), (3, 15, 4), (2, 15, 2), (3, 8, 2)])
def test_far_rows_are_met(freedom, n_columns, seed):
    data, seen, hidden = student_rows(freedom, n_columns, seed)
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
