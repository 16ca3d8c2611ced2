"""Threads at peace with one another: parts of a pass, BLAS held to one, Ctrl-C, forks."""

import os
import signal
import threading

import numpy as np
import pytest
from cases import CASES, each
from measured import D1, D2, KINDS, build
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_robustlr._utils import threads
from sklearn_robustlr._utils.threads import Interrupted, interruptible, run_parts, single_threaded_blas, working_for


def test_parts_are_each_made_once_and_errors_are_heard():
    done = []
    run_parts(done.append, 20, 3)
    assert sorted(done) == list(range(20))

    def fail(p):
        done.append(p)
        if p == 5:
            raise ZeroDivisionError

    for n_threads in (1, 2, 5):
        with pytest.raises(ZeroDivisionError):
            run_parts(fail, 20, n_threads)


@pytest.mark.parametrize("other", [False, True])
def test_blas_is_held_to_one_thread_until_the_last_user_leaves(other):
    """Whichever threads come first and leave last, and after the main thread has set a limit of its own."""

    def limits():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    def call(function, *args, aside):
        if aside:
            thread = threading.Thread(target=function, args=args)
            thread.start()
            thread.join()
        else:
            function(*args)

    with threadpool_limits(limits=2, user_api="blas"):
        before = limits()
        first, second = single_threaded_blas(), single_threaded_blas()
        call(first.__enter__, aside=other)
        call(second.__enter__, aside=not other)
        assert set(limits()) == {1}
        call(first.__exit__, None, None, None, aside=other)
        assert set(limits()) == {1}
        call(second.__exit__, None, None, None, aside=not other)
        assert limits() == before == [2] * len(before)


@each
def test_threads_that_work_for_an_interrupted_run_are_told(case):
    """Wherever a fit reads the data; no others are told."""
    estimator, data = CASES[case]
    model = clone(estimator).fit(*data)
    methods = (model.fit, model.score) if case != "recovery" else (model.fit,)
    with pytest.raises(KeyboardInterrupt), interruptible() as token:
        signal.raise_signal(signal.SIGINT)
    for method in methods:
        with pytest.raises(Interrupted), working_for(token):
            method(*data)
    model.fit(*data)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("kind", KINDS)
def test_every_pass_over_the_data_can_be_interrupted(kind, rng):
    op, _ = build(kind, rng)
    left, right = np.eye(D1, 2), np.eye(D2, 2)
    tangent = op.tangent(left, right)
    with pytest.raises(KeyboardInterrupt), interruptible() as token:
        signal.raise_signal(signal.SIGINT)
    for at in (op, tangent):
        with pytest.raises(Interrupted), working_for(token):
            at.step(left, right, 0.5)
        at.step(left, right, 0.5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12: a fork with threads about
def test_a_fork_while_another_thread_holds_the_lock():
    held, done = threading.Event(), threading.Event()

    def hold():
        with threads._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it where it hangs
        try:
            with threads.single_threaded_blas():
                os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0
