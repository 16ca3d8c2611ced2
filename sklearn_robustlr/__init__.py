"""Repair tables with missing and corrupted values, within scikit-learn."""

from ._estimators.completion import RobustMatrixCompletion
from ._estimators.pca import RobustPCA
from ._estimators.recovery import RobustLowRankRecovery
from ._utils.values import StopReason
from ._version import __version__

__all__ = ["RobustLowRankRecovery", "RobustMatrixCompletion", "RobustPCA", "StopReason", "__version__"]
