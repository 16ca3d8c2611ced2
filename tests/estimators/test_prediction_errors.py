"""Standard errors of predictions of measurements: those of least squares in both factors, for all kinds alike."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import norm

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

SHAPE = (14, 10)


def measured(seed=0, *, ensemble="gaussian", noise=0.3, outliers=0.1, n=220, symmetric=False):
    shape = (12, 12) if symmetric else SHAPE
    return make_measurements(
        n, shape, 2, ensemble=ensemble, outliers=outliers, noise=noise, symmetric=symmetric, random_state=seed
    )


def as_matrices(problem, model):
    """Measurements as flattened matrices."""
    d1 = model.shape_[0]
    if model.measurements == "matrix":
        return problem.data
    a, b = problem.data[:, :d1], problem.data[:, d1:]
    return np.einsum("ni,nj->nij", a, b).reshape(len(a), -1)


def expected_deviations(problem, model, symmetric=False):
    """By the pseudo-inverse of the normal equations of the inliers, and what these are missed by (White, HC2)."""
    root = np.sqrt(model.singular_values_)
    u, v = model.left_ * root, model.right_ * root
    whole = as_matrices(problem, model).reshape(-1, *model.shape_)
    left, right = whole @ v, whole.transpose(0, 2, 1) @ u
    flat = [part.reshape(len(whole), -1) for part in (left, right)]
    rows = flat[0] + flat[1] if symmetric else np.hstack(flat)
    kept = rows[~model.outliers_]
    cov = np.linalg.pinv(kept.T @ kept, rcond=1e-10, hermitian=True)
    missed = (problem.target - model.predict(problem.data))[~model.outliers_]
    leverage = np.einsum("ij,jk,ik->i", kept, cov, kept)
    told = kept * (missed / np.sqrt(1.0 - leverage))[:, None]
    return np.linalg.norm(rows @ cov @ told.T, axis=1)


@pytest.mark.parametrize(("measurements", "ensemble"), [("matrix", "gaussian"), ("rank_one", "rank_one")])
def test_they_are_those_of_least_squares(measurements, ensemble):
    problem = measured(ensemble=ensemble)
    model = RobustLowRankRecovery(shape=SHAPE, measurements=measurements).fit(problem.data, problem.target)
    assert model.stop_reason_ == "noisy"
    prediction, std = model.predict(problem.data, return_std=True)
    np.testing.assert_array_equal(prediction, model.predict(problem.data))
    np.testing.assert_allclose(std, expected_deviations(problem, model), rtol=1e-4)


def test_a_symmetric_matrix_has_half_the_unknowns():
    problem = measured(symmetric=True)
    model = RobustLowRankRecovery(shape=(12, 12), symmetric=True).fit(problem.data, problem.target)
    _, std = model.predict(problem.data, return_std=True)
    np.testing.assert_allclose(std, expected_deviations(problem, model, symmetric=True), rtol=1e-4)


def test_sparse_rows_have_those_of_dense_ones():
    problem = measured()
    data = np.where(np.abs(problem.data) > 1.2, problem.data, 0.0)
    target = data @ problem.coef.ravel() + 0.3 * np.random.RandomState(0).standard_normal(len(data))
    stored = sparse.csr_matrix(data)
    model = RobustLowRankRecovery(shape=SHAPE).fit(stored, target)
    _, std = model.predict(stored, return_std=True)
    np.testing.assert_allclose(model.predict(data, return_std=True)[1], std, rtol=1e-9)
    assert np.isfinite(std).all() and (std > 0).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("noise", ["in proportion", "student"])
def test_they_hold_beside_unequal_noise_and_long_tails(noise):
    """Nominal 90 %; errors of the normal equations alone hold 0.70 to 0.82."""
    within = []
    for seed in range(4):
        problem = measured(seed, outliers=0.0, noise=0.0, n=12 * 44)
        rng, size = np.random.RandomState(seed), 0.15 * problem.target.std()
        drawn = {
            "in proportion": 0.15 * np.abs(problem.target) * rng.standard_normal(len(problem.target)),
            "student": size * rng.standard_t(3, len(problem.target)),
        }[noise]
        model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target + drawn)
        new = rng.standard_normal((300, problem.data.shape[1]))
        prediction, std = model.predict(new, return_std=True)
        within.append(np.mean(np.abs(prediction - new @ problem.coef.ravel()) < norm.ppf(0.95) * std))
    assert np.mean(within) > (0.77 if noise == "in proportion" else 0.84)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_leave_them_as_they_are_for_a_precise_minority():
    """Two instruments, one of a twentieth of the noise, weighted by their precision: errors are as large as is said."""
    problem = measured(2, outliers=0.0, noise=0.0, n=400)
    rng = np.random.RandomState(2)
    sd = np.where(rng.uniform(size=400) < 0.4, 0.02, 0.4) * problem.target.std()
    model = RobustLowRankRecovery(shape=SHAPE)
    model.fit(problem.data, problem.target + sd * rng.standard_normal(400), sample_weight=sd**-2.0)
    prediction, std = model.predict(problem.data, return_std=True)
    ratio = np.sqrt(np.mean((prediction - problem.target) ** 2) / np.mean(std**2))
    assert 0.6 < ratio < 1.7


def test_they_cover_the_truth():
    within = []
    for seed in range(4):
        problem = measured(seed, n=330, noise=0.2)
        model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target)
        fresh = np.random.RandomState(100 + seed).standard_normal((500, problem.data.shape[1]))
        prediction, std = model.predict(fresh, return_std=True)
        missed = np.abs(prediction - fresh @ problem.coef.ravel())
        within.append([np.mean(missed <= norm.ppf(0.5 + c / 2) * std) for c in (0.5, 0.9, 0.95)])
    np.testing.assert_allclose(np.mean(within, axis=0), (0.5, 0.9, 0.95), atol=0.06)


def test_an_exact_fit_is_sure():
    problem = measured(noise=0.0)
    model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target)
    assert model.stop_reason_ == "exact"
    assert not model.predict(problem.data, return_std=True)[1].any()


@pytest.mark.parametrize("shape", [(60, 40), (420, 380)], ids=["whole", "apart"])
def test_entries_and_ids(shape):
    observed = 0.5 if shape[0] < 100 else 0.12
    problem = make_corrupted_matrix(shape, 2, observed=observed, outliers=0.1, noise=0.2, random_state=0)
    pairs = np.argwhere(problem.observed)
    order = np.random.RandomState(0).permutation(len(pairs))
    ids = pairs[order] + 1000
    model = RobustLowRankRecovery(measurements="entries").fit(ids, problem.data[tuple(pairs[order].T)])
    hidden = np.argwhere(~problem.observed)[:2000]
    prediction, std = model.predict(hidden + 1000, return_std=True)
    missed = np.abs(prediction - problem.clean[tuple(hidden.T)])
    assert abs(np.mean(missed <= 1.645 * std) - 0.9) < 0.07
    some = np.array([[1000, 1001], [5, 1001], [1003, 1002]])
    _, std = model.predict(some, return_std=True)
    assert np.isinf(std[1]) and np.isfinite(std[[0, 2]]).all()
    assert std[2] == pytest.approx(model.predict(some[2:], return_std=True)[1][0], rel=1e-12)  # by another product


def test_single_precision_is_kept():
    problem = measured()
    model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data.astype(np.float32), problem.target.astype(np.float32))
    prediction, std = model.predict(problem.data.astype(np.float32), return_std=True)
    assert prediction.dtype == std.dtype == np.float32


def test_the_flag_is_checked():
    problem = measured(noise=0.0)
    model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target)
    with pytest.raises(TypeError, match="return_std"):
        model.predict(problem.data, return_std=1)


@pytest.mark.parametrize("factor", [1e-6, 1e4])
def test_they_have_the_units_of_the_measurements(factor):
    problem = measured(noise=0.2, n=330)
    model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target)
    _, std = model.predict(problem.data[:9], return_std=True)
    np.testing.assert_allclose(model.predict(factor * problem.data[:9], return_std=True)[1], factor * std, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_with_more_directions_than_its_rank_has_them():
    """Of the over-parameterised stage alone; more unknowns than have a joint covariance."""
    problem = make_corrupted_matrix((90, 70), 3, observed=0.6, outliers=0.1, noise=0.1, random_state=0)
    pairs = np.argwhere(problem.observed)
    model = RobustLowRankRecovery(measurements="entries", shape=(90, 70), polish=False)
    model.fit(pairs, problem.data[problem.observed])
    assert model.rank_ < len(model.singular_values_)
    _, std = model.predict(pairs[:50], return_std=True)
    assert (std > 0.0).all()


def test_they_hold_what_no_direction_captures():
    rng = np.random.RandomState(2)
    u, v = (np.linalg.qr(rng.standard_normal((d, 12)))[0] for d in (20, 12))
    clean = u * np.arange(1.0, 13.0) ** -1.5 @ v.T
    clean /= clean.std()
    flat, new = rng.standard_normal((400, clean.size)), rng.standard_normal((700, clean.size))
    size = np.sqrt(clean.size)
    target = flat @ clean.ravel() + 0.3 * size * rng.standard_normal(len(flat))
    model = RobustLowRankRecovery(shape=clean.shape).fit(flat, target)
    assert model.converged_
    prediction, std = model.predict(new, return_std=True)
    assert 0.84 < np.mean(np.abs(prediction - new @ clean.ravel()) <= 1.645 * std) < 0.98


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_they_are_those_of_known_precisions(ratio):
    """The noise of a measurement of weight one is not that of all: intervals of 95 % held 0.73 of the values."""
    held = []
    for seed in range(3):
        rng = np.random.RandomState(seed)
        flat, new = rng.standard_normal((600, 144)), rng.standard_normal((300, 144))
        clean = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 12))
        deviation = np.where(rng.uniform(size=600) < 0.4, 0.5 / ratio, 0.5)
        target = flat @ clean.ravel() + deviation * rng.standard_normal(600)
        model = RobustLowRankRecovery(shape=(12, 12)).fit(flat, target, sample_weight=deviation**-2.0)
        prediction, std = model.predict(new, return_std=True)
        held.append(np.abs(prediction - new @ clean.ravel()) <= norm.ppf(0.975) * std)
    assert 0.9 < np.mean(held) < 0.98


@pytest.mark.filterwarnings("ignore:.*not identifiable")
def test_a_row_that_no_measurement_sees_is_not_known_beside_noise():
    problem = measured(outliers=0.0, noise=0.1, n=400)
    data = problem.data.reshape(-1, *SHAPE).copy()
    data[:, 0] = 0.0
    data = data.reshape(len(data), -1)
    clean = data @ problem.coef.ravel()
    noise = 0.1 * clean.std() * np.random.RandomState(0).standard_normal(len(data))
    model = RobustLowRankRecovery(shape=SHAPE).fit(data, clean + noise)
    assert model.stop_reason_ == "noisy" and model.undetermined_rows_.tolist() == [0]
    _, std = model.predict(np.eye(data.shape[1]), return_std=True)
    std = std.reshape(SHAPE)
    assert np.isinf(std[0]).all() and np.isfinite(std[1:]).all()
