"""Small algebra on factor pairs: leading singular triplets, balanced truncation, orthonormal bases, retraction."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, svds

from .threads import aside

# A dense array of at most this many numbers is decomposed whole; larger ones by Lanczos iteration.
_DENSE_SVD_SIZE = 250_000


def product_svd(left, right, k=None, *, symmetric=False):
    """Singular value decomposition of left right^T through thin QR factorisations.

    Returns (u, s, v) with at most `k` triplets. With ``symmetric=True`` the product is symmetric; its
    part that is not positive semi-definite is dropped (zero singular values) and v equals u.
    """
    q_left, r_left = np.linalg.qr(left)
    q_right, r_right = np.linalg.qr(right)
    core = r_left @ r_right.T
    try:
        u, s, vt = np.linalg.svd(core, full_matrices=False)
    except np.linalg.LinAlgError:  # divide and conquer fails on a rare finite matrix; QR iteration does not
        u, s, vt = linalg.svd(core, full_matrices=False, lapack_driver="gesvd")
    k = len(s) if k is None else min(k, len(s))
    u, s, v = q_left @ u[:, :k], s[:k], q_right @ vt[:k].T
    if symmetric:
        s = np.where(np.einsum("ij,ij->j", u, v) < 0, 0.0, s).astype(s.dtype)
        v = u
    return u, s, v


def product_spectrum(left, right):
    """Singular values of left right^T, in the width of the factors."""
    r_left, r_right = np.linalg.qr(left)[1], np.linalg.qr(right)[1]
    return np.linalg.svd(r_left @ r_right.T, compute_uv=False)


def retract(u, m, v, n, k, *, symmetric=False):
    """Nearest rank-k matrix to the tangent point m v^T + u n^T, as (u, s, v)."""
    return product_svd(np.hstack([m, u]), np.hstack([v, n]), k, symmetric=symmetric)


def degrees_of_freedom(shape, k, *, symmetric=False):
    """Dimension of the rank-k matrices of this shape (of the symmetric ones)."""
    if symmetric:
        return k * shape[0] - k * (k - 1) // 2
    return k * (shape[0] + shape[1] - k)


def truncated_svd(matrix, k):
    """Return the k leading singular triplets (u, s, v), deterministic."""
    k = min(k, *matrix.shape)
    if np.prod(matrix.shape, dtype=float) <= _DENSE_SVD_SIZE or 3 * k > min(matrix.shape):
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        u, s, vt = aside(np.linalg.svd, dense, full_matrices=False)
        return u[:, :k], s[:k], vt[:k].T
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))
    dtype = matrix.dtype
    matrix = matrix.astype(np.float64, copy=False)
    ahead, back = matrix.__matmul__, matrix.T.__matmul__  # SciPy would keep copies of the matrix for the way back
    products = LinearOperator(matrix.shape, ahead, back, ahead, np.float64, back)
    u, s, vt = svds(products, k, v0=start)
    order = np.argsort(-s)
    return u[:, order].astype(dtype), s[order].astype(dtype), vt[order].T.astype(dtype)
