"""Efficient estimation at a fixed rank: mixture-weighted Gauss-Newton, and mending of broken rows.

The l1 estimate wastes 36 % of a sample with Gaussian noise. From it, residuals are modelled as a
mixture of sound ones, N(0, scale^2), and gross errors, Cauchy with a scale of their own; each
measurement is weighted by the posterior probability of being sound, and the weighted least-squares
problem on the rank-k manifold is solved by Gauss-Newton steps (conjugate gradients in the tangent
space). Measured on 48 mixed cases: median error 1.07 times that of least squares told the bad
measurements, where the l1 estimate is at 1.6 and bisquare weights at 1.11. The scale starts from the lower
quartile of the residuals, too small, and one expectation step is made per Gauss-Newton step: started too
large, it takes errors of the size of the noise for sound and stays there (up to 2.1 times the
oracle's error, against 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from . import _row_kernels
from ._factors import degrees_of_freedom, product_svd, retract
from ._step_sizes import IDENTITY, quantile
from ._threads import check_interrupt, slices

#: Variance of a standard normal variate given that it lies within two standard deviations.
_CORE_VARIANCE = 0.7737


#: Errors that their median size is told from, where there are more.
_MEDIAN_SAMPLE = 10_000

#: An l1 fit that is still on its way to an exact one leaves residuals below this, in units of the median target.
_UNFINISHED = 3e-3

#: Gross errors fall where they like: of a fit of the right rank their number in a row or column varies as chance has it
#: (0.9 to 1.1 times). That of what a low-rank matrix cannot follow varies more (photographs: 3 to 15; a rank too small:
#: 2 to 4).
_CLUSTERED = 1.5

#: Exact fits leave residuals of some 2 to 6 units of rounding in the median.
_ROUNDING = 32.0


@dataclass
class Fit:
    """A fit of one rank: X = u diag(s) v^T, its residual, the noise scale and the posterior weights.

    `heavy` says that the residuals fall away smoothly, with no gap between noise and gross errors, because the data are
    only nearly low-rank: it is the fit of least absolute deviations then.
    `informative` masks the targets that are not zero (None: all): meeting a zero exactly shows nothing.
    """

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    residual: np.ndarray
    scale: float
    sound: np.ndarray
    dof: int
    informative: np.ndarray | None = None
    heavy: bool = False

    @property
    def rank(self):
        return len(self.s)


def scale_floor(dtype):
    """Smallest noise scale told from rounding, in units of the median target."""
    return 1e-10 if np.dtype(dtype) == np.float64 else 2e-5


class Mixture:
    """Residuals as sound ones N(0, scale^2) and gross errors Cauchy(0, spread); `fall` bounds the fall of the scale."""

    def __init__(self, residual, dof, floor, fall):
        size = np.abs(residual)
        self._dof, self._floor, self._fall = dof, floor, fall
        # An l1 fit meets nearly as many targets as it has unknowns; of the rest, the lower fifth is noise.
        met = 0.5 * min(dof / len(size), 0.8)
        self.scale = max(quantile(size, met + 0.2 * (1.0 - met)) / 0.2533, floor)
        self.spread = max(quantile(size, 0.9), 3.0 * self.scale)
        self.bad_share = 0.3

    def update(self, residual):
        """One expectation-maximisation step; returns the posterior probabilities of being sound."""
        size = np.minimum(np.abs(residual).astype(np.float64), 1e100)  # squares beyond that are no numbers
        z = np.minimum(size / self.scale, 40.0)
        sound = (1.0 - self.bad_share) / (self.scale * np.sqrt(2 * np.pi)) * np.exp(-0.5 * z * z)
        gross = self.bad_share / (np.pi * self.spread * (1.0 + (size / self.spread) ** 2))
        weight = sound / (sound + gross)
        total = float(weight.sum())
        self.bad_share = min(max(1.0 - weight.mean(), 1e-3), 0.9)
        shrink = 1.0 - min(self._dof / max(total, 1.0), 0.5)
        core = weight * (size <= 2.0 * self.scale)
        scale = np.sqrt(float(core @ (size * size)) / max(float(core.sum()), 1.0) / _CORE_VARIANCE / shrink)
        self.scale = max(scale, self._fall * self.scale, self._floor)
        gross = np.flatnonzero(weight < 0.99)  # the others have next to no share in the median of errors
        gross = gross[:: max(len(gross) // _MEDIAN_SAMPLE, 1)]
        order = gross[np.argsort(size[gross])]
        mass = np.cumsum((1.0 - weight)[order])
        middle = size[order[np.searchsorted(mass, 0.5 * mass[-1])]] if len(order) else 0.0
        self.spread = max(float(middle), 3.0 * self.scale)
        return weight.astype(residual.dtype)

    def is_heavy(self, residual, beyond=0.08):
        """Whether over a third would be errors, with no gap between the noise and them."""
        size = np.abs(residual)
        core = np.count_nonzero(size < self.scale)
        tail = np.count_nonzero((size >= 4.0 * self.scale) & (size < 8.0 * self.scale))
        return self.bad_share > 0.35 and tail > beyond * core


def gauss_newton_step(y, tangent, u, s, v, weight, *, n_cg=12, tol=1e-3, symmetric=False):
    """One Gauss-Newton step of weighted least squares at fixed rank, retracted.

    Minimises sum_i w_i (<A_i, m v^T + u n^T> - y_i)^2 over (m, n) by conjugate gradients from the
    current point u diag(s) v^T, whose `tangent` space is given; u and v are orthonormal, which is the preconditioner.
    """
    m, n = u * s, np.zeros_like(v)
    zero = np.zeros_like(y)

    def normal(a, b, y):
        check_interrupt()
        _, g_a, g_b = tangent.step(a, b, IDENTITY, weight, y)
        if symmetric:
            g_a = g_b = (g_a + g_b) / 2
        return g_a, g_b

    if symmetric:
        m = n = m / 2
    g_m, g_n = normal(m, n, y)
    r_m, r_n = -g_m, -g_n
    p_m, p_n = r_m, r_n
    rho = first = float((r_m * r_m).sum() + (r_n * r_n).sum())
    steepest, rounding = 0.0, 10.0 * np.finfo(y.dtype).eps
    for _ in range(n_cg):
        if not rho > tol * tol * first or rho == 0.0:
            break
        h_m, h_n = normal(p_m, p_n, zero)
        curvature = float((p_m * h_m).sum() + (p_n * h_n).sum())
        bend = curvature / max(float((p_m * p_m).sum() + (p_n * p_n).sum()), np.finfo(float).tiny)
        steepest = max(steepest, bend)
        if not bend > rounding * steepest:  # a row that nothing sound is seen of: the way there has no end
            break
        length = y.dtype.type(rho / curvature)
        m, n = m + length * p_m, n + length * p_n
        r_m, r_n = r_m - length * h_m, r_n - length * h_n
        new = float((r_m * r_m).sum() + (r_n * r_n).sum())
        ratio = y.dtype.type(new / rho)
        p_m, p_n = r_m + ratio * p_m, r_n + ratio * p_n
        rho = new
    return retract(u, m, v, n, len(s), symmetric=symmetric)


def evaluate(measurements, u, s, v):
    """Residual at u diag(s) v^T."""
    return measurements.step(u * s, v, IDENTITY, np.zeros_like(measurements.y))[0]


def _linearise(measurements, u, s, v):
    """Tangent space at u diag(s) v^T, and the residual there, which costs next to nothing once that is known."""
    tangent = measurements.tangent(u, v)
    return tangent, tangent.step(u * s, np.zeros_like(v), IDENTITY, np.zeros_like(measurements.y))[0]


def _is_rounding(residual, informative):
    """Whether what is left of the targets that are met is what a product is rounded to."""
    size = np.abs(residual if informative is None else residual[informative])
    return quantile(size, 0.25) <= _ROUNDING * np.finfo(size.dtype).eps


def m_estimate(measurements, u, s, v, *, residual=None, n_iter=14, fall=None, symmetric=False):
    """Mixture-weighted Gauss-Newton iteration from a robust estimate; returns a :class:`Fit`.

    Where the `residual` of that is known, and is exact to rounding already, nothing is iterated. `fall` bounds the fall
    of the scale in one step. Of entries, a scale in free fall drops whole rows that are only slower than the others:
    0.2 unless something else is given.

    Data that are only nearly low-rank (photographs) leave residuals with a heavy tail and no gap, that cluster in some
    rows and columns: the mixture would take half of them for errors. There the l1 estimate is the better one (on a
    photograph it is 5 to 10 % closer to the truth than any re-weighting of it) and is returned as it came. Where they
    do not cluster, they are errors with a heavy tail of their own (half of all Cauchy errors), and the mixture's
    estimate is two to three times as close.
    """
    dof = degrees_of_freedom(measurements.shape, len(s), symmetric=symmetric)
    floor = max(scale_floor(measurements.dtype), measurements.resolution / np.sqrt(12.0))  # rounding is noise
    if residual is not None and floor == scale_floor(measurements.dtype):
        informative = measurements.informative
        if _is_rounding(residual, informative):
            sound = Mixture(residual, dof, floor, 0.0).update(residual)
            return Fit(u, s, v, residual, floor, sound, dof, informative)
    tangent, residual = _linearise(measurements, u, s, v)
    first, start = residual, (u, s, v)
    if fall is None:
        fall = 0.2 if measurements.coherent else 0.01
    trial = Mixture(residual, dof, floor, fall)
    for _ in range(8):
        likely = trial.update(residual)
    hopeless = trial.scale > _UNFINISHED and trial.bad_share > 0.5 and trial.is_heavy(residual, beyond=0.2)
    hopeless = hopeless and measurements.clustering(likely) > _CLUSTERED
    mixture = Mixture(residual, dof, floor, fall)
    sound = np.ones_like(residual)
    settled = 0
    for t in range(0 if hopeless else 3 * n_iter):
        before = mixture.scale
        sound = mixture.update(residual)
        u, s, v = gauss_newton_step(measurements.y, tangent, u, s, v, sound, symmetric=symmetric)
        tangent, residual = _linearise(measurements, u, s, v)
        settled = settled + 1 if abs(mixture.scale - before) < 1e-3 * before else 0
        falling = mixture.scale < 0.5 * before  # on its way to an exact fit
        if settled >= (1 if mixture.scale == floor else 2) or (t + 1 >= n_iter and not falling):
            break
    smooth = mixture.scale > floor and mixture.is_heavy(residual)
    if hopeless or (smooth and measurements.clustering(sound) > _CLUSTERED):
        scale = max(quantile(np.abs(first), 0.5) / 0.6745, floor)
        sound = (np.abs(first) <= 3.5 * scale).astype(first.dtype)
        return Fit(*start, first, scale, sound, dof, measurements.informative, heavy=True)
    return Fit(u, s, v, residual, mixture.scale, sound, dof, measurements.informative)


def unbiased_scale(fit):
    """Noise scale of a fit with noise, as its mixture would tell it from residuals that the unknowns had no share in.

    They are smaller than the noise, and their core, cut at two scales of the noise, is then more than that of two
    standard deviations: the mixture's scale is too large, by 4 % with eight sound measurements an unknown. With t the
    cut in standard deviations of the residuals, it comes to rest where t^2 / 4 is their variance below t over that
    below 2, and over the share that the unknowns leave.
    """
    left = 1.0 - min(fit.dof / max(float(fit.sound.sum()), 1.0), 0.5)

    def excess(t):
        below = 1.0 - 2.0 * t * np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi) / (2.0 * ndtr(t) - 1.0)
        return t * t / 4.0 - below / (_CORE_VARIANCE * left)

    t = brentq(excess, 1.9, 4.0)
    return float(fit.scale) / (0.5 * t * np.sqrt(left))


def broken(met, seen):
    """Mask of the rows that meet far fewer of their `seen` entries than the whole does."""
    expected, spread = _expected(met, seen)
    return (met < expected - 4.0 * spread) & (met < 0.75 * expected)


def _expected(met, seen):
    """How many of its `seen` entries each row would meet if it met as many as the whole, and the spread of that."""
    share = met.sum() / max(seen.sum(), 1)
    return share * seen, np.sqrt(np.maximum(share * (1.0 - share) * seen, 1.0))


def _contestable(met, seen, rank):
    """Mask of the rows of an exact fit of which another one may meet more: two that meet most entries are one."""
    expected, spread = _expected(met, seen)
    return (met < expected - spread) & (met <= (seen + rank) // 2)


def mend(entries, fit, *, which=None, n_starts=1000):
    """Refit rows, then columns, of an entry fit whose own robust regression broke down, or those of two masks `which`.

    With the other factor held, a row is a small regression; several starts find the fit that most of
    its entries agree on (:func:`_row_kernels.regress_rows`). Returns (u, s, v, changed).
    """
    left, right = fit.u * fit.s, fit.v
    residual, changed = fit.residual, False
    exact = fit.scale <= 10.0 * scale_floor(entries.dtype)
    transposed, order = entries.transposed()
    for side, order_of in ((entries, slice(None)), (transposed, order)):
        count = np.bincount(side.rows, weights=np.abs(residual[order_of]) <= 3.0 * fit.scale, minlength=side.shape[0])
        seen = np.diff(side.indptr)
        if which is None:
            rows = np.flatnonzero(_contestable(count, seen, fit.rank) if exact else broken(count, seen))
        else:
            rows = np.flatnonzero(which[0] if side is entries else which[1])
        if not len(rows):
            continue
        factors = np.array(left if side is entries else right, dtype=np.float64)
        basis = np.array(right if side is entries else left, dtype=np.float64)
        size = np.abs(basis).max(axis=1)
        basis[size <= max(1e-9, 32.0 * np.finfo(entries.dtype).eps) * size.max()] = 0.0  # rounding tells nothing
        met = np.empty(len(factors), dtype=np.int64)
        data = side.indptr, side.cols, side.y.astype(np.float64), basis, fit.scale, n_starts, True
        work = n_starts * _row_kernels.start_work(*basis.shape)
        for some in slices(rows, work):
            _row_kernels.regress_rows(*data, some, factors, met)
        if which is None and exact and not np.any(met[rows] > count[rows]):
            continue
        changed = True
        if side is entries:
            left = factors.astype(entries.dtype)
        else:
            right = factors.astype(entries.dtype)
        residual = entries.step(left, right, IDENTITY, np.zeros_like(entries.y))[0]
    u, s, v = product_svd(left, right, fit.rank)
    return u, s, v, changed
