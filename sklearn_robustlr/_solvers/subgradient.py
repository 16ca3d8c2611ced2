"""The over-parameterised sub-gradient method (SubGM) from a tiny start."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from .._operators.base import Measurements
from .._operators.results import Request, Step
from .._operators.units import Problem
from .._utils.linalg import product_spectrum
from .._utils.rules import LOSS_LEVEL
from .._utils.stats import quantile, robust_size
from .._utils.threads import check_interrupt
from .._utils.values import Watch
from .step_rules import StepRule, StepState


@dataclass
class History:
    """Loss, step, robust residual and spectrum, one of each per recorded iteration."""

    iteration: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    spectrum: list[np.ndarray] = field(default_factory=list)

    def record(self, iteration: int, residual: np.ndarray, step: float, spectrum: np.ndarray) -> None:
        """Append one iteration."""
        size = np.abs(residual)
        self.iteration.append(iteration)
        self.loss.append(float(size.mean()))
        self.step.append(float(step))
        self.residual.append(quantile(size, LOSS_LEVEL))
        self.spectrum.append(spectrum)

    def __len__(self) -> int:
        return len(self.iteration)

    def __add__(self, later: History) -> History:
        return History(*(getattr(self, f.name) + getattr(later, f.name) for f in fields(self)))

    def as_arrays(self, problem: Problem) -> dict[str, np.ndarray]:
        """Return arrays in the user's units of the `problem`; infinite where they exceed the largest number."""
        spectrum = np.array(self.spectrum, dtype=float).reshape(len(self.iteration), -1)
        with np.errstate(over="ignore"):
            return {
                "iteration": np.array(self.iteration, dtype=np.intp),
                "loss": np.array(self.loss) * problem.scale,
                "step": np.array(self.step),
                "residual": np.array(self.residual) * problem.scale,
                "spectrum": problem.in_user_units(spectrum),
            }


class Descent(NamedTuple):
    """Factors at the end of a descent, and its history; `rule` is what it would go on with from a gap (else None)."""

    left: np.ndarray
    right: np.ndarray
    history: History
    rule: StepRule | None = None


# Growth in ten iterations, of values below a gap, up to which they are surplus directions that fill up slowly: what is
# still to be learnt grows faster. Of 24 matrices 120 x 120, fits of condition 10 take up to four times as long without
# such a bound, and one with 30 % errors and missing entries five times as long with one of 2.
_SLOW = 3.0
# Growth of the robust residual, and size of the factors in even units, beyond which a run has diverged.
_DIVERGED, _OVERGROWN = 1e6, {"d": 1e30, "f": 1e12}


def subgradient_methods(
    measurements: Measurements, descents: Sequence[Generator[Request, Step, Descent]]
) -> list[Descent]:
    """Run several descents (:func:`descent`) side by side: one read of the measurements makes a step of each.

    The result of a descent has the same bits whichever others run beside it.
    """
    results: dict[int, Descent] = {}
    requests: dict[int, Request] = {}

    def resume(i: int, answer: Step | None) -> None:
        try:
            requests[i] = next(descents[i]) if answer is None else descents[i].send(answer)
        except StopIteration as end:
            results[i] = end.value
            requests.pop(i, None)

    for i in range(len(descents)):
        resume(i, None)
    while requests:
        check_interrupt()
        with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges is stopped by `descent`
            answers = measurements.steps(list(requests.values()))
            for i, answer in zip(list(requests), answers, strict=True):
                resume(i, answer)
    return [results[i] for i in range(len(descents))]


def descent(
    measurements: Measurements,
    left: np.ndarray,
    right: np.ndarray,
    rule: StepRule,
    *,
    max_iter: int,
    tol: float,
    first: int = 0,
    symmetric: bool = False,
    every: int = 10,
    gap: float = np.inf,
    watch: Watch | None = None,
) -> Generator[Request, Step, Descent]:
    """Run the over-parameterised sub-gradient method (SubGM; Ma and Fattahi, JMLR 24(96), 2023) as a generator.

    It yields the factors to evaluate and the clipping, is sent the :class:`Step` there, and returns a :class:`Descent`;
    :func:`subgradient_methods` runs it. The update is left -= step * G right, right -= step * G^T left, with the step
    and the clipping of `rule`. `first` is the number of iterations that the factors have behind them. A run stops

    - after `max_iter` iterations, or at the end of the schedule of a rule that has one;
    - else on a plateau of 40 iterations. There the robust residual has not fallen by 2 %, no singular value above 1 %
      of the first has grown by 2 %, and none at all by a factor of ten. A plateau of the loss alone is not
      convergence: later directions may still be growing;
    - with tol > 0, where the robust residual is below `tol` times its start;
    - with a finite `gap`, where two neighbouring singular values differ by that factor, those above have settled and
      those below grow slowly. It can go on from there;
    - where `watch` returns True. It is called with ("subgradient", factors) each time something is recorded;
    - where it diverges. It then returns the recorded factors of the smallest robust residual.
    """
    history = History()
    best, waited, at_gap = np.inf, 0, False
    last: np.ndarray | None = None
    previous: np.ndarray | None = None
    start = robust_size(measurements.y)
    kept, least = (left, right), np.inf
    t, end = first, max_iter if rule.last is None else min(max_iter, rule.last)
    most = _OVERGROWN[measurements.dtype.char]
    while t < end:
        residual, grad_left, grad_right = yield left, right, rule.delta
        if symmetric:
            grad_left = grad_right = grad_left + grad_right
        state = StepState(left, right, grad_left, grad_right)
        if len(history) and not state.factor_bound <= most:
            return Descent(*kept, history)
        step = rule(t, residual, state)
        if t % every == 0:
            spectrum = product_spectrum(left, right)
            history.record(t, residual, step, spectrum)
            now = history.residual[-1]
            if not now <= _DIVERGED * max(start, history.residual[0]):
                return Descent(*kept, history)
            if now < least:
                kept, least = (left, right), now
            at_gap = last is not None and previous is not None and _has_settled(spectrum, previous, gap)
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
        if at_gap:
            return Descent(left, right, history, rule)
        t += 1
        # nothing is recorded before the next multiple
        between = min(-t % every, end - t)
        made = rule.ahead(measurements, left, right, between, most, symmetric=symmetric) if between else None
        if made is not None:
            left, right, t = made.left, made.right, t + made.n_steps
            right = left if symmetric else right
    return Descent(left, right, history)


def _has_settled(spectrum: np.ndarray, before: np.ndarray, gap: float) -> bool:
    """Whether the spectrum has a gap of this ratio, and the values above have settled, those below grow slowly."""
    if not np.isfinite(gap):
        return False
    least = max(1e-12 * spectrum[0], np.finfo(spectrum.dtype).tiny)  # symmetric factors of a negative X vanish
    ratio = spectrum[:-1] / np.maximum(spectrum[1:], least)
    k = int(np.argmax(ratio)) + 1 if len(ratio) else 1
    above, below = np.abs(spectrum[:k] / before[:k] - 1.0), spectrum[k:] / np.maximum(before[k:], least)
    return len(ratio) > 0 and ratio[k - 1] >= gap and bool(np.all(above < 0.1) and np.all(below < _SLOW))
