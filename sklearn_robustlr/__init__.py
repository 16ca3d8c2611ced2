"""Robust low-rank recovery in scikit-learn: matrices from few, partly garbage measurements."""

from ._completion import RobustMatrixCompletion
from ._pca import RobustPCA
from ._recovery import RobustLowRankRecovery
from ._version import __version__

__all__ = ["RobustLowRankRecovery", "RobustMatrixCompletion", "RobustPCA", "__version__"]
