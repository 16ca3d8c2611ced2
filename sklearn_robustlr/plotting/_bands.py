"""Displays of uncertainty: a row or column with its intervals, and how often intervals contain the truth."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from .._estimators.docs import documented
from ._drawing import BLUE, GREY, VERMILLION, axes, legend, lines

# Nominal coverages of a calibration curve.
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def _line(name, values, length):
    values = np.asarray(values)
    if values.shape != (length,):
        raise ValueError(f"{name} must have one value per entry, shape ({length},), got {values.shape}.")
    return values


def _completion(estimator):
    if not hasattr(estimator, "predict_interval"):
        raise TypeError(f"estimator must be a RobustMatrixCompletion, got {type(estimator).__name__}.")
    return estimator


def _whole(X):
    if sparse.issparse(X):
        raise ValueError("X must be dense, with NaN where it is missing: a sparse X has no whole rows or columns.")
    return X


@documented
class IntervalDisplay:
    """Plot of a row or a column of a matrix: observed and flagged values, estimates and their intervals.

    Use :meth:`from_estimator` to create it.

    Parameters
    ----------
    observed : array-like of shape (n_entries,)
        Observed values, NaN where an entry is missing.
    lower, upper : array-like of shape (n_entries,)
        Ends of the intervals.
    estimate : array-like of shape (n_entries,)
        Estimates of the entries.
    outliers : array-like of bool, shape (n_entries,), or None, default=None
        True where a value is flagged as an outlier. None: no value is flagged.
    coverage : float or None, default=None
        Coverage of the intervals, for the legend.
    label : str, default="entry"
        Label of the horizontal axis: what the entries are.

    Attributes
    ----------
    {axes}
    line_ : matplotlib Line2D
        Line of the estimates.
    band_ : matplotlib PolyCollection
        Band of the intervals.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    See Also
    --------
    CoverageDisplay : How often intervals contain the truth.

    Examples
    --------
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.plotting import IntervalDisplay
    >>> problem = make_corrupted_matrix((80, 40), rank=2, observed=0.7, noise=0.2, random_state=0)
    >>> model = RobustMatrixCompletion().fit(problem.data)
    >>> display = IntervalDisplay.from_estimator(model, problem.data, column=3)
    >>> len(display.estimate)
    80
    """

    def __init__(self, observed, lower, upper, estimate, *, outliers=None, coverage=None, label="entry"):
        self.observed = np.asarray(observed)
        size = len(self.observed)
        self.lower, self.upper = _line("lower", lower, size), _line("upper", upper, size)
        self.estimate = _line("estimate", estimate, size)
        self.outliers = np.zeros(size, bool) if outliers is None else _line("outliers", outliers, size).astype(bool)
        self.coverage, self.label = coverage, label

    @classmethod
    def from_estimator(cls, estimator, X, *, row=None, column=None, coverage=0.9, ax=None, **kwargs):
        """Draw a row or a column of a matrix that a fitted estimator completes.

        Parameters
        ----------
        estimator : RobustMatrixCompletion
            Fitted estimator.
        X : array-like of shape (n_samples, n_features)
            Rows, seen or new, NaN where an entry is missing.
        row : int or None, default=None
            Index of the row to draw. Give a row or a column.
        column : int, str or None, default=None
            Index of the column to draw, or its name, if `fit` has seen names.
        coverage : float, default=0.9
            Coverage of the intervals, above 0 and below 1.
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of the estimates.

        Returns
        -------
        display : IntervalDisplay
            Display of the plot.

        Raises
        ------
        ValueError
            If not exactly one of `row` and `column` is given, it is not in X, X is sparse, or the estimator is not
            fitted (NotFittedError).
        TypeError
            If `row` or `column` is not of the types above, or the estimator predicts no intervals.
        {no_matplotlib}
        """
        check_is_fitted(estimator)
        if (row is None) == (column is None):
            raise ValueError(f"Give one of row and column, got row={row!r} and column={column!r}.")
        lower, upper, estimate = _completion(estimator)._intervals(_whole(X), coverage)
        axis, index = (0, row) if column is None else (1, column)
        name = "row" if column is None else "column"
        if isinstance(column, str):
            names = list(getattr(estimator, "feature_names_in_", []))
            if column not in names:
                seen = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "no names"
                raise ValueError(f"column must be one that fit has seen ({seen}), got {column!r}.")
            index = names.index(column)
        if not isinstance(index, (int, np.integer)) or isinstance(index, bool):
            raise TypeError(f"{name} must be an integer, got {index!r}.")
        if not -lower.shape[axis] <= index < lower.shape[axis]:
            raise ValueError(f"{name} must lie in 0 to {lower.shape[axis] - 1}, got {index}.")
        values, _, flags = estimator._judge_entries(X)
        parts = [np.take(part, index, axis=axis) for part in (values, lower, upper, estimate, flags)]
        label = "column" if column is None else "row"
        display = cls(*parts[:4], outliers=parts[4], coverage=coverage, label=label)
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **kwargs):
        """Draw the intervals.

        Parameters
        ----------
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of the estimates.

        Returns
        -------
        self : IntervalDisplay
            The display itself.

        Raises
        ------
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import IntervalDisplay
        >>> display = IntervalDisplay([1.0, 9.0], [0.5, 0.5], [1.5, 1.5], [1.0, 1.0], outliers=[False, True]).plot()
        >>> display.ax_.get_xlabel()
        'entry'
        """
        ax = axes(ax)
        x = np.arange(len(self.observed))
        share = "interval" if self.coverage is None else f"{self.coverage:.0%} interval"
        self.band_ = ax.fill_between(x, self.lower, self.upper, color=BLUE, alpha=0.2, linewidth=0, label=share)
        (self.line_,) = lines(ax, x, self.estimate, {"color": BLUE, "label": "estimate"}, kwargs)
        seen = np.isfinite(self.observed)
        inlier, flagged = seen & ~self.outliers, seen & self.outliers
        ax.plot(x[inlier], self.observed[inlier], ".", color="0.2", markersize=4, label="observed")
        if flagged.any():
            ax.plot(x[flagged], self.observed[flagged], "x", color=VERMILLION, label="flagged")
        ends = np.concatenate([self.lower, self.upper, self.observed[inlier]])
        ends = ends[np.isfinite(ends)]
        if len(ends) and np.ptp(ends) > 0:  # a gross error would hide the rest
            ax.set_ylim(ends.min() - 0.15 * np.ptp(ends), ends.max() + 0.15 * np.ptp(ends))
            beyond = flagged & ((self.observed < ax.get_ylim()[0]) | (self.observed > ax.get_ylim()[1]))
            edge = np.clip(self.observed[beyond], *ax.get_ylim())
            ax.plot(x[beyond], edge, "x", color=VERMILLION, clip_on=False)
        ax.set(xlabel=self.label, ylabel="value")
        legend(ax, loc="best")
        self.ax_, self.figure_ = ax, ax.figure
        return self


@documented
class CoverageDisplay:
    """Plot of the observed coverage of intervals against the nominal one.

    On the diagonal, the intervals hold what they claim. Use :meth:`from_estimator` to create the display.

    Parameters
    ----------
    nominal : array-like of shape (n_levels,)
        Nominal coverages, from 0 to 1.
    observed : array-like of shape (n_levels,)
        Shares of true values that the intervals hold, from 0 to 1.

    Attributes
    ----------
    {axes}
    line_ : matplotlib Line2D
        Line of the observed coverage.

    Raises
    ------
    ValueError
        If the arrays differ in length.

    See Also
    --------
    IntervalDisplay : The intervals of a row or a column.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.plotting import CoverageDisplay
    >>> problem = make_corrupted_matrix((80, 40), rank=2, noise=0.2, outliers=0.0, random_state=0)
    >>> hidden = np.random.RandomState(0).uniform(size=problem.data.shape) < 0.2
    >>> X = np.where(hidden, np.nan, problem.data)
    >>> display = CoverageDisplay.from_estimator(RobustMatrixCompletion().fit(X), X, problem.data)
    >>> bool(abs(display.observed - display.nominal).max() < 0.1)
    True
    """

    def __init__(self, nominal, observed):
        self.nominal = np.asarray(nominal, dtype=np.float64)
        self.observed = _line("observed", observed, len(self.nominal))

    @classmethod
    def from_estimator(cls, estimator, X, truth, *, ax=None, **kwargs):
        """Draw how often the intervals of a fitted estimator hold the values that were hidden from it.

        Parameters
        ----------
        estimator : RobustMatrixCompletion
            Fitted estimator.
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where an entry is missing.
        truth : array-like of shape (n_samples, n_features)
            The same rows with values for entries that X lacks. These entries are judged.
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot`.

        Returns
        -------
        display : CoverageDisplay
            Display of the plot.

        Raises
        ------
        ValueError
            If the shapes differ, `truth` has no value that X lacks, X is sparse, or the estimator is not fitted
            (NotFittedError).
        TypeError
            If the estimator predicts no intervals.
        {no_matplotlib}
        """
        check_is_fitted(estimator)
        values = np.asarray(truth, dtype=np.float64)
        lacking = ~np.isfinite(_completion(estimator)._judge_entries(_whole(X)).X)
        if values.shape != lacking.shape:
            raise ValueError(f"truth must have the shape of X, {lacking.shape}, got {values.shape}.")
        hidden = lacking & np.isfinite(values)
        if not hidden.any():
            raise ValueError("truth has no value that X lacks: hide some entries of X before the fit.")
        observed = []
        for level in _LEVELS:
            lower, upper = estimator.predict_interval(X, coverage=level)
            observed.append(np.mean(((lower <= values) & (values <= upper))[hidden]))
        return cls(_LEVELS, observed).plot(ax=ax, **kwargs)

    def plot(self, *, ax=None, **kwargs):
        """Draw the observed coverage.

        Parameters
        ----------
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot`.

        Returns
        -------
        self : CoverageDisplay
            The display itself.

        Raises
        ------
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import CoverageDisplay
        >>> CoverageDisplay([0.5, 0.9], [0.48, 0.91]).plot().ax_.get_ylabel()
        'observed coverage'
        """
        ax = axes(ax)
        ax.plot([0, 1], [0, 1], "--", color=GREY, label="nominal")
        style = {"marker": "o", "color": BLUE, "label": "observed"}
        (self.line_,) = lines(ax, self.nominal, self.observed, style, kwargs)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="nominal coverage", ylabel="observed coverage")
        legend(ax, loc="lower right")
        self.ax_, self.figure_ = ax, ax.figure
        return self
