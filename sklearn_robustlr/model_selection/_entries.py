"""Entry-wise cross-validation: the entries of a matrix as rows, folds of them, and matrix estimators on them."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import BaseCrossValidator
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._estimators.base import VersionMixin
from .._estimators.ids import Ids
from .._estimators.validation import check_entries, check_integer, check_numeric, resolve_shape, with_nan
from .._estimators.weighted import robust_r2
from .._kernels.entries import deal_entries
from .._operators.observed import Entries


def to_entries(X):
    """List the observed entries of a matrix, one per row, so that scikit-learn's tools for rows work on entries.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (d1, d2)
        Matrix with NaN where an entry is missing. In a sparse matrix the stored entries are observed, zeros included,
        but a stored NaN is missing.

    Returns
    -------
    indices : ndarray of int32, shape (n_entries, 2)
        Pairs (i, j) of the row and the column of each observed entry, row by row.
    values : ndarray of shape (n_entries,)
        Values of the entries, as float64, or float32 if X is.

    Raises
    ------
    ValueError
        If X is not as described, holds text, times or an infinity, or has no observed entry.

    See Also
    --------
    EntryKFold : Splits entries into folds.
    EntryRegressor : Fits an estimator of matrices to entries.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_robustlr.model_selection import to_entries
    >>> indices, values = to_entries([[1.0, np.nan], [2.0, 3.0]])
    >>> indices.tolist(), values.tolist()
    ([[0, 0], [1, 0], [1, 1]], [1.0, 2.0, 3.0])
    """
    check_numeric(X)
    X = check_array(
        with_nan(X),
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        input_name="X",
    )
    entries = Entries(X)
    if not len(entries.y):
        raise ValueError(f"X has no observed entry: all {X.shape[0]} x {X.shape[1]} values are missing.")
    return np.column_stack([entries.rows, entries.cols]), np.array(entries.y)


def _check_width(X):
    """Check that rows are pairs."""
    if X.shape[1] != 2:
        raise ValueError(
            f"X must hold pairs (i, j) of indices, but has {X.shape[1]} columns: to_entries makes them from a matrix."
        )


def _check_indices(X, shape):
    """Rows and columns of index pairs, and the shape of the matrix, from checked input."""
    _check_width(X)
    return check_entries(X, resolve_shape(shape, 2, "entries"))


class EntryKFold(BaseCrossValidator):
    """K folds of the entries of a matrix, even in every row and in every column.

    Training and test sets differ in entries, not in rows: they judge how well an entry is predicted from the other
    entries of its row and column. The folds are random, but each takes about the same share of every row and of every
    column. With three folds or more, a row or column of at least two entries always keeps some of them in training,
    which purely random folds do not ensure. A row or column with a single entry has none in training while that entry
    is tested.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds. None: each call of `split` deals other folds.

    Raises
    ------
    ValueError, TypeError
        If `n_splits` is not an integer of at least 2.

    See Also
    --------
    to_entries : The entries of a matrix, as `split` takes them.
    EntryRegressor : Fits an estimator of matrices to entries.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_robustlr import RobustLowRankRecovery
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.model_selection import EntryKFold, to_entries
    >>> X = make_corrupted_matrix((70, 60), rank=2, observed=0.9, outliers=0.2, random_state=0).data
    >>> model = RobustLowRankRecovery(measurements="entries", shape=X.shape)
    >>> scores = cross_val_score(model, *to_entries(X), cv=EntryKFold(3, random_state=0))
    >>> bool(scores.min() > 0.999)
    True
    """

    def __init__(self, n_splits=5, *, random_state=None):
        self.n_splits = check_integer("n_splits", n_splits, 2)
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
            Number of folds.

        Examples
        --------
        >>> from sklearn_robustlr.model_selection import EntryKFold
        >>> EntryKFold(3).get_n_splits()
        3
        """
        return self.n_splits

    def split(self, X, y=None, groups=None):
        """Split the entries into training and test sets.

        Parameters
        ----------
        X : array-like of int, shape (n_entries, 2)
            Pairs (i, j) of indices, as from :func:`to_entries`, or of ids.
        y, groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Positions in X of the entries to train on and of those to test on.

        Raises
        ------
        ValueError
            If X does not hold pairs of non-negative integers, or holds fewer than there are folds.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr.model_selection import EntryKFold, to_entries
        >>> indices, values = to_entries(np.arange(12.0).reshape(4, 3))
        >>> for train, test in EntryKFold(3, random_state=0).split(indices):
        ...     print(len(train), len(test), sorted(set(indices[test, 1].tolist())))
        8 4 [0, 1, 2]
        8 4 [0, 1, 2]
        8 4 [0, 1, 2]
        """
        fold = self._deal(check_array(X, dtype="numeric"))
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def _deal(self, X):
        """Fold of each entry."""
        _check_width(X)
        rows, cols = np.ascontiguousarray(Ids.of(X).places(X).T)  # ids of any size, but no more than there are entries
        if len(X) < self.n_splits:
            raise ValueError(f"n_splits={self.n_splits} needs as many entries at least, but X has {len(X)}.")
        order = check_random_state(self.random_state).permutation(len(X))
        total = [np.bincount(index) for index in (rows, cols)]
        held = [np.zeros((len(count), self.n_splits), dtype=np.int64) for count in total]
        fold = np.empty(len(X), dtype=np.int64)
        deal_entries(order, rows, cols, *total, *held, fold)
        return fold


