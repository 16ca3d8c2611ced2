"""The compilation policy of all numba kernels."""

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
    """numba's cache on disk; where it fails (full disk, damaged file), the kernel is compiled again."""

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file may raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig, data):
        with suppress(OSError):
            super().save_overload(sig, data)


def _compile_aside(compile_for, *args, **kwargs):
    """Compile in another thread if the main one asks: Ctrl-C is heard, but does not break into the compiler."""
    if threading.current_thread() is not threading.main_thread():
        return compile_for(*args, **kwargs)
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(compile_for, *args, **kwargs).result()
    finally:
        pool.shutdown(wait=False)


def jit(**extra):
    """Return the decorator of a kernel: compiled without the GIL, cached on disk where that is possible."""

    def decorate(function):
        compiled = numba.njit(nogil=True, error_model="numpy", **extra)(function)
        if compiled is not function:  # they are the same where the JIT is off
            compiled._compile_for_args = functools.partial(_compile_aside, compiled._compile_for_args)
        if os.environ.get("SKLEARN_ROBUSTLR_CACHE", "1") != "0" and compiled is not function:
            with suppress(RuntimeError):  # no writable place for the cache: each process compiles
                compiled._cache = _Cache(function)
        return compiled

    return decorate
