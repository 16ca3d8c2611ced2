"""Scores of a completed matrix: entries that are hidden from the regression of their own row."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._operators.observed import Entries
from .._utils.stats import median, medians_of_others
from .weighted import check_weights, robust_r2, robust_r2_of_errors

# Groups of columns: those of one are hidden at a time.
_FOLDS = 5


def weights_of_entries(entries: Entries, sample_weight: Any) -> np.ndarray | None:
    """How often each entry counts, as its row does; None: once."""
    if sample_weight is None:
        return None
    return check_weights(sample_weight, entries.shape[0])[entries.rows]


def entries_by_fold(estimator: Any, X: Any) -> tuple[Entries, np.ndarray]:
    """The entries of rows, and the number of the group of columns that each is hidden with, the same at each call."""
    check_is_fitted(estimator)
    _, entries = estimator._entries(X, reset=False)
    if not len(entries.y):
        raise ValueError("X has no observed entry to score on.")
    p = entries.shape[1]
    return entries, (np.random.RandomState(0).permutation(p) % min(_FOLDS, p))[entries.cols]


def score_in_columns(estimator: Any, X: Any, sample_weight: Any) -> float:
    """Robust R2 of entries, each hidden from the regression of its own row, in the units of its column."""
    entries, group = entries_by_fold(estimator, X)
    predicted = np.empty(len(entries.y))
    for fold in range(group.max() + 1):
        hidden = group == fold
        factors = estimator._regress(entries.subset(~hidden)).factors
        rest = entries.subset(hidden)
        predicted[hidden] = estimator._space.residual(rest, factors) + rest.y
    return _robust_r2_of_columns(entries, predicted, weights_of_entries(entries, sample_weight))


def _robust_r2_of_columns(entries: Entries, predicted: np.ndarray, weight: np.ndarray | None) -> float:
    """Robust R2 of predictions beside the medians of the other entries, in units of each column."""
    m, p = len(entries.y), entries.shape[1]
    away, missed, told = np.zeros(m), np.zeros(m), np.zeros(m, dtype=bool)
    n, order = np.bincount(entries.cols, minlength=p), np.argsort(entries.cols, kind="stable")
    ends = np.cumsum(n)
    for j in np.flatnonzero(n > 1).tolist():
        own = order[ends[j] - n[j] : ends[j]]
        y, counts = entries.y[own].astype(np.float64), None if weight is None else weight[own]
        from_others = y - medians_of_others(y, counts)
        spread = median(np.abs(from_others), counts)
        if spread > 0.0:  # not where most values are the same
            told[own] = True
            away[own], missed[own] = from_others / spread, (predicted[own] - y) / spread
    if not told.any():
        return robust_r2(entries.y, predicted, weight)
    return robust_r2_of_errors(missed[told], away[told], None if weight is None else weight[told])
