"""RobustMatrixCompletion: fill the holes of a low-rank matrix and replace its gross errors."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ._matrices import MatrixMixin
from ._validation import check_choice

REPLACE = ("outliers", "missing", "all")


class RobustMatrixCompletion(OneToOneFeatureMixin, TransformerMixin, MatrixMixin, BaseEstimator):
    """Repair a matrix with missing and grossly wrong entries: an imputer that is not misled by lies.

    The sound entries are those of a matrix of low, unknown rank, up to noise; of the others, any number are
    missing and a share is anything at all. The fit is that of :class:`RobustLowRankRecovery` on the observed
    entries [1]_; a new row is regressed robustly on the row space, from its observed entries, alone.

    Parameters
    ----------
    rank : int or None, default=None
        Upper bound of the rank. None: it is found.
    replace : {"outliers", "missing", "all"}, default="outliers"
        What `transform` replaces by the low-rank estimate: missing and flagged entries; missing entries only;
        or all. What is not replaced comes back bit for bit. In rows and columns that are not determined nothing is
        flagged.
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
    rank_ : int
        Rank found (0 for a zero matrix).
    singular_values_ : ndarray of shape (k,)
        Singular values of the low-rank estimate of the fitted matrix, largest first.
    left_ : ndarray of shape (n_samples, k)
        Its left singular vectors.
    right_ : ndarray of shape (n_features, k)
        Its right singular vectors, the row space that new rows are regressed on.
    location_ : ndarray of shape (n_features,)
        Mean of the columns of the estimate, what a row without any entry is filled with.
    outliers_ : ndarray or CSR matrix of bool, shape (n_samples, n_features)
        Observed entries of the fitted matrix flagged as gross errors: residual beyond `threshold_`.
    scale_ : float
        Standard deviation of the noise on sound entries.
    threshold_ : float
        Residual beyond which an entry is flagged, 3.5 times `scale_` (5 where the residuals are heavy-tailed).
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

    __metadata_request__fit: ClassVar = {"start": UNUSED}  # a guess is no metadata of the samples

    def __init__(
        self,
        rank=None,
        *,
        replace="outliers",
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
        self.rank = rank
        self.replace = replace
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
        """Learn the row space, the outliers and the noise of a matrix.

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
        self : RobustMatrixCompletion
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
        check_choice("replace", self.replace, REPLACE)
        X, entries = self._entries(X, reset=True)
        with self._listening(X=X, y=X):  # the matrix is its own target: scores of callbacks are those of `score(X)`
            self._fit_matrix(entries, start)
        return self

    def transform(self, X):
        """Repair rows, each alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN or not stored where missing.

        Returns
        -------
        repaired : ndarray or CSR matrix of shape (n_samples, n_features)
            As `replace` says. Of a sparse X only the stored entries are repaired, for the filled matrix
            would be dense; :meth:`predict_entries` gives any of the others.

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
        threshold = self.threshold_ if self.replace == "outliers" else None
        fit = self._regress(entries, residual=entries.is_sparse, threshold=threshold)
        wrong = self._space.gross(entries, fit) if threshold is not None else None
        if entries.is_sparse:
            values = entries.y.copy()
            if self.replace != "missing":
                wrong = slice(None) if wrong is None else wrong
                values[wrong] += fit.residual[wrong]
            return sparse.csr_matrix((values, entries.cols, entries.indptr), shape=entries.shape)
        estimate = fit.factors @ self._space.basis.T
        if self.replace == "all":
            return estimate.astype(X.dtype, copy=False)
        replaced = ~np.isfinite(X)
        if wrong is not None:
            replaced |= entries.mask(wrong)
        out = np.array(X)
        out[replaced] = estimate[replaced]
        return out

    def predict_entries(self, rows, columns):
        """Low-rank estimate of single entries of the fitted matrix, without forming it.

        Parameters
        ----------
        rows, columns : array-like of int, shape (n_entries,)
            Their indices.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            The estimates.

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
        index = [np.asarray(i) for i in (rows, columns)]
        shape = len(self.left_), len(self.right_)
        for name, i, size in zip(("rows", "columns"), index, shape, strict=True):
            if i.ndim != 1 or i.dtype.kind not in "iu" or len(i) != len(index[0]):
                raise ValueError(f"rows and columns must be integer arrays of one length, got {name}={i!r}.")
            if len(i) and (i.min() < 0 or i.max() >= size):
                raise ValueError(f"{name} must lie in 0 to {size - 1}, got {i.min()} to {i.max()}.")
        return np.einsum("ij,j,ij->i", self.left_[index[0]], self.singular_values_, self.right_[index[1]])
