"""RobustMatrixCompletion: fill in the missing entries of a low-rank matrix and replace its gross errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from .._fits.running import RunningFit
from .._operators.observed import Entries
from .._rows.regression import Regression
from .chunks import ChunkMixin, by_chunks, is_lazy
from .docs import documented
from .intervals import REPLACE, IntervalMixin, in_form
from .matrix import Learnt, SeenRows
from .validation import check_choice, check_flag, check_limits


@documented
class RobustMatrixCompletion(ChunkMixin, IntervalMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Repair a matrix with missing and grossly wrong entries: an imputer that gross errors do not mislead.

    The inliers are the entries of a matrix of low, unknown rank, up to noise. Any number of the other entries are
    missing, and a share is anything at all. The fit is that of :class:`RobustLowRankRecovery` on the observed
    entries [1]_; a new row is regressed robustly on the row space, from its observed entries, alone.

    Parameters
    ----------
    rank : int or None, default=None
        Upper bound of the rank. None: it is found.
    replace : {"outliers", "missing", "all"}, default="outliers"
        What `transform` replaces by the low-rank estimate: missing and flagged entries; missing entries only;
        or all. What is not replaced comes back bit for bit. In rows and columns that are not identifiable nothing
        is flagged.
    absent : {"missing", "zero"}, default="missing"
        What an entry is that a sparse X does not store: missing, as in ratings, or an observed zero, as in counts and
        one-hot columns. With "zero" a sparse X is made dense (memory is asked for first) and all that is returned and
        learnt is as of ``X.toarray()``, dense arrays among it. A stored NaN is missing either way. Of a dense X, NaN
        is missing whatever this says.
    missing_values : float or None, default=nan
        What marks a missing value in X, as in :class:`sklearn.impute.SimpleImputer`. NaN and None (and the missing
        values of pandas) are missing in any case.
    min_value, max_value : float, array-like of shape (n_features,), or None, default=None
        Least and largest value that an estimate may have, for all columns or for each. What is imputed or replaced is
        clipped to them by `transform`, `predict_entries` and `fit_transform`; what is not replaced is not. None: where
        the fit is approximate, the range of what `fit` has seen of the column (widened to the other limit, where that
        is given); none where its rank is sharp, for estimates beyond the range are right then. So ``max_value=np.inf``
        lifts the bound. The fit does not depend on them, and they are read whenever estimates are made.
    add_indicator : bool, default=False
        Whether dense results have indicator columns after the others: 1 where an entry was replaced, missing or not, as
        `replace` says. They are those of `indicator_features_`.
    keep_empty_features : bool, default=False
        Whether dense results keep columns in which `fit` has seen nothing. Their estimates are zero, or what the other
        rows and columns say.
    {n_init}
    {random_state}
    {n_jobs}
    {max_iter}
    {warm_start}
    {forgetting}
    {verbose}
    {checkpoint}
    {init_scale}
    {step_size}
    {tol}
    {polish}

    Attributes
    ----------
    {rank_}
    singular_values_ : ndarray of shape (k,)
        Singular values of the low-rank estimate of the fitted matrix, largest first.
    left_ : ndarray of shape (n_samples, k)
        Its left singular vectors.
    right_ : ndarray of shape (n_features, k)
        Its right singular vectors, the row space that new rows are regressed on.
    location_ : ndarray of shape (n_features,)
        Mean of the columns of the estimate, what a row without any entry is filled with (within the limits).
    {outliers_matrix}
    {scale_}
    {threshold_}
    {undetermined}
    {expected_error_}
    mixture_weights_ : dict of str to float
        Weights of what an approximate fit averages: the "normal" noise law, the "robust" one from the leading
        directions, that from the sub-gradient descent ("robust from descent"), the best of these with more directions
        or from more rows ("grown") and the "medians" of the columns, as far as they count. ``{"sharp": 1.0}`` where
        the rank is sharp.
    {converged_}
    {stop_reason_}
    {n_iter_}
    {history_}
    {restart_scores_}
    indicator_features_ : ndarray of int
        Columns of X that have an indicator with `add_indicator`: those in which `fit` replaced something.
    {n_samples_seen_}
    {features_in}

    See Also
    --------
    RobustPCA : Principal components of such a matrix.
    RobustLowRankRecovery : General linear measurements of a matrix.

    References
    ----------
    .. [1] J. Ma and S. Fattahi, "Global convergence of sub-gradient method for robust matrix
       recovery: small initialization, noisy measurements, and over-parameterization", Journal of
       Machine Learning Research 24(96), 2023.

    Examples
    --------
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((80, 60), rank=3, observed=0.7, outliers=0.2, random_state=0)
    >>> model = RobustMatrixCompletion()
    >>> repaired = model.fit_transform(problem.data)
    >>> model.rank_, model.converged_
    (3, True)
    >>> bool(abs(repaired - problem.clean).max() < 1e-8)
    True
    """

    __metadata_request__fit: ClassVar = {"init": UNUSED}  # a guess is no metadata of the samples
    __metadata_request__transform: ClassVar = {"return_std": UNUSED}

    def __init__(
        self,
        rank=None,
        *,
        replace="outliers",
        absent="missing",
        missing_values=np.nan,
        min_value=None,
        max_value=None,
        add_indicator=False,
        keep_empty_features=False,
        n_init=1,
        random_state=None,
        n_jobs=None,
        max_iter=60_000,
        warm_start=False,
        forgetting=1.0,
        verbose=0,
        checkpoint=None,
        init_scale=1e-3,
        step_size="auto",
        tol=1e-4,
        polish=True,
    ):
        self.rank = rank
        self.replace = replace
        self.absent = absent
        self.missing_values = missing_values
        self.min_value = min_value
        self.max_value = max_value
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.n_init = n_init
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.forgetting = forgetting
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.init_scale = init_scale
        self.step_size = step_size
        self.tol = tol
        self.polish = polish

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None, entry_weight=None, init=None):
        """Learn the row space, the outliers and the noise of a matrix.

        Parameters
        ----------
        {fit_matrix}

        Returns
        -------
        self : RobustMatrixCompletion
            Fitted estimator.

        Raises
        ------
        {fit_errors}

        Warns
        -----
        {fit_warnings}
        {undetermined_warning}
        """
        if is_lazy(X):
            self._fit_chunks(X, sample_weight=sample_weight, entry_weight=entry_weight, init=init)
            return self
        X, entries = self._entries(X, reset=True, entry_weight=entry_weight)
        with self._learning(X, entries, sample_weight, init) as learnt:
            self._set_matrix(learnt.found, **self._completed(learnt))
        return self

    @with_callbacks
    def fit_transform(self, X, y=None, *, sample_weight=None, entry_weight=None, init=None):
        """Fit a matrix and repair its rows: the same as a fit and a transform of it, at less cost.

        Parameters
        ----------
        {fit_matrix}

        Returns
        -------
        repaired : ndarray or CSR matrix of shape (n_samples, n_features)
            As :meth:`transform` returns it.

        Raises
        ------
        {fit_errors}

        Warns
        -----
        {fit_warnings}
        {undetermined_warning}

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> X = np.outer(np.arange(1.0, 13.0), np.arange(1.0, 10.0))
        >>> X[2, 3], X[5, 5] = np.nan, 1000.0
        >>> RobustMatrixCompletion().fit_transform(X)[[2, 5], [3, 5]].round(6)
        array([12., 36.])
        """
        if is_lazy(X):
            self._fit_chunks(X, sample_weight=sample_weight, entry_weight=entry_weight, init=init)
            return self.transform(X)
        X, entries = self._entries(X, reset=True, entry_weight=entry_weight)
        with self._learning(X, entries, sample_weight, init) as learnt:
            self._set_matrix(learnt.found, **self._completed(learnt))
        return self._repair(X, entries, learnt.found.regression)

    def _check_own(self) -> None:
        check_choice("replace", self.replace, REPLACE)
        check_limits(self.min_value, self.max_value, self.n_features_in_)
        check_flag("add_indicator", self.add_indicator)
        check_flag("keep_empty_features", self.keep_empty_features)

    def _running_attributes(self, running: RunningFit, factors: np.ndarray, entries: Entries) -> dict[str, Any]:
        empty = np.isin(np.arange(entries.shape[1]), running.lost_columns) & (running.sums.seen < 1.0)
        columns = {
            "_is_empty": empty,
            "indicator_features_": np.flatnonzero(~empty | self.keep_empty_features),
            "_was_sparse": entries.is_sparse,
        }
        posterior, fit = running.posterior, running.fit(np.zeros(0), factors)
        uncertain = {"_posterior": posterior, "_seen": None if posterior is None else entries.copied()}
        return {"left_": fit.left, "right_": fit.right, **columns, **uncertain}

    @contextmanager
    def _learning(self, X, entries, sample_weight, init):
        """Yield the fit of the entries of X, while callbacks listen."""
        self._check_own()
        rows = SeenRows.of(X, entries, sample_weight)
        options = self._options(entries.shape, len(rows.seen.y))
        # the matrix is its own target: scores of callbacks are those of `score(X)`
        with self._listening(options, X=X, y=X) as options:
            yield self._fit_matrix(rows, options, init)

    def _completed(self, learnt: Learnt) -> dict[str, Any]:
        """Attributes of a completed matrix: its factors, its columns, and what standard errors are computed from."""
        own = {"left_": learnt.found.fit.left, "right_": learnt.found.fit.right}
        columns = self._columns_of(learnt.seen, learnt.of_seen.outliers)
        return {**own, **columns, **self._uncertain(learnt)}

    @by_chunks
    def transform(self, X, *, return_std=False):
        """Repair rows, each alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN where missing; of a sparse X `absent` says what the entries are that it does not store.
        return_std : bool, default=False
            Whether to return the standard errors of the estimates too.

        Returns
        -------
        repaired : ndarray or CSR matrix of shape (n_samples, n_features_out)
            As `replace` says; its columns are those of :meth:`get_feature_names_out`. Of a sparse X with missing
            entries (``absent="missing"``) only the stored ones are repaired, and the result is sparse, for the filled
            matrix would be dense; :meth:`predict_entries` gives any of the others. Otherwise it is dense. Estimates are
            clipped as `min_value` and `max_value` say.
        std : ndarray or CSR matrix of shape (n_samples, n_features)
            With ``return_std=True`` alone: standard error of the low-rank estimate at each entry of X, replaced or not,
            in the units of the data: the spread of the posterior, without the noise of a single value, which
            :meth:`predict_interval` has as well. 0 where the fit is exact, infinite where an entry is not identifiable.

        Raises
        ------
        ValueError
            If X is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data[:30])
        >>> repaired = model.transform(problem.data[30:])
        >>> bool(abs(repaired - problem.clean[30:]).max() < 1e-8)
        True
        """
        check_is_fitted(self)
        check_choice("replace", self.replace, REPLACE)
        X, entries = self._entries(X, reset=False)
        if not check_flag("return_std", return_std):
            return self._repair(X, entries)
        fit = self._regress(entries, residual=entries.is_sparse, threshold=self.threshold_)
        places = entries if entries.is_sparse else None
        return self._repair(X, entries, fit), in_form(self._spread(entries, fit, places).error, places, X.dtype)

    def _repair(self, X, entries: Entries, fit: Regression | None = None):
        """Repair rows by their regression, which is made where it is not given."""
        if fit is None:
            threshold = self.threshold_ if self.replace == "outliers" else None
            fit = self._regress(entries, residual=entries.is_sparse, threshold=threshold)
        if entries.is_sparse:
            values = entries.y.copy()
            flagged = self.replace == "outliers"
            replaced = self._space.gross(entries, fit) if flagged else np.full(len(values), self.replace == "all")
            values[replaced] = self._within_limits(values[replaced] + fit.residual[replaced], entries.cols[replaced])
            return in_form(values, entries, X.dtype)
        estimate = self._within_limits(self._space.predict(fit.factors))
        if self.replace == "all":
            return self._arranged(estimate.astype(X.dtype, copy=False), np.ones(X.shape, dtype=bool))
        replaced = self._replaced(X, entries, fit)
        out = np.array(X)
        out[replaced] = estimate[replaced]
        return self._arranged(out, replaced)

    def predict_entries(self, rows, columns=None, *, return_std=False):
        """Low-rank estimate of single entries of the fitted matrix, without forming it.

        Parameters
        ----------
        rows, columns : array-like of int, shape (n_entries,)
            Their indices; or, without `columns`, pairs of them, (n_entries, 2), as ``RobustLowRankRecovery.predict``
            takes them.
        return_std : bool, default=False
            Whether to return the standard errors of the estimates too.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            The estimates, clipped as those of :meth:`transform`.
        std : ndarray of shape (n_entries,)
            With ``return_std=True`` alone: their standard errors, as those of :meth:`transform`.

        Raises
        ------
        ValueError
            If the indices differ in number or lie outside the matrix, or the estimator is not fitted
            (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> values = model.predict_entries([0, 5], [3, 29])
        >>> bool(abs(values - problem.clean[[0, 5], [3, 29]]).max() < 1e-8)
        True
        """
        check_is_fitted(self)
        if not hasattr(self, "left_"):
            raise ValueError("the rows of the fit are not kept in a compressed model: use transform(rows).")
        if columns is None:
            pairs = np.asarray(rows)
            if pairs.ndim != 2 or pairs.shape[1] != 2:
                raise ValueError(f"without columns, rows must be pairs, of shape (n_entries, 2), got {pairs.shape}.")
            rows, columns = pairs.T
        index = [np.asarray(i) if np.size(i) else np.zeros(0, dtype=np.intp) for i in (rows, columns)]
        shape = len(self.left_), len(self.right_)
        for name, i, size in zip(("rows", "columns"), index, shape, strict=True):
            if i.ndim != 1 or (i.dtype.kind not in "iu" and len(i)) or len(i) != len(index[0]):
                raise ValueError(f"rows and columns must be integer arrays of one length, got {name}={i!r}.")
            if len(i) and (i.min() < 0 or i.max() >= size):
                raise ValueError(f"{name} must lie in 0 to {size - 1}, got {i.min()} to {i.max()}.")
        left = np.asarray(self.left_[index[0]])  # of a dask array the chunks that these are in
        estimates = np.einsum("ij,j,ij->i", left, self.singular_values_, self.right_[index[1]])
        estimates = self._within_limits(estimates, index[1])
        if not check_flag("return_std", return_std):
            return estimates
        return estimates, self._entry_errors(*index).astype(estimates.dtype)
