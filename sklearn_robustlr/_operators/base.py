"""Step rules of the sub-gradient method: each turns the residual of an iteration into a step length.

A rule is called as ``rule(t, residual, state)`` and returns the step: the factors move by
``step * G right`` and ``step * G^T left`` with G = sum_i w_i psi_delta(r_i) A_i. Its attribute
``delta`` is where the next residual is clipped (0: its sign), ``last`` the iteration after which its
schedule has ended (None: it has none, and the run ends on a plateau). All rules are invariant to the scale
of the measurements and of the matrices A_i.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from .._utils.arrays import read_only
from .._utils.threads import run_parts
from .tangents import StackedTangent

#: psi_delta clips; these two limits are the sign and the identity.
SIGN, IDENTITY = 0.0, np.inf
# Numbers of the rows that are multiplied at once with a few others.
SLICE = 1 << 16
# Multiplications of a part of a pass (about a millisecond), and most parts.
_PART_WORK, _MOST_PARTS = 1 << 21, 64
# Bound of targets in single precision.
_MOST_SINGLE = 1e15
# Multiplications of a part for each number that it adds to, at least: adding up the parts must cost next to nothing.
_OWN_GRADIENT = 8


def is_ordinary(data, dtype):
    """Whether squares of the data neither overflow nor vanish in a type."""
    flat = data.reshape(-1)
    with np.errstate(over="ignore", under="ignore"):
        square = float(flat @ flat)  # one read, where the extremes take two
    limit = 1e100 if dtype == np.float64 else 1e14
    return data.size / limit < square < limit


def ordinary_unit(data):
    """Divisor that brings data of extreme size near one, so that their squares neither overflow nor vanish; else 1."""
    if not data.size or is_ordinary(data, data.dtype):
        return 1.0
    top = max(float(data.max()), -float(data.min()))
    limit = 1e60 if data.dtype == np.float64 else 1e8
    return 1.0 if top == 0.0 or 1.0 / limit < top < limit else top


class Measurements(ABC):
    """Common part: targets y and the shape of X."""

    #: True where a measurement sees one entry, so that signs alone do not point along the error.
    entrywise = False
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


def flat_steps(measurements, requests, weight, y):
    """`steps` of measurements that see the flattened matrix, by their `vector_steps`."""
    x = np.stack([(left @ right.T).ravel() for left, right, _ in requests]).astype(measurements.dtype, copy=False)
    residual, adjoint = measurements.vector_steps(x, [delta for _, _, delta in requests], weight, y)
    gradients = adjoint.reshape(-1, *measurements.shape)
    return [(r, g @ right, g.T @ left) for r, g, (left, right, _) in zip(residual, gradients, requests, strict=True)]


def evaluate(measurements, u, s, v):
    """Residual at u diag(s) v^T."""
    return measurements.step(u * s, v, IDENTITY, np.zeros_like(measurements.y))[0]
