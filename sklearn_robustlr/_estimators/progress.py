"""What a fit tells scikit-learn's callbacks, and what it prints."""

from __future__ import annotations

import time

import numpy as np

from .._fits.measurements import noise_scale, outlier_threshold
from .._selection.verdict import DECAYS


class Progress:
    """The task tree of a fit: fit, start, step (a stretch of iterations, or the fit of one rank).

    `context` is the callback context of the fit (None: nobody listens), `snapshot` turns factors in the coordinates of
    the solver into the attributes of an estimator that is ready to predict, `describe` says in a few words what a
    solution is (None: the start was given up).
    """

    def __init__(self, estimator, context, data, snapshot, describe):
        self.estimator, self.context, self.data = estimator, context, data
        self.snapshot, self.describe = snapshot, describe

    def start(self, index):
        """Task of the start of this number."""
        return StartTask(self, index)


class StartTask:
    """One start; calling it reports a step, and returns whether a callback wants the start to end there."""

    def __init__(self, progress, index):
        self._progress, self._index = progress, index
        self._begun = time.perf_counter()
        self._context = None
        if progress.context is not None:
            self._context = progress.context.subcontext(task_name="start", max_subtasks=None)
            self._context.call_on_fit_task_begin(estimator=progress.estimator, **progress.data)

    def __call__(self, step, factors):
        if self._context is None:
            return False
        estimator, data = self._progress.estimator, self._progress.data
        context = self._context.subcontext(task_name=step)
        context.call_on_fit_task_begin(estimator=estimator, **data)
        return context.call_on_fit_task_end(
            estimator=estimator, reconstruction_attributes=lambda: self._progress.snapshot(*factors), **data
        )

    def end(self, solution):
        """Report the end of the start."""
        estimator = self._progress.estimator
        if estimator.verbose:
            seconds = time.perf_counter() - self._begun
            words = [f"start {self._index + 1}", *self._progress.describe(solution), f"{seconds:.2f} s"]
            print(f"[{type(estimator).__name__}] " + ", ".join(words))
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=estimator, **self._progress.data)


def describe(problem, solution, whole):
    """What a start came to, in a few words."""
    words = [] if whole else ["block of {} x {}".format(*problem.base.shape)]
    if solution is None:
        return [*words, "given up"]
    if solution.verdict == DECAYS:  # it has not been fitted; an approximation takes its place
        return [*words, f"{solution.verdict.message}: models are averaged"]
    fit, beyond = solution.fit, np.abs(solution.fit.residual) > outlier_threshold(solution.fit)
    return words + _words(solution.rank, beyond, noise_scale(fit) * problem.scale, solution.verdict)


def told_of(fit):
    """What a fit came to, as a line."""
    return ", ".join(["result", *_words(fit.rank, fit.outliers, fit.scale, fit.verdict)])


def _words(rank, outliers, scale, verdict):
    share = np.mean(outliers) if outliers.size else 0.0
    ended = (
        f"converged ({verdict.code})"
        if verdict.code.converged
        else f"not converged ({verdict.code}: {verdict.message})"
    )
    return [f"rank {rank}", f"{share:.1%} outliers", f"noise scale {scale:.3g}", ended]
