"""Numba kernels that regress rows of a matrix on a fixed basis, each row alone."""

import numpy as np

from .jit import REASSOCIATE, jit
from .least_squares import (
    copy,
    count_within,
    first_state,
    gather,
    interpolate,
    mark_within,
    place_of,
    row_residual,
    weighted_fit,
)

# Width of the bisquare weights in scales. Not imported: numba's cache does not notice changes in other files.
_BISQUARE = 4.685
# Most steps of a refinement, and the step, in standard errors of the coefficients, with which it ends.
_STEPS, _STEP, _LONGEST = 20, 1e-2, 2.0
# Residuals, in units of the floor of l1 weights, that are near: those of outliers are far larger by then.
_CLOSE = 10.0
# Entries of a long row that a random start is tried on first: what a wrong one loses there is about their number.
_FEW = 64
#: Share of a row that a fit must meet to be found by random starts, and the chance to miss it.
LEAST_INLIERS, _MISSED = 0.45, 0.01


@jit(fastmath=REASSOCIATE)
def _capped_loss(residual, scale):
    """Sum of min((r / (3 scale))^2, 1): the size of large residuals does not matter, only their number."""
    total = 0.0
    for p in range(residual.shape[0]):
        total += min((residual[p] / (3.0 * scale)) ** 2, 1.0)
    return total


@jit()
def _smallest(residual, count):
    """The `count`-th smallest absolute residual, by quickselect (NumPy's own takes seconds to compile)."""
    size = np.empty(residual.shape[0], residual.dtype)
    for p in range(residual.shape[0]):
        size[p] = abs(residual[p])
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
        mark_within(residual, bound, weight)
        old = x.copy()
        weighted_fit(y, basis, weight, gram, x, buffer)
        row_residual(y, basis, x, residual)
        new = _capped_loss(residual, scale)
        if new >= value * (1.0 - 1e-9):
            copy(old, x)
            row_residual(y, basis, x, residual)
            break
        value = new
    return value


