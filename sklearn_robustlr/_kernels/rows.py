"""Numba functions that regress rows of a matrix on a fixed basis, each row alone."""

import numpy as np

from .jit import REASSOCIATE, jit

# Width of the bisquare weights in scales. It stands here: numba's cache does not notice what changes in other files.
_BISQUARE = 4.685


@jit()
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


@jit()
def _solve_square(a, b):
    """Solve a x = b by elimination with pivots, in place; the solution goes to b. Returns whether a is regular."""
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
def _weighted_fit(y, basis, weight, gram, x, buffer):
    """Weighted least squares of y on the rows of `basis` (k x n, transposed so that it vectorises), into x."""
    k, n = basis.shape
    for c in range(k):
        total = 0.0
        for p in range(n):
            buffer[p] = weight[p] * basis[c, p]
            total += buffer[p] * y[p]
        x[c] = total
        for d in range(c + 1):
            total = 0.0
            for p in range(n):
                total += buffer[p] * basis[d, p]
            gram[c, d] = total
    _solve_spd(gram, x)


@jit(fastmath=REASSOCIATE)
def _row_residual(y, basis, x, residual):
    """Residual x^T basis - y, by rows of `basis` (k x n)."""
    n = y.shape[0]
    for p in range(n):
        residual[p] = -y[p]
    for c in range(x.shape[0]):
        for p in range(n):
            residual[p] += x[c] * basis[c, p]


@jit()
def _gather(cols, basis, out):
    """Rows `cols` of `basis`, transposed."""
    for p in range(cols.shape[0]):
        j = cols[p]
        for c in range(basis.shape[1]):
            out[c, p] = basis[j, c]


@jit()
def _interpolate(order, state, y, basis, square, x):
    """Solve for as many random entries as x has coefficients; returns (whether they can be, next state).

    Partial Fisher-Yates shuffle of `order` by a 64-bit congruential generator.
    """
    k, n = basis.shape
    for c in range(k):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        pick = c + np.int64((state >> np.uint64(33)) % np.uint64(n - c))
        order[c], order[pick] = order[pick], order[c]
        for d in range(k):
            square[c, d] = basis[d, order[c]]
        x[c] = y[order[c]]
    return _solve_square(square, x), state


@jit()
def _first_state(n):
    """Seed of the generator: the length of a row, so that it gets the same result wherever it stands."""
    return np.uint64(n) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)


@jit()
def _capped_loss(residual, scale):
    """Sum of min((r / (3 scale))^2, 1): few large residuals count as few, however large they are."""
    total = 0.0
    for p in range(residual.shape[0]):
        z = residual[p] / (3.0 * scale)
        total += min(z * z, 1.0)
    return total


@jit()
def _met(residual, reach):
    """Number of residuals within `reach`."""
    count = 0
    for p in range(residual.shape[0]):
        if abs(residual[p]) <= reach:
            count += 1
    return count


@jit()
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


