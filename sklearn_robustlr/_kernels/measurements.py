"""Numba kernels on measurements: residuals, and the gradients of both factors, in one pass."""

from __future__ import annotations

import numpy as np

from .jit import REASSOCIATE, jit


@jit(fastmath=REASSOCIATE)
def _dot(a, b):
    """Inner product of two vectors."""
    total = a[0] * b[0]
    for i in range(1, a.shape[0]):
        total += a[i] * b[i]
    return total


@jit(fastmath=REASSOCIATE)
def _axpy(scale, x, out):
    """Add scale x to `out`."""
    for i in range(x.shape[0]):
        out[i] += scale * x[i]


@jit(fastmath=REASSOCIATE)
def _dot4(a, b, c, d, x):
    """Inner products of four vectors with x, which is read once."""
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
    """Residual clipped to [-delta, delta]; its sign, the limit, for delta = 0."""
    if delta == 0.0:
        return np.sign(residual)
    return min(max(residual, -delta), delta)  # no branches: half of the entries would mispredict them


@jit()
def dense_step(data, x, y, weight, delta, residual, adjoint):
    """Compute the residual of dense measurements at x, and the adjoint of its psi; each row is read from memory once.

    residual_i = <data_i, x> - y_i;  adjoint += sum_i weight_i psi(residual_i) data_i. `x` and `adjoint` have one row,
    `residual` has one column. Four rows of data are taken at a time: they are still in L2 when they are read again, and
    so are x and the adjoint, which are as long.
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
    """As `dense_step` at several x, its rows: products with `few` rows of data at a time, which stay in cache."""
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
    """Compute the tangent coordinates A_i v (d1 x k) and A_i^T u (d2 x k) of dense measurements; rows are read once.

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
    """As `dense_steps`, for data in compressed sparse row form; x and the adjoint have a row for each coordinate."""
    n = x.shape[1]
    w = np.empty(n, data.dtype)
    for i in range(indptr.shape[0] - 1):
        lo, hi = indptr[i], indptr[i + 1]
        if n == 1:  # the sum stays in a register
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
    """Compute residuals of measurements a_i b_i^T at n matrices X from u = a_i^T left_s and v = b_i^T right_s.

    residual_is = u_is . v_is - y_i. u and v (m x n x k) are exchanged and multiplied by weight_i psi(residual_is): the
    gradients are then the sums of a_i u_is^T and of b_i v_is^T.
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
    """Compute residuals and factor gradients of single entries, sorted by row (`indptr`, `cols` as in CSR).

    residual_p = left_i . right_j - y_p. With G the sparse matrix of weight_p psi(residual_p), grad_left += G right and
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
def entries_residual(indptr, cols, product, y, residual):
    """Compute the residuals of the entries of rows whose fit is `product`."""
    for i in range(indptr.shape[0] - 1):
        row = product[i]
        for p in range(indptr[i], indptr[i + 1]):
            residual[p] = row[cols[p]] - y[p]


@jit()
def entries_weigh(indptr, cols, product, y, weight, delta, residual):
    """Compute the residuals of the entries of rows whose fit is `product`, and overwrite that for the gradients.

    It becomes the matrix of weight_p psi(residual_p), zero where an entry is missing; gradients are products with it.
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
    """As `entries_weigh`, for rows without missing entries."""
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
