"""The normalised sub-gradient method on the manifold of fixed-rank matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.base import SIGN, Measurements
from .._utils.linalg import SVD, product_svd, retract
from .._utils.stats import quantile
from .._utils.threads import check_interrupt


class ManifoldDescent(NamedTuple):
    """End of a descent on the manifold: X = u diag(s) v^T, and the last residual that was evaluated."""

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    residual: np.ndarray
    n_iter: int


def manifold_subgradient(
    measurements: Measurements,
    u: np.ndarray,
    s: np.ndarray,
    v: np.ndarray,
    *,
    step: float,
    decay: float = 0.96,
    n_iter: int = 220,
    inner: int = 10,
    fresh: int = 10,
    tol: float = 0.0,
    symmetric: bool = False,
) -> ManifoldDescent:
    """Run the normalised sub-gradient method on the manifold of fixed-rank matrices, with a geometric step.

    X moves by eta_t along the sub-gradient. This is projected to the tangent space at X and normalised to length one
    (the scaled sub-gradient of Tong, Ma and Chi, 2021, up to the retraction). It is made of raw signs: the size of a
    gross error does not matter, and nothing has to be known about the errors. The tangent space is renewed every
    `inner` iterations, and at every one of the first `fresh`.

    `step` is the length of the first step in units of the residual. The method stops early where the lower quartile of
    the residuals no longer falls and the step has become small beside it: the rank is too small, or the noise is
    reached. It also stops where that quartile is below `tol` times the first step.
    """
    k = len(s)
    dtype = measurements.dtype
    t, eta = 0, 0.0
    watch = np.inf
    residual = -measurements.y
    while t < n_iter:
        check_interrupt()
        tangent = measurements.tangent(u, v)
        m, n = u * s, np.zeros_like(v)
        if symmetric:
            m = n = m / 2
        for _ in range(inner if t >= fresh else 1):
            residual, grad_m, grad_n = tangent.step(m, n, SIGN)
            if symmetric:
                grad_m = grad_m + grad_n
                grad_m = grad_n = grad_m - u @ (u.T @ grad_m) / 2
            else:
                grad_n = grad_n - v @ (v.T @ grad_n)  # the core u^T G v is in grad_m already
            norm = float(np.hypot(np.linalg.norm(grad_m), np.linalg.norm(grad_n)))
            if norm == 0.0:
                return ManifoldDescent(u, s, v, residual, t)
            if t == 0:
                eta = step * measurements.size / norm
            length = dtype.type(eta * decay**t / norm)
            m = m - length * grad_m
            n = m if symmetric else n - length * grad_n
            t += 1
        u, s, v = retract(u, m, v, n, k, symmetric=symmetric)
        if tol > 0.0 and t % 20 == 0 and quantile(np.abs(residual), 0.25) < tol * step:
            break
        if t >= 60 and t % 20 == 0:
            now = quantile(np.abs(residual), 0.25)  # half of all may be gross errors, which never fall
            travel = step * decay**t
            if now > 0.97 * watch and travel < 0.1 * now:
                break
            watch = now
    return ManifoldDescent(u, s, v, residual, t)


def truncate(left: np.ndarray, right: np.ndarray, k: int, *, floor: float = 0.1, symmetric: bool = False) -> SVD:
    """Return the rank-k truncation of left right^T, with its small singular values raised.

    Values below `floor` times the first are raised to that: a direction that the tiny start has not learnt yet must be
    able to move.
    """
    u, s, v = product_svd(left, right, k, symmetric=symmetric)
    return SVD(u, np.maximum(s, floor * s[0]).astype(s.dtype), v)
