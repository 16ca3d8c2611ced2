"""Robust low-rank recovery in scikit-learn: matrices from few, partly corrupted measurements."""

from ._estimators.completion import RobustMatrixCompletion
from ._estimators.pca import RobustPCA
from ._estimators.recovery import RobustLowRankRecovery
from ._version import __version__

__all__ = ["RobustLowRankRecovery", "RobustMatrixCompletion", "RobustPCA", "__version__"]
