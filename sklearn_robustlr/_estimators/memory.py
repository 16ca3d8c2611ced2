"""How much memory a fit takes at its peak, and how much there is: too much is refused before it begins.

The constants are measured (``tests/estimators/test_memory.py`` holds them to a factor of 1.5), with noise, which needs
more: a noisy fit keeps residuals and weights of several ranks for each value.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .._rows import blocks
from .._utils.rules import FIRST_WIDTH

# Needs below this are not looked at: loading the compiled code alone takes half of it.
_LEAST = 50e6


def factors_need(shape: tuple[int, int]) -> float:
    """Bytes of factors and their copies."""
    return 16 * min(FIRST_WIDTH, *shape) * sum(shape)


def matrix_need(X: Any, *, as_dense: bool = False) -> float:
    """Bytes that a fit of the observed entries of a matrix takes beside it; an upper bound where that is little.

    `as_dense`: a sparse one is made dense first.
    """
    itemsize = X.dtype.itemsize

    def need(n_values, *, full, copied):
        block = n_values
        if n_values > blocks.LARGE:
            density = n_values / np.prod(X.shape, dtype=float)
            block = min(block, blocks.BLOCK * min(1 / np.sqrt(density), 3.3))
        fit = block * (64 + 7 * itemsize)
        settle = n_values * (15 + itemsize / 4 if full else 13 + itemsize)
        return max(fit, settle) + (n_values * (itemsize + 4) if copied else 0) + factors_need(X.shape)

    if sparse.issparse(X) and as_dense:
        n_missing = np.count_nonzero(np.isnan(X.data))
        n_values = np.prod(X.shape, dtype=float) - n_missing
        return dense_form(X) + need(n_values, full=not n_missing, copied=bool(n_missing))
    if sparse.issparse(X):
        return need(X.nnz, full=False, copied=False)
    most = need(X.size, full=False, copied=True)
    if is_there(most):  # missing entries need not be counted
        return most
    n_values = np.count_nonzero(np.isfinite(X))
    full = n_values == X.size
    return need(n_values, full=full, copied=not full)


def dense_form(X: Any) -> float:
    """Bytes of a sparse matrix as a dense array."""
    return X.dtype.itemsize * np.prod(X.shape, dtype=float)


def measurements_need(kind: str, shape: tuple[int, int], n_samples: int, n_values: int, itemsize: int) -> float:
    """Bytes that a fit of measurements takes beside their `n_values` numbers.

    `kind` is that of the estimator, and "sparse" for a sparse matrix of flattened matrices.
    """
    if kind == "entries":
        return n_samples * (60 + 8.75 * itemsize) + factors_need(shape)
    share = {"matrix": 0.18 * itemsize, "rank_one": 1.5 * itemsize, "sparse": 4 + 4 * itemsize}[kind]
    return n_values * share + 60 * n_samples + 6 * itemsize * np.prod(shape, dtype=float)


def copy_need(kind: str, n_values: int, itemsize: int) -> float:
    """Bytes of a copy of the numbers of measurements, where their sizes are evened."""
    return n_values * (itemsize + 4 * (kind == "sparse"))


def is_there(needed: float) -> bool:
    """Whether so many bytes are available, as far as that can be told."""
    there = None if needed < _LEAST else available()
    return there is None or needed <= there


def require(needed: float, task: str = "a fit of these data") -> None:
    """Raise MemoryError where a task takes more bytes than there are."""
    if not is_there(needed):
        raise MemoryError(
            f"{task} takes about {needed / 1e9:.3g} GB at its peak, besides the data, but only "
            f"{(available() or 0) / 1e9:.3g} GB are available: use less data, or more memory."
        )


def require_dense(X: Any, *, fit: bool) -> None:
    """The same for a sparse matrix whose absent entries are zeros: its dense form, and the fit of that."""
    if fit:
        require(matrix_need(X, as_dense=True), "a fit of these data as a dense array (absent='zero')")
    else:
        require(dense_form(X), "the dense array of these data (absent='zero')")


def available(root: str | Path = "/") -> int | None:
    """Bytes that can be had before something is killed; None where the system does not tell."""
    limits = [*_machine(Path(root)), *_cgroups(Path(root))]
    if not limits and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}) and root == "/":
        limits = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    return min(limits, default=None)


def _fields(path, factor=1):
    """Numbers by name of a file of lines "name number" or "name: number kB"; none where it cannot be read."""
    try:
        lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
        return {line[0]: int(line[1]) * factor for line in lines if len(line) > 1 and line[1].isdigit()}
    except OSError:
        return {}


def _number(path):
    """The number that a file holds; None where there is none ("max": no limit)."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _machine(root):
    fields = _fields(root / "proc" / "meminfo", factor=1024)
    if "MemAvailable" in fields:
        yield fields["MemAvailable"] + fields.get("SwapFree", 0)


def _cgroups(root):
    """What is left of the limit of each control group that this process is in; cached files can be dropped."""
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys" / "fs" / "cgroup" / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        inside = Path(group.lstrip("/"))
        for folder in (top / part for part in (inside, *inside.parents)):
            limit, used = (_number(folder / name) for name in names)
            if limit is not None and used is not None:
                stat = _fields(folder / "memory.stat")
                yield max(limit - used + stat.get("total_inactive_file", stat.get("inactive_file", 0)), 0)
