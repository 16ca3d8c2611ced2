"""What a fit of a sharp rank leaves of its inliers, and the directions in which this varies most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from .._operators.observed import Entries
from .._utils.linalg import truncated_svd
from .._utils.values import StopReason

# Least part of a direction, or size of one in units of the largest, that is no rounding.
_LEAST = 1e-8


def has_remainder(code: str, entries: Entries) -> bool:
    """Whether a fit of a sharp rank leaves more than rounding of entries that are alike."""
    return code == StopReason.NOISY and entries.weight is None


class Directions(NamedTuple):
    """Orthonormal columns, and the singular values of what is left along them as if all entries were seen."""

    values: np.ndarray
    axes: np.ndarray


class Remainder(NamedTuple):
    """What is left of the inliers of rows, zero elsewhere, of which a share `density` of the entries are inliers."""

    rows: sparse.csr_matrix
    density: float

    @classmethod
    def of(cls, entries: Entries, residual: np.ndarray, outliers: np.ndarray, *, unit: float) -> Remainder:
        """That of the entries but the `outliers`, a mask, in a unit; residuals are estimates minus values."""
        left = np.where(outliers, 0.0, -residual.astype(np.float64) / unit)
        rows = sparse.csr_matrix((left, entries.cols, entries.indptr), shape=entries.shape)
        return cls(rows, np.count_nonzero(~outliers) / max(np.prod(entries.shape, dtype=float), 1.0))

    def counting(self, counts: np.ndarray, known: np.ndarray, center: bool) -> Remainder:
        """That of rows as often as they count, of which nothing is seen where they are not `known`.

        If `center`, about the mean of each column.
        """
        n, p = self.rows.shape
        lines, cols = np.repeat(np.arange(n), np.diff(self.rows.indptr)), self.rows.indices
        weight = np.where(self.rows.data != 0.0, np.where(known, counts, 0.0)[lines], 0.0)
        total, seen = (np.bincount(cols, part, p) for part in (weight * self.rows.data, weight))
        mean = total / np.where(seen > 0.0, seen, 1.0) if center else np.zeros(p)
        left = (self.rows.data - mean[cols]) * np.sqrt(weight)
        rows = sparse.csr_matrix((left, cols, self.rows.indptr), shape=self.rows.shape)
        return Remainder(rows, float(weight.sum()) / max(float(counts.sum()) * p, 1.0))

    @property
    def size(self) -> float:
        """Norm of what would be left if all entries were seen."""
        return float(np.linalg.norm(self.rows.data)) / np.sqrt(max(self.density, np.finfo(np.float64).tiny))

    def directions(self, known: np.ndarray, k: int) -> Directions:
        """The leading directions, up to k, orthogonal to those that are `known`, which are orthonormal.

        As among the known ones, an entry that is missing or an outlier is taken to have nothing left.
        """
        _, s, v = truncated_svd(self.rows, min(k, *self.rows.shape))
        v = v[:, s > _LEAST * max(float(s[0]), np.finfo(np.float64).tiny)]
        v -= known @ (known.T @ v)
        v = v[:, np.linalg.norm(v, axis=0) > _LEAST]
        v = v[:, : known.shape[0] - known.shape[1]]
        axes = np.linalg.qr(v - known @ (known.T @ v))[0]
        return Directions(np.linalg.norm(self.rows @ axes, axis=0) / np.sqrt(self.density), axes)

    def scores(self, axes: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """Scores of what is left on the parts of `axes`, which are rows, that are beside the columns of a basis."""
        beside = axes.T - basis @ np.linalg.lstsq(basis, axes.T, rcond=None)[0]
        beside[:, np.linalg.norm(beside, axis=0) <= _LEAST * np.linalg.norm(axes, axis=1)] = 0.0
        return self.rows @ beside
