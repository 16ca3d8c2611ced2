"""Held-out errors beside what was predicted of them: what makes intervals cover what they claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

# Scores of a normal law that stand beside those of held-out entries, so that a few of these are no law of their own.
_NORMAL_SCORES = 20


@dataclass(frozen=True)
class Calibration:
    """Sizes of held-out errors in units of the standard deviations that were predicted for them, and their weights.

    The sizes are in increasing order. An interval of the size that a share c of them is below covers as much of new
    values, whatever the law of the noise, if these are exchangeable with the held-out ones: weighted split conformal
    prediction (R. J. Tibshirani, R. Foygel Barber, E. Candes and A. Ramdas, NeurIPS 2019). Here weights are the
    probabilities of the held-out entries to be inliers, and intervals are those of an inlier.
    """

    scores: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, errors: np.ndarray, deviations: np.ndarray, inlier: np.ndarray) -> Calibration:
        """The calibration by errors with these predicted deviations and probabilities to be inliers."""
        normal = ndtri(0.5 + (np.arange(_NORMAL_SCORES) + 0.5) / (2 * _NORMAL_SCORES))
        scores = np.concatenate([np.abs(errors) / deviations, normal])
        weights = np.concatenate([inlier, np.ones(_NORMAL_SCORES)])
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], weights[order])

    def width(self, coverage: float) -> float:
        """Half the width of an interval of this coverage, in units of the predicted standard deviation."""
        total = float(self.weights.sum())
        mass = np.cumsum(self.weights) - 0.5 * self.weights
        last = float(mass[-1]) / total
        if coverage > last:  # beyond the largest size a normal tail
            return float(self.scores[-1] * ndtri(0.5 + 0.5 * coverage) / ndtri(0.5 + 0.5 * last))
        return float(np.interp(coverage * total, mass, self.scores))

    @property
    def factor(self) -> float:
        """What predicted standard deviations are to be multiplied by: the root mean square of the sizes."""
        return float(np.sqrt(np.average(self.scores**2, weights=self.weights)))
