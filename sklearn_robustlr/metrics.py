"""Measures of recovery: error of the matrix, fit of corrupted targets, outlier flags, subspaces, chances."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import subspace_angles
from sklearn.metrics import make_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array

from ._estimators.weighted import robust_r2

__all__ = [
    "log_likelihood_scorer",
    "outlier_precision_recall",
    "pass_at_k",
    "relative_recovery_error",
    "robust_r2_score",
    "robust_r2_scorer",
    "subspace_angle",
]


def relative_recovery_error(X_true, X_estimated):
    """Compute the relative error of a recovered matrix in the Frobenius norm.

    Parameters
    ----------
    X_true : array-like of shape (d1, d2)
        True matrix.
    X_estimated : array-like of shape (d1, d2)
        Estimate of the matrix.

    Returns
    -------
    error : float
        ``||X_estimated - X_true||_F / ||X_true||_F``, or the numerator alone if X_true is zero.

    Raises
    ------
    ValueError
        If the shapes differ, or an entry is not finite.

    See Also
    --------
    subspace_angle : Error of a subspace.
    robust_r2_score : Fit of targets that may be corrupted.

    Examples
    --------
    >>> from sklearn_robustlr.metrics import relative_recovery_error
    >>> relative_recovery_error([[3.0, 0.0], [0.0, 4.0]], [[3.0, 0.0], [0.0, 3.0]])
    0.2
    """
    X_true = check_array(X_true, dtype=np.float64, input_name="X_true")
    X_estimated = check_array(X_estimated, dtype=np.float64, input_name="X_estimated")
    if X_true.shape != X_estimated.shape:
        raise ValueError(f"X_true and X_estimated must have one shape, got {X_true.shape} and {X_estimated.shape}.")
    size = float(np.abs(X_true).max(initial=0.0))
    if not size:
        return _norm(X_estimated)
    with np.errstate(over="ignore"):
        return _norm(X_estimated / size - X_true / size) / _norm(X_true / size)


def _norm(X):
    """Frobenius norm, of numbers of any size."""
    size = float(np.abs(X).max(initial=0.0))
    return size * float(np.linalg.norm(X / size)) if 0.0 < size < np.inf else size


def robust_r2_score(y_true, y_pred, sample_weight=None):
    """Compute the robust R2, ``1 - (median|y - p| / median|y - median y|)^2``, of predictions p of targets y.

    A single corrupted target ruins the usual R2; fewer than half of the targets cannot move the robust one far. The
    best score is 1. A score of 0 is as good as predicting the median of the targets.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Observed targets, some perhaps corrupted.
    y_pred : array-like of shape (n_samples,)
        Predictions.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        How often each target counts in the medians. None: each counts once.

    Returns
    -------
    score : float
        Robust R2, at most 1. If more than half of the targets are equal: 1 if the median residual is zero, else 0.

    Raises
    ------
    ValueError
        If the lengths differ, a value is not finite, or weights are negative or all zero.

    See Also
    --------
    robust_r2_scorer : The same as a scorer, for searches.
    sklearn.metrics.r2_score : The usual R2.

    Examples
    --------
    >>> from sklearn_robustlr.metrics import robust_r2_score
    >>> robust_r2_score([1.0, 2.0, 3.0, 4.0, 1e6], [1.0, 2.0, 3.0, 4.0, 5.0])
    1.0
    """
    return robust_r2(y_true, y_pred, sample_weight)


#: Scorer by :func:`robust_r2_score`, which corrupted held-out targets hardly change, for estimators with ``predict``:
#: RobustLowRankRecovery and EntryRegressor. Searches over RobustMatrixCompletion use its own ``score`` by default.
robust_r2_scorer = make_scorer(robust_r2_score)


def log_likelihood_scorer(estimator, X, y=None):
    """Score an estimator by the mean log-likelihood of entries that are hidden from the regression of their own row.

    This is a scorer for ``GridSearchCV(scoring=log_likelihood_scorer)`` and similar searches.

    Parameters
    ----------
    estimator : RobustMatrixCompletion or Pipeline that ends in one
        Fitted estimator.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows, NaN where an entry is missing.
    y : None
        Ignored.

    Returns
    -------
    log_likelihood : float
        Result of :meth:`sklearn_robustlr.RobustMatrixCompletion.log_likelihood` for X, in the units in which the last
        step of a pipeline sees X.

    Raises
    ------
    TypeError
        If the estimator has no method `log_likelihood`.
    ValueError
        If X is not as described, or the estimator is not fitted (NotFittedError).

    See Also
    --------
    robust_r2_scorer : A scorer of the estimates alone, for estimators with ``predict``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.metrics import log_likelihood_scorer
    >>> scores = cross_val_score(RobustMatrixCompletion(), load_iris().data, cv=3, scoring=log_likelihood_scorer)
    >>> scores.shape
    (3,)
    """
    last = estimator
    if isinstance(estimator, Pipeline):
        last, X = estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
    if not hasattr(last, "log_likelihood"):
        raise TypeError(f"log_likelihood_scorer needs a RobustMatrixCompletion, got {type(last).__name__}.")
    return last.log_likelihood(X)


def outlier_precision_recall(outliers_true, outliers_flagged):
    """Compute the precision and the recall of outlier flags.

    Parameters
    ----------
    outliers_true : {array-like, sparse matrix} of bool, any shape
        True, or 1, where a value is corrupted.
    outliers_flagged : {array-like, sparse matrix} of bool, same shape
        True, or 1, where a value was flagged.

    Returns
    -------
    precision : float
        Share of the flagged values that are corrupted (1.0 if nothing is flagged).
    recall : float
        Share of the corrupted values that are flagged (1.0 if nothing is corrupted).

    Raises
    ------
    ValueError
        If the shapes differ, or a value is neither True (1) nor False (0).

    See Also
    --------
    sklearn_robustlr.plotting.OutlierDisplay : A picture of the flags.

    Examples
    --------
    >>> from sklearn_robustlr.metrics import outlier_precision_recall
    >>> outlier_precision_recall([True, True, False, False], [True, False, False, False])
    (1.0, 0.5)
    """
    true, flagged = _flags(outliers_true, "outliers_true"), _flags(outliers_flagged, "outliers_flagged")
    if true.shape != flagged.shape:
        raise ValueError(
            f"outliers_true and outliers_flagged must have one shape, got {true.shape} and {flagged.shape}."
        )
    hits = int((true & flagged).sum())
    precision = hits / int(flagged.sum()) if flagged.any() else 1.0
    recall = hits / int(true.sum()) if true.any() else 1.0
    return precision, recall


def _flags(values, name):
    """Flags as an array of bool; a sparse matrix has False where it stores nothing."""
    flags = values.toarray() if sparse.issparse(values) else np.asarray(values)
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{name} must hold True and False (or 1 and 0), got values of type {flags.dtype}.")
    return flags.astype(bool)


def subspace_angle(A, B):
    """Compute the largest principal angle between the column spaces of two matrices, in radians.

    Parameters
    ----------
    A : array-like of shape (n, k)
        Matrix whose columns span the first space.
    B : array-like of shape (n, l)
        Matrix whose columns span the second space.

    Returns
    -------
    angle : float
        Angle from 0 (one space contains the other) to pi / 2.

    Raises
    ------
    ValueError
        If the numbers of rows differ, an entry is not finite, or all are zero.

    See Also
    --------
    relative_recovery_error : Error of a whole matrix.
    scipy.linalg.subspace_angles : All principal angles.

    Examples
    --------
    >>> from sklearn_robustlr.metrics import subspace_angle
    >>> round(subspace_angle([[1.0], [0.0]], [[1.0], [1.0]]), 4)
    0.7854
    """
    A = check_array(A, dtype=np.float64, input_name="A")
    B = check_array(B, dtype=np.float64, input_name="B")
    if len(A) != len(B):
        raise ValueError(f"A and B must have the same number of rows, got {len(A)} and {len(B)}.")
    for name, matrix in (("A", A), ("B", B)):
        if not matrix.any():
            raise ValueError(f"{name} must span a space, but all its entries are zero.")
    return float(np.max(subspace_angles(A, B)))


def pass_at_k(n_correct, n_trials, k):
    """Estimate, without bias, the chance that at least one of k trials succeeds, from n trials with c successes.

    The estimate is the share of the subsets of k trials that hold a success,
    ``1 - C(n - c, k) / C(n, k) = 1 - prod_{j=n-c+1..n} (1 - k / j)`` [1]_. With restarts as trials, it is the
    chance that the best of k starts recovers the matrix. The plug-in estimate ``1 - (1 - c / n)^k`` is biased.

    Parameters
    ----------
    n_correct : int or array-like of int
        Number c of successful trials, from 0 to `n_trials`.
    n_trials : int or array-like of int
        Number n of trials, at least 1.
    k : int or array-like of int
        Size k of the subsets, from 1 to `n_trials`. The three parameters are broadcast against one
        another.

    Returns
    -------
    chance : float or ndarray of float
        Chance from 0 to 1; a float if all three parameters are numbers.

    Raises
    ------
    ValueError
        If a value is not an integer or out of its range, or the shapes do not fit together.

    See Also
    --------
    sklearn_robustlr.model_selection.tune_and_report : Parameters chosen on some seeds and reported on others.

    References
    ----------
    .. [1] M. Chen et al., "Evaluating large language models trained on code", arXiv:2107.03374, 2021, section 2.1.

    Examples
    --------
    >>> from sklearn_robustlr.metrics import pass_at_k
    >>> pass_at_k(1, 4, 2)
    0.5
    >>> pass_at_k([0, 1, 4], 4, 1)
    array([0.  , 0.25, 1.  ])
    """
    given = {"n_correct": n_correct, "n_trials": n_trials, "k": k}
    for name, value in given.items():
        if np.asarray(value).dtype.kind not in "iu":
            raise ValueError(f"{name} must hold integers, got {value!r}.")
    try:
        c, n, k = np.broadcast_arrays(*given.values())
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
        raise ValueError(f"The shapes do not fit together: {shapes}.") from None
    for name, value, low, high in (("n_trials", n, 1, n), ("n_correct", c, 0, n), ("k", k, 1, n)):
        wrong = (value < low) | (value > high)
        if wrong.any():
            limit = "at least 1" if high is value else f"from {low} to n_trials = {n[wrong][0]}"
            raise ValueError(f"{name} must be {limit}, got {value[wrong][0]}.")
    missed = np.ones(c.shape)
    for i in range(int(c.max(initial=0))):
        # the factor of j = k is zero: no k failures are left, and those of smaller j do not matter
        factor = np.maximum(1.0 - k / np.maximum(n - i, 1), 0.0)
        missed *= np.where(i < c, factor, 1.0)
    chance = 1.0 - missed
    return chance if chance.ndim else float(chance)
