"""Documentation of the parameters and attributes that the estimators share, each written once."""

from __future__ import annotations

import re
from textwrap import dedent, indent
from typing import Any, TypeVar

# An entry is what numpydoc reads: a name with its type, and an indented description.
_ENTRIES = {
    # parameters of the estimators
    "init_scale": """
        init_scale : float, default=1e-3
            Of the algorithm, as all that follow: size of the start relative to the data, from 1e-15 to 10. Smaller is
            safer and slower.
        """,
    "step_size": """
        step_size : {"auto", "polyak", "geometric", "constant"}, default="auto"
            Of the algorithm: step rule of the sub-gradient method. "auto" reads the distance to the solution off a
            quantile of the residuals; "geometric" is the rule of [1]_, its decay tied to `init_scale`; "polyak" is for
            clean data only; "constant" stalls in proportion to the step.
        """,
    "max_iter": """
        max_iter : int, default=60000
            Budget of a fit from one start: iterations of the sub-gradient and Gauss-Newton methods in all of its
            stages, each counted by the share of the data that it reads. A fit usually takes 500 to 2000. The
            over-parameterised stage may take 300, or 0.5 % where that is more, or all with ``polish=False``. Where the
            budget is spent before the rank is found, the fit has not converged ("interrupted"), unless an approximate
            one will do, whose own sweeps are bounded and not counted. A fit of a rank that has begun is finished.
        """,
    "tol": """
        tol : float, default=1e-4
            Of the algorithm: the over-parameterised stage also ends where the 0.4 quantile of the residuals is below
            `tol` times that of the data.
        """,
    "polish": """
        polish : bool, default=True
            Of the algorithm: False stops after the over-parameterised stage, with all of its directions.
        """,
    "n_init": """
        n_init : int, default=1
            Number of starts: the plain one, then perturbed ones and ones made from half of the data. They race on nine
            tenths of the data; the held-out rest decides which half of them goes on, and the winner is fitted to all.
            Only the first is made where it begins at a block of a large matrix and its fit converges.
        """,
    "n_jobs": """
        n_jobs : int or None, default=None
            Threads over starts, and over blocks of rows. The result does not depend on it.
        """,
    "random_state": """
        random_state : int, RandomState instance or None, default=None
            Governs the starts after the first (`n_init`), which are perturbed, and what they are judged by. All else is
            the same whatever this is.
        """,
    "warm_start": """
        warm_start : bool, default=False
            True: a second `fit` begins at the result of the first, which saves most of the work on similar data. Where
            that does not converge, it begins afresh.
        """,
    "forgetting": """
        forgetting : float, default=1.0
            Factor by which `partial_fit` lets a row fade with each row that comes after it: 0.999 remembers about the
            last 1,000. 1: all rows count alike. `fit` does not use it.
        """,
    "verbose": """
        verbose : int, default=0
            1: print a line on each start.
        """,
    "checkpoint": """
        checkpoint : str, path or None, default=None
            Folder in which the stages of a long fit are kept until it is done. After an interruption, a fit of the same
            data with the same parameters goes on after the last stage kept, to the same bits. See the page "How to".
        """,
    # attributes of the estimators
    "rank_": """
        rank_ : int
            Rank found, of the matrix as it is, mean included (0 for a zero matrix).
        """,
    "n_samples_seen_": """
        n_samples_seen_ : int
            Rows that `partial_fit` has seen; only after that.
        """,
    "outliers_matrix": """
        outliers_ : ndarray or CSR matrix of bool, shape (n_samples, n_features)
            Observed entries of the fitted matrix flagged as gross errors: residual beyond `threshold_`. Sparse where X
            was sparse and what it did not store was missing.
        """,
    "scale_": """
        scale_ : float
            Standard deviation of the noise of the inliers, in the units of the data.
        """,
    "threshold_": """
        threshold_ : float
            Residual beyond which a value is flagged: 3.5 times `scale_` (5 times where the residuals are heavy-tailed),
            or what rounding leaves.
        """,
    "undetermined": """
        undetermined_rows_ : ndarray of int
            Rows that are not identifiable: they have too few inliers in columns that are identifiable themselves, or
            nearly as many of the opposite sign. They are estimated from what they have and from the other rows.
        undetermined_columns_ : ndarray of int
            The same for columns.
        """,
    "expected_error_": """
        expected_error_ : ndarray of shape (n_features,)
            Root mean square error to be expected of the estimate of a hidden entry of each column, its noise included,
            in units of the standard deviation of the column: 0 where the fit is exact, 1 where it tells no more than
            the mean. Of an approximate fit it is measured on entries that were held out, without those that lie three
            standard deviations or more out and may be gross errors, and the standard deviation is the robust one
            (median absolute deviation / 0.6745); of one with noise it follows from that. NaN where the fit has not
            converged.""",
    "converged_": """
        converged_ : bool
            Whether the fit is to be trusted; if not, a ConvergenceWarning has said why, in a sentence with its figures.
        """,
    "stop_reason_": """
        stop_reason_ : str
            Code of why the fit ended, a value of :class:`~sklearn_robustlr.StopReason`: "exact", "noisy" or
            "approximate" where it has converged, else "undetermined", "stuck", "unexplained", "unpolished" or
            "interrupted".
        """,
    "n_iter_": """
        n_iter_ : int
            Iterations that the fit took, counted as `max_iter` says, of all starts.
        """,
    "history_": """
        history_ : dict of ndarray
            Per recorded iteration of that stage: "iteration", "loss" (mean absolute residual), "step", "residual" (0.4
            quantile of absolute residuals), "spectrum" (singular values, one row each).
        """,
    "restart_scores_": """
        restart_scores_ : ndarray of shape (n_init,)
            Minus the 0.4 quantile of the residuals of data that the start has not seen (of all, for a single start),
            where it was stopped; NaN where it was not made. The highest was chosen.
        """,
    "features_in": """
        n_features_in_ : int
            Number of columns of X.
        feature_names_in_ : ndarray of str
            Names of the columns of X, where it had any.
        """,
    # sections of `fit`
    "fit_matrix": """
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Matrix with NaN where missing; float32 is kept. Of a sparse matrix the stored entries are observed, zeros
            among them, a stored NaN is missing, and `absent` says what the entries are that are not stored.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How often each row counts: a row of weight 2 as two rows that are the same, one of weight 0 as none.
            Whether a rank is sharp is asked of rows that are there or not; weights count in the means and variances of
            columns and in all that an approximate fit learns of them. They are absolute: with weights that sum to ten
            it knows no more than from ten rows. None: all rows count once.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features) or None, default=None
            Known relative precision of each entry, such as the inverse of the variance that its instrument states, or
            the count behind an average; only ratios matter, up to 1e8 from their median. An entry of weight 0 counts as
            missing. A fit of a sharp rank is refined by them; elsewhere the fit is that of the averaged model, whose
            noise has the variance of its column over the weight. They do not count where a fit is exact, nor, without a
            sharp rank, of fewer than 100 entries. None: all entries are alike. Entries of rows that are transformed
            later have the mean variance of those that were fitted.
        init : pair of array-like of shape (n_samples, k) and (n_features, k), or None, default=None
            Factors L and R of a first guess ``L R^T``. Where it leads to no fit that converges, the fit begins afresh.
            None: the row space of the last fit with `warm_start` and as many columns, else the tiny start.
        """,
    "fit_errors": """
        ValueError, TypeError
            If a parameter or the data are not as described; the message names what was given and what is allowed.
        MemoryError
            If the fit would take more memory than there is; the message states the estimate.
        """,
    "fit_warnings": """
        ConvergenceWarning
            If the result cannot be trusted; the message says why.
        """,
    "undetermined_warning": """
        UserWarning
            If rows or columns have too few inliers to be identifiable; or if all stored values of a sparse X are equal
            and the others are read as missing.
        """,
}

_PLACE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Class decorator: a line ``{name}`` in the docstring of a class or of a method becomes the shared entry."""
    for documented_object in (cls, *vars(cls).values()):
        text = getattr(documented_object, "__doc__", None)
        if isinstance(text, str) and _PLACE.search(text):
            _set_doc(documented_object, _PLACE.sub(_entry, text))
    return cls


def _entry(place: re.Match[str]) -> str:
    return indent(dedent(_ENTRIES[place[2]]).strip("\n"), place[1])


def _set_doc(documented_object: Any, text: str) -> None:
    documented_object.__doc__ = text
