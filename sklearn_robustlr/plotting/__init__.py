"""Pictures of fits, by the convention of scikit-learn's displays; needs matplotlib (extra `plot`)."""

from ._bands import CoverageDisplay, IntervalDisplay
from ._grids import OutlierDisplay, PhaseTransitionDisplay
from ._histories import RecoveryDisplay, SpectrumDisplay

__all__ = [
    "CoverageDisplay",
    "IntervalDisplay",
    "OutlierDisplay",
    "PhaseTransitionDisplay",
    "RecoveryDisplay",
    "SpectrumDisplay",
]
