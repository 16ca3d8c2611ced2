"""The one policy by which all numba functions are compiled."""

from __future__ import annotations

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numba
from numba.core.caching import FunctionCache

REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}


class _Cache(FunctionCache):
    """numba's cache on disk. Where it fails (full disk, damaged file) that costs time, and not the fit."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what a damaged file raises may be anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        with suppress(OSError):
            super().save_overload(sig, data)


def _compile_aside(compile_for, *args, **kwargs):
    """Compile in another thread where the main one asks: Ctrl-C is heard, and the compiler is not left broken by it."""
    if threading.current_thread() is not threading.main_thread():
        return compile_for(*args, **kwargs)
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(compile_for, *args, **kwargs).result()
    finally:
        pool.shutdown(wait=False)


def jit(**extra):
    """Decorate a kernel by the package's policy: no GIL, cached on disk where that is possible."""

    def decorate(function):
        compiled = numba.njit(nogil=True, error_model="numpy", **extra)(function)
        if compiled is not function:  # it is without the JIT
            compiled._compile_for_args = functools.partial(_compile_aside, compiled._compile_for_args)
        if os.environ.get("SKLEARN_ROBUSTLR_CACHE", "1") != "0" and compiled is not function:  # it is without the JIT
            with suppress(RuntimeError):  # no writable place for the cache: compile afresh in each process
                compiled._cache = _Cache(function)
        return compiled

    return decorate
