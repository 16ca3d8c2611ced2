"""Many measurements: some are fitted first, and what that comes to is only looked at, or refined on all."""

import numpy as np
import pytest
from cases import Recorder
from found_problems import columns_of_zeros
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


def fit(problem, where=None, factor=1.0):
    """A fit, larger targets `where` a mask says so multiplied: their median, which is the unit of a fit, stays."""
    size = np.abs(problem.target)
    large = size > 1.5 * np.median(size)
    target = problem.target if where is None else np.where(large & where, factor * problem.target, problem.target)
    return RobustLowRankRecovery(shape=problem.coef.shape).fit(problem.data, target)


def have_same_history(one, other):
    return all(np.array_equal(one.history_[name], other.history_[name]) for name in one.history_)


def test_many_measurements_are_previewed():
    """The sub-gradient method reads an eighth of them, and history and iterations are those of that part."""
    problem = make_measurements(4000, (16, 16), 2, outliers=0.2, noise=0.1, random_state=0)
    model = fit(problem)
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.03
    assert model.rank_ == 2 and model.n_iter_ > 10 and len(model.outliers_) == 4000
    seen = np.arange(4000) % 8 == 0
    assert have_same_history(model, fit(problem, ~seen, 1 + 1e-6))
    assert not have_same_history(model, fit(problem, seen, 1 + 1e-6))


def test_an_exact_start_is_not_iterated_on():
    """Of many measurements some are fitted first: where that is exact for all, the others are only looked at."""
    problem = make_measurements(9000, (20, 15), 2, outliers=0.2, random_state=0)
    model = fit(problem)
    assert model.converged_
    assert relative_recovery_error(problem.coef, model.matrix_) < 1e-13
    seen = np.arange(9000) % 16 == 0
    assert_array_equal(fit(problem, ~seen, 1 + 1e-14).matrix_, model.matrix_)
    assert (fit(problem, seen, 1 + 1e-14).matrix_ != model.matrix_).any()


def work(problem, **parameters):
    """Iterations of a fit, and its error."""
    model = RobustMatrixCompletion(replace="all", **parameters).fit(problem.data)
    assert model.converged_
    return model.n_iter_, relative_recovery_error(problem.clean, model.transform(problem.data))


@pytest.mark.parametrize(
    "drawn",
    [
        {"outliers": 0.2, "observed": 0.5, "noise": 0.1},
        {"outliers": 0.5},
    ],
)
def test_a_rank_that_is_told_is_no_burden(drawn):
    problem = make_corrupted_matrix((120, 100), 3, random_state=3, **drawn)
    (n_found, error_found), (n_told, error_told) = work(problem), work(problem, rank=3)
    assert n_told <= 1.2 * n_found
    assert error_told <= 1.02 * error_found + 1e-9


def test_a_clear_gap_ends_the_first_stage():
    problem = make_corrupted_matrix((120, 100), 3, outliers=0.2, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    assert model.stop_reason_ == "exact"
    assert model.history_["iteration"][-1] < 150


def test_a_gap_at_a_wrong_rank_is_not_believed():
    """Images are an uneven design: the first gap is at rank 3, that of the whole run at the true rank."""
    images = load_digits().data / 16.0
    coef = np.outer(np.repeat([1.0, -1.0], 4), np.ones(8)) + np.outer(np.ones(8), np.linspace(-1, 1, 8))
    rng = np.random.RandomState(2)
    train = rng.permutation(len(images))[:800]
    clean = images @ coef.ravel()
    y = clean[train] + 0.1 * clean.std() * rng.standard_normal(800)
    y[rng.uniform(size=800) < 0.25] += 5.0 * clean.std()
    model = RobustLowRankRecovery(shape=(8, 8)).fit(images[train], y)
    assert model.converged_ and model.rank_ == 2
    assert np.std(model.predict(images) - clean) < 0.05 * clean.std()


@pytest.mark.parametrize("shape", [(120, 120), (300, 300)])
def test_huge_errors_in_half_of_the_entries_start_no_long_search(shape):
    problem = make_corrupted_matrix(shape, 3, outliers=0.5, random_state=1)
    n_iter, error = work(problem)
    assert error < 1e-9
    assert n_iter < 1200


def test_columns_of_zeros_are_not_interpolated_by_their_errors():
    """Zeros repeat; without them such a column is free, and errors in it are met."""
    (data,), clean = columns_of_zeros()
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(clean, model.fit_transform(data)) < 1e-9
    assert model.n_iter_ < 300


@pytest.mark.parametrize("size", [200, 520], ids=["the whole", "a block"])
def test_huge_errors_of_an_exact_rank_need_no_other_model(size):
    """They hide its gap from the sub-gradient method, but not where targets are small: that is ten times as fast."""
    problem = make_corrupted_matrix((size, size), rank=5, observed=0.3, outliers=0.3, random_state=0)
    recorder = Recorder()
    model = RobustMatrixCompletion(replace="all").set_callbacks(recorder)
    assert relative_recovery_error(problem.clean, model.fit_transform(problem.data)) < 1e-10
    assert model.stop_reason_ == "exact" and "subgradient" in recorder.tasks and "model" not in recorder.tasks


def test_a_block_with_noise_and_huge_errors_needs_no_other_model():
    problem = make_corrupted_matrix((520, 520), rank=5, observed=0.3, outliers=0.3, noise=0.05, random_state=0)
    recorder = Recorder()
    model = RobustMatrixCompletion().set_callbacks(recorder).fit(problem.data)
    assert model.stop_reason_ == "noisy" and model.rank_ == 5 and "model" not in recorder.tasks


def test_no_long_search_where_next_to_nothing_stands_out_of_the_noise():
    """Ranks 17 to 1 were gone through three times, in 5000 iterations and 14 s."""
    rng = np.random.RandomState(31007)
    right = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    decaying = rng.standard_normal((1500, 200)) * 10.0 ** (-3.0 * np.arange(200) / 199) @ right.T
    data = decaying / decaying.std() + rng.standard_normal(decaying.shape)
    data[rng.uniform(size=data.shape) < 0.2] = np.nan
    assert RobustMatrixCompletion().fit(data).n_iter_ < 2500
