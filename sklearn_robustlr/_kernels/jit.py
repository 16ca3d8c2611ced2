"""The compilation policy of all numba kernels; numba is imported when the first of them is called."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}

# Of all kernels. Nothing asks for them as C functions, which take a twelfth of the time to compile.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

_LOCK = threading.RLock()


def _aside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call in another thread if the main one asks: Ctrl-C is heard, but does not break into an import or a compiler."""
    if threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *args, **kwargs).result()
    finally:
        pool.shutdown(wait=False)


@functools.cache
def _cache_on_disk() -> type:
    """Class of numba's cache on disk; where that fails (full disk, damaged file), the kernel is compiled again."""
    from numba.core.caching import FunctionCache

    class Cache(FunctionCache):
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

    return Cache


def _dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """numba's dispatcher of a function: compiled without the GIL, cached on disk where that is possible."""
    import numba

    compiled = numba.njit(**_OPTIONS, **options)(function)
    if compiled is function:  # the JIT is off
        return function
    compiled._compile_for_args = functools.partial(_aside, compiled._compile_for_args)
    if os.environ.get("SKLEARN_ROBUSTLR_CACHE", "1") != "0":
        with suppress(RuntimeError):  # no writable place for the cache: each process compiles
            compiled._cache = _cache_on_disk()(function)
    return compiled


class Kernel:
    """A function that numba compiles when it is first called; other kernels may call it."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        #: The function itself, for calls that are not worth the time to compile it.
        self.plain = function
        self._options = options

    def __reduce__(self) -> str:
        return self.__qualname__  # type: ignore[attr-defined, no-any-return]

    def __call__(self, *args: Any) -> Any:
        return self.dispatcher(*args)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """numba's own function."""
        return _aside(self._make)

    def _make(self) -> Any:
        """The dispatcher, the same for all threads that ask for it at once."""
        with _LOCK:
            made = self.__dict__.get("_made")
            if made is None:
                made = self._made = _dispatcher(self.plain, self._options)
            return made

    @property
    def _numba_type_(self) -> Any:
        """What numba takes it for in the code of other kernels."""
        return self.dispatcher._numba_type_


def jit(**options: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Return the decorator of a kernel, with options of ``numba.njit``."""
    return functools.partial(_decorated, options)


def _decorated(options: dict[str, Any], function: Callable[..., Any]) -> Kernel:
    return Kernel(function, options)
