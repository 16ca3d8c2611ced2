"""Displays of matrices: flagged entries, and shares of success over a grid of problems."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from .._estimators.docs import documented
from .._estimators.validation import check_real
from ._drawing import BLUE, GREY, VERMILLION, axes, legend

# Cells up to which a sparse matrix is drawn as an image; beyond, only its flagged entries are drawn, as points.
_IMAGE_CELLS = 4_000_000


def _same_shape(name, values, shape):
    values = values if values is None or sparse.issparse(values) else np.asarray(values)
    if values is not None and values.shape != shape:
        raise ValueError(f"{name} must have the shape of outliers, {shape}, got {values.shape}.")
    return values


def _dense(matrix, missing):
    """A matrix with `missing` where it is not stored, if it is sparse; else itself."""
    if not sparse.issparse(matrix):
        return matrix
    coo = matrix.tocoo()
    dense = np.full(matrix.shape, missing, dtype=np.result_type(matrix.dtype, type(missing)))
    dense[coo.row, coo.col] = coo.data
    return dense


def _stored(values):
    """Values that are there, in one dimension: stored or not NaN."""
    return values.tocsr().data if sparse.issparse(values) else values[np.isfinite(values)]


def _at_stored(flags, values):
    """Flags of the values that are there."""
    if not sparse.issparse(values):
        return np.asarray(flags)[np.isfinite(values)]
    rows, cols = values.tocsr().tocoo().coords
    return np.asarray(flags.tocsr()[rows, cols]).ravel()


@documented
class OutlierDisplay:
    """Plot of the flagged entries in their matrix, or of the residuals with the threshold of the flags.

    Use :meth:`from_estimator` or :meth:`from_predictions` to create it.

    Parameters
    ----------
    outliers : {array-like, sparse matrix} of bool, shape (n_samples,) or (n_samples, n_features)
        True where a value is flagged as a gross error.
    matrix : {array-like, sparse matrix} of shape (n_samples, n_features) or None, default=None
        Data, NaN or not stored where missing.
    residual : {array-like, sparse matrix} of the shape of `outliers` or None, default=None
        Residuals, NaN or not stored where missing.
    threshold : float or None, default=None
        Residual beyond which a value is flagged. If columns have noise of their own, that of the fit is an average.

    Attributes
    ----------
    {axes}
    image_ : matplotlib AxesImage or None
        Image of the matrix, if it was drawn.

    Raises
    ------
    ValueError
        If the shapes differ.

    See Also
    --------
    sklearn_robustlr.metrics.outlier_precision_recall : Precision and recall of the flags.

    Examples
    --------
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> from sklearn_robustlr.plotting import OutlierDisplay
    >>> problem = make_corrupted_matrix((60, 40), rank=2, outliers=0.2, observed=0.8, random_state=0)
    >>> model = RobustMatrixCompletion().fit(problem.data)
    >>> display = OutlierDisplay.from_estimator(model, problem.data)
    >>> bool((display.outliers == problem.outliers).all())
    True
    """

    def __init__(self, outliers, *, matrix=None, residual=None, threshold=None):
        self.outliers = outliers if sparse.issparse(outliers) else np.asarray(outliers, dtype=bool)
        self.matrix = _same_shape("matrix", matrix, self.outliers.shape)
        self.residual = _same_shape("residual", residual, self.outliers.shape)
        self.threshold = threshold

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, kind=None, ax=None, **kwargs):
        """Draw what a fitted estimator flags in data, seen or new.

        Parameters
        ----------
        estimator : RobustLowRankRecovery, RobustMatrixCompletion or RobustPCA
            Fitted estimator.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, as for the method `fit` of the estimator.
        y : array-like of shape (n_samples,) or None, default=None
            Values of the measurements, for :class:`~sklearn_robustlr.RobustLowRankRecovery`.
        kind : {"matrix", "histogram"} or None, default=None
            As for :meth:`plot`.
        {ax}
        **kwargs : dict
            As for :meth:`plot`.

        Returns
        -------
        display : OutlierDisplay
            Display of the plot.

        Raises
        ------
        ValueError, TypeError
            If the data are not as described, or the estimator is not one of this package or not fitted.
        {no_matplotlib}
        """
        check_is_fitted(estimator)
        if hasattr(estimator, "predict"):
            if y is None:
                raise ValueError(f"{type(estimator).__name__} needs y, the values of the measurements, got None.")
            prediction = estimator.predict(X)
            return cls.from_predictions(y, prediction, threshold=estimator.threshold_, kind=kind, ax=ax, **kwargs)
        if not hasattr(estimator, "_judge_entries"):
            raise TypeError(f"estimator must be one of this package, got {type(estimator).__name__}.")
        X, residual, outliers = estimator._judge_entries(X)
        display = cls(outliers, matrix=X, residual=residual, threshold=estimator.threshold_)
        return display.plot(ax=ax, kind=kind, **kwargs)

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, threshold, kind=None, ax=None, **kwargs):
        """Draw the residuals of predictions, flagged beyond a threshold.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_features)
            Values, NaN where missing.
        y_pred : array-like of the same shape
            Predictions of the values.
        threshold : float
            Residual beyond which a value is flagged.
        kind : {"matrix", "histogram"} or None, default=None
            As for :meth:`plot`.
        {ax}
        **kwargs : dict
            As for :meth:`plot`.

        Returns
        -------
        display : OutlierDisplay
            Display of the plot.

        Raises
        ------
        ValueError, TypeError
            If the shapes differ, or `threshold` is not a number of at least 0.
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import OutlierDisplay
        >>> display = OutlierDisplay.from_predictions([1.0, 2.0, 9.0], [1.1, 2.0, 3.0], threshold=0.5)
        >>> display.outliers
        array([False, False,  True])
        """
        threshold = check_real("threshold", threshold, high=None)
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        if y_true.shape != y_pred.shape:
            raise ValueError(f"y_true and y_pred must have one shape, got {y_true.shape} and {y_pred.shape}.")
        residual = y_pred - y_true
        matrix = y_true if y_true.ndim == 2 else None
        display = cls(np.abs(residual) > threshold, matrix=matrix, residual=residual, threshold=threshold)
        return display.plot(ax=ax, kind=kind, **kwargs)

    def plot(self, ax=None, *, kind=None, **kwargs):
        """Draw the flagged entries or the residuals.

        Parameters
        ----------
        {ax}
        kind : {"matrix", "histogram"} or None, default=None
            What to draw. "matrix": the data with the flagged entries marked; of a sparse matrix with more than four
            million cells only the flagged entries, as points. "histogram": the absolute residuals, flagged ones apart,
            and the threshold. None: "matrix" if the flags are those of a matrix, otherwise "histogram".
        **kwargs : dict
            Keyword arguments for matplotlib's `imshow` of the data, or to `hist`.

        Returns
        -------
        display : OutlierDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of these, or what it draws was not given.
        {no_matplotlib}

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr.plotting import OutlierDisplay
        >>> data = np.array([[1.0, 2.0], [2.0, 40.0]])
        >>> display = OutlierDisplay(data > 10, matrix=data).plot(kind="matrix")
        >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
        ('column', 'row')
        """
        if kind not in ("matrix", "histogram", None):
            raise ValueError(f"kind must be 'matrix', 'histogram' or None, got {kind!r}.")
        is_matrix = self.outliers.ndim == 2
        if kind == "matrix" and not is_matrix:
            raise ValueError("kind='matrix' needs the flags of a matrix; those of measurements have no place in one.")
        if not (kind == "matrix" or (kind is None and is_matrix)) and self.residual is None:
            raise ValueError("kind='histogram' needs residual, which was not given.")
        self.ax_ = axes(ax)
        self.figure_ = self.ax_.figure
        self.image_ = None
        if kind == "histogram" or not is_matrix:
            self._plot_histogram(**kwargs)
        else:
            self._plot_matrix(**kwargs)
        return self

    def _plot_matrix(self, **kwargs):
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        ax, (n, d) = self.ax_, self.outliers.shape
        n_seen = n * d if self.matrix is None else len(_stored(self.matrix))
        share = self.outliers.sum() / max(n_seen, 1)
        handles = [Patch(color=VERMILLION, label=f"flagged: {share:.1%}")]
        if sparse.issparse(self.outliers) and n * d > _IMAGE_CELLS:
            rows, cols = self.outliers.nonzero()
            ax.plot(cols, rows, ",", color=VERMILLION)
            ax.set(xlim=(-0.5, d - 0.5), ylim=(n - 0.5, -0.5))
        else:
            flagged = _dense(self.outliers, False)
            if self.matrix is not None:
                values = np.ma.masked_invalid(_dense(self.matrix, np.nan).astype(np.float64))
                inlier = values[~flagged].compressed()
                low, high = (inlier.min(), inlier.max()) if len(inlier) else (None, None)
                style = {"cmap": "cividis", "vmin": low, "vmax": high, "aspect": "auto"}
                self.image_ = ax.imshow(values, **{**style, **kwargs})
                self.figure_.colorbar(self.image_, ax=ax, label="value (units of the data)")
                if values.mask.any():
                    handles.append(Patch(facecolor="white", edgecolor=GREY, label="missing"))
            overlay = np.ma.masked_where(~flagged, np.ones((n, d)))
            ax.imshow(overlay, cmap=ListedColormap([VERMILLION]), aspect=kwargs.get("aspect", "auto"))
        ax.set(xlabel="column", ylabel="row")
        # above the picture, which leaves no place for it
        legend(ax, handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)

    def _plot_histogram(self, **kwargs):
        ax = self.ax_
        size = np.abs(_stored(self.residual))
        flagged = _at_stored(self.outliers, self.residual)
        positive = size[size > 0]
        if len(positive):  # exact residuals differ by powers of ten from gross errors; a zero counts as the least
            low, high = positive.min(), positive.max()
            size = np.maximum(size, low)
            bins = np.geomspace(low, high if high > low else 2 * low, 60)
            ax.set_xscale("log")
        else:
            bins = np.linspace(0.0, 1.0, 2)
        parts = [size[~flagged], size[flagged]]
        labels = [f"not flagged: {len(parts[0])}", f"flagged: {len(parts[1])}"]
        style = {"bins": bins, "stacked": True, "color": [BLUE, VERMILLION], "label": labels}
        ax.hist(parts, **{**style, **kwargs})
        if self.threshold is not None and np.isfinite(self.threshold) and self.threshold > 0:
            ax.axvline(self.threshold, color="black", ls="--", lw=1, label=f"threshold: {self.threshold:.2g}")
        ax.set(xlabel="|residual| (units of the data)", ylabel="number of values")
        ax.margins(y=0.3)
        legend(ax)


@documented
class PhaseTransitionDisplay:
    """Map of the share of problems recovered, over the share of outliers and the number of observations.

    Use :meth:`from_predictions` to create it from recovery errors.

    Parameters
    ----------
    success : array-like of shape (n_shares, n_observations)
        Shares of problems recovered, from 0 to 1, NaN where not measured.
    outliers : array-like of shape (n_shares,)
        Shares of outliers, one per row of the map.
    observations : array-like of shape (n_observations,)
        Numbers of observations, one per column of the map.

    Attributes
    ----------
    {axes}
    image_ : matplotlib AxesImage
        Image of the map.
    text_ : ndarray of shape (n_shares, n_observations) or None
        Figures in the cells.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a share lies outside 0 to 1.

    See Also
    --------
    sklearn_robustlr.metrics.relative_recovery_error : The error that shows whether a matrix is recovered.

    Examples
    --------
    >>> from sklearn_robustlr.plotting import PhaseTransitionDisplay
    >>> success = [[1.0, 1.0], [0.2, 0.9]]
    >>> display = PhaseTransitionDisplay(success, outliers=[0.1, 0.4], observations=[3, 6]).plot()
    >>> display.text_[1, 0].get_text()
    '0.2'
    """

    def __init__(self, success, *, outliers, observations):
        self.success = np.asarray(success, dtype=np.float64)
        self.outliers, self.observations = np.asarray(outliers), np.asarray(observations)
        if self.success.shape != (self.outliers.size, self.observations.size) or self.success.ndim != 2:
            raise ValueError(
                f"success must have one row per share of outliers and one column per number of observations, shape "
                f"({self.outliers.size}, {self.observations.size}), got {self.success.shape}."
            )
        if np.any((self.success < 0) | (self.success > 1)):
            raise ValueError(
                f"success must lie in 0 to 1, got {np.nanmin(self.success):.3g} to {np.nanmax(self.success):.3g}."
            )

    @classmethod
    def from_predictions(cls, errors, *, outliers, observations, tol=1e-6, ax=None, **kwargs):
        """Draw the share of recovery errors below a tolerance.

        Parameters
        ----------
        errors : array-like of shape (n_shares, n_observations, n_problems)
            Recovery errors. An error that is not finite is a failure.
        outliers : array-like of shape (n_shares,)
            Shares of outliers.
        observations : array-like of shape (n_observations,)
            Numbers of observations.
        tol : float, default=1e-6
            Error below which a problem counts as recovered.
        {ax}
        **kwargs : dict
            As for :meth:`plot`.

        Returns
        -------
        display : PhaseTransitionDisplay
            Display of the plot.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        {no_matplotlib}

        Examples
        --------
        >>> from sklearn_robustlr.plotting import PhaseTransitionDisplay
        >>> errors = [[[1e-9, 1e-8], [1e-9, 1e-9]], [[0.5, 0.4], [1e-9, 0.3]]]
        >>> display = PhaseTransitionDisplay.from_predictions(errors, outliers=[0.1, 0.4], observations=[3, 6])
        >>> display.success.tolist()
        [[1.0, 1.0], [0.0, 0.5]]
        """
        errors = np.asarray(errors, dtype=np.float64)
        if errors.ndim != 3 or not errors.shape[-1]:
            raise ValueError(f"errors must have the shape (n_shares, n_observations, n_problems), got {errors.shape}.")
        display = cls((errors < tol).mean(axis=-1), outliers=outliers, observations=observations)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, include_values=True, colorbar=True, **kwargs):
        """Draw the map.

        Parameters
        ----------
        {ax}
        include_values : bool, default=True
            Whether to write the shares in the cells.
        colorbar : bool, default=True
            Whether to add a colour bar.
        **kwargs : dict
            Keyword arguments for matplotlib's `imshow`.

        Returns
        -------
        display : PhaseTransitionDisplay
            The display itself.

        Raises
        ------
        {no_matplotlib}
        """
        self.ax_ = ax = axes(ax)
        self.figure_ = ax.figure
        style = {"cmap": "cividis", "vmin": 0, "vmax": 1, "origin": "lower", "aspect": "auto"}
        self.image_ = ax.imshow(np.ma.masked_invalid(self.success), **{**style, **kwargs})
        self.text_ = None
        if include_values:
            self.text_ = np.empty(self.success.shape, dtype=object)
            for (i, j), share in np.ndenumerate(self.success):
                label = "" if np.isnan(share) else f"{share:.2g}"
                color = "white" if share < 0.5 else "black"
                self.text_[i, j] = ax.text(j, i, label, ha="center", va="center", color=color)
        if colorbar:
            self.figure_.colorbar(self.image_, ax=ax, label="share of problems recovered")
        ax.set_xticks(range(self.observations.size), [f"{value:g}" for value in self.observations])
        ax.set_yticks(range(self.outliers.size), [f"{value:.0%}" for value in self.outliers])
        ax.set(xlabel="observations", ylabel="share of outliers")
        return self
