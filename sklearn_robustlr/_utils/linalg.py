"""Linear algebra on pairs of factors: singular values and vectors, truncation, retraction to a fixed rank."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, svds

from .threads import aside


class _Lapack(NamedTuple):
    """Functions of LAPACK."""

    geqrf: Any
    orgqr: Any
    gesdd: Any
    gesdd_lwork: Any


# A matrix of at most this many numbers is decomposed whole, a larger one by Lanczos iteration.
_DENSE_SVD_SIZE = 250_000
# Smaller side of a matrix up to which its largest singular value is that of a Gram matrix. Tolerances of the Lanczos
# iteration beyond, for values, and with vectors: of 1000 x 1000 random numbers the value is right to 6e-9, and the
# vectors are to 1e-5, in half the iterations that all digits take.
_GRAM_SIZE, _LOOSE, _CLOSE = 500, 1e-2, 1e-3
# Size of a matrix times its smaller side up to which it is decomposed in some milliseconds: Ctrl-C can wait.
_SHORT = 1e6
# LAPACK itself, in double precision: the ways of numpy there take longer than small decompositions.
_LAPACK = _Lapack(*linalg.get_lapack_funcs(("geqrf", "orgqr", "gesdd", "gesdd_lwork"), dtype=np.float64))
# Columns that it factorises at a time.
_BLOCK = 32
# Share of a sparse matrix that is stored from which its products are those of a dense one: of 1000 x 1000 numbers these
# take a fifth of the time.
_FULL = 0.25


class SVD(NamedTuple):
    """Singular triplets of a matrix, X = u diag(s) v^T."""

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray


def product_svd(left: np.ndarray, right: np.ndarray, k: int | None = None, *, symmetric: bool = False) -> SVD:
    """Return the singular value decomposition of left right^T, through thin QR factorisations.

    At most `k` triplets are returned. With `symmetric`, the product is symmetric: its part that is not positive
    semi-definite is dropped (its singular values become zero), and v equals u.
    """
    (q_left, r_left), (q_right, r_right) = _orthogonal(left), _orthogonal(right)
    u, s, vt = _thin_svd(r_left @ r_right.T)
    k = len(s) if k is None else min(k, len(s))
    u, s, v = q_left @ u[:, :k], s[:k], q_right @ vt[:k].T
    if symmetric:
        s = np.where(np.einsum("ij,ij->j", u, v) < 0, 0.0, s).astype(s.dtype)
        v = u
    return SVD(u, s, v)


def product_spectrum(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the singular values of left right^T, as many as the factors have columns."""
    r_left, r_right = (_triangular(factor).upper for factor in (left, right))
    return np.linalg.svd(r_left @ r_right.T, compute_uv=False)


class _Triangular(NamedTuple):
    """The triangle R of a thin QR factorisation, and what LAPACK holds Q by, in double precision."""

    upper: np.ndarray
    reflectors: np.ndarray
    tau: np.ndarray


def _triangular(matrix: np.ndarray) -> _Triangular:
    """Thin QR factorisation, without Q: that of :mod:`numpy`, which takes three times as long for a small matrix."""
    n_cols = matrix.shape[1]
    reflectors, tau, *_ = _LAPACK.geqrf(matrix, lwork=max(_BLOCK * n_cols, 1))
    upper = np.ascontiguousarray(reflectors[: len(tau)]) * _upper(len(tau), n_cols)
    return _Triangular(upper.astype(matrix.dtype, copy=False), reflectors, tau)


def _orthogonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and R of a thin QR factorisation."""
    upper, reflectors, tau = _triangular(matrix)
    k = len(tau)
    q = _LAPACK.orgqr(reflectors[:, :k], tau, lwork=max(_BLOCK * k, 1))[0]
    return np.ascontiguousarray(q, dtype=matrix.dtype), upper


@cache
def _upper(n_rows: int, n_cols: int) -> np.ndarray:
    """Ones on and above the diagonal."""
    return np.triu(np.ones((n_rows, n_cols)))


def _thin_svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin singular value decomposition: that of :mod:`numpy`, in half the time for a small matrix."""
    if not matrix.size:
        return matrix, matrix.diagonal(), matrix
    u, s, vt, failed = _LAPACK.gesdd(matrix, full_matrices=False, lwork=_room_of_svd(*matrix.shape))
    if failed:  # divide and conquer fails on a rare finite matrix; QR iteration does not
        u, s, vt = linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    u, s, vt = (np.ascontiguousarray(part, dtype=matrix.dtype) for part in (u, s, vt))
    return u, s, vt


@cache
def _room_of_svd(n_rows: int, n_cols: int) -> int:
    """Numbers that LAPACK works with at most, as :mod:`numpy` lets it: its bits depend on that."""
    return int(_LAPACK.gesdd_lwork(n_rows, n_cols, full_matrices=False)[0].real)


def retract(u: np.ndarray, m: np.ndarray, v: np.ndarray, n: np.ndarray, k: int, *, symmetric: bool = False) -> SVD:
    """Return the nearest rank-k matrix to the tangent point m v^T + u n^T."""
    return product_svd(np.hstack([m, u]), np.hstack([v, n]), k, symmetric=symmetric)


