"""Numba kernels of the low-rank model: posteriors of coefficients, and variances of entries.

A symmetric k x k matrix is packed: its lower triangle row by row, k (k + 1) / 2 numbers, so that loops over it are long
and without gaps.
"""

import numpy as np

from .jit import REASSOCIATE, jit


@jit(fastmath=REASSOCIATE)
def _second_moments(mean, cov):
    """Return mean mean^T + cov of each row, packed."""
    n, k = mean.shape
    out = np.empty_like(cov)
    for i in range(n):
        r = 0
        for c in range(k):
            for d in range(c + 1):
                out[i, r] = mean[i, c] * mean[i, d] + cov[i, r]
                r += 1
    return out


@jit(fastmath=REASSOCIATE)
def _invert_four(g):
    """Invert four symmetric positive definite matrices side by side, lower triangles of g (k, k, 4), in place.

    Four sums at a time fill a vector register, which the sums of one matrix, short and of odd lengths, do not.
    """
    k = g.shape[0]
    for c in range(k):  # the Cholesky factor L, with the reciprocals of its diagonal
        for d in range(c + 1):
            t0, t1, t2, t3 = g[c, d, 0], g[c, d, 1], g[c, d, 2], g[c, d, 3]
            for e in range(d):
                t0 -= g[c, e, 0] * g[d, e, 0]
                t1 -= g[c, e, 1] * g[d, e, 1]
                t2 -= g[c, e, 2] * g[d, e, 2]
                t3 -= g[c, e, 3] * g[d, e, 3]
            if d < c:
                g[c, d, 0], g[c, d, 1] = t0 * g[d, d, 0], t1 * g[d, d, 1]
                g[c, d, 2], g[c, d, 3] = t2 * g[d, d, 2], t3 * g[d, d, 3]
            else:
                g[c, c, 0], g[c, c, 1] = 1.0 / np.sqrt(max(t0, 1e-300)), 1.0 / np.sqrt(max(t1, 1e-300))
                g[c, c, 2], g[c, c, 3] = 1.0 / np.sqrt(max(t2, 1e-300)), 1.0 / np.sqrt(max(t3, 1e-300))
    for c in range(k):  # the transpose of its inverse, in the upper triangle
        for d in range(c):
            t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
            for e in range(d, c):
                t0 -= g[c, e, 0] * g[d, e, 0]
                t1 -= g[c, e, 1] * g[d, e, 1]
                t2 -= g[c, e, 2] * g[d, e, 2]
                t3 -= g[c, e, 3] * g[d, e, 3]
            g[d, c, 0], g[d, c, 1] = t0 * g[c, c, 0], t1 * g[c, c, 1]
            g[d, c, 2], g[d, c, 3] = t2 * g[c, c, 2], t3 * g[c, c, 3]
    for d in range(k):  # its product with its transpose, in the lower triangle; the diagonal is overwritten last
        for c in range(k - 1, d - 1, -1):
            t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
            for e in range(c, k):
                t0 += g[c, e, 0] * g[d, e, 0]
                t1 += g[c, e, 1] * g[d, e, 1]
                t2 += g[c, e, 2] * g[d, e, 2]
                t3 += g[c, e, 3] * g[d, e, 3]
            g[c, d, 0], g[c, d, 1], g[c, d, 2], g[c, d, 3] = t0, t1, t2, t3


@jit(fastmath=REASSOCIATE)
def posterior_rows(indptr, others, target, weight, basis, spread, prior, mean, cov):
    """Compute posterior mean and covariance of the coefficients of each row, under a Gaussian prior of mean zero.

    Entry p of row i is target_p ~ basis_j . x_i with precision weight_p, where j = others_p and basis_j itself has the
    covariance spread_j. The precision of x_i is diag(prior) + sum_p weight_p (basis_j basis_j^T + spread_j). Columns
    are treated alike, with the entries in the order of the columns. `spread` and `cov` are packed.
    """
    n, k = indptr.shape[0] - 1, basis.shape[1]
    second = _second_moments(basis, spread)
    total, moment, g = np.empty(spread.shape[1]), np.empty((4, k)), np.empty((k, k, 4))
    for first in range(0, n, 4):
        for lane in range(4):
            b = moment[lane]
            total[:] = 0.0
            b[:] = 0.0
            i = first + lane
            for p in range(indptr[min(i, n)], indptr[min(i + 1, n)]):  # lanes beyond the last row have no entry
                w = weight[p]
                if w == 0.0:
                    continue
                other, s, t = basis[others[p]], second[others[p]], w * target[p]
                for r in range(s.shape[0]):
                    total[r] += w * s[r]
                for c in range(k):
                    b[c] += t * other[c]
            r = 0
            for c in range(k):
                for d in range(c + 1):
                    g[c, d, lane] = total[r]
                    r += 1
                g[c, c, lane] += prior[c]
        _invert_four(g)
        for lane in range(min(4, n - first)):
            b, x, packed = moment[lane], mean[first + lane], cov[first + lane]
            x[:] = 0.0
            r = 0
            for c in range(k):
                for d in range(c):
                    value = g[c, d, lane]
                    packed[r] = value
                    x[c] += value * b[d]
                    x[d] += value * b[c]
                    r += 1
                packed[r] = g[c, c, lane]
                x[c] += g[c, c, lane] * b[c]
                r += 1


@jit(fastmath=REASSOCIATE)
def entry_moments(indptr, cols, left, left_cov, right, right_cov, mean, variance):
    """Compute the mean u . v and the variance v^T C v + u^T D u + tr(C D) of each entry.

    C and D are the covariances of u and v, packed.
    """
    k = left.shape[1]
    second = _second_moments(right, right_cov)
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
