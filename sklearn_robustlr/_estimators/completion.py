"""RobustMatrixCompletion: fill in the missing entries of a low-rank matrix and replace its gross errors."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
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
from .intervals import REPLACE, in_form
from .matrix import Learnt, SeenRows, stored_estimates
from .single_entries import SingleEntryMixin
from .validation import check_choice, check_flag, check_limits


@documented
class RobustMatrixCompletion(ChunkMixin, SingleEntryMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill in the missing entries of a matrix and repair its gross errors: an imputer that outliers do not mislead.

    The data are a matrix of low, unknown rank, up to noise. Entries may be missing, and a share of the observed entries
    may have errors of any size. If there is a sharp rank, the fit is that of :class:`RobustLowRankRecovery` on the
    observed entries [1]_; otherwise several Bayesian low-rank models are averaged. A new row is regressed robustly on
    the row space, by its own observed entries alone. By default, observed values that are flagged are overwritten: see
    `replace`.

    Parameters
    ----------
    rank : int or None, default=None
        Upper bound for the rank. In an approximate fit it bounds each of the averaged models (without the mean), so
        that `rank_` may be larger. None: the rank is found without a bound.
    replace : {"outliers", "missing", "all"}, default="outliers"
        Which entries `transform` replaces by their low-rank estimates. "outliers": missing and flagged entries.
        "missing": missing entries only. "all": all entries. What is not replaced is returned bit for bit. Nothing is
        flagged in columns and rows that are not identifiable, except in rows that are unlike all others.
    absent : {"missing", "zero"}, default="missing"
        What an entry is that a sparse X does not store: missing, as in ratings, or an observed zero, as in counts and
        one-hot columns. With "zero", a sparse X is made dense, if the memory allows it, and all results and attributes
        are those of ``X.toarray()``, as dense arrays. A stored NaN is missing in both cases. In a dense X, NaN is
        missing and `absent` has no effect.
    missing_values : float or None, default=nan
        Marker of a missing value in X, as in :class:`sklearn.impute.SimpleImputer`. NaN and None (and the missing
        values of pandas) are missing in any case.
    min_value, max_value : float, array-like of shape (n_features,), or None, default=None
        Smallest and largest value that an estimate may have, for all columns or for each. `transform`, `fit_transform`
        and `predict_entries` clip imputed and replaced values to these limits, and leave all other values as they are.
        None: no limit for a converged fit of a sharp rank. Otherwise estimates are clipped to the range of the column
        in the fitted data (extreme outliers excluded; widened to the other limit if that is given). An approximate fit
        keeps estimates that lie more than three standard errors outside, except in rows most of whose observed values
        are outliers beyond the ranges. ``max_value=np.inf`` lifts that bound. The fit does not depend on the limits;
        they are read whenever estimates are made.
    add_indicator : bool, default=False
        Whether dense results have indicator columns after the others: 1 where an entry was replaced, missing or not, as
        `replace` says. There is one for each column in `indicator_features_`.
    keep_empty_features : bool, default=False
        Whether dense results keep the columns in which `fit` has seen no value. Their estimates carry no information:
        they are zero, as in scikit-learn, or follow the average of the other columns.
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
        Left singular vectors of the estimate.
    right_ : ndarray of shape (n_features, k)
        Right singular vectors of the estimate: the row space that new rows are regressed on.
    location_ : ndarray of shape (n_features,)
        Mean of each column of the estimate. For log-transformed columns, the mean is taken on the log scale and
        transformed back. `transform` fills an empty row with these values (approximate fits: nearly).
    {outliers_matrix}
    {scale_matrix}
    {threshold_matrix}
    {noise_scale_}
    {undetermined}
    {expected_error_}
    mixture_weights_ : dict of str to float
        Weights of the models that an approximate fit averages, without those of weight zero. "normal": Gaussian noise.
        "robust": Gaussian noise with outliers, started from the leading directions; "robust from descent": the same,
        started from the sub-gradient method. "full" and "robust full": columns of any covariance, without and with
        outliers, if rows are more than columns. "turned": fitted to the transposed table, if they are fewer.
        "grown": the best of these with more directions or more rows. "medians": the medians of the columns; a large
        weight means that columns hardly predict one another. ``{"sharp": 1.0}`` if the rank is sharp.
    log_features_ : ndarray of int
        Columns that are log-transformed in an approximate fit, because they are skewed and that predicts better.
    {converged_}
    {stop_reason_}
    {n_iter_}
    {history_}
    {restart_scores_}
    indicator_features_ : ndarray of int
        Columns of X that have an indicator column with `add_indicator`: those in which `fit` replaced an entry. After
        :meth:`partial_fit`, or for a dask array: all output columns, because later rows may have missing values in any.
    {n_samples_seen_}
    {features_in}

    See Also
    --------
    RobustPCA : Principal components of such a matrix.
    RobustLowRankRecovery : A low-rank matrix from linear measurements of any kind.

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
    >>> model.rank_, model.converged_, model.mixture_weights_
    (3, True, {'sharp': 1.0})
    >>> bool(abs(repaired - problem.clean).max() < 1e-8)
    True

    A real table has no sharp rank, and its fit is approximate:

    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> X = load_wine().data
    >>> X[::5, 6] = np.nan
    >>> model = RobustMatrixCompletion().fit(X)
    >>> model.converged_, model.stop_reason_
    (True, 'approximate')
    >>> bool(model.expected_error_[6] < 0.6)  # the error of hidden entries, in standard deviations of the column
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
        """Fit the row space, the outliers and the noise of a matrix.

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
        """Fit a matrix and repair its rows.

        Same result as ``fit(X).transform(X)``, but faster. With `entry_weight` the results differ: the weights are used
        for the fitted rows here, but not in :meth:`transform`.

        Parameters
        ----------
        {fit_matrix}

        Returns
        -------
        repaired : ndarray or CSR matrix of shape (n_samples, n_features_out)
            The repaired matrix, as from :meth:`transform`.

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
        super()._check_own()
        check_choice("replace", self.replace, REPLACE)
        check_limits(self.min_value, self.max_value, self.n_features_in_)
        check_flag("add_indicator", self.add_indicator)
        check_flag("keep_empty_features", self.keep_empty_features)

    def _running_attributes(self, running: RunningFit, factors: np.ndarray, entries: Entries) -> dict[str, Any]:
        empty = running.sums.seen == 0.0
        if hasattr(self, "_stream"):  # what was seen in a batch before stays a column
            empty = empty & self._is_empty
        columns = {
            "_is_empty": empty,
            "indicator_features_": np.flatnonzero(~empty | self.keep_empty_features),
            "log_features_": np.zeros(0, dtype=np.intp),
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
        options = replace(self._options(entries.shape, len(rows.seen.y)), may_bend=True)
        # the matrix is its own target: scores of callbacks are those of `score(X)`
        with self._listening(options, X=X, y=X) as options:
            yield self._fit_matrix(rows, options, init)

    def _completed(self, learnt: Learnt) -> dict[str, Any]:
        """Attributes of a completed matrix: its factors, its columns, and what standard errors are computed from."""
        own = {"left_": learnt.found.fit.left, "right_": learnt.found.fit.right}
        long = getattr(learnt.found.space, "long", None)
        own["log_features_"] = np.zeros(0, dtype=np.intp) if long is None else np.flatnonzero(long)
        columns = self._columns_of(learnt.seen, learnt.of_seen.outliers)
        return {**own, **columns, **self._uncertain(learnt)}

    @by_chunks
    def transform(self, X, *, return_std=False):
        """Repair rows, each by itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN where an entry is missing; `absent` says what the entries are that a sparse X does not store. For
            a dask array the results are dask arrays.
        return_std : bool, default=False
            Whether to return the standard errors of the estimates too.

        Returns
        -------
        repaired : ndarray or CSR matrix of shape (n_samples, n_features_out)
            The rows, in which estimates take the place of the entries that `replace` names, within `min_value` and
            `max_value`. Columns are those of :meth:`get_feature_names_out`. For a sparse X with missing entries
            (``absent="missing"``) the result is sparse and only stored entries are repaired, because the filled matrix
            would be dense; :meth:`predict_entries` estimates any other entry of the fitted matrix.
        std : ndarray or CSR matrix of shape (n_samples, n_features)
            Only with ``return_std=True``. Standard error of the low-rank estimate at each entry of X, replaced or not,
            in the units of the data: the spread of the posterior without the noise of a single value, which
            :meth:`predict_interval` includes. 0 where the fit is exact. Infinite in columns that are not identifiable,
            and in such rows unless the fit is approximate.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is not as described, or the estimator is not fitted (NotFittedError).

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
            estimate = stored_estimates(self._space, entries, fit)[replaced]
            values[replaced] = self._held(estimate, entries, entries.subset(replaced))
            return in_form(values, entries, X.dtype)
        if self.replace == "all":
            estimate = self._held(self._space.predict(fit.factors), entries)
            return self._arranged(estimate.astype(X.dtype, copy=False), np.ones(X.shape, dtype=bool))
        replaced = self._replaced(X, entries, fit)
        out, some = np.array(X), replaced.any(axis=1)
        if some.any():
            rows = np.flatnonzero(some)  # what needs no repair is not estimated
            estimate = self._space.predict(fit.factors[rows])
            estimate = self._held(estimate, entries, rows=rows, among=replaced[rows])
            out[rows] = np.where(replaced[rows], estimate, out[rows])
        return self._arranged(out, replaced)
