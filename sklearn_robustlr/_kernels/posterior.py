"""Numba kernels of the low-rank model: posteriors of coefficients, and variances of entries."""

import numpy as np

from .jit import REASSOCIATE, jit


@jit(fastmath=REASSOCIATE)
def posterior_rows(indptr, others, target, weight, basis, spread, prior, mean, cov):
    """Compute posterior mean and covariance of the coefficients of each row, under a Gaussian prior of mean zero.

    Entry p of row i is target_p ~ basis_j . x_i with precision weight_p, where j = others_p and basis_j itself has the
    covariance spread_j. The precision of x_i is diag(prior) + sum_p weight_p (basis_j basis_j^T + spread_j). Columns
    are treated alike, with the entries in the order of the columns.
    """
    k = basis.shape[1]
    moment = np.empty(k)
    for i in range(indptr.shape[0] - 1):
        g = cov[i]
        g[:] = 0.0
        moment[:] = 0.0
        for c in range(k):
            g[c, c] = prior[c]
        for p in range(indptr[i], indptr[i + 1]):
            w = weight[p]
            if w == 0.0:
                continue
            b, s = basis[others[p]], spread[others[p]]
            for c in range(k):
                t = w * b[c]
                moment[c] += t * target[p]
                for d in range(c + 1):
                    g[c, d] += t * b[d] + w * s[c, d]
        for c in range(k):  # Cholesky factor, in the lower triangle
            for d in range(c):
                total = g[c, d]
                for e in range(d):
                    total -= g[c, e] * g[d, e]
                g[c, d] = total / g[d, d]
            total = g[c, c]
            for e in range(c):
                total -= g[c, e] * g[c, e]
            g[c, c] = np.sqrt(max(total, 1e-300))
        for c in range(k):  # its inverse, in its place
            g[c, c] = 1.0 / g[c, c]
            for d in range(c):
                total = 0.0
                for e in range(d, c):
                    total -= g[c, e] * g[e, d]
                g[c, d] = total * g[c, c]
        for c in range(k):  # the covariance, in the upper triangle; a diagonal entry is overwritten last
            for d in range(c + 1):
                total = 0.0
                for e in range(c, k):
                    total += g[e, c] * g[e, d]
                g[d, c] = total
        for c in range(k):
            for d in range(c):
                g[c, d] = g[d, c]
        for c in range(k):
            total = 0.0
            for d in range(k):
                total += g[c, d] * moment[d]
            mean[i, c] = total


@jit(fastmath=REASSOCIATE)
def entry_variances(indptr, cols, left, left_cov, right, right_cov, out):
    """Compute the variance v^T C v + u^T D u + tr(C D) of u . v at each entry, C and D the covariances of u and v."""
    k = left.shape[1]
    for i in range(indptr.shape[0] - 1):
        u, c_i = left[i], left_cov[i]
        for p in range(indptr[i], indptr[i + 1]):
            v, d_j = right[cols[p]], right_cov[cols[p]]
            total = 0.0
            for c in range(k):
                for d in range(k):
                    total += c_i[c, d] * (v[c] * v[d] + d_j[c, d]) + u[c] * u[d] * d_j[c, d]
            out[p] = total