@jit()
def _l1(y, basis, scale, reach, enough, weight, gram, x, residual, buffer):
    """Improve x to least absolute deviations by re-weighting; the floor falls from the median residual to `scale`.

    It ends where more than `enough` residuals are within `reach`; returns whether they are. Those of a direction of few
    entries fall more slowly than the others: a step of least squares on all that are near follows.
    """
    row_residual(y, basis, x, residual)
    floor = max(_smallest(residual, (residual.shape[0] + 1) // 2), scale)
    last = floor
    for _ in range(30):
        for p in range(residual.shape[0]):
            weight[p] = 1.0 / max(abs(residual[p]), floor)
        weighted_fit(y, basis, weight, gram, x, buffer)
        row_residual(y, basis, x, residual)
        met = count_within(residual, reach)
        if met > enough:
            mark_within(residual, _CLOSE * floor, weight)
            old = x.copy()
            weighted_fit(y, basis, weight, gram, x, buffer)
            row_residual(y, basis, x, residual)
            if count_within(residual, reach) <= met:
                copy(old, x)
                row_residual(y, basis, x, residual)
            return True
        if last == scale:
            break
        last = floor
        floor = max(0.6 * floor, scale)
    return False


@jit()
def _take_some(y, basis, some_y, some):
    """Copy as many entries of a row as there is room for, spread evenly."""
    for p in range(some_y.shape[0]):
        pick = place_of(p, y.shape[0])
        some_y[p] = y[pick]
        for c in range(basis.shape[0]):
            some[c, p] = basis[c, pick]


@jit()
def starts_needed(share, rank):
    """Random subsets of `rank` entries until one holds only inliers, which are this share of the row."""
    return np.int64(max(np.log(_MISSED) / np.log1p(-min(share**rank, 0.999)), 20.0))


def start_work(length, rank):
    """Multiplications of one random start of a row in :func:`regress_rows`, at most."""
    return length * (rank + 1) + rank**3


@jit(fastmath=REASSOCIATE)
def _bisquare(residual, width, weight):
    """Bisquare weights w of residuals r; returns the sum of w, and that of the slopes of r w.

    No loop both stores and adds up: its sums would depend on the addresses of the arrays.
    """
    total = slope = 0.0
    for p in range(residual.shape[0]):
        square = min((residual[p] / width) ** 2, 1.0)  # beyond it may overflow
        total += (1.0 - square) ** 2
        slope += (1.0 - square) * (1.0 - 5.0 * square)
    for p in range(residual.shape[0]):
        square = min((residual[p] / width) ** 2, 1.0)
        weight[p] = (1.0 - square) ** 2
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
        weighted_fit(y, basis, weight, gram, x, buffer)
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
        row_residual(y, basis, x, residual)
        value = _capped_loss(residual, scale)
        if value > best_loss * (1.0 + 1e-2):
            break
        best_loss = min(value, best_loss)
        copy(x, best)
        if moved * size <= _STEP**2:
            break


@jit()
def regress_rows(indptr, cols, y, basis, scale, reach, n_starts, shared, efficient, rows, factors, met):
    """Regress the observed entries of some rows on a fixed basis robustly, each row alone.

    Row i has coefficients x, its entry in column j is y ~ basis_j . x; the capped squared loss at `scale` is minimised.
    Starts: factors[i] as given (alone if not zero and `n_starts` is 0), and iteratively re-weighted l1 from
    least squares, concentrated on its smaller residuals (in a long row, first on a sample of the entries). While no
    start meets so many entries that any other fit to as many must be the same (a `shared` share of them may be in a
    hyperplane), up to `n_starts` random subsets of as many entries as coefficients follow. `efficient`: the best is
    refined by bisquare re-weighting; else the l1 estimate is kept, for data that are only nearly low-rank. Writes
    factors[i]; met[i] counts the entries within `reach`.
    """
    k = basis.shape[1]
    gram, x, best, trial = np.empty((k, k)), np.empty(k), np.empty(k), np.empty(k)
    m = 200 + 40 * k
    sample, sample_y = np.empty((k, m)), np.empty(m)
    b_i, known = np.empty((k, 0)), cols[:0]
    weight, residual, buffer = np.empty(0), np.empty(0), np.empty(0)
    none, few_steps, steps = np.int64(0), np.int64(2), np.int64(10)  # one type: each literal would be compiled
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
            gather(known, basis, b_i)
        y_i = y[lo:hi]
        # two fits that both meet more entries than this have at least k in common, or more than a hyperplane may hold:
        # they are the same
        enough = np.int64((n + max(k, shared * n)) // 2)
        copy(factors[i], best)
        given, found = np.any(best), False
        alone = given and n_starts == 0
        if efficient and n > 2 * m and not alone:  # a sample gives a start to refine on all entries
            _take_some(y_i, b_i, sample_y, sample)
            part = weight[:m], gram, x
            weight[:m] = 1.0
            weighted_fit(sample_y, sample, *part, buffer)
            row_residual(sample_y, sample, x, residual[:m])
            if count_within(residual[:m], reach) < m:
                most = np.int64((m + max(k, shared * m)) // 2)
                if not _l1(sample_y, sample, scale, reach, most, *part, residual[:m], buffer):
                    _concentrate(sample_y, sample, scale, steps, *part, residual[:m], buffer)
                value = _capped_loss(residual[:m], scale)
                _refine(sample_y, sample, scale, value, weight[:m], gram, trial, x, residual[:m], buffer)
                row_residual(y_i, b_i, x, residual)
                found = enough < count_within(residual, reach) < n
        if not found:
            weight[:] = 1.0
            weighted_fit(y_i, b_i, weight, gram, x, buffer)
            row_residual(y_i, b_i, x, residual)
            if count_within(residual, reach) == n:  # no gross error: least squares
                copy(x, factors[i])
                met[i] = n
                continue
            if not (alone or efficient):
                _l1(y_i, b_i, scale, reach, n, weight, gram, x, residual, buffer)
                copy(x, best)
            elif not (alone or _l1(y_i, b_i, scale, reach, enough, weight, gram, x, residual, buffer)):
                _concentrate(y_i, b_i, scale, steps, weight, gram, x, residual, buffer)
        value, best_loss = _capped_loss(residual, scale), np.inf
        if given:
            row_residual(y_i, b_i, best, residual)
            best_loss = _concentrate(y_i, b_i, scale, steps if alone else none, weight, gram, best, residual, buffer)
        if efficient and not alone and value < best_loss:
            best_loss = value
            copy(x, best)
        row_residual(y_i, b_i, best, residual)
        if efficient and n > k and count_within(residual, reach) <= enough:
            state, order = first_state(n), np.arange(n)
            n_few = _FEW if n > 2 * _FEW else 0
            few, few_y = np.empty((k, n_few)), np.empty(n_few)
            _take_some(y_i, b_i, few_y, few)
            # one that is better meets more, and in a long row one subset of its inliers is enough to find it
            usual, share = starts_needed(LEAST_INLIERS, k), max(count_within(residual, reach) / n, LEAST_INLIERS)
            needed = max(n_starts, usual) * starts_needed(share, k) // usual if n_few else n_starts
            for _ in range(min(n_starts, needed)):
                regular, state = interpolate(order, state, y_i, b_i, gram, x)
                if not regular:
                    continue
                # one that is as good as the best is as good on few, but for four standard deviations
                row_residual(few_y, few, x, residual[:n_few])
                if _capped_loss(residual[:n_few], scale) > best_loss * n_few / n + 2.0 * np.sqrt(n_few):
                    continue
                row_residual(y_i, b_i, x, residual)
                if _capped_loss(residual, scale) < best_loss:
                    best_loss = _concentrate(y_i, b_i, scale, few_steps, weight, gram, x, residual, buffer)
                    copy(x, best)
                    if count_within(residual, reach) > enough:
                        break
            row_residual(y_i, b_i, best, residual)
        if efficient:
            _refine(y_i, b_i, scale, best_loss, weight, gram, x, best, residual, buffer)
            row_residual(y_i, b_i, best, residual)
        copy(best, factors[i])
        met[i] = count_within(residual, reach)
