"""RobustPCA: principal components of a matrix with missing and grossly wrong entries."""

from __future__ import annotations

from copy import copy
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_array, check_is_fitted

from ._factors import product_svd
from ._matrices import MatrixMixin
from ._rank import EDGES
from ._validation import check_flag


class RobustPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MatrixMixin, BaseEstimator):
    """Principal component analysis that holes and gross errors in single entries cannot mislead.

    The low-rank part of the matrix, mean included, is found first, as by :class:`RobustMatrixCompletion`;
    its ordinary principal components are then those of the matrix without the errors. The number of components is
    that of the low-rank part, found, unless fewer are asked for. The interface is that of
    :class:`sklearn.decomposition.PCA`.

    Parameters
    ----------
    n_components : int or None, default=None
        Largest number of components to keep. None: all that are found. Where fewer than asked for stand out of the
        noise, fewer are kept (see `n_components_`). The fit looks at up to ``2 n_components + 2`` directions, so that
        structure just beyond those kept is not taken for errors.
    center : bool, default=True
        Whether to subtract the mean of the repaired rows. False: components of the matrix as it is.
    init_scale : float, default=1e-3
        Size of the start relative to the data, from 1e-15 to 10. Smaller is safer and slower.
    step_size : {"auto", "polyak", "geometric", "constant"}, default="auto"
        Step rule of the sub-gradient method; see :class:`RobustLowRankRecovery`.
    max_iter : int, default=300
        Largest number of sub-gradient iterations in a run of the over-parameterised stage.
    tol : float, default=1e-4
        That stage also ends where the 0.4 quantile of the residuals is below `tol` times that of the entries.
    polish : bool, default=True
        False: stop after the over-parameterised stage.
    n_init : int, default=1
        Number of starts: the plain one, then perturbed ones and ones made from half of the data. They race on nine
        tenths of the data, the rest tells which half goes on; the winner is fitted to all. None but the first is
        made where that one comes, from a block of a large matrix, to a fit that is to be trusted.
    n_jobs : int or None, default=None
        Threads over starts and over blocks of rows. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Perturbs the starts after the first.
    warm_start : bool, default=False
        True: a second `fit` begins at the result of the first, which saves most of the work on similar data; where
        that leads to no fit to be trusted, it begins afresh.
    verbose : int, default=0
        1: print a line on each start.
    checkpoint : str, path or None, default=None
        Folder in which the stages of a long fit are kept until it is done: where it was interrupted, a fit of the same
        data with the same parameters goes on after the last of them, to the same bits. See the user guide.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Principal axes, by decreasing variance; the largest entry of each is positive.
    mean_ : ndarray of shape (n_features,)
        Mean of the repaired rows (zeros for ``center=False``).
    explained_variance_ : ndarray of shape (n_components,)
        Variance along each axis.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Its share of the variance of the matrix without its gross errors.
    singular_values_ : ndarray of shape (n_components,)
        Singular values of the centred low-rank part.
    noise_variance_ : float
        Mean variance along the directions that are not kept, as in probabilistic PCA.
    n_components_ : int
        Number of components kept.
    n_samples_ : int
        Number of rows fitted.
    rank_ : int
        Rank found, of the matrix as it is, mean included.
    outliers_ : ndarray or CSR matrix of bool, shape (n_samples, n_features)
        Observed entries of the fitted matrix flagged as gross errors: residual beyond `threshold_`.
    scale_ : float
        Standard deviation of the noise on sound entries.
    threshold_ : float
        Residual beyond which an entry is flagged, 3.5 times `scale_` (5 where the residuals are heavy-tailed).
    location_ : ndarray of shape (n_features,)
        Mean of the columns of the low-rank part, whether it is subtracted or not.
    undetermined_rows_ : ndarray of int
        Rows with too few sound entries in columns that are determined themselves, or nearly as many that have the
        opposite sign; estimated from what they have and the distribution of other rows.
    undetermined_columns_ : ndarray of int
        The same for columns.
    converged_ : bool
        Whether the fit is to be trusted; if not, a ConvergenceWarning has said why.
    stop_reason_ : str
        Why it stopped, or what is wrong.
    n_iter_ : int
        Iterations of the over-parameterised stage.
    history_ : dict of ndarray
        As in :class:`RobustLowRankRecovery`.
    restart_scores_ : ndarray of shape (n_init,)
        Minus the 0.4 quantile of the residuals of data that the start has not seen (of all, for a single start), where
        it was stopped; NaN where it was not made. The highest was chosen.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where it had any.

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

    __metadata_request__fit: ClassVar = {"start": UNUSED}  # a guess is no metadata of the samples

    def __init__(
        self,
        n_components=None,
        *,
        center=True,
        init_scale=1e-3,
        step_size="auto",
        max_iter=300,
        tol=1e-4,
        polish=True,
        n_init=1,
        n_jobs=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.center = center
        self.init_scale = init_scale
        self.step_size = step_size
        self.max_iter = max_iter
        self.tol = tol
        self.polish = polish
        self.n_init = n_init
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X, y=None, *, start=None):
        """Find the principal components of a matrix.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Matrix with NaN where missing; float32 is kept. Of a sparse matrix the stored entries are observed,
            zeros among them, and a stored NaN is missing.
        y : None
            Ignored.
        start : pair of array-like of shape (n_samples, k) and (n_features, k), or None, default=None
            Factors L and R of a first guess ``L R^T``, close to what is looked for: where it leads to no fit to be
            trusted, the fit begins afresh. None: the row space of the last fit with `warm_start` and as many columns,
            else the tiny start.

        Returns
        -------
        self : RobustPCA
            Fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are not as described; the message names what was given and what is
            allowed.
        MemoryError
            If the fit would take more memory than there is; the message states the estimate.

        Warns
        -----
        ConvergenceWarning
            If the result cannot be trusted; the message says why.
        UserWarning
            If rows or columns have too few sound entries to be determined.
        """
        center = check_flag("center", self.center)
        X, entries = self._entries(X, reset=True)
        with self._listening(X=X, y=X):  # the matrix is its own target: scores of callbacks are those of `score(X)`
            self._fit_matrix(entries, start)
            self._set_components(center)
        return self

    def _snapshot(self, left, s, right):
        state = copy(self)
        state.__dict__.update(super()._snapshot(left, s, right))
        state._set_components(self.center)
        return state.__dict__

    def _set_components(self, center):
        """Principal components of the low-rank part, from its factors."""
        space = self._space
        n, d = len(self.left_), len(self.right_)
        left = self.left_.astype(np.float64) * self.singular_values_
        middle = space.center if center else np.zeros(left.shape[1])
        _, s, v = product_svd(left - middle, space.basis)
        if center:
            # the mean may have been a direction of its own: what is left of it is noise, or rounding
            density = max(self._n_observed / (n * d), 1e-12)
            rest = np.sqrt(EDGES / density) * self.scale_ * (np.sqrt(n) + np.sqrt(d))
            rounding = max(1e-9, 32.0 * np.finfo(self.left_.dtype).eps) * float(self.singular_values_[0])
            stands_out = s > max(rest, rounding)
            stands_out[0] |= not stands_out.any()
        else:
            stands_out = np.ones(len(s), dtype=bool)
        s, v = s[stands_out], v[:, stands_out]
        signs = np.sign(v[np.argmax(np.abs(v), axis=0), np.arange(v.shape[1])])
        v = v * np.where(signs == 0, 1, signs)
        k = len(s) if self.n_components is None else min(self.n_components, len(s))
        # in units of what is largest: squares of extreme sizes overflow, ratios do not
        unit = max(float(s[0]), self.scale_) or 1.0
        variance = (s / unit) ** 2 / max(n - 1, 1)
        noise = (self.scale_ / unit) ** 2 * max(n - self.rank_, 0) * max(d - self.rank_, 0) / max(n - 1, 1)
        rest = float(variance[k:].sum() + noise)
        total = float(variance[:k].sum()) + rest
        dtype = self.left_.dtype
        self.n_components_, self.n_samples_ = k, n
        self.components_ = np.ascontiguousarray(v[:, :k].T, dtype=dtype)
        self.mean_ = (space.basis @ middle).astype(dtype)
        self.singular_values_ = s[:k].astype(dtype)
        with np.errstate(over="ignore"):  # a variance beyond the largest number is infinite
            self.explained_variance_ = (variance[:k] * unit * unit).astype(dtype)
            rest = float(np.float64(rest) * unit * unit)
        self.explained_variance_ratio_ = (variance[:k] / (total or 1.0)).astype(dtype)
        self.noise_variance_ = rest / (min(n, d) - k) if min(n, d) > k else 0.0
        del self.left_, self.right_  # they belong to the matrix before it was centred

    @property
    def _n_features_out(self):
        return self.n_components_

    def transform(self, X):
        """Scores of rows on the components, each row regressed robustly on its observed entries, alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN or not stored where missing.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components)
            Without holes and errors, ``(X - mean_) @ components_.T`` of the low-rank part.

        Raises
        ------
        ValueError
            If X is not as described, or the estimator is not fitted (NotFittedError).

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
        factors = self._regress(entries).factors
        axes = self._space.basis.T @ self.components_.T
        scores = factors @ axes - self.mean_ @ self.components_.T
        return scores.astype(X.dtype, copy=False)

    def inverse_transform(self, X):
        """Rows from their scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Scores.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            ``X @ components_ + mean_``.

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
            raise ValueError(f"X must have {self.n_components_} columns, one a component, got {X.shape[1]}.")
        return X @ self.components_ + self.mean_
