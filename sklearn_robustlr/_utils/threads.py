"""Threads at peace with one another: parts of a pass, BLAS held to one, Ctrl-C passed on to those that work."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from joblib.parallel import get_active_backend
from threadpoolctl import OpenBLASController, ThreadpoolController

# Multiplications between two looks at whether Ctrl-C was hit, about 0.1 s.
_SLICE_WORK = 1e8


_lock = threading.Lock()


_users = 0


_limits: list = []


def _renew_lock():
    """In a forked child: the thread that held it may not have come along."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _claim_openblas():
    """Let any thread set the limit of OpenBLAS.

    From version 3.8 on, threadpoolctl lets only the one do so that was first, until that has left its context: calls
    of others, such as of the last user here, do nothing.
    """
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


@contextmanager
def single_threaded_blas():
    """Hold BLAS to one thread.

    Threads that wait for one another cost small factorisations up to ten times their work where the cores are busy.
    The limit belongs to the process: the first of several users in several threads sets it, the last one lifts it.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _claim_openblas()
            _limits.append(ThreadpoolController().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _claim_openblas()
                _limits.pop().restore_original_limits()
                _claim_openblas()


class Interrupted(Exception):
    """A run was interrupted from the keyboard while this thread worked for it."""


_tokens = itertools.count()


_interrupted: set[int] = set()


_worker = threading.local()


@contextmanager
def interruptible():
    """Let Ctrl-C do what it should: yields a token for :func:`working_for`.

    Only the main thread is told of the key: threads that wait for nothing would go on to the end of their task.
    """
    token = next(_tokens)
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield token
        return

    def interrupt(number, frame):
        _interrupted.add(token)
        before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def working_for(token):
    """Mark what this thread does as work for the run of a token."""
    outer = getattr(_worker, "token", None)
    _worker.token = token
    try:
        yield
    finally:
        _worker.token = outer


def check_interrupt():
    """Raise :class:`Interrupted` where the run that this thread works for has been interrupted."""
    if getattr(_worker, "token", None) in _interrupted:
        raise Interrupted


def count_threads(n_jobs):
    """How many jobs run at once: joblib's own count asks the backend of processes, which there may be none of."""
    backend, own = get_active_backend(prefer="threads")
    return backend.effective_n_jobs(own if n_jobs is None else n_jobs)


def run_parts(function, n_parts, n_threads):
    """Call ``function(p)`` for each part p, some at a time; parts are short, so that between them Ctrl-C is heard.

    The thread that calls does its share. The others last as long as the call (0.1 ms): nothing is left behind that a
    forked process would wait for.
    """
    parts = iter(range(n_parts))

    def work():
        for p in parts:
            check_interrupt()
            function(p)

    n_others = min(n_parts, n_threads) - 1
    if n_others < 1:
        return work()
    with ThreadPoolExecutor(n_others) as pool:
        others = [pool.submit(work) for _ in range(n_others)]
        try:
            work()
        finally:
            list(parts)  # where this thread is interrupted, the others begin nothing more
        for other in others:
            other.result()


def aside(function, *args, **kwargs):
    """Result of a long call into compiled code, made in another thread: Ctrl-C is heard meanwhile, the call goes on."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args, **kwargs).result()
    finally:
        pool.shutdown(wait=False)


def slices(rows, work):
    """Slices of `rows`, of at most `work` multiplications a row: before each, Ctrl-C is heard."""
    step = max(1, int(_SLICE_WORK / work))
    for lo in range(0, len(rows), step):
        check_interrupt()
        yield rows[lo : lo + step]
