"""Weights of samples, and the robust R2 of predictions that is weighted by them."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from .._utils.stats import median

# Least and largest weight of a sample: sums and ratios of others are no numbers, or lose all digits.
_WEIGHTS = 1e-12, 1e12


def check_weights(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Check how often samples count: a number, or one for each, not negative and not all zero.

    What counts next to nothing, or beyond all measure, is held to bounds.
    """
    if np.ma.is_masked(sample_weight):
        raise ValueError("sample_weight has masked values: give samples that do not count a weight of 0.")
    if np.asarray(sample_weight).dtype.kind in "USc":
        raise ValueError(f"sample_weight must be real numbers, got {np.asarray(sample_weight).dtype}.")
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_samples, sample_weight)
    options = {"ensure_2d": False, "dtype": np.float64, "ensure_non_negative": True, "input_name": "sample_weight"}
    weight = check_array(sample_weight, **options)
    if weight.shape != (n_samples,):
        raise ValueError(f"sample_weight must have one weight a sample, shape ({n_samples},), got {weight.shape}.")
    if not weight.any():
        raise ValueError("sample_weight must not be zero for all samples.")
    return np.where(weight > 0.0, np.clip(weight, *_WEIGHTS), 0.0)


def robust_r2(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    """Robust R2 of predictions, whose arguments are checked; see `sklearn_robustlr.metrics.robust_r2_score`."""
    y_true = column_or_1d(check_array(y_true, ensure_2d=False, dtype=np.float64, input_name="y_true"))
    y_pred = column_or_1d(check_array(y_pred, ensure_2d=False, dtype=np.float64, input_name="y_pred"))
    check_consistent_length(y_true, y_pred)
    weight = None if sample_weight is None else check_weights(sample_weight, len(y_true))
    return robust_r2_of_errors(y_true - y_pred, y_true - median(y_true, weight), weight)


def robust_r2_of_errors(error: np.ndarray, baseline: np.ndarray, weight: np.ndarray | None) -> float:
    """Robust R2 of errors beside those of a baseline, which count so often (None: once)."""
    residual, spread = (median(np.abs(part), weight) for part in (error, baseline))
    if spread == 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - min(residual / spread, 1e150) ** 2  # beyond that the square is no number
