"""Standard errors of measurements: the covariance of least squares in both factors, at a fit of any measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from .._model.beyond import edge_power, share_beyond
from .._operators.base import Measurements, evaluate
from .._operators.entries import EntryMeasurements
from .._operators.results import Moments
from .._operators.units import InUnitsOfLines
from .._utils.linalg import degrees_of_freedom
from .._utils.values import Masks, StopReason, Verdict
from .measurements import LowRankFit

# Most degrees of freedom whose covariance is computed as a whole; beyond, rows of factors are taken as independent.
_MOST_UNKNOWNS = 1500
# Most multiplications that the normal equations take: of more measurements, evenly spaced ones stand for all.
_MOST_WORK = 2e9
# Numbers of derivatives that are held at a time.
_BLOCK = 500_000
# Random vectors that show directions which no measurement tells of: the mean of the squares of so many is less than a
# hundredth of what is expected once in ten million (chi-squared law).
_PROBES = 8
_OPEN = Verdict(StopReason.UNDETERMINED, "the inliers leave most of the matrix open: many of them tell the same")
_VAGUE = Verdict(StopReason.UNDETERMINED, "the standard errors of the matrix are as large as the matrix itself")
# Precision of directions that no measurement tells of, in units of the mean one, and share of such a direction in a
# measurement from which nothing is known of that.
_FLAT, _UNKNOWN = 1e-9, 1e-4
# Largest leverage that residuals are corrected for: beyond, they are next to nothing.
_MOST_LEVERAGE = 0.9


class _Powers(NamedTuple):
    """Variances of measurements in units of the noise, where it is equal, squares of derivatives, and variances."""

    told: np.ndarray
    size: np.ndarray
    power: np.ndarray


@dataclass(frozen=True)
class TangentErrors:
    """The Gaussian approximation of what is known of factors left right^T, in which the change of basis is free.

    `root` is the Cholesky factor of the normal equations of the inliers, of all rows of the factors together or, of
    shape (d1 + d2, k, k), of each apart; `least` is the precision that was added for directions that no measurement
    tells of, `scale` that of the noise. A `share_beyond` of the variance of the noise may be a part of the matrix that
    no direction captures, in measurements whose derivatives have the `usual` sum of squares. With `symmetric`, both
    factors are one. The factors, and derivatives in them, are in units of the `lines` of the measurements, so that
    features may be in any units. `spread` times derivatives has the variances that residuals speak for as the squares
    of its columns (None: those of equal noise).
    """

    left: np.ndarray
    right: np.ndarray
    root: np.ndarray
    least: float
    scale: float
    share_beyond: float
    usual: float
    symmetric: bool
    lines: Moments
    spread: np.ndarray | None = None

    def deviations(self, measurements: Measurements) -> np.ndarray:
        """Standard errors of predictions of measurements, infinite where nothing is known of what they depend on."""
        out, known = np.empty(measurements.size), np.empty(measurements.size, dtype=bool)
        measurements = _in_like_units(measurements, self.lines)
        powers: Callable[[Any], _Powers] = self._powers
        each = self.left.size + self.right.size
        if self.root.ndim == 3 and isinstance(measurements, EntryMeasurements) and not self.symmetric:
            powers, each = self._powers_of_entries, self.root[0].size
        step = max(_BLOCK // max(each, 1), 1)
        for lo in range(0, measurements.size, step):
            told, size, power = powers(measurements.subset(slice(lo, lo + step)))
            known[lo : lo + step] = self.least * told <= _UNKNOWN * size
            out[lo : lo + step] = power + self.share_beyond / self.usual * size
        return np.where(known, self.scale * np.sqrt(out), np.inf)

    def open_lines(self) -> Masks:
        """Masks of the rows and columns of the matrix of which the measurements leave most entries open.

        Random vectors, solved for, are next to nothing but directions that no measurement tells of. Those that change
        the factors and not the matrix do not move its entries; any other does.
        """
        d1, d2, k = len(self.left), len(self.right), self.left.shape[1]
        drawn = np.random.RandomState(0).standard_normal((*self.root.shape[:-1], _PROBES))
        sizes = [np.sum(factor**2, axis=1) for factor in (self.left, self.right)]
        if self.root.ndim == 2:
            solved = self.least * linalg.cho_solve((self.root, True), drawn).reshape(-1, k, _PROBES)
            moved = np.einsum("ikm,jk->ijm", solved[:d1], self.right, optimize=True)
            moved += np.einsum("ik,jkm->ijm", self.left, solved[-d2:], optimize=True)  # with `symmetric`, both are one
            is_open = np.mean(moved**2, axis=2) > _UNKNOWN * (sizes[0][:, None] + sizes[1])
            return Masks(np.mean(is_open, axis=1) > 0.5, np.mean(is_open, axis=0) > 0.5)
        solved = self.least * np.linalg.solve(self.root.mT, np.linalg.solve(self.root, drawn))
        sides = (solved[:d1], self.right, sizes[1]), (solved[-d2:], self.left, sizes[0])  # each row apart
        moved_of = (np.einsum("ikm,kl,ilm->i", own, f.T @ f, own, optimize=True) / _PROBES for own, f, _ in sides)
        return Masks(*(moved > _UNKNOWN * size.sum() for moved, (_, _, size) in zip(moved_of, sides, strict=True)))

    def share_of_matrix(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Root mean square of the standard errors of entries of some rows and columns, masks, in units of the entries'.

        It is that of random changes of the factors that have their covariance.
        """
        if self.root.ndim == 3:
            return 0.0
        d1, d2, k = len(self.left), len(self.right), self.left.shape[1]
        root = np.linalg.inv(self.root) if self.spread is None else self.spread
        drawn = np.random.RandomState(0).standard_normal((_PROBES, len(root)))
        change = (self.scale * drawn @ root).reshape(_PROBES, -1, k)
        units = [np.abs(factor).max() for factor in (self.left, self.right)]  # squares of extremes are no numbers
        left, right = self.left[rows] / units[0], self.right[columns] / units[1]
        moved = change[:, :d1][:, rows] / units[0] @ right.T + left @ (change[:, -d2:][:, columns] / units[1]).mT
        size = np.linalg.norm(left @ right.T)
        return float(np.linalg.norm(moved) / (np.sqrt(_PROBES) * size)) if size > 0.0 else 0.0

    def _powers(self, measurements: Measurements) -> _Powers:
        rows = _in_full(_gradients(measurements, self.left, self.right, self.symmetric))
        if self.root.ndim == 2:
            moved = linalg.solve_triangular(self.root, rows.T, lower=True)
        else:
            k = self.root.shape[1]
            moved = np.linalg.solve(self.root, rows.T.reshape(-1, k, rows.shape[0])).reshape(-1, rows.shape[0])
        told, size = np.einsum("ij,ij->j", moved, moved), np.einsum("ij,ij->i", rows, rows)
        if self.spread is None:
            return _Powers(told, size, told)
        moved = self.spread @ rows.T
        return _Powers(told, size, np.einsum("ij,ij->j", moved, moved))

    def _powers_of_entries(self, entries: EntryMeasurements) -> _Powers:
        """The same of entries, each of which depends on one row of either factor."""
        power, size = np.zeros((2, entries.size))
        ends = (entries.rows, self.right[entries.cols]), (len(self.left) + entries.cols, self.left[entries.rows])
        for place, slope in ends:
            moved = np.linalg.solve(self.root[place], slope[:, :, None])[:, :, 0]
            power += np.einsum("ij,ij->i", moved, moved)
            size += np.einsum("ij,ij->i", slope, slope)
        return _Powers(power, size, power)


