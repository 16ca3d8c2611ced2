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
def _met(residual, scale):
    """Number of residuals within 3.5 scales."""
    count = 0
    for p in range(residual.shape[0]):
        if abs(residual[p]) <= 3.5 * scale:
            count += 1
    return count


@_jit()
def _smallest(residual, count):
    """The `count`-th smallest size of the residuals, by quickselect (NumPy's own takes seconds to compile)."""
    size = np.abs(residual)
    lo, hi, k = 0, size.shape[0] - 1, count - 1
    while lo < hi:
        pivot = size[(lo + hi) // 2]
        i, j = lo, hi
        while i <= j:
            while size[i] < pivot:
                i += 1
            while size[j] > pivot:
                j -= 1
            if i <= j:
                size[i], size[j] = size[j], size[i]
                i += 1
                j -= 1
        if k <= j:
            hi = j
        elif k >= i:
            lo = i
        else:
            break
    return size[k]


@_jit()
def _concentrate(cols, y, basis, scale, steps, part, weight, gram, x, residual):
    """Least squares on the `part` smallest residuals of x, while that helps; returns the capped loss.

    The concentration step of least trimmed squares (Rousseeuw and Van Driessen, 2006).
    """
    value = _capped_loss(residual, scale)
    old = np.empty(x.shape[0])
    for _ in range(steps):
        bound = _smallest(residual, part)
        for p in range(residual.shape[0]):
            weight[p] = 1.0 if abs(residual[p]) <= bound else 0.0
        old[:] = x
        _weighted_fit(cols, y, basis, weight, gram, x)
        _row_residual(cols, y, basis, x, residual)
        new = _capped_loss(residual, scale)
        if new >= value * (1.0 - 1e-9):
            x[:] = old
            _row_residual(cols, y, basis, x, residual)
            break
        value = new
    return value


@_jit()
def regress_rows(indptr, cols, y, basis, scale, n_starts, efficient, rows, factors, met):
    """Robust regression of the observed entries of some rows on a fixed basis, each row alone.

    For each i in `rows`: minimise the capped squared loss at `scale` over x, where the entry in column
    j is y ~ basis_j . x. Starts: the incoming factors[i]; least squares; iteratively re-weighted l1,
    concentrated on the smaller of its residuals; and, while no start meets so many entries that any other one
    that did would have to share a whole fit with it, up to `n_starts` fits to random subsets of as many entries as
    there are unknowns (the generator is seeded by the row's own length: a row gets the same result wherever it
    stands). The best is refined by bisquare re-weighting where `efficient`; else l1 is kept as it is
    (data that are only nearly low-rank). Writes factors[i], and to met[i] how many entries are within 3.5 scales.
    """
    k = basis.shape[1]
    gram = np.empty((k, k))
    x = np.empty(k)
    best = np.empty(k)
    for i in rows:
        lo, hi = indptr[i], indptr[i + 1]
        n = hi - lo
        if n == 0:
            met[i] = 0
            continue
        c_i = cols[lo:hi]
        y_i = y[lo:hi]
        weight = np.ones(n)
        residual = np.empty(n)
        # two fits that both meet more entries than this have at least k in common: they are one fit
        enough = (n + k) // 2
        part = min(max(2 * n // 5, k + 1), n)
        _weighted_fit(c_i, y_i, basis, weight, gram, x)
        _row_residual(c_i, y_i, basis, x, residual)
        if _met(residual, scale) == n:  # no error in sight: least squares it is
            factors[i] = x
            met[i] = n
            continue
        best[:] = factors[i]
        floor = max(_smallest(residual, (n + 1) // 2), scale)
        last = floor
        for _ in range(30):  # l1 by re-weighting, its floor falling from the row's own scale
            for p in range(n):
                weight[p] = 1.0 / max(abs(residual[p]), floor)
            _weighted_fit(c_i, y_i, basis, weight, gram, x)
            _row_residual(c_i, y_i, basis, x, residual)
            if last == scale:
                break
            last = floor
            floor = max(0.6 * floor, scale)
        value = np.inf
        if efficient:
            value = _concentrate(c_i, y_i, basis, scale, 10, part, weight, gram, x, residual)
        else:
            best[:] = x
        _row_residual(c_i, y_i, basis, best, residual)
        best_loss = _capped_loss(residual, scale)
        if efficient and value < best_loss:
            best_loss = value
            best[:] = x
            _row_residual(c_i, y_i, basis, best, residual)
        if efficient and n > k and _met(residual, scale) <= enough:
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
                if _capped_loss(residual, scale) < best_loss:
                    best_loss = _concentrate(c_i, y_i, basis, scale, 2, part, weight, gram, x, residual)
                    best[:] = x
                    if _met(residual, scale) > enough:
                        break
        _row_residual(c_i, y_i, basis, best, residual)
        for _ in range(10 if efficient else 0):
            for p in range(n):
                z = residual[p] / (4.685 * scale)
                weight[p] = (1.0 - z * z) ** 2 if abs(z) < 1.0 else 0.0
            _weighted_fit(c_i, y_i, basis, weight, gram, x)
            moved = 0.0
            for c in range(k):
                moved = max(moved, abs(x[c] - best[c]) / (abs(best[c]) + 1e-300))
            _row_residual(c_i, y_i, basis, x, residual)
            value = _capped_loss(residual, scale)
            if value > best_loss * (1.0 + 1e-2):
                break
            best_loss = min(value, best_loss)
            best[:] = x
            if moved < 1e-6:
                break
        _row_residual(c_i, y_i, basis, best, residual)
        factors[i] = best
        met[i] = _met(residual, scale)


@_jit()
def guess_rows(indptr, cols, y, basis, center, scale, rows, factors):
    """Posterior mean of rows with too few entries to be determined, under a standard normal prior.

    factors[i] solves (B^T B + ridge) x = B^T (y - center) over the entries of row i, where B are the rows of
    `basis` (whitened: the prior covariance of x is the identity) and ridge = scale^2. Entries beyond 3.5 standard
    deviations of their prior prediction are left out. No entries: zero, the centre itself.
    """
    k = basis.shape[1]
    gram = np.empty((k, k))
    for i in rows:
        x = factors[i]
        x[:] = 0.0
        gram[:] = 0.0
        spread = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            b = basis[cols[p]]
            r = y[p] - center[cols[p]]
            size = _dot(b, b)
            if r * r > 12.25 * (size + scale * scale):
                continue
            spread += size
            for c in range(k):
                x[c] += r * b[c]
                for d in range(c + 1):
                    gram[c, d] += b[c] * b[d]
        for c in range(k):
            gram[c, c] += max(scale * scale, 1e-10 * spread)
        if spread > 0.0:
            _solve_spd(gram, x)
