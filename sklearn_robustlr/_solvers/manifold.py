"""The normalised sub-gradient method on the manifold of fixed-rank matrices."""

from __future__ import annotations

import numpy as np

from .._operators.base import SIGN
from .._utils.linalg import product_svd, retract
from .._utils.stats import quantile
from .._utils.threads import check_interrupt


def manifold_subgradient(
    measurements, u, s, v, *, step, decay=0.96, n_iter=220, inner=10, fresh=10, tol=0.0, symmetric=False
):
    """Normalised sub-gradient method on the manifold of fixed-rank matrices, geometric step.

    X moves by eta_t along the sub-gradient projected to the tangent space at X, normalised to length
    one there (the scaled sub-gradient of Tong, Ma and Chi, 2021, up to the retraction); raw signs, so
    that the size of an error does not matter, and nothing about the errors is told. The tangent
    space is renewed every `inner` iterations (every one of the first `fresh`).

    `step` is the length of the first step in units of the residual. Stops early where the lower quartile
    of the residuals has stopped falling while the step has become small beside it: the rank is too small,
    or the noise is reached; and where it is below `tol` times the first step. Returns (u, s, v, residual).
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
                return u, s, v, residual
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
            now = quantile(np.abs(residual), 0.25)  # half of all may be errors, which never fall
            travel = step * decay**t
            if now > 0.97 * watch and travel < 0.1 * now:
                break
            watch = now
    return u, s, v, residual


def truncate(left, right, k, *, floor=0.1, symmetric=False):
    """Balanced rank-k truncation (u, s, v) of left right^T, its small singular values raised.

    A direction that the tiny start has not learnt yet must be able to move: values below `floor`
    times the first are raised to it.
    """
    u, s, v = product_svd(left, right, k, symmetric=symmetric)
    return u, np.maximum(s, floor * s[0]).astype(s.dtype), v
