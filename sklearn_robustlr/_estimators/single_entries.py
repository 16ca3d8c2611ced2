"""Estimates of single entries of a completed matrix, which need not be formed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import Regression
from .intervals import IntervalMixin
from .validation import check_flag


class _OfEntries(NamedTuple):
    """Rows that entries are in, their regression, the `places` of the entries in them, and these entries' `order`."""

    seen: Entries
    regression: Regression
    places: Entries
    order: np.ndarray


class SingleEntryMixin(IntervalMixin):
    """Estimates of single entries of the fitted matrix, and their standard errors."""

    left_: np.ndarray
    singular_values_: np.ndarray
    right_: np.ndarray

    def predict_entries(self, rows, columns=None, *, return_std=False):
        """Estimate single entries of the fitted matrix without forming it.

        Parameters
        ----------
        rows : array-like of int, shape (n_entries,) or (n_entries, 2)
            Row indices of the entries; without `columns`, pairs of row and column indices, as
            :meth:`RobustLowRankRecovery.predict` takes them.
        columns : array-like of int, shape (n_entries,), or None, default=None
            Column indices of the entries.
        return_std : bool, default=False
            Whether to return the standard errors of the estimates too.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Low-rank estimates, clipped as in :meth:`transform`.
        std : ndarray of shape (n_entries,)
            Only with ``return_std=True``. Standard errors of the estimates, as in :meth:`transform`.

        Raises
        ------
        ValueError
            If the indices are not integers, differ in number or lie outside the matrix; if the rows that they need
            were not kept (a compressed model; standard errors of a dask array); or if the estimator is not fitted
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
        if not hasattr(self, "left_"):
            raise ValueError("the rows of the fit are not kept in a compressed model: use transform(rows) instead.")
        if columns is None:
            pairs = np.asarray(rows)
            if pairs.ndim != 2 or pairs.shape[1] != 2:
                raise ValueError(f"without columns, rows must be pairs, of shape (n_entries, 2), got {pairs.shape}.")
            rows, columns = pairs.T
        index = [np.asarray(i) if np.size(i) else np.zeros(0, dtype=np.intp) for i in (rows, columns)]
        shape = len(self.left_), len(self.right_)
        for name, i, size in zip(("rows", "columns"), index, shape, strict=True):
            if i.ndim != 1 or (i.dtype.kind not in "iu" and len(i)) or len(i) != len(index[0]):
                raise ValueError(f"rows and columns must be integer arrays of one length, got {name}={i!r}.")
            if len(i) and (i.min() < 0 or i.max() >= size):
                raise ValueError(f"{name} must lie in 0 to {size - 1}, got {i.min()} to {i.max()}.")
        with_std = check_flag("return_std", return_std)
        rows, columns = index
        by_rows = isinstance(self._space, ModelSpace) and self._seen is not None
        found = self._of_entries(rows, columns) if by_rows or (with_std and self._seen is not None) else None
        estimates = self._entry_estimates(rows, columns, found if by_rows else None)
        if not with_std:
            return estimates
        return estimates, self._entry_errors(rows, columns, found).astype(estimates.dtype)

    def _of_entries(self, rows: np.ndarray, columns: np.ndarray) -> _OfEntries:
        """The fitted rows that single entries are in, regressed, and the places of these entries in them."""
        assert self._seen is not None
        wanted, place = np.unique(rows, return_inverse=True)
        some = np.zeros(self._seen.shape[0], dtype=bool)
        some[wanted] = True
        seen = self._seen.part(some, np.ones(self._seen.shape[1], dtype=bool))
        order = np.lexsort((columns, place))
        indptr = np.searchsorted(place[order], np.arange(len(wanted) + 1))
        places = Entries.of(indptr, columns[order].astype(np.int32), np.zeros(len(rows)), seen.shape)
        return _OfEntries(seen, self._regress(seen), places, order)

    def _entry_estimates(self, rows: np.ndarray, columns: np.ndarray, found: _OfEntries | None) -> np.ndarray:
        """Estimates of entries of the fitted matrix: by the regression of their rows, or by its factors (None).

        These are of one precision. An approximate fit has columns in units of their own, which that could not hold.
        """
        if found is None:
            left = np.asarray(self.left_[rows])  # of a dask array the chunks that these are in
            estimates = np.einsum("ij,j,ij->i", left, self.singular_values_, self.right_[columns])
        else:
            estimates = np.empty(len(rows), self.right_.dtype)
            own = self._space.residual(found.places, found.regression.factors)
            estimates[found.order] = self._held(own, found.seen, found.places)
            return estimates
        return self._within_limits(estimates, columns)

    def _entry_errors(self, rows: np.ndarray, columns: np.ndarray, found: _OfEntries | None) -> np.ndarray:
        """Standard errors of entries of the fitted matrix, whose rows are regressed (None: they are not known)."""
        if found is None and self._posterior is not None:
            kept = "standard errors of single entries need the fitted rows, which a fit of a dask array does not keep"
            raise ValueError(f"{kept}: use transform(rows, return_std=True).")
        if found is None:
            error = np.full(len(rows), 0.0 if self.stop_reason_ == "exact" else np.inf)
        else:
            error = np.empty(len(rows))
            error[found.order] = self._spread(found.seen, found.regression, found.places).error
        lost = np.isin(columns, self.undetermined_columns_)
        if self._space.is_sharp:
            lost |= np.isin(rows, self.undetermined_rows_)
        error[lost] = np.inf
        return error
