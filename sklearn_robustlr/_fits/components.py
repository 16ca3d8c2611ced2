"""Principal components of the low-rank part of a matrix, from its factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from .._model.lacking import lacking_products, lacking_variances
from .._model.limits import held
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .._selection.evidence import least_value
from .._utils.arrays import with_single_values
from .._utils.linalg import product_svd
from .._utils.rules import SMALL_GAP, rounding_share
from .._utils.values import StopReason
from .matrix_fit import MatrixFit, counts_of_rows
from .remainder import Remainder, remainder_of

# Directions that are alike are a third of those that are left at most: the last ones of noise differ by such gaps.
_ALIKE = 3
# Rounds of subspace iteration. Of tables of 30 and 60 rows, 200 columns and rank 10, half of the entries missing, the
# ten leading variances are then exact to rounding (with one round to 3e-6), those of the noise to 9 %.
_ROUNDS = 8

#: Estimates of the rows between two bounds.
Estimates = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Components:
    """Principal components, as :class:`sklearn.decomposition.PCA` has them.

    `of_noise` masks those of what is left of the inliers, beyond a sharp rank.
    """

    axes: np.ndarray
    mean: np.ndarray
    singular_values: np.ndarray
    variance: np.ndarray
    variance_ratio: np.ndarray
    noise_variance: float
    n_samples: float
    of_noise: np.ndarray


def principal_components(
    left: np.ndarray,
    s: np.ndarray,
    space: RowSpace | ModelSpace,
    *,
    n_components: float | None = None,
    center: bool = True,
    scale: float = 0.0,
    density: float = 1.0,
    row_weight: np.ndarray | None = None,
    lost: np.ndarray | None = None,
    noise_rows: Remainder | None = None,
) -> Components:
    """Principal components of the matrix with left singular vectors `left`, values `s`, and the row space `space`.

    `scale` is the noise scale, `density` the share of the entries that are observed, `row_weight` how often each row
    counts. The rows `lost`, which are not identifiable, spread as the others do. Components beyond the rank are those
    of `noise_rows`, what is left of the inliers (None: not known, and all are alike).
    """
    n, d = count_rows(len(left), row_weight), len(space.basis)
    dtype = left.dtype
    middle = space.center if center else np.zeros(left.shape[1])
    rows = left.astype(np.float64) * s - middle
    if row_weight is not None:
        rows *= np.sqrt(row_weight)[:, None]
    if lost is not None and 0 < len(lost) < len(left):
        known = ~np.isin(np.arange(len(left)), lost)
        told = count_rows(int(known.sum()), None if row_weight is None else row_weight[known])
        # the variance is that of the others
        rows = rows[known] * np.sqrt((n - 1) / (told - 1)) if told > 1 else rows
    _, values, v = product_svd(rows, space.basis)
    # the mean may have been a direction of its own: what is left of it is noise, or rounding
    rest = least_value(scale, density, (n, d)) if center else 0.0
    stands_out = values > max(rest, rounding_share(dtype) * float(s[0]))
    stands_out[0] |= not stands_out.any()
    values, v = values[stands_out], v[:, stands_out]
    # in units of what is largest: squares of extreme sizes overflow, ratios do not
    unit = max(float(values[0]), scale) or 1.0
    of_noise = np.zeros(len(values), dtype=bool)
    free = max(n - len(values) - int(center), 0) * max(d - len(values), 0)  # of what noise leaves besides
    noise = (scale / unit) ** 2 * free / max(n - 1, 1)
    if isinstance(n_components, int) and n_components > len(values):  # the others are noise, and all alike
        if noise_rows is not None:
            more_values, axes = noise_rows.directions(_joined(v, space.basis), n_components - len(values))
            values, v = np.append(values, more_values), np.hstack([v, axes])
            noise = max((noise_rows.size / unit) ** 2 - float(np.sum((more_values / unit) ** 2)), 0.0) / max(n - 1, 1)
            of_noise = np.append(of_noise, np.ones(len(more_values), dtype=bool))
        each = noise / max(min(n, d) - len(values), 1)
        more = n_components - len(values)
        values = np.append(values, np.full(more, unit * np.sqrt(each * max(n - 1, 1))))
        v = np.hstack([v, _complement(v, space.basis, more)])
        order = np.argsort(-values, kind="stable")  # what is left of the mean may be less than noise
        values, v, of_noise = values[order], v[:, order], np.append(of_noise, np.zeros(more, dtype=bool))[order]
        noise -= more * each
    k = _count_kept(n_components, values / unit, noise * max(n - 1, 1), len(values))
    mean = with_single_values(space.basis @ middle, space.seen_range if center else None)
    found = _components(v, values, mean, k=k, noise=noise, unit=unit, n=n, dtype=dtype)
    return replace(found, of_noise=of_noise[:k])


def count_rows(n: int, row_weight: np.ndarray | None) -> float:
    """Number of rows, as often as they count."""
    if row_weight is None:
        return n
    total = float(row_weight.sum())
    return int(total) if total.is_integer() and total < 2.0**53 else total


def _complement(v: np.ndarray, basis: np.ndarray, k: int) -> np.ndarray:
    """Some k orthonormal directions that are orthogonal to those of v, and first to the whole row space of a basis.

    In the first ones rows on the row space have no part, as long as there are such.
    """
    inner = _joined(v, basis)
    d, kept = inner.shape
    (reflectors, tau), _ = linalg.qr(inner, mode="raw")
    some = np.eye(d, min(k, d - kept), -kept)
    outer = lapack.dormqr("L", "N", reflectors, tau, some, max(64 * some.shape[1], 1))[0]
    if outer.shape[1] == k:
        return outer
    left = np.linalg.svd(inner - v @ (v.T @ inner), full_matrices=False)[0]
    return np.hstack([outer, left[:, : k - outer.shape[1]]])


def _joined(v: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span those of v and of a basis."""
    rest = basis - v @ (v.T @ basis)
    whole, size, _ = np.linalg.svd(np.hstack([v, rest]), full_matrices=False)
    return whole[:, size > 1e-10 * size[0]]


