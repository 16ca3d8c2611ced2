"""Columns of which most entries have the same value tell nothing of the fit of the others."""

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


def one_factor(seed):
    """A table of five columns that follow one factor, damaged: the data, what is seen, what is hidden and wrong."""
    rng = np.random.RandomState(seed)
    data = rng.standard_normal((200, 1)) @ rng.standard_normal((1, 5)) + 0.5 * rng.standard_normal((200, 5))
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    hidden = rng.uniform(size=data.shape) < 0.2
    hidden[:, 0] = False
    wrong = (rng.uniform(size=data.shape) < 0.05) & ~hidden
    errors = 8.0 * rng.choice([-1, 1], data.shape) * rng.uniform(0.6, 1.4, data.shape)
    return data, np.where(hidden, np.nan, data + wrong * errors), hidden, wrong


@cache
def alone(seed):
    """How much the fit of such a table alone misses."""
    data, seen, hidden, _ = one_factor(seed)
    return np.mean(np.abs(RobustMatrixCompletion().fit_transform(seen) - data)[hidden])


def rare_ones(seed, share, missing=0.15):
    """A table of twelve columns that follow three factors and three columns of few ones, some of it missing."""
    rng = np.random.RandomState(seed)
    factors = rng.standard_normal((600, 3)) @ rng.standard_normal((3, 12)) + 0.7 * rng.standard_normal((600, 12))
    ones = rng.uniform(size=(600, 3)) < share
    ones[:2] = True
    table = np.column_stack([factors, ones])
    return table, rng.uniform(size=table.shape) < missing


def test_missing_values_of_rare_ones_do_not_turn_components():
    """They were as far from zero as ones are: components were those of these columns, at right angles to PCA's."""
    table, hidden = rare_ones(3, 0.03)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    robust, plain = RobustPCA(3).fit(np.where(hidden, np.nan, table)), PCA(3).fit(table)
    held = np.var(table @ robust.components_.T, axis=0).sum() / plain.explained_variance_.sum()
    assert held > 0.99
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.1)


def test_the_noise_of_rare_ones_is_their_standard_deviation():
    """It was three times as large."""
    table, hidden = rare_ones(2, 0.03)
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, table))
    assert_allclose(model.noise_scale_[-3:], table[:, -3:].std(axis=0), rtol=0.3)
    assert not model.outliers_[:, -3:].any()


@pytest.mark.parametrize("kind", ["indicators", "one-hot", "counts"])
def test_they_do_not_change_the_others(kind):
    errors, found = [], []
    for seed in range(2):
        data, seen, hidden, wrong = one_factor(seed)
        rng = np.random.RandomState(seed + 5)
        rare = {
            "indicators": (rng.uniform(size=(200, 6)) < 0.2).astype(float),
            "one-hot": np.eye(4)[rng.randint(4, size=200)],
            "counts": rng.poisson(0.3, (200, 4)).astype(float),
        }[kind]
        model = RobustMatrixCompletion()
        estimate = model.fit_transform(np.hstack([seen, rare]))[:, :5]
        errors.append(np.mean(np.abs(estimate - data)[hidden]) / alone(seed))
        found.append(model.outliers_[:, :5][wrong].mean())
    assert np.mean(errors) < 1.05
    assert np.mean(found) > 0.95


def test_a_code_in_a_column_of_mostly_zeros_is_no_variation_of_it():
    """A tenth of its entries are 999."""
    rng = np.random.RandomState(2)
    data = (rng.standard_normal((300, 3)) * [2.0, 1.0, 0.5]) @ rng.standard_normal((3, 9))
    data += 0.3 * rng.standard_normal(data.shape)
    data[:, 8] = data[:, 8] > np.quantile(data[:, 8], 0.7)
    seen = data.copy()
    wrong, hidden = rng.uniform(size=(2, 300)) < 0.1
    seen[wrong, 8], seen[hidden, 8] = 999.0, np.nan
    model = RobustMatrixCompletion().fit(seen)
    assert model.outliers_[wrong & ~hidden, 8].all()
    assert model.transform(seen)[:, 8].max() <= 1.0
    pca, clean = RobustPCA(1).fit(seen), RobustPCA(1).fit(data)
    assert abs(pca.components_[0] @ clean.components_[0]) > 0.999
    assert pca.explained_variance_[0] == pytest.approx(clean.explained_variance_[0], rel=0.05)
