"""What the residuals have in common, and the noise scale."""

import numpy as np
import pytest

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._selection.evidence import left_over
from sklearn_robustlr._utils.values import Fit
from sklearn_robustlr.datasets import make_measurements


def leftovers_of(kind, hidden, rng):
    """`left_over` of fits that leave noise, and a hidden direction of these sizes in noise edges."""
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
    noise = rng.standard_normal(size)
    nothing = np.zeros((40, 1)), np.zeros(1), np.zeros((30, 1))
    residuals = [noise + share * edge * seen for share in hidden]
    fits = [Fit(*nothing, residual, float(residual.std()), np.ones(size), 69) for residual in residuals]
    return [left_over(fit, measurements) for fit in fits]


@pytest.mark.parametrize("kind", ["entries", "dense"])
def test_residuals_of_noise_have_nothing_in_common(kind):
    found = np.array([leftovers_of(kind, (0.0, 2.0), np.random.RandomState(seed)) for seed in range(20)])
    assert np.sum(found[:, 0] > 1.0) <= 1
    assert found[:, 1].min() > 1.0


@pytest.mark.parametrize("multiple", [pytest.param(5, marks=pytest.mark.slow), 8])
def test_noise_scale_is_unbiased(multiple):
    ratios = []
    for seed in range(4):
        p = make_measurements(multiple * 76, shape=(20, 20), rank=2, outliers=0.0, noise=0.2, random_state=seed)
        model = RobustLowRankRecovery(shape=(20, 20)).fit(p.data, p.target)
        ratios.append(model.scale_ / np.std(p.target - p.clean_target))
    assert abs(np.median(ratios) - 1.0) < 0.03