def _count_kept(n_components: float | None, values: np.ndarray, noise: float, found: int) -> int:
    """Number of components: those found, so many, or those that explain a share of the variance of values and noise."""
    if n_components is None:
        return found
    if isinstance(n_components, int):
        return min(n_components, len(values))
    explained = np.cumsum(values**2)
    whole = float(explained[-1]) + noise
    # a share that is explained to rounding asks for one more, as that of PCA
    asked = n_components * whole * (1.0 + 1e-12)
    return min(int(np.searchsorted(explained, asked, side="right")) + 1, len(values))


@dataclass(frozen=True)
class RepairedRows:
    """Sums over repaired rows in even units: their number, sum, and products, and what the products lack of them.

    `unit` is what they are divided by, once the shift of their column is taken off.
    """

    n: float
    total: np.ndarray
    products: np.ndarray
    lacking: np.ndarray
    shift: np.ndarray
    unit: float

    @classmethod
    def of(
        cls, entries: Entries, space: ModelSpace, estimates: Estimates, replaced: np.ndarray, weight: np.ndarray
    ) -> RepairedRows:
        """Those of entries, of which a mask is `replaced`, too; rows count as `weight` says."""
        d = entries.shape[1]
        unit = float(space.scale.max())
        total, products = np.zeros(d), np.zeros((d, d))
        for lo, hi in pairwise(entries.bounds()):
            rows = repaired_rows(entries, space, estimates(lo, hi), replaced, lo, hi)
            rows = (rows - space.shift) / unit
            total += weight[lo:hi] @ rows
            products += (rows * weight[lo:hi, None]).T @ rows
        lacking = lacking_products(space, entries, replaced, weight) / unit**2
        return cls(count_rows(len(weight), weight), total, products, lacking, space.shift, unit)

    def plus(self, other: RepairedRows) -> RepairedRows:
        """The sums over both, which are in the same units."""
        return replace(
            self,
            n=self.n + other.n,
            total=self.total + other.total,
            products=self.products + other.products,
            lacking=self.lacking + other.lacking,
        )

    def times(self, factor: float) -> RepairedRows:
        """The sums where all counts so much."""
        return replace(
            self,
            n=self.n * factor,
            total=self.total * factor,
            products=self.products * factor,
            lacking=self.lacking * factor,
        )

    def components(
        self, space: ModelSpace, n_components: float | None, center: bool, most: int, dtype: np.dtype
    ) -> Components:
        """Principal components of the rows, up to `most`, with what estimates lack.

        Without `n_components`, the directions that stand out of the noise are kept.
        """
        n, unit = max(self.n, 1), self.unit
        mean = self.total / n if center else -self.shift / unit
        # about the mean, or about zero
        products = self.products - np.outer(self.total, mean) - np.outer(mean, self.total) + n * np.outer(mean, mean)
        products += self.lacking
        evened = [np.linalg.eigvalsh(products * even[:, None] * even) for even in _even_units(space, unit)]
        spectrum = Spectrum(*np.linalg.eigh(products), evened, n)
        return spectrum.components(mean * unit + self.shift, unit, n_components, most, dtype)


