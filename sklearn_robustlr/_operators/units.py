"""Units of the solver: targets, matrices A_i, rows and columns are brought to even sizes, uneven ensembles whitened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import joblib
import numpy as np

from .._kernels.rows import segment_medians
from .._utils.arrays import counting_sort, read_only
from .._utils.linalg import SVD, product_svd
from .._utils.stats import quantile
from .._utils.threads import check_interrupt
from .._utils.values import Factors
from .base import Measurements
from .entries import EntryMeasurements
from .results import Moments, Request, Step
from .tangents import PreconditionedTangent, Tangent

# Largest size of a first guess, in units of the targets, in double and in single precision.
_MOST, _MOST_SINGLE = 1e12, 1e6
# Largest targets in units of the median one, and largest scale of a row or column, in double and in single precision.
_LARGEST = {"d": 1e30, "f": 1e15}
# Ratio of the units of rows or columns from which an exact fit is looked for in even units: of 20 matrices of rank 1 in
# one unit it is 490 at most. Of 18 exact matrices with columns in units of 1e-2 to 1e2, 2 are found without (16
# "approximate" in ten times the time), all with it; with 1e-1 to 1e1 all are found without.
_UNLIKE = 1e3
# Size of a matrix A_i, in units of the median one, below which it is zero but for rounding.
_SMALLEST = 1e-6


class Preconditioned(Measurements):
    """Measurements P A_i Q of P^-1 X Q^-1 for symmetric P and Q: they have the same values, better conditioned."""

    def __init__(self, parent: Measurements, p: np.ndarray, q: np.ndarray) -> None:
        super().__init__(parent.y, parent.shape)
        self.parent, self._p, self._q = parent, p, q
        self.entrywise = parent.entrywise

    def with_threads(self, n_threads: int) -> Preconditioned:
        return self._around(self.parent.with_threads(n_threads))

    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        turned = [(self._p @ left, self._q @ right, delta) for left, right, delta in requests]
        inner = self.parent.steps(turned, weight, self.y if y is None else y)
        return [Step(residual, self._p @ grad_left, self._q @ grad_right) for residual, grad_left, grad_right in inner]

    def tangent(self, u: np.ndarray, v: np.ndarray) -> Tangent:
        return PreconditionedTangent(self.parent.tangent(self._p @ u, self._q @ v), self._p, self._q)

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        return self._p @ self.parent.adjoint(values) @ self._q.T

    def subset(self, index: np.ndarray | slice) -> Preconditioned:
        return self._around(self.parent.subset(index))

    def single(self) -> Preconditioned:
        return self._around(self.parent.single())

    def _around(self, parent: Measurements) -> Preconditioned:
        """The same of other measurements."""
        return Preconditioned(parent, *(factor.astype(parent.dtype, copy=False) for factor in (self._p, self._q)))


class InUnitsOfLines(Preconditioned):
    """Measurements whose rows and columns are divided by sizes."""

    def __init__(self, parent: Measurements, lines: Moments) -> None:
        self.lines = lines
        self._rows, self._cols = ((1.0 / size).astype(parent.dtype) for size in lines)
        super().__init__(parent, np.empty((0, 0)), np.empty((0, 0)))

    def _around(self, parent: Measurements) -> InUnitsOfLines:
        return InUnitsOfLines(parent, self.lines)

    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        rows, cols = self._rows[:, None], self._cols[:, None]
        inner = self.parent.steps([(rows * u, cols * v, d) for u, v, d in requests], weight, self.y if y is None else y)
        return [Step(residual, rows * grad_left, cols * grad_right) for residual, grad_left, grad_right in inner]

    def tangent(self, u: np.ndarray, v: np.ndarray) -> Tangent:
        p, q = np.diag(self._rows), np.diag(self._cols)
        return PreconditionedTangent(self.parent.tangent(p @ u, q @ v), p, q)

    def adjoint(self, values: np.ndarray) -> np.ndarray:
        return self._rows[:, None] * self.parent.adjoint(values) * self._cols

    def gradients(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        slopes, k = self.parent.gradients(self._rows[:, None] * u, self._cols[:, None] * v), u.shape[1]
        return slopes * np.concatenate([np.repeat(self._rows, k), np.repeat(self._cols, k)])

    def squares(self, weight: np.ndarray) -> np.ndarray:
        return self.parent.squares(weight) * np.outer(self._rows, self._cols) ** 2


@dataclass(frozen=True)
class Problem:
    """Measurements in the units of the solver, twice: `base` for noise, `work` for the sub-gradient stages.

    X in the coordinates of `base` is diag(p) W diag(q), where W is X in the coordinates of `work`. `scale` takes
    targets of `base` to the user's units. The matrices A_i were divided by each of `units`. `final` = (P, Q) takes X
    from the coordinates of `base` to P X Q; None: it stays as it is. Where rows and columns of the A_i were in unlike
    units, they were divided by `lines` before all else (None: they were not).
    """

    base: Measurements
    work: Measurements
    p: np.ndarray
    q: np.ndarray
    final: tuple[np.ndarray, np.ndarray] | None
    scale: float
    units: tuple[float, ...]
    lines: Moments | None = None

    @cached_property
    def digest(self) -> str:
        """Hash that distinguishes it from other problems."""
        return joblib.hash([getattr(self, field.name) for field in fields(self)])

    def in_user_units(self, size: np.ndarray) -> np.ndarray:
        """Return sizes of X in the user's units; infinite where they exceed the largest number."""
        with np.errstate(over="ignore"):
            size = size * size.dtype.type(self.scale)
            for unit in self.units:
                size = size / size.dtype.type(unit)
        return size

    def to_base(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, symmetric: bool = False) -> SVD:
        """Take triplets from the coordinates of `work` to those of `base`."""
        if self.work is self.base:
            return SVD(u, s, v)
        u, s, v = (factor.astype(self.base.dtype, copy=False) for factor in (u, s, v))
        return product_svd(self.p[:, None] * u * s, self.q[:, None] * v, len(s), symmetric=symmetric)

    def to_work(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, symmetric: bool = False) -> SVD:
        """Take triplets from the coordinates of `base` to those of `work`."""
        if self.work is self.base:
            return SVD(u, s, v)
        return product_svd(u * s / self.p[:, None], v / self.q[:, None], len(s), symmetric=symmetric)

    def from_user_units(self, left: np.ndarray, right: np.ndarray, *, symmetric: bool = False) -> Factors | None:
        """Take factors of X from the user's units to the coordinates of `work`.

        None where they are useless: zero, or so large beside the targets that steps from there are lost in rounding.
        """
        dtype = self.base.dtype
        tops = [float(np.abs(factor).max()) or 1.0 for factor in (left, right)]  # products of extremes overflow
        left, right = (factor.astype(float) / top for factor, top in zip((left, right), tops, strict=True))
        if self.final is not None:
            left, right = (np.linalg.solve(m.astype(float), f) for m, f in zip(self.final, (left, right), strict=True))
        u, s, v = product_svd(left, right, left.shape[1], symmetric=symmetric)
        with np.errstate(over="ignore", divide="ignore"):
            s = s * tops[0] / self.in_user_units(np.ones(1)) * tops[1]
        if not 0.0 < s[0] <= (_MOST if dtype == np.float64 else _MOST_SINGLE):
            return None
        u, s, v = (factor.astype(dtype) for factor in (u, s, v))
        u, s, v = self.to_work(u, s, v, symmetric=symmetric)
        root = np.sqrt(s)
        return Factors(u * root, v * root)

    @property
    def is_uneven(self) -> bool:
        """Whether rows or columns of X, or measurements, are so unlike that an exact fit may not look so in `base`."""
        if not isinstance(self.base, EntryMeasurements):
            return self.work is not self.base
        return self.work is not self.base and any(scale.max() > _UNLIKE * scale.min() for scale in (self.p, self.q))

    @property
    def plain(self) -> Measurements:
        """The measurements of `base` before they were whitened: their rows and columns are in like units."""
        base = self.base
        return base.parent if isinstance(base, Preconditioned) and not isinstance(base, InUnitsOfLines) else base

    def to_plain(self, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> SVD:
        """Take triplets from the coordinates of `base` to those of `plain`."""
        if self.final is None:
            return SVD(u, s, v)
        left, right = self.final[0] @ u * s, self.final[1] @ v
        if self.lines is not None:
            left, right = self.lines.rows[:, None] * left, self.lines.columns[:, None] * right
        return product_svd(left, right, len(s))

    def from_plain(self, left: np.ndarray, right: np.ndarray) -> SVD:
        """Take factors from the coordinates of `plain` to triplets in those of `base`."""
        if self.lines is not None:
            left, right = left / self.lines.rows[:, None], right / self.lines.columns[:, None]
        if self.final is not None:
            left, right = (np.linalg.solve(m.astype(float), f) for m, f in zip(self.final, (left, right), strict=True))
        u, s, v = product_svd(left, right)
        dtype = self.base.dtype
        return SVD(u.astype(dtype), s.astype(dtype), v.astype(dtype))

    def finalise(self, u: np.ndarray, s: np.ndarray, v: np.ndarray, *, symmetric: bool = False) -> SVD:
        """Take triplets from the coordinates of `base` to the user's units."""
        if self.final is not None:
            p, q = self.final
            u, s, v = product_svd(p @ u * s, q @ v, len(s), symmetric=symmetric)
        return SVD(u, self.in_user_units(s), v)

    def to_user_units(self, left: np.ndarray, right: np.ndarray) -> SVD:
        """Return the triplets of X in the user's units, from factors in the coordinates of `work`."""
        return self.finalise(*self.to_base(*product_svd(left, right)))

    def subset(self, index: np.ndarray | slice) -> Problem:
        """Return the problem of some of the measurements, in the same units."""
        return self._of_each(lambda measurements: measurements.subset(index))

    def with_threads(self, n_threads: int) -> Problem:
        """Return the same problem, with so many threads for a pass over its data."""
        return self._of_each(lambda measurements: measurements.with_threads(n_threads))

    def in_single(self) -> Problem:
        """Return the same problem, its sub-gradient stages in single precision where that is faster."""
        return self if self.base.dtype == np.float32 else replace(self, work=self.work.single())

    def _of_each(self, change: Callable[[Measurements], Measurements]) -> Problem:
        """Return the problem with changed measurements; `work` stays `base` itself where it is."""
        base = change(self.base)
        return replace(self, base=base, work=base if self.work is self.base else change(self.work))


def target_scale(y: np.ndarray) -> float:
    """Robust size of the targets: median absolute value of all, or of those other than zero where most are zero."""
    size = np.abs(y)
    top = float(size.max()) if len(size) else 0.0
    if top == 0.0:
        return 1.0
    scale = quantile(size, 0.5)
    if scale <= 1e-12 * top:  # mostly zeros
        present = size[size > 0]
        scale = quantile(present, 0.5)
    return scale


def make_problem(measurements: Measurements, *, symmetric: bool = False) -> Problem:
    """Normalise targets, equilibrate entries by rows and columns, even and precondition other measurements.

    A symmetric X stays so: rows and columns have the same units.
    """
    measurements, units = measurements.in_units()
    scale = target_scale(measurements.y)
    limit = _LARGEST[measurements.dtype.char]
    with np.errstate(over="ignore"):
        measurements = measurements.with_targets(
            np.clip(measurements.y / measurements.dtype.type(scale), -limit, limit)
        )
    if isinstance(measurements, EntryMeasurements):
        p, q = _equilibrate(measurements)
        if symmetric:
            p = q = np.sqrt(p) * np.sqrt(q)  # products of extremes overflow
        even = max(p.max() / p.min(), q.max() / q.min()) < 1.5
        evened = measurements if even else measurements.rescaled(p, q)
        return Problem(measurements, evened, p, q, None, scale, units)
    lines = measurements.unlike_lines(symmetric=symmetric)
    work = _evened(measurements, lines, limit)
    rows, cols = work.second_moments(*lines)
    if symmetric:
        rows = cols = (rows + cols) / 2.0
    white = [_inverse_root(moment) for moment in (rows, cols)]
    each: list[Measurements] = [measurements] if work is measurements else [measurements, work]
    final, size = None, np.trace(rows) / len(rows)
    are_unlike = any(np.any(line != 1.0) for line in lines)
    if are_unlike:
        final = tuple(np.diag(1.0 / line) for line in lines)
        each = [InUnitsOfLines(one, lines) for one in each]
    if any(root is not None for root in white) or (size > 0 and not 1e-3 < np.trace(rows) < 1e6):
        # each root carries the overall size: take it out of one, by halves
        p, q = (
            ((np.eye(n) / np.sqrt(size) if root is None else root) * size**0.25).astype(measurements.dtype)
            for root, n in zip(white, measurements.shape, strict=True)
        )
        final = (p, q) if final is None else (final[0] @ p, final[1] @ q)
        each = [Preconditioned(one, p, q) for one in each]
    if final is not None:
        final = final[0].astype(measurements.dtype), final[1].astype(measurements.dtype)
    ones = np.ones(1, measurements.dtype)
    return Problem(each[0], each[-1], ones, ones, final, scale, units, lines if are_unlike else None)


def _evened(measurements: Measurements, lines: Moments, limit: float) -> Measurements:
    """Measurements of unlike sizes, targets (up to a limit) and matrices divided by that; others as they are.

    The sub-gradient method moves by signs of residuals: large matrices would move the factors, and small ones count for
    nothing. Of 6 exact problems each whose sizes have a logarithmic sd of 1, 1.5 and 2 (20 x 15, rank 2, 4 for each
    degree of freedom, 20 % errors) 6, 6 and 6 are found, 5, 0 and 0 without.
    """
    if not measurements.has_unlike_sizes():
        return measurements
    size = measurements.sizes(*lines)
    size = size / quantile(size[size > 0.0], 0.5)
    even = measurements.divided(np.where(size > _SMALLEST, size, 1.0).astype(measurements.dtype))
    return even.with_targets(np.clip(even.y, -limit, limit))


def _inverse_root(moment: np.ndarray, *, even: float = 4.0, ridge: float = 1e-2) -> np.ndarray | None:
    """Inverse square root of a second-moment matrix; None where it is close to a multiple of the identity.

    The ridge is relative to the largest eigenvalue. Without it, directions that hardly any measurement depends on
    (pixels that are dark in nearly every image) would be blown up. With it they are learnt late, if at all.
    """
    moment = moment.astype(np.float64)
    values, vectors = np.linalg.eigh(moment)
    top = values[-1]
    if not top > 0 or values[0] * even > top:
        return None
    return (vectors / np.sqrt(np.maximum(values, 0.0) + ridge * top)) @ vectors.T


def _equilibrate(entries: EntryMeasurements, sweeps: int = 3, bound: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """Row and column scales p and q: diag(1/p) X diag(1/q) has rows and columns of even median size.

    This keeps the rank low, and rows of very different size count alike. Medians are robust to gross errors in less
    than half of a row.
    """
    p, q = (np.ones(n) for n in entries.shape)
    size = np.abs(entries.y).astype(np.float64, copy=False)  # ratios of extremes overflow in single precision
    by_col = counting_sort(entries.cols, len(q))
    bounds = read_only(np.concatenate([[0], np.cumsum(np.bincount(entries.cols, minlength=len(q)))]).astype(np.int32))
    sides = (
        (p, q, entries.cols, size, entries.indptr),
        (q, p, entries.rows[by_col], size[by_col], bounds),
    )
    for _ in range(sweeps):
        for own, other, others, values, indptr in sides:
            check_interrupt()
            middle = np.zeros_like(own)
            segment_medians(indptr, values / other[others], middle)
            seen = middle > 0
            typical = np.median(middle[seen]) if seen.any() else 1.0
            own[:] = np.clip(np.where(seen, middle, typical), typical / bound, typical * bound)
    limit = _LARGEST[entries.dtype.char]
    p, q = (np.clip(scale, 1.0 / limit, limit).astype(entries.dtype) for scale in (p, q))
    return p, q
