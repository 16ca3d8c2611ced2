"""The version, in the package and in each pickle of an estimator."""

from __future__ import annotations

import warnings

from sklearn.exceptions import InconsistentVersionWarning

__version__ = "0.1.0"

_KEY = "_sklearn_robustlr_version"


class VersionMixin:
    """Pickles carry the version of this package and warn where another one loads them.

    scikit-learn does so for its own classes alone.
    """

    def __getstate__(self):
        return {**super().__getstate__(), _KEY: __version__}  # type: ignore[dict-item]  # of BaseEstimator

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop(_KEY, "unknown")
        if version != __version__:
            name = f"{type(self).__name__} of sklearn_robustlr"
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=name, current_sklearn_version=__version__, original_sklearn_version=version
                ),
                stacklevel=2,
            )
        super().__setstate__(state)  # type: ignore[misc]  # of BaseEstimator
