"""Linear measurement operators: residual, adjoint, tangent space and subset of each kind of data.

Every kind offers the same five things, which is all that the stages know of the data:

* ``steps(requests)``: for each (left, right, delta), residual r_i = <A_i, left right^T> - y_i and the factor
  gradients G right and G^T left of G = sum_i w_i psi_delta(r_i) A_i, all in one pass over the data; ``step`` is the
  same for one. psi_delta clips to [-delta, delta]; delta = 0 means the sign and delta = inf the identity.
* ``tangent(u, v)``: the same with X = m v^T + u n^T for fixed u and v, as a function of (m, n).
* ``leading(values, k)``: the k leading singular triplets of sum_i values_i A_i.
* ``subset(index)``: the same kind with fewer measurements.
* ``in_units()``: the same with the A_i at an ordinary size, and the divisors.

A pass is made in parts that depend on the data alone, and what they add to is summed in their order: the result has the
same bits for any number of threads, and between two parts Ctrl-C is heard.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from . import _kernels
from ._factors import truncated_svd
from ._tangents import StackedTangent, StoredTangent
from ._threads import run_parts

# Tangent coordinates of dense measurements are stored where they cost at most this share of the data.
_TANGENT_SHARE = 0.2
# Multiplications of a part of a pass (about a millisecond), and most parts.
_PART_WORK, _MOST_PARTS = 1 << 21, 64
# Numbers of the rows that are multiplied at once with a few others.
_SLICE = 1 << 16
# Bound of targets in single precision.
_MOST_SINGLE = 1e15
# Multiplications of a part for each number that it adds to, at least: adding up the parts must cost next to nothing.
_OWN_GRADIENT = 8


def read_only(array):
    """Read-only view: numba compiles one signature for both kinds only if it always sees this one."""
    view = array.view()
    view.flags.writeable = False
    return view


def _is_ordinary(data, dtype):
    """Whether squares of the data neither overflow nor vanish in a type."""
    flat = data.reshape(-1)
    with np.errstate(over="ignore", under="ignore"):
        square = float(flat @ flat)  # one read, where the extremes take two
    limit = 1e100 if dtype == np.float64 else 1e14
    return data.size / limit < square < limit


def _unit(data):
    """Divisor that brings data of extreme size near one, so that their squares neither overflow nor vanish; else 1."""
    if not data.size or _is_ordinary(data, data.dtype):
        return 1.0
    top = max(float(data.max()), -float(data.min()))
    limit = 1e60 if data.dtype == np.float64 else 1e8
    return 1.0 if top == 0.0 or 1.0 / limit < top < limit else top


class Measurements(ABC):
    """Common part: targets y and the shape of X."""

    #: True where a measurement sees one entry, so that signs alone do not point along the error.
    coherent = False
    #: Threads that a pass over the data is made in.
    n_threads = 1
    #: Attributes that are told from the others, or that no result depends on.
    _told: tuple[str, ...] = ("resolution", "n_threads")

    def __init__(self, y, shape):
        self.y = read_only(y)
        self.shape = shape
        self.size = y.shape[0]
        self.dtype = y.dtype
        self._ones = read_only(np.ones(self.size, self.dtype))

    def _or_default(self, weight, y):
        """Weights (one) and targets (own) where none are given."""
        weight = self._ones if weight is None else read_only(weight)
        return weight, self.y if y is None else read_only(y)

    def step(self, left, right, delta, weight=None, y=None):
        """Residual at left right^T, and the gradients of both factors for residuals clipped at `delta`."""
        return self.steps([(left, right, delta)], weight, y)[0]

    def clustering(self, weight):
        """How far the sums of `weight` over what belongs together vary, in units of what chance makes them vary.

        One where nothing belongs together: measurements that each see all of X.
        """
        return 1.0

    @abstractmethod
    def steps(self, requests, weight=None, y=None):
        """`step` at several (left, right, delta), in one read of the data."""

    def _pass(self, kernel, width, shapes):
        """Arrays of these shapes that ``kernel(lo, hi, *arrays)`` adds to for the measurements lo to hi, by parts.

        `width` is the number of multiplications that a measurement takes.
        """
        n_parts = self._n_parts(int(self.size * width), shapes)
        return self._sum_parts(kernel, [self.size * p // n_parts for p in range(n_parts + 1)], shapes)

    @staticmethod
    def _n_parts(work, shapes):
        """Parts of a pass of so many multiplications that adds to arrays of these shapes, one of each for a part.

        One, or an even number: of three, two threads would take the time of two.
        """
        added = max(sum(map(math.prod, shapes)), 1)
        n_parts = max(min(work // _PART_WORK, work // (_OWN_GRADIENT * added), _MOST_PARTS), 1)
        return n_parts if n_parts == 1 else n_parts + n_parts % 2

    def _sum_parts(self, kernel, bounds, shapes):
        parts = [[np.zeros(shape, self.dtype) for shape in shapes] for _ in bounds[1:]]
        run_parts(lambda p: kernel(bounds[p], bounds[p + 1], *parts[p]), len(parts), self.n_threads)
        for part in parts[1:]:
            for total, more in zip(parts[0], part, strict=True):
                total += more
        return parts[0]

    def with_threads(self, n_threads):
        """Return the same measurements, passes over them made in so many threads."""
        other = copy.copy(self)
        other.n_threads = n_threads
        return other

    def _like(self, other):
        """Measurements made from these: passes over them are made in as many threads."""
        other.n_threads = self.n_threads
        return other

    def with_targets(self, y):
        """Return the same measurements with other targets."""
        other = copy.copy(self)
        other.y = read_only(y)
        return self._like(other)

    def __getstate__(self):
        """Of copies, pickles and hashes: without what is told from the rest, and without what no result depends on."""
        return {key: value for key, value in self.__dict__.items() if key not in self._told}

    @cached_property
    def resolution(self):
        """Step between the values that targets take where they are rounded (counts, pixels); 0 where they are not.

        Rounded data are tied, and ties can be met exactly by a fit that means nothing.
        """
        sample = self.y[:: max(1, self.size // 20_000)]
        values, times = np.unique(sample, return_counts=True)
        frequent = values[times > 1]
        if len(frequent) < 3 or len(values) > 0.2 * len(sample):
            return 0.0
        return float(np.median(np.diff(frequent)))

    @property
    def informative(self):
        """Mask of the targets that are not zero; None where all are not."""
        mask = self.y != 0
        return None if mask.all() else mask

    def tangent(self, u, v):
        return StackedTangent(self, u, v)

    @abstractmethod
    def subset(self, index):
        """Return the measurements of these indices."""

    def in_units(self):
        """Return (measurements A_i of ordinary size, the divisors that made them so)."""
        return self, ()

    def single(self):
        """Return the same measurements in single precision, where a pass over them is then faster."""
        return self

    def _single_targets(self):
        return np.clip(self.y, -_MOST_SINGLE, _MOST_SINGLE).astype(np.float32)


class DenseMeasurements(Measurements):
    """Rows of `data` are flattened d1 x d2 matrices."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = read_only(data)

    def vector_steps(self, x, delta, weight=None, y=None):
        """Residuals (one row for each) and adjoints at flattened matrices, the rows of x."""
        residual = np.empty((self.size, len(x)), self.dtype)
        delta = np.array(delta, dtype=self.dtype)
        weight, y = self._or_default(weight, y)

        few = max(_SLICE // self.data.shape[1], 4)

        def part(lo, hi, adjoint):
            own = self.data[lo:hi], x, y[lo:hi], weight[lo:hi], delta, residual[lo:hi], adjoint
            if len(x) == 1:
                _kernels.dense_step(*own)
            else:
                _kernels.dense_steps(*own, few)

        (adjoint,) = self._pass(part, x.size, [x.shape])
        return np.ascontiguousarray(residual.T), adjoint

    def steps(self, requests, weight=None, y=None):
        return _flat_steps(self, requests, weight, y)

    def tangent(self, u, v):
        d1, d2 = self.shape
        k = u.shape[1]
        if k * (d1 + d2) > _TANGENT_SHARE * self.data.shape[1]:
            return StackedTangent(self, u, v)
        coordinates = np.empty((self.size, k * (d1 + d2)), self.dtype)
        u, v = (read_only(np.ascontiguousarray(factor.T)) for factor in (u, v))

        def part(lo, hi, product):
            _kernels.dense_tangent(self.data[lo:hi], u, v, product, coordinates[lo:hi])

        self._pass(part, k * d1 * d2, [(k, d2)])
        return StoredTangent(self._like(DenseMeasurements(coordinates, self.y, self.shape)), d1 * k, k)

    def in_units(self):
        unit = _unit(self.data)
        if unit == 1.0:
            return self, ()
        return self._like(DenseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)), (unit,)

    def single(self):
        if not _is_ordinary(self.data, np.float32):
            return self
        return self._like(DenseMeasurements(self.data.astype(np.float32), self._single_targets(), self.shape))

    def leading(self, values, k):
        return truncated_svd((values @ self.data).reshape(self.shape), k)

    def subset(self, index):
        return self._like(DenseMeasurements(self.data[index], self.y[index], self.shape))

    def second_moments(self):
        """Mean of A A^T / d2 and of A^T A / d1, from a few hundred evenly spaced measurements."""
        d1, d2 = self.shape
        stride = max(1, self.size // max(200, 4 * max(d1, d2)))
        some = self.data[::stride]
        rows, cols = np.zeros((d1, d1)), np.zeros((d2, d2))
        for a in some.reshape(-1, d1, d2) if stride == 1 else (row.reshape(d1, d2) for row in some):
            rows += a @ a.T
            cols += a.T @ a
        return rows / (len(some) * d2), cols / (len(some) * d1)


def _flat_steps(measurements, requests, weight, y):
    """`steps` of measurements that see the flattened matrix, by their `vector_steps`."""
    x = np.stack([(left @ right.T).ravel() for left, right, _ in requests]).astype(measurements.dtype, copy=False)
    residual, adjoint = measurements.vector_steps(x, [delta for _, _, delta in requests], weight, y)
    gradients = adjoint.reshape(-1, *measurements.shape)
    return [(r, g @ right, g.T @ left) for r, g, (left, right, _) in zip(residual, gradients, requests, strict=True)]


class SparseMeasurements(Measurements):
    """Rows of a CSR matrix are flattened d1 x d2 matrices; they stay sparse."""

    def __init__(self, data, y, shape):
        super().__init__(y, shape)
        self.data = data
        self._arrays = tuple(read_only(a) for a in (data.indptr, data.indices, data.data))
        self.coherent = data.nnz <= 4 * data.shape[0]

    def vector_steps(self, x, delta, weight=None, y=None):
        """Residuals (one row for each) and adjoints at flattened matrices, the rows of x."""
        x = np.ascontiguousarray(x.T)
        residual = np.empty((self.size, x.shape[1]), self.dtype)
        delta = np.array(delta, dtype=self.dtype)
        weight, y = self._or_default(weight, y)
        indptr, *stored = self._arrays

        def part(lo, hi, adjoint):
            rows = slice(lo, hi)
            _kernels.sparse_steps(
                indptr[lo : hi + 1], *stored, x, y[rows], weight[rows], delta, residual[rows], adjoint
            )

        (adjoint,) = self._pass(part, x.shape[1] * self.data.nnz / self.size, [x.shape])
        return np.ascontiguousarray(residual.T), np.ascontiguousarray(adjoint.T)

    def steps(self, requests, weight=None, y=None):
        return _flat_steps(self, requests, weight, y)

    def in_units(self):
        unit = _unit(self.data.data)
        if unit == 1.0:
            return self, ()
        return self._like(SparseMeasurements(self.data / self.dtype.type(unit), self.y, self.shape)), (unit,)

    def leading(self, values, k):
        return truncated_svd((self.data.T @ values).reshape(self.shape), k)

    def subset(self, index):
        return self._like(SparseMeasurements(self.data[index], self.y[index], self.shape))

    def second_moments(self):
        """Diagonals of the mean of A A^T / d2 and of A^T A / d1 (off-diagonals would be dense work)."""
        square = np.asarray(self.data.multiply(self.data).mean(axis=0)).reshape(self.shape)
        return np.diag(square.mean(axis=1)), np.diag(square.mean(axis=0))


class RankOneMeasurements(Measurements):
    """Measurement i is a_i b_i^T; d1 * d2 numbers are formed once per spectral start, never per row."""

    def __init__(self, a, b, y, shape):
        super().__init__(y, shape)
        self.a, self.b = read_only(a), read_only(b)

    def steps(self, requests, weight=None, y=None):
        n, k = len(requests), requests[0][0].shape[1]
        left, right = (np.hstack([request[side] for request in requests]).astype(self.dtype) for side in (0, 1))
        delta = np.array([delta for _, _, delta in requests], dtype=self.dtype)
        residual = np.empty((self.size, n), self.dtype)
        weight, y = self._or_default(weight, y)
        few = max(_SLICE // sum(self.shape), 16)  # the second products find a and b in cache

        def part(lo, hi, grad_left, grad_right):
            for start in range(lo, hi, few):
                rows = slice(start, min(start + few, hi))
                u, v = self.a[rows] @ left, self.b[rows] @ right
                whole = (-1, n, k)
                _kernels.rank_one_weigh(
                    u.reshape(whole), v.reshape(whole), y[rows], weight[rows], delta, residual[rows]
                )
                grad_left += self.a[rows].T @ u
                grad_right += self.b[rows].T @ v

        grad_left, grad_right = self._pass(part, 2 * (left.size + right.size), [left.shape, right.shape])
        whole = zip(residual.T, np.hsplit(grad_left, n), np.hsplit(grad_right, n), strict=True)
        return [tuple(np.ascontiguousarray(a) for a in one) for one in whole]

    def in_units(self):
        units = _unit(self.a), _unit(self.b)
        if units == (1.0, 1.0):
            return self, ()
        a, b = (data / self.dtype.type(unit) for data, unit in zip((self.a, self.b), units, strict=True))
        return self._like(RankOneMeasurements(a, b, self.y, self.shape)), units

    def single(self):
        if not all(_is_ordinary(data, np.float32) for data in (self.a, self.b)):
            return self
        a, b = (data.astype(np.float32) for data in (self.a, self.b))
        return self._like(RankOneMeasurements(a, b, self._single_targets(), self.shape))

    def leading(self, values, k):
        return truncated_svd((self.a * values[:, None]).T @ self.b, k)

    def subset(self, index):
        return self._like(RankOneMeasurements(self.a[index], self.b[index], self.y[index], self.shape))

    def second_moments(self):
        """Mean of A A^T / d2 and of A^T A / d1."""
        norm_a, norm_b = (self.a**2).sum(axis=1), (self.b**2).sum(axis=1)
        rows = (self.a * norm_b[:, None]).T @ self.a / (self.size * self.shape[1])
        cols = (self.b * norm_a[:, None]).T @ self.b / (self.size * self.shape[0])
        return rows, cols
