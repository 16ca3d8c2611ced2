"""RobustPCA: principal components of a matrix with missing and grossly wrong entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_array, check_is_fitted

from .._fits.components import Components, count_rows, matrix_components, principal_components, repaired_rows
from .._fits.matrix_fit import MatrixFit
from .._fits.remainder import rows_left
from .._fits.running import RunningFit
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import Regression
from .chunks import ChunkMixin, by_chunks, is_lazy
from .docs import documented
from .factor_model import FactorModelMixin
from .matrix import SeenRows
from .validation import check_components, check_flag

# Rows that a variance takes.
_FEWEST_ROWS = 2


@documented
class RobustPCA(ChunkMixin, ClassNamePrefixFeaturesOutMixin, FactorModelMixin, TransformerMixin, BaseEstimator):
    """Principal component analysis that missing entries and gross errors cannot mislead.

    The table is first repaired as by :class:`RobustMatrixCompletion` [1]_; the components are those of PCA on the
    repaired table [2]_, or on its low-rank estimate if the rank is sharp. On complete data without gross errors and
    without a sharp rank, they are the components of PCA. As with PCA, they depend on the units of the columns. The
    interface is that of :class:`sklearn.decomposition.PCA`; for standard errors, intervals and flags of new rows use
    :class:`RobustMatrixCompletion`.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        Number of components. None or "mle": all that stand out from the noise, often nearly as many as columns. An
        integer: exactly that many; if fewer stand out, the others are those of the noise of the inliers (an exact fit
        has none, and batches keep none of them: these components are any directions, with scores of zero). This saves
        time: the search for a sharp rank ends at ``2 n_components + 2`` directions, each averaged model of an
        approximate fit at 20 if that is more (so `rank_` is larger). A share above 0 and below 1: as many as explain
        that share of the variance of the matrix without its errors, or all that are found.
    whiten : bool, default=False
        Whether to divide the scores by the square root of `explained_variance_`, so that they have unit variance (of
        rows with missing or wrong entries less, where the components are those of noise).
        Scores whose variance is only rounding are not divided.
    center : bool, default=True
        Whether to subtract the mean of the repaired rows. If False, the components are those of the uncentred matrix.
    absent : {"zero", "missing"}, default="zero"
        What an entry is that a sparse X does not store: an observed zero, as PCA and TruncatedSVD of scikit-learn read
        it, or missing, as in ratings. With "zero", a sparse X is made dense, if the memory allows it, and the results
        are those of ``X.toarray()``. A stored NaN is missing in both cases. In a dense X, NaN is missing and `absent`
        has no effect.
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
    components_ : ndarray of shape (n_components, n_features)
        Principal axes, by decreasing variance. In each, the entry of the largest absolute value is positive.
    mean_ : ndarray of shape (n_features,)
        Mean of the repaired rows (zeros for ``center=False``).
    explained_variance_ : ndarray of shape (n_components,)
        Variance along each axis.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of each axis in the variance of the matrix without its gross errors.
    singular_values_ : ndarray of shape (n_components,)
        Singular values of the components: the square roots of ``(n_samples_ - 1) * explained_variance_``.
    noise_variance_ : float
        Mean variance along the directions that are not kept, as in probabilistic PCA.
    n_components_ : int
        Number of components kept.
    n_samples_ : int
        Number of rows fitted; with `sample_weight`, the sum of the weights. In an approximate fit, rows most of whose
        observed entries are outliers do not count.
    {rank_}
    {outliers_matrix}
    {scale_matrix}
    {threshold_matrix}
    {noise_scale_}
    location_ : ndarray of shape (n_features,)
        Mean of each column of the low-rank part, whether it is subtracted or not.
    {undetermined}
    {expected_error_}
    {converged_}
    {stop_reason_}
    {n_iter_}
    {history_}
    {restart_scores_}
    {n_samples_seen_}
    {features_in}

    See Also
    --------
    RobustMatrixCompletion : The repaired matrix.
    sklearn.decomposition.PCA : For complete data without gross errors.

    References
    ----------
    .. [1] J. Ma and S. Fattahi, "Global convergence of sub-gradient method for robust matrix
       recovery: small initialization, noisy measurements, and over-parameterization", Journal of
       Machine Learning Research 24(96), 2023.
    .. [2] E. J. Candès, X. Li, Y. Ma and J. Wright, "Robust principal component analysis?", Journal of the
       ACM 58(3), 2011, for the problem.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_robustlr import RobustPCA
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((90, 40), rank=3, outliers=0.2, mean=2.0, random_state=0)
    >>> robust, clean = RobustPCA().fit(problem.data), PCA(3).fit(problem.clean)
    >>> robust.n_components_
    3
    >>> bool(np.allclose(robust.explained_variance_, clean.explained_variance_))
    True
    """

    __metadata_request__fit: ClassVar = {"init": UNUSED}  # a guess is no metadata of the samples

    def __init__(
        self,
        n_components=None,
        *,
        whiten=False,
        center=True,
        absent="zero",
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
        self.n_components = n_components
        self.whiten = whiten
        self.center = center
        self.absent = absent
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
        """Find the principal components of a matrix.

        Parameters
        ----------
        {fit_matrix}

        Returns
        -------
        self : RobustPCA
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
        with self._learning(X, entries, sample_weight, init) as (result, components):
            self._set_matrix(result, **_attributes(components))
        return self

    @with_callbacks
    def fit_transform(self, X, y=None, *, sample_weight=None, entry_weight=None, init=None):
        """Fit a matrix and compute the scores of its rows.

        Same result as ``fit(X).transform(X)``, but faster. With `entry_weight` the results differ: the weights are used
        for the fitted rows here, but not in :meth:`transform`.

        Parameters
        ----------
        {fit_matrix}

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components)
            Scores, as from :meth:`transform`.

        Raises
        ------
        {fit_errors}

        Warns
        -----
        {fit_warnings}
        {undetermined_warning}

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, outliers=0.1, random_state=0)
        >>> RobustPCA(2).fit_transform(problem.data).shape
        (40, 2)
        """
        if is_lazy(X):
            self._fit_chunks(X, sample_weight=sample_weight, entry_weight=entry_weight, init=init)
            return self.transform(X)
        X, entries = self._entries(X, reset=True, entry_weight=entry_weight)
        with self._learning(X, entries, sample_weight, init) as (result, components):
            self._set_matrix(result, **_attributes(components))
        return self._whitened(self._scores(entries, result.regression), X.dtype)

    _needs_repaired_rows = True

    def _running_attributes(self, running: RunningFit, factors: np.ndarray, entries: Entries) -> dict[str, Any]:
        p = entries.shape[1]
        n_components = check_components(self.n_components, (p, p))  # of few rows there are fewer
        shape = max(int(np.ceil(running.sums.n)), 1), p
        return _attributes(running.components(n_components, self.center, shape))

    def _check_own(self) -> None:
        super()._check_own()
        check_flag("center", self.center)
        check_flag("whiten", self.whiten)

    @contextmanager
    def _learning(
        self, X: Any, entries: Entries, sample_weight: Any, init: Any
    ) -> Iterator[tuple[MatrixFit, Components]]:
        """Yield the fit of the entries of X and its components, while callbacks listen."""
        self._check_own()
        center = self.center
        rows = SeenRows.of(X, entries, sample_weight)
        n_rows = count_rows(rows.seen.shape[0], rows.seen.row_weight)
        if sample_weight is not None and n_rows < _FEWEST_ROWS:
            raise ValueError(
                f"sample_weight says how often each row counts. It sums to {n_rows:.3g}, but a variance needs at least "
                f"{_FEWEST_ROWS} rows. Multiply weights that sum to one by the number of rows."
            )
        options = replace(self._options(entries.shape, len(rows.seen.y)), may_bend=True)
        # the matrix is its own target: scores of callbacks are those of `score(X)`
        with self._listening(options, X=X, y=X) as options:
            _, found, seen, result = self._fit_matrix(rows, options, init)
            kept = {"n_components": check_components(self.n_components, entries.shape), "center": center}
            components = matrix_components(seen, result, **kept)
            yield found, components

    def _snapshot(self, left, s, right, seen=None):
        snapshot = super()._snapshot(left, s, right, seen)
        for name in ("left_", "right_"):  # they belong to the matrix before it was centred
            del snapshot[name]
        n_components = check_components(self.n_components, (len(left), len(right)))
        kept = {"n_components": n_components, "center": self.center}
        left = left if seen is None else left[seen.rows]
        return {**snapshot, **_attributes(principal_components(left, s, snapshot["_space"], **kept))}

    @property
    def _n_features_out(self):
        return self.n_components_

    @by_chunks
    def transform(self, X):
        """Compute the scores of rows on the components, each row by a robust regression of its observed entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN where an entry is missing; `absent` says what the entries are that a sparse X does not store. For
            a dask array the result is a dask array.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components)
            Where nothing is missing or corrupted, ``(X - mean_) @ components_.T`` of the low-rank part. With `whiten`
            they are divided by the square root of `explained_variance_`.

        Raises
        ------
        {X_errors}

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, outliers=0.1, random_state=0)
        >>> model = RobustPCA().fit(problem.data)
        >>> scores = model.transform(problem.data)
        >>> bool(abs(scores - (problem.clean - model.mean_) @ model.components_.T).max() < 1e-8)
        True
        """
        check_is_fitted(self)
        X, entries = self._entries(X, reset=False)
        return self._whitened(self._scores(entries), X.dtype)

    def _whitened(self, scores: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Scores in the type of the data, of unit variance with `whiten`."""
        return (scores / self._deviations if self.whiten else scores).astype(dtype, copy=False)

    def _scores(self, entries: Entries, fit: Regression | None = None) -> np.ndarray:
        """Scores of rows by their regression (None: it is made)."""
        if self._of_noise.any():
            fit = self._regress(entries, residual=True, threshold=self.threshold_)
        fit = fit or self._regress(entries)
        if self._space.is_sharp:
            scores = fit.factors @ (self._space.basis.T @ self.components_.T) - self.mean_ @ self.components_.T
            if self._of_noise.any():
                left = rows_left(entries, fit.residual, fit.beyond)
                scores[:, self._of_noise] = left @ self.components_[self._of_noise].T
            return scores
        assert isinstance(self._space, ModelSpace)
        scores = np.empty((entries.shape[0], self.n_components_))
        replaced = fit.beyond if entries.weight is None else np.ones_like(fit.beyond)  # as in the components
        for lo, hi in pairwise(entries.bounds()):  # what is observed and no outlier counts as it is
            estimates = self._space.predict(fit.factors[lo:hi])
            rows = repaired_rows(entries, self._space, estimates, replaced, lo, hi)
            scores[lo:hi] = (rows - self.mean_) @ self.components_.T
        return scores

    @property
    def _deviations(self) -> np.ndarray:
        """Standard deviations of scores; one where there is none but rounding."""
        deviations = self.singular_values_.astype(np.float64) / np.sqrt(max(self.n_samples_ - 1, 1))
        size = max(float(deviations[0]), float(np.abs(self.mean_).max()))
        return np.where(deviations > 1e3 * np.finfo(self.mean_.dtype).eps * size, deviations, 1.0)

    def inverse_transform(self, X):
        """Compute rows from their scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Scores, as from :meth:`transform`.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            ``X @ components_ + mean_``, with the scores times the square root of `explained_variance_` if `whiten`.

        Raises
        ------
        ValueError
            If X has another number of columns, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, outliers=0.1, random_state=0)
        >>> model = RobustPCA().fit(problem.data)
        >>> scores = model.transform(problem.data)
        >>> bool(abs(model.inverse_transform(scores) - problem.clean).max() < 1e-8)
        True
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if X.shape[1] != self.n_components_:
            raise ValueError(f"X must have {self.n_components_} columns, one per component, got {X.shape[1]}.")
        scores = X * self._deviations.astype(X.dtype) if self.whiten else X
        return scores @ self.components_ + self.mean_


def _attributes(components: Components) -> dict[str, Any]:
    """Fitted attributes by name."""
    return {
        "components_": components.axes,
        "n_components_": len(components.axes),
        "n_samples_": components.n_samples,
        "mean_": components.mean,
        "singular_values_": components.singular_values,
        "explained_variance_": components.variance,
        "explained_variance_ratio_": components.variance_ratio,
        "noise_variance_": components.noise_variance,
        "_of_noise": components.of_noise,
    }
