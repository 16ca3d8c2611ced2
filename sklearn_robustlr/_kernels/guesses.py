"""Numba kernels that find the coefficients of a row from a few of its entries, or from what is known before."""

import numpy as np

from .entries import judge_full
from .jit import jit
from .least_squares import (
    copy,
    count_within,
    first_state,
    gather,
    interpolate,
    mark_within,
    place_of,
    row_residual,
    solve_spd,
    weighted_fit,
)

# Entries that are guessed and judged at a time.
_AT_A_TIME = 1 << 15


@jit()
def guess_rows(indptr, cols, y, basis, reach, n_tries, factors):
    """Find coefficients of rows whose noise is negligible, from a few entries of each.

    The sample of a row has 24 entries, and 4 more per coefficient. Random subsets with as many entries as coefficients
    are solved, until a solution also meets a quarter of the sample beyond its own subset: without noise, no wrong one
    does so by chance. Least squares on the entries that it meets follows. A row where `n_tries` fail is left as it is.
    """
    k = basis.shape[1]
    width = 24 + 4 * k
    sample, value = np.empty((k, width)), np.empty(width)
    residual, weight, buffer = np.empty(width), np.empty(width), np.empty(width)
    order, chosen = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int32)
    square, x = np.empty((k, k)), np.empty(k)
    place, last = np.empty(width, dtype=np.int64), 0
    for i in range(factors.shape[0]):
        lo, n = indptr[i], indptr[i + 1] - indptr[i]
        m = min(width, n)
        if m < 2 * k + 4:
            continue
        is_new = n != last
        if is_new:
            for p in range(m):
                place[p] = place_of(p, n) if n > 2 * width else (p * n) // m
            last = n
        if m != sample.shape[1]:
            sample = np.empty((k, m))
        for p in range(m):
            pick = lo + place[p]
            is_new |= chosen[p] != cols[pick]
            chosen[p] = cols[pick]
            value[p] = y[pick]
            order[p] = p
        if is_new:  # full rows have the same columns
            gather(chosen[:m], basis, sample)
        state = first_state(n)
        for _ in range(n_tries):
            regular, state = interpolate(order[:m], state, value[:m], sample, square, x)
            if not regular:
                continue
            row_residual(value[:m], sample, x, residual[:m])
            if count_within(residual[:m], reach) >= k + max(m // 4, 4):
                mark_within(residual[:m], reach, weight[:m])
                weighted_fit(value[:m], sample, weight, square, x, buffer)
                copy(x, factors[i])
                break


@jit()
def guess_full_rows(
    indptr, cols, y, basis, turned, scale, reach, threshold, n_tries, shared, factors, met, good, beyond
):
    """Guess rows without missing entries and judge them, a few at a time, so that they are read from memory once."""
    n = basis.shape[0]
    step = max(_AT_A_TIME // max(n, 1), 1)
    for lo in range(0, factors.shape[0], step):
        hi = min(lo + step, factors.shape[0])
        part = factors[lo:hi]
        guess_rows(indptr[lo : hi + 1], cols, y, basis, reach, n_tries, part)
        flags = beyond[lo * n : hi * n]
        judge_full(y[lo * n : hi * n], turned, part, scale, reach, threshold, shared, met[lo:hi], good[lo:hi], flags)


@jit()
def expect_rows(indptr, cols, y, basis, center, scale, width, rows, factors):
    """Compute the posterior mean, under a standard normal prior, of rows with too few entries to be identifiable.

    factors[i] solves (B^T B + ridge) x = B^T (y - center) over the entries of row i. B are the rows of `basis`, which
    is whitened (the prior covariance of x is the identity), and ridge = scale^2. Entries beyond `width` standard
    deviations of their prior prediction are left out. A row without entries gets zero, the centre itself.
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
            size = np.sum(b * b)
            if np.isinf(r) or r * r > width * width * (size + scale * scale):
                continue
            spread += size
            for c in range(k):
                x[c] += r * b[c]
                for d in range(c + 1):
                    gram[c, d] += b[c] * b[d]
        for c in range(k):
            gram[c, c] += max(scale * scale, 1e-10 * spread)
        if spread > 0.0:
            solve_spd(gram, x)