class Determined(NamedTuple):
    """A fit, its errors (None: it tells nothing), and the rows and columns of the matrix that are left open, by index.

    Where most are, as by few measurements that were repeated, the fit is not determined. Rows and columns of entries
    with noise are drawn to the others instead.
    """

    fit: LowRankFit
    errors: TangentErrors | None
    rows: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(
        cls, measurements: Measurements, fit: LowRankFit, *, symmetric: bool, weight: np.ndarray | None = None
    ) -> Determined:
        """Judge a fit of measurements that count so often."""
        errors, none = tangent_errors(measurements, fit, symmetric=symmetric, weight=weight), np.zeros(0, dtype=np.intp)
        if errors is None:
            return cls(fit, None, none, none)
        lines = errors.open_lines()
        if max(mask.mean() for mask in lines) > 0.5:
            return cls(replace(fit, verdict=_OPEN) if fit.converged else fit, None, none, none)
        if isinstance(measurements, EntryMeasurements) and fit.verdict.code is not StopReason.EXACT:
            return cls(fit, errors, none, none)
        if fit.converged and errors.share_of_matrix(~lines.rows, ~lines.columns) >= 1.0:
            fit = replace(fit, verdict=_VAGUE)
        return cls(fit, errors, *(np.flatnonzero(mask) for mask in lines))


