"""Thresholds that several stages share, each defined once."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

#: Noise scales beyond which a residual is a gross error (Gaussian noise: 5 inliers in 10,000), and the same where the
#: residuals are heavy-tailed.
FLAG_WIDTH, HEAVY_FLAG_WIDTH = 3.5, 5.0
#: Ratios of neighbouring singular values: below the first there is hardly a gap, and from the second on it is clear.
SMALL_GAP, CLEAR_GAP = 2.0, 12.0
#: Directions that the first run of the sub-gradient method is given; doubled while all are used.
FIRST_WIDTH = 20
#: Quantile of the absolute residuals by which starts are compared and histories recorded: below the share of inliers.
LOSS_LEVEL = 0.4
#: Quantile of the absolute targets below which they are small: errors, which are large, are rarer there.
SMALL_LEVEL = 0.45
#: Least share of an entry that is not its own leverage, by which its residual is divided to be that without it.
LEAST_FREE = 1e-3
#: Median absolute value of a standard normal variate.
NORMAL_MEDIAN = 0.6745
#: Entries of a column that tell its median and scale, or rows that two columns lack: of noisy 4 x 60 matrices of rank 2
# a quarter of the entries was taken for errors, with eight rows none.
TELLING = 8


def flag_width(heavy_tailed: bool) -> float:
    """Noise scales beyond which a residual is a gross error."""
    return HEAVY_FLAG_WIDTH if heavy_tailed else FLAG_WIDTH


def are_more(share: float, expected: float) -> bool:
    """Whether a share of gross errors is more than that of other entries of the same matrix, up to chance."""
    return share > 1.2 * expected + 0.02


def exact_tolerance(dtype: DTypeLike) -> float:
    """Residual below which a measurement counts as fitted exactly, in units of the median target."""
    return 1e-6 if np.dtype(dtype) == np.float64 else 5e-4


def scale_floor(dtype: DTypeLike) -> float:
    """Smallest noise scale that is more than rounding, in units of the median target."""
    return 1e-10 if np.dtype(dtype) == np.float64 else 2e-5


def exact_scale(dtype: DTypeLike) -> float:
    """Noise scale up to which a fit is without noise, in units of the median target."""
    return 10.0 * scale_floor(dtype)


def rounding_share(dtype: DTypeLike) -> float:
    """Share of the largest number of an array below which the others are rounding."""
    return max(1e-9, 32.0 * float(np.finfo(dtype).eps))
