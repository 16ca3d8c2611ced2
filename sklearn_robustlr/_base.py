"""What the estimators share: running the starts, storing the result, saying that it failed."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning

from ._checkpoint import Checkpoint
from ._pipeline import Solution
from ._polish import scale_floor, unbiased_scale
from ._problem import Problem, make_problem
from ._progress import Progress
from ._rank import is_exact
from ._repr import SummaryMixin
from ._restarts import run_starts
from ._scan import Options
from ._threads import interruptible, single_threaded_blas
from ._validation import check_folder
from ._version import __version__

# What the version is called in the state of an estimator.
_VERSION_KEY = "_sklearn_robustlr_version"


@dataclass
class Outcome:
    """What the starts came to, not yet stored in an estimator."""

    problem: Problem
    options: Options
    best: Solution
    scores: np.ndarray


class VersionMixin:
    """Pickles carry the version of this package and warn where another one loads them.

    scikit-learn does so for its own classes alone.
    """

    def __getstate__(self):
        return {**super().__getstate__(), _VERSION_KEY: __version__}  # type: ignore[dict-item]  # of BaseEstimator

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop(_VERSION_KEY, "unknown")
        if version != __version__:
            name = f"{type(self).__name__} of sklearn_robustlr"
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=name, current_sklearn_version=__version__, original_sklearn_version=version
                ),
                stacklevel=2,
            )
        super().__setstate__(state)  # type: ignore[misc]  # of BaseEstimator


class FitMixin(VersionMixin, SummaryMixin, CallbackSupportMixin):
    """Fit pipeline of the estimators: operator and options in, fitted attributes out."""

    n_init: int
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    verbose: int
    checkpoint: str | None

    #: What is being fitted, while callbacks listen.
    _data: dict | None = None
    #: Where its stages are kept.
    _checkpoint: Checkpoint | None = None

    @contextmanager
    def _listening(self, **data):
        """Tell callbacks where the fit of X (and y) begins and ends, and hold BLAS to one thread in between.

        With more its sums depend on what other threads, which may fit too, hold it to.
        """
        self._data = data if hasattr(self, "_skl_callbacks") else None
        if check_folder("checkpoint", self.checkpoint) is not None:
            params = self.get_params(deep=False)
            for name in ("checkpoint", "n_jobs", "verbose"):  # nothing of the result depends on them
                del params[name]
            self._checkpoint = Checkpoint(self.checkpoint, (type(self).__name__, params, data))
        try:
            if self._data is not None:
                context = self._init_callback_context(max_subtasks=None)
                context.call_on_fit_task_begin(estimator=self, **data)
            with interruptible(), single_threaded_blas():
                yield
            if self._data is not None:
                context.call_on_fit_task_end(estimator=self, reconstruction_attributes=dict, **data)
            if self._checkpoint is not None:
                self._checkpoint.clear()
        finally:
            self.__dict__.pop("_data", None)
            self.__dict__.pop("_checkpoint", None)

    def _solve(self, measurements, options, start=None, whole=True):
        """Solve; nothing is set. `start`: factors of a fit to nearly the same data, in the user's units.

        `whole` says that it is all of the data: callbacks are then given estimators that can predict.
        """
        problem = make_problem(measurements)
        options = replace(options, checkpoint=self._checkpoint)
        progress = None
        if self.verbose or self._data is not None:
            progress = Progress(
                self,
                None if self._data is None else self._callback_fit_ctx,
                self._data,
                lambda left, right: self._snapshot(*problem.to_user_units(left, right)) if whole else None,
                lambda solution: describe(problem, solution, whole),
            )
        best, scores = run_starts(
            problem,
            options,
            n_init=self.n_init,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            start=None if start is None else problem.from_user_units(*start, symmetric=options.symmetric),
            progress=progress,
        )
        return Outcome(problem, options, best, scores)

    def _store(self, outcome, order=None):
        """Set all fitted attributes but those of one estimator alone, and warn where the fit has failed.

        `order` is the permutation that sorted the samples, if they were sorted.
        """
        problem, best, scores = outcome.problem, outcome.best, outcome.scores
        fit = best.fit
        u, s, v = problem.finalise(fit.u, fit.s, fit.v, symmetric=outcome.options.symmetric)
        check_size(s)
        # Signs: the largest component of each left vector is positive, as in scikit-learn's svd_flip.
        signs = np.sign(u[np.argmax(np.abs(u), axis=0), np.arange(u.shape[1])])
        signs[signs == 0] = 1
        self.left_, self.right_ = u * signs, v * signs
        self.singular_values_ = s
        self.rank_ = best.rank
        residual = fit.residual
        threshold = outlier_threshold(fit)
        self.threshold_ = threshold * problem.scale
        self._heavy = fit.heavy
        flagged = np.abs(residual) > threshold
        self.scale_ = noise_scale(fit) * problem.scale
        self.converged_ = best.converged
        self.stop_reason_ = best.reason or ("exact fit" if is_exact(fit) else "noise level reached")
        self.n_iter_ = best.n_iter
        self.history_ = best.history.as_arrays(problem)
        self.restart_scores_ = scores
        if order is not None:
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            residual, flagged = residual[back], flagged[back]
        self.outliers_ = flagged
        if not best.converged:
            self._distrust(best.reason, stacklevel=6)

    def _distrust(self, reason, stacklevel):
        """Say that the fit is not to be trusted, and why."""
        self.converged_, self.stop_reason_ = False, reason
        warnings.warn(
            f"{type(self).__name__} did not converge: {reason}. The result may be wrong.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def check_size(singular_values):
    """Refuse what cannot be told: values near the largest number have singular values beyond it."""
    if not np.isfinite(singular_values).all():
        top = np.finfo(singular_values.dtype).max
        raise ValueError(
            f"The data are too large: singular values of the low-rank matrix exceed {top:.2g}, the largest number of "
            f"type {singular_values.dtype}. Divide X (or y) by a power of ten."
        )


def describe(problem, solution, whole):
    """What a start came to, in a few words."""
    words = [] if whole else ["block of {} x {}".format(*problem.base.shape)]
    if solution is None:
        return [*words, "given up"]
    fit = solution.fit
    words += [
        f"rank {solution.rank}",
        f"{np.mean(np.abs(fit.residual) > outlier_threshold(fit)):.1%} outliers",
        f"noise scale {noise_scale(fit) * problem.scale:.3g}",
    ]
    return [*words, "converged" if solution.converged else f"not converged ({solution.reason})"]


def noise_scale(fit):
    """Standard deviation of the sound residuals, in the units of the fit."""
    if is_exact(fit):
        sound = np.abs(fit.residual) <= outlier_threshold(fit)
        return float(np.sqrt(np.mean(fit.residual[sound].astype(np.float64) ** 2)))
    return float(fit.scale) if fit.heavy else unbiased_scale(fit)


def flag_width(heavy):
    """Noise scales beyond which a residual is a gross error."""
    return 5.0 if heavy else 3.5


def outlier_threshold(fit):
    """Residual beyond which a value is flagged: 3.5 noise scales (Gaussian: 5 in 10,000), 5 for a heavy tail."""
    if is_exact(fit):
        return flag_width(fit.heavy) * max(fit.scale, 10.0 * scale_floor(fit.residual.dtype))
    return flag_width(fit.heavy) * noise_scale(fit)
