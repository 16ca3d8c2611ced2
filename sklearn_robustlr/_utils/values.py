"""Values that pass between the stages: options in, fits out, and whether a fit is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import numpy as np

from .checkpoint import Checkpoint
from .meter import Meter
from .rules import exact_tolerance

# Residual below which a measurement is met nearly, in units of the median target.
_NEARLY = 0.03


class Factors(NamedTuple):
    """Factors of a matrix, X = left right^T."""

    left: np.ndarray
    right: np.ndarray

    @property
    def rank(self) -> int:
        """Number of directions."""
        return self.left.shape[1]


class Masks(NamedTuple):
    """Masks of the rows and of the columns of a matrix."""

    rows: np.ndarray
    columns: np.ndarray

    def are_all(self) -> bool:
        """Whether all rows and columns are masked."""
        return bool(self.rows.all() and self.columns.all())

    def filled(self, left: np.ndarray, right: np.ndarray) -> Factors:
        """Factors of all rows and columns from those of the masked ones, the others zero."""
        whole = []
        for factor, keep in ((left, self.rows), (right, self.columns)):
            whole.append(np.zeros((len(keep), factor.shape[1]), factor.dtype))
            whole[-1][keep] = factor
        return Factors(*whole)


class StopReason(StrEnum):
    """Why a fit ended as it did: the codes of the attribute ``stop_reason_``.

    The attribute is a plain string that is equal to one of these members. The page "Troubleshooting" of the
    documentation says what to do about each.

    Attributes
    ----------
    EXACT
        "exact": the fit reproduces far more values, up to rounding, than its degrees of freedom could by chance.
    NOISY
        "noisy": the rank is sharp, and the data have noise.
    APPROXIMATE
        "approximate": the fit is a useful approximation of a matrix whose spectrum decays, so that it has no sharp
        rank. Most real tables give this code.
    UNDETERMINED
        "undetermined": the data allow several answers, because there are too few inliers, or because signs or repeated
        values cannot be resolved.
    STUCK
        "stuck": the fit is a poor local solution, and another start may lead to a better one.
    UNEXPLAINED
        "unexplained": structure is left beyond the rank, or no rank stands out from the noise.
    UNPOLISHED
        "unpolished": the sub-gradient method alone (``polish=False``) found no clear rank.
    INTERRUPTED
        "interrupted": a callback asked the fit to stop, or `max_iter` iterations were not enough.
    converged : bool
        Whether a fit that ended for this reason can be trusted: True for the first three.

    See Also
    --------
    sklearn_robustlr.RobustMatrixCompletion : Has the attribute ``stop_reason_``, as the other estimators do.

    Examples
    --------
    >>> from sklearn_robustlr import StopReason
    >>> [str(code) for code in StopReason if code.converged]
    ['exact', 'noisy', 'approximate']
    >>> StopReason("stuck").converged, StopReason.STUCK == "stuck"
    (False, True)
    """

    EXACT = "exact"
    NOISY = "noisy"
    APPROXIMATE = "approximate"
    UNDETERMINED = "undetermined"
    STUCK = "stuck"
    UNEXPLAINED = "unexplained"
    UNPOLISHED = "unpolished"
    INTERRUPTED = "interrupted"

    @property
    def converged(self) -> bool:
        """Whether a fit that ended for this reason is to be trusted."""
        return self in (StopReason.EXACT, StopReason.NOISY, StopReason.APPROXIMATE)


class Verdict(NamedTuple):
    """Why a fit ended as it did and, where it is not to be trusted, what is wrong, in a sentence with its figures.

    Where nothing but the rank of a fit is in doubt, for `rank_is_open`, it may predict well.
    """

    code: StopReason
    message: str = ""
    rank_is_open: bool = False

    @property
    def converged(self) -> bool:
        """Whether the fit is to be trusted."""
        return self.code.converged


#: Callback of a stage: given its name and the factors so far, it returns True to ask for an end.
Watch = Callable[[str, tuple[np.ndarray, np.ndarray]], object]


@dataclass(frozen=True)
class Options:
    """Parameters of a fit, checked."""

    rank: int | None
    init_scale: float
    step_size: str
    meter: Meter
    tol: float
    polish: bool
    symmetric: bool
    n_init: int = 1
    random_state: int | np.random.RandomState | None = None
    #: Whether `rank`, if there is one, bounds the time alone, not what structure there may be.
    rank_is_loose: bool = False
    #: Only an exact fit is wanted: stop at the first clear gap, and look no further where there is none.
    screening: bool = False
    #: Only a fit is wanted of which no stage has a doubt: another search in the same data was in vain.
    only_sharp: bool = False
    #: A fit with noise is only a start for a fit of more data, which will look at the ranks beside it: without, a noisy
    #: matrix of 300 x 300 takes half as long again.
    is_start: bool = False
    #: Threads over starts and over blocks of rows.
    n_jobs: int | None = None
    #: Columns of long tails may count by their logarithms, in which the rank of the matrix is another.
    may_bend: bool = False
    #: Keeps the stages on disk.
    checkpoint: Checkpoint | None = None
    #: The averaged model of the matrix, which may take its place; None: there is none.
    rival: Rival | None = None
    #: Tells the factors that the rival holds likely, those of the rows and columns that are fitted.
    likely: Callable[[], Factors | None] | None = None
    #: Makes the progress report of a problem. The second argument says whether that is all of the data, but for rows
    #: and columns of too few entries, or a block of them; the third has the rows and columns that it is of (None: all).
    report: Callable[[Any, bool, Masks | None], Any] | None = None

    @property
    def apart(self) -> Options:
        """Options that one start depends on: without restarts, seed, threads, checkpoint and callbacks."""
        return replace(
            self,
            meter=self.meter.fresh(),
            n_init=1,
            random_state=None,
            n_jobs=None,
            checkpoint=None,
            report=None,
            rival=None,
            likely=None,
        )

    @property
    def unseen(self) -> Options:
        """Options of a fit to other values than the data: callbacks are told its steps, and given no estimator."""
        report = self.report
        if report is None:
            return self
        return replace(self, report=lambda problem, whole, masks: report(problem, False, masks))

    @property
    def is_told(self) -> bool:
        """Whether a rank was asked for."""
        return self.rank is not None and not self.rank_is_loose

    @property
    def first_stage(self) -> int:
        """Most iterations of the over-parameterised stage."""
        return self.meter.first_stage(alone=not self.polish)


class Rival(Protocol):
    """Another model of the data: what it says of the stages that look for a sharp rank."""

    def has_decaying_spectrum(self, guess: int, gap: float, *, strict: bool = True) -> bool:
        """Whether there is, or if not `strict` may be, no sharp rank, although a `gap` speaks for rank `guess`."""
        ...

    def ends(self) -> tuple[int, ...]:
        """Ranks at which its spectrum may end."""
        ...

    def gap(self) -> tuple[int, float]:
        """Rank at the widest gap between what stands out of the noise, and the ratio of the values on both sides."""
        ...

    def usual_miss(self) -> float:
        """Median of its held-out errors, in scales of columns."""
        ...

    def saves_most(self) -> bool:
        """Whether it is known to be so good that a long search is not worth its time."""
        ...

    def leaves_little_to_search(self) -> bool:
        """Whether that is so, or it is known to see no direction that stands out of the noise for good."""
        ...

    def is_good(self) -> bool:
        """Whether it approximates the data so well that what else there is need not be looked for."""
        ...

    def may_end(self) -> bool:
        """Whether its spectrum has no end among the directions that were looked for, and a clear one where it grew."""
        ...

    def factors(self, part: Masks) -> Factors | None:
        """Its likeliest factors of some rows and columns, without directions that do not stand out of the noise."""
        ...


@dataclass(frozen=True)
class Fit:
    """A fit of one rank: X = u diag(s) v^T, its residual, the noise scale and the posterior weights.

    `inlier_weight` is the probability of each measurement to be an inlier. `heavy_tailed` says that the residuals fall
    away smoothly, with no gap between noise and gross errors, because the data are only nearly low-rank: the fit is
    then that of least absolute deviations. `informative` masks the targets that are not zero (None: all): meeting a
    zero exactly shows nothing.
    """

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    residual: np.ndarray
    scale: float
    inlier_weight: np.ndarray
    dof: int
    informative: np.ndarray | None = None
    heavy_tailed: bool = False
    #: Steps that its estimate took.
    n_iter: int = 0

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.s)


def is_met(fit: Fit) -> np.ndarray:
    """Mask of the measurements other than zero that the fit meets exactly."""
    met = np.abs(fit.residual) <= exact_tolerance(fit.residual.dtype)
    return met if fit.informative is None else met & fit.informative


def informative_count(fit: Fit) -> int:
    """Number of measurements whose targets are not zero."""
    return len(fit.residual) if fit.informative is None else int(np.count_nonzero(fit.informative))


def exact_count(fit: Fit) -> int:
    """Number of measurements other than zero that the fit meets exactly."""
    return int(np.count_nonzero(is_met(fit)))


def is_exact(fit: Fit) -> bool:
    """Whether far more are met exactly than the degrees of freedom can interpolate, and few are met nearly.

    Ties (a background that does not change, counts) make real data meet a fit exactly here and there; there is then
    no gap between what is met and what is not.
    """
    met = exact_count(fit)
    if not are_far_more(met - fit.dof, informative_count(fit)):
        return False
    return count_nearer(fit, _NEARLY) - met <= 0.1 * met


def are_far_more(met: int, informative: int) -> bool:
    """Whether so many informative measurements are met beyond the degrees of freedom that these cannot explain it."""
    return met > 0.1 * informative


def count_nearer(fit: Fit, residual: float) -> int:
    """Number of measurements other than zero that the fit misses by no more than a residual."""
    within = np.abs(fit.residual) <= residual
    return int(np.count_nonzero(within if fit.informative is None else within & fit.informative))
