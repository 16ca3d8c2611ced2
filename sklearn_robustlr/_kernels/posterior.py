"""Numba kernels of the low-rank model: posteriors of coefficients, and variances of entries.

A symmetric k x k matrix is packed: its lower triangle row by row, k (k + 1) / 2 numbers, so that loops over it are long
and without gaps.
"""

import numpy as np

from .jit import REASSOCIATE, jit

# Matrices that are inverted side by side, half as many if there are no more, and least pivot in units of the diagonal.
_LANES, _LEAST_PIVOT = 32, 1e-14
# Numbers that fit into the caches, and entries whose second moments are summed up at a time.
_CACHED, _AT_A_TIME = 1 << 18, 128
#: Fall of the squared residual of the normal equations, in units of the diagonal, at which conjugate gradients end.
FALL = 1e-6


@jit(fastmath=REASSOCIATE)
def second_moments(mean, cov, out):
    """Compute mean mean^T + cov of each row, packed."""
    n, k = mean.shape
    for i in range(n):
        r = 0
        for c in range(k):
            for d in range(c + 1):
                out[i, r] = mean[i, c] * mean[i, d] + cov[i, r]
                r += 1


@jit(fastmath=REASSOCIATE)
def _invert_lanes(g, floor, pivot, reciprocal, factor):
    """Invert minus symmetric positive definite matrices side by side, lower triangles of g (k, k, lanes), in place.

    Gauss-Jordan elimination without a choice of pivots, which such matrices do not need. The inner loops go over the
    lanes: they are long, and the same in all. A pivot is at least `floor`, of each diagonal element, where rounding
    has eaten it. `pivot` (k, lanes), `reciprocal` and `factor` (lanes) are overwritten.
    """
    k, n_lanes = g.shape[0], g.shape[2]
    for c in range(k):
        for d in range(k):
            source, row = g[max(c, d), min(c, d)], pivot[d]
            for i in range(n_lanes):
                row[i] = source[i]
        own, least = pivot[c], floor[c]
        for i in range(n_lanes):
            reciprocal[i] = 1.0 / max(own[i], least[i])
        for d in range(k):
            row = pivot[d]
            for i in range(n_lanes):
                factor[i] = row[i] * reciprocal[i]
            for e in range(d + 1):
                into, other = g[d, e], pivot[e]
                for i in range(n_lanes):
                    into[i] -= factor[i] * other[i]
        for d in range(k):
            into, row = g[max(c, d), min(c, d)], pivot[d]
            for i in range(n_lanes):
                into[i] = row[i] * reciprocal[i]
        into = g[c, c]
        for i in range(n_lanes):
            into[i] = -reciprocal[i]


@jit(fastmath=REASSOCIATE)
def solve_rows(prior, moment, mean, cov):
    """Compute the posterior mean and covariance of each row, of precision diag(prior) + what `cov` holds, packed.

    The precision times the mean is the `moment`. `cov` is overwritten by the covariance.
    """
    n, k = moment.shape
    most = _LANES if 2 * n > _LANES else _LANES // 2
    g, floor, pivot = np.empty((k, k, most)), np.empty((k, most)), np.empty((k, most))
    reciprocal, factor = np.empty(most), np.empty(most)
    for first in range(0, n, most):
        n_lanes = min(most, n - first)
        for lane in range(most):
            packed = cov[first + min(lane, n_lanes - 1)]  # lanes beyond the last row repeat it
            r = 0
            for c in range(k):
                for d in range(c + 1):
                    g[c, d, lane] = packed[r]
                    r += 1
                g[c, c, lane] += prior[c]
                floor[c, lane] = _LEAST_PIVOT * g[c, c, lane]
        _invert_lanes(g, floor, pivot, reciprocal, factor)
        for lane in range(n_lanes):
            b, x, packed = moment[first + lane], mean[first + lane], cov[first + lane]
            x[:] = 0.0
            r = 0
            for c in range(k):
                for d in range(c):
                    value = -g[c, d, lane]
                    packed[r] = value
                    x[c] += value * b[d]
                    x[d] += value * b[c]
                    r += 1
                packed[r] = -g[c, c, lane]
                x[c] += packed[r] * b[c]
                r += 1