@jit()
def segment_medians(indptr, values, medians):
    """Upper median of each segment of positive values, indptr[i] to indptr[i + 1]; an empty one is left."""
    for i in range(medians.shape[0]):
        lo, hi = indptr[i], indptr[i + 1]
        if hi > lo:
            medians[i] = _smallest(values[lo:hi], (hi - lo) // 2 + 1)


@jit()
def _concentrate(y, basis, scale, steps, weight, gram, x, residual, buffer):
    """Least squares on the smaller two fifths of the residuals of x, while that helps; returns the capped loss.

    The concentration step of least trimmed squares (Rousseeuw and Van Driessen, 2006).
    """
    k, n = basis.shape
    part = min(max(2 * n // 5, k + 1), n)
    value = _capped_loss(residual, scale)
    old = np.empty(k)
    for _ in range(steps):
        bound = _smallest(residual, part)
        for p in range(residual.shape[0]):
            weight[p] = 1.0 if abs(residual[p]) <= bound else 0.0
        old[:] = x
        _weighted_fit(y, basis, weight, gram, x, buffer)
        _row_residual(y, basis, x, residual)
        new = _capped_loss(residual, scale)
        if new >= value * (1.0 - 1e-9):
            x[:] = old
            _row_residual(y, basis, x, residual)
            break
        value = new
    return value


@jit()
def _l1(y, basis, scale, weight, gram, x, residual, buffer):
    """Least absolute deviations by re-weighting from x, the floor of the weights falling from the row's own scale."""
    _row_residual(y, basis, x, residual)
    floor = max(_smallest(residual, (residual.shape[0] + 1) // 2), scale)
    last = floor
    for _ in range(30):
        for p in range(residual.shape[0]):
            weight[p] = 1.0 / max(abs(residual[p]), floor)
        _weighted_fit(y, basis, weight, gram, x, buffer)
        _row_residual(y, basis, x, residual)
        if last == scale:
            break
        last = floor
        floor = max(0.6 * floor, scale)


@jit()
def _place(p, n):
    """Place p of a sample of n entries, by golden-ratio steps: none twice in a long row, and no pattern of columns."""
    return np.int64((p * 0.6180339887498949) % 1.0 * n)


def start_work(length, rank):
    """Multiplications that a random start costs a row of :func:`regress_rows`."""
    return length * (rank + 1) + rank**3


@jit()
def regress_rows(indptr, cols, y, basis, scale, reach, n_starts, efficient, rows, factors, met):
    """Robust regression of the observed entries of some rows on a fixed basis, each row alone.

    For each i in `rows`: minimise the capped squared loss at `scale` over x, where the entry in column
    j is y ~ basis_j . x. Starts: the incoming factors[i], alone where they are given and `n_starts` is 0; least
    squares; iteratively re-weighted l1, concentrated on the smaller of its residuals (of a long row, on a sample of its
    entries first). And, while none meets so many entries that any other one that did would have to share a whole fit
    with it, up to `n_starts` fits to random subsets of as many entries as there are coefficients (seeded by the row's
    length: a row gets the same result wherever it stands). The best is refined by bisquare re-weighting where
    `efficient`; else l1 is kept as it is (data that are only nearly low-rank). Writes factors[i], and to met[i] how
    many entries are within `reach`.
    """
    k = basis.shape[1]
    gram, x, best = np.empty((k, k)), np.empty(k), np.empty(k)
    m = 200 + 40 * k
    sample, sample_y = np.empty((k, m)), np.empty(m)
    for i in rows:
        lo, hi = indptr[i], indptr[i + 1]
        n = hi - lo
        if n == 0:
            met[i] = 0
            continue
        b_i = np.empty((k, n))
        _gather(cols[lo:hi], basis, b_i)
        y_i = y[lo:hi]
        weight = np.ones(n)
        residual = np.empty(n)
        buffer = np.empty(n)
        # two fits that both meet more entries than this have at least k in common: they are one fit
        enough = (n + k) // 2
        _weighted_fit(y_i, b_i, weight, gram, x, buffer)
        _row_residual(y_i, b_i, x, residual)
        if _met(residual, reach) == n:  # no error in sight: least squares it is
            factors[i] = x
            met[i] = n
            continue
        best[:] = factors[i]
        value, found, alone = np.inf, False, n_starts == 0 and np.any(best)
        if efficient and n > 4 * m and not alone:  # a start good enough to be refined on all
            for p in range(m):
                pick = _place(p, n)
                sample_y[p] = y_i[pick]
                for c in range(k):
                    sample[c, p] = b_i[c, pick]
            _weighted_fit(sample_y, sample, weight[:m], gram, x, buffer)
            _l1(sample_y, sample, scale, weight[:m], gram, x, residual[:m], buffer)
            _concentrate(sample_y, sample, scale, 10, weight[:m], gram, x, residual[:m], buffer)
            _row_residual(y_i, b_i, x, residual)
            value, found = _capped_loss(residual, scale), _met(residual, reach) > enough
            if not found:
                weight[:] = 1.0
                _weighted_fit(y_i, b_i, weight, gram, x, buffer)
        if not (found or alone):
            _l1(y_i, b_i, scale, weight, gram, x, residual, buffer)
            if efficient:
                value = _concentrate(y_i, b_i, scale, 10, weight, gram, x, residual, buffer)
            else:
                best[:] = x
        _row_residual(y_i, b_i, best, residual)
        best_loss = _concentrate(y_i, b_i, scale, 10 if alone else 0, weight, gram, best, residual, buffer)
        if efficient and value < best_loss:
            best_loss = value
            best[:] = x
            _row_residual(y_i, b_i, best, residual)
        if efficient and n > k and _met(residual, reach) <= enough:
            state = _first_state(n)
            order = np.arange(n)
            for _ in range(n_starts):
                regular, state = _interpolate(order, state, y_i, b_i, gram, x)
                if not regular:
                    continue
                _row_residual(y_i, b_i, x, residual)
                if _capped_loss(residual, scale) < best_loss:
                    best_loss = _concentrate(y_i, b_i, scale, 2, weight, gram, x, residual, buffer)
                    best[:] = x
                    if _met(residual, reach) > enough:
                        break
        _row_residual(y_i, b_i, best, residual)
        for _ in range(10 if efficient else 0):
            for p in range(n):
                z = residual[p] / (_BISQUARE * scale)
                weight[p] = (1.0 - z * z) ** 2 if abs(z) < 1.0 else 0.0
            _weighted_fit(y_i, b_i, weight, gram, x, buffer)
            moved, size = 0.0, 0.0
            for c in range(k):
                moved = max(moved, abs(x[c] - best[c]))
                size = max(size, abs(best[c]))
            _row_residual(y_i, b_i, x, residual)
            value = _capped_loss(residual, scale)
            if value > best_loss * (1.0 + 1e-2):
                break
            best_loss = min(value, best_loss)
            best[:] = x
            if moved <= 1e-5 * size:
                break
        _row_residual(y_i, b_i, best, residual)
        factors[i] = best
        met[i] = _met(residual, reach)


@jit()
def guess_rows(indptr, cols, y, basis, reach, n_tries, factors):
    """Coefficients of rows whose noise is negligible, from a few entries of each.

    Of a sample of 24 entries and 4 a coefficient, as many as there are coefficients are solved for, until the solution
    meets a quarter more of the sample than it could not help meeting: without noise, no wrong one does by chance. Least
    squares on what it meets ends it. A row on which `n_tries` fail keeps its coefficients.
    """
    k = basis.shape[1]
    width = 24 + 4 * k
    sample, value = np.empty((k, width)), np.empty(width)
    residual = np.empty(width)
    weight = np.empty(width)
    buffer = np.empty(width)
    order = np.empty(width, dtype=np.int64)
    chosen = np.empty(width, dtype=np.int32)
    square, x = np.empty((k, k)), np.empty(k)
    for i in range(factors.shape[0]):
        lo, n = indptr[i], indptr[i + 1] - indptr[i]
        m = min(width, n)
        if m < 2 * k + 4:
            continue
        for p in range(m):
            pick = lo + (_place(p, n) if n > 2 * width else (p * n) // m)
            chosen[p] = cols[pick]
            value[p] = y[pick]
            order[p] = p
        if m != sample.shape[1]:
            sample = np.empty((k, m))
        _gather(chosen[:m], basis, sample)
        state = _first_state(n)
        for _ in range(n_tries):
            regular, state = _interpolate(order[:m], state, value[:m], sample, square, x)
            if not regular:
                continue
            _row_residual(value[:m], sample, x, residual[:m])
            if _met(residual[:m], reach) >= k + max(m // 4, 4):
                for p in range(m):
                    weight[p] = 1.0 if abs(residual[p]) <= reach else 0.0
                _weighted_fit(value[:m], sample, weight, square, x, buffer)
                factors[i] = x
                break


@jit()
def full_residual(y, basis, factors, residual):
    """The same for rows without holes, by rows of the transposed `basis` (k x n)."""
    n = basis.shape[1]
    for i in range(factors.shape[0]):
        _row_residual(y[i * n : (i + 1) * n], basis, factors[i], residual[i * n : (i + 1) * n])


@jit()
def expect_rows(indptr, cols, y, basis, center, scale, width, rows, factors):
    """Posterior mean of rows with too few entries to be determined, under a standard normal prior.

    factors[i] solves (B^T B + ridge) x = B^T (y - center) over the entries of row i, where B are the rows of
    `basis` (whitened: the prior covariance of x is the identity) and ridge = scale^2. Entries beyond `width` standard
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
            size = 0.0
            for c in range(k):
                size += b[c] * b[c]
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
            _solve_spd(gram, x)