class Spectrum(NamedTuple):
    """Eigenvalues and vectors of the products of n rows in a unit, in increasing order.

    `evened` are the eigenvalues in units in which columns are alike, and in those in which their noise is.
    """

    power: np.ndarray
    vectors: np.ndarray
    evened: list[np.ndarray]
    n: float

    @classmethod
    def of_few_rows(cls, rows: np.ndarray, more: np.ndarray, units: list[np.ndarray], n: float) -> Spectrum:
        """That of rows^T rows + diag(more), as many values as there are rows; in these units columns are alike."""
        evened = [_leading(rows * even, more * even**2)[0] for even in units]
        return cls(*_leading(rows, more), evened, n)

    def components(
        self, mean: np.ndarray, unit: float, n_components: float | None, most: int, dtype: np.dtype
    ) -> Components:
        """Principal components, up to `most`; without `n_components`, those that stand out of the noise.

        They do in the units given, and where columns or their noise are alike: there it is also known how large it is.
        """
        values, v = np.sqrt(np.maximum(self.power[::-1][:most], 0.0)), self.vectors[:, ::-1][:, :most]
        given, alike, noise = (_count_directions(power[::-1][:most], self.n) for power in (self.power, *self.evened))
        edge = (np.sqrt(max(self.n, 1.0)) + np.sqrt(len(v))) ** 2
        shown = min(given, max(alike, min(noise, int(np.count_nonzero(self.evened[1] > edge)))))
        k = _count_kept(n_components, values / (float(values[0]) or 1.0), 0.0, shown)
        whole = float(values[0]) * unit or 1.0
        return _components(v, values * unit, mean, k=k, noise=0.0, unit=whole, n=self.n, dtype=dtype)


def _even_units(space: ModelSpace, unit: float) -> list[np.ndarray]:
    """What columns in a unit are multiplied by to be alike, or to have noise that is alike."""
    noise = space.noise
    least = float(np.finfo(np.float64).eps) * float(space.scale.max())
    return [unit / space.scale, unit / np.where(noise > least, noise, space.scale)]


