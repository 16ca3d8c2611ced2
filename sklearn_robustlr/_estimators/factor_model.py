"""What principal components say of data as a Gaussian model: its covariance, and the likelihood of rows."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._model.likelihood import row_log_likelihood
from .._operators.observed import Entries
from .._utils.rules import FLAG_WIDTH, NORMAL_MEDIAN
from .chunks import by_chunks
from .matrix import MatrixMixin, entries_told
from .weighted import check_weights

# Variance of directions without noise, in units of the largest: with zero there is no density.
_LEAST = 1e-9
# Size whose square is a number.
_SQUARED = 1e-150


class FactorModelMixin(MatrixMixin):
    """Probabilistic principal components: loadings, and noise of one variance."""

    components_: np.ndarray
    mean_: np.ndarray
    singular_values_: np.ndarray
    n_samples_: int
    scale_: float
    noise_variance_: float
    stop_reason_: str

    def get_covariance(self):
        """Compute the covariance of the data under the model.

        The components have their variances, and all other directions have that of the noise.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            ``components_.T @ diag(explained_variance_ - noise_variance_) @ components_ + noise_variance_ * I``, as in
            :class:`sklearn.decomposition.PCA`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((200, 20), rank=2, outliers=0.05, noise=0.1, random_state=0)
        >>> RobustPCA().fit(problem.data).get_covariance().shape
        (20, 20)
        """
        check_is_fitted(self)
        unit = self._unit
        with np.errstate(over="ignore", under="ignore"):  # what is too large to be a number is infinite
            return self._covariance(unit) * unit * unit

    def _covariance(self, unit: float) -> np.ndarray:
        """Covariance of data / unit."""
        loadings, noise = self._factor_model(unit)
        covariance = loadings @ loadings.T
        covariance.flat[:: len(covariance) + 1] += noise
        return covariance

    def get_precision(self):
        """Compute the inverse of the covariance of the data under the model.

        Returns
        -------
        precision : ndarray of shape (n_features, n_features)
            Inverse of the result of :meth:`get_covariance`, or its pseudo-inverse where there is no noise.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((200, 20), rank=2, outliers=0.05, noise=0.1, random_state=0)
        >>> model = RobustPCA().fit(problem.data)
        >>> bool(np.allclose(model.get_precision() @ model.get_covariance(), np.eye(20)))
        True
        """
        check_is_fitted(self)
        unit = self._unit
        loadings, noise = self._factor_model(unit)
        axes = np.linalg.qr(self.components_.T.astype(np.float64))[0]
        power = np.sum(loadings**2, axis=0) + noise
        along = np.divide(1.0, power, out=np.zeros_like(power), where=power > 0.0)
        precision = (axes * along) @ axes.T
        if noise > 0.0:
            precision += (np.eye(len(axes)) - axes @ axes.T) / noise
        with np.errstate(over="ignore", under="ignore"):
            return precision / unit / unit

    @by_chunks
    def score_samples(self, X):
        """Compute the log-likelihood of rows under the model; rows with a low one are atypical (possible anomalies).

        The observed entries of a row are normal, with the mean `mean_` and the covariance of :meth:`get_covariance`. An
        entry that is flagged as a gross error is treated separately: it has a Cauchy distribution, whose spread is the
        standard deviation of its column, so that it makes the row less likely without masking the other entries. For an
        approximate fit, if nothing is flagged or missing, the scores are those of :class:`sklearn.decomposition.PCA`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, seen or new, as for :meth:`transform`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood of the observed entries of each row, in nats, without those in `undetermined_columns_`. If
            the fit is exact, a noise floor at rounding level is used.

        Raises
        ------
        ValueError
            If X is not as described, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((200, 20), rank=2, outliers=0.0, noise=0.1, random_state=0)
        >>> model = RobustPCA().fit(problem.data)
        >>> strange = problem.data[:1] + 5.0
        >>> bool(model.score_samples(strange)[0] < model.score_samples(problem.data).min())
        True
        """
        check_is_fitted(self)
        entries = entries_told(self, X)
        fit = self._regress(entries, residual=True, threshold=self.threshold_)
        gross = self._space.gross(entries, fit)
        unit = self._unit  # squares of extreme sizes overflow
        loadings, noise = self._factor_model(unit)
        least = float(np.finfo(np.float64).eps)
        if self.stop_reason_ == "undetermined":  # nothing is known of the noise
            least = 1.0
        elif self.stop_reason_ == "exact":
            least = max(least, (self.threshold_ / unit / FLAG_WIDTH) ** 2)
        elif not np.isfinite(self.threshold_) and len(entries.y):  # of a fit on its way nothing is known of the noise
            spread = float(np.median(np.abs(fit.residual))) / NORMAL_MEDIAN
            least, gross = max(least, (spread / unit) ** 2), np.abs(fit.residual) > FLAG_WIDTH * spread
        even = Entries.of(entries.indptr, entries.cols, entries.y / unit, entries.shape)
        variances = np.full(len(loadings), max(noise, least))
        found = row_log_likelihood(even, gross, self.mean_ / unit, loadings, variances)
        return found - np.log(unit) * np.diff(entries.indptr)

    @property
    def _unit(self) -> float:
        """Standard deviation along the first component, or of the noise."""
        first = float(self.singular_values_[0]) / np.sqrt(max(self.n_samples_ - 1, 1))
        return max(first, float(self.scale_)) or 1.0

    def _factor_model(self, unit: float) -> tuple[np.ndarray, float]:
        """Loadings and the variance of the noise beside them, which together are the covariance of data / unit."""
        power = (self.singular_values_.astype(np.float64) / np.sqrt(max(self.n_samples_ - 1, 1)) / unit) ** 2
        noise = float(self.noise_variance_) / unit / unit
        if noise == 0.0 and self.scale_ > _SQUARED:  # there is none in the other directions, if there are any
            rest = len(power) < self.components_.shape[1] and power[0] > 0.0
            noise = _LEAST * float(power[0]) if rest else (float(self.scale_) / unit) ** 2
        elif not np.isfinite(noise) or noise == 0.0:  # the square of its size is no number
            noise = (float(self.scale_) / unit) ** 2
        noise = min(noise, float(power.min()))
        return self.components_.T.astype(np.float64) * np.sqrt(power - noise), noise

    def score(self, X, y=None, *, sample_weight=None):
        """Compute the mean of :meth:`score_samples`, the log-likelihood of rows under the model.

        Rows without any observed entry do not count.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, seen or new, as for :meth:`transform`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the mean. None: all are equal.

        Returns
        -------
        score : float
            Mean log-likelihood, in nats per row.

        Raises
        ------
        ValueError
            If X or `sample_weight` is not as described, X has no observed entry, or the estimator is not fitted
            (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((200, 20), rank=2, outliers=0.05, noise=0.1, random_state=0)
        >>> model = RobustPCA().fit(problem.data)
        >>> bool(model.score(problem.data) == model.score_samples(problem.data).mean())
        True
        """
        scores = self.score_samples(X)
        seen = scores != 0.0  # of a row without entries it is zero
        if not seen.any():
            raise ValueError("X has no observed entry to score on.")
        weight = None if sample_weight is None else check_weights(sample_weight, len(scores))[seen]
        return float(np.average(scores[seen], weights=weight))
