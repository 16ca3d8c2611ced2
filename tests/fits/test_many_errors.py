"""Errors in up to a third of a table, or in few entries, are errors, and not noise of the right ones."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.metrics import relative_recovery_error


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


@pytest.mark.parametrize(("rank", "share", "observed"), [(1, 0.4, 0.4), (2, 0.45, 0.6), (3, 0.45, 0.8)])
@pytest.mark.parametrize("seed", [1, 3, 5])
def test_many_errors_that_are_all_alike_are_no_direction(rank, share, observed, seed):
    """A direction met them, or a model that follows them replaced the right fit: it missed as much, and no more."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((90, rank)) @ rng.standard_normal((rank, 50)) / np.sqrt(rank)
    wrong, seen = rng.uniform(size=clean.shape) < share, rng.uniform(size=clean.shape) < observed
    X = np.where(seen, clean + 0.05 * rng.standard_normal(clean.shape) + 20.0 * wrong, np.nan)
    model = RobustMatrixCompletion(replace="all")
    repaired = model.fit_transform(X)
    assert model.stop_reason_ == "noisy" and model.rank_ == rank
    assert relative_recovery_error(clean, repaired) < 0.05
    assert model.outliers_[wrong & seen].all()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_columns_most_of_whose_values_have_the_same_error_are_not_shifted_by_it(noise):
    """A matrix with a mean of columns met the errors of those, and the others were missed: it was "exact" and wrong."""
    rng = np.random.RandomState(3)
    clean = rng.standard_normal((100, 2)) @ rng.standard_normal((2, 60)) + 2.0 * rng.standard_normal(60)
    wrong, seen = rng.uniform(size=clean.shape) < 0.45, rng.uniform(size=clean.shape) < 0.5
    X = np.where(seen, clean + noise * rng.standard_normal(clean.shape) + 20.0 * wrong, np.nan)
    assert np.mean(wrong & seen, axis=0).max() > 0.5 * np.mean(seen)
    model = RobustMatrixCompletion(replace="all")
    repaired = model.fit_transform(X)
    assert model.stop_reason_ == ("noisy" if noise else "exact") and model.rank_ == 3
    assert relative_recovery_error(clean, repaired) < max(noise, 1e-9)
    assert np.array_equal(model.outliers_ & wrong, wrong & seen)
