"""The noise law learns scales of columns, shares and the spread of what is gross."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_robustlr._model.noise import NoiseLaw, pooled_chances


def learn(residual, cols, robust, n_columns):
    law = NoiseLaw.start(np.ones(n_columns), robust)
    for _ in range(200):
        squares = residual**2
        law = law.update(squares, law.weigh(squares, cols), cols)
    return law


def test_gaussian_scales_of_columns(rng):
    cols = np.repeat(np.arange(3), 4000)
    law = learn(np.array([0.5, 1.0, 2.0])[cols] * rng.standard_normal(len(cols)), cols, False, 3)
    assert_allclose(np.sqrt(law.variances), [0.5, 1.0, 2.0], rtol=0.05)


def test_gross_errors_do_not_move_the_scales(rng):
    cols = np.repeat(np.arange(3), 4000)
    scale = np.array([0.5, 1.0, 2.0])
    residual = scale[cols] * rng.standard_normal(len(cols))
    bad = rng.uniform(size=len(cols)) < 0.2
    residual[bad] += 30.0 * rng.choice([-1.0, 1.0], bad.sum()) * rng.uniform(0.5, 1.5, bad.sum())
    law = learn(residual, cols, True, 3)
    assert_allclose(np.sqrt(law.inlier_variances), scale, rtol=0.25)
    assert law.shares[2] == pytest.approx(0.2, abs=0.04)
    weights = law.weigh(residual**2, cols)
    assert weights.gross[bad].mean() > 0.95 > 0.05 > weights.gross[~bad].mean()


def test_a_column_of_few_entries_has_nearly_the_common_scale(rng):
    cols = np.concatenate([np.zeros(2000, int), [1, 1]])
    residual = np.concatenate([rng.standard_normal(2000), [1e-6, -1e-6]])
    law = learn(residual, cols, False, 2)
    assert 0.6 < np.sqrt(law.variances[1]) < 1.0


@pytest.mark.parametrize("robust", [False, True])
def test_extreme_residuals_have_finite_weights(robust):
    law = NoiseLaw.start(np.array([1e-12]), robust)
    weights = law.weigh(np.array([0.0, 1e-30, 1.0, 1e16]), np.zeros(4, int))
    assert all(np.isfinite(part).all() for part in weights)
    if robust:
        assert weights.gross[-1] == pytest.approx(1.0)


def test_a_column_may_have_a_share_of_gross_errors_of_its_own(rng):
    cols = np.repeat(np.arange(3), 4000)
    residual = rng.standard_normal(len(cols))
    bad = (cols == 1) & (rng.uniform(size=len(cols)) < 0.2)
    residual[bad] += 30.0
    law = NoiseLaw(np.ones(3), True, np.array([0.8, 0.15, 0.05]), 5.0, wrong=np.array([0.0, 0.1, 0.0]))
    for _ in range(30):
        law = law.update(residual**2, law.weigh(residual**2, cols), cols)
    assert_allclose(law.wrong, [0.0, 0.2, 0.0], atol=0.02)
    usual, own = law.shares[2], law.wrong[1]
    assert_allclose(law.odds, [1.0, own / (1.0 - own) / (usual / (1.0 - usual)), 1.0])
    size = np.full(2, 8.0)
    gross = law.weigh(size**2, np.array([0, 1])).gross
    assert gross[1] > gross[0]
    grid = np.sinh(np.linspace(-16.0, 16.0, 20_001))
    for column in range(2):
        density = law.density(grid, np.zeros(len(grid)), np.full(len(grid), column))
        assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-3)
    more = law.with_errors(0.4)
    assert_allclose(more.shares[2] * more.odds / (1.0 - more.shares[2]), 0.4 / 0.6)  # in all columns


def test_certainty_counts_for_more_than_doubt():
    weights = np.array([0.4, 0.6])
    sure, in_doubt, not_so = (pooled_chances(np.array([[1.0], [own]]), weights)[0] for own in (0.9, 0.1, 1e-6))
    assert sure > 0.95 and in_doubt > 0.5 and not_so < 0.2  # nor is one of the smaller weight alone to decide
    assert pooled_chances(np.array([[1e-300], [1.0]]), weights)[0] > 0.8
    alone = np.array([[1e-9, 0.2, 0.99, 1.0 - 1e-9]])
    assert_allclose(pooled_chances(alone, np.ones(1)), alone[0])
    both = pooled_chances(np.vstack([alone, alone]), weights)
    assert_allclose(1.0 - both, 1.0 - alone[0], rtol=1e-6)
