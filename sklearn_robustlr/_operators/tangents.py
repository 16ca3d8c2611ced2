"""Tangent spaces of the rank-k matrices as the kinds of measurement see them: functions of (m, n), X = m v^T + u n^T.

``step(m, n, delta)`` returns the residual at X and the gradients in m and n, as the `step` of the measurements does.
"""

from __future__ import annotations

import numpy as np


class StackedTangent:
    """Any kind: m v^T + u n^T is the product of the stacked factors [m, u] and [v, n]."""

    def __init__(self, parent, u, v):
        self._parent, self._u, self._v = parent, u, v

    def step(self, m, n, delta, weight=None, y=None):
        k = m.shape[1]
        left, right = np.hstack([m, self._u]), np.hstack([self._v, n])
        residual, grad_left, grad_right = self._parent.step(left, right, delta, weight, y)
        return residual, grad_left[:, :k], grad_right[:, k:]


class StoredTangent:
    """Dense measurements by their tangent coordinates A_i v and A_i^T u, stored: a small dense problem.

    `coordinates` are dense measurements of the flattened and joined (m, n), `split` numbers of which are m.
    """

    def __init__(self, coordinates, split, k):
        self._coordinates, self._split, self._k = coordinates, split, k

    def step(self, m, n, delta, weight=None, y=None):
        x = np.concatenate([m.ravel(), n.ravel()])[None]
        (residual,), (adjoint,) = self._coordinates.vector_steps(x, [delta], weight, y)
        return residual, adjoint[: self._split].reshape(-1, self._k), adjoint[self._split :].reshape(-1, self._k)


class EntryTangent:
    """Entries."""

    def __init__(self, parent, u, v):
        self._parent, self._u, self._v = parent, np.ascontiguousarray(u), np.ascontiguousarray(v)

    def step(self, m, n, delta, weight=None, y=None):
        m, n = np.ascontiguousarray(m), np.ascontiguousarray(n)
        return self._parent.tangent_step(self._u, self._v, m, n, delta, weight, y)


class PreconditionedTangent:
    """Measurements P A_i Q."""

    def __init__(self, inner, p, q):
        self._inner, self._p, self._q = inner, p, q

    def step(self, m, n, delta, weight=None, y=None):
        residual, grad_m, grad_n = self._inner.step(self._p @ m, self._q @ n, delta, weight, y)
        return residual, self._p @ grad_m, self._q @ grad_n
