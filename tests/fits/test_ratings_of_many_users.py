"""Tables of few, popular ratings: what users and items have in common beside their means is found."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def ratings(seed, n=1500, p=500):
    """Ratings from 1 to 5 with biases of users and items and five factors, 3 % of them seen, a tenth of these held."""
    rng = np.random.RandomState(seed)
    mean = 3.5 + 0.4 * rng.standard_normal((n, 1)) + 0.5 * rng.standard_normal(p)
    mean += 0.5 / np.sqrt(5.0) * rng.standard_normal((n, 5)) @ rng.standard_normal((5, p))
    values = np.clip(np.round(mean + 0.5 * rng.standard_normal((n, p))), 1.0, 5.0)
    popular = rng.permutation(np.arange(1.0, p + 1) ** -0.7) * rng.lognormal(0.0, 1.0, (n, 1))
    seen = rng.uniform(size=(n, p)) < np.minimum(0.03 * popular / popular.mean(), 0.9)
    held = seen & (rng.uniform(size=(n, p)) < 0.1)
    return np.where(seen & ~held, values, np.nan), values, held


def biases(data):
    """Means of users and items, shrunk, as of entries in :func:`ratings`."""
    seen, mean = np.isfinite(data), np.nanmean(data)
    rest, item = np.where(seen, data - mean, 0.0), np.zeros(data.shape[1])
    for _ in range(6):
        user = np.where(seen, rest - item, 0.0).sum(axis=1) / (seen.sum(axis=1) + 3.0)
        item = np.where(seen, rest - user[:, None], 0.0).sum(axis=0) / (seen.sum(axis=0) + 2.0)
    return mean + user[:, None] + item


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")  # some users have no rating
def test_factors_beside_biases_are_found():
    """They were noise beside a rank of one: the model was better, but not by a tenth."""
    data, values, held = ratings(0)
    model = RobustMatrixCompletion(keep_empty_features=True).fit(data)
    errors = [np.sqrt(np.mean((filled - values)[held] ** 2)) for filled in (model.transform(data), biases(data))]
    assert model.converged_ and errors[0] < 0.985 * errors[1]
