"""Numba kernels that regress rows of a matrix on a fixed basis, each row alone."""

import numpy as np

from .entries import judge_full
from .jit import REASSOCIATE, jit

# Width of the bisquare weights in scales. Not imported: numba's cache does not notice changes in other files.
_BISQUARE = 4.685
# Entries that are guessed and judged at a time.
_AT_A_TIME = 1 << 15
# Entries of a row that sums are taken over at a time.
_SOME = 512
# Most steps of a refinement, and the step, in standard errors of the coefficients, with which it ends.
_STEPS, _STEP, _LONGEST = 20, 1e-2, 2.0
# Entries of a long row that a random start is tried on first: what a wrong one loses there is about their number.
_FEW = 64
#: Share of a row that a fit must meet to be found by random starts, and the chance to miss it.
LEAST_INLIERS, _MISSED = 0.45, 0.01


@jit()
def _solve_spd(gram, rhs):
    """Solve gram x = rhs in place by Cholesky; a coordinate whose pivot vanishes is dropped."""
    k = rhs.shape[0]
    top = np.max(np.diag(gram)) if k else 0.0
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
def _weighted_fit(y, basis, weight, gram, x, buffer):
    """Fit y to `basis` by weighted least squares, into x; the basis is k x n, so that loops vectorise.

    Sums are taken over some entries at a time, which stay in the fastest cache. `gram` is left with its Cholesky root.
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
                total += weighted[p] * some_y[p]
            x[c] += total
            for d in range(c + 1):
                other, total = basis[d, lo:hi], 0.0
                for p in range(hi - lo):
                    total += weighted[p] * other[p]
                gram[c, d] += total
    _solve_spd(gram, x)


@jit(fastmath=REASSOCIATE)
def _row_residual(y, basis, x, residual):
    """Compute the residual x^T basis - y for a basis of k x n."""
    n = y.shape[0]
    for p in range(n):
        residual[p] = -y[p]
    for c in range(x.shape[0]):
        for p in range(n):
            residual[p] += x[c] * basis[c, p]


@jit()
def _gather(cols, basis, out):
    """Copy the rows `cols` of `basis`, transposed."""
    for p in range(cols.shape[0]):
        j = cols[p]
        for c in range(basis.shape[1]):
            out[c, p] = basis[j, c]


@jit()
def _interpolate(order, state, y, basis, square, x):
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
    return _solve_square(square, x), state


@jit()
def _first_state(n):
    """Seed of the generator from the length of a row alone: the place of a row does not change its result."""
    return np.uint64(n) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)


@jit(fastmath=REASSOCIATE)
def _capped_loss(residual, scale):
    """Sum of min((r / (3 scale))^2, 1): the size of large residuals does not matter, only their number."""
    total = 0.0
    for p in range(residual.shape[0]):
        total += min((residual[p] / (3.0 * scale)) ** 2, 1.0)
    return total


@jit()
def _met(residual, reach):
    """Number of residuals within `reach`."""
    count = 0
    for p in range(residual.shape[0]):
        count += abs(residual[p]) <= reach
    return count


@jit()
def _smallest(residual, count):
    """The `count`-th smallest absolute residual, by quickselect (NumPy's own takes seconds to compile)."""
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
    """Upper median of each segment of positive values, indptr[i] to indptr[i + 1]; empty segments are skipped."""
    for i in range(medians.shape[0]):
        lo, hi = indptr[i], indptr[i + 1]
        if hi > lo:
            medians[i] = _smallest(values[lo:hi], (hi - lo) // 2 + 1)


@jit()
def _concentrate(y, basis, scale, steps, weight, gram, x, residual, buffer):
    """Improve x by least squares on the smaller two fifths of its residuals, while that helps.

    Returns the capped loss. These are concentration steps of least trimmed squares (Rousseeuw and Van Driessen, 2006).
    """
    k, n = basis.shape
    part = min(max(2 * n // 5, k + 1), n)
    value = _capped_loss(residual, scale)
    for _ in range(steps):
        bound = _smallest(residual, part)
        weight[:] = np.abs(residual) <= bound
        old = x.copy()
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
def _l1(y, basis, scale, reach, enough, weight, gram, x, residual, buffer):
    """Improve x to least absolute deviations by re-weighting; the floor falls from the median residual to `scale`.

    It ends where more than `enough` residuals are within `reach`; returns whether they are.
    """
    _row_residual(y, basis, x, residual)
    floor = max(_smallest(residual, (residual.shape[0] + 1) // 2), scale)
    last = floor
    for _ in range(30):
        for p in range(residual.shape[0]):
            weight[p] = 1.0 / max(abs(residual[p]), floor)
        _weighted_fit(y, basis, weight, gram, x, buffer)
        _row_residual(y, basis, x, residual)
        if _met(residual, reach) > enough:
            return True
        if last == scale:
            break
        last = floor
        floor = max(0.6 * floor, scale)
    return False


@jit()
def _place(p, n):
    """Index of sample p among n entries, by golden-ratio steps: no index twice in a long row, no pattern of columns."""
    return np.int64((p * 0.6180339887498949) % 1.0 * n)


@jit()
def _take_some(y, basis, some_y, some):
    """Copy as many entries of a row as there is room for, spread evenly."""
    for p in range(some_y.shape[0]):
        pick = _place(p, y.shape[0])
        some_y[p], some[:, p] = y[pick], basis[:, pick]


@jit()
def starts_needed(share, rank):
    """Random subsets of `rank` entries until one holds only inliers, which are this share of the row."""
    return np.int64(max(np.log(_MISSED) / np.log1p(-min(share**rank, 0.999)), 20.0))


def start_work(length, rank):
    """Multiplications of one random start of a row in :func:`regress_rows`, at most."""
    return length * (rank + 1) + rank**3


@jit(fastmath=REASSOCIATE)
def _bisquare(residual, width, weight):
    """Bisquare weights w of residuals r; returns the sum of w, and that of the slopes of r w."""
    total = slope = 0.0
    for p in range(residual.shape[0]):
        z = residual[p] / width
        root = max(1.0 - z * z, 0.0)
        weight[p] = root * root
        total += root * root
        slope += root * (1.0 - 5.0 * z * z)
    return total, slope


@jit()
def _refine(y, basis, scale, best_loss, weight, gram, x, best, residual, buffer):
    """Refine `best` by bisquare re-weighting, while its capped loss does not rise; x is scratch.

    Where steps of weighted least squares shrink, each is made as much longer as the sum of the weights w is larger than
    that of the slopes (r w)': on average that is a Newton step, where residuals are noise. It ends with one that is
    next to nothing beside the standard errors of the coefficients.
    """
    k, last = x.shape[0], 0.0
    for _ in range(_STEPS if k else 0):
        total, slope = _bisquare(residual, _BISQUARE * scale, weight)
        if total == 0.0:
            break
        _weighted_fit(y, basis, weight, gram, x, buffer)
        moved = size = 0.0
        for c in range(k):
            moved += ((x[c] - best[c]) / scale) ** 2
            for d in range(c + 1):  # the root of the matrix of the normal equations: its squares add up to the trace
                size += gram[c, d] ** 2
        if moved < 0.25 * last:
            longer = min(total / max(slope, 0.0), _LONGEST)
            for c in range(k):
                x[c] = best[c] + longer * (x[c] - best[c])
        last = moved
        _row_residual(y, basis, x, residual)
        value = _capped_loss(residual, scale)
        if value > best_loss * (1.0 + 1e-2):
            break
        best_loss = min(value, best_loss)
        best[:] = x
        if moved * size <= _STEP**2:
            break


@jit()
def regress_rows(indptr, cols, y, basis, scale, reach, n_starts, efficient, rows, factors, met):
    """Regress the observed entries of some rows on a fixed basis robustly, each row alone.

    Row i has coefficients x, its entry in column j is y ~ basis_j . x; the capped squared loss at `scale` is minimised.
    Starts: factors[i] as given (alone if not zero and `n_starts` is 0), and iteratively re-weighted l1 from
    least squares, concentrated on its smaller residuals (in a long row, first on a sample of the entries). While no
    start meets so many entries that any other fit to as many must be the same, up to `n_starts` random subsets of as
    many entries as coefficients follow. `efficient`: the best is refined by bisquare re-weighting; else the l1 estimate
    is kept, for data that are only nearly low-rank. Writes factors[i]; met[i] counts the entries within `reach`.
    """
    k = basis.shape[1]
    gram, x, best, trial = np.empty((k, k)), np.empty(k), np.empty(k), np.empty(k)
    m = 200 + 40 * k
    sample, sample_y = np.empty((k, m)), np.empty(m)
    b_i, known = np.empty((k, 0)), cols[:0]
    weight, residual, buffer = np.empty(0), np.empty(0), np.empty(0)
    for i in rows:
        lo, hi, n = indptr[i], indptr[i + 1], indptr[i + 1] - indptr[i]
        met[i] = 0
        if n == 0:
            continue
        if n != len(known):
            b_i = np.empty((k, n))
            weight, residual, buffer = np.empty(n), np.empty(n), np.empty(n)
        if n != len(known) or np.any(cols[lo:hi] != known):  # full rows have the same columns
            known = cols[lo:hi]
            _gather(known, basis, b_i)
        y_i = y[lo:hi]
        # two fits that both meet more entries than this have at least k in common: they are the same
        enough = (n + k) // 2
        best[:] = factors[i]
        given, found = np.any(best), False
        alone = given and n_starts == 0
        if efficient and n > 2 * m and not alone:  # a sample gives a start to refine on all entries
            _take_some(y_i, b_i, sample_y, sample)
            part = weight[:m], gram, x
            weight[:m] = 1.0
            _weighted_fit(sample_y, sample, *part, buffer)
            _row_residual(sample_y, sample, x, residual[:m])
            if _met(residual[:m], reach) < m:
                if not _l1(sample_y, sample, scale, reach, (m + k) // 2, *part, residual[:m], buffer):
                    _concentrate(sample_y, sample, scale, 10, *part, residual[:m], buffer)
                value = _capped_loss(residual[:m], scale)
                _refine(sample_y, sample, scale, value, weight[:m], gram, trial, x, residual[:m], buffer)
                _row_residual(y_i, b_i, x, residual)
                found = enough < _met(residual, reach) < n
        if not found:
            weight[:] = 1.0
            _weighted_fit(y_i, b_i, weight, gram, x, buffer)
            _row_residual(y_i, b_i, x, residual)
            if _met(residual, reach) == n:  # no gross error: least squares
                factors[i] = x
                met[i] = n
                continue
            if not alone:
                most = enough if efficient else n
                found = _l1(y_i, b_i, scale, reach, most, weight, gram, x, residual, buffer)
                if not (found or efficient):
                    best[:] = x
                elif not found:
                    _concentrate(y_i, b_i, scale, 10, weight, gram, x, residual, buffer)
        value = _capped_loss(residual, scale)
        if given or not efficient:
            _row_residual(y_i, b_i, best, residual)
            best_loss = _concentrate(y_i, b_i, scale, 10 if alone else 0, weight, gram, best, residual, buffer)
        else:
            best_loss = np.inf
        if efficient and not alone and value < best_loss:
            best_loss = value
            best[:] = x
            _row_residual(y_i, b_i, best, residual)
        if efficient and n > k and _met(residual, reach) <= enough:
            state, order = _first_state(n), np.arange(n)
            n_few = _FEW if n > 2 * _FEW else 0
            few, few_y = np.empty((k, n_few)), np.empty(n_few)
            _take_some(y_i, b_i, few_y, few)
            # one that is better meets more, and in a long row one subset of its inliers is enough to find it
            usual, share = starts_needed(LEAST_INLIERS, k), max(_met(residual, reach) / n, LEAST_INLIERS)
            needed = max(n_starts, usual) * starts_needed(share, k) // usual if n_few else n_starts
            for _ in range(min(n_starts, needed)):
                regular, state = _interpolate(order, state, y_i, b_i, gram, x)
                if not regular:
                    continue
                # one that is as good as the best is as good on few, but for four standard deviations
                _row_residual(few_y, few, x, residual[:n_few])
                if _capped_loss(residual[:n_few], scale) > best_loss * n_few / n + 2.0 * np.sqrt(n_few):
                    continue
                _row_residual(y_i, b_i, x, residual)
                if _capped_loss(residual, scale) < best_loss:
                    best_loss = _concentrate(y_i, b_i, scale, 2, weight, gram, x, residual, buffer)
                    best[:] = x
                    if _met(residual, reach) > enough:
                        break
            _row_residual(y_i, b_i, best, residual)
        if efficient:
            _refine(y_i, b_i, scale, best_loss, weight, gram, x, best, residual, buffer)
            _row_residual(y_i, b_i, best, residual)
        factors[i] = best
        met[i] = _met(residual, reach)


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
                place[p] = _place(p, n) if n > 2 * width else (p * n) // m
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
            _gather(chosen[:m], basis, sample)
        state = _first_state(n)
        for _ in range(n_tries):
            regular, state = _interpolate(order[:m], state, value[:m], sample, square, x)
            if not regular:
                continue
            _row_residual(value[:m], sample, x, residual[:m])
            if _met(residual[:m], reach) >= k + max(m // 4, 4):
                weight[:m] = np.abs(residual[:m]) <= reach
                _weighted_fit(value[:m], sample, weight, square, x, buffer)
                factors[i] = x
                break


@jit()
def guess_full_rows(indptr, cols, y, basis, turned, scale, reach, threshold, n_tries, factors, met, good, beyond):
    """Guess rows without missing entries and judge them, a few at a time, so that they are read from memory once."""
    n = basis.shape[0]
    step = max(_AT_A_TIME // max(n, 1), 1)
    for lo in range(0, factors.shape[0], step):
        hi = min(lo + step, factors.shape[0])
        part = factors[lo:hi]
        guess_rows(indptr[lo : hi + 1], cols, y, basis, reach, n_tries, part)
        flags = beyond[lo * n : hi * n]
        judge_full(y[lo * n : hi * n], turned, part, scale, reach, threshold, met[lo:hi], good[lo:hi], flags)


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
            _solve_spd(gram, x)
