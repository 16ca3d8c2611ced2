"""The noise law of the low-rank model: core, wide and gross parts, with one scale a column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from .._kernels.residuals import median_gross, sum_weights, weigh_parts

# Variance of the wide part in units of that of the core, and least spread of the gross part, in noise scales of the
# column. Of nine real tables with five kinds of damage the error, beside the best of twelve peers, is 1.030; with 10
# and 3 it is 1.059, with 100 and 3 1.041, with 30 and 30 1.038.
_WIDE, _LEAST_SPREAD = 30.0, 10.0
# Weight of the usual variance beside that of a column, in entries: the square of the mean deviation. Of 224 cases of 56
# real tables errors are 0.998 of those with the mean variance, which columns of much noise make too large for others;
# with the geometric mean 0.994, but some fits to few entries collapse onto a column.
_COMMON = 5.0
# Weight of the share of gross errors in all columns beside that of one that has its own, in entries. With 10 as many
# errors in one column of wine and diabetes are found, and as many others flagged.
_USUAL = 50.0
# Pseudo-counts of core, wide and gross.
_COUNTS = np.array([1.0, 1.0, 0.1])
# Share of gross errors where a Gaussian law predicts best: they begin at five scales. Of nine real tables without any
# 0.8 % is flagged at most (3.6 % where all beyond 3.5 scales is), 2.5 % with half of the entries missing; of 1 % of
# errors of 8 to 20 sd in five tables of scikit-learn 0.999 is found (1.000), of 3 % of 5 to 15 sd 0.973 (0.992).
_FEW = 1e-4
# Least square of a residual, in units of the noise, and mean logarithm of the squares of normal numbers.
_LEAST_SQUARE, _MEAN_LOG = 1e-3, -1.27
# Probability to be gross up to which an entry does not count in their median.
_HARDLY = 1e-3
#: Degrees of freedom of the noise variances of rows before they are learnt.
FREEDOM = 4.0
# Steps in which the noise variances of lines are found.
_LINE_STEPS = 3
# Least variance, in units of that of the data. Of curves without noise, whose spectra decay to rounding (black bodies,
# absorption), up to 99 % were gross errors at 1e-12, and 0.4 % are; at 1e-6 so were 5 % of iris beside sums of its
# columns. Near-infrared spectra are fitted as before.
_LEAST_VARIANCE = 1e-5
# The same beside a sharp rank: a hundred times rounding, for the mean may be large beside the noise.
_LEAST_COMMON = 1e-28


class Weights(NamedTuple):
    """What a residual says: its precision, its share in the variance and in the count of that, its gross share."""

    precision: np.ndarray
    effective: np.ndarray
    counted: np.ndarray
    gross: np.ndarray

    @property
    def wide(self) -> np.ndarray:
        """Share of the wide part: effective is core plus a thirtieth of wide, counted is core plus wide."""
        return (self.counted - self.effective) / (1.0 - 1.0 / _WIDE)


class NoiseSums(NamedTuple):
    """Weighted squares, counts and gross errors of each column, and how many entries are core, wide and gross."""

    power: np.ndarray
    counted: np.ndarray
    wrong: np.ndarray
    parts: np.ndarray

    @classmethod
    def of(cls, squares: np.ndarray, weights: Weights, cols: np.ndarray, n_columns: int) -> NoiseSums:
        """Those of entries in columns `cols`, by their expected squared residuals and weights."""
        power, count, wrong = np.zeros((3, n_columns))
        _, *shares = weights
        effective, counted, gross = sum_weights(squares, _short(cols), *shares, power, count, wrong)
        wide = (counted - effective) / (1.0 - 1.0 / _WIDE)
        return cls(power, count, wrong, np.array([counted - wide, wide, gross]))

    def plus(self, other: NoiseSums) -> NoiseSums:
        """The sums over both."""
        return NoiseSums(*(one + two for one, two in zip(self, other, strict=True)))

    def times(self, factor: float) -> NoiseSums:
        """The sums where all counts so much."""
        return NoiseSums(*(factor * one for one in self))


@dataclass(frozen=True)
class NoiseLaw:
    """Noise of a column: N(0, s^2), N(0, 30 s^2) or a Cauchy law of its own spread, with estimated shares.

    The wide part keeps the core from collapsing onto the best-fitting entries where data are only nearly low-rank. A
    law that is not `robust` has the core alone. `variances` are those of the core, one a column; if `common`, they are
    one and the same. What is wide counts as noise, or as errors if `wide_is_errors`. Rows have noise variances of their
    own, in units of these, with as many degrees of `freedom`: nu / r^2 is chi-squared with nu; infinite: all are alike.
    `of_inliers` is what inliers of each column vary by, in units of its variance, which is that of those without the
    value that most have (None: one). `wrong` are shares of gross errors of columns that have one of their own, zero of
    the others (None: none has). `large` are mean squares of noise, in units of the variances, in columns of which some
    is large without being wrong, one of the others (None: there are none).
    """

    variances: np.ndarray
    robust: bool
    shares: np.ndarray
    spread: float
    common: bool = False
    wide_is_errors: bool = False
    freedom: float = np.inf
    of_inliers: np.ndarray | None = None
    wrong: np.ndarray | None = None
    large: np.ndarray | None = None

    @property
    def odds(self) -> np.ndarray:
        """Odds of a gross error in each column, in units of those in all."""
        usual = self.shares[2]
        if self.wrong is None or not 0.0 < usual < 1.0:
            return np.ones(len(self.variances))
        own = self.wrong / (1.0 - self.wrong) / (usual / (1.0 - usual))
        return np.where(self.wrong > 0.0, own, 1.0)

    @property
    def inlier_variances(self) -> np.ndarray:
        """Variances of the noise of inliers, one a column: of core and wide together."""
        return self.usual_variances if self.of_inliers is None else self.usual_variances * self.of_inliers

    @property
    def usual_variances(self) -> np.ndarray:
        """The same of those without the value that most have: what intervals go by."""
        wide = self._wide_share
        return self.variances * (1.0 - wide + _WIDE * wide)

    @property
    def largest_variances(self) -> np.ndarray:
        """The same, but of columns of which some is large without being wrong with that: what is not flagged."""
        usual = self.usual_variances
        return usual if self.large is None else np.maximum(usual, self.variances * self.large)

    @property
    def tells_errors(self) -> bool:
        """Whether gross errors are half of the entries at most: else all that is right may be one value."""
        return bool(self.shares[2] <= 0.5)

    @property
    def has_wide(self) -> bool:
        """Whether it has a wide part."""
        return self.robust and bool(self.shares[1] > 0.0)

    @property
    def _wide_share(self) -> float:
        """Share of the inliers that is wide."""
        if not self.robust or self.wide_is_errors:
            return 0.0
        return float(self.shares[1] / (self.shares[0] + self.shares[1]))

    def precision_of_rows(self, means: np.ndarray, variances: np.ndarray) -> np.ndarray | None:
        """Precisions of the priors of rows, by the means about that and the variances of their coefficients.

        Where rows have noise of their own so have they priors: their coefficients follow Student's law, for the noise
        would take what is far from a normal one. None: all are one.
        """
        if not np.isfinite(self.freedom):
            return None
        return (self.freedom + means.shape[1]) / (self.freedom + np.sum(means**2 + variances, axis=1))

    def error_chances(self, weights: Weights) -> np.ndarray:
        """Probabilities of entries with these weights to be errors."""
        return weights.gross + weights.wide if self.wide_is_errors else weights.gross

    @classmethod
    def start(cls, variances: np.ndarray, robust: bool) -> NoiseLaw:
        """The law before anything is learnt."""
        return cls(variances, robust, np.array([0.8, 0.15, 0.05]), 5.0)

    @classmethod
    def with_few_errors(cls, variances: np.ndarray) -> NoiseLaw:
        """The law of core and gross errors alone, of which there are so few that they begin at five scales."""
        return cls(variances, True, np.array([1.0 - _FEW, 0.0, _FEW]), 5.0)

    def weigh(self, squares: np.ndarray, cols: np.ndarray) -> Weights:
        """Weigh entries by their expected squared residuals, in columns `cols`."""
        if not self.robust:
            one = np.ones_like(squares)
            return Weights(1.0 / self.variances[cols], one, one, np.zeros_like(squares))
        parts = self.shares * [1.0, 1.0 / np.sqrt(_WIDE), np.sqrt(2.0 / np.pi) / self.spread]
        out = np.empty((4, len(squares)))
        weigh_parts(squares, _short(cols), self.variances, parts, self.odds, _WIDE, self.spread**-2, out)
        return Weights(*out)

    def density(self, missed: np.ndarray, variance: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Density of values that are missed by so much, where the variances of what is predicted are known."""
        core = self.variances[cols]
        if not self.robust:
            return _gaussian(missed, core + variance)
        parts = _gaussian(missed, core + variance), _gaussian(missed, _WIDE * core + variance)
        reach = self.spread * np.sqrt(core + variance)
        gross = 1.0 / (np.pi * reach * (1.0 + (missed / reach) ** 2))
        odds = self.odds[cols]
        total = self.shares[0] + self.shares[1] + self.shares[2] * odds
        return (self.shares[0] * parts[0] + self.shares[1] * parts[1] + self.shares[2] * odds * gross) / total

    def variances_of_lines(self, units: np.ndarray, lines: np.ndarray, n_lines: int, freedom: float) -> np.ndarray:
        """Noise variances of lines, as rows, in units of those of columns; `units` are squared residuals in these.

        They are likeliest, drawn to one with these degrees of freedom. The first guess is the geometric mean, which a
        few errors hardly change.
        """
        found = np.exp(log_variances_of_lines(units, lines, n_lines, freedom))
        alike, column = replace(self, variances=np.ones(1), wrong=None, large=None), np.zeros_like(lines)
        for _ in range(_LINE_STEPS):
            weights = alike.weigh(units / found[lines], column)
            power, counted = (
                np.bincount(lines, part, n_lines) for part in (weights.effective * units, weights.counted)
            )
            found = (freedom + power) / (freedom + counted)
        return found

    def update(self, squares: np.ndarray, weights: Weights, cols: np.ndarray) -> NoiseLaw:
        """The law that the expected squared residuals and their weights speak for."""
        law = self.learnt(NoiseSums.of(squares, weights, cols, len(self.variances)))
        return replace(law, spread=self._spread(squares, weights, cols)) if self.robust else law

    def learnt(self, sums: NoiseSums) -> NoiseLaw:
        """The law that sums over entries speak for; the spread of what is gross stays."""
        power, count = sums.power, sums.counted
        common = power.sum() / max(count.sum(), 1.0)
        own = np.full_like(power, common)
        if not self.common:
            each = np.sqrt((power + common) / (count + 1.0))
            seen = count > 0.0
            usual = (float(each @ seen) / np.count_nonzero(seen)) ** 2 if seen.any() else common
            own = (power + _COMMON * usual) / (count + _COMMON)
        is_sharp = self.common or (self.robust and not self.shares[1])
        law = replace(self, variances=np.maximum(own, _LEAST_COMMON if is_sharp else _LEAST_VARIANCE))
        if not self.robust:
            return law
        counts = _COUNTS * (self.shares > 0.0) + sums.parts  # a part that is not there stays away
        shares, wrong = counts / counts.sum(), None
        if self.wrong is not None:
            each = (sums.wrong + _USUAL * shares[2]) / (sums.counted + sums.wrong + _USUAL)
            wrong = np.where(self.wrong > 0.0, each, 0.0)
        return replace(law, shares=shares, wrong=wrong)

    def _spread(self, squares: np.ndarray, weights: Weights, cols: np.ndarray) -> float:
        """Median size of what is gross, in noise scales."""
        middle = median_gross(squares, _short(cols), self.variances, weights.gross, _HARDLY)
        return max(middle, _LEAST_SPREAD) if middle else self.spread

    def with_errors(self, least: float) -> NoiseLaw:
        """The law where at least such a share is gross."""
        gross = max(float(self.shares[2]), least)
        shares = np.append(self.shares[:2] * (1.0 - gross) / self.shares[:2].sum(), gross)
        wrong = None if self.wrong is None else np.where(self.wrong > 0.0, np.maximum(self.wrong, least), 0.0)
        return replace(self, shares=shares, wrong=wrong)

    def without_wide(self) -> NoiseLaw:
        """The law where what is wide is an error: of a sharp rank the core is all of the noise."""
        return replace(self, shares=self.shares * [1.0, 0.0, 1.0] / (1.0 - self.shares[1]))