class EntryRegressor(VersionMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit an estimator of matrices, such as an imputer or a PCA, to entries that are given one per row.

    The entries are put into a matrix with NaN elsewhere, `estimator` fills it, and predictions are read from the filled
    matrix. Cross-validation of scikit-learn, which splits rows, thus splits entries, and any two imputers can be
    compared on entries that neither has seen. :class:`~sklearn_robustlr.RobustLowRankRecovery` takes entries itself and
    does not need this class.

    Parameters
    ----------
    estimator : estimator object
        Estimator that fills a matrix with NaN: an imputer (:class:`~sklearn_robustlr.RobustMatrixCompletion`, those of
        scikit-learn), an estimator with `inverse_transform` that takes NaN (:class:`~sklearn_robustlr.RobustPCA`), or a
        pipeline of these and of scalers. The steps of a pipeline are undone, the last one first; a step without
        `inverse_transform` must not change the units, as an imputer does not.
    shape : tuple (d1, d2) or None, default=None
        Shape of the matrix. None: the largest indices plus 1. Give the shape under cross-validation, where the largest
        index may be in the test set. For ids use :class:`~sklearn_robustlr.RobustLowRankRecovery`, which has a row only
        for those that occur.

    Attributes
    ----------
    estimator_ : estimator object
        Fitted estimator.
    shape_ : tuple (d1, d2)
        Shape of the matrix.
    filled_ : ndarray of shape (d1, d2)
        Filled matrix. Not set if `estimator` has a method `predict_entries`: that is used instead, after a fit of a
        sparse matrix, so that a large matrix is never dense.
    n_features_in_ : int
        Number of columns of X: 2.
    feature_names_in_ : ndarray of str, shape (2,)
        Names of the columns of X. Only set if X has names that are all strings.

    See Also
    --------
    to_entries : The entries of a matrix.
    EntryKFold : Folds of entries.

    Examples
    --------
    >>> from sklearn.impute import KNNImputer
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.model_selection import EntryKFold, EntryRegressor, to_entries
    >>> X = make_corrupted_matrix((70, 60), rank=2, observed=0.9, outliers=0.2, random_state=0).data
    >>> for imputer in RobustMatrixCompletion(), KNNImputer(keep_empty_features=True):
    ...     model = EntryRegressor(imputer, shape=X.shape)
    ...     scores = cross_val_score(model, *to_entries(X), cv=EntryKFold(3, random_state=0))
    ...     print(bool(scores.min() > 0.999))
    True
    False
    """

    def __init__(self, estimator, shape=None):
        self.estimator = estimator
        self.shape = shape

    def fit(self, X, y):
        """Fit the estimator to the matrix of some entries.

        Parameters
        ----------
        X : array-like of int, shape (n_entries, 2)
            Pairs (i, j) of the indices of the entries, each at most once.
        y : array-like of shape (n_entries,)
            Values of the entries, some perhaps grossly wrong.

        Returns
        -------
        self : EntryRegressor
            Fitted estimator.

        Raises
        ------
        ValueError
            If the data are not as described, or the estimator does not return a filled matrix of the same shape.
        TypeError
            If `estimator` has neither `fit_transform` nor `predict_entries`, as a regressor of rows has not.

        Examples
        --------
        >>> from sklearn.impute import KNNImputer
        >>> from sklearn_robustlr.model_selection import EntryRegressor
        >>> model = EntryRegressor(KNNImputer(n_neighbors=1)).fit([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 1.0])
        >>> model.filled_
        array([[1., 2.],
               [1., 2.]])
        """
        X, y = validate_data(self, X, y, dtype="numeric", y_numeric=True)
        rows, cols, self.shape_ = _check_indices(X, self.shape)
        y = y if y.dtype == np.float32 else y.astype(np.float64)
        with np.errstate(invalid="ignore"):
            assert_all_finite(y, input_name="y")  # objects were not looked at
        matrix = sparse.csr_matrix((y, (rows, cols)), shape=self.shape_)
        matrix.sum_duplicates()
        if matrix.nnz < len(y):
            raise ValueError(f"X must hold each pair (i, j) at most once, but {len(y) - matrix.nnz} are repeated.")
        self.estimator_ = clone(self.estimator)
        if not any(hasattr(self.estimator_, name) for name in ("predict_entries", "fit_transform")):
            raise TypeError(
                f"estimator must fill a matrix (fit_transform or predict_entries), as imputers and RobustPCA do, got "
                f"{type(self.estimator).__name__}. For a search, search over EntryRegressor itself."
            )
        self.__dict__.pop("filled_", None)  # by the estimator of another fit
        if hasattr(self.estimator_, "predict_entries"):
            if getattr(self.estimator_, "absent", None) == "zero":  # here, what is not given is not known
                self.estimator_.set_params(absent="missing")
            self.estimator_.fit(matrix)
            return self
        matrix = np.full(self.shape_, np.nan, dtype=y.dtype)
        matrix[rows, cols] = y
        filled = np.asarray(_undo(self.estimator_, self.estimator_.fit_transform(matrix)))
        if filled.shape != self.shape_:
            raise ValueError(
                f"{type(self.estimator).__name__} turned a matrix of shape {self.shape_} into one of shape "
                f"{filled.shape}. Imputers of scikit-learn drop columns without entries and may add indicators: set "
                f"keep_empty_features=True and add_indicator=False."
            )
        if np.isnan(filled).any():
            raise ValueError(
                f"{type(self.estimator).__name__} left {np.count_nonzero(np.isnan(filled))} entries missing: it must "
                f"fill the matrix, as imputers do."
            )
        self.filled_ = filled
        return self

    def predict(self, X):
        """Predict entries.

        Parameters
        ----------
        X : array-like of int, shape (n_entries, 2)
            Pairs (i, j) of the indices of the entries.

        Returns
        -------
        y : ndarray of shape (n_entries,)
            Predictions.

        Raises
        ------
        ValueError
            If X is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn.impute import KNNImputer
        >>> from sklearn_robustlr.model_selection import EntryRegressor
        >>> model = EntryRegressor(KNNImputer(n_neighbors=1)).fit([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 1.0])
        >>> model.predict([[1, 1]])
        array([2.])
        """
        check_is_fitted(self)
        rows, cols, _ = _check_indices(validate_data(self, X, reset=False, dtype="numeric"), self.shape_)
        if hasattr(self.estimator_, "predict_entries"):
            return self.estimator_.predict_entries(rows, cols)
        return self.filled_[rows, cols]

    def score(self, X, y):
        """Compute the robust R2 of the predictions, which a minority of corrupted held-out entries cannot move far.

        Parameters
        ----------
        X : array-like of int, shape (n_entries, 2)
            Pairs (i, j) of the indices of the entries.
        y : array-like of shape (n_entries,)
            Values of the entries.

        Returns
        -------
        score : float
            Robust R2, at most 1; see :func:`sklearn_robustlr.metrics.robust_r2_score`.

        Raises
        ------
        ValueError
            If X or y is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn.impute import KNNImputer
        >>> from sklearn_robustlr.model_selection import EntryRegressor
        >>> model = EntryRegressor(KNNImputer(n_neighbors=1)).fit([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 1.0])
        >>> model.score([[0, 0], [0, 1], [1, 0]], [1.0, 2.0, 1.0])
        1.0
        """
        return robust_r2(y, self.predict(X))


def _undo(estimator, X):
    """Bring the output of an estimator back to the units of its input."""
    if isinstance(estimator, Pipeline):
        for step in reversed(estimator.named_steps.values()):
            X = _undo(step, X)
    elif hasattr(estimator, "inverse_transform") and not isinstance(
        estimator, SimpleImputer
    ):  # it would take the values out again
        X = estimator.inverse_transform(X)
    return X
