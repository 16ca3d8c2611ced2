"""What the low-rank model knows of the columns: their loadings, means and noise, and what these begin at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .._utils.linalg import product_svd, truncated_svd
from .._utils.rules import NORMAL_MEDIAN
from .noise import NoiseLaw
from .table import Table

#: Precision of the prior while directions are free.
FLAT = 1e-9
# Noise at which a Gaussian law begins, in units of that of its start: what is weak is learnt before it can be noise. Of
# nine real tables with half of the entries missing the error is 1.011 of the best peer's, 1.024 from the noise itself.
_COLD = 0.1
# Scales from the median to which entries are clipped where a law begins, and most that are beyond for it to be begun
# without them. With more, of 300 matrices with 30 to 45 % errors (``asv_bench/studies/doubtful.py --row large``) two
# that are right are lost, and 12 more are "approximate" and wrong.
_CLIP, _MOST_FAR = 3.0, 0.25
#: Standard deviations by which the number of errors in a column may exceed what is expected.
BY_CHANCE = 3.0


@dataclass(frozen=True)
class Columns:
    """Means and covariances of the loadings of columns, the mean of each column, and the noise law.

    Covariances are packed: :func:`pack`. This is what the model knows of a row that it has not seen. `joint`, of shape
    (p, k, r), is a root of the covariance of the loadings of all columns together (None: columns are apart): they are
    the loadings plus joint z, z ~ N(0, I_r). Coefficients of rows have the identity as covariance, about zero; or about
    a `center`, if the mean of each column is what the loadings make of it, and has no part beside them. What columns
    have in common is of `low_rank`, or any covariance.
    """

    loadings: np.ndarray
    covariances: np.ndarray
    mean: np.ndarray
    law: NoiseLaw
    joint: np.ndarray | None = None
    center: np.ndarray | None = None
    low_rank: bool = True

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.loadings.shape[1]

    @property
    def plain(self) -> Columns:
        """The same without what they come from."""
        return self if type(self) is Columns else Columns(*(getattr(self, part.name) for part in fields(Columns)))

    @property
    def n_found(self) -> int:
        """Number of directions that were found beside the means of columns."""
        return self.rank

    @property
    def scaled(self) -> np.ndarray:
        """Loadings of rows whose second moments are the identity."""
        return self.loadings if self.center is None else self.loadings * np.sqrt(1.0 + self.center**2)

    @property
    def prior_mean(self) -> np.ndarray:
        """What is expected of the entries of a row that has none."""
        return self.mean if self.center is None else self.mean + self.loadings @ self.center


def start_columns(table: Table, k: int, robust: bool, *, only_near: bool = False) -> Columns:
    """Loadings of the leading directions of the clipped matrix, missing entries at the median.

    With `only_near`, entries beyond the clip are at the median too, if they are few enough for that to be one of right
    ones, and the first direction has more of the rest so.
    """
    n, p = table.shape
    clipped = np.clip(table.values, -_CLIP, _CLIP)
    u, s, v = truncated_svd(table.with_values(clipped).sparse(), k)
    is_far = clipped != table.values
    if only_near and np.mean(is_far) <= _MOST_FAR:
        near = np.where(is_far, 0.0, clipped)
        rival = truncated_svd(table.with_values(near).sparse(), k)
        if rival[1][0] * np.linalg.norm(clipped) > s[0] * np.linalg.norm(near):
            u, s, v = rival
    density = len(table.values) / max(n * p, 1)
    return _columns_at(table, u * np.sqrt(n), v * (s / (np.sqrt(n) * density)), np.zeros(p), robust)


def columns_of(table: Table, left: np.ndarray, right: np.ndarray, k: int) -> Columns | None:
    """Loadings of the leading directions of an estimate left right^T in even units, under a robust law.

    None where it is the same in all rows, or no number.
    """
    n = len(left)
    mean = right @ left.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(np.linalg.norm(left) * np.linalg.norm(right)):
            return None
    u, s, v = product_svd(left - left.mean(axis=0), right)
    k = min(k, int(np.count_nonzero(s > FLAT * s[0])))
    return _columns_at(table, u[:, :k] * np.sqrt(n), v[:, :k] * (s[:k] / np.sqrt(n)), mean, True) if k else None


def _columns_at(table: Table, u: np.ndarray, loadings: np.ndarray, mean: np.ndarray, robust: bool) -> Columns:
    """Columns of which nothing is known but an estimate u loadings^T + mean: the noise is what that leaves.

    Where most values of a column are the same, the others may be far from it, and begin with a noise of their own: that
    of those that are left beside the largest, as many as errors there may be.
    """
    p, k = loadings.shape
    residual = table.values - mean[table.cols] - np.einsum("pk,pk->p", u[table.rows], loadings[table.cols])
    size = np.abs(residual * table.root_weight)
    apart = np.ones(len(size), dtype=bool) if table.tied is None else ~table.tied
    scale = np.full(p, max(float(np.median(size[apart])) / NORMAL_MEDIAN, 1e-3))
    for j in np.unique(table.cols[~apart]):
        own, others = table.cols == j, np.sort(size[(table.cols == j) & apart])
        if table.errors is not None:
            others = others[: max(len(others) - int(most_errors(table.errors[j] * np.count_nonzero(own))), 0)]
        scale[j] = max(scale[j], float(np.median(others)) / NORMAL_MEDIAN if len(others) else 0.0)
    if not robust:
        scale *= _COLD
    return Columns(loadings, np.zeros((p, k * (k + 1) // 2)), mean, NoiseLaw.start(scale**2, robust))


def most_errors(expected: Any) -> Any:
    """Most errors that there may be in a column by chance, where so many are expected."""
    return expected + BY_CHANCE * np.sqrt(expected)
