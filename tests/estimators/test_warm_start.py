"""Warm starts and first guesses: they serve, and a bad one does no harm."""

import warnings

import numpy as np
import pytest
from cases import CASES, MATRIX, SENSING, each, error, fitted, reference
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


@each
def test_warm_start_goes_on_from_the_last_fit(case):
    estimator, data = CASES[case]
    cold = reference(case)
    warm = clone(estimator).set_params(warm_start=True).fit(*data)
    cold_count = cold.n_iter_
    assert warm.n_iter_ == cold_count > 100
    warm.fit(*data)
    assert warm.n_iter_ < cold_count and warm.rank_ == cold.rank_
    assert_allclose(error(case, warm), error(case, cold), rtol=5e-3)


@each
def test_a_first_guess_serves_and_a_bad_one_does_no_harm(case):
    estimator, data = CASES[case]
    truth = SENSING.coef if case == "recovery" else MATRIX.clean
    rng = np.random.RandomState(0)
    u, s, vt = np.linalg.svd(truth + 0.01 * rng.standard_normal(truth.shape), full_matrices=False)
    cold = reference(case)
    k = cold.rank_
    near = clone(estimator).fit(*data, init=(u[:, :k] * s[:k], vt[:k].T))
    assert begins_there(near)
    assert_allclose(error(case, near), error(case, cold), rtol=5e-3)
    for bad in ((np.zeros_like(u[:, :2]), np.zeros_like(vt[:2].T)), (rng.standard_normal(u[:, :2].shape), vt[-2:].T)):
        far = clone(estimator).fit(*data, init=bad)
        assert_allclose(error(case, far), error(case, cold), rtol=5e-3)


def begins_there(model):
    """Whether a fit began at factors that it was given, without the sub-gradient method from a tiny start."""
    return model.history_["iteration"].tolist() == [0]


@pytest.mark.parametrize("size", [0.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_guess_of_no_sensible_size_does_no_harm(size, dtype):
    """Its products overflow or vanish; a fit without later stages could not leave it."""
    problem = make_corrupted_matrix((40, 30), rank=1, outliers=0.1, random_state=0)
    data, start = problem.data.astype(dtype), (size * np.ones((40, 1)), np.ones((30, 1)))
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(problem.clean, model.fit(data, init=start).transform(data)) < 1e-4
    for step_size in ("auto", "polyak"):
        model.set_params(polish=False, step_size=step_size, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert np.isfinite(model.fit(data, init=start).singular_values_).all()


def test_a_first_guess_at_entries_keeps_its_fractions():
    """The indices are integers, the factors are not."""
    p = make_corrupted_matrix((30, 20), rank=1, outliers=0.1, random_state=0)
    u, s, vt = np.linalg.svd(p.clean, full_matrices=False)
    start = u[:, :1] * np.sqrt(s[0]), vt[:1].T * np.sqrt(s[0])
    model = RobustLowRankRecovery(measurements="entries", shape=(30, 20))
    model.fit(np.argwhere(p.observed), p.data[p.observed], init=start)
    assert begins_there(model)
    assert model.history_["residual"][0] < 1e-10


def test_warm_start_on_other_rows_and_another_number_of_columns():
    model = RobustMatrixCompletion(replace="all", warm_start=True).fit(MATRIX.data[:60])
    model.fit(MATRIX.data[20:])
    assert begins_there(model) and model.rank_ == 3
    model.fit(MATRIX.data[:, :50])
    assert not begins_there(model) and model.n_features_in_ == 50


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_plain_algorithm_goes_on_from_given_factors():
    options = {"polish": False, "max_iter": 60}
    first = fitted("recovery", **options)
    start = first.left_ * first.singular_values_, first.right_
    again = RobustLowRankRecovery(shape=(20, 15), **options).fit(SENSING.data, SENSING.target, init=start)
    assert again.history_["residual"][0] < 0.5 * first.history_["residual"][0]


@pytest.mark.parametrize(
    "start, message",
    [
        (3, "init must be a pair"),
        ((np.ones((20, 1)), np.ones((14, 1))), r"shapes \(20, k\) and \(15, k\)"),
        ((np.ones((20, 1)), np.full((15, 1), np.nan)), "init contains NaN"),
    ],
)
def test_bad_first_guess(start, message):
    with pytest.raises(ValueError, match=message):
        RobustLowRankRecovery(shape=(20, 15)).fit(SENSING.data, SENSING.target, init=start)


@pytest.mark.parametrize("n_init", [1, 3])
def test_the_budget_bounds_a_fit(n_init):
    """Pure noise, of which a fit tries many ranks: what it takes is bounded, and said."""
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((280, 100)), rng.standard_normal(280)
    counts = []
    for max_iter in (400, 60_000):
        model = RobustLowRankRecovery(shape=(10, 10), max_iter=max_iter, n_init=n_init, random_state=0)
        with pytest.warns(ConvergenceWarning):
            model.fit(X, y)
        counts.append(model.n_iter_)
        assert (model.stop_reason_ == "interrupted") == (max_iter == 400)
    assert counts[0] < 0.4 * counts[1]
    if n_init == 1:
        assert counts[0] < 400 + 700  # a fit that has begun is finished


def test_without_other_stages_the_budget_is_that_of_the_first():
    options = {"polish": False, "tol": 0.0, "step_size": "geometric"}
    for max_iter in (1, 70):
        model = RobustLowRankRecovery(shape=(20, 15), max_iter=max_iter, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(SENSING.data, SENSING.target)
        assert max_iter - 10 < model.n_iter_ <= max_iter


def entries_of(seed, first):
    """Entries of a matrix whose rows have ids from a first one on."""
    problem = make_corrupted_matrix((30, 20), rank=2, observed=0.8, mean=2.0, random_state=seed)
    rows, columns = np.nonzero(problem.observed)
    return np.column_stack([rows + first, columns]), problem.data[rows, columns]


def test_a_second_fit_that_fails_leaves_the_first_one():
    """The ids of the rows were those of the second fit, the factors those of the first."""
    X, y = entries_of(0, 0)
    model = RobustLowRankRecovery(measurements="entries").fit(X, y)
    before = model.predict(X)
    with pytest.raises(TypeError, match="checkpoint"):
        model.set_params(checkpoint=3).fit(*entries_of(1, 10))
    assert_allclose(model.set_params(checkpoint=None).predict(X), before, rtol=0)


@pytest.mark.parametrize("before", [False, True])
def test_a_warm_start_after_a_fit_that_failed(before):
    """It looked for factors that there are not, or took those of a matrix of another shape."""
    problem, other = (make_measurements(300, shape, rank=1, random_state=0) for shape in ((8, 6), (7, 5)))
    model = RobustLowRankRecovery(warm_start=True, shape=other.coef.shape)
    if before:
        model.fit(other.data, other.target)
    with pytest.raises(TypeError, match="checkpoint"):
        model.set_params(shape=(8, 6), checkpoint=3).fit(problem.data, problem.target)
    model.set_params(checkpoint=None).fit(problem.data, problem.target)
    assert_allclose(model.matrix_, problem.coef, atol=1e-6)
