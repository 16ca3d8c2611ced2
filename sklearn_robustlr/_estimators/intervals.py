"""What a completed matrix is known by beside its values: standard errors, intervals, draws, chances of gross errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._fits.standard_errors import posterior_of
from .._model.likelihood import entry_log_likelihoods, row_scores
from .._model.limits import largest_error
from .._model.space import ModelSpace
from .._model.uncertainty import Spread, draws, ends_of, gross_probability, spread
from .._operators.observed import Entries
from .._rows.regression import Regression, RowSpace
from .._utils.arrays import with_single_values
from .._utils.rules import FLAG_WIDTH
from .chunks import by_chunks
from .docs import documented
from .imputer import ImputerMixin
from .matrix import Learnt, entries_told, stored_estimates
from .scores import entries_by_fold, weights_of_entries
from .validation import check_choice, check_integer, check_seed, check_share

# What may be replaced by an estimate.
REPLACE = ("outliers", "missing", "all")


class Intervals(NamedTuple):
    """Ends of intervals and the estimates that they are about, in the form of X."""

    lower: np.ndarray | sparse.csr_matrix
    upper: np.ndarray | sparse.csr_matrix
    estimate: np.ndarray | sparse.csr_matrix


@documented
class IntervalMixin(ImputerMixin):
    """Standard errors, intervals, imputations drawn at random and outliers of rows, seen or new."""

    stop_reason_: str
    undetermined_rows_: np.ndarray
    undetermined_columns_: np.ndarray
    _space: RowSpace | ModelSpace
    _posterior: ModelSpace | None
    _seen: Entries | None

    def _uncertain(self, learnt: Learnt) -> dict[str, Any]:
        """Attributes that standard errors are computed from."""
        posterior = posterior_of(learnt.seen, learnt.of_seen)
        if posterior is None:
            return {"_posterior": None, "_seen": None}
        return {"_posterior": posterior, "_seen": learnt.entries.copied()}

    def _spread(self, entries: Entries, fit: Regression, places: Entries | None = None) -> Spread:
        """Spread at all entries of rows or at some: 0 where they are exact, infinite where they are not identifiable.

        `fit` is the regression of the rows.
        """
        n, p = entries.shape
        if self._posterior is not None:
            found = spread(self._posterior, entries, places, n_jobs=self.n_jobs)
            if self._posterior.long is not None:
                most = largest_error(self._posterior)[slice(None) if places is None else places.cols]
                found = found._replace(error=np.minimum(found.error, most))
        else:
            size = (n, p) if places is None else len(places.cols)
            found = Spread(*np.full((2, *np.atleast_1d(size)), 0.0 if self.stop_reason_ == "exact" else np.inf))
        lost = np.zeros(p, dtype=bool)
        lost[self.undetermined_columns_] = True
        poor = ~self._space.is_identifiable(fit.met)
        if lost.any():  # what a row has in columns that are not known tells nothing of the others
            poor |= ~self._space.is_identifiable(np.bincount(entries.rows[~lost[entries.cols]], minlength=n))
        hopeless = poor[:, None] | lost if places is None else poor[places.rows] | lost[places.cols]
        for values in found:
            values[hopeless] = np.inf
        return found

    def _replaced(self, X: np.ndarray, entries: Entries, fit: Regression) -> np.ndarray:
        """Mask of the entries of dense rows that `replace` names."""
        check_choice("replace", self.replace, REPLACE)
        if self.replace == "all":
            return np.ones(X.shape, dtype=bool)
        missing = ~np.isfinite(X)
        return missing if self.replace == "missing" else missing | entries.mask(self._space.gross(entries, fit))

    @by_chunks
    def predict_interval(self, X, coverage=0.9):
        """Predict intervals for the value that each entry of rows, observed or missing, would have without gross error.

        They cover the uncertainty of the estimate and the noise of the column. At an observed entry, the estimate
        already uses the observed value; a value outside its interval may be a gross error. Widths are calibrated on
        held-out entries (conformal prediction), so that they do not depend on an assumed noise distribution [1]_.
        Columns whose errors are distributed differently, such as skewed ones, have widths of their own above and below
        the estimate. Above 0.95, coverage is below nominal.

        Parameters
        ----------
        {X_rows}
        coverage : float, default=0.9
            Coverage of the intervals: a probability above 0 and below 1.

        Returns
        -------
        lower, upper : ndarray or CSR matrix of shape (n_samples, n_features)
            Ends of the intervals, within `min_value` and `max_value` where these are given. They are equal where the
            fit is exact; infinite in columns that are not identifiable, and in such rows unless the fit is approximate;
            and sparse, at the stored entries, where :meth:`transform` returns sparse rows.

        Raises
        ------
        ValueError, TypeError
            If X or `coverage` is not as described, or the estimator is not fitted (NotFittedError).

        References
        ----------
        .. [1] R. J. Tibshirani, R. Foygel Barber, E. J. Candès and A. Ramdas, "Conformal prediction under covariate
           shift", NeurIPS 2019, for weighted held-out errors.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((80, 60), rank=2, observed=0.7, noise=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> lower, upper = model.predict_interval(problem.data, coverage=0.9)
        >>> bool(np.mean((lower <= problem.clean) & (problem.clean <= upper)) > 0.9)
        True
        """
        check_is_fitted(self)
        found = self._intervals(X, coverage)
        return found.lower, found.upper

    def _intervals(self, X: Any, coverage: float) -> Intervals:
        """Intervals of rows and the estimates that they are centred at."""
        coverage = check_share("coverage", coverage)
        X, entries = self._entries(X, reset=False)
        fit = self._regress(entries, residual=entries.is_sparse, threshold=self.threshold_)
        places = entries if entries.is_sparse else None
        deviation = self._spread(entries, fit, places).value
        cols = entries.cols if places is not None else slice(None)
        p, tiny = entries.shape[1], np.finfo(np.float64).tiny  # times an infinite deviation that is infinite
        off = np.ones((2, p)) if self._posterior is None else self._posterior.calibration.ends(coverage, p)
        low, high = np.minimum(off[0], -tiny), np.maximum(off[1], tiny)
        estimate = self._space.predict(fit.factors) if places is None else stored_estimates(self._space, entries, fit)
        estimate = with_single_values(estimate, self._space.seen_range, cols)
        ends = ends_of(self._posterior, estimate, (low[cols] * deviation, high[cols] * deviation), cols)
        estimate = self._held(estimate, entries, places)
        hull = np.minimum(ends.lower, estimate), np.maximum(ends.upper, estimate)
        lower, upper = (self._within_given(end, cols) for end in hull)
        return Intervals(*(in_form(values, places, X.dtype) for values in (lower, upper, estimate)))

    def log_likelihood(self, X, *, sample_weight=None):
        """Compute the mean log-likelihood of entries, each hidden from the regression of its own row.

        As in :meth:`score`, the columns are split into five folds, and the entries in each are predicted from the
        entries of the same row in the other four; the row space is not refitted. The density is the mixture of the
        averaged models' predictive distributions, with outlier components if the fit has found any. Higher is better.
        Unlike :meth:`score`, it judges the stated uncertainty along with the estimates;
        :func:`sklearn_robustlr.metrics.log_likelihood_scorer` makes a search choose by it.

        Parameters
        ----------
        {X_rows}
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts. None: each counts once.

        Returns
        -------
        log_likelihood : float
            In nats per entry, which depend on the units of the columns. Infinite where the fit is exact, minus infinity
            where the fit knows nothing of its noise.

        Raises
        ------
        ValueError
            If X or `sample_weight` is not as described, X has no observed entry to score on, or the estimator is not
            fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((80, 60), rank=2, observed=0.7, noise=0.1, random_state=0)
        >>> quiet = RobustMatrixCompletion().fit(problem.data).log_likelihood(problem.data)
        >>> problem = make_corrupted_matrix((80, 60), rank=2, observed=0.7, noise=0.3, random_state=0)
        >>> loud = RobustMatrixCompletion().fit(problem.data).log_likelihood(problem.data)
        >>> bool(quiet > loud)
        True
        """
        entries, group = entries_by_fold(self, X)
        if self._posterior is None:
            return np.inf if self.stop_reason_ == "exact" else -np.inf
        weight, stuck = weights_of_entries(entries, sample_weight), self._posterior.idle(entries)
        each = np.empty(len(entries.y))
        for fold in range(group.max() + 1):
            each[(group == fold) & ~stuck] = entry_log_likelihoods(self._posterior, entries, group == fold)
        if stuck.all():
            raise ValueError("X has no observed entry to score on, except values of stuck sensors.")
        if weight is not None and not weight[~stuck].any():
            raise ValueError("sample_weight is zero for all rows that have an entry to score on.")
        return float(np.average(each[~stuck], weights=None if weight is None else weight[~stuck]))

    def sample_imputations(self, X, n_samples=10, *, random_state=None):
        """Draw missing or replaced entries at random from their posterior predictive distribution: multiple imputation.

        Each draw is a table of its own: the loadings of columns, the coefficients of rows and the noise of inliers are
        drawn jointly. Analyse each table and pool the results by Rubin's rules [1]_: the standard errors then include
        the uncertainty of the imputation, which those of an analysis of a single filled table do not.

        Parameters
        ----------
        X : array-like of shape (n_samples_in, n_features)
            Rows, seen or new, NaN where an entry is missing. A sparse X is taken only with ``absent="zero"``.
        n_samples : int, default=10
            Number of draws.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        imputed : ndarray of shape (n_samples, n_samples_in, n_features_out)
            Tables with the columns of :meth:`transform`. The entries that `replace` names are drawn, within `min_value`
            and `max_value` where these are given; all others are bit for bit those of X. Draws agree with
            :meth:`predict_interval`: about 90 % of the draws of an entry lie in its 90 % interval. Where the fit is
            exact, or knows nothing of its noise, each table is what :meth:`transform` returns.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is not as described, or the estimator is not fitted (NotFittedError).

        References
        ----------
        .. [1] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", Wiley, 1987.

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((80, 60), rank=2, observed=0.7, noise=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> tables = model.sample_imputations(problem.data, n_samples=5, random_state=0)
        >>> tables.shape
        (5, 80, 60)
        >>> means = tables.mean(axis=(1, 2))  # an estimate of each table; its variance is that between imputations
        >>> bool(means.std() > 0)
        True
        """
        check_is_fitted(self)
        n_samples = check_integer("n_samples", n_samples, 1)
        rng = check_random_state(check_seed("random_state", random_state))
        X, entries = self._entries(X, reset=False)
        if entries.is_sparse:
            raise ValueError(
                "sample_imputations fills whole tables, but X is sparse and the entries that it does not store are "
                "missing (absent='missing'). Give a dense X, with NaN where an entry is missing."
            )
        fit = self._regress(entries, threshold=self.threshold_)
        replaced = self._replaced(X, entries, fit)
        out = np.repeat(np.asarray(X)[None], n_samples, axis=0)
        if self._posterior is None:
            out[:, replaced] = self._within_limits(self._space.predict(fit.factors))[replaced]
            return self._arranged(out, replaced)

        def hold(estimates: np.ndarray) -> np.ndarray:
            return self._held(estimates, entries)

        for table, drawn in zip(out, draws(self._posterior, entries, n_samples, rng, hold), strict=True):
            table[replaced] = self._within_given(drawn)[replaced]
        return self._arranged(out, replaced)

    @by_chunks
    def detect_outliers(self, X):
        """Flag gross errors among the observed entries of rows, by the rule of `outliers_`.

        Parameters
        ----------
        {X_rows}

        Returns
        -------
        outliers : ndarray or CSR matrix of bool, shape (n_samples, n_features)
            True where an observed entry is flagged. For the fitted matrix it equals `outliers_`, unless `entry_weight`
            was given.

        Raises
        ------
        {X_errors}

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((60, 30), rank=2, observed=0.8, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data[:40])
        >>> flags = model.detect_outliers(problem.data[40:])
        >>> bool((flags == problem.outliers[40:]).all())
        True
        """
        check_is_fitted(self)
        _, entries = self._entries(X, reset=False)
        fit = self._regress(entries, threshold=self.threshold_)
        return entries.mask(self._space.gross(entries, fit))

    @by_chunks
    def outlier_probability(self, X):
        """Compute the posterior probability of each observed entry of rows to be a gross error.

        Parameters
        ----------
        {X_rows}

        Returns
        -------
        probability : ndarray or CSR matrix of shape (n_samples, n_features)
            Probability from 0 to 1; NaN where an entry is missing. Where the fit is exact, or knows nothing of its
            noise, and in fits of a sharp rank in rows and columns that are not identifiable, it is 1 for the entries
            that :meth:`detect_outliers` flags and 0 for the others.

        Raises
        ------
        {X_errors}

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((80, 60), rank=2, noise=0.1, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> probability = model.outlier_probability(problem.data)
        >>> bool(probability[problem.outliers].mean() > 0.9), bool(probability[~problem.outliers].mean() < 0.1)
        (True, True)
        """
        check_is_fitted(self)
        X, entries = self._entries(X, reset=False)
        fit = self._regress(entries, threshold=self.threshold_)
        flags = self._space.gross(entries, fit).astype(np.float64)
        chance = flags if self._posterior is None else gross_probability(self._posterior, entries, n_jobs=self.n_jobs)
        if self._space.is_sharp:
            lost = ~self._space.is_identifiable(fit.met)[entries.rows] | np.isin(
                entries.cols, self.undetermined_columns_
            )
            chance = np.where(lost, flags, chance)
        if entries.is_sparse:
            return in_form(chance, entries, X.dtype)
        out = np.full(entries.shape, np.nan, X.dtype)
        out[entries.rows, entries.cols] = chance
        return out

    @by_chunks
    def score_samples(self, X):
        """Compute the log-likelihood of rows; rows with a low one are atypical (possible anomalies).

        The log-likelihood is that of the observed entries under the low-rank model, in which the coefficients of rows
        and the noise of inliers are normal. An entry that is flagged as a gross error has a Cauchy distribution about
        the mean of its column: it makes the row less likely, but does not mask the other entries. A row with fewer
        observed entries has fewer terms; those in `undetermined_columns_`, or in constant columns, have none.

        Parameters
        ----------
        {X_rows}

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood of each row, in nats. Averaged models count as a mixture. If the fit is exact, a noise floor
            at rounding level is used.

        Raises
        ------
        {X_errors}

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((80, 40), rank=2, noise=0.1, outliers=0.0, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> usual = model.score_samples(problem.data)
        >>> strange = problem.data[:1, ::-1]  # the same values in other columns
        >>> bool(model.score_samples(strange)[0] < usual.min())
        True
        """
        check_is_fitted(self)
        entries = entries_told(self, X)
        gross = self._space.gross(entries, self._regress(entries, threshold=self.threshold_))
        noise = np.inf if self.stop_reason_ == "undetermined" else self.threshold_ / FLAG_WIDTH
        return row_scores(self._space, entries, gross, noise)

    @property
    def mixture_weights_(self):
        """Weights of the models that an approximate fit averages, by name; "sharp" alone if the rank is sharp."""
        check_is_fitted(self)
        if not isinstance(self._space, ModelSpace):
            return {"sharp": 1.0}
        return {name: float(weight) for name, weight in zip(self._space.names, self._space.weights, strict=True)}


def in_form(values: np.ndarray, places: Entries | None, dtype: np.dtype) -> np.ndarray | sparse.csr_matrix:
    """Values of all entries as they are, those of some places as a sparse matrix, in the type of the data.

    That shares no memory with the data: what is done to it does not reach these.
    """
    values = values.astype(dtype, copy=False)
    if places is None:
        return values
    return sparse.csr_matrix((values, places.cols, places.indptr), shape=places.shape, copy=True)
