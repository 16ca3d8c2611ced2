"""Displays of the history of a fit: its loss, its spectrum."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._estimators.docs import documented
from ._drawing import BLUE, GREEN, GREY, VERMILLION, axes, legend, log_lines


def _history(estimator):
    """History and rank of a fitted estimator of this package."""
    check_is_fitted(estimator)
    history = getattr(estimator, "history_", None)
    if not history:
        raise ValueError(
            f"This {type(estimator).__name__} has no history to draw: history_ is "
            f"{'empty, because only a location could be estimated' if history == {} else 'missing'}."
        )
    return history


def _series(name, values, length):
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (length,):
        raise ValueError(f"{name} must have one value per recorded iteration, shape ({length},), got {values.shape}.")
    return values


def _iterations(iteration):
    iteration = np.asarray(iteration)
    if iteration.ndim != 1 or not len(iteration):
        raise ValueError(f"iteration must be one-dimensional and not empty, got shape {iteration.shape}.")
    return iteration


@documented
class RecoveryDisplay:
    """Plot of the loss, the robust residual and the step of the sub-gradient method over its iterations.

    Use :meth:`from_estimator` to create it. The loss includes the outliers and therefore does not go to zero; the
    0.4 quantile of the absolute residuals ignores them.

    Parameters
    ----------
    iteration : array-like of shape (n_records,)
        Iterations that were recorded.
    loss : array-like of shape (n_records,)
        Mean absolute residual, in the units of the data.
    residual : array-like of shape (n_records,)
        0.4 quantile of the absolute residuals, in the units of the data.
    step : array-like of shape (n_records,) or None, default=None
        Length of the step, in internal units. None: it is not drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    step_ax_ : matplotlib Axes or None
        Axes of the step, with their axis on the right.
    figure_ : matplotlib Figure
        Figure of `ax_`.
    lines_ : dict of str to matplotlib Line2D
        Lines by name: "loss", "residual" and perhaps "step".

    Raises
    ------
    ValueError
        If the arrays differ in length or are empty.

    See Also
    --------
    SpectrumDisplay : Singular values over the same iterations.

    Examples
    --------
    >>> from sklearn_robustlr import RobustLowRankRecovery
    >>> from sklearn_robustlr.datasets import make_measurements
    >>> from sklearn_robustlr.plotting import RecoveryDisplay
    >>> problem = make_measurements(shape=(20, 15), rank=2, outliers=0.2, random_state=0)
    >>> model = RobustLowRankRecovery(shape=(20, 15)).fit(problem.data, problem.target)
    >>> display = RecoveryDisplay.from_estimator(model)
    >>> sorted(display.lines_)
    ['loss', 'residual', 'step']
    """

    def __init__(self, iteration, loss, residual, *, step=None):
        self.iteration = _iterations(iteration)
        self.loss = _series("loss", loss, len(self.iteration))
        self.residual = _series("residual", residual, len(self.iteration))
        self.step = None if step is None else _series("step", step, len(self.iteration))

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : RobustLowRankRecovery, RobustMatrixCompletion or RobustPCA
            Fitted estimator.
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of each line.

        Returns
        -------
        display : RecoveryDisplay
            Display of the plot.

        Raises
        ------
        ValueError
            If the estimator has no history, or is not fitted (NotFittedError).
        {no_matplotlib}
        """
        history = _history(estimator)
        display = cls(history["iteration"], history["loss"], history["residual"], step=history["step"])
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the history.

        Parameters
        ----------
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of each line.

        Returns
        -------
        display : RecoveryDisplay
            The display itself.

        Raises
        ------
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import RecoveryDisplay
        >>> display = RecoveryDisplay([0, 10], loss=[2.0, 1.0], residual=[1.0, 0.1]).plot()
        >>> sorted(display.lines_)
        ['loss', 'residual']
        """
        self.ax_ = ax = axes(ax)
        self.figure_ = ax.figure
        self.step_ax_ = None
        self.lines_ = {}
        for name, values, style in (
            ("loss", self.loss, {"color": VERMILLION, "label": "mean (the loss)"}),
            ("residual", self.residual, {"color": BLUE, "linestyle": "--", "label": "0.4 quantile"}),
        ):
            (self.lines_[name],) = log_lines(ax, self.iteration, values, style, kwargs)
        ax.set(xlabel="iteration of the sub-gradient method", ylabel="|residual| (units of the data)")
        if self.step is not None:
            self.step_ax_ = ax.twinx()
            style = {"color": GREY, "linestyle": ":", "label": "step (right axis)"}
            (self.lines_["step"],) = log_lines(self.step_ax_, self.iteration, self.step, style, kwargs)
            self.step_ax_.set_ylabel("step (internal units)", color="0.4")
            ax.set_zorder(self.step_ax_.get_zorder() + 1)  # the legend covers the step, not the step the legend
            ax.patch.set_visible(False)
        legend(ax, handles=list(self.lines_.values()))
        return self


@documented
class SpectrumDisplay:
    """Plot of the singular values over the iterations of the sub-gradient method, with the rank and the gap.

    Use :meth:`from_estimator` to create it. True directions grow one after the other; surplus directions stay near the
    size of the start.

    Parameters
    ----------
    iteration : array-like of shape (n_records,)
        Iterations that were recorded.
    spectrum : array-like of shape (n_records, n_directions)
        Singular values, largest first.
    rank : int
        Rank that was chosen, which is the number of kept directions. At least 0.

    Attributes
    ----------
    gap : float or None
        Ratio of the last kept to the first surplus singular value at the last record. Infinite if the latter is zero,
        None if all or no directions are kept.
    {axes}
    lines_ : list of matplotlib Line2D
        Lines of the directions, largest first.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `rank` is not an integer of at least 0.

    See Also
    --------
    RecoveryDisplay : Loss, residual and step over the same iterations.

    Examples
    --------
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.plotting import SpectrumDisplay
    >>> problem = make_corrupted_matrix((60, 40), rank=2, outliers=0.2, random_state=0)
    >>> display = SpectrumDisplay.from_estimator(RobustMatrixCompletion().fit(problem.data))
    >>> display.rank, display.gap > 10
    (2, True)
    """

    def __init__(self, iteration, spectrum, *, rank):
        self.iteration = _iterations(iteration)
        self.spectrum = np.asarray(spectrum, dtype=np.float64)
        if self.spectrum.ndim != 2 or len(self.spectrum) != len(self.iteration):
            raise ValueError(
                f"spectrum must have one row per recorded iteration, shape ({len(self.iteration)}, n_directions), "
                f"got {self.spectrum.shape}."
            )
        if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or rank < 0:
            raise ValueError(f"rank must be an integer of at least 0, got {rank!r}.")
        self.rank = int(rank)

    @property
    def gap(self):
        """Ratio of the last kept to the first surplus singular value at the last record."""
        last = self.spectrum[-1]
        if not 0 < self.rank < len(last):
            return None
        return float(last[self.rank - 1] / last[self.rank]) if last[self.rank] > 0 else np.inf

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the spectrum of a fitted estimator.

        Parameters
        ----------
        estimator : RobustLowRankRecovery, RobustMatrixCompletion or RobustPCA
            Fitted estimator.
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of each line.

        Returns
        -------
        display : SpectrumDisplay
            Display of the plot.

        Raises
        ------
        ValueError
            If the estimator has no history, or is not fitted (NotFittedError).
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> from sklearn_robustlr.plotting import SpectrumDisplay
        >>> problem = make_corrupted_matrix((40, 30), rank=2, outliers=0.1, random_state=0)
        >>> display = SpectrumDisplay.from_estimator(RobustMatrixCompletion().fit(problem.data))
        >>> display.ax_.get_ylabel()
        'singular value (units of the matrix)'
        """
        history = _history(estimator)
        return cls(history["iteration"], history["spectrum"], rank=estimator.rank_).plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the spectrum.

        Parameters
        ----------
        {ax}
        **kwargs : dict
            Keyword arguments for matplotlib's `plot` of each line.

        Returns
        -------
        display : SpectrumDisplay
            The display itself.

        Raises
        ------
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import SpectrumDisplay
        >>> display = SpectrumDisplay([0, 10], [[0.1, 0.1], [5.0, 0.2]], rank=1).plot()
        >>> len(display.lines_), display.gap
        (2, 25.0)
        """
        self.ax_ = ax = axes(ax)
        self.figure_ = ax.figure
        kept = min(self.rank, self.spectrum.shape[1])
        surplus = self.spectrum.shape[1] - kept
        self.lines_: list = []
        for values, color, label in (
            (self.spectrum[:, :kept], BLUE, f"{kept} kept (rank {self.rank} chosen)"),
            (self.spectrum[:, kept:], GREY, f"{surplus} surplus"),
        ):
            style = {"color": color, "linewidth": 1.2, "label": [label] + ["_"] * (values.shape[1] - 1)}
            self.lines_ += log_lines(ax, self.iteration, values, style, kwargs) if values.shape[1] else []
        if self.gap is not None and np.isfinite(self.gap):
            upper, lower = self.spectrum[-1, self.rank - 1 : self.rank + 1]
            ax.axhspan(lower, upper, color=GREEN, alpha=0.12, lw=0, label=f"gap at the end: a factor of {self.gap:.2g}")
        ax.set(xlabel="iteration of the sub-gradient method", ylabel="singular value (units of the matrix)")
        legend(ax)
        return self
