"""Base classes of the measurements <A_i, X> of a matrix: targets, passes over the data by parts, and threads.

A pass returns the residuals r_i = <A_i, left right^T> - y_i and the gradients G right and G^T left of both factors,
with G = sum_i w_i psi_delta(r_i) A_i. psi_delta clips at delta; its limits are the sign and the identity.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from .._utils.arrays import read_only
from .._utils.linalg import SVD, truncated_svd
from .._utils.stats import quantile
from .._utils.threads import check_interrupt, run_parts
from .results import Clipped, Clipping, FlatStep, Moments, Request, Step
from .tangents import StackedTangent, Tangent

#: Limits of the bound at which residuals are clipped: their signs, and the residuals themselves.
SIGN, IDENTITY = 0.0, np.inf
# Numbers of the rows that are multiplied at once with a few others.
SLICE = 1 << 16
# Ratio of the nine-tenths quantile of the sizes of the A_i to the tenth from which they differ, and how many tell that.
# With 2 and with 1.3, 80 of 100 problems of rank-one measurements of 8 to 40 rows and columns are right and say so, 77
# without, in a tenth more time.
_UNLIKE, _SOME = 2.0, 400
#: Ratio of the sizes of rows or columns of the A_i from which they are brought to one size, and of the A_i from which
#: those with noise are fitted as they are, too. Of x'Mz with 5 % noise (12 x 10, rank 2, features in units of a
#: logarithmic sd of 2.3) 6 of 6 are right, none without; with a sd of 0.6 all are. No other ratio was tried.
FAR_APART = 5.0
# Multiplications of a part of a pass (about a millisecond), and most parts.
_PART_WORK, _MOST_PARTS = 1 << 21, 64
# Bound of targets in single precision.
_MOST_SINGLE = 1e15
# Fewest multiplications of a part for each number that it adds to: adding up the parts must cost next to nothing.
_OWN_GRADIENT = 8

_Kind = TypeVar("_Kind", bound="Measurements")


def is_ordinary(data: np.ndarray, dtype: DTypeLike) -> bool:
    """Whether squares of the data neither overflow nor vanish in a type."""
    flat = data.reshape(-1)
    with np.errstate(over="ignore", under="ignore"):
        square = float(flat @ flat)  # one read, where the extremes take two
    limit = 1e100 if dtype == np.float64 else 1e14
    return data.size / limit < square < limit


def ordinary_unit(data: np.ndarray) -> float:
    """Return a divisor that brings data of extreme size near one; 1 where their squares are in range already."""
    if not data.size or is_ordinary(data, data.dtype):
        return 1.0
    top = max(float(data.max()), -float(data.min()))
    limit = 1e60 if data.dtype == np.float64 else 1e8
    return 1.0 if top == 0.0 or 1.0 / limit < top < limit else top


class InUnits(NamedTuple):
    """Measurements by matrices of ordinary size, and the divisors that the matrices were scaled by."""

    measurements: Measurements
    units: tuple[float, ...]


class Measurements(ABC):
    """Targets y of measurements <A_i, X>, and the shape of X."""

    #: Whether each measurement depends on few entries of X: signs of residuals then do not point along the error.
    entrywise = False
    #: Threads of a pass over the data.
    n_threads = 1
    #: Attributes that follow from the others, or that no result depends on.
    _derived: tuple[str, ...] = ("resolution", "n_threads")

    def __init__(self, y: np.ndarray, shape: tuple[int, int]) -> None:
        self.y = read_only(y)
        self.shape = shape
        self.size = y.shape[0]
        self.dtype = y.dtype
        self._ones = read_only(np.ones(self.size, self.dtype))

    def _or_default(self, weight: np.ndarray | None, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and targets; where none are given, ones and the own targets."""
        weight = self._ones if weight is None else read_only(weight)
        return weight, self.y if y is None else read_only(y)

    def step(
        self,
        left: np.ndarray,
        right: np.ndarray,
        delta: float,
        weight: np.ndarray | None = None,
        y: np.ndarray | None = None,
    ) -> Step:
        """Residual at left right^T, and the gradients of both factors for residuals clipped at `delta`."""
        return self.steps([(left, right, delta)], weight, y)[0]

    def residual(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Residual at left right^T."""
        return self.step(left, right, IDENTITY, np.zeros_like(self.y)).residual

    def clustering(self, weight: np.ndarray) -> float:
        """How much the sums of `weight` over rows and columns vary, in units of their variation by chance.

        One for measurements that each depend on all of X: they belong to no row or column.
        """
        return 1.0

    @abstractmethod
    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        """`step` at several (left, right, delta), in one read of the data."""

    def clipped_steps(
        self, left: np.ndarray, right: np.ndarray, clipping: Clipping, n_steps: int, most: float, *, symmetric: bool
    ) -> Clipped | None:
        """Factors after steps on clipped residuals, made at once; None where they are to be made one at a time.

        They end where the factors have grown beyond `most`.
        """
        return None

    def _pass(self, kernel: Callable[..., None], width: float, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return arrays of these shapes, the sums of what ``kernel(lo, hi, *arrays)`` adds for measurements lo to hi.

        `width` is the number of multiplications that a measurement takes.
        """
        n_parts = self._n_parts(int(self.size * width), shapes)
        return self._sum_parts(kernel, [self.size * p // n_parts for p in range(n_parts + 1)], shapes)

    @staticmethod
    def _n_parts(work: int, shapes: Sequence[tuple[int, ...]]) -> int:
        """Number of parts of a pass of `work` multiplications, each of which adds to arrays of its own.

        One, or an even number: two threads take as long for three parts as for four.
        """
        added = max(sum(map(math.prod, shapes)), 1)
        n_parts = max(min(work // _PART_WORK, work // (_OWN_GRADIENT * added), _MOST_PARTS), 1)
        return n_parts if n_parts == 1 else n_parts + n_parts % 2

    def _sum_parts(
        self, kernel: Callable[..., None], bounds: Sequence[int], shapes: Sequence[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """Run the parts of a pass between these bounds, and add up their arrays in order."""
        parts = [[np.zeros(shape, self.dtype) for shape in shapes] for _ in bounds[1:]]
        if len(parts) == 1:  # nothing else is so short that the way there counts
            check_interrupt()
            kernel(*bounds, *parts[0])
            return parts[0]
        run_parts(lambda p: kernel(bounds[p], bounds[p + 1], *parts[p]), len(parts), self.n_threads)
        for part in parts[1:]:
            for total, more in zip(parts[0], part, strict=True):
                total += more
        return parts[0]

    def with_threads(self, n_threads: int) -> Self:
        """Return the same measurements, with so many threads for a pass over them."""
        other = copy.copy(self)
        other.n_threads = n_threads
        return other

    def _like(self, other: _Kind) -> _Kind:
        """Return measurements made from these, with as many threads."""
        other.n_threads = self.n_threads
        return other

    def with_targets(self, y: np.ndarray) -> Self:
        """Return the same measurements with other targets."""
        other = copy.copy(self)
        other.y = read_only(y)
        return self._like(other)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies, pickles and hashes, without the derived attributes."""
        return {key: value for key, value in self.__dict__.items() if key not in self._derived}

    @cached_property
    def resolution(self) -> float:
        """Step between the values of rounded targets (counts, pixels); 0 where targets are not rounded.

        Rounded data are tied, and a fit that means nothing can meet ties exactly.
        """
        sample = self.y[:: max(1, self.size // 20_000)]
        values, times = np.unique(sample, return_counts=True)
        frequent = values[times > 1]
        if len(frequent) < 3 or len(values) > 0.2 * len(sample):
            return 0.0
        return float(np.median(np.diff(frequent)))

    @property
    def informative(self) -> np.ndarray | None:
        """Mask of the targets that are not zero; None where none is zero."""
        mask = self.y != 0
        return None if mask.all() else mask

    def tangent(self, u: np.ndarray, v: np.ndarray) -> Tangent:
        """Tangent space at a matrix with singular vectors u and v."""
        return StackedTangent(self.step, u, v)

    def gradients(self, u: np.ndarray, v: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """Derivatives of the measurements at u v^T: A_i v and A_i^T u, flattened and joined, (n, k (d1 + d2))."""
        raise NotImplementedError

    def squares(self, weight: np.ndarray) -> np.ndarray:
        """Sum of the squares of the entries of the A_i, each times a weight: a matrix (d1, d2)."""
        raise NotImplementedError

    @abstractmethod
    def adjoint(self, values: np.ndarray) -> np.ndarray | sparse.csr_matrix:
        """sum_i values_i A_i."""

    def leading(self, values: np.ndarray, k: int) -> SVD:
        """The k leading singular triplets of sum_i values_i A_i."""
        return truncated_svd(self.adjoint(values), k)

    @abstractmethod
    def subset(self, index: np.ndarray | slice) -> Measurements:
        """Return the measurements of these indices."""

    def second_moments(self, rows: np.ndarray, cols: np.ndarray) -> Moments:
        """Second moments of the A_i in units of these sizes, by which an uneven ensemble is whitened."""
        raise NotImplementedError

    def seen_lines(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The row that each measurement sees, and the column; None where some see several."""
        return None, None

    def has_unlike_sizes(self, unlike: float = _UNLIKE) -> bool:
        """Whether the A_i that are not zero, of which a few hundred are looked at, differ in size by such a factor."""
        index = np.arange(self.size) if self.size <= _SOME else np.random.RandomState(0).randint(self.size, size=_SOME)
        some = self.subset(index).in_units().measurements
        size = some.sizes(*some.unlike_lines())
        size = size[size > 0.0]
        return bool(len(size) and quantile(size, 0.9) > unlike * quantile(size, 0.1))

    def sizes(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Norms of the A_i, in units of the sizes of their rows and columns; ones for entries."""
        return self._ones

    def unlike_lines(self, *, symmetric: bool = False) -> Moments:
        """Sizes of the rows and columns of the A_i, in units of the median one, if some differ much; else ones.

        Those of a symmetric matrix are the same.
        """
        sizes = self.line_sizes()
        rows, cols = (size / np.median(size) for size in sizes)
        if symmetric:
            rows = cols = np.sqrt(rows * cols)
        if all(size.max() <= FAR_APART * size.min() for size in (rows, cols)):
            return Moments(*map(np.ones_like, sizes))
        return Moments(rows, cols)

    def line_sizes(self) -> Moments:
        """Root mean squares of what is not zero in each row, and in each column, of the A_i, up to a factor.

        Ones for entries.
        """
        return Moments(np.ones(self.shape[0]), np.ones(self.shape[1]))

    def divided(self, size: np.ndarray) -> Measurements:
        """Return the same measurements, targets and matrices A_i each divided by a size."""
        raise NotImplementedError

    def in_units(self) -> InUnits:
        """Return the same measurements by matrices A_i of ordinary size."""
        return InUnits(self, ())

    def single(self) -> Measurements:
        """Return the measurements in single precision, where passes over them are then faster; else themselves."""
        return self

    def _single_targets(self) -> np.ndarray:
        """Targets in single precision, bounded so that their squares do not overflow."""
        return np.clip(self.y, -_MOST_SINGLE, _MOST_SINGLE).astype(np.float32)


class FlatMeasurements(Measurements):
    """Measurements that multiply the flattened matrix by stored rows."""

    @abstractmethod
    def vector_steps(
        self, x: np.ndarray, delta: Sequence[float], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> FlatStep:
        """Residuals and adjoints at several flattened matrices, the rows of x."""

    def steps(
        self, requests: Sequence[Request], weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> list[Step]:
        x = np.stack([(left @ right.T).ravel() for left, right, _ in requests]).astype(self.dtype, copy=False)
        residual, adjoint = self.vector_steps(x, [delta for _, _, delta in requests], weight, y)
        gradients = adjoint.reshape(-1, *self.shape)
        each = zip(residual, gradients, requests, strict=True)
        return [Step(r, g @ right, g.T @ left) for r, g, (left, right, _) in each]


def in_units_of_largest(data: np.ndarray) -> np.ndarray:
    """Data whose squares are numbers."""
    return data / (np.abs(data).max(initial=0.0) or data.dtype.type(1.0))


def root_mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Square roots of sums over counts; of what has none the median of the others, or one."""
    mean = np.sqrt(total / np.maximum(count, 1.0)).astype(np.float64)
    seen = mean > 0.0
    return np.where(seen, mean, np.median(mean[seen]) if seen.any() else 1.0)


def evaluate(measurements: Measurements, u: np.ndarray, s: np.ndarray | float, v: np.ndarray) -> np.ndarray:
    """Residual at u diag(s) v^T."""
    return measurements.residual(u * s, v)
