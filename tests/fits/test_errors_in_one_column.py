"""Errors of one column alone are found: beside those of all others they are few, and look like noise of that column."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import scale

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

CASES = [(load_wine, 0), (load_diabetes, 2)]


def spoilt(load, column, size=10.0, share=0.1):
    """A real table, and the same with a share of the values of one column off by so many standard deviations."""
    table = scale(load().data)
    data, wrong = table.copy(), np.random.default_rng(0).random(len(table)) < share
    data[wrong, column] += size
    return table, data, wrong


@pytest.mark.parametrize(("load", "column"), CASES)
def test_components_are_those_without_the_errors(load, column):
    table, data, _ = spoilt(load, column)
    found, expected = RobustPCA(2).fit(data).components_, PCA(2).fit(table).components_
    assert np.rad2deg(subspace_angles(found.T, expected.T)[0]) < 15.0
    assert np.rad2deg(subspace_angles(PCA(2).fit(data).components_.T, expected.T)[0]) > 45.0


@pytest.mark.parametrize(
    ("load", "column", "size"), [(load_wine, 0, -10.0), (load_wine, 7, 30.0), (load_diabetes, 2, 30.0)]
)
def test_they_are_flagged_and_hardly_anything_else(load, column, size):
    table, data, wrong = spoilt(load, column, size)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_[wrong, column].mean() > 0.95
    others = model.outliers_.copy()
    others[wrong, column] = False
    assert others.mean() < 0.01
    assert np.abs(model.transform(data) - table)[wrong, column].mean() < 1.5


def test_a_heavy_tail_of_one_column_is_none():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 12)) + 0.5 * rng.standard_normal((400, 12))
    table[:, 3] += rng.standard_t(2.5, 400)
    model = RobustMatrixCompletion().fit(table)
    assert model.outliers_[:, 3].mean() < 0.04
    assert np.delete(model.outliers_, 3, axis=1).mean() < 0.005


def test_rare_ones_of_a_switch_are_none():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((300, 3))
    table = factors @ rng.standard_normal((3, 15)) + 0.5 * rng.standard_normal((300, 15))
    table[:, 4] = factors[:, 0] + 0.3 * rng.standard_normal(300) > np.quantile(factors[:, 0], 0.97)
    model = RobustMatrixCompletion().fit(table)
    assert not model.outliers_[:, 4].any()
