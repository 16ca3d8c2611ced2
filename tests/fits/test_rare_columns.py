"""Columns of which most entries have the same value tell nothing of the fit of the others."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


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


@pytest.mark.parametrize("kind", ["indicators", "one-hot", "counts"])
def test_they_do_not_change_the_others(kind):
    errors, found = [], []
    for seed in range(3):
        data, seen, hidden, wrong = one_factor(seed)
        rng = np.random.RandomState(seed + 5)
        rare = {
            "indicators": (rng.uniform(size=(200, 6)) < 0.2).astype(float),
            "one-hot": np.eye(4)[rng.randint(4, size=200)],
            "counts": rng.poisson(0.3, (200, 4)).astype(float),
        }[kind]
        both = []
        for more in (rare[:, :0], rare):
            model = RobustMatrixCompletion()
            estimate = model.fit_transform(np.hstack([seen, more]))[:, :5]
            both.append(np.mean(np.abs(estimate - data)[hidden]))
        errors.append(both[1] / both[0])
        found.append(model.outliers_[:, :5][wrong].mean())
    assert np.mean(errors) < 1.05
    assert np.mean(found) > 0.8
