"""Held-out errors of an average, and whether these or those of another fit are less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils.stats import sign_of_mean

# Share of the held-out error of the medians of the columns that a useful approximation saves.
_USEFUL = 0.1
# Parameters that the choice of fits and weights by held-out errors amounts to: each saves one of these. Of 600 tables
# of 48 to 150 cells without structure 7 % converge, and 26 % without
# (``asv_bench/studies/independent.py --row tiny``, seeds 1000 and 2000).
_CHOICES = 4.0
# Most that an estimate is off by, in standard deviations of the held-out values about the medians of their columns.
# Without, of 250 matrices with many large errors 204 are right, not 214
# (``asv_bench/studies/doubtful.py --row large --seed 940000``); bounded at the largest distance from a median 208 are,
# and at three times the mean distance 213.
_MOST_OFF = 2.0


@dataclass(frozen=True)
class Errors:
    """Absolute held-out errors: `missed` by an average, and by the medians or middles of the columns (`baseline`)."""

    missed: np.ndarray
    baseline: np.ndarray

    @property
    def are_small(self) -> bool:
        """Whether held-out entries are predicted better than by the medians of the columns beyond doubt."""
        return self.gained > _USEFUL

    def of(self, some: np.ndarray) -> Errors:
        """Those of some entries, a mask."""
        return Errors(self.missed[some], self.baseline[some])

    def are_less_than(self, others: np.ndarray, *, by: float = 1.0) -> bool:
        """Whether the mean of what the average misses is less than `by` times that of other errors, beyond chance."""
        return sign_of_mean(by * self._bounded(others) - self._bounded(self.missed)) > 0

    def are_more_than(self, others: np.ndarray, *, by: float = 1.0) -> bool:
        """Whether the mean of other errors is less than `by` times that of what the average misses, beyond chance."""
        return sign_of_mean(by * self._bounded(self.missed) - self._bounded(others)) > 0

    def are_more(self, others: np.ndarray) -> bool:
        """Whether the mean of other errors is less than that of what the average misses, be it by chance."""
        return float(np.sum(self._bounded(self.missed) - self._bounded(others))) > 0.0

    def _bounded(self, errors: np.ndarray) -> np.ndarray:
        """Errors as far as they tell of fits: an estimate that is off by more than the data are apart is just wrong.

        Where many entries are errors, a right fit may be off by many times that in the few rows that these have drawn
        aside.
        """
        most = _MOST_OFF * np.linalg.norm(self.baseline) / np.sqrt(max(len(self.baseline), 1))
        return np.minimum(errors, most)

    def times(self, weight: np.ndarray) -> Errors:
        """The same, each multiplied by its weight."""
        return Errors(self.missed * weight, self.baseline * weight)

    @property
    def gained(self) -> float:
        """Share of the held-out errors of the medians of the columns that is saved: of their mean, and of their median.

        Errors in the data that are not known stand in both and in the way of the mean. Where values are few, medians
        meet most of them, and the median tells nothing: it counts where more of it is saved than of the mean. Other
        entries are missed by more than these, by which fits and their weights were chosen.
        """
        if not self.baseline.any():
            return 0.0
        mean = np.mean(self.missed) / np.mean(self.baseline)
        median = np.median(self.missed) / np.median(self.baseline) if np.median(self.baseline) else mean
        chosen = 1.0 + _CHOICES / len(self.missed)
        return 1.0 - chosen * float(np.sqrt(mean * min(mean, median)))
