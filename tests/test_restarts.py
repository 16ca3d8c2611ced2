"""Restarts, warm starts, callbacks and interruptions: the same bits everywhere, nothing hidden, nothing stuck."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_robustlr import (
    RobustLowRankRecovery,
    RobustMatrixCompletion,
    RobustPCA,
)
from sklearn_robustlr._estimators import pca
from sklearn_robustlr._estimators.validation import check_options, make_measurements_object
from sklearn_robustlr._fits import measurements as fit_measurements
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.units import Problem, make_problem
from sklearn_robustlr._rows.regression import RowSpace
from sklearn_robustlr._selection import descents, restarts
from sklearn_robustlr._selection import solve as solving
from sklearn_robustlr._solvers.gauss_newton import m_estimate
from sklearn_robustlr._solvers.manifold import manifold_subgradient
from sklearn_robustlr._solvers.starts import spectral_start
from sklearn_robustlr._utils.threads import Interrupted, interruptible, single_threaded_blas, working_for
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

MATRIX = make_corrupted_matrix((90, 70), rank=3, observed=0.7, outliers=0.2, noise=0.1, random_state=3)
SENSING = make_measurements(900, (20, 15), 2, outliers=0.25, noise=0.05, random_state=1)
CASES = {
    "recovery": (RobustLowRankRecovery(shape=(20, 15)), (SENSING.data, SENSING.target)),
    "completion": (RobustMatrixCompletion(replace="all"), (MATRIX.data,)),
    "pca": (RobustPCA(), (MATRIX.data,)),
}
each = pytest.mark.parametrize("case", CASES)


def fitted(case, **params):
    estimator, data = CASES[case]
    return clone(estimator).set_params(random_state=0, **params).fit(*data)


def error(case, model):
    if case == "recovery":
        return relative_recovery_error(SENSING.coef, model.coef_)
    rows = model.transform(MATRIX.data)
    return relative_recovery_error(MATRIX.clean, model.inverse_transform(rows) if case == "pca" else rows)


def arrays(model):
    return {key: value for key, value in vars(model).items() if isinstance(value, np.ndarray)}


# Restarts


@each
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_same_bits_for_every_number_of_jobs_and_backend(case, backend):
    one = fitted(case, n_init=5)
    for n_jobs in (2, -1):
        with joblib.parallel_config(backend=backend):
            many = fitted(case, n_init=5, n_jobs=n_jobs)
        assert arrays(one).keys() == arrays(many).keys()
        for key, value in arrays(one).items():
            assert_array_equal(value, getattr(many, key), err_msg=key)


@each
def test_restarts_do_no_harm(case):
    one, many = fitted(case), fitted(case, n_init=4)
    assert many.restart_scores_.shape == (4,) and np.isfinite(many.restart_scores_).any()
    assert many.rank_ == one.rank_ and many.converged_
    assert error(case, many) < 1.01 * error(case, one)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_starts_differ_and_each_has_a_score():
    """Without a polish: the later stages would bring them together again."""
    assert len(set(fitted("recovery", n_init=6, polish=False).restart_scores_)) == 6


def test_kinds_of_starts():
    """The plain one and that of half of the data are spectral, by orthogonal columns; the others are perturbed."""
    operator = make_measurements_object(SENSING.data, SENSING.target, (20, 15), "matrix")[0]
    problem = make_problem(operator)
    options = check_options(RobustLowRankRecovery(), (20, 15))
    runs = [restarts._begin(problem, options, i, seed) for i, seed in enumerate((5, 6, 7, 8))]
    grams = [run.left.T @ run.left for run in runs]
    aside = [np.abs(gram - np.diag(np.diag(gram))).max() / gram.max() for gram in grams]
    assert max(aside[0], aside[2]) < 1e-8 < 1e-3 < min(aside[1], aside[3])
    assert np.abs(runs[0].left - runs[2].left).max() > 1e-2 * np.abs(runs[0].left).max()


def test_scores_are_those_of_measurements_that_no_start_has_seen(monkeypatch):
    """The winner by the loss on what was fitted would be another one."""
    seen = []
    split = restarts._split

    def spy(problem, seed):
        train, held = split(problem, seed)
        seen.append((problem, train, held))
        return train, held

    monkeypatch.setattr(restarts, "_split", spy)
    fitted("completion", n_init=3)
    problem, train, held = seen[0]
    pairs = [set(zip(p.base.rows.tolist(), p.base.cols.tolist(), strict=True)) for p in (train, held)]
    assert not pairs[0] & pairs[1]
    assert len(pairs[0]) + len(pairs[1]) == problem.base.size
    assert 0.05 < len(pairs[1]) / problem.base.size < 0.2


def test_the_race_is_judged_on_what_is_held_out(monkeypatch):
    split = restarts._split

    def moved(problem, seed):
        train, held = split(problem, seed)
        return train, replace(held, work=held.work.with_targets(held.work.y + 1000.0))

    monkeypatch.setattr(restarts, "_split", moved)
    assert np.nanmax(fitted("recovery", n_init=4).restart_scores_) < -100.0


@pytest.mark.parametrize("other", [False, True])
def test_blas_is_held_to_one_thread_until_the_last_user_leaves(other):
    """Whichever threads come first and leave last, and after the main thread has set a limit of its own."""

    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    def call(function, *args, aside):
        if aside:
            thread = threading.Thread(target=function, args=args)
            thread.start()
            thread.join()
        else:
            function(*args)

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        first, second = single_threaded_blas(), single_threaded_blas()
        call(first.__enter__, aside=other)
        call(second.__enter__, aside=not other)
        assert set(threads()) == {1}
        call(first.__exit__, None, None, None, aside=other)
        assert set(threads()) == {1}
        call(second.__exit__, None, None, None, aside=not other)
        assert threads() == before == [2] * len(before)


@each
def test_blas_is_held_to_one_thread_from_the_first_step_to_the_last(case, monkeypatch):
    """Else the bits depend on whether another thread fits at the same time."""
    seen = []

    def spy(owner, name):
        function = getattr(owner, name)

        def watched(*args, **kwargs):
            seen.append({lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"})
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    spy(fit_measurements, "make_problem")
    spy(Problem, "finalise")
    spy(RowSpace, "regress")
    spy(pca, "principal_components")
    fitted(case)
    assert len(seen) == {"recovery": 2, "completion": 3, "pca": 4}[case]
    assert all(threads == {1} for threads in seen)


def test_many_measurements_are_previewed(monkeypatch):
    """The sub-gradient method reads but a part of them, and history and iterations are those of that part."""
    sizes = []
    descend = descents.descend

    def spy(problem, *args, **kwargs):
        sizes.append(problem.work.size)
        return descend(problem, *args, **kwargs)

    monkeypatch.setattr(descents, "descend", spy)
    for noise in (0.0, 0.1):
        problem = make_measurements(4000, (16, 16), 2, outliers=0.2, noise=noise, random_state=0)
        model = RobustLowRankRecovery(shape=(16, 16)).fit(problem.data, problem.target)
        assert relative_recovery_error(problem.coef, model.coef_) < max(0.3 * noise, 1e-9)
        assert model.rank_ == 2 and model.n_iter_ > 10 and len(model.outliers_) == 4000
    assert max(sizes) <= 1000


def test_a_race_ends_early_for_most(monkeypatch):
    """Half of the starts leave after each round, so that eight cost about as much as two."""
    calls = []
    advance = restarts._advance

    def spy(problem, held, options, runs, upto):
        calls.extend(run.index for run in runs)
        return advance(problem, held, options, runs, upto)

    monkeypatch.setattr(restarts, "_advance", spy)
    fitted("recovery", n_init=8)
    assert len(calls) == 8 + 4 + 2


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
        alone = fitted(case, n_init=2)
        for key, value in arrays(alone).items():
            assert_array_equal(value, getattr(model, key), err_msg=key)


# Warm starts


@each
def test_warm_start_goes_on_from_the_last_fit(case):
    estimator, data = CASES[case]
    cold = fitted(case)
    warm = clone(estimator).set_params(warm_start=True).fit(*data)
    assert warm.n_iter_ == cold.n_iter_ > 1
    warm.fit(*data)
    assert warm.n_iter_ == 1 and warm.rank_ == cold.rank_
    assert_allclose(error(case, warm), error(case, cold), rtol=5e-3)


@each
def test_a_first_guess_serves_and_a_bad_one_does_no_harm(case):
    estimator, data = CASES[case]
    truth = SENSING.coef if case == "recovery" else MATRIX.clean
    rng = np.random.RandomState(0)
    u, s, vt = np.linalg.svd(truth + 0.01 * rng.standard_normal(truth.shape), full_matrices=False)
    cold = fitted(case)
    k = cold.rank_
    near = clone(estimator).fit(*data, start=(u[:, :k] * s[:k], vt[:k].T))
    assert near.n_iter_ == 1
    assert_allclose(error(case, near), error(case, cold), rtol=5e-3)
    for bad in ((np.zeros_like(u[:, :2]), np.zeros_like(vt[:2].T)), (rng.standard_normal(u[:, :2].shape), vt[-2:].T)):
        far = clone(estimator).fit(*data, start=bad)
        assert_allclose(error(case, far), error(case, cold), rtol=5e-3)


@pytest.mark.parametrize("size", [0.0, 1e30])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_guess_of_no_sensible_size_does_no_harm(size, dtype):
    """Its products overflow or vanish; a fit without later stages could not leave it."""
    problem = make_corrupted_matrix((40, 30), rank=1, outliers=0.1, random_state=0)
    data, start = problem.data.astype(dtype), (size * np.ones((40, 1)), np.ones((30, 1)))
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(problem.clean, model.fit(data, start=start).transform(data)) < 1e-4
    for step_size in ("auto", "polyak"):
        model.set_params(polish=False, step_size=step_size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert np.isfinite(model.fit(data, start=start).singular_values_).all()


def test_a_first_guess_at_entries_keeps_its_fractions():
    """The indices are integers, the factors are not."""
    p = make_corrupted_matrix((30, 20), rank=1, outliers=0.1, random_state=0)
    u, s, vt = np.linalg.svd(p.clean, full_matrices=False)
    start = u[:, :1] * np.sqrt(s[0]), vt[:1].T * np.sqrt(s[0])
    model = RobustLowRankRecovery(measurements="entries", shape=(30, 20))
    model.fit(np.argwhere(p.observed), p.data[p.observed], start=start)
    assert model.n_iter_ == 1
    assert model.history_["residual"][0] < 1e-10


def test_warm_start_on_other_rows_and_another_number_of_columns():
    model = RobustMatrixCompletion(replace="all", warm_start=True).fit(MATRIX.data[:60])
    model.fit(MATRIX.data[20:])
    assert model.n_iter_ == 1 and model.rank_ == 3
    model.fit(MATRIX.data[:, :50])
    assert model.n_iter_ > 1 and model.n_features_in_ == 50


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_plain_algorithm_goes_on_from_given_factors():
    options = {"polish": False, "max_iter": 60}
    first = fitted("recovery", **options)
    start = first.left_ * first.singular_values_, first.right_
    again = RobustLowRankRecovery(shape=(20, 15), **options).fit(SENSING.data, SENSING.target, start=start)
    assert again.history_["residual"][0] < 0.5 * first.history_["residual"][0]


@pytest.mark.parametrize(
    "start, message",
    [
        (3, "start must be a pair"),
        ((np.ones((20, 1)), np.ones((14, 1))), r"shapes \(20, k\) and \(15, k\)"),
        ((np.ones((20, 1)), np.full((15, 1), np.nan)), "start contains NaN"),
    ],
)
def test_bad_first_guess(start, message):
    with pytest.raises(ValueError, match=message):
        RobustLowRankRecovery(shape=(20, 15)).fit(SENSING.data, SENSING.target, start=start)


# Callbacks


class Recorder:
    """Record the tasks of a fit; ask for an end at a given step."""

    def __init__(self, stop_at=None):
        self.tasks, self.stop_at, self.estimators, self.last = [], stop_at, 0, None

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.tasks.append(context.task_name)
        if context.task_name == "fit":
            self.last = fitted_estimator
        if fitted_estimator is not None and context.task_name != "fit":
            case = next(c for c, (e, _) in CASES.items() if type(e) is type(estimator))
            assert np.isfinite(error(case, fitted_estimator))
            self.estimators += 1
        return context.task_name == self.stop_at


@each
@pytest.mark.parametrize("n_init", [1, 2, 4])
def test_task_tree(case, n_init):
    estimator, data = CASES[case]
    recorder = Recorder()
    model = clone(estimator).set_params(n_init=n_init, random_state=0)
    model.set_callbacks(recorder)
    model.fit(*data)
    assert recorder.tasks[-2:] == ["fit", "teardown"]
    assert recorder.tasks.count("start") == n_init
    assert "subgradient" in recorder.tasks and recorder.estimators > 0
    if n_init == 1:
        assert f"rank {model.rank_}" in recorder.tasks
    plain = fitted(case, n_init=n_init)
    for key, value in arrays(plain).items():
        assert_array_equal(value, getattr(model, key), err_msg=key)
        assert_array_equal(value, getattr(recorder.last, key), err_msg=key)


def test_requests_to_stop_are_honoured():
    estimator, data = CASES["recovery"]
    model = clone(estimator)
    model.set_callbacks(Recorder(stop_at="subgradient"))
    model.fit(*data)
    assert len(model.history_["iteration"]) == 1
    model.set_callbacks(Recorder(stop_at="rank 1"))
    model.rank = 1
    with pytest.warns(ConvergenceWarning, match="a callback asked it to stop"):
        model.fit(*data)
    assert not model.converged_


def own_score(estimator, X, y):
    return {"score": estimator.score(X, y)}


def test_a_race_that_is_asked_to_end_has_a_winner():
    estimator, data = CASES["recovery"]
    recorder = Recorder(stop_at="subgradient")
    model = clone(estimator).set_params(n_init=8, random_state=0).set_callbacks(recorder)
    model.fit(*data)
    assert recorder.tasks.count("subgradient") == 8  # of one round
    assert model.rank_ == 2 and error("recovery", model) < 0.1


@each
def test_scoring_monitor(case):
    estimator, data = CASES[case]
    monitor = ScoringMonitor(scoring=own_score)
    model = clone(estimator)
    model.set_callbacks(monitor)
    model.fit(*data)
    scores = [row["score"] for row in monitor.get_logs().data if row["task_name"] == "subgradient"]
    assert len(scores) > 5
    assert scores[0] < 0.5 < 0.9 < scores[-1]


def test_scoring_monitor_and_progress_bar_through_grid_search(capsys):
    estimator, data = CASES["recovery"]
    monitor = ScoringMonitor(scoring=own_score)
    grid = GridSearchCV(clone(estimator).set_callbacks(monitor), {"rank": [2, 3]}, cv=2)
    grid.set_callbacks(ProgressBar(max_propagation_depth=None))
    grid.fit(*data)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "subgradient"]
    assert len({row["task_id_path"][:3] for row in rows}) == 4 + 1  # two candidates on two folds, and the refit
    assert "start" in capsys.readouterr().out


def test_progress_bar_alone(capsys):
    model = RobustMatrixCompletion()
    model.set_callbacks(ProgressBar())
    model.fit(MATRIX.data)
    assert "RobustMatrixCompletion" in capsys.readouterr().out


def test_one_line_a_start(capsys):
    fitted("completion", verbose=1, n_init=3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"[RobustMatrixCompletion] start {i}" for i in (1, 2, 3)]
    assert sum("given up" in line for line in lines) == 1
    assert sum("rank 3" in line and "noise scale 0.0972" in line and "converged" in line for line in lines) == 2


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_what_comes_after_an_exact_end_is_left_aside(noise, monkeypatch):
    """One after the other, or side by side with two threads: to the same bits."""
    problem = make_measurements(1500, (20, 15), 2, outliers=0.2, noise=noise, random_state=0)
    ends, found = [], []
    end = restarts._end

    def spy(*args):
        ends.append(args)
        return end(*args)

    monkeypatch.setattr(restarts, "_end", spy)
    for n_jobs, long_pass, ended in ((1, 1, 1), (2, 1, 1), (2, np.inf, 2)):
        monkeypatch.setattr(restarts, "_LONG_PASS", long_pass)
        ends.clear()
        model = RobustLowRankRecovery(shape=(20, 15), n_init=4, n_jobs=n_jobs, random_state=0)
        model.fit(problem.data, problem.target)
        assert model.converged_ and model.rank_ == 2
        assert len(ends) == (2 if noise else ended)
        found.append([model.coef_, model.restart_scores_])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert_array_equal(one, same)


def test_an_exact_start_is_not_iterated_on(monkeypatch):
    """Of many measurements some are fitted first: where that is exact for all, they are only looked at."""
    problem = make_measurements(9000, (20, 15), 2, outliers=0.2, random_state=0)
    sizes = []
    tangent = DenseMeasurements.tangent

    def spy(measurements, u, v):
        sizes.append(measurements.size)
        return tangent(measurements, u, v)

    monkeypatch.setattr(DenseMeasurements, "tangent", spy)
    model = RobustLowRankRecovery(shape=(20, 15)).fit(problem.data, problem.target)
    assert model.converged_
    assert relative_recovery_error(problem.coef, model.coef_) < 1e-13
    assert max(sizes) < len(problem.target)


# Interruptions


def test_threads_that_work_for_an_interrupted_run_are_told():
    """In each stage that reads the data."""
    problem = make_problem(make_measurements_object(SENSING.data, SENSING.target, (20, 15), "matrix")[0])
    u, s, v = spectral_start(problem.work, 2)

    def stages():
        yield lambda: solving.solve(problem, check_options(RobustLowRankRecovery(), (20, 15)))
        yield lambda: manifold_subgradient(problem.work, u, s, v, step=1.0)
        yield lambda: m_estimate(problem.base, u, s, v)

    with pytest.raises(KeyboardInterrupt), interruptible() as token:
        signal.raise_signal(signal.SIGINT)
    for stage in stages():
        with pytest.raises(Interrupted), working_for(token):
            stage()
        stage()  # but no others are
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


SCRIPT = """
import os, signal, threading, time
import numpy as np
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
options = {options}
small = make_corrupted_matrix((60, 40), rank=2, outliers=0.2, noise=0.1, random_state=0).data
hopeless = np.random.RandomState(0).standard_cauchy((1200, 300))  # rows on which random starts are tried in vain
sensing = make_measurements(3000, (40, 40), 2, outliers=0.3, noise=0.1, random_state=0)
work = [
    lambda: RobustMatrixCompletion(**options).fit(small),
    lambda: RobustPCA(**options).fit(hopeless),
    lambda: RobustLowRankRecovery(shape=(40, 40), **options).fit(sensing.data, sensing.target),
]
before = work[0]()
for task in work:
    RobustPCA(**options).fit(small)  # compiled
    for delay in (0.02, 0.6, 1.1):
        timer = threading.Timer(delay, lambda: (sent.append(time.perf_counter()), os.kill(os.getpid(), signal.SIGINT)))
        sent = []
        timer.start()
        try:
            while True:
                task()
        except KeyboardInterrupt:
            print(time.perf_counter() - sent[0])
        timer.join()
