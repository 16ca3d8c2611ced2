"""Principal components of the low-rank part of a matrix, from its factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._model.average import ModelSpace
from .._rows.regression import RowSpace
from .._selection.evidence import EDGES
from .._utils.linalg import product_svd
from .._utils.rules import rounding_share


@dataclass(frozen=True)
class Components:
    """Principal components, as :class:`sklearn.decomposition.PCA` has them."""

    axes: np.ndarray
    mean: np.ndarray
    singular_values: np.ndarray
    variance: np.ndarray
    variance_ratio: np.ndarray
    noise_variance: float
    n_samples: int


def principal_components(
    left: np.ndarray,
    s: np.ndarray,
    space: RowSpace | ModelSpace,
    *,
    rank: int,
    n_components: int | None = None,
    center: bool = True,
    scale: float = 0.0,
    density: float = 1.0,
) -> Components:
    """Principal components of the matrix with left singular vectors `left`, values `s`, and the row space `space`.

    `rank` is that of the matrix, `scale` the noise scale, `density` the share of the entries that are observed.
    """
    n, d = len(left), len(space.basis)
    dtype = left.dtype
    middle = space.center if center else np.zeros(left.shape[1])
    _, values, v = product_svd(left.astype(np.float64) * s - middle, space.basis)
    if center:
        # the mean may have been a direction of its own: what is left of it is noise, or rounding
        rest = np.sqrt(EDGES / max(density, 1e-12)) * scale * (np.sqrt(n) + np.sqrt(d))
        stands_out = values > max(rest, rounding_share(dtype) * float(s[0]))
        stands_out[0] |= not stands_out.any()
        values, v = values[stands_out], v[:, stands_out]
    signs = np.sign(v[np.argmax(np.abs(v), axis=0), np.arange(v.shape[1])])
    v = v * np.where(signs == 0, 1, signs)
    k = len(values) if n_components is None else min(n_components, len(values))
    # in units of what is largest: squares of extreme sizes overflow, ratios do not
    unit = max(float(values[0]), scale) or 1.0
    variance = (values / unit) ** 2 / max(n - 1, 1)
    noise = (scale / unit) ** 2 * max(n - rank, 0) * max(d - rank, 0) / max(n - 1, 1)
    rest = float(variance[k:].sum() + noise)
    total = float(variance[:k].sum()) + rest
    with np.errstate(over="ignore"):  # a variance beyond the largest number is infinite
        explained = (variance[:k] * unit * unit).astype(dtype)
        rest = float(np.float64(rest) * unit * unit)
    return Components(
        axes=np.ascontiguousarray(v[:, :k].T, dtype=dtype),
        mean=(space.basis @ middle).astype(dtype),
        singular_values=values[:k].astype(dtype),
        variance=explained,
        variance_ratio=(variance[:k] / (total or 1.0)).astype(dtype),
        noise_variance=rest / (min(n, d) - k) if min(n, d) > k else 0.0,
        n_samples=n,
    )
