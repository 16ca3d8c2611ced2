"""The joint covariance of the loadings of all columns: what each is known by, the rows being unknown as well."""

from __future__ import annotations

import numpy as np

from .table import Table

# Most multiplications that it may take: beyond, columns are taken as independent. Standard errors are then too small,
# by 13 % at two inliers per degree of freedom, 6 % at 3, 3.5 % at 4 and 1.5 % at 6 (120 x 80 of rank 3); of a wide
# matrix by less, for its rows are known well.
_MOST_WORK = 3e8
# Power, in units of the largest, below which a direction is that of a change of basis, which changes nothing.
_NULL = 1e-8


def joint_root(
    table: Table, u: np.ndarray, precision: np.ndarray, loadings: np.ndarray, prior: np.ndarray
) -> np.ndarray | None:
    """Root (p, k, r) of the joint covariance of loadings, about those of least squares; None: it takes too long.

    It is that of the tangent space at u loadings^T, with these precisions of the entries, N(0, I) as the prior of rows
    and precisions `prior` of directions: the rows are eliminated from the normal equations.
    """
    (n, k), p = u.shape, len(loadings)
    if (p * k) ** 2 * max(n, p) * k > _MOST_WORK:
        return None
    weight = np.zeros(table.shape)
    weight[table.rows, table.cols] = precision
    normal = np.einsum("ij,jk,jl->ikl", weight, loadings, loadings, optimize=True) + np.eye(k)
    power, turn = np.linalg.eigh(normal)
    # no less than the prior: beside huge precisions that is lost in rounding
    root = turn / np.sqrt(np.maximum(power, 1.0))[:, None, :]
    if table.row_weight is not None:  # of a row that counts twice there are two, each with coefficients of its own
        u = u * np.sqrt(table.row_weight)[:, None]
    coupled = np.einsum("ijm,ik->jkim", weight[:, :, None] * (loadings @ root), u).reshape(p * k, n * k)
    schur = -(coupled @ coupled.T)
    own = np.einsum("ij,ik,il->jkl", weight, u, u, optimize=True) + np.diag(prior)
    where = np.arange(p * k).reshape(p, k)
    schur[where[:, :, None], where[:, None, :]] += own
    power, turn = np.linalg.eigh(schur)
    kept = power > _NULL * power[-1]
    return (turn[:, kept] / np.sqrt(power[kept])).reshape(p, k, -1)