assert np.array_equal(work[0]().left_, before.left_)
time.sleep(0.5)
assert threading.active_count() <= 3, threading.enumerate()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process of its own on Windows")
@pytest.mark.parametrize("options", ["{}", "{'n_init': 8, 'n_jobs': 2, 'random_state': 0}"])
def test_interrupt_returns_control_within_a_second_and_leaves_the_process_sane(options):
    code = textwrap.dedent(SCRIPT).replace("{options}", options)
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    seconds = [float(line) for line in run.stdout.split()]
    assert len(seconds) == 9 and max(seconds) < 1.0, seconds


COLD = """
import os, signal, threading, time
import numba
from sklearn_robustlr import RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
problem = make_corrupted_matrix((60, 40), rank=2, outliers=0.2, random_state=0)
sent, compiled = [], []

class Watch(numba.core.event.Listener):
    def on_start(self, event):
        if not sent:
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

    def on_end(self, event):
        compiled.append(time.perf_counter())

numba.core.event.register("numba:compile", Watch())
try:
    RobustPCA().fit(problem.data)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0], bool(compiled))
model = RobustPCA().fit(problem.data)
assert abs(model.inverse_transform(model.transform(problem.data)) - problem.clean).max() < 1e-6
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a process of its own on Windows")
def test_interrupt_while_a_kernel_is_compiled(tmp_path):
    """Control returns at once, and the compiler, which goes on, is not left broken."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, timeout=120, env=environment)
    assert run.returncode == 0, run.stderr
    seconds, compiled = run.stdout.split()
    assert float(seconds) < 1.0 and compiled == "False"
