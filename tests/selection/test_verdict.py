"""Which fits are trusted: signs that cannot be told, noise that is taken for structure."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._selection import verdict
from sklearn_robustlr._utils.values import Fit
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


def test_one_direction_of_noise_is_not_taken_for_structure_without_a_polish(rng):
    X, y = rng.standard_normal((300, 48)), rng.standard_normal(300)
    told = {"shape": (8, 6), "rank": 1, "polish": False, "max_iter": 500}
    with pytest.warns(ConvergenceWarning, match="what one direction leaves"):
        RobustLowRankRecovery(**told).fit(X, y)
    u, v = rng.standard_normal(8), rng.standard_normal(6)
    assert RobustLowRankRecovery(**told).fit(X, X @ np.kron(u, v) + 0.1 * y).converged_


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_signs_that_cannot_be_told_are_not_trusted(noise):
    """A matrix of rank one with signs of its own agrees with as many entries: 49 % are flipped."""
    # of four such matrices with noise, one is met, three fifths of it, by more directions
    rng = np.random.RandomState(1)
    X = np.outer(rng.uniform(1, 2, 60), rng.uniform(1, 2, 50))
    X[rng.uniform(size=X.shape) < 0.49] *= -1
    # with noise further ranks may be tried in vain
    said = "are met.*nearly all others with the other sign" if not noise else "did not converge"
    with pytest.warns(ConvergenceWarning, match=said):
        model = RobustMatrixCompletion().fit(X + noise * rng.standard_normal(X.shape))
    assert not model.converged_


@pytest.mark.parametrize(("shape", "seed"), [((60, 50), 7), ((120, 80), 2)])
def test_random_signs_are_no_directions(shape, seed):
    """Two or three directions met 61 to 64 % of the entries, more than random signs of one would: that was "exact"."""
    rng = np.random.RandomState(seed)
    signs = np.where(rng.uniform(size=shape) < 0.49, -1, 1)
    X = signs * np.outer(*(rng.uniform(1, 2, n) for n in shape))
    with pytest.warns(ConvergenceWarning):
        assert not RobustMatrixCompletion().fit(X).converged_


@pytest.mark.parametrize(("clear", "open_"), [(1.0, True), (0.4, True), (0.1, False)])
def test_signs_are_told_by_the_entries_that_stand_out_of_the_noise(rng, clear, open_):
    """Where those are few, that most of them have the other sign may be chance, and says nothing of the others."""
    rows, cols = (index.astype(np.int32).ravel() for index in np.indices((60, 50)))
    y = np.where(rng.uniform(size=3000) < clear, 3.0, 0.1) * rng.choice([-1.0, 1.0], 3000)
    prediction = np.where(rng.uniform(size=3000) < 0.55, -y, y)
    base = EntryMeasurements(rows, cols, y, (60, 50))
    nothing = np.zeros((60, 1)), np.zeros(1), np.zeros((50, 1))
    fit = Fit(*nothing, prediction - y, 0.3, np.ones(3000), 109)
    assert verdict._signs_are_open(fit, base, 1.0) == open_


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_the_largest_rank_that_measurements_can_determine_may_be_the_right_one(seed):
    """Three measurements for each degree of freedom of rank 1, which leaves nothing but noise."""
    problem = make_measurements(78, (15, 12), 1, outliers=0.0, noise=0.02, random_state=seed)
    model = RobustLowRankRecovery(shape=(15, 12)).fit(problem.data, problem.target)
    assert (model.stop_reason_, model.rank_) == ("noisy", 1)
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.02