def degrees_of_freedom(shape: tuple[int, int], k: int, *, symmetric: bool = False) -> int:
    """Return the dimension of the rank-k matrices of this shape, or of the symmetric ones."""
    if symmetric:
        return k * shape[0] - k * (k - 1) // 2
    return k * (shape[0] + shape[1] - k)


def truncated_svd(matrix: Any, k: int) -> SVD:
    """Return the k leading singular triplets of a dense or sparse matrix; the same input gives the same bits."""
    k = min(k, *matrix.shape)
    if np.prod(matrix.shape, dtype=float) <= _DENSE_SVD_SIZE or 3 * k > min(matrix.shape):
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        is_short = dense.size * min(dense.shape) < _SHORT
        u, s, vt = (np.linalg.svd if is_short else partial(aside, np.linalg.svd))(dense, full_matrices=False)
        return SVD(u[:, :k], s[:k], vt[:k].T)
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))
    dtype = matrix.dtype
    matrix = _in_double(matrix)
    ahead, back = matrix.__matmul__, matrix.T.__matmul__  # else SciPy keeps copies of the matrix for the way back
    products = LinearOperator(matrix.shape, ahead, back, ahead, np.float64, back)
    u, s, vt = svds(products, k, v0=start, tol=_CLOSE)
    order = np.argsort(-s)
    return SVD(u[:, order].astype(dtype), s[order].astype(dtype), vt[order].T.astype(dtype))


def _in_double(matrix: Any) -> Any:
    """A matrix in double precision; dense, where a good part of it is stored."""
    if sparse.issparse(matrix) and matrix.nnz >= _FULL * np.prod(matrix.shape, dtype=float):
        matrix = matrix.toarray()
    return matrix.astype(np.float64, copy=False)


def largest_singular_value(matrix: Any) -> float:
    """Return the largest singular value of a dense or sparse matrix, to 1e-6; the same input gives the same bits."""
    matrix = _in_double(matrix)
    n = min(matrix.shape)
    if n <= _GRAM_SIZE:
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        gram = dense.T @ dense if n == dense.shape[1] else dense @ dense.T
        top = linalg.eigh(gram, eigvals_only=True, subset_by_index=(n - 1, n - 1))
        return float(np.sqrt(max(top[0], 0.0)))
    if not (matrix.data if sparse.issparse(matrix) else matrix).any():  # no start leads anywhere
        return 0.0
    ahead, back = matrix.__matmul__, matrix.T.__matmul__
    products = LinearOperator(matrix.shape, ahead, back, ahead, np.float64, back)
    (value,) = svds(products, 1, v0=np.ones(n) / np.sqrt(n), tol=_LOOSE, return_singular_vectors=False)
    return float(value)


class _Places(NamedTuple):
    """Where the lower triangle of a flat k x k matrix is, and where each of its entries is in the triangle."""

    flat_lower: np.ndarray
    of_square: np.ndarray


@cache
def _places(k: int) -> _Places:
    """The places of matrices k x k."""
    rows, cols = np.tril_indices(k)
    square = np.empty((k, k), dtype=np.intp)
    square[rows, cols] = square[cols, rows] = np.arange(len(rows))
    return _Places(rows * k + cols, square.ravel())


def pack(symmetric: np.ndarray) -> np.ndarray:
    """Lower triangles of symmetric (..., k, k) matrices, row by row: (..., k (k + 1) / 2)."""
    k = symmetric.shape[-1]
    # an index of the last axis alone would leave columns together in memory: kernels go along rows
    return np.take(symmetric.reshape(*symmetric.shape[:-2], k * k), _places(k).flat_lower, axis=-1)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Symmetric matrices from their lower triangles: the inverse of :func:`pack`."""
    k = int(np.sqrt(2 * packed.shape[-1]))
    return packed[..., _places(k).of_square].reshape(*packed.shape[:-1], k, k)


def packed_diagonals(packed: np.ndarray) -> np.ndarray:
    """Diagonals of symmetric matrices from their lower triangles: (..., k)."""
    k = int(np.sqrt(2 * packed.shape[-1]))
    return np.ascontiguousarray(packed[..., np.cumsum(np.arange(1, k + 1)) - 1])


def pack_diagonals(diagonals: np.ndarray) -> np.ndarray:
    """Lower triangles of diagonal matrices: the inverse of :func:`packed_diagonals`."""
    k = diagonals.shape[-1]
    packed = np.zeros((*diagonals.shape[:-1], k * (k + 1) // 2))
    packed[..., np.cumsum(np.arange(1, k + 1)) - 1] = diagonals
    return packed


@cache
def off_diagonals_twice(k: int) -> np.ndarray:
    """What packed matrices k x k are multiplied by, so that sums over them are sums over the whole matrices."""
    rows, cols = np.tril_indices(k)
    return np.where(rows == cols, 1.0, 2.0)


def roots_of(packed: np.ndarray) -> np.ndarray:
    """Roots of packed covariances, which may be singular."""
    covariances = unpack(packed)
    try:
        return np.linalg.cholesky(covariances)  # a hundredth of the time
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def told_by_others(leverage: np.ndarray, k: int) -> np.ndarray:
    """Share that others tell at each row, by its leverage in k directions.

    That is one minus the leverage, in units of what is left where it is spread evenly.
    """
    evenly = 1.0 - k / len(leverage)
    return np.clip((1.0 - leverage) / evenly, 0.0, 1.0) if evenly > 0.0 else np.ones(len(leverage))