def _leading(rows: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues and vectors of rows^T rows + diag(more), as many as there are rows, in increasing order.

    By subspace iteration from the row space, which is that of the vectors where nothing is added.
    """
    basis = np.linalg.qr(rows.T)[0]
    for _ in range(_ROUNDS if more.any() else 0):
        basis = np.linalg.qr(rows.T @ (rows @ basis) + more[:, None] * basis)[0]
    small = rows @ basis
    power, turn = np.linalg.eigh(small.T @ small + basis.T @ (more[:, None] * basis))
    return power, basis @ turn


def matrix_components(
    entries: Entries, found: MatrixFit, *, n_components: float | None = None, center: bool = True
) -> Components:
    """Principal components of a fitted matrix: of its low-rank part where the rank is sharp, else of repaired rows."""
    if not found.space.is_sharp:
        return table_components(entries, found, n_components=n_components, center=center)
    fit, space = found.fit, found.space
    if isinstance(space, ModelSpace):  # its coefficients are not those of the factors
        space = RowSpace.learn(fit.right, fit.factors.left, slice(None), fit.row_scale, row_weight=entries.row_weight)
        space = replace(space, seen_range=found.space.seen_range)
    scale, noise_rows = fit.scale, None
    own = isinstance(found.space, ModelSpace)  # rows may have noise of their own
    # the mean may be one of the directions of the fit
    if fit.verdict.code is StopReason.NOISY and (own or (isinstance(n_components, int) and n_components >= fit.rank)):
        noise_rows = remainder_of(entries, found, space, center)
        scale = min(noise_rows.scale, scale) if own else scale
    return principal_components(
        fit.left,
        fit.singular_values,
        space,
        scale=scale,
        density=found.n_observed / np.prod(entries.shape, dtype=float),
        n_components=n_components,
        center=center,
        row_weight=entries.row_weight,
        lost=found.undetermined_rows,
        noise_rows=noise_rows,
    )


def table_components(
    entries: Entries, found: MatrixFit, *, n_components: float | None = None, center: bool = True
) -> Components:
    """Principal components of a table under the averaged model: those of its repaired rows.

    What is observed and no outlier is taken as it is, with its noise, as of complete data; estimates in place of other
    entries vary less than these would, and what they lack, by the posterior of their row, is added, as in an
    expectation step (A. P. Dempster, N. M. Laird and D. B. Rubin, Journal of the Royal Statistical Society B 39, 1977).
    Entries of known precisions, which are not alike, are all replaced.
    """
    space, fit = found.space, found.fit
    assert isinstance(space, ModelSpace)
    left, right = fit.factors.left.astype(np.float64), fit.right.astype(np.float64)
    weight = counts_of_rows(entries, fit.outliers)
    if not weight.any():  # there are no others
        weight = np.ones(entries.shape[0])
    replaced = fit.outliers if entries.weight is None else np.ones_like(fit.outliers)
    n, d = entries.shape
    if n >= d:
        rows = RepairedRows.of(entries, space, lambda lo, hi: left[lo:hi] @ right.T, replaced, weight)
        return rows.components(space, n_components, center, d, entries.dtype)
    # of few rows, products of all columns would take the time and memory of those
    whole, unit = repaired_rows(entries, space, left @ right.T, replaced, 0, n), float(space.scale.max())
    count = count_rows(n, weight)
    mean = np.average(whole, axis=0, weights=weight) if center else np.zeros(d)
    lacking = lacking_variances(space, entries, replaced, weight) / unit**2
    whole = (whole - mean) / unit * np.sqrt(weight)[:, None]
    spectrum = Spectrum.of_few_rows(whole, lacking, _even_units(space, unit), count)
    return spectrum.components(mean, unit, n_components, n, entries.dtype)


def _count_directions(power: np.ndarray, n: float) -> int:
    """Number of leading eigenvalues of the covariance of n rows, each beyond what it would be if it were noise.

    The largest eigenvalue of noise of variance s^2 in p columns is s^2 (1 + sqrt(p / n))^2, up to chance (S. Kritchman
    and B. Nadler, "Determining the number of components in a factor model from limited noisy data", Chemometrics and
    Intelligent Laboratory Systems 94, 2008). Several that are alike hide one another, for each is in the mean that the
    others are compared with: the last one before a gap may stand out where the first does not.
    """

    def stands_out(k: int) -> bool:
        rest = power[k:]
        return bool(rest[0] > np.mean(rest) * (1.0 + np.sqrt(len(rest) / n)) ** 2)

    k = 0
    while k + 1 < len(power):
        alike = range(k + 1, k + (len(power) - k) // _ALIKE)
        last = next((j for j in alike if power[j] > SMALL_GAP * power[j + 1] and stands_out(j)), None)
        if stands_out(k):
            k += 1
        elif last is not None:
            k = last + 1
        else:
            break
    return max(k, 1)


def repaired_rows(
    entries: Entries, space: ModelSpace, estimates: np.ndarray, outliers: np.ndarray, lo: int, hi: int
) -> np.ndarray:
    """Rows lo to hi, with their estimates in place of what is missing or an outlier, as a dense matrix of floats."""
    some, filled = slice(entries.indptr[lo], entries.indptr[hi]), np.ones(estimates.shape, dtype=bool)
    seen = ~outliers[some]
    where = entries.rows[some][seen] - lo, entries.cols[some][seen]
    filled[where] = False
    within = np.clip(estimates, *space.seen_range)
    rows = held(space, entries, estimates, within, rows=np.arange(lo, hi), among=filled)
    rows[where] = entries.y[some][seen]
    return rows


def _components(
    v: np.ndarray,
    values: np.ndarray,
    mean: np.ndarray,
    *,
    k: int,
    noise: float,
    unit: float,
    n: float,
    dtype: np.dtype,
) -> Components:
    """The first k of the directions v, of singular values `values`; `noise`: variance of none, in squares of `unit`."""
    d = len(v)
    signs = np.sign(v[np.argmax(np.abs(v), axis=0), np.arange(v.shape[1])])
    v = v * np.where(signs == 0, 1, signs)
    variance = (values / unit) ** 2 / max(n - 1, 1)
    rest = float(variance[k:].sum() + noise)
    total = float(variance[:k].sum()) + rest
    rest = rest if rest > np.finfo(np.float64).eps ** 2 * total else 0.0  # a column of one value has rounding alone
    with np.errstate(over="ignore"):  # a variance beyond the largest number is infinite
        explained = (variance[:k] * unit * unit).astype(dtype)
        rest = float(np.float64(rest) * unit * unit)
    return Components(
        axes=np.ascontiguousarray(v[:, :k].T, dtype=dtype),
        mean=mean.astype(dtype),
        singular_values=values[:k].astype(dtype),
        variance=explained,
        variance_ratio=(variance[:k] / (total or 1.0)).astype(dtype),
        noise_variance=rest / (min(n, d) - k) if min(n, d) > k else 0.0,
        n_samples=n,
        of_noise=np.zeros(k, dtype=bool),
    )
