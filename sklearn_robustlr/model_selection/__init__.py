"""Model selection that corrupted data do not fool: entry-wise cross-validation, and tuning on seeds of its own."""

from ._entries import EntryKFold, EntryRegressor, to_entries
from ._tuning import TuningReport, tune_and_report

__all__ = ["EntryKFold", "EntryRegressor", "TuningReport", "to_entries", "tune_and_report"]
