"""Wrong values that are no larger than right ones: they are found where they are far from what their rows say."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from sklearn_robustlr import RobustMatrixCompletion


def drawn(seed, share, shape=(400, 14)):
    """A table with a decaying spectrum, and the same with a share of values from the range of their columns."""
    rng = np.random.RandomState(seed)
    directions = np.linalg.qr(rng.standard_normal((shape[1], shape[1])))[0]
    clean = rng.standard_normal(shape) / np.arange(1.0, shape[1] + 1.0) ** 1.3 @ directions
    clean += 0.03 * rng.standard_normal(shape)
    wrong = rng.uniform(size=shape) < share
    low, high = np.percentile(clean, [1, 99], axis=0)
    data = np.where(wrong, rng.uniform(low, high, shape), clean)
    data[rng.uniform(size=shape) < 0.1] = np.nan
    return clean, data, wrong & ~np.isnan(data)


@pytest.mark.parametrize(("seed", "share"), [(0, 0.1), (1, 0.2)])
def test_a_tenth_and_a_fifth_of_them_are_found_and_repaired(seed, share):
    clean, data, wrong = drawn(seed, share)
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(data)
    right = ~(wrong | np.isnan(data))
    far = wrong & (abs(data - clean) > clean.std(axis=0))
    assert model.converged_ and model.outliers_[far].mean() > 0.5 and model.outliers_[right].mean() < 0.03
    assert np.mean(abs(repaired - clean)[far]) < 0.5 * np.mean(abs(data - clean)[far])


def test_without_any_nothing_is_flagged():
    _, data, _ = drawn(0, 0.0)
    assert RobustMatrixCompletion().fit(data).outliers_.mean() < 0.01


@pytest.mark.parametrize(("load", "share", "seed"), [(load_wine, 0.1, 0), (load_digits, 0.2, 2)])
def test_what_many_directions_leave_of_a_clean_table_is_no_error(load, share, seed):
    """They meet most entries of the core, beside which all others seem far off."""
    data = load().data[:600]
    data[np.random.RandomState(seed).uniform(size=data.shape) < share] = np.nan
    assert RobustMatrixCompletion().fit(data).outliers_.sum() < 0.005 * np.sum(~np.isnan(data))


def test_what_an_entry_draws_to_itself_is_no_sign_of_errors_in_the_others():
    data = load_breast_cancer().data
    data[np.random.RandomState(1).uniform(size=data.shape) < 0.2] = np.nan
    flagged = RobustMatrixCompletion().fit(data).outliers_.sum() / np.sum(~np.isnan(data))
    assert flagged < 0.009  # 0.011 by residuals with the leverage of their entry
