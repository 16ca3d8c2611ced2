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

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
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


@jit(fastmath=REASSOCIATE)
def _dot4(a, b, c, d, x):
    """Inner products of four vectors with one, which is read once."""
    s, t, u, v = a[0] * x[0], b[0] * x[0], c[0] * x[0], d[0] * x[0]
    for i in range(1, x.shape[0]):
        s += a[i] * x[i]
        t += b[i] * x[i]
        u += c[i] * x[i]
        v += d[i] * x[i]
    return s, t, u, v


@jit(fastmath=REASSOCIATE)
def _axpy4(s, a, t, b, u, c, v, d, out):
    """Add s a + t b + u c + v d to `out`, which is read and written once."""
    for i in range(out.shape[0]):
        out[i] += s * a[i] + t * b[i] + u * c[i] + v * d[i]


@jit()
def _psi(residual, delta):
    """clip(residual, -delta, delta); its limit, the sign, for delta = 0."""
    if delta == 0.0:
        return np.sign(residual)
    return min(max(residual, -delta), delta)  # without branches, which half of the entries would mispredict


@jit()
def dense_step(data, x, y, weight, delta, residual, adjoint):
    """Residual of dense measurements at x, and the adjoint of its psi, each row read from memory once.

    residual_i = <data_i, x> - y_i;  adjoint += sum_i weight_i psi(residual_i) data_i. One row of x, adjoint, residual.
    Four rows at a time: they are in L2 when they are touched again, and so are x and the adjoint, which are as long.
    """
    w = np.empty(4, data.dtype)
    whole = data.shape[0] - data.shape[0] % 4
    for i in range(0, whole, 4):
        a, b, c, d = data[i], data[i + 1], data[i + 2], data[i + 3]
        w[0], w[1], w[2], w[3] = _dot4(a, b, c, d, x[0])
        for p in range(4):
            r = w[p] - y[i + p]
            residual[i + p, 0] = r
            w[p] = weight[i + p] * _psi(r, delta[0])
        _axpy4(w[0], a, w[1], b, w[2], c, w[3], d, adjoint[0])
    for i in range(whole, data.shape[0]):
        r = _dot(data[i], x[0]) - y[i]
        residual[i, 0] = r
        _axpy(weight[i] * _psi(r, delta[0]), data[i], adjoint[0])


@jit()
def dense_steps(data, x, y, weight, delta, residual, adjoint, few):
    """As `dense_step` at several x, the rows of x: products with `few` rows at a time, which stay in cache."""
    for start in range(0, data.shape[0], few):
        rows = data[start : start + few]
        product = np.dot(rows, x.T)
        for i in range(rows.shape[0]):
            for c in range(x.shape[0]):
                r = product[i, c] - y[start + i]
                residual[start + i, c] = r
                product[i, c] = weight[start + i] * _psi(r, delta[c])
        adjoint += np.dot(product.T, rows)


@jit(fastmath=REASSOCIATE)
def dense_tangent(data, u, v, product, out):
    """Tangent coordinates A_i v (d1 x k) and A_i^T u (d2 x k) of dense measurements, each row read once.

    `u` and `v` come transposed (k x d1, k x d2), so that the loops over a row vectorise; `product` (k x d2) is scratch.
    """
    k, d1 = u.shape
    d2 = v.shape[1]
    for i in range(data.shape[0]):
        product[:] = 0
        for a in range(d1):
            row = data[i, a * d2 : (a + 1) * d2]
            for c in range(k):
                total = row[0] * v[c, 0]
                product[c, 0] += u[c, a] * row[0]
                for b in range(1, d2):
                    total += row[b] * v[c, b]
                    product[c, b] += u[c, a] * row[b]
                out[i, a * k + c] = total
        for b in range(d2):
            for c in range(k):
                out[i, (d1 + b) * k + c] = product[c, b]


@jit()
def sparse_steps(indptr, indices, data, x, y, weight, delta, residual, adjoint):
    """As `dense_steps`, for measurements in compressed sparse row form; x and adjoint have one row a coordinate."""
    n = x.shape[1]
    w = np.empty(n, data.dtype)
    for i in range(indptr.shape[0] - 1):
        lo, hi = indptr[i], indptr[i + 1]
        if n == 1:  # its sum is kept in a register
            total = -y[i]
            for p in range(lo, hi):
                total += data[p] * x[indices[p], 0]
            w[0] = total
        else:
            w[:] = -y[i]
            for p in range(lo, hi):
                for c in range(n):
                    w[c] += data[p] * x[indices[p], c]
        moves = False
        for c in range(n):
            residual[i, c] = w[c]
            w[c] = weight[i] * _psi(w[c], delta[c])
            moves |= w[c] != 0
        if moves and n == 1:
            total = w[0]
            for p in range(lo, hi):
                adjoint[indices[p], 0] += total * data[p]
        elif moves:
            for p in range(lo, hi):
                for c in range(n):
                    adjoint[indices[p], c] += w[c] * data[p]


