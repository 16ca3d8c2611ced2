"""One BLAS thread while many small factorisations, or several fits, run side by side."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limits: list = []


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
            _limits.append(ThreadpoolController().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limits.pop().restore_original_limits()