def tangent_errors(
    measurements: Measurements, fit: LowRankFit, *, symmetric: bool, weight: np.ndarray | None = None
) -> TangentErrors | None:
    """The errors of a fit, of measurements that count so often; None: it tells nothing.

    Those of an exact one are zero, but for what no measurement tells of.
    """
    if fit.verdict.code is StopReason.UNDETERMINED:
        return None
    is_exact = fit.verdict.code is StopReason.EXACT
    has_scale = is_exact or (np.isfinite(fit.threshold) and fit.scale > 0.0)
    if not (has_scale and fit.rank and fit.singular_values[0] > 0.0):
        return None
    scale = 1.0 if is_exact else float(fit.scale)
    if weight is not None and not is_exact:
        scale = _scale_of_one(measurements, fit, symmetric, weight)
    root, lines = np.sqrt(fit.singular_values.astype(np.float64)), measurements.unlike_lines(symmetric=symmetric)
    left, right, k = lines.rows[:, None] * fit.left * root, lines.columns[:, None] * fit.right * root, len(root)
    alike = _in_like_units(measurements, lines)
    unknowns = left.size if symmetric else left.size + right.size
    inliers = np.flatnonzero(~fit.outliers)
    if is_exact and isinstance(measurements, EntryMeasurements):
        inliers = inliers[_are_confirmed(measurements, inliers, k, symmetric)]
    if isinstance(measurements, EntryMeasurements) and not (symmetric or unknowns <= _MOST_UNKNOWNS):
        some, precise = measurements.subset(inliers), None if weight is None else weight[inliers]
        normal, power = _equations_of_entries(some, left, right, precise, scale)
    else:
        normal, power = _normal_equations(
            alike, inliers, left, right, weight, scale, symmetric=symmetric, of_all=is_exact
        )
    diagonal = np.einsum("...ii->...i", normal)
    mass = 1.0 if weight is None or not len(inliers) else float(weight[inliers].mean())
    usual = float(diagonal.sum()) / (mass * len(inliers)) or 1.0
    least = _FLAT * (float(diagonal.mean()) or 1.0)
    diagonal += least
    dof = degrees_of_freedom(measurements.shape, k, symmetric=symmetric)
    free = min(dof / max(len(inliers), 1), 0.5)
    edge = edge_power(max(len(inliers), 1), *measurements.shape)
    share = share_beyond(power, edge, free / (1.0 - free)) / mass  # of the noise of an inlier, which has this weight
    try:
        root = np.linalg.cholesky(normal)
    except np.linalg.LinAlgError:  # sizes whose squares are no numbers
        return None
    errors = TangentErrors(left, right, root, least, 0.0 if is_exact else scale, share, usual, symmetric, lines)
    if is_exact or root.ndim == 3:
        return errors
    missed = evaluate(measurements, fit.left, fit.singular_values, fit.right).astype(np.float64) / scale
    return replace(errors, spread=_told_by_residuals(alike, inliers, missed, weight, errors))


