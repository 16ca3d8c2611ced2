"""Conventions of scikit-learn's imputers: the marker of missing values, empty columns, indicator columns."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy import sparse

from .._operators.observed import Entries
from .._utils.values import Masks
from .limits import LimitsMixin


class ImputerMixin(LimitsMixin):
    """What is missing in X, and the columns of what `transform` returns."""

    replace: str
    missing_values: Any
    add_indicator: bool
    keep_empty_features: bool
    indicator_features_: np.ndarray
    _is_empty: np.ndarray
    _was_sparse: bool

    def _as_told(self, X: Any) -> Any:
        return marked(X, self.missing_values)

    def _snapshot(
        self, left: np.ndarray, s: np.ndarray, right: np.ndarray, seen: Masks | None = None
    ) -> dict[str, Any]:
        columns = {
            "_is_empty": np.zeros(len(right), dtype=bool) if seen is None else ~seen.columns,
            "indicator_features_": np.zeros(0, dtype=np.intp),
            "_was_sparse": False,
        }
        return {**super()._snapshot(left, s, right, seen), **columns}

    def _columns_of(self, entries: Entries, outliers: np.ndarray | sparse.csr_matrix) -> dict[str, Any]:
        """Attributes of the columns of fitted entries: which are empty, in which something is replaced."""
        n, p = entries.shape
        count = np.bincount(entries.cols, minlength=p)
        replaced = count < n
        if self.replace == "outliers":
            replaced |= np.asarray(outliers.sum(axis=0)).ravel() > 0
        elif self.replace == "all":
            replaced[:] = True
        empty = count == 0
        replaced &= ~empty | self.keep_empty_features
        return {"_is_empty": empty, "indicator_features_": np.flatnonzero(replaced), "_was_sparse": entries.is_sparse}

    def _arranged(self, values: np.ndarray, replaced: np.ndarray) -> np.ndarray:
        """Dense values with the columns that are asked for: without empty ones, with those of the indicator.

        Where `fit` saw a sparse X with missing entries they are those of X, as of sparse results.
        """
        if self._was_sparse:
            return values
        if not self.add_indicator and (self.keep_empty_features or not self._is_empty.any()):
            return values
        parts = [values if self.keep_empty_features else values[..., ~self._is_empty]]
        if self.add_indicator:
            parts.append(np.broadcast_to(replaced, values.shape)[..., self.indicator_features_].astype(values.dtype))
        return np.concatenate(parts, axis=-1)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of what :meth:`transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X. None: the names seen by `fit`, or ``["x0", "x1", ...]``.

        Returns
        -------
        names : ndarray of str objects, shape (n_features_out,)
            Names of the columns of X, without empty columns unless `keep_empty_features`. With `add_indicator`, those
            of the indicator columns follow: ``"missingindicator_"`` and the name of the column. If `fit` saw a sparse X
            with missing entries, the names are those of X alone, as for the sparse results.

        Raises
        ------
        ValueError
            If `input_features` are not those seen by `fit`, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> X = np.outer(np.arange(1.0, 13.0), np.arange(1.0, 10.0))
        >>> X[2, 3] = np.nan
        >>> [str(name) for name in RobustMatrixCompletion(add_indicator=True).fit(X).get_feature_names_out()[-2:]]
        ['x8', 'missingindicator_x3']
        """
        names = super().get_feature_names_out(input_features)  # type: ignore[misc]  # of OneToOneFeatureMixin
        if self._was_sparse:
            return names
        kept = names if self.keep_empty_features else names[~self._is_empty]
        if not self.add_indicator:
            return kept
        return np.append(kept, [f"missingindicator_{name}" for name in names[self.indicator_features_]]).astype(object)


def marked(X: Any, missing_values: Any) -> Any:
    """X with NaN in place of the marker of missing values."""
    if missing_values is None or type(missing_values).__name__ == "NAType":  # pandas.NA is read as NaN anyway
        return X
    if not isinstance(missing_values, Real) or isinstance(missing_values, bool):
        raise TypeError(f"missing_values must be a number, NaN or None, got {missing_values!r}.")
    # a plain number compares in the type of X
    missing_values = int(missing_values) if isinstance(missing_values, Integral) else float(missing_values)
    if np.isnan(missing_values):
        return X
    if sparse.issparse(X):
        if missing_values == 0:
            raise ValueError(
                "missing_values=0 with a sparse X is not possible: absent='missing' says that the entries that it does "
                "not store are missing."
            )
        X = X.copy().astype(np.result_type(X.dtype, np.float32))
        X.data[X.data == missing_values] = np.nan
        return X
    if hasattr(X, "columns") and hasattr(X, "mask"):
        return X.mask(missing_values == X.apply(_as_numbers))
    if type(X).__module__.startswith("polars."):
        numbers = [name for name, kind in X.schema.items() if kind.is_numeric() or str(kind) == "Boolean"]
        return X.with_columns([X[name].set(X[name].cast(float) == missing_values, None) for name in numbers])
    X = _as_numbers(np.asarray(X))
    if X.dtype.kind not in "biuf":
        return X
    return np.where(missing_values == X, X.dtype.type(np.nan) if X.dtype.kind == "f" else np.nan, X)


def _as_numbers(values: Any) -> Any:
    """An array, or a column of a data frame, whose objects or texts are read as numbers if all of them are."""
    if getattr(values.dtype, "kind", "O") not in "OUS":
        return values
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):  # refused where it is validated
        return values
