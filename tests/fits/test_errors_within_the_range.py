"""Wrong values that are no larger than right ones: they are found where they are far from what their rows say."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("share", [0.1, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_and_a_fifth_of_them_are_found_and_repaired(seed, share):
    clean, data, wrong = drawn(seed, share)
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(data)
    right = ~(wrong | np.isnan(data))
    far = wrong & (abs(data - clean) > clean.std(axis=0))
    assert model.converged_ and model.outliers_[far].mean() > 0.5 and model.outliers_[right].mean() < 0.03
    assert np.mean(abs(repaired - clean)[far]) < 0.5 * np.mean(abs(data - clean)[far])


@pytest.mark.parametrize("seed", range(3))
def test_without_any_nothing_is_flagged(seed):
    _, data, _ = drawn(seed, 0.0)
    assert RobustMatrixCompletion().fit(data).outliers_.mean() < 0.01
