"""Growth of the model: directions that were not looked for at first are found, and none where there are no more."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_robustlr._model.columns import start_columns
from sklearn_robustlr._model.growth import grow
from sklearn_robustlr._model.posterior import sweep_until_settled
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr.datasets import make_corrupted_matrix


def decaying(rng, n=400, p=60, power=1.0):
    """A matrix with singular values 1 / k^power."""
    left = rng.standard_normal((n, p))
    right = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return (left * np.arange(1, p + 1) ** -power) @ right.T / np.sqrt(np.sum(np.arange(1, p + 1) ** (-2.0 * power)) / p)


def table_of(X):
    p = X.shape[1]
    return Table.of(Entries(X), np.zeros(p), np.ones(p))


@pytest.mark.parametrize("robust", [False, True])
def test_a_decaying_spectrum_grows_beyond_what_was_looked_for(rng, robust):
    X = decaying(rng)
    data = np.where(rng.uniform(size=X.shape) < 0.8, X, np.nan)
    if robust:
        data[rng.uniform(size=X.shape) < 0.05] += 20.0
    table = table_of(data)
    columns = sweep_until_settled(table, start_columns(table, 8, robust))
    grown = grow(table, columns)
    assert columns.rank == 8 < 12 < grown.rank
    hidden = np.isnan(data)
    before, after = (
        np.sqrt(np.mean((c.mean + regress(table, c).means @ c.loadings.T - X)[hidden] ** 2)) for c in (columns, grown)
    )
    assert after < 0.8 * before


def test_a_sharp_rank_does_not_grow():
    """Three directions and noise, of which just three were looked for."""
    drawn = make_corrupted_matrix((300, 40), 3, noise=0.3, observed=0.8, outliers=0.05, random_state=0)
    table = table_of(drawn.data)
    columns = sweep_until_settled(table, start_columns(table, 3, True))
    assert grow(table, columns).rank == 3


def test_threads_do_not_change_a_bit(rng):
    table = table_of(np.where(rng.uniform(size=(200, 50)) < 0.7, decaying(rng, 200, 50), np.nan))
    columns = sweep_until_settled(table, start_columns(table, 5, True))
    one, two = (grow(table, columns, n) for n in (1, 2))
    assert_array_equal(one.loadings, two.loadings)
    assert_array_equal(one.covariances, two.covariances)
