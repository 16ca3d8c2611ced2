"""Warnings that point to the line of the user."""

from __future__ import annotations

import sys
import warnings

# Packages whose frames are between that line and a warning: estimators are called by scikit-learn's, too.
_BETWEEN = {__name__.split(".")[0], "sklearn", "joblib", "multiprocessing", "contextlib"}


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line that is neither of this package nor of those that call it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