def _are_confirmed(entries: EntryMeasurements, met: np.ndarray, k: int, symmetric: bool) -> np.ndarray:
    """Mask of the entries that are `met`, by index, without those of rows and columns of which no more than k are.

    Whatever these are, they are met: nothing confirms them.
    """
    ends = entries.rows[met].astype(np.int64), entries.cols[met].astype(np.int64)
    if symmetric:
        ends = np.minimum(*ends), np.maximum(*ends)
    _, first = np.unique(ends[0] * entries.shape[1] + ends[1], return_index=True)
    told, counts = np.ones(len(met), dtype=bool), -1
    while told.sum() != counts:
        counts = told.sum()
        each = first[told[first]]
        seen = [np.bincount(end[each], minlength=n) for end, n in zip(ends, entries.shape, strict=True)]
        if symmetric:
            both = np.bincount(ends[0][each][ends[0][each] == ends[1][each]], minlength=entries.shape[0])
            seen = [seen[0] + seen[1] - both] * 2  # an entry of the diagonal is in both
        told &= (seen[0] > k)[ends[0]] & (seen[1] > k)[ends[1]]
    return told


def _normal_equations(
    measurements: Measurements,
    inliers: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    weight: np.ndarray | None,
    scale: float,
    *,
    symmetric: bool,
    of_all: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of the inliers, and the mean square of each direction in them in units of the noise.

    They are those of all rows of the factors together, or of each apart where these are many. Some stand for all, but
    of entries, `of_all` of which they are: a few may be all that tell of a row.
    """
    k, n = left.shape[1], len(inliers)
    unknowns = left.size if symmetric else left.size + right.size
    some = inliers if of_all and measurements.entrywise else _standing_for_all(inliers, unknowns)
    whole = unknowns <= _MOST_UNKNOWNS
    normal = np.zeros((unknowns, unknowns) if whole else (unknowns // k, k, k))
    each = 2 * k if whole else unknowns  # numbers of a measurement: derivatives of an entry are sparse
    if not measurements.entrywise:
        each = max(unknowns, int(np.prod(measurements.shape)))
    power, step = np.zeros(k), max(_BLOCK // each, 1)
    for lo in range(0, len(some), step):
        part = some[lo : lo + step]
        rows = _gradients(measurements.subset(part), left, right, symmetric)
        if weight is not None:
            rows = sparse.diags_array(np.sqrt(weight[part])) @ rows
        power += np.sum(_parts_of_directions(rows, left / scale, symmetric) ** 2, axis=0)
        if whole:
            normal += _in_full(rows.T @ rows)
        else:
            apart = _in_full(rows).reshape(rows.shape[0], -1, k)
            normal += np.einsum("nik,nil->ikl", apart, apart, optimize=True)
    return normal * (n / max(len(some), 1)), power / max(len(some), 1)


def _standing_for_all(inliers: np.ndarray, unknowns: int) -> np.ndarray:
    """Evenly spaced ones that stand for all, of so many that they tell the unknowns."""
    n = len(inliers)
    stride = max(min(n * float(unknowns) ** 2 / _MOST_WORK, n / (3 * unknowns)), 1.0)
    return inliers[(np.arange(int(n / stride)) * stride).astype(np.int64)]


def _told_by_residuals(
    measurements: Measurements,
    inliers: np.ndarray,
    missed: np.ndarray,
    weight: np.ndarray | None,
    errors: TangentErrors,
) -> np.ndarray:
    """The `spread` of errors by the residuals `missed`, in units of the noise, which may be unequal, or not normal.

    The covariance is H^-1 M H^-1, with the normal equations H and the sum M of g g^T r^2 / (1 - h) over the inliers, of
    their derivatives g, residuals r, and leverages h (H. White, "A heteroskedasticity-consistent
    covariance matrix estimator", Econometrica 48, 1980; HC2 of J. G. MacKinnon and H. White, Journal of Econometrics
    29, 1985). Of 16 fits each with noise of equal variance, in proportion to the value, of Student's law, Cauchy's, and
    Laplace's, 90 % intervals hold 0.89, 0.80, 0.87, 0.87 and 0.87; by H alone 0.89, 0.70, 0.81, 0.79 and 0.80.
    """
    some, unknowns = _standing_for_all(inliers, len(errors.root)), len(errors.root)
    if weight is not None:
        missed = missed * np.sqrt(weight)
    total, step = np.zeros((unknowns, unknowns)), max(_BLOCK // max(unknowns, int(np.prod(measurements.shape))), 1)
    for lo in range(0, len(some), step):
        part = some[lo : lo + step]
        rows = _in_full(_gradients(measurements.subset(part), errors.left, errors.right, errors.symmetric))
        if weight is not None:
            rows = rows * np.sqrt(weight[part])[:, None]
        rows = linalg.solve_triangular(errors.root, rows.T, lower=True)
        leverage = np.minimum(np.einsum("ij,ij->j", rows, rows), _MOST_LEVERAGE)
        rows *= missed[part] / np.sqrt(1.0 - leverage)
        total += rows @ rows.T
    values, turn = np.linalg.eigh(total * (len(inliers) / max(len(some), 1)))
    half = turn * np.sqrt(np.maximum(values, 0.0))
    return np.ascontiguousarray(linalg.solve_triangular(errors.root, half, lower=True, trans=1).T)


def _equations_of_entries(
    entries: EntryMeasurements, left: np.ndarray, right: np.ndarray, weight: np.ndarray | None, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same of entries, of each row of the factors apart."""
    k, places = left.shape[1], (entries.rows, entries.cols)
    count = sparse.csr_array((np.ones(entries.size), places), shape=entries.shape)
    mass = count if weight is None else sparse.csr_array((weight, places), shape=entries.shape)
    second = [(part[:, :, None] * part[:, None]).reshape(len(part), -1) for part in (left, right)]
    normal = np.concatenate([mass @ second[1], mass.T @ second[0]]).reshape(-1, k, k)
    return normal, np.sum((left / scale) ** 2 * (mass @ right**2), axis=0) / max(entries.size, 1)


def _scale_of_one(measurements: Measurements, fit: LowRankFit, symmetric: bool, weight: np.ndarray) -> float:
    """Noise scale of a measurement of weight one: that of the fit is what those of all weights have."""
    inlier, unit = ~fit.outliers, float(fit.scale)  # squares of extreme sizes are no numbers
    missed = evaluate(measurements, fit.left, fit.singular_values, fit.right)[inlier].astype(np.float64) / unit
    dof = degrees_of_freedom(measurements.shape, len(fit.singular_values), symmetric=symmetric)
    free = max(len(missed) - dof, 0.5 * len(missed))
    return unit * float(np.sqrt(np.sum(weight[inlier] * missed**2) / free)) or unit


def _parts_of_directions(rows: np.ndarray | sparse.csr_matrix, left: np.ndarray, symmetric: bool) -> np.ndarray:
    """Measurements (n, k) of each direction of left right^T, from their derivatives."""
    d, k = left.shape
    each = sparse.csr_matrix((left.ravel(), np.tile(np.arange(k), d), np.arange(d * k + 1)), shape=(d * k, k))
    parts = _in_full(rows[:, : d * k] @ each)
    return parts / 2.0 if symmetric else parts


def _in_like_units(measurements: Measurements, lines: Moments) -> Measurements:
    """Measurements in units of the sizes of their rows and columns, where these are unlike."""
    return measurements if all(np.all(line == 1.0) for line in lines) else InUnitsOfLines(measurements, lines)


def _gradients(
    measurements: Measurements, left: np.ndarray, right: np.ndarray, symmetric: bool
) -> np.ndarray | sparse.csr_matrix:
    """Derivatives in both factors, or in the one that both are."""
    rows = measurements.gradients(left, right)
    return rows[:, : left.size] + rows[:, left.size :] if symmetric else rows


def _in_full(matrix: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """A matrix as an array in double precision."""
    return (matrix if isinstance(matrix, np.ndarray) else matrix.toarray()).astype(np.float64, copy=False)
