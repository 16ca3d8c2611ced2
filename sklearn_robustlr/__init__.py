"""Robust low-rank recovery in scikit-learn: matrices from few, partly garbage measurements."""

from ._completion import RobustMatrixCompletion
from ._pca import RobustPCA
from ._recovery import RobustLowRankRecovery

__version__ = "0.1.0"

__all__ = ["RobustLowRankRecovery", "RobustMatrixCompletion", "RobustPCA", "__version__"]
