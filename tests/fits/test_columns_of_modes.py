"""Columns of two modes that no other column tells: the values of the smaller one are no errors."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def with_modes(seed, share, apart):
    """Columns that decay, and one of two modes so many of its standard deviations apart; the smaller has a share."""
    rng = np.random.RandomState(seed)
    table = rng.standard_normal((400, 8)) * np.arange(1, 9) ** -1.0 @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    table += 0.1 * rng.standard_normal(table.shape)
    of_mode = rng.uniform(size=400) < share
    table[:, 3] = rng.standard_normal(400) + apart * of_mode
    return table, of_mode


@pytest.mark.parametrize(("share", "apart"), [(0.2, 14.0), (0.1, 20.0), (0.4, 40.0)])
@pytest.mark.parametrize("seed", range(2))
def test_values_of_a_mode_are_no_errors(seed, share, apart):
    table, of_mode = with_modes(seed, share, apart)
    model = RobustMatrixCompletion().fit(table)
    assert model.converged_
    assert model.outliers_[of_mode, 3].mean() < 0.05 and model.outliers_.mean() < 0.01
    hidden = table.copy()
    hidden[::2, 3] = np.nan
    lower, upper = model.predict_interval(hidden)
    assert np.mean((lower <= table) & (table <= upper), axis=0)[3] > 0.75


def test_errors_of_any_size_in_one_column_are_errors():
    table, _ = with_modes(0, 0.0, 0.0)
    rng = np.random.RandomState(9)
    wrong = rng.uniform(size=400) < 0.15
    table[wrong, 3] += rng.uniform(10.0, 80.0, wrong.sum()) * rng.choice([-1.0, 1.0], wrong.sum())
    model = RobustMatrixCompletion().fit(table)
    assert model.outliers_[wrong, 3].mean() > 0.95
