"""Held-out errors beside what was predicted of them: what makes intervals cover what they claim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

# Scores of a normal law that stand beside those of held-out entries, so that a few of these are no law of their own.
_NORMAL_SCORES = 20
# Share of held-out errors that are compared with predictions: the largest may be the tail of a noise law.
_MOST = 0.9


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
        return float(self.sizes(ndtri(0.5 + 0.5 * coverage)))

    def sizes(self, normal: np.ndarray | float) -> np.ndarray:
        """Sizes that are as rarely exceeded as these are by standard normal ones; beyond the largest a normal tail."""
        total = float(self.weights.sum())
        mass = np.cumsum(self.weights) - 0.5 * self.weights
        end = ndtri(0.5 + 0.5 * float(mass[-1]) / total)
        inside = np.interp((2.0 * ndtr(normal) - 1.0) * total, np.append(0.0, mass), np.append(0.0, self.scores))
        return np.where(normal > end, self.scores[-1] * np.asarray(normal) / end, inside)

    @property
    def excess(self) -> float:
        """What held-out errors have beyond what was predicted of them, in units of the predicted variances.

        Where they have nothing, what chance leaves of the positive part is subtracted: 1 / sqrt(2 pi) of the standard
        deviation of the size that a share of :data:`_MOST` is below, under a normal law.
        """
        size = ndtri(0.5 + 0.5 * _MOST)
        density = 2.0 * np.exp(-0.5 * size**2) / np.sqrt(2.0 * np.pi)
        chance = np.sqrt(_MOST * (1.0 - _MOST) / self.weights.sum()) / density / np.sqrt(2.0 * np.pi)
        return max((self.width(_MOST) / (size + chance)) ** 2 - 1.0, 0.0)

    @property
    def factor(self) -> float:
        """What predicted standard deviations are to be multiplied by: the root mean square of the sizes."""
        return float(np.sqrt(np.average(self.scores**2, weights=self.weights)))
