"""Tangent spaces of the rank-k matrices: measurements of X = m v^T + u n^T as functions of m and n."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from .results import FlatStep, Step

#: Gradients in m and n of half the weighted squares of the measurements of m v^T + u n^T.
Normal = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Tangent(Protocol):
    """The tangent space at u diag(s) v^T."""

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        """Residual at m v^T + u n^T, and the gradients in m and n for residuals clipped at `delta`."""
        ...

    def normal(self, weight: np.ndarray) -> Normal:
        """The map of the normal equations of weighted least squares: the gradients for targets of zero."""
        ...


class BySteps:
    """Normal equations from the steps of a tangent space."""

    def normal(self: Tangent, weight: np.ndarray) -> Normal:
        zero = np.zeros_like(weight)

        def normal(m: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            _, grad_m, grad_n = self.step(m, n, np.inf, weight, zero)
            return grad_m, grad_n

        return normal


class StackedTangent(BySteps):
    """Tangent space of any measurements: m v^T + u n^T is the product of the stacked factors [m, u] and [v, n].

    `step` is that of the measurements.
    """

    def __init__(self, step: Callable[..., Step], u: np.ndarray, v: np.ndarray) -> None:
        self._step, self._u, self._v = step, u, v

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        k = m.shape[1]
        left, right = np.hstack([m, self._u]), np.hstack([self._v, n])
        residual, grad_left, grad_right = self._step(left, right, delta, weight, y)
        return Step(residual, grad_left[:, :k], grad_right[:, k:])


class StoredTangent(BySteps):
    """Tangent space of dense measurements by their stored tangent coordinates A_i v and A_i^T u.

    The coordinates are dense measurements of the flattened and joined (m, n), a small problem with these
    `vector_steps`. The first `split` numbers are m.
    """

    def __init__(self, vector_steps: Callable[..., FlatStep], split: int, k: int) -> None:
        self._vector_steps, self._split, self._k = vector_steps, split, k

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        x = np.concatenate([m.ravel(), n.ravel()])[None]
        (residual,), (adjoint,) = self._vector_steps(x, [delta], weight, y)
        grad_m, grad_n = adjoint[: self._split].reshape(-1, self._k), adjoint[self._split :].reshape(-1, self._k)
        return Step(residual, grad_m, grad_n)


class EntryTangent(BySteps):
    """Tangent space of single entries, by their own step at m v^T + u n^T."""

    def __init__(self, step: Callable[..., Step], u: np.ndarray, v: np.ndarray) -> None:
        self._step, self._u, self._v = step, np.ascontiguousarray(u), np.ascontiguousarray(v)

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        m, n = np.ascontiguousarray(m), np.ascontiguousarray(n)
        return self._step(self._u, self._v, m, n, delta, weight, y)


class PreconditionedTangent(BySteps):
    """Tangent space of measurements by the matrices P A_i Q."""

    def __init__(self, inner: Tangent, p: np.ndarray, q: np.ndarray) -> None:
        self._inner, self._p, self._q = inner, p, q

    def step(
        self, m: np.ndarray, n: np.ndarray, delta: float, weight: np.ndarray | None = None, y: np.ndarray | None = None
    ) -> Step:
        residual, grad_m, grad_n = self._inner.step(self._p @ m, self._q @ n, delta, weight, y)
        return Step(residual, self._p @ grad_m, self._q @ grad_n)
