"""What the estimators share: options from parameters, the fit watched, its result set, versions of pickles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning

from .._fits.measurements import LowRankFit
from .._operators.units import Problem
from .._utils.checkpoint import Checkpoint
from .._utils.threads import interruptible, single_threaded_blas
from .._utils.values import Masks, Options
from .._utils.warn import warn_user
from .._version import __version__
from .html import SummaryMixin
from .progress import Progress, describe, told_of
from .validation import check_folder, check_options

# What the version is called in the state of an estimator.
_VERSION_KEY = "_sklearn_robustlr_version"


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
    """Between scikit-learn and a fit: parameters become options, a result becomes attributes."""

    n_init: int
    n_jobs: int | None
    random_state: int | np.random.RandomState | None
    verbose: int
    checkpoint: str | None

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has come to its end: one that failed may have set what it knew of X."""
        return hasattr(self, "singular_values_")

    @contextmanager
    def _listening(self, options: Options, *, known: dict[str, Any] | None = None, **data: Any) -> Iterator[Options]:
        """Tell callbacks where the fit of X (and y) begins and ends, and hold BLAS to one thread in between.

        With more its sums depend on what other threads, which may fit too, hold it to. Yields the options of the fit,
        with its checkpoint and what reports to callbacks. `known` are attributes that its result will have.
        """
        checkpoint = None
        folder = check_folder("checkpoint", self.checkpoint)
        if folder is not None:
            params = self.get_params(deep=False)  # type: ignore[attr-defined]  # of BaseEstimator
            for name in ("checkpoint", "n_jobs", "verbose"):  # nothing of the result depends on them
                del params[name]
            checkpoint = Checkpoint(folder, (type(self).__name__, params, data))
        context = None
        if hasattr(self, "_skl_callbacks"):
            context = self._init_callback_context(max_subtasks=None)
            context.call_on_fit_task_begin(estimator=self, **data)

        def report(problem: Problem, whole: bool, masks: Masks | None) -> Progress:
            def snapshot(left: np.ndarray, right: np.ndarray) -> dict[str, Any] | None:
                if not whole:
                    return None
                left, s, right = problem.to_user_units(left, right)
                if masks is not None:
                    left, right = masks.filled(left, right)
                return {**(known or {}), **self._snapshot(left, s, right, masks)}

            return Progress(self, context, data, snapshot, lambda solution: describe(problem, solution, whole))

        watched = context is not None or self.verbose
        with interruptible(), single_threaded_blas():
            yield replace(options, checkpoint=checkpoint, report=report if watched else None)
        if context is not None:
            context.call_on_fit_task_end(estimator=self, reconstruction_attributes=dict, **data)
        if checkpoint is not None:
            checkpoint.clear()

    def _snapshot(self, left, s, right, seen: Masks | None = None) -> dict[str, Any]:
        """Attributes of an estimator that predicts from these singular triplets.

        `seen` are the rows and columns that the data tell of; those of the others are zero (None: all).
        """
        raise NotImplementedError

    def _options(self, shape: tuple[int, int], size: int, *, symmetric: bool = False) -> Options:
        """The parameters, checked against the shape (d1, d2) of the matrix; `size` is the number of measurements."""
        return check_options(self, shape, size, symmetric=symmetric)

    def _set_fitted(self, fit: LowRankFit, *, warns: bool = True, **own: Any) -> None:
        """Set the fitted attributes, those of any fit and an estimator's `own`; warn where it is not to be trusted."""
        shared = {
            "rank_": fit.rank,
            "singular_values_": fit.singular_values,
            "scale_": float(fit.scale),
            "threshold_": float(fit.threshold),
            "converged_": fit.converged,
            # a plain string: a pickled member would name the module that it is defined in
            "stop_reason_": fit.verdict.code.value,
            "_stop_message": fit.verdict.message,  # for the summary in notebooks
            "n_iter_": fit.n_iter,
            "history_": fit.history,
            "restart_scores_": fit.restart_scores,
            "outliers_": fit.outliers,
        }
        for name, value in {**shared, **own}.items():
            setattr(self, name, value)
        if warns and self.verbose:
            print(f"[{type(self).__name__}] " + told_of(fit))
        if warns and not fit.converged:
            warn_user(
                f"{type(self).__name__} did not converge: {fit.verdict.message}. The result may be wrong. "
                f"See '{fit.verdict.code}' under Troubleshooting in the documentation.",
                ConvergenceWarning,
            )


def warn_of_open(
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    names: tuple[np.ndarray | None, np.ndarray | None],
    of: str,
    because: str,
) -> None:
    """Warn of rows and columns that are not identifiable, given by index, by their names where they have any."""
    for kind, index, own in zip(("rows", "columns"), (rows, columns), names, strict=True):
        if len(index):
            shown = index[:5] if own is None else own[index[:5]]
            listed = ", ".join(str(i) for i in shown) + (", ..." if len(index) > 5 else "")
            subject = f"{len(index)} {kind} of {of} are" if len(index) > 1 else f"1 {kind[:-1]} of {of} is"
            warn_user(f"{subject} not identifiable ({listed}): {because.format(kind=kind)}: see undetermined_{kind}_.")
