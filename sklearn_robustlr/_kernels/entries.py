"""Numba kernels on the observed entries of a matrix: counts, flags, folds, residuals."""

from __future__ import annotations

import numpy as np

from .jit import REASSOCIATE, jit

# What rounding leaves of a direction that is not there, in units of its square.
_ROUNDING = 1e-12
# Entries, in units of the number of coefficients, that mostly tell these.
_TRIED = 4


@jit()
def deal_entries(order, rows, cols, in_row, in_col, held_row, held_col, fold):
    """Deal entries one by one, each to the fold that holds the fewest of its row, of its column and of all.

    `in_row` and `in_col` count the entries of each row and column, `held_row` and `held_col` (n, n_folds) those that
    each fold holds, zeros at the start. The last entry of a row or column goes to a fold that does not hold all others
    of it. Of three folds, there is always one that satisfies both the row and the column.
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
    """Add the flagged entries of each row and of each column to the given counts."""
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            in_row[i] += flags[p]
            in_col[cols[p]] += flags[p]


@jit()
def spread_flags(indptr, cols, flags, out):
    """Write the flags of entries into a matrix."""
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            out[i, cols[p]] = flags[p]


@jit()
def rows_residual(indptr, cols, y, basis, factors, residual):
    """Compute the residual basis_j . x_i - y of the entries of rows."""
    for i in range(factors.shape[0]):
        for p in range(indptr[i], indptr[i + 1]):
            j = cols[p]
            total = -y[p]
            for c in range(factors.shape[1]):
                total += factors[i, c] * basis[j, c]
            residual[p] = total


@jit()
def _spans(gram):
    """Whether a symmetric matrix, of which the lower half is overwritten, has no direction that is but rounding."""
    k = gram.shape[0]
    for a in range(k):
        whole = gram[a, a]
        for b in range(a):
            for c in range(b):
                gram[a, b] -= gram[a, c] * gram[b, c]
            gram[a, b] /= gram[b, b]
            gram[a, a] -= gram[a, b] ** 2
        if not gram[a, a] > _ROUNDING * whole:
            return False
        gram[a, a] = np.sqrt(gram[a, a])
    return True


@jit()
def limit_met(indptr, cols, residual, reach, basis, met):
    """Count no more than k met entries of a row where the basis there, (columns, k), does not tell k coefficients.

    The first few mostly tell them.
    """
    k = basis.shape[1]
    gram = np.empty((k, k))
    for i in range(met.shape[0]):
        gram[:] = 0.0
        count, spans = 0, met[i] <= k
        for p in range(indptr[i], indptr[i + 1]):
            if spans:
                break
            if abs(residual[p]) <= reach:
                j = cols[p]
                for a in range(k):
                    for b in range(a + 1):
                        gram[a, b] += basis[j, a] * basis[j, b]
                count += 1
                if count == _TRIED * k:
                    spans = _spans(gram.copy())
        if not (spans or _spans(gram)):
            met[i] = k


@jit()
def spanned_columns(first, indptr, cols, flags, left, spanned):
    """Tell which columns, from a `first` one, have entries, none of the flagged ones, in rows that span all directions.

    `left` has the coefficients of the rows, (rows, k). The first few rows of a column mostly span them.
    """
    p, k = spanned.shape[0], left.shape[1]
    grams, count = np.zeros((p, k, k)), np.zeros(p, np.int64)
    spanned[:] = False
    for i in range(left.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            j = cols[e] - first
            if 0 <= j < p and not (flags[e] or spanned[j]):
                for a in range(k):
                    for b in range(a + 1):
                        grams[j, a, b] += left[i, a] * left[i, b]
                count[j] += 1
                if count[j] == _TRIED * k:
                    spanned[j] = _spans(grams[j].copy())
    for j in range(p):
        spanned[j] = spanned[j] or _spans(grams[j])


@jit()
def count_met(indptr, residual, scale, reach, k, shared, met, good):
    """Count the entries of each row within `reach`; `good` where no other fit of k coefficients could do better.

    A row is good where any fit that meets as many entries would have k of them in common with this one, or more than
    the `shared` share of them, which may be in a hyperplane, and this one meets its entries by far less than the scale.
    """
    for i in range(met.shape[0]):
        count, total = 0, 0.0
        for p in range(indptr[i], indptr[i + 1]):
            if abs(residual[p]) <= reach:
                count += 1
                total += (residual[p] / scale) ** 2
        met[i] = count
        n = indptr[i + 1] - indptr[i]
        good[i] = 2 * count > n + max(k, shared * n) and total <= 0.01 * count


@jit(fastmath=REASSOCIATE)
def full_residual(y, basis, factors, residual):
    """Compute the residual of rows without missing entries, for a transposed `basis` (k x n)."""
    n = basis.shape[1]
    for i in range(factors.shape[0]):
        own, rest, x = y[i * n : (i + 1) * n], residual[i * n : (i + 1) * n], factors[i]
        for p in range(n):
            rest[p] = -own[p]
        for c in range(x.shape[0]):
            for p in range(n):
                rest[p] += x[c] * basis[c, p]


@jit(fastmath=REASSOCIATE)
def judge_full(y, basis, factors, scale, reach, threshold, shared, met, good, beyond):
    """Count what rows without missing entries meet, as :func:`count_met` does, in one pass.

    `basis` is transposed (k x n). Where `beyond` has room, the entries with a residual beyond the threshold are marked.
    """
    k, n = basis.shape
    rest, unit = np.empty(n), 1.0 / scale
    most = (reach * unit) ** 2
    for i in range(factors.shape[0]):
        own, x = y[i * n : (i + 1) * n], factors[i]
        for p in range(n):
            rest[p] = -own[p]
        for c in range(k):
            for p in range(n):
                rest[p] += x[c] * basis[c, p]
        count, total = 0, 0.0
        for p in range(n):
            size = abs(rest[p])
            count += size <= reach
            total += (min(size, reach) * unit) ** 2
        met[i] = count
        good[i] = 2 * count > n + max(k, shared * n) and total - (n - count) * most <= 0.01 * count
        if beyond.shape[0]:
            flags = beyond[i * n : (i + 1) * n]
            for p in range(n):
                flags[p] = abs(rest[p]) > threshold


@jit()
def count_full_flags(flags, rows, columns):
    """Count the flags of each row and of each column of a whole matrix."""
    columns[:] = 0
    for i in range(flags.shape[0]):
        own, total = flags[i], 0
        for j in range(own.shape[0]):
            total += own[j]
            columns[j] += own[j]
        rows[i] = total
