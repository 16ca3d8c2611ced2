"""Numba functions on measurements, and the one policy by which all are compiled.

They live in this file, those on rows in `_row_kernels`, neither calling the other: numba's disk cache does not notice
a changed callee in another file.
Nothing is compiled at import. Each kernel sees C-contiguous arrays of one float type and int32
indices (`_validation` sees to that), so that each is compiled once per float type. No
``parallel=True``: its workqueue layer aborts the process when two Python threads enter. Leaf loops
that only add and multiply may be re-associated, so that they vectorise; NaN and inf keep their
meaning everywhere.
"""

from __future__ import annotations

import os
from contextlib import suppress

import numba
import numpy as np
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


def jit(**extra):
    """Decorate a kernel by the package's policy: no GIL, cached on disk where that is possible."""

    def decorate(function):
        compiled = numba.njit(nogil=True, error_model="numpy", **extra)(function)
        if os.environ.get("SKLEARN_ROBUSTLR_CACHE", "1") != "0" and compiled is not function:  # it is without the JIT
            with suppress(RuntimeError):  # no writable place for the cache: compile afresh in each process
                compiled._cache = _Cache(function)
        return compiled

    return decorate


@jit(fastmath=REASSOCIATE)
def _dot(a, b):
    total = a[0] * b[0]
    for i in range(1, a.shape[0]):
        total += a[i] * b[i]
    return total


@jit(fastmath=REASSOCIATE)
def _axpy(scale, x, out):
    for i in range(x.shape[0]):
        out[i] += scale * x[i]


@jit()
def _psi(residual, delta):
    """clip(residual, -delta, delta); its limit, the sign, for delta = 0."""
    if delta == 0.0:
        return np.sign(residual)
    if residual > delta:
        return delta
    if residual < -delta:
        return -delta
    return residual


@jit()
def dense_step(data, x, y, weight, delta, residual, adjoint):
    """Residual of dense measurements and the adjoint of its psi, each row read from memory once.

    residual_i = <data_i, x> - y_i;  adjoint = sum_i weight_i psi(residual_i) data_i.
    """
    adjoint[:] = 0
    for i in range(data.shape[0]):
        row = data[i]
        r = _dot(row, x) - y[i]
        residual[i] = r
        w = weight[i] * _psi(r, delta)
        if w != 0:
            _axpy(w, row, adjoint)


@jit()
def dense_steps(data, x, y, delta, residual, adjoint):
    """`dense_step` for each row of x, with unit weights: all of them in one read of the data, bit for bit the same."""
    adjoint[:] = 0
    for i in range(data.shape[0]):
        row = data[i]
        for c in range(x.shape[0]):
            r = _dot(row, x[c]) - y[i]
            residual[c, i] = r
            w = _psi(r, delta[c])
            if w != 0:
                _axpy(w, row, adjoint[c])


@jit()
def sparse_step(indptr, indices, data, x, y, weight, delta, residual, adjoint):
    """As `dense_step`, for measurements in compressed sparse row form."""
    adjoint[:] = 0
    for i in range(indptr.shape[0] - 1):
        r = -y[i]
        for p in range(indptr[i], indptr[i + 1]):
            r += data[p] * x[indices[p]]
        residual[i] = r
        w = weight[i] * _psi(r, delta)
        if w != 0:
            for p in range(indptr[i], indptr[i + 1]):
                adjoint[indices[p]] += w * data[p]


@jit(fastmath=REASSOCIATE)
def rank_one_step(a, b, left, right, y, weight, delta, residual, grad_left, grad_right):
    """Residual and factor gradients of measurements a_i b_i^T, without a d1 x d2 array.

    residual_i = a_i^T left right^T b_i - y_i; with G = sum_i weight_i psi(residual_i) a_i b_i^T,
    grad_left = G right and grad_right = G^T left.
    """
    grad_left[:] = 0
    grad_right[:] = 0
    k = left.shape[1]
    u = np.empty(k, left.dtype)
    v = np.empty(k, left.dtype)
    for i in range(a.shape[0]):
        u[:] = 0
        v[:] = 0
        for j in range(a.shape[1]):
            for c in range(k):
                u[c] += a[i, j] * left[j, c]
        for j in range(b.shape[1]):
            for c in range(k):
                v[c] += b[i, j] * right[j, c]
        r = -y[i]
        for c in range(k):
            r += u[c] * v[c]
        residual[i] = r
        w = weight[i] * _psi(r, delta)
        if w != 0:
            for j in range(a.shape[1]):
                for c in range(k):
                    grad_left[j, c] += w * a[i, j] * v[c]
            for j in range(b.shape[1]):
                for c in range(k):
                    grad_right[j, c] += w * b[i, j] * u[c]


@jit(fastmath=REASSOCIATE)
def entries_step(indptr, cols, left, right, y, weight, delta, residual, grad_left, grad_right):
    """Residual and factor gradients of single entries, sorted by row (`indptr`, `cols` as in CSR).

    residual_p = left_i . right_j - y_p; with G the sparse matrix of weight_p psi(residual_p),
    grad_left = G right and grad_right = G^T left.
    """
    grad_left[:] = 0
    grad_right[:] = 0
    k = left.shape[1]
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = cols[p]
            r = -y[p]
            for c in range(k):
                r += left[i, c] * right[j, c]
            residual[p] = r
            w = weight[p] * _psi(r, delta)
            if w != 0:
                for c in range(k):
                    grad_left[i, c] += w * right[j, c]
                    grad_right[j, c] += w * left[i, c]


@jit(fastmath=REASSOCIATE)
def entries_tangent_step(indptr, cols, u, v, m, n, y, weight, delta, residual, grad_m, grad_n):
    """As `entries_step` at X = m v^T + u n^T, with the gradients in m (G v) and in n (G^T u)."""
    grad_m[:] = 0
    grad_n[:] = 0
    k = u.shape[1]
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = cols[p]
            r = -y[p]
            for c in range(k):
                r += m[i, c] * v[j, c] + u[i, c] * n[j, c]
            residual[p] = r
            w = weight[p] * _psi(r, delta)
            if w != 0:
                for c in range(k):
                    grad_m[i, c] += w * v[j, c]
                    grad_n[j, c] += w * u[i, c]


@jit()
def deal_entries(order, rows, cols, in_row, in_col, held_row, held_col, fold):
    """Deal entries one by one, each to the fold that holds least of its row, of its column and of all.

    `in_row` and `in_col` count the entries of each row and column, `held_row` and `held_col` (n, n_folds) those that a
    fold holds, zeros at the start. The last entry of a row or column goes to a fold that does not hold all others:
    of three folds, at least one is not in the way of either.
    """
    n_folds = held_row.shape[1]
    size = np.zeros(n_folds)
    for e in order:
        i, j = rows[e], cols[e]
        best, least = 0, np.inf
        for c in range(n_folds):
            a, b = held_row[i, c] + 1, held_col[j, c] + 1
            cost = (a / in_row[i]) ** 2 + (b / in_col[j]) ** 2 + size[c] / len(order)
            if a == in_row[i] > 1 or b == in_col[j] > 1:
                cost += 10.0
            if cost < least:
                best, least = c, cost
        fold[e] = best
        held_row[i, best] += 1
        held_col[j, best] += 1
        size[best] += 1
