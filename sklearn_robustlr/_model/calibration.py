"""Held-out errors beside what was predicted of them: what makes intervals cover what they claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

# Scores of a normal law that stand beside those of held-out entries, so that a few of these are no law of their own.
_NORMAL_SCORES = 20
# Share of held-out errors that are compared with predictions: the largest may be the tail of a noise law.
_MOST = 0.9
# Quantiles below and beyond which shares of columns are compared, and least weight of all columns beside the entries of
# one. Of 12 plain columns beside 12 of rare ones 50 % intervals hold 0.34, those of the latter 0.66; with laws of
# columns 0.47 and 0.54. Without a bound, of a small real table 95 % hold 0.88 instead of 0.96.
_SHARES, _LEAST_COMMON = (0.5, 0.8, 0.9), 8.0
# Standard deviations by which columns must differ beyond chance in one of these five ways.
_BEYOND_CHANCE = 3.0


class _SignedLaw(NamedTuple):
    """Signed scores in increasing order, and the standard normal numbers that are as rare."""

    scores: np.ndarray
    normal: np.ndarray

    def at(self, normal: np.ndarray) -> np.ndarray:
        """Scores that are as rare as these numbers; beyond the largest and the least a normal tail."""
        inside = np.interp(normal, self.normal, self.scores)
        for end, beyond in ((0, normal < self.normal[0]), (-1, normal > self.normal[-1])):
            inside = np.where(beyond, self.scores[end] * normal / self.normal[end], inside)
        return inside


@dataclass(frozen=True)
class ScoresOfColumns:
    """Signed scores of held-out entries by columns, where these are unlike, and what all others count beside them.

    The shares of columns below a common quantile are taken to follow a beta law, whose precision is told by moments:
    `common` is what the scores of all columns count, in entries, beside those of one.
    """

    cols: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    common: float

    @classmethod
    def of(cls, scores: np.ndarray, weights: np.ndarray, cols: np.ndarray) -> ScoresOfColumns | None:
        """Those of entries; None where columns differ by no more than chance."""
        scores, weights, cols = (part[weights > 0.0] for part in (scores, weights, cols))
        if len(np.unique(cols)) < 2:
            return None
        size = np.abs(scores)
        order = np.argsort(size, kind="stable")
        rank = np.empty(len(size))
        rank[order] = np.cumsum(weights[order]) / weights.sum()
        apart = [_unlike(rank <= _SHARES[0], weights, cols)]
        for share in _SHARES[1:]:
            apart += [_unlike((rank > share) & (scores * sign > 0.0), weights, cols) for sign in (-1.0, 1.0)]
        most = max(apart)
        return cls(cols, scores, weights, max(1.0 / most - 1.0, _LEAST_COMMON)) if most > 0.0 else None

    def laws(self, scores: np.ndarray, weights: np.ndarray) -> Iterator[tuple[int, _SignedLaw]]:
        """Yield columns and their laws beside the scores of all."""
        weights = weights * (self.common / weights.sum())
        for j in np.unique(self.cols):
            own = self.cols == j
            signed, mass = np.append(scores, self.scores[own]), np.append(weights, self.weights[own])
            order = np.argsort(signed, kind="stable")
            ends = ndtri(_ends_of_mass(mass[order]) / mass.sum())
            tells = np.isfinite(ends)  # a gross error at an end has next to no weight
            yield int(j), _SignedLaw(np.repeat(signed[order], 2)[tells], ends[tells])


def _ends_of_mass(weights: np.ndarray) -> np.ndarray:
    """Both ends, one after the other, of the mass that each of some sorted numbers has alone, (2 n).

    From the end of one to the beginning of the next a quantile moves from the one number to the other. That is half of
    the smaller weight of the two on either side: of equal weights each number has the middle of its mass alone, and one
    of next to no weight, as that of a gross error, moves no quantile but those next to it.
    """
    mass = np.cumsum(weights)
    half = 0.5 * np.minimum(weights, np.append(weights[1:], weights[-1:]))
    first = 0.5 * weights[:1]
    return np.column_stack([np.append(first, mass[:-1] + half[:-1]), mass - half]).ravel()


def _unlike(event: np.ndarray, weights: np.ndarray, cols: np.ndarray) -> float:
    """Correlation of an event among the entries of a column, beyond chance: 0 where shares of columns may be alike."""
    n, own = (np.bincount(cols, mass)[np.unique(cols)] for mass in (weights, weights * event))
    mean, total, freedom = float(np.average(event, weights=weights)), n.sum(), len(n) - 1.0
    if not 0.0 < mean < 1.0:
        return 0.0
    power = float(np.sum(n * (own / n - mean) ** 2)) / (mean * (1.0 - mean))
    room = total - np.sum(n**2) / total - freedom
    is_more = power > freedom + _BEYOND_CHANCE * np.sqrt(2.0 * freedom)
    return (power - freedom) / room if is_more and room > 0.0 else 0.0


@dataclass(frozen=True)
class Calibration:
    """Sizes of held-out errors in units of the standard deviations that were predicted for them, and their weights.

    The sizes are in increasing order. An interval of the size that a share c of them is below covers as much of new
    values, whatever the law of the noise, if these are exchangeable with the held-out ones: weighted split conformal
    prediction (R. J. Tibshirani, R. Foygel Barber, E. Candes and A. Ramdas, NeurIPS 2019). Here weights are the
    probabilities of the held-out entries to be inliers, and intervals are those of an inlier. The scores `of_columns`
    are signed (None: columns are alike).
    """

    scores: np.ndarray
    weights: np.ndarray
    of_columns: ScoresOfColumns | None = None

    @classmethod
    def of(
        cls, errors: np.ndarray, deviations: np.ndarray, inlier: np.ndarray, cols: np.ndarray | None = None
    ) -> Calibration:
        """The calibration by errors with these predicted deviations and probabilities to be inliers.

        If the columns `cols` of the entries are given, those that are unlike the others have a law of their own.
        """
        normal = ndtri(0.5 + (np.arange(_NORMAL_SCORES) + 0.5) / (2 * _NORMAL_SCORES))
        scores = np.concatenate([np.abs(errors) / deviations, normal])
        weights = np.concatenate([inlier, np.ones(_NORMAL_SCORES)])
        order = np.argsort(scores, kind="stable")
        of_columns = None if cols is None else ScoresOfColumns.of(-errors / deviations, inlier, cols)
        return cls(scores[order], weights[order], of_columns)

    def ends(self, coverage: float, n_columns: int) -> np.ndarray:
        """Lower and upper ends of intervals of this coverage in each column, (2, n_columns), about the estimates.

        They are in units of the predicted standard deviations; the estimates are between them.
        """
        normal = np.broadcast_to(ndtri(0.5 + 0.5 * coverage), n_columns)
        low, high = self.signed(np.array([-normal, normal]))
        return np.array([np.minimum(low, 0.0), np.maximum(high, 0.0)])

    def signed(self, normal: np.ndarray) -> np.ndarray:
        """What values are from their estimates, (n, columns), that is as rare as these standard normal numbers are.

        In units of the predicted standard deviations. Those of a column of its own law are as far on either side as its
        held-out values are.
        """
        usual = np.sign(normal) * self.sizes(np.abs(normal))
        if self.of_columns is None:
            return usual
        both = np.concatenate([-self.scores, self.scores]), 0.5 * np.tile(self.weights, 2)
        for j, column in self.of_columns.laws(*both):
            usual[:, j] = column.at(normal[:, j])
        return usual

    def width(self, coverage: float) -> float:
        """Half the width of an interval of this coverage, in units of the predicted standard deviation."""
        return float(self.sizes(ndtri(0.5 + 0.5 * coverage)))

    def sizes(self, normal: np.ndarray | float) -> np.ndarray:
        """Sizes that are as rarely exceeded as these are by standard normal ones; beyond the largest a normal tail."""
        total = float(self.weights.sum())
        mass = _ends_of_mass(self.weights)
        end = ndtri(0.5 + 0.5 * float(mass[-1]) / total)
        scores = np.append(0.0, np.repeat(self.scores, 2))
        inside = np.interp((2.0 * ndtr(normal) - 1.0) * total, np.append(0.0, mass), scores)
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
        """What predicted standard deviations are to be multiplied by, so that a share of :data:`_MOST` are below.

        Their root mean square may be that of a few gross errors with next to no weight.
        """
        return self.width(_MOST) / float(ndtri(0.5 + 0.5 * _MOST))