@jit(fastmath=REASSOCIATE)
def rank_one_weigh(u, v, y, weight, delta, residual):
    """Residuals of measurements a_i b_i^T at several X from u = a_i^T left_s and v = b_i^T right_s (m x n x k).

    residual_is = u_is . v_is - y_i; u and v are exchanged, times weight_i psi(residual_is): what the gradients, sums of
    a_i v_is^T and b_i u_is^T, add up.
    """
    m, n, k = u.shape
    for i in range(m):
        for s in range(n):
            r = -y[i]
            for c in range(k):
                r += u[i, s, c] * v[i, s, c]
            residual[i, s] = r
            w = weight[i] * _psi(r, delta[s])
            for c in range(k):
                u[i, s, c], v[i, s, c] = w * v[i, s, c], w * u[i, s, c]


@jit(fastmath=REASSOCIATE)
def entries_step(indptr, cols, left, right, y, weight, delta, residual, grad_left, grad_right):
    """Residuals and factor gradients of single entries, sorted by row (`indptr`, `cols` as in CSR).

    residual_p = left_i . right_j - y_p; with G the sparse matrix of weight_p psi(residual_p), grad_left += G right and
    grad_right += G^T left.
    """
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
def entries_weigh(indptr, cols, product, y, weight, delta, residual):
    """Residuals of the entries of rows whose fit is `product`, one row of it each, and it is exchanged.

    For the matrix of weight_p psi(residual_p), zero where nothing is seen: what the gradients are products with.
    """
    for i in range(indptr.shape[0] - 1):
        row = product[i]
        for p in range(indptr[i], indptr[i + 1]):
            residual[p] = row[cols[p]] - y[p]
        row[:] = 0
        for p in range(indptr[i], indptr[i + 1]):
            row[cols[p]] += weight[p] * _psi(residual[p], delta)


@jit(fastmath=REASSOCIATE)
def whole_rows_weigh(product, y, weight, delta, residual):
    """As `entries_weigh`, for rows without holes."""
    n, d = product.shape
    for i in range(n):
        row, own_y, own_weight, rest = product[i], y[i], weight[i], residual[i]
        if delta == 0.0:
            for j in range(d):
                r = row[j] - own_y[j]
                rest[j] = r
                row[j] = own_weight[j] * np.sign(r)
        else:
            for j in range(d):
                r = row[j] - own_y[j]
                rest[j] = r
                row[j] = own_weight[j] * min(max(r, -delta), delta)


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


@jit()
def count_flags(indptr, cols, flags, in_row, in_col):
    """Count the flagged entries of each row and of each column, on top of the counts given."""
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            in_row[i] += flags[p]
            in_col[cols[p]] += flags[p]


@jit()
def spread_flags(indptr, cols, flags, out):
    """Put the flags of the entries of rows into a matrix."""
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            out[i, cols[p]] = flags[p]


@jit()
def rows_residual(indptr, cols, y, basis, factors, residual):
    """Residual basis_j . x_i - y of the entries of rows."""
    for i in range(factors.shape[0]):
        for p in range(indptr[i], indptr[i + 1]):
            j = cols[p]
            total = -y[p]
            for c in range(factors.shape[1]):
                total += factors[i, c] * basis[j, c]
            residual[p] = total


@jit()
def count_met(indptr, residual, scale, k, met, good):
    """Number of entries of each row within 3.5 scales; `good` where no other fit of k unknowns could do better.

    That is so where two fits as good would meet k entries in common, and this one meets its own by far less than
    the scale.
    """
    for i in range(met.shape[0]):
        count, total = 0, 0.0
        for p in range(indptr[i], indptr[i + 1]):
            if abs(residual[p]) <= 3.5 * scale:
                count += 1
                total += (residual[p] / scale) ** 2
        met[i] = count
        good[i] = 2 * count > indptr[i + 1] - indptr[i] + k and total <= 0.01 * count
