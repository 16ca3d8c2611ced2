"""Rows and columns of a sharp fit that meet their errors: what they miss is unlike the errors of all others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._rows.odds import ODDS
from .._rows.regression import RowSpace
from .._utils.stats import find_repeated, quantile
from .._utils.values import Factors, Options, StopReason
from .measurements import LowRankFit

# Share of the entries of a line that it misses, from which it may have met its errors. And the most times that lines
# are looked at, for each that is turned tells more of what errors are like. No others were tried. Without all of this,
# of 250 matrices with many large errors 213 are right, not 220, and 4, not none, are "exact" or "noisy" and wrong in
# what is identifiable (``asv_bench/studies/doubtful.py --row large --seed 951000``).
_CONTESTED, _ROUNDS = 1.0 / 3.0, 3
# Widths within which errors are near to one another, and what is more within one of them: times what would be usual,
# which it is less than where a uniform law ends, and standard deviations of that.
_NEAR, _MORE, _CHANCE = 5.0, 2.0, 4.0


class MetErrors(NamedTuple):
    """Factors of a fit whose rows and columns meet no errors, and a mask of the errors of those that had met them."""

    factors: Factors
    errors: np.ndarray


class _ErrorLaw(NamedTuple):
    """What errors are like: their sorted residuals, the logarithm of the odds of them, and a `width`.

    Residuals up to the `width` are met, and errors as near to one another are the same.
    """

    values: np.ndarray
    odds: float
    width: float

    @classmethod
    def of(cls, residual: np.ndarray, width: float) -> _ErrorLaw:
        """That of what is beyond the width."""
        values = np.sort(residual[np.abs(residual) > width])
        return cls(values, float(np.log((len(values) + 1.0) / (len(residual) - len(values) + 1.0))), width)

    @property
    def log_odds_of_one(self) -> tuple[float, float]:
        """Least and largest part of one error in :meth:`log_odds`."""
        nothing = np.empty(0)
        density = self._density(self.values, nothing) if len(self.values) else nothing
        most = float(np.max(density, initial=self._least))
        return float(np.log(self._least)) + self.odds, float(np.log(most)) + self.odds

    def log_odds(self, residual: np.ndarray, own: np.ndarray) -> float:
        """Logarithm of how likely residuals of a line are, beside that of a line that has none beyond the width.

        Half of the errors are the same as those of other lines, without its `own`, as far as these are far more than
        near ones are, beyond chance; the others are as likely wherever they are, for the noise of the line may be
        larger.
        """
        e, own = (each[np.abs(each) > self.width] for each in (residual, own))
        return float(np.sum(np.log(self._density(e, np.sort(own))) + self.odds))

    @property
    def _least(self) -> float:
        """Density of errors that are like no others, those that are met being one."""
        size = quantile(np.abs(self.values), 0.5) if len(self.values) else self.width
        return max(self.width / size / np.pi, float(np.finfo(np.float64).tiny))

    def _density(self, e: np.ndarray, own: np.ndarray) -> np.ndarray:
        """That of errors, beside sorted ones without those of the own line."""
        with np.errstate(over="ignore"):  # beside extreme errors
            (same, width), (near, wide) = (self._near(e, own, reach) for reach in (1.0, _NEAR))
        usual = near * width / wide
        more = np.maximum(same - _MORE * usual - _CHANCE * np.sqrt(usual), 0.0) / (1.0 - _MORE / _NEAR)
        return 0.5 * more / max(len(self.values) - len(own), 1) + self._least

    def _near(self, e: np.ndarray, own: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Number of errors within so many widths of each, and how much of that is beyond the width, in widths."""
        low, high = e - reach * self.width, e + reach * self.width
        count, of_own = (
            np.searchsorted(each, high, "right") - np.searchsorted(each, low) for each in (self.values, own)
        )
        met = np.minimum(high / self.width, 1.0) - np.maximum(low / self.width, -1.0)
        return count - of_own, 2.0 * reach - np.maximum(met, 0.0)


def find_met_errors(entries: Entries, fit: LowRankFit, options: Options) -> MetErrors | None:
    """A sharp fit, rows and columns of which are regressed on what they miss, where this is right; None if nowhere.

    Where most values of a column have one and the same error, it is this that is met, and the right values are missed
    by its opposite, as none are elsewhere. None where values keep coming back, too: the same is missed by them then.
    """
    if fit.verdict.code not in (StopReason.EXACT, StopReason.NOISY) or not (fit.rank and options.polish):
        return None
    factors = [factor.astype(np.float64) for factor in fit.factors]
    turned = [np.zeros(n, dtype=bool) for n in entries.shape]
    for _ in range(_ROUNDS):
        found = False
        for side, each in enumerate((entries, entries.transposed())):
            space = RowSpace.learn(factors[1 - side], factors[side], slice(None), fit.row_scale)
            lines, factors[side] = _turn(space, each, factors[side], fit.threshold, options.n_jobs)
            turned[side] |= lines
            found |= bool(lines.any())
        if not found:
            break
    rows, cols = turned
    if not (rows.any() or cols.any()) or find_repeated(entries.y, entries.rows, entries.cols).any():
        return None
    space = RowSpace.learn(factors[1], factors[0], slice(None), fit.row_scale)
    missed = np.abs(space.residual(entries, factors[0])) > fit.threshold
    return MetErrors(Factors(*factors), missed & (rows[entries.rows] | cols[entries.cols]))


def _turn(
    space: RowSpace, entries: Entries, factor: np.ndarray, width: float, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the rows of a factor that meet errors, told by those elsewhere, and the factor where they do not.

    Rows that would meet more elsewhere are left as they are: what they miss may be values at which a sensor hangs.
    """
    residual, seen = space.residual(entries, factor), np.diff(entries.indptr)
    wrong = np.abs(residual) > width
    missed = np.bincount(entries.rows[wrong], minlength=len(seen))
    turned = (missed > space.rank) & (missed >= _CONTESTED * seen)
    law, chosen = _ErrorLaw.of(residual, width), ODDS + np.log(len(seen))  # any of so many may be likelier by chance
    # beside errors that are all unlike nothing can be
    least, most = law.log_odds_of_one
    turned &= np.maximum(missed, seen - missed) * most > missed * least + chosen
    if not turned.any():
        return turned, factor
    found = space.regress(entries.subset(wrong & turned[entries.rows]), n_jobs=n_jobs)
    turned &= space.is_identifiable(found.met) & (found.met <= seen - missed)
    other = space.residual(entries, found.factors)
    for i in np.flatnonzero(turned):
        own = slice(entries.indptr[i], entries.indptr[i + 1])
        before, after = (law.log_odds(each[own], residual[own]) for each in (residual, other))
        turned[i] = after > before + chosen
    return turned, np.where(turned[:, None], found.factors, factor)
