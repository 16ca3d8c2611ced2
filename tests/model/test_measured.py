"""The posterior mean of measurements: by its equations, and below least squares where these are few."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._model.measured import fit_measured, takes_too_long
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.rank_one import RankOneMeasurements
from sklearn_robustlr._operators.sparse import SparseMeasurements
from sklearn_robustlr._utils.values import Factors
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHAPE = (7, 6)


def each_kind():
    """Measurements of every kind, and their matrices (m, d1, d2)."""
    rng = np.random.RandomState(0)
    y = rng.standard_normal(60)
    whole = rng.standard_normal((60, 7, 6))
    thin = np.where(rng.uniform(size=(60, 42)) < 0.3, whole.reshape(60, -1), 0.0)
    a, b = rng.standard_normal((60, 7)), rng.standard_normal((60, 6))
    rows, cols = rng.randint(7, size=60).astype(np.int32), rng.randint(6, size=60).astype(np.int32)
    entries, order = EntryMeasurements.from_unsorted(rows, cols, y, SHAPE)
    single = np.zeros((60, 7, 6))
    single[np.arange(60), rows[order], cols[order]] = 1.0
    return {
        "dense": (DenseMeasurements(whole.reshape(60, -1), y, SHAPE), whole),
        "sparse": (SparseMeasurements(sparse.csr_matrix(thin), y, SHAPE), thin.reshape(60, 7, 6)),
        "rank one": (RankOneMeasurements(a, b, y, SHAPE), a[:, :, None] * b[:, None]),
        "entries": (entries, single),
    }


@pytest.mark.parametrize("kind", ["dense", "sparse", "rank one", "entries"])
def test_sums_of_squares(kind):
    measurements, whole = each_kind()[kind]
    weight = np.random.RandomState(1).uniform(size=60)
    assert_allclose(measurements.squares(weight), np.einsum("i,iab,iab->ab", weight, whole, whole), atol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "sparse", "rank one", "entries"])
def test_measurements_of_a_known_matrix_are_met(kind):
    measurements, whole = each_kind()[kind]
    rng = np.random.RandomState(2)
    left, right = rng.standard_normal((7, 2)), rng.standard_normal((6, 2))
    truth = left @ right.T
    told = measurements.with_targets(np.tensordot(whole, truth, 2) + 1e-4 * rng.standard_normal(60))
    near = Factors(left + 0.01 * rng.standard_normal((7, 2)), right)
    found = fit_measured(told, near, np.ones(60), 1e-3)
    rest = np.tensordot(whole, found.left @ found.right.T - truth, 2)
    assert np.sqrt(np.mean(rest**2)) < 2e-4
    bent = np.where(np.arange(60) < 3, 50.0, told.y)  # what is no inlier does not count
    found = fit_measured(told.with_targets(bent), near, 1.0 * (np.arange(60) >= 3), 1e-3)
    rest = np.tensordot(whole, found.left @ found.right.T - truth, 2)[3:]
    assert np.sqrt(np.mean(rest**2)) < 2e-4


def test_surplus_directions_shrink_away():
    problem = make_measurements(shape=(14, 12), rank=2, n_measurements=400, outliers=0.0, noise=0.3, random_state=0)
    measurements = DenseMeasurements(problem.data, problem.target, (14, 12))
    u, s, vt = np.linalg.svd(problem.coef)
    rng = np.random.RandomState(0)
    left = np.hstack([u[:, :2] * s[:2], 0.1 * rng.standard_normal((14, 3))])
    right = np.hstack([vt[:2].T, 0.1 * rng.standard_normal((12, 3))])
    found = fit_measured(measurements, Factors(left, right), np.ones(400), 1.0)
    assert found.left.shape == (14, 2)
    assert takes_too_long(measurements, 50) and not takes_too_long(measurements, 5)


def test_where_noise_is_large_the_error_is_below_that_of_least_squares_told_all():
    """Few measurements of much noise: what is likely beforehand counts."""
    told = {"shape": (20, 18), "rank": 3, "n_measurements": 500, "outliers": 0.1, "noise": 0.5, "condition": 3}
    ours, least_squares = [], []
    for seed in range(2):
        problem = make_measurements(**told, random_state=seed)
        model = RobustLowRankRecovery(shape=(20, 18)).fit(problem.data, problem.target)
        ours.append(relative_recovery_error(problem.coef, model.matrix_))
        whole, y = problem.data[~problem.outliers].reshape(-1, 20, 18), problem.target[~problem.outliers]
        u, s, vt = np.linalg.svd(problem.coef)
        left, right = u[:, :3] * s[:3], vt[:3].T
        for _ in range(15):  # alternating least squares from the truth, of the inliers alone
            left = np.linalg.lstsq((whole @ right).reshape(len(y), -1), y, rcond=None)[0].reshape(20, 3)
            turned = (whole.transpose(0, 2, 1) @ left).reshape(len(y), -1)
            right = np.linalg.lstsq(turned, y, rcond=None)[0].reshape(18, 3)
        least_squares.append(relative_recovery_error(problem.coef, left @ right.T))
    assert np.mean(ours) < 0.97 * np.mean(least_squares)
    assert max(np.divide(ours, least_squares)) < 1.02


@pytest.mark.parametrize(("of_data", "of_target"), [(1e-8, 1.0), (1e8, 1e-4)])
def test_units_do_not_matter(of_data, of_target):
    """Of data of 1e-7 the posterior mean was zero, without a warning."""
    problem = make_measurements(shape=(12, 10), rank=2, outliers=0.1, noise=0.2, random_state=1)
    plain = RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
    scaled = RobustLowRankRecovery(shape=(12, 10)).fit(of_data * problem.data, of_target * problem.target)
    assert_allclose(scaled.matrix_ * (of_data / of_target), plain.matrix_, rtol=1e-6, atol=1e-9)
