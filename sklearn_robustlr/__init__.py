"""Robust low-rank recovery in scikit-learn: matrices from few, partly garbage measurements."""

from ._recovery import RobustLowRankRecovery

__version__ = "0.1.0"

__all__ = ["RobustLowRankRecovery", "__version__"]
