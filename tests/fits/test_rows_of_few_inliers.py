"""Rows and columns most of whose entries are errors: what chance cannot have met is known."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def damaged(seed, shape, rank, noise, errors, seen):
    """A matrix, the same with huge errors, and where it is right."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) / np.sqrt(rank)
    data, wrong = clean + noise * rng.standard_normal(shape), rng.uniform(size=shape) < errors
    data += wrong * 50 * rng.standard_normal(shape)
    data[rng.uniform(size=shape) > seen] = np.nan
    return clean, data, np.isfinite(data) & ~wrong


@pytest.mark.parametrize("transposed", [False, True])
def test_without_noise_a_third_of_a_row_is_enough(transposed):
    for seed in range(4):
        clean, data, _ = damaged(seed, (150, 25), 5, 0.0, 0.4, 1.0)
        clean, data = (clean.T, data.T) if transposed else (clean, data)
        model = RobustMatrixCompletion(replace="all").fit(data)
        assert model.stop_reason_ == "exact"
        assert np.max(np.abs(model.transform(data) - clean)) < 1e-6


def test_new_rows_of_few_inliers_are_found():
    clean, data, right = damaged(3, (400, 25), 5, 0.0, 0.4, 1.0)
    model = RobustMatrixCompletion(replace="all").fit(data[:150])
    few = np.flatnonzero(right[150:].sum(axis=1) < 11) + 150
    assert len(few) > 5
    found = np.max(np.abs(model.transform(data[few]) - clean[few]), axis=1) < 1e-6
    assert np.mean(found) > 0.9


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_with_noise_columns_that_are_stuck_are_found():
    """A column that meets nothing but errors is replaced where the regression on the rows meets more than by chance."""
    right = 0
    for seed in (2, 4, 6, 8, 10):
        clean, data, _ = damaged(seed, (70, 80), 2, 1e-3, 0.45, 0.32)
        model = RobustMatrixCompletion(replace="all").fit(data)
        missed = np.sqrt(np.mean((model.transform(data) - clean) ** 2))
        right += model.stop_reason_ == "noisy" and missed < 3e-3
    assert right == 5
