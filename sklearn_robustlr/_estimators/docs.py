"""Documentation of the parameters and attributes that estimators, or displays, share, each written once."""

from __future__ import annotations

import re
from textwrap import dedent, indent
from typing import Any, TypeVar

# An entry is what numpydoc reads: a name with its type, and an indented description.
_ENTRIES = {
    # parameters of the estimators
    "init_scale": """
        init_scale : float, default=1e-3
            Size of the starting point relative to the data, from 1e-15 to 10. A smaller start is safer and slower. An
            expert parameter, as are all that follow.
        """,
    "step_size": """
        step_size : {"auto", "polyak", "geometric", "constant"}, default="auto"
            Step rule of the sub-gradient method. "auto" estimates the distance to the solution from a quantile of the
            residuals. "geometric" is the rule of [1]_, with a decay tied to `init_scale`. "polyak" is for data without
            outliers and noise only. "constant" stalls at an error proportional to the step.
        """,
    "max_iter": """
        max_iter : int, default=60000
            Maximum number of iterations per start, over all stages; an iteration on part of the data counts as that
            part. A fit usually needs 500 to 2000. If it runs out before the rank is found, `stop_reason_` is
            "interrupted", unless the fit is approximate: iterations of the Bayesian low-rank model do not count. The
            over-parameterised stage gets 300 iterations, or 0.5 % of `max_iter` if that is more; with ``polish=False``
            it gets all. On large data with many directions, a limit on the total work (about a minute on two cores by
            default) may end the search for the rank earlier.
        """,
    "tol": """
        tol : float, default=1e-4
            Tolerance of the over-parameterised stage, which also ends when the 0.4 quantile of the absolute residuals
            is below `tol` times the same quantile of the data.
        """,
    "polish": """
        polish : bool, default=True
            Whether to choose the rank and to refine the fit of that rank. If False, the fit ends after the
            over-parameterised stage and keeps all directions of that stage.
        """,
    "n_init": """
        n_init : int, default=1
            Number of starts. The first is the default start; the others are perturbed or made from half of the data.
            They are compared by successive halving: all run on 90 % of the data, and the half that predicts the other
            10 % better continues (with fewer than 20 held-out values, all data are used for both). The best start is
            refitted to all data. No other start is made if the default one fits a block of a large matrix and
            converges.
        """,
    "n_jobs": """
        n_jobs : int or None, default=None
            Number of threads, over starts and over blocks of rows. None means 1, unless in a
            :class:`joblib.parallel_config` context; -1 means all cores. The result does not depend on it.
        """,
    "random_state": """
        random_state : int, RandomState instance or None, default=None
            Seed of the starts after the first (see `n_init`): it determines how they are perturbed and on which data
            they are judged. Nothing else depends on it.
        """,
    "warm_start": """
        warm_start : bool, default=False
            If True, `fit` begins at the result of the previous call, which saves most of the work on similar data. If
            the fit from there does not converge, or if the previous fit log-transformed columns, the fit starts from
            scratch.
        """,
    "forgetting": """
        forgetting : float, default=1.0
            Factor, above 0 and at most 1, by which `partial_fit` reduces the weight of a row with each row that comes
            after it: 0.999 remembers about the last 1,000 rows. With 1, all rows count alike. `fit` does not use it.
        """,
    "verbose": """
        verbose : int, default=0
            If not 0, print a line about each start and one about the result.
        """,
    "checkpoint": """
        checkpoint : str, path or None, default=None
            Folder in which the stages of a long fit are kept until the fit is done. After an interruption, a fit of the
            same data with the same parameters continues after the last stage kept, with bit for bit the same result.
            With `n_init` above 1, give `random_state` an integer: otherwise the stages are not found again.
        """,
    # attributes of the estimators
    "rank_": """
        rank_ : int
            Rank found; the mean counts as a direction. 0 for a zero matrix. For an approximate fit: the number of
            directions of the averaged estimate, mean included. It may exceed a given `rank`, and may equal the number
            of columns.
        """,
    "n_samples_seen_": """
        n_samples_seen_ : int
            Number of rows that `partial_fit` has seen. Only set by `partial_fit`.
        """,
    "outliers_matrix": """
        outliers_ : ndarray or CSR matrix of bool, shape (n_samples, n_features)
            True for observed entries of the fitted matrix that are flagged as gross errors (see `threshold_`). Sparse
            if X was sparse and the entries that it does not store were missing.
        """,
    "scale_": """
        scale_ : float
            Noise scale: the standard deviation of the noise of the inliers, in the units of the data.
        """,
    "scale_matrix": """
        scale_ : float
            Noise scale: the standard deviation of the noise of the inliers, in the units of the data. For approximate
            fits, and where columns have noise of their own, the root mean square over columns: see `noise_scale_`.
        """,
    "threshold_": """
        threshold_ : float
            Residual beyond which a value is flagged, in the units of the data: 3.5 times `scale_` (5 times if the
            residuals are heavy-tailed; at least rounding errors if the fit is exact).
        """,
    "threshold_matrix": """
        threshold_ : float
            Residual beyond which a value is flagged, in the units of the data: 3.5 times `scale_` (5 times if the
            residuals are heavy-tailed; at least rounding errors if the fit is exact). For approximate fits, and where
            columns have noise of their own, it is only a root mean square over columns: flags use the noise of each
            column, `noise_scale_`. If the spreads of columns differ by more than a factor of 10,000, columns are scaled
            internally, and `threshold_` refers to a column of median spread.
        """,
    "noise_scale_": """
        noise_scale_ : ndarray of shape (n_features,)
            Standard deviation of the noise of the inliers of each column, in the units of the data: all are `scale_`
            unless columns have noise of their own, as in an approximate fit.
        """,
    "undetermined": """
        undetermined_rows_ : ndarray of int
            Rows with too few inliers to determine their coefficients, or in which about half of the entries have the
            wrong sign. They are estimated from what they have and from the other rows.
        undetermined_columns_ : ndarray of int
            Columns that are not identifiable for the same reasons, and columns that are uncorrelated with the others.
            The latter are estimated by their medians.
        """,
    "expected_error_": """
        expected_error_ : ndarray of shape (n_features,)
            Expected root mean square error of the estimate of a hidden entry (its noise included), divided by the
            standard deviation of the column without outliers: 0 is perfect, 1 is as good as the mean. Approximate fits:
            measured on held-out entries, without those beyond 3 standard deviations, which may be outliers; the
            standard deviation is the robust one (median absolute deviation / 0.6745). It may be several times too large
            where prediction is nearly exact. Fits with noise: computed from the noise, with the standard deviation of
            the fitted column plus noise. NaN if the fit has not converged.""",
    "converged_": """
        converged_ : bool
            Whether the fit can be trusted. If not, `fit` has given a ConvergenceWarning that says why, with figures.
        """,
    "stop_reason_": """
        stop_reason_ : str
            Why the fit ended, as a value of :class:`~sklearn_robustlr.StopReason`: "exact", "noisy" or "approximate" if
            it has converged, otherwise "undetermined", "stuck", "unexplained", "unpolished" or "interrupted".
        """,
    "n_iter_": """
        n_iter_ : int
            Number of iterations of all starts together, counted as described for `max_iter`.
        """,
    "history_": """
        history_ : dict of ndarray
            Records of the over-parameterised stage, one for each recorded iteration: "iteration", "loss" (mean absolute
            residual) and "residual" (0.4 quantile of the absolute residuals), both in the units of the data, "step"
            (length of the step, in internal units) and "spectrum" (singular values, one row per record). Empty if only
            the medians of the columns could be estimated.
        """,
    "restart_scores_": """
        restart_scores_ : ndarray of shape (n_init,)
            Score of each start: minus the 0.4 quantile of the absolute residuals where the start was stopped, on data
            that it has not seen (on all data if there is a single start). NaN for starts that were not made. The start
            with the highest score was chosen.
        """,
    "features_in": """
        n_features_in_ : int
            Number of columns of X, n_features.
        feature_names_in_ : ndarray of str, shape (n_features,)
            Names of the columns of X. Only set if X has names that are all strings.
        """,
    # sections of methods
    "fit_matrix": """
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Matrix with NaN where an entry is missing; float32 is kept. In a sparse matrix the stored entries are
            observed, zeros included, but a stored NaN is missing; `absent` says what the entries are that it does not
            store. A dask array is fitted chunk by chunk, without `sample_weight`, `entry_weight` and `init`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How often each row counts: a row of weight 2 counts as two identical rows, a row of weight 0 as none.
            Weights are counts, not ratios: if they sum to 10, the fit is as uncertain as with 10 rows. They affect
            means, variances and the model of the columns, but not the decision whether there is a sharp rank. None:
            each row counts once.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features) or None, default=None
            Known relative precision of each entry, such as the inverse of the variance that its instrument states, or
            the count behind an average. Only ratios matter, up to 1e8 from the median weight. An entry of weight 0
            counts as missing. If the rank is sharp, the weights refine the fit. Otherwise, the noise variance of an
            entry is that of its column divided by the weight, and no column is log-transformed. The weights have no
            effect on an exact fit. None: all entries are equally precise, as with weights that are all equal.
            `transform` gives all entries the average precision.
        init : pair of array-like of shape (n_samples, k) and (n_features, k), or None, default=None
            Factors L and R of a first guess ``L R^T``. If the fit from there does not converge, it starts from scratch.
            None: with `warm_start`, the row space of the last fit if X has as many columns, otherwise the default
            start.
        """,
    "fit_errors": """
        ValueError, TypeError
            If a parameter or the data are not as described. The message names what was given and what is allowed.
        MemoryError
            If the fit would take more memory than there is. The message states the estimate.
        """,
    "fit_warnings": """
        ConvergenceWarning
            If the fit should not be trusted. The message says why.
        """,
    "undetermined_warning": """
        UserWarning
            If rows or columns have too few inliers to be identifiable, or columns are uncorrelated with the others; or
            if all stored values of a sparse X are equal and the entries that it does not store are read as missing.
        """,
    "X_rows": """
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, seen or new, as for :meth:`transform`.
        """,
    "X_measurements": """
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Measurements, as for :meth:`fit`.
        """,
    "X_errors": """
        ValueError
            If X is not as described, or the estimator is not fitted (NotFittedError).
        """,
    # of the displays
    "ax": """
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None: those of a new figure.
        """,
    "axes": """
        ax_ : matplotlib Axes
            Axes of the plot.
        figure_ : matplotlib Figure
            Figure of `ax_`.
        """,
    "no_matplotlib": """
        ImportError
            If matplotlib is not installed.
        """,
}

_PLACE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Class decorator: a line ``{name}`` in the docstring of a class or of a method becomes the shared entry."""
    for documented_object in (cls, *(getattr(value, "__func__", value) for value in vars(cls).values())):
        text = getattr(documented_object, "__doc__", None)
        if isinstance(text, str) and _PLACE.search(text):
            _set_doc(documented_object, _PLACE.sub(_entry, text))
    return cls


def _entry(place: re.Match[str]) -> str:
    return indent(dedent(_ENTRIES[place[2]]).strip("\n"), place[1])


def _set_doc(documented_object: Any, text: str) -> None:
    documented_object.__doc__ = text
