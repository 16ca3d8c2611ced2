"""Every numba function of the package, and the one policy by which they are compiled.

All live in this file because numba's disk cache does not notice a changed callee in another file.
Nothing is compiled at import. Each kernel sees C-contiguous arrays of one float type and int32
indices (`_validation` sees to that), so that each is compiled once per float type. No
``parallel=True``: its workqueue layer aborts the process when two Python threads enter. Leaf loops
that only add and multiply may be re-associated, so that they vectorise; NaN and inf keep their
meaning everywhere.
"""

from __future__ import annotations

import os

import numba
import numpy as np

_REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}


def _jit(**extra):
    """Decorate a kernel by the package's policy: no GIL, cached on disk where that is possible."""

    def decorate(function):
        options = {"nogil": True, "error_model": "numpy", **extra}
        if os.environ.get("SKLEARN_ROBUSTLR_CACHE", "1") != "0":
            try:
                return numba.njit(cache=True, **options)(function)
            except RuntimeError:  # no writable place for the cache: compile afresh in each process
                pass
        return numba.njit(**options)(function)

    return decorate


@_jit(fastmath=_REASSOCIATE)
def _dot(a, b):
    total = a[0] * b[0]
    for i in range(1, a.shape[0]):
        total += a[i] * b[i]
    return total


@_jit(fastmath=_REASSOCIATE)
def _axpy(scale, x, out):
    for i in range(x.shape[0]):
        out[i] += scale * x[i]


@_jit()
def _psi(residual, delta):
    """clip(residual, -delta, delta); its limit, the sign, for delta = 0."""
    if delta == 0.0:
        return np.sign(residual)
    if residual > delta:
        return delta
    if residual < -delta:
        return -delta
    return residual


@_jit()
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


@_jit()
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


@_jit(fastmath=_REASSOCIATE)
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


@_jit(fastmath=_REASSOCIATE)
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


@_jit(fastmath=_REASSOCIATE)
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


@_jit()
def _solve_spd(gram, rhs):
    """Solve gram x = rhs in place by Cholesky; a pivot that vanishes drops its coordinate."""
    k = rhs.shape[0]
    top = 0.0
    for c in range(k):
        top = max(top, gram[c, c])
    for c in range(k):
        for d in range(c):
            gram[c, c] -= gram[c, d] * gram[c, d]
        if gram[c, c] <= 1e-12 * top:
            gram[c, c] = np.inf
        pivot = np.sqrt(gram[c, c])
        gram[c, c] = pivot
        for e in range(c + 1, k):
            for d in range(c):
                gram[e, c] -= gram[e, d] * gram[c, d]
            gram[e, c] /= pivot
    for c in range(k):
        for d in range(c):
            rhs[c] -= gram[c, d] * rhs[d]
        rhs[c] /= gram[c, c]
    for c in range(k - 1, -1, -1):
        for e in range(c + 1, k):
            rhs[c] -= gram[e, c] * rhs[e]
        rhs[c] /= gram[c, c]


@_jit()
def _weighted_fit(cols, y, basis, weight, gram, x):
    """Weighted least squares of y on the rows `cols` of `basis`; the solution goes to x."""
    k = x.shape[0]
    gram[:] = 0
    x[:] = 0
    for p in range(cols.shape[0]):
        w = weight[p]
        if w > 0:
            b = basis[cols[p]]
            for c in range(k):
                x[c] += w * y[p] * b[c]
                for d in range(c + 1):
                    gram[c, d] += w * b[c] * b[d]
    _solve_spd(gram, x)


@_jit()
def _row_residual(cols, y, basis, x, residual):
    for p in range(cols.shape[0]):
        residual[p] = _dot(basis[cols[p]], x) - y[p]


@_jit()
def _capped_loss(residual, scale):
    """Sum of min((r / (3 scale))^2, 1): few large residuals count as few, however large they are."""
    total = 0.0
    for p in range(residual.shape[0]):
        z = residual[p] / (3.0 * scale)
        total += min(z * z, 1.0)
    return total


@_jit()
def regress_rows(indptr, cols, y, basis, scale, n_starts, rows, factors, loss):
    """Robust regression of the observed entries of some rows on a fixed basis, each row alone.

    For each i in `rows`: minimise the capped squared loss at `scale` over x, where the entry in column
    j is y ~ basis_j . x. Starts: the incoming factors[i], iteratively re-weighted l1 from least
    squares, and `n_starts` fits to random subsets of as many entries as there are unknowns (a
    generator seeded by the row's own length makes them the same wherever the row stands). The best
    start is refined by bisquare re-weighting. Writes factors[i] and its capped loss.
    """
    k = basis.shape[1]
    gram = np.empty((k, k))
    x = np.empty(k)
    best = np.empty(k)
    for i in rows:
        lo, hi = indptr[i], indptr[i + 1]
        n = hi - lo
        if n == 0:
            continue
        c_i = cols[lo:hi]
        y_i = y[lo:hi]
        weight = np.empty(n)
        residual = np.empty(n)
        best[:] = factors[i]
        _row_residual(c_i, y_i, basis, best, residual)
        best_loss = _capped_loss(residual, scale)
        weight[:] = 1.0
        floor = scale
        for t in range(30):  # l1 by re-weighting, its floor falling from the row's own scale
            _weighted_fit(c_i, y_i, basis, weight, gram, x)
            _row_residual(c_i, y_i, basis, x, residual)
            if t == 0:
                floor = max(np.median(np.abs(residual)), scale)
            for p in range(n):
                weight[p] = 1.0 / max(abs(residual[p]), floor)
            floor = max(0.7 * floor, scale)
        value = _capped_loss(residual, scale)
        if value < best_loss:
            best_loss = value
            best[:] = x
        if n > k:
            state = np.uint64(n) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
            order = np.arange(n)
            for _ in range(n_starts):
                weight[:] = 0.0
                for c in range(k):  # partial Fisher-Yates shuffle by a 64-bit congruential generator
                    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    pick = c + np.int64((state >> np.uint64(33)) % np.uint64(n - c))
                    order[c], order[pick] = order[pick], order[c]
                    weight[order[c]] = 1.0
                _weighted_fit(c_i, y_i, basis, weight, gram, x)
                _row_residual(c_i, y_i, basis, x, residual)
                value = _capped_loss(residual, scale)
                if value < best_loss:
                    best_loss = value
                    best[:] = x
        for _ in range(10):
            _row_residual(c_i, y_i, basis, best, residual)
            for p in range(n):
                z = residual[p] / (4.685 * scale)
                weight[p] = (1.0 - z * z) ** 2 if abs(z) < 1.0 else 0.0
            _weighted_fit(c_i, y_i, basis, weight, gram, x)
            _row_residual(c_i, y_i, basis, x, residual)
            value = _capped_loss(residual, scale)
            if value >= best_loss:
                break
            best_loss = value
            best[:] = x
        factors[i] = best
        loss[i] = best_loss
