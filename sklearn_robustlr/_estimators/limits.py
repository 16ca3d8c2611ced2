"""What estimates of a completed matrix are held to: limits that the user gives, or the range of what is seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._model.limits import held
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._utils.arrays import with_single_values
from .matrix import MatrixMixin
from .validation import check_limits


class LimitsMixin(MatrixMixin):
    """Estimates within `min_value` and `max_value`."""

    min_value: Any
    max_value: Any
    n_features_in_: int

    def _within_limits(self, estimates: np.ndarray, columns: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Estimates of entries of some columns, clipped to the limits given, or to what is seen of the column."""
        low, high = check_limits(self.min_value, self.max_value, self.n_features_in_)
        seen = self._space.seen_range
        estimates = with_single_values(estimates, seen, columns)
        if seen is not None:
            least = seen[0] if high is None else np.minimum(seen[0], high)
            most = seen[1] if low is None else np.maximum(seen[1], low)
            low, high = least if low is None else low, most if high is None else high
        if low is None and high is None:
            return estimates
        low, high = (None if limit is None else limit[columns] for limit in (low, high))
        return np.clip(estimates, low, high).astype(estimates.dtype, copy=False)

    def _held(
        self, estimates: np.ndarray, entries: Entries, places: Entries | None = None, **which: np.ndarray
    ) -> np.ndarray:
        """Estimates of rows of these entries within the limits, but as they are where that is beyond doubt.

        They are those of all entries, or those at some places, or `which` says. Limits that are given hold for all.
        """
        columns = slice(None) if places is None else places.cols
        within, space = self._within_limits(estimates, columns), self._space
        if not isinstance(space, ModelSpace) or space.is_sharp:
            return within
        free = self._within_given(with_single_values(estimates, space.seen_range, columns), columns)
        return held(space, entries, free, within, places=places, n_jobs=self.n_jobs, **which)

    def _within_given(self, values: np.ndarray, columns: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Values of entries of some columns, clipped to the limits that are given."""
        low, high = check_limits(self.min_value, self.max_value, self.n_features_in_)
        low, high = (None if limit is None else limit[columns] for limit in (low, high))
        return values if low is None and high is None else np.clip(values, low, high)
