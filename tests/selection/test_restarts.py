"""Several starts: the same bits everywhere, judged on held-out measurements."""

import itertools
import threading

import joblib
import numpy as np
import pytest
from cases import CASES, MATRIX, Recorder, arrays, each, error, fitted, reference
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.units import make_problem
from sklearn_robustlr._selection import restarts
from sklearn_robustlr.datasets import make_measurements


@each
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_same_bits_for_every_number_of_jobs_and_backend(case, backend):
    one = reference(case, n_init=4)
    with joblib.parallel_config(backend=backend):
        many = fitted(case, n_init=4, n_jobs=3 if backend == "threading" else 2)
    assert arrays(one).keys() == arrays(many).keys()
    for key, value in arrays(one).items():
        assert_array_equal(value, getattr(many, key), err_msg=key)


def test_starts_in_workers_come_to_the_same():
    data = load_iris().data
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    alone = RobustMatrixCompletion(n_init=2, random_state=0).fit(data)
    with joblib.parallel_config(backend="loky"):
        apart = RobustMatrixCompletion(n_init=2, n_jobs=2, random_state=0).fit(data)
    assert alone.stop_reason_ == apart.stop_reason_ == "approximate"
    assert_array_equal(alone.transform(data), apart.transform(data))


@each
def test_restarts_do_no_harm(case):
    one, many = reference(case), reference(case, n_init=4)
    assert many.restart_scores_.shape == (4,) and np.isfinite(many.restart_scores_).any()
    assert many.rank_ == one.rank_ and many.converged_
    assert error(case, many) < 1.01 * error(case, one)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_starts_differ_and_each_has_a_score():
    """Without a polish: the later stages would bring them together again."""
    assert len(set(fitted("recovery", n_init=6, polish=False).restart_scores_)) == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_third_start_is_made_from_half_of_the_data():
    """The first is the plain one, the others are perturbed, which leads further away; after one iteration it shows."""
    after = []
    recorder = Recorder(look=lambda task, model: task != "subgradient" or after.append(model.matrix_))
    estimator, data = CASES["recovery"]
    params = {"n_init": 7, "max_iter": 1, "polish": False, "random_state": 0}
    clone(estimator).set_params(**params).set_callbacks(recorder).fit(*data)
    turned = [coef / np.linalg.norm(coef) for coef in after[:7]]
    apart = [np.linalg.norm(coef - turned[0]) for coef in turned]
    assert [distance < 0.8 for distance in apart] == [True, False, True, False, False, True, False]
    assert min(apart[1:]) > 0.1


def test_scores_are_those_of_entries_that_no_start_has_seen():
    """The winner by the loss on what was fitted would be another one."""
    rows, cols = (index.astype(np.int32) for index in np.nonzero(MATRIX.observed))
    problem = make_problem(EntryMeasurements(rows, cols, MATRIX.data[MATRIX.observed], MATRIX.data.shape))
    parts = restarts._split(problem, 0)
    pairs = [set(zip(p.base.rows.tolist(), p.base.cols.tolist(), strict=True)) for p in parts]
    assert not pairs[0] & pairs[1]
    assert len(pairs[0]) + len(pairs[1]) == problem.base.size
    assert 0.05 < len(pairs[1]) / problem.base.size < 0.2


def test_the_race_is_judged_on_what_is_held_out():
    """The last tenth of dense measurements, which no start has seen: where those are wrong, the scores are."""
    estimator, (X, y) = CASES["recovery"]
    y = y.copy()
    y[-len(y) // 10 :] += 1000.0
    model = clone(estimator).set_params(n_init=4, random_state=0).fit(X, y)
    assert np.nanmax(model.restart_scores_) < -100.0
    assert model.rank_ == 2 and error("recovery", model) < 0.05


def test_a_race_ends_early_for_most():
    """Half of the starts leave after each round, so that eight cost about as much as two."""
    estimator, data = CASES["recovery"]
    recorder = Recorder()
    clone(estimator).set_params(n_init=8, random_state=0).set_callbacks(recorder).fit(*data)
    assert recorder.tasks.count("subgradient") == 8 + 4 + 2


def test_inside_grid_search_with_workers_of_its_own():
    estimator, data = CASES["recovery"]
    search = {}
    for n_jobs in (1, 2):
        grid = GridSearchCV(
            clone(estimator).set_params(n_init=2, random_state=0), {"rank": [2, 3]}, cv=2, n_jobs=n_jobs
        )
        search[n_jobs] = grid.fit(*data)
    assert_array_equal(search[1].cv_results_["mean_test_score"], search[2].cv_results_["mean_test_score"])


def test_two_threads_fit_at_once():
    models = {case: None for case in CASES}

    def work(case):
        models[case] = fitted(case, n_init=2, n_jobs=2)

    threads = [threading.Thread(target=work, args=(case,)) for case in CASES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for case, model in models.items():
        alone = reference(case, n_init=2)
        for key, value in arrays(alone).items():
            assert_array_equal(value, getattr(model, key), err_msg=key)


@pytest.mark.parametrize(
    ("shape", "size", "noise"),
    [((20, 15), 1500, 0.0), ((20, 15), 1500, 0.05), ((60, 50), 2900, 0.0)],
    ids=["side by side", "with noise", "one after the other"],
)
def test_what_comes_after_an_exact_end_is_left_aside(shape, size, noise, capsys):
    """With two threads the last starts end side by side where passes are short: to the same bits."""
    problem = make_measurements(size, shape, 2, outliers=0.2, noise=noise, random_state=0)
    found = []
    for n_jobs in (1, 2):
        model = RobustLowRankRecovery(shape=shape, n_init=4, n_jobs=n_jobs, random_state=0, verbose=1)
        model.fit(problem.data, problem.target)
        assert model.converged_ and model.rank_ == 2
        *lines, _ = capsys.readouterr().out.splitlines()
        assert sum("given up" not in line for line in lines) == (2 if noise else 1)
        found.append([model.matrix_, model.restart_scores_])
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


@each
def test_blas_is_held_to_one_thread_from_the_first_step_to_the_last(case, monkeypatch):
    """Else the bits depend on whether another thread fits at the same time."""
    seen = []

    def spy(name):
        function, calls = getattr(np.linalg, name), itertools.count()

        def watched(*args, **kwargs):
            if next(calls) % 7 == 0:  # to ask takes longer than the call
                seen.append((name, {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}))
            return function(*args, **kwargs)

        monkeypatch.setattr(np.linalg, name, watched)

    with threadpool_limits(limits=2, user_api="blas"):
        for name in ("svd", "eigh", "solve"):
            spy(name)
        fitted(case)
    assert {name for name, _ in seen} >= {"svd", "eigh"}
    assert all(threads == {1} for _, threads in seen)


def test_a_single_start_draws_nothing():
    """It moved the generator that it was given, and that of NumPy."""
    problem, rng = make_measurements(200, (10, 8), 2, random_state=0), np.random.RandomState(0)
    RobustLowRankRecovery(shape=(10, 8), random_state=rng).fit(problem.data, problem.target)
    assert rng.uniform() == np.random.RandomState(0).uniform()
