"""RobustLowRankRecovery: a low-rank matrix from linear measurements, some of them grossly wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.callback import with_callbacks
from sklearn.utils import assert_all_finite
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from .._fits.blocks import start_from_block
from .._fits.copies import start_from_copies
from .._fits.lines import lines_again
from .._fits.measurements import fit_measurements
from .._fits.tangent_errors import Determined
from .._operators.entries import EntryMeasurements
from .._utils.values import Factors
from .base import FitMixin, warn_of_open
from .docs import documented
from .ids import Ids, take
from .seen import SeenMeasurements
from .validation import (
    MEASUREMENTS,
    check_choice,
    check_entries,
    check_flag,
    check_init,
    check_numeric,
    check_unmasked,
    make_measurements_object,
    resolve_shape,
)
from .weighted import robust_r2


@documented
class RobustLowRankRecovery(FitMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, RegressorMixin, BaseEstimator):
    """Recover a low-rank matrix from linear measurements with gross errors (robust trace regression).

    The model is ``y_i = <A_i, M> + e_i``, where the matrix M (d1 x d2) has a low, unknown rank. The error e_i is zero
    or noise, and for a share of the measurements anything at all. The rank is first estimated by a sub-gradient method
    on the l1 loss [1]_, then chosen by comparing fits of neighbouring ranks [2]_. Gauss-Newton steps on the inliers
    refine the fit: to machine precision without noise, otherwise close to least squares on the inliers alone. Rows with
    few entries are shrunk towards the others. There is no intercept.

    Parameters
    ----------
    rank : int or None, default=None
        Upper bound for the rank. None: the rank is found without a bound.
    measurements : {"matrix", "rank_one", "entries"}, default="matrix"
        What a row of X is. "matrix": a flattened d1 x d2 matrix A_i (dense or sparse rows). "rank_one": ``[a, b]``,
        which stands for ``A_i = a b^T``. "entries": a pair (i, j), for which y is the entry (i, j) of the matrix
        (matrix completion). Equal values of a repeated pair are merged into one, with their number as weight.
    shape : tuple (d1, d2) or None, default=None
        Shape of the matrix. None: for "matrix", the number of features divided as squarely as possible; for "rank_one",
        two equal halves; for "entries", one row for each i that occurs and one column for each j. The i and j are then
        ids: any non-negative integers, such as those of users and items (see `row_ids_`). If a shape is given, they are
        indices from 0.
    symmetric : bool, default=False
        Whether the matrix is symmetric positive semi-definite, M = U U^T, as in [1]_.
    {n_init}
    {random_state}
    {n_jobs}
    {max_iter}
    {warm_start}
    {verbose}
    {checkpoint}
    {init_scale}
    {step_size}
    {tol}
    {polish}

    Attributes
    ----------
    {rank_}
    singular_values_ : ndarray of shape (n_components,)
        Singular values of the estimate, largest first.
    left_ : ndarray of shape (d1, n_components)
        Left singular vectors of the estimate.
    right_ : ndarray of shape (d2, n_components)
        Right singular vectors of the estimate.
    matrix_ : ndarray of shape (d1, d2)
        The estimate, computed on demand.
    coef_ : ndarray of shape (n_features,)
        The estimate, flattened: the coefficients of the features. Only for ``measurements="matrix"``.
    shape_ : tuple (d1, d2)
        Shape of the estimate.
    row_ids_, column_ids_ : ndarray of int64, shapes (d1,) and (d2,), or None
        For "entries" without a `shape`, the ids of the rows of `left_` and of `right_`: those that occur in X, sorted
        (with `symmetric`, those that occur in either column of X). Otherwise None.
    undetermined_rows_, undetermined_columns_ : ndarray of int
        Rows and columns most of whose entries the inliers do not determine. With "entries", listed for exact fits only.
    outliers_ : ndarray of bool, shape (n_samples,)
        True for measurements flagged as gross errors: their residual is beyond `threshold_`.
    {scale_}
    {threshold_}
    {converged_}
    {stop_reason_}
    {n_iter_}
    {history_}
    {restart_scores_}
    {features_in}

    See Also
    --------
    sklearn_robustlr.datasets.make_measurements : Problems with known truth.

    References
    ----------
    .. [1] J. Ma and S. Fattahi, "Global convergence of sub-gradient method for robust matrix
       recovery: small initialization, noisy measurements, and over-parameterization", Journal of
       Machine Learning Research 24(96), 2023, algorithm 1.
    .. [2] T. Tong, C. Ma and Y. Chi, "Low-rank matrix recovery with scaled subgradient methods: fast and robust
       convergence without the condition number", IEEE Transactions on Signal Processing 69, 2021.

    Examples
    --------
    >>> from sklearn_robustlr import RobustLowRankRecovery
    >>> from sklearn_robustlr.datasets import make_measurements
    >>> problem = make_measurements(shape=(20, 15), rank=2, outliers=0.2, random_state=0)
    >>> model = RobustLowRankRecovery(shape=(20, 15)).fit(problem.data, problem.target)
    >>> model.rank_, model.converged_, model.coef_.shape
    (2, True, (300,))
    >>> bool(abs(model.matrix_ - problem.coef).max() < 1e-8)
    True
    """

    row_ids_: Any
    column_ids_: Any
    __metadata_request__fit: ClassVar = {"init": UNUSED}  # a guess is no metadata of the samples
    __metadata_request__predict: ClassVar = {"return_std": UNUSED}

    def __init__(
        self,
        rank=None,
        *,
        measurements="matrix",
        shape=None,
        symmetric=False,
        n_init=1,
        random_state=None,
        n_jobs=None,
        max_iter=60_000,
        warm_start=False,
        verbose=0,
        checkpoint=None,
        init_scale=1e-3,
        step_size="auto",
        tol=1e-4,
        polish=True,
    ):
        self.rank = rank
        self.measurements = measurements
        self.shape = shape
        self.symmetric = symmetric
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.init_scale = init_scale
        self.step_size = step_size
        self.tol = tol
        self.polish = polish

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.measurements == "matrix"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validate(self, X, *, y=None, reset=False):
        kind = check_choice("measurements", self.measurements, MEASUREMENTS)
        dtype = "numeric" if kind == "entries" else [np.float64, np.float32]
        options = {"accept_sparse": "csr" if kind == "matrix" else False, "order": "C", "dtype": dtype}
        check_unmasked(X=X, y=y)
        check_numeric(X)
        check_numeric(y, "y")
        with np.errstate(invalid="ignore"):  # its sums of the values are inf - inf where they are of extreme size
            if not reset:
                return validate_data(self, X, reset=False, **options)
            X, y = validate_data(self, X, y, y_numeric=True, **options)
        target = X.dtype if kind != "entries" else y.dtype if y.dtype == np.float32 else np.float64
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.ascontiguousarray(y, dtype=target)
            assert_all_finite(y, input_name="y")  # objects were not looked at, nor what the type of X does not hold
        return X, y

    @with_callbacks
    def fit(self, X, y, sample_weight=None, *, init=None):
        """Fit a low-rank matrix to measurements.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Measurements, as `measurements` says; float32 is kept. Sparse only for "matrix".
        y : array-like of shape (n_samples,)
            Values of the measurements, some perhaps grossly wrong.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weight of each measurement: its inverse variance, if known. A measurement of weight 0 is ignored. Only
            ratios matter. The weights are used in the final least squares on the inliers, not in the choice of the rank
            or of the outliers. They have no effect on an exact fit. None: all have the same weight.
        init : pair of array-like of shape (d1, k) and (d2, k), or None, default=None
            Factors L and R of a first guess ``L R^T`` close to the matrix. If the fit from there cannot be trusted, it
            starts from scratch. None: with `warm_start`, the result of the last fit, otherwise the default start.

        Returns
        -------
        self : RobustLowRankRecovery
            Fitted estimator.

        Raises
        ------
        {fit_errors}

        Warns
        -----
        {fit_warnings}
        UserWarning
            If the measurements do not determine most entries of some rows or columns of the matrix.
        """
        X, y = self._validate(X, y=y, reset=True)
        symmetric = check_flag("symmetric", self.symmetric)
        shape = resolve_shape(self.shape, X.shape[1], self.measurements)
        seen = SeenMeasurements.of(X, y, shape, self.measurements, symmetric=symmetric, sample_weight=sample_weight)
        operator, weight, names = seen.operator, seen.weight, seen.ids or (None, None)
        options = self._options(operator.shape, operator.size, symmetric=symmetric)
        start = None if init is None else check_init(init, operator.shape, operator.dtype)
        again = init is None and self.warm_start and getattr(self, "shape_", None) == operator.shape
        if again and all(map(np.array_equal, (self.row_ids_, self.column_ids_), names)):  # type: ignore[arg-type]
            start = Factors(self.left_ * self.singular_values_, self.right_)
        known: dict[str, Any] = {"shape_": operator.shape, "row_ids_": names[0], "column_ids_": names[1]}
        with self._listening(options, known=known, X=X, y=y) as options:
            if start is None and isinstance(operator, EntryMeasurements) and self.n_init == 1 and not symmetric:
                copied = None if seen.copies is None else start_from_copies(seen.copies, options)
                start = copied or start_from_block(operator.first_of_each(), replace(options, report=None))
            found = lines_again(operator, fit_measurements(operator, options, start), weight)
            fit, errors, *lost = Determined.of(operator, found, symmetric=symmetric, weight=weight)
            own = known | {"left_": fit.left, "right_": fit.right, "_errors": errors}
            own |= {"undetermined_rows_": lost[0], "undetermined_columns_": lost[1]}
            self._set_fitted(fit, **own)
        fewer = len(seen.sample) < len(y)  # than there are
        self.outliers_ = np.abs(self._predicted(X) - y) > fit.threshold if fewer else np.empty(len(y), dtype=bool)
        self.outliers_[seen.sample] = fit.outliers
        because = "too few inliers tell of most entries, which have infinite standard errors"
        warn_of_open(*lost, names=names, of="the matrix", because=because)
        return self

    def _snapshot(self, left, s, right, seen=None):
        """Attributes of an estimator that predicts from these singular triplets."""
        return {"left_": left, "singular_values_": s, "right_": right, "rank_": len(s)}

    @property
    def matrix_(self):
        """Recovered matrix of shape `shape_`, computed from the factors on demand."""
        check_is_fitted(self)
        return (self.left_ * self.singular_values_) @ self.right_.T

    @property
    def coef_(self):
        """Coefficients of the features: `matrix_`, flattened; for ``measurements="matrix"`` only."""
        if self.measurements != "matrix":
            raise AttributeError(f"coef_ needs measurements='matrix', got {self.measurements!r}: use matrix_ instead.")
        return self.matrix_.ravel()

    @property
    def _n_features_out(self):
        return len(self.singular_values_)

    def transform(self, X):
        """Compute the features ``u_k^T A_i v_k`` of measurements in the singular bases of the estimate.

        Parameters
        ----------
        {X_measurements}

        Returns
        -------
        features : ndarray of shape (n_samples, n_components)
            Features; their product with `singular_values_` is ``predict(X)``.

        Raises
        ------
        {X_errors}

        Examples
        --------
        >>> from sklearn_robustlr import RobustLowRankRecovery
        >>> from sklearn_robustlr.datasets import make_measurements
        >>> problem = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=0)
        >>> model = RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
        >>> features = model.transform(problem.data)
        >>> features.shape
        (240, 2)
        >>> bool(abs(features @ model.singular_values_ - model.predict(problem.data)).max() < 1e-10)
        True
        """
        check_is_fitted(self)
        return self._features(self._validate(X))

    def _features(self, X):
        left, right = self.left_, self.right_
        if self.measurements == "entries":
            if self.row_ids_ is None:
                rows, cols, _ = check_entries(X, self.shape_)
            else:
                rows, cols = Ids(self.row_ids_, self.column_ids_).places(X).T
            return take(left, rows) * take(right, cols)
        if self.measurements == "rank_one":
            return (X[:, : self.shape_[0]] @ left) * (X[:, self.shape_[0] :] @ right)
        k = left.shape[1]
        atoms = np.stack([np.outer(left[:, c], right[:, c]).ravel() for c in range(k)], axis=1)
        features = X @ atoms
        return features.toarray() if sparse.issparse(features) else features

    def predict(self, X, return_std=False):
        """Predict the values of measurements, ``<A_i, matrix_>``.

        Where rows have ids, a row that :meth:`fit` has not seen is predicted as a typical row, whose coefficients are
        the medians of those of all rows (of `left_`): for a new user, what is usual for the item. The same holds for
        columns. ``np.isin(X[:, 0], model.row_ids_)`` shows which rows are known. A negative id, such as
        ``OrdinalEncoder(unknown_value=-1)`` gives to what it has not seen, is always unknown.

        Parameters
        ----------
        {X_measurements}
        return_std : bool, default=False
            Whether to return the standard errors of the predictions too.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predictions.
        std : ndarray of shape (n_samples,)
            Only with ``return_std=True``. Standard errors of ``<A_i, matrix_>``, from the covariance of a least-squares
            fit of both factors to the inliers, and an allowance for directions too weak to be detected. They leave out
            the noise of a single measurement, which is `scale_`. 0 where the fit is exact, infinite where nothing is
            known.

        Raises
        ------
        ValueError, TypeError
            If X or `return_std` is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustLowRankRecovery
        >>> from sklearn_robustlr.datasets import make_measurements
        >>> problem = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=0)
        >>> model = RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
        >>> bool(abs(model.predict(problem.data) - problem.clean_target).max() < 1e-8)
        True
        """
        check_is_fitted(self)
        X = self._validate(X)
        prediction = self._predicted(X)
        if not check_flag("return_std", return_std):
            return prediction
        return prediction, self._deviations(X).astype(prediction.dtype)

    def _predicted(self, X):
        """Predictions of checked measurements."""
        whole = self.measurements == "matrix"  # one product, whatever the number of components
        return X @ self.coef_ if whole else self._features(X) @ self.singular_values_

    def _deviations(self, X):
        """Standard errors of predictions; infinite where nothing is known of what they depend on."""
        nothing = self.stop_reason_ == "exact" and self._errors is None  # the matrix is zero
        std = np.full(X.shape[0], 0.0 if nothing else np.inf)
        if self.measurements == "entries" and self.row_ids_ is not None:
            X = Ids(self.row_ids_, self.column_ids_).places(X)
        known = (X >= 0).all(axis=1) if self.measurements == "entries" else np.ones(len(std), dtype=bool)
        std[~known] = np.inf
        if self._errors is not None and known.any():
            y = np.zeros(int(known.sum()), self.left_.dtype)
            operator, order = make_measurements_object(X[known], y, self.shape_, self.measurements)
            index = np.flatnonzero(known)
            std[index if order is None else index[order]] = self._errors.deviations(operator)
        return std

    def score(self, X, y, sample_weight=None):
        """Compute the robust R2 of the predictions p, ``1 - (median|y - p| / median|y - median y|)^2``.

        Held-out targets are corrupted too, but fewer than half of them cannot move the score far.

        Parameters
        ----------
        {X_measurements}
        y : array-like of shape (n_samples,)
            Values of the measurements.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each measurement counts in the medians. None: each counts once.

        Returns
        -------
        score : float
            Robust R2, at most 1.

        Raises
        ------
        ValueError
            If X, y or `sample_weight` is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustLowRankRecovery
        >>> from sklearn_robustlr.datasets import make_measurements
        >>> problem = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=0)
        >>> model = RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
        >>> round(model.score(problem.data, problem.target), 6)
        1.0
        """
        return robust_r2(y, self.predict(X), sample_weight)
