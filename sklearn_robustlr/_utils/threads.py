"""Threads and interruption: parts of a pass run at once, BLAS is held to one thread, Ctrl-C reaches every worker."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel
from joblib.parallel import get_active_backend
from threadpoolctl import OpenBLASController, ThreadpoolController

_Result = TypeVar("_Result")

# Multiplications between two checks for Ctrl-C, about 0.1 s.
_SLICE_WORK = 1e8

# Lock, number of users and current limit of :func:`single_threaded_blas`.
_lock = threading.Lock()
_users = 0
_limits: list = []


def _renew_lock() -> None:
    """Make a new lock in a forked child: the thread that held the old one may not exist there."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _claim_openblas() -> None:
    """Let any thread set the limit of OpenBLAS.

    From version 3.8 on, threadpoolctl gives that right to the first thread alone, until it has left its context. Calls
    of other threads, such as of the last user here, would do nothing.
    """
    release = getattr(OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


@cache
def _find_blas() -> ThreadpoolController:
    """What sets the limit, found once, for the search takes 3 ms; a BLAS that is loaded later has no limit."""
    return ThreadpoolController()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread.

    Where the cores are busy, threads that wait for one another make small factorisations up to ten times as slow. The
    limit belongs to the process: the first of several users in several threads sets it, the last one lifts it.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _claim_openblas()
            _limits.append(_find_blas().limit(limits=1, user_api="blas"))
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


# Tokens of runs, those of the interrupted ones, and the token that each thread works for.
_tokens = itertools.count()
_interrupted: set[int] = set()
_worker = threading.local()


@contextmanager
def interruptible() -> Iterator[int]:
    """Let Ctrl-C end the threads of a run; yields the token of the run for :func:`working_for`.

    Python interrupts the main thread alone. The other threads would go on to the end of their task.
    """
    token = next(_tokens)
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield token
        return
    handler = before

    def interrupt(number: int, frame: FrameType | None) -> None:
        _interrupted.add(token)
        handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def working_for(token: int) -> Iterator[None]:
    """Mark what this thread does as work for the run of a token."""
    outer = getattr(_worker, "token", None)
    _worker.token = token
    try:
        yield
    finally:
        _worker.token = outer


def check_interrupt() -> None:
    """Raise :class:`Interrupted` if the run that this thread works for has been interrupted."""
    if getattr(_worker, "token", None) in _interrupted:
        raise Interrupted


def count_threads(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` asks for.

    joblib's own count asks its backend of processes, which some systems lack.
    """
    backend, own = get_active_backend(prefer="threads")
    return backend.effective_n_jobs(own if n_jobs is None else n_jobs)


def run_parts(function: Callable[[int], object], n_parts: int, n_threads: int) -> None:
    """Call ``function(p)`` for each part p, several at a time; Ctrl-C is checked between parts, which are short.

    The calling thread does its share. The other threads end with the call (this costs 0.1 ms), so that a forked
    process has none to wait for.
    """
    parts = iter(range(n_parts))

    def work() -> None:
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
            list(parts)  # where this thread is interrupted, the others begin no further part
        for other in others:
            other.result()


def aside(function: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
    """Return the result of a long compiled call, made in another thread: Ctrl-C is heard while the call goes on."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args, **kwargs).result()
    finally:
        pool.shutdown(wait=False)


def run_jobs(jobs: Sequence[Any], n_jobs: int | None) -> list[Any]:
    """Return the results of delayed calls, which joblib makes in threads.

    joblib itself is called in a thread, too: interrupted while it makes its pool, it would leave some threads behind.
    """
    return aside(Parallel(n_jobs=n_jobs, prefer="threads"), jobs)


def slices(rows: np.ndarray, work: float) -> Iterator[np.ndarray]:
    """Yield slices of `rows` that take about 0.1 s each, at `work` multiplications a row; checks for Ctrl-C before."""
    step = max(1, int(_SLICE_WORK / work))
    for lo in range(0, len(rows), step):
        check_interrupt()
        yield rows[lo : lo + step]