def log_variances_of_lines(units: np.ndarray, lines: np.ndarray, n_lines: int, freedom: float) -> np.ndarray:
    """First guess of the logarithms of noise variances of lines: the mean of those of squares, drawn to zero."""
    count = np.bincount(lines, minlength=n_lines)
    total = np.bincount(lines, np.log(np.maximum(units, _LEAST_SQUARE)) - _MEAN_LOG, n_lines)
    return total / (count + freedom)


def pooled_chances(chances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probabilities of entries to be errors, by those of members of an average, (members, entries), of these weights.

    Their log-odds are averaged: a member that is certain counts for more than one that is in doubt (C. Genest and
    J. V. Zidek, "Combining probability distributions", Statistical Science 1(1), 1986). Odds beyond 10,000 to one count
    as these, if not all members have them: one alone would decide.
    """
    limits = np.finfo(np.float64)
    odds, most = logit(np.clip(chances, limits.tiny, 1.0 - limits.eps)), -logit(_FEW)
    odds = np.clip(odds, np.minimum(-most, odds.max(axis=0)), np.maximum(most, odds.min(axis=0)))
    found: np.ndarray = expit(weights @ odds)
    return found


def _gaussian(missed: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Normal density of mean zero."""
    return np.exp(-0.5 * np.minimum(missed**2 / variance, 1400.0)) / np.sqrt(2.0 * np.pi * variance)


def _short(cols: np.ndarray) -> np.ndarray:
    """Numbers of columns in the type that kernels are compiled for."""
    return cols.astype(np.int32, copy=False)
