"""The sub-gradient method: over-parameterised from a tiny start, and at a fixed rank on its manifold."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from ._factors import product_spectrum, product_svd, retract
from ._step_sizes import SIGN, StepState, quantile, robust_size
from ._threads import check_interrupt


@dataclass
class History:
    """Loss, step, robust residual and spectrum, one of each per recorded iteration."""

    iteration: list = field(default_factory=list)
    loss: list = field(default_factory=list)
    step: list = field(default_factory=list)
    residual: list = field(default_factory=list)
    spectrum: list = field(default_factory=list)

    def record(self, iteration, residual, step, spectrum):
        size = np.abs(residual)
        self.iteration.append(iteration)
        self.loss.append(float(size.mean()))
        self.step.append(float(step))
        self.residual.append(quantile(size, 0.4))
        self.spectrum.append(spectrum)

    def __len__(self):
        return len(self.iteration)

    def __add__(self, later):
        return History(*(getattr(self, f.name) + getattr(later, f.name) for f in fields(self)))

    def as_arrays(self, problem):
        """Arrays in the user's units of the `problem`; what is beyond all numbers there is infinite."""
        spectrum = np.array(self.spectrum, dtype=float).reshape(len(self.iteration), -1)
        with np.errstate(over="ignore"):
            return {
                "iteration": np.array(self.iteration, dtype=np.intp),
                "loss": np.array(self.loss) * problem.scale,
                "step": np.array(self.step),
                "residual": np.array(self.residual) * problem.scale,
                "spectrum": problem.in_user_units(spectrum),
            }


# A run has diverged where its robust residual, or its factors in even units, have grown beyond all measure.
_DIVERGED, _OVERGROWN = 1e6, {"d": 1e30, "f": 1e12}


def _squared_norm(left, right):
    """Larger squared spectral norm of the two factors, from their small Gram matrices."""
    grams = np.stack([left.T @ left, right.T @ right])
    return float(np.linalg.eigvalsh(grams)[:, -1].max()) if np.isfinite(grams).all() else np.inf


def subgradient_methods(measurements, descents):
    """Run several descents (:func:`descent`) side by side, each step of all in one read of the measurements.

    Returns the (left, right, history) of each. It comes to the same, bit for bit, whichever run together.
    """
    results, requests = [None] * len(descents), {}

    def resume(i, answer):
        try:
            requests[i] = descents[i].send(answer)
        except StopIteration as end:
            results[i] = end.value
            requests.pop(i, None)

    for i in range(len(descents)):
        resume(i, None)
    while requests:
        check_interrupt()
        with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is ended by what it came to
            answers = measurements.steps(list(requests.values()))
            for i, answer in zip(list(requests), answers, strict=True):
                resume(i, answer)
    return results


def descent(
    measurements, left, right, rule, *, max_iter, tol, first=0, symmetric=False, every=10, gap=np.inf, watch=None
):
    """Over-parameterised sub-gradient method (SubGM; Ma and Fattahi, JMLR 24(96), 2023), for `subgradient_methods`.

    left -= step * G right, right -= step * G^T left, with the step and the clipping of `rule`. Stops
    after `max_iter` iterations, or where over 40 iterations neither the robust residual has fallen by 2 %
    nor a singular value above 1 % of the first has grown by 2 %, nor any by a factor of ten: a plateau of the loss
    alone is not convergence, for later directions may still be growing (a rule with a schedule runs to its end). With
    tol > 0, also where the robust residual is below `tol` times its start; with a finite `gap`, where two neighbouring
    singular values differ by that factor and those above have settled. `first` is the number of iterations that the
    factors have behind them. `watch` is called with ("subgradient", factors) each time something is recorded, and may
    ask for an end by returning True. A run that diverges ends at the recorded factors of the smallest robust residual.

    A generator: it yields what to evaluate, (left, right, clipping), is sent (residual, gradients), and returns
    (left, right, history).
    """
    history = History()
    best, waited = np.inf, 0
    last = previous = None
    start = robust_size(measurements.y)
    kept, least = (left, right), np.inf
    for t in range(first, max_iter if rule.last is None else min(max_iter, rule.last)):
        residual, grad_left, grad_right = yield left, right, rule.delta
        if symmetric:
            grad_left = grad_right = grad_left + grad_right
        norms = np.linalg.norm(grad_left), np.linalg.norm(grad_right)
        state = StepState(
            growth=float(norms[0] / max(np.linalg.norm(right), np.finfo(float).tiny)),
            gradient_norm=float(np.hypot(*norms)),
            factor_norm=_squared_norm(left, right),
        )
        if len(history) and not state.factor_norm <= _OVERGROWN[measurements.dtype.char]:
            return *kept, history
        step = rule(t, residual, state)
        if t % every == 0:
            spectrum = product_spectrum(left, right)
            history.record(t, residual, step, spectrum)
            now = history.residual[-1]
            if not now <= _DIVERGED * max(start, history.residual[0]):
                return *kept, history
            if now < least:
                kept, least = (left, right), now
            if last is not None and np.isfinite(gap) and _has_settled(spectrum, previous, gap):
                break
            previous = spectrum
            grown = last is None or np.any(
                ((spectrum > 1.02 * last) & (spectrum > 0.01 * spectrum[0])) | (spectrum > 10.0 * last)
            )
            if now < 0.98 * best or grown:
                best, waited, last = min(best, now), 0, spectrum
            else:
                waited += every
            if watch is not None and watch("subgradient", (left, right)):
                break
            if (waited >= 40 and rule.last is None) or now < tol * start:
                break
        left = left - measurements.dtype.type(step) * grad_left
        right = left if symmetric else right - measurements.dtype.type(step) * grad_right
    return left, right, history


def _has_settled(spectrum, before, gap):
    """Whether the spectrum has a gap of this ratio and the values above it have moved by less than 10 %."""
    least = max(1e-12 * spectrum[0], np.finfo(spectrum.dtype).tiny)  # factors may vanish: of a negative X, symmetric
    ratio = spectrum[:-1] / np.maximum(spectrum[1:], least)
    k = int(np.argmax(ratio)) + 1 if len(ratio) else 1
    return len(ratio) > 0 and ratio[k - 1] >= gap and bool(np.all(np.abs(spectrum[:k] / before[:k] - 1.0) < 0.1))


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
