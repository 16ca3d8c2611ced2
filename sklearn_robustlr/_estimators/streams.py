"""Fits of rows that come in batches: `partial_fit`."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .._fits.matrix_fit import noise_of_columns
from .._fits.running import RunningFit, Stream
from .._operators.observed import Entries
from .._utils.threads import interruptible, single_threaded_blas
from .matrix import MatrixMixin


class StreamMixin(MatrixMixin):
    """Fit batches of rows, one after the other."""

    forgetting: float
    n_samples_seen_: int
    _stream: Stream

    def partial_fit(self, X, y=None):
        """Learn from one more batch of rows.

        Early batches (up to 250,000 entries, but at least 200 rows) are stored and fitted as by :meth:`fit` each time
        their number of rows has grown by half. Between these fits and after that, each batch updates sums for each
        column (the normal equations of its loadings and mean, and its squared residuals), so that memory does not grow.
        Periodically the most recent rows are checked for structure that the model lacks, and the model is refitted if
        there is any.
        Skewed columns are not log-transformed, as they may be in :meth:`fit`: transform them first. The rows of an
        earlier :meth:`fit` are not remembered: the first batch after it starts from scratch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            One or more rows, as for :meth:`fit`.
        y : None
            Ignored.

        Returns
        -------
        self : object
            Fitted estimator. Its `outliers_` and other attributes of rows are those of this batch. Its `converged_`
            says whether the fit can be trusted; no warning is given.

        Raises
        ------
        ValueError, TypeError
            If a parameter or X is not as described, or X has another number of columns than the batches before.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((200, 20), rank=2, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion()
        >>> for batch in np.array_split(problem.data, 10):
        ...     model = model.partial_fit(batch)
        >>> model.n_samples_seen_, model.converged_
        (200, True)
        """
        first = not hasattr(self, "_stream")
        X, entries = self._entries(X, reset=first)
        self._check_own()
        forgetting = float(self.forgetting)
        p = entries.shape[1]
        options = self._options((max(entries.shape[0], p), p), len(entries.y))
        with interruptible(), single_threaded_blas():
            repairs = self._needs_repaired_rows
            if first:
                stream = Stream.begin(entries, options, forgetting, repairs=repairs)
            else:
                stream = self._stream.followed_by(entries, options, forgetting, repairs=repairs)
            running = stream.running
            space = running.row_space
            regression = space.regress(entries, n_jobs=self.n_jobs, threshold=running.threshold)
        flags = entries.mask(space.gross(entries, regression))
        self._set_running(running, flags, regression.factors, entries)
        self._stream, self.n_samples_seen_ = stream, stream.n_seen
        return self

    def _check_own(self) -> None:
        """Check the parameters of what is done with rows."""
        if not isinstance(self.forgetting, Real) or isinstance(self.forgetting, bool):
            raise TypeError(f"forgetting must be a number in (0, 1], got {self.forgetting!r}.")
        if not 0.0 < float(self.forgetting) <= 1.0:
            raise ValueError(f"forgetting must be a number in (0, 1], got {self.forgetting!r}.")

    #: Whether principal components of repaired rows are asked for.
    _needs_repaired_rows = False

    def _set_running(
        self, running: RunningFit, outliers: Any, factors: np.ndarray, entries: Entries, *, warns: bool = False
    ) -> None:
        """Set the fitted attributes from sums over rows; flags and coefficients are those of some rows."""
        matrix = {
            "location_": running.location,
            "expected_error_": running.expected_error,
            "undetermined_rows_": np.zeros(0, dtype=np.intp),
            "undetermined_columns_": running.lost_columns,
            "_space": running.row_space,
            "_n_observed": int(running.sums.seen.sum()),
            "_n_flagged": int(running.sums.beyond.sum()),
        }
        own, fit = self._running_attributes(running, factors, entries), running.fit(outliers, factors)
        matrix["noise_scale_"] = noise_of_columns(running.row_space, fit.scale)
        self._set_fitted(fit, warns=warns, **{**matrix, **own})

    def _running_attributes(self, running: RunningFit, factors: np.ndarray, entries: Entries) -> dict[str, Any]:
        """Attributes of an estimator besides."""
        raise NotImplementedError
