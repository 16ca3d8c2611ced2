"""The over-parameterised sub-gradient method (SubGM) from a tiny start."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from .._utils.linalg import product_spectrum
from .._utils.rules import LOSS_LEVEL
from .._utils.stats import quantile, robust_size
from .._utils.threads import check_interrupt
from .step_rules import StepState


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
        self.residual.append(quantile(size, LOSS_LEVEL))
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
