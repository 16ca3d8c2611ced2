"""New rows are regressed on the row space, each alone."""

from copy import deepcopy

import numpy as np
import pytest
from cases import BOTH
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


def test_new_rows_are_exact(rng):
    p = make_corrupted_matrix((330, 60), rank=3, outliers=0.2, random_state=5)
    fitted = RobustMatrixCompletion(replace="all").fit(p.data[:130])
    new, truth = p.data[130:].copy(), p.clean[130:]
    new[rng.uniform(size=new.shape) < 0.4] = np.nan
    enough = (np.isfinite(new) & ~p.outliers[130:]).sum(axis=1) >= 12
    exact = np.abs(fitted.transform(new) - truth).max(axis=1) < 1e-6
    assert exact[enough].mean() >= 0.99


@pytest.mark.parametrize("estimator", BOTH)
def test_rows_do_not_depend_on_their_batch(estimator, noisy):
    fitted = clone(estimator).fit(noisy.data)
    rng = np.random.RandomState(0)
    rows = noisy.data.copy()
    rows[:10] = np.where(rng.uniform(size=(10, 80)) < 0.55, rng.standard_cauchy((10, 80)), rows[:10])  # random starts
    whole = fitted.transform(rows)
    alone = np.vstack([fitted.transform(row[None]) for row in rows[:20]])
    assert_allclose(alone, whole[:20], rtol=1e-12, atol=1e-12)
    assert_allclose(fitted.transform(rows[::-1])[::-1], whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("estimator", BOTH)
def test_result_does_not_depend_on_n_jobs(estimator, noisy):
    """So many rows are regressed in two blocks."""
    many = np.tile(noisy.data, (40, 1))
    one = clone(estimator).set_params(n_jobs=1).fit(noisy.data)
    two = deepcopy(one).set_params(n_jobs=2)
    assert_array_equal(one.transform(many), two.transform(many))


def test_row_without_entries_is_the_location(noiseless, completion, pca):
    empty = np.full((1, 60), np.nan)
    assert_allclose(completion.transform(empty)[0], completion.location_)
    assert_allclose(completion.location_, noiseless.clean.mean(axis=0), atol=1e-8)
    assert_allclose(pca.transform(empty), 0.0, atol=1e-8)


def test_few_entries_are_better_than_none(completion, noiseless):
    """Two entries do not determine a row of rank three, but they say something."""
    few = np.full_like(noiseless.clean, np.nan)
    few[:, 10:12] = noiseless.clean[:, 10:12]
    out = completion.transform(few)
    assert_array_equal(out[:, 10:12], few[:, 10:12])
    none = np.broadcast_to(completion.location_, few.shape)
    assert np.linalg.norm(out - noiseless.clean) < 0.9 * np.linalg.norm(none - noiseless.clean)


def test_of_rows_of_nothing_but_errors_few_are_known(rng):
    """Some coefficients meet one entry more than they interpolate, by chance, the more often the more are tried."""
    clean = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 80))
    fitted = RobustMatrixCompletion(replace="all").fit(clean + 1e-3 * rng.standard_normal(clean.shape))
    new = 10.0 * rng.standard_normal((200, 80))
    new[np.argsort(rng.uniform(size=new.shape), axis=1) >= 24] = np.nan
    _, error = fitted.transform(new, return_std=True)
    assert np.isfinite(error).all(axis=1).mean() < 0.25
