"""Step rules of the sub-gradient method: each turns the residual of an iteration into a step length.

The factors move by ``step * G right`` and ``step * G^T left`` with G = sum_i w_i psi_delta(r_i) A_i. All rules are
invariant to the scale of the measurements and of the matrices A_i.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._operators.base import SIGN, Measurements
from .._operators.results import Clipped, Clipping
from .._utils.rules import LOSS_LEVEL, NORMAL_MEDIAN
from .._utils.stats import is_quantile_below, quantile, random_sample, robust_size

# Residuals, of many, by whose median they are clipped.
_SAMPLE = 5_000

STEP_SIZES = ("auto", "polyak", "geometric", "constant")


@dataclass(frozen=True)
class StepState:
    """State of the factors that a rule may use besides the residual."""

    left: np.ndarray
    right: np.ndarray
    gradient_left: np.ndarray
    gradient_right: np.ndarray

    @cached_property
    def _grams(self) -> np.ndarray:
        """Gram matrices of the two factors: (2, k, k)."""
        k = self.left.shape[1]
        grams = np.empty((2, k, k), self.left.dtype)
        for factor, gram in zip((self.left, self.right), grams, strict=True):
            np.matmul(factor.T, factor, out=gram)
        return grams

    @cached_property
    def factor_bound(self) -> float:
        """At least the larger squared spectral norm of the two factors, and at most the root of the rank times that."""
        return float(np.sqrt(max(np.vdot(gram, gram) for gram in self._grams)))

    @property
    def factor_norm(self) -> float:
        """Upper bound of that norm, for 20 directions at most a tenth too large, by squarings of Gram matrices."""
        bound = self.factor_bound
        if not 0.0 < bound < np.inf:
            return bound if bound == 0.0 else np.inf
        powers = self._grams.astype(np.float64) / bound
        for _ in range(4):
            powers = powers @ powers
        return bound * float(max(np.vdot(power, power) for power in powers)) ** (1.0 / 32.0)

    @property
    def gradient_norm(self) -> float:
        """Frobenius norm of the factor gradients."""
        return float(np.hypot(np.linalg.norm(self.gradient_left), np.linalg.norm(self.gradient_right)))

    @property
    def growth(self) -> float:
        """||G right|| / ||right||: growth of the factors per unit of step."""
        return float(np.linalg.norm(self.gradient_left) / max(np.linalg.norm(self.right), np.finfo(float).tiny))


class StepRule(ABC):
    """A step rule; some adapt as the iterations go on."""

    #: Bound at which the next residual is clipped (0: its sign).
    delta: float = SIGN
    #: Iteration at which the schedule ends; None: there is no schedule, and the run ends on a plateau.
    last: int | None = None

    @abstractmethod
    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        """Return the step of iteration t."""

    @property
    def clipping(self) -> Clipping | None:
        """How steps clip residuals, if nothing else is to be known to make several at once; else None."""
        return None

    def ahead(
        self,
        measurements: Measurements,
        left: np.ndarray,
        right: np.ndarray,
        n_steps: int,
        most: float,
        *,
        symmetric: bool,
    ) -> Clipped | None:
        """Make several steps at once, as far as the factors do not grow beyond `most`; None: one at a time."""
        clipping = self.clipping
        made = None
        if clipping is not None:
            made = measurements.clipped_steps(left, right, clipping, n_steps, most, symmetric=symmetric)
        if made is not None:
            self.delta = made.delta
        return made


class QuantileRatioStep(StepRule):
    """(c / ||C||) q(|r_t|) / q(|y|), where C is the adjoint of sign(y): a residual quantile measures the distance.

    For Gaussian measurements the sign sub-gradient is proportional to the error divided by its norm (Sign-RIP; Ma and
    Fattahi, JMLR 2023, section 3). Times a residual quantile, it makes gradient descent on the squared distance with
    step c / sigma_1. The quantile lies below the share of inliers, so that the size of gross errors does not matter.
    """

    def __init__(
        self, measurements: Measurements, spectral_norm: float, *, share: float = 0.25, level: float = LOSS_LEVEL
    ) -> None:
        self._norm = spectral_norm
        self._level = level
        self._share = share
        self._start = robust_size(measurements.y, level)
        self._best = np.inf

    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        now = robust_size(residual, self._level)
        if now > 1.5 * max(min(self._best, self._start), 1e-3 * self._start):  # overshoot: shorten for good
            self._share *= 0.7
            self._best = now
        self._best = min(self._best, now)
        return self._share / self._norm * min(now / self._start, 1.5)


class ClippedStep(StepRule):
    """Constant step on clipped residuals, for entrywise measurements.

    There the signs are not proportional to the error: raw signs stall at 5 to 13 % relative error. Residuals are
    clipped at delta instead. It follows half their robust scale down, but falls by at most 2 % a step: large entries
    must be able to travel.
    """

    def __init__(
        self,
        measurements: Measurements,
        spectral_norm: float,
        *,
        share: float = 0.5,
        width: float = 0.5,
        fall: float = 0.98,
    ) -> None:
        self._norm = spectral_norm
        self._density = measurements.size / np.prod(measurements.shape, dtype=float)
        self._share, self._width, self._fall = share, width, fall
        self.delta = width * robust_size(measurements.y, 0.5) / NORMAL_MEDIAN
        self._some = random_sample(measurements.size, _SAMPLE)

    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        norm = self._norm if state.factor_bound <= self._norm else max(self._norm, state.factor_norm)
        size, fallen = np.abs(residual[self._some]), self._fall * self.delta
        if not is_quantile_below(size, 0.5, fallen * NORMAL_MEDIAN / self._width):
            fallen = max(fallen, self._width * quantile(size, 0.5) / NORMAL_MEDIAN)
        self.delta = fallen
        return self._share / (norm * self._density)

    @property
    def clipping(self) -> Clipping:
        width, share = self._width / NORMAL_MEDIAN, self._share / self._density
        return Clipping(self.delta, self._norm, share, width, self._fall, self._some)


class GeometricStep(StepRule):
    """eta rho^t / ||Q_t|| with rho tied to the start (Ma and Fattahi, JMLR 2023, section 4).

    The factors can travel eta / (1 - rho) in all. Learning a direction from a start of size `init_scale` takes a
    multiple of log(1 / init_scale), so rho = 1 - eta / (1.2 log(1 / init_scale)): with a constant rho they would never
    leave a tiny start. Travelling further than needed lets the surplus directions grow (1.2 learns condition 5 and ends
    at 1/4 of the error that 3 does). Not travelling far enough misses the weak directions.

    The norm of the sub-gradient Q_t is taken at the origin: along the run it shrinks by no more than the share of
    gross errors takes from it (Sign-RIP's scaling function). The schedule ends where the step has fallen to
    init_scale / 100 of the first: 375 iterations for 1e-3, so raise `max_iter`.
    """

    def __init__(self, init_scale: float, spectral_norm: float, *, eta: float = 0.25, travel: float = 1.2) -> None:
        self._norm = spectral_norm
        self._eta = eta
        size = min(init_scale, 0.1)
        self.rho = 1.0 - eta / (travel * np.log(1.0 / size))
        self.last = int(np.log(1e-2 * size) / np.log(self.rho))

    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        return self._eta * self.rho**t / self._norm


class PolyakStep(StepRule):
    """(f - 0) / ||g||^2, for clean data; capped, for it would explode from a tiny start.

    Near the origin the gradient is proportional to the factors, so the raw step is of the order of 1 / init_scale^2. No
    step may make the factors grow by more than a half.
    """

    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        norm = state.gradient_norm
        if not norm > 0.0:
            return 0.0
        loss = float(np.abs(residual).sum())
        # ratios first: the square of the norm may vanish
        step = loss / max(norm, 1e-150) / max(norm, 1e-150)
        return min(step, 0.5 / max(state.growth, np.finfo(float).tiny))


class ConstantStep(StepRule):
    """eta / ||C|| at every iteration: the error stalls in proportion to eta."""

    def __init__(self, spectral_norm: float, *, eta: float = 0.02) -> None:
        self._step = eta / spectral_norm

    def __call__(self, t: int, residual: np.ndarray, state: StepState) -> float:
        return self._step


def make_step_rule(
    name: str, measurements: Measurements, init_scale: float, spectral_norm: float, *, level: float = LOSS_LEVEL
) -> StepRule:
    """Build the rule of this name; "auto" depends on the kind of measurement."""
    if name == "polyak":
        return PolyakStep()
    if name == "constant":
        return ConstantStep(spectral_norm)
    if name == "geometric":
        return GeometricStep(init_scale, spectral_norm)
    if measurements.entrywise:
        return ClippedStep(measurements, spectral_norm)
    return QuantileRatioStep(measurements, spectral_norm, level=level)
