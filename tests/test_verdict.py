"""What tells a fit that is to be trusted from one that is not, beyond what the studies count."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr._measurements import DenseMeasurements, EntryMeasurements
from sklearn_robustlr._polish import Fit
from sklearn_robustlr._rank import left_over
from sklearn_robustlr.datasets import make_measurements


def leftover_of(kind, hidden, rng):
    """`left_over` of a fit that leaves noise, and a hidden direction of this size in noise edges."""
    shape, size = (40, 30), 1000
    u, v = rng.standard_normal(40), rng.standard_normal(30)
    direction = np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    if kind == "entries":
        places = np.sort(rng.permutation(1200)[:size])
        rows, cols = (index.astype(np.int32) for index in np.divmod(places, 30))
        measurements = EntryMeasurements(rows, cols, np.zeros(size), shape)
        seen, edge = direction[rows, cols], (np.sqrt(40) + np.sqrt(30)) / np.sqrt(size / 1200)
    else:
        data = rng.standard_normal((size, 1200))
        measurements = DenseMeasurements(data, np.zeros(size), shape)
        seen, edge = data @ direction.ravel(), (np.sqrt(40) + np.sqrt(30)) / np.sqrt(size)
    residual = rng.standard_normal(size) + hidden * edge * seen
    nothing = np.zeros((40, 1)), np.zeros(1), np.zeros((30, 1))
    return left_over(Fit(*nothing, residual, float(residual.std()), np.ones(size), 69), measurements)


@pytest.mark.parametrize("kind", ["entries", "dense"])
def test_residuals_of_noise_have_nothing_in_common(kind):
    found = {hidden: [leftover_of(kind, hidden, np.random.RandomState(s)) for s in range(20)] for hidden in (0.0, 2.0)}
    assert sum(ratio > 1.0 for ratio in found[0.0]) <= 1
    assert min(found[2.0]) > 1.0


def test_a_weak_direction_that_no_start_led_to_is_found_in_what_is_left():
    p = make_measurements(
        2066, shape=(35, 28), rank=4, ensemble="sign", outliers=0.205, outlier_kind="stuck", condition=6.218,
        noise=0.31, random_state=63028,
    )  # fmt: skip
    model = RobustLowRankRecovery(shape=(35, 28)).fit(p.data, p.target)
    assert model.rank_ == 4
    assert model.converged_
    assert np.linalg.norm(model.coef_ - p.coef) < 0.15 * np.linalg.norm(p.coef)


def test_signs_that_cannot_be_told_are_not_trusted(rng):
    """A matrix of rank one with signs of its own agrees with as many entries: 49 % are flipped."""
    X = np.outer(rng.uniform(1, 2, 60), rng.uniform(1, 2, 50))
    X[rng.uniform(size=X.shape) < 0.49] *= -1
    with pytest.warns(ConvergenceWarning, match="met exactly, and nearly all others with the other sign"):
        model = RobustMatrixCompletion().fit(X)
    assert not model.converged_
