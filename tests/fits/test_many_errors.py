"""Errors in up to a third of a table, or in few entries, are errors, and not noise of the right ones."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion


def factors(rng):
    """200 x 12 of rank 3, with noise."""
    return rng.standard_normal((200, 3)) @ rng.standard_normal((3, 12)) + 0.3 * rng.standard_normal((200, 12))


def spoil(clean, share, rng):
    """A tenth of the entries missing, a share of the others moved by 5 to 10 standard deviations; the mask of these."""
    missing, wrong = rng.uniform(size=clean.shape) < 0.1, rng.uniform(size=clean.shape) < share
    move = rng.uniform(5, 10, clean.shape) * rng.choice([-1, 1], clean.shape) * clean.std(axis=0)
    return np.where(missing, np.nan, np.where(wrong, clean + move, clean)), wrong & ~missing


@pytest.mark.parametrize(
    ("load", "share"),
    [
        (lambda rng: load_wine().data, 0.25),
        (lambda rng: load_breast_cancer().data[:200, :15], 0.35),
        (factors, 0.3),
    ],
)
def test_they_are_found_and_repaired_and_intervals_are_those_of_what_is_right(load, share):
    """None was found, all were noise, and intervals 15 standard deviations wide."""
    rng = np.random.RandomState(1)
    clean = load(rng)
    data, wrong = spoil(clean, share, rng)
    model = RobustMatrixCompletion(replace="all")
    repaired, unit = model.fit_transform(data), clean.std(axis=0)
    assert model.converged_
    assert model.outliers_[wrong].mean() > 0.95
    assert model.outliers_[~wrong & np.isfinite(data)].mean() < 0.03
    assert np.sqrt(np.mean(((repaired - clean) / unit) ** 2)) < 0.8
    low, high = model.predict_interval(data)
    assert np.mean((high - low) / unit) < 4.0  # those of a normal column are 3.3
    assert np.mean((low <= clean) & (clean <= high)) > 0.8


@pytest.mark.parametrize("seed", [0, 7])
def test_a_few_errors_are_found_beside_columns_that_share_little(seed):
    """None was found of 30 errors of six standard deviations, which are alone there: all were noise."""
    rng = np.random.RandomState(seed)
    shared = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 8)) / np.sqrt(2.0)
    clean = 0.8 * shared + rng.standard_normal((200, 8))
    wrong = rng.uniform(size=clean.shape) < 0.02
    X = clean + 6.0 * clean.std(axis=0) * wrong * rng.choice([-1, 1], size=clean.shape)
    missing = rng.uniform(size=X.shape) < 0.1
    X[missing] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is hardly better than medians
        model = RobustMatrixCompletion().fit(X)
    assert model.outliers_[wrong & ~missing].mean() > 0.9
    assert model.outliers_[~wrong].mean() < 0.01
