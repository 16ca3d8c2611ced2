"""Numba functions of what all regressions of a row are made of: small systems, weighted fits, random subsets."""

import numpy as np

from .jit import REASSOCIATE, jit

# Entries of a row that sums are taken over at a time.
_SOME = 512


@jit()
def copy(values, out):
    """Copy an array of one dimension (the messages of an assignment to a slice take two seconds to compile)."""
    for p in range(values.shape[0]):
        out[p] = values[p]


@jit()
def mark_within(residual, reach, weight):
    """Weights of 1 for residuals within `reach`, of 0 for others."""
    for p in range(residual.shape[0]):
        weight[p] = abs(residual[p]) <= reach


@jit()
def solve_spd(gram, rhs):
    """Solve gram x = rhs in place by Cholesky; a coordinate whose pivot vanishes is dropped."""
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


@jit()
def solve_square(a, b):
    """Solve a x = b in place by elimination with pivots, into b; returns whether a is regular."""
    k = b.shape[0]
    for c in range(k):
        pivot = c
        for e in range(c + 1, k):
            if abs(a[e, c]) > abs(a[pivot, c]):
                pivot = e
        if abs(a[pivot, c]) <= 1e-10 * abs(a[0, 0]):
            return False
        if pivot != c:
            for d in range(c, k):
                a[c, d], a[pivot, d] = a[pivot, d], a[c, d]
            b[c], b[pivot] = b[pivot], b[c]
        for e in range(c + 1, k):
            ratio = a[e, c] / a[c, c]
            for d in range(c + 1, k):
                a[e, d] -= ratio * a[c, d]
            b[e] -= ratio * b[c]
    for c in range(k - 1, -1, -1):
        for d in range(c + 1, k):
            b[c] -= a[c, d] * b[d]
        b[c] /= a[c, c]
    return True


@jit(fastmath=REASSOCIATE)
def weighted_fit(y, basis, weight, gram, x, buffer):
    """Fit y to `basis` by weighted least squares, into x; the basis is k x n, so that loops vectorise.

    Sums are taken over some entries at a time, which stay in the fastest cache. `gram` is left with its Cholesky root.
    No loop both stores and adds up: those are vectorised only where the arrays are found apart, by their addresses.
    """
    k, n = basis.shape
    gram[:] = 0.0
    x[:] = 0.0
    for lo in range(0, n, _SOME):
        hi = min(lo + _SOME, n)
        some_y, some_weight, weighted = y[lo:hi], weight[lo:hi], buffer[lo:hi]
        for c in range(k):
            own, total = basis[c, lo:hi], 0.0
            for p in range(hi - lo):
                weighted[p] = some_weight[p] * own[p]
            for p in range(hi - lo):
                total += weighted[p] * some_y[p]
            x[c] += total
            for d in range(c + 1):
                other, total = basis[d, lo:hi], 0.0
                for p in range(hi - lo):
                    total += weighted[p] * other[p]
                gram[c, d] += total
    solve_spd(gram, x)


@jit(fastmath=REASSOCIATE)
def row_residual(y, basis, x, residual):
    """Compute the residual x^T basis - y for a basis of k x n."""
    n = y.shape[0]
    for p in range(n):
        residual[p] = -y[p]
    for c in range(x.shape[0]):
        for p in range(n):
            residual[p] += x[c] * basis[c, p]


@jit()
def gather(cols, basis, out):
    """Copy the rows `cols` of `basis`, transposed."""
    for p in range(cols.shape[0]):
        j = cols[p]
        for c in range(basis.shape[1]):
            out[c, p] = basis[j, c]


@jit()
def count_within(residual, reach):
    """Number of residuals within `reach`."""
    count = 0
    for p in range(residual.shape[0]):
        count += abs(residual[p]) <= reach
    return count


@jit()
def interpolate(order, state, y, basis, square, x):
    """Solve for x from as many random entries as it has coefficients; returns (whether that is possible, next state).

    The entries come from a partial Fisher-Yates shuffle of `order` by a 64-bit congruential generator.
    """
    k, n = basis.shape
    for c in range(k):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        pick = c + np.int64((state >> np.uint64(33)) % np.uint64(n - c))
        order[c], order[pick] = order[pick], order[c]
        for d in range(k):
            square[c, d] = basis[d, order[c]]
        x[c] = y[order[c]]
    return solve_square(square, x), state


@jit()
def first_state(n):
    """Seed of the generator from the length of a row alone: the place of a row does not change its result."""
    return np.uint64(n) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)


@jit()
def place_of(p, n):
    """Index of sample p among n entries, by golden-ratio steps: no index twice in a long row, no pattern of columns."""
    return np.int64((p * 0.6180339887498949) % 1.0 * n)
