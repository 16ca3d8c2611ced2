"""Matrices whose factors are not in general position: blocks, biclusters, large offsets."""

import numpy as np
import pytest

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.metrics import relative_recovery_error


def test_a_block_model_with_noise():
    """Of ten such tables without errors seven had one of 25 blocks for errors: rank 4 of 5, 2,000 values and more."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(5, 5))[rng.integers(5, size=300)][:, rng.integers(5, size=200)]
    data = clean + 0.01 * clean.std() * rng.normal(size=clean.shape)
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(clean, model.fit_transform(data)) < 0.003
    assert model.rank_ == 5
    assert model.outliers_.mean() < 0.002


def test_a_bicluster():
    """Columns that met all rows but those of the bicluster were left as they were: "exact", 40 to 960 flags."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 120))
    rows, cols = rng.permutation(200)[:40], rng.permutation(120)[:24]
    clean[np.ix_(rows, cols)] += np.sqrt(2) * np.outer(1 + rng.uniform(size=40), 1 + rng.uniform(size=24))
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(clean, model.fit_transform(clean)) < 1e-8
    assert model.rank_ == 3
    assert not model.outliers_.any()
    assert RobustPCA().fit(clean).n_components_ in (2, 3)


@pytest.mark.parametrize("seed", [1, 4])
def test_rows_of_a_bicluster_with_errors(seed):
    """Rows met those entries that a direction does not touch, and took the others for errors: 2 to 20 sd off."""
    rng = np.random.default_rng(seed)
    basis = np.zeros((60, 3))
    basis[:, :2] = rng.normal(size=(60, 2))
    basis[rng.permutation(60)[:21], 2] = 1 + rng.uniform(size=21)
    coefficients = rng.normal(size=(100, 3))
    coefficients[35:, 2] = 0.0
    clean = coefficients @ basis.T
    model = RobustMatrixCompletion(replace="all").fit(clean)
    data = clean.copy()
    wrong = rng.uniform(size=clean.shape) < 0.1
    data[wrong] += 100 * rng.normal(size=wrong.sum())
    assert np.mean(np.abs(model.transform(data) - clean).max(axis=1) > 1e-6) < 0.02


def test_entries_far_from_zero():
    """Beside an offset of 100 standard deviations one to six columns of a right fit were replaced by zero."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(100, 1)) @ rng.normal(size=(1, 60))
    size = clean.std()
    clean += 100 * size
    data, wrong = clean.copy(), rng.uniform(size=clean.shape) < 0.2
    data[wrong] += size * rng.exponential(3, size=wrong.sum())
    model = RobustLowRankRecovery(measurements="entries", shape=clean.shape)
    model.fit(np.argwhere(np.isfinite(data)), data.ravel())
    assert np.abs(model.matrix_ - clean).max() < 1e-6 * size