@jit()
def _are_diagonal(packed, k):
    """Whether all of these packed k x k matrices are diagonal."""
    for i in range(packed.shape[0]):
        own, r = packed[i], 0
        for c in range(k):
            for _ in range(c):
                if own[r] != 0.0:
                    return False
                r += 1
            r += 1
    return True


@jit(fastmath=REASSOCIATE)
def _sum_moments(indptr, others, target, weight, basis, spread, moment, cov):
    """Sum up precisions and moments of rows as :func:`posterior_rows` does, where `spread` is diagonal.

    Second moments of a large basis do not fit into the caches: they are computed anew, of some entries at a time.
    """
    n, k = moment.shape
    some, weighted, own = np.empty((k, _AT_A_TIME)), np.empty(_AT_A_TIME), np.empty(k)
    for i in range(n):
        total, b = cov[i], moment[i]
        own[:] = 0.0
        for lo in range(indptr[i], indptr[i + 1], _AT_A_TIME):
            size = min(_AT_A_TIME, indptr[i + 1] - lo)
            some_weight, some_target, scaled = weight[lo : lo + size], target[lo : lo + size], weighted[:size]
            for p in range(size):
                other, packed, w = basis[others[lo + p]], spread[others[lo + p]], some_weight[p]
                for c in range(k):
                    some[c, p] = other[c]
                    own[c] += w * packed[c * (c + 3) // 2]
            r = 0
            for c in range(k):
                one, sum_of = some[c, :size], 0.0
                for p in range(size):
                    scaled[p] = some_weight[p] * one[p]
                    sum_of += scaled[p] * some_target[p]
                b[c] += sum_of
                for d in range(c + 1):
                    two, sum_of = some[d, :size], 0.0
                    for p in range(size):
                        sum_of += scaled[p] * two[p]
                    total[r] += sum_of
                    r += 1
        for c in range(k):
            total[c * (c + 3) // 2] += own[c]


@jit(fastmath=REASSOCIATE)
def posterior_rows(indptr, others, target, weight, basis, spread, prior, mean, cov):
    """Compute posterior mean and covariance of the coefficients of each row, under a Gaussian prior of mean zero.

    Entry p of row i is target_p ~ basis_j . x_i with precision weight_p, where j = others_p and basis_j itself has the
    covariance spread_j. The precision of x_i is diag(prior) + sum_p weight_p (basis_j basis_j^T + spread_j). Columns
    are treated alike, with the entries in the order of the columns. `spread` and `cov` are packed.
    """
    n, k = indptr.shape[0] - 1, basis.shape[1]
    moment = np.zeros((n, k))
    cov[:] = 0.0
    if spread.size > _CACHED and _are_diagonal(spread, k):
        _sum_moments(indptr, others, target, weight, basis, spread, moment, cov)
        solve_rows(prior, moment, mean, cov)
        return
    second = np.empty_like(spread)
    second_moments(basis, spread, second)
    for i in range(n):
        total, b = cov[i], moment[i]
        for p in range(indptr[i], indptr[i + 1]):
            w = weight[p]
            if w == 0.0:
                continue
            other, s, t = basis[others[p]], second[others[p]], w * target[p]
            for r in range(s.shape[0]):
                total[r] += w * s[r]
            for c in range(k):
                b[c] += t * other[c]
    solve_rows(prior, moment, mean, cov)


@jit(fastmath=REASSOCIATE)
def relax_rows(first, last, indptr, others, target, weight, basis, spread, prior, n_steps, mean, variance):
    """Improve the posterior means of the coefficients of the rows first to last by steps of conjugate gradients.

    The model is that of :func:`posterior_rows`, with diagonal covariances: `spread` (others, k) are variances of the
    basis. The inverses of the diagonals of the precisions are the `variance` of coefficients where each is apart from
    the others. Takes O(k) an entry and step, from the `mean` that is given.
    """
    k = basis.shape[1]
    inverse, ridge, rest, ahead, moved = np.empty(k), np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    for i in range(first, last):
        x = mean[i]
        ridge[:] = prior
        inverse[:] = 0.0
        rest[:] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            w, other, s = weight[p], basis[others[p]], spread[others[p]]
            e = 0.0
            for c in range(k):
                e += other[c] * x[c]
            e = w * (target[p] - e)
            for c in range(k):
                rest[c] += e * other[c]
                inverse[c] += w * other[c] * other[c]
            for c in range(k):  # apart: loops over few arrays are vectorised
                ridge[c] += w * s[c]
        size = 0.0
        for c in range(k):
            rest[c] -= ridge[c] * x[c]
            inverse[c] = 1.0 / (inverse[c] + ridge[c])
            variance[i, c] = inverse[c]
            ahead[c] = inverse[c] * rest[c]
            size += rest[c] * ahead[c]
        least = FALL * size
        for _ in range(n_steps):
            if not size > least:
                break
            for c in range(k):
                moved[c] = ridge[c] * ahead[c]
            for p in range(indptr[i], indptr[i + 1]):
                other = basis[others[p]]
                e = 0.0
                for c in range(k):
                    e += other[c] * ahead[c]
                e *= weight[p]
                for c in range(k):
                    moved[c] += e * other[c]
            power = 0.0
            for c in range(k):
                power += ahead[c] * moved[c]
            step, before = size / power, size
            size = 0.0
            for c in range(k):
                x[c] += step * ahead[c]
                rest[c] -= step * moved[c]
                size += inverse[c] * rest[c] * rest[c]
            for c in range(k):
                ahead[c] = inverse[c] * rest[c] + size / before * ahead[c]


@jit(fastmath=REASSOCIATE)
def diagonal_moments(first, last, indptr, cols, left, left_var, right, right_var, mean, variance):
    """Compute what :func:`entry_moments` does, of the rows first to last, where all covariances are diagonal."""
    for i in range(first, last):
        u, c_i = left[i], left_var[i]
        for p in range(indptr[i], indptr[i + 1]):
            v, d_j = right[cols[p]], right_var[cols[p]]
            product = 0.0
            total = 0.0
            for c in range(u.shape[0]):
                product += u[c] * v[c]
                total += c_i[c] * (v[c] * v[c] + d_j[c]) + u[c] * u[c] * d_j[c]
            mean[p] = product
            variance[p] = total


@jit(fastmath=REASSOCIATE)
def entry_means(indptr, cols, left, right, mean):
    """Compute the mean u . v of each entry."""
    for i in range(indptr.shape[0] - 1):
        u = left[i]
        for p in range(indptr[i], indptr[i + 1]):
            v = right[cols[p]]
            total = 0.0
            for c in range(u.shape[0]):
                total += u[c] * v[c]
            mean[p] = total


@jit(fastmath=REASSOCIATE)
def entry_moments(indptr, cols, left, left_cov, right, right_cov, mean, variance):
    """Compute the mean u . v and the variance v^T C v + u^T D u + tr(C D) of each entry.

    C and D are the covariances of u and v, packed.
    """
    k = left.shape[1]
    second = np.empty_like(right_cov)
    second_moments(right, right_cov, second)
    own, both = np.empty(left_cov.shape[1]), np.empty(left_cov.shape[1])
    for i in range(indptr.shape[0] - 1):
        u, c_i = left[i], left_cov[i]
        r = 0
        for c in range(k):
            for d in range(c + 1):  # what is off the diagonal counts twice
                twice = 1.0 if c == d else 2.0
                own[r] = twice * c_i[r]
                both[r] = twice * u[c] * u[d]
                r += 1
        for p in range(indptr[i], indptr[i + 1]):
            v, m_j, d_j = right[cols[p]], second[cols[p]], right_cov[cols[p]]
            total = 0.0
            for c in range(k):
                total += u[c] * v[c]
            mean[p] = total
            total = 0.0
            for r in range(own.shape[0]):
                total += own[r] * m_j[r] + both[r] * d_j[r]
            variance[p] = total
