"""Rows and columns of a sharp fit that meet their errors: what they miss is unlike the errors of all others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._operators.observed import Entries
from .._rows.odds import ODDS
from .._rows.regression import RowSpace
from .._utils.stats import find_repeated
from .._utils.values import Factors, Options, StopReason
from .measurements import LowRankFit

# Share of the entries of a line that it misses, from which it may have met its errors. And the most times that lines
# are looked at, for each that is turned tells more of what errors are like. No others were tried. Without all of this,
# of 250 matrices with many large errors 213 are right, not 218, and 4, not none, are "exact" or "noisy" and wrong in
# what is identifiable (``asv_bench/studies/doubtful.py --row large --seed 951000``).
_CONTESTED, _ROUNDS = 1.0 / 3.0, 3
# Widths within which errors are near to one another.
_NEAR = 5.0


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

    def log_odds(self, residual: np.ndarray, own: np.ndarray) -> float:
        """Logarithm of how likely residuals of a line are, beside that of a line that has none beyond the width.

        Half of the errors are the same as those of other lines, without its `own`, as far as these are more than near
        ones are; the others are as likely wherever they are, for the noise of the line may be larger.
        """
        e = residual[np.abs(residual) > self.width]
        own = np.sort(own[np.abs(own) > self.width])
        n, size = len(self.values) - len(own), float(np.median(np.abs(self.values)))
        same, near = (self._count(self.values, e, reach) - self._count(own, e, reach) for reach in (1.0, _NEAR))
        same = np.maximum(same - near / _NEAR, 0.0) / (1.0 - 1.0 / _NEAR)
        density = 0.5 * same / max(n, 1) + self.width / (np.pi * size)
        return float(np.sum(np.log(density) + self.odds))

    def _count(self, values: np.ndarray, e: np.ndarray, reach: float) -> np.ndarray:
        """Number of sorted values nearer to each error than so many widths."""
        width = reach * self.width
        return np.searchsorted(values, e + width, "right") - np.searchsorted(values, e - width)


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
    if not turned.any():
        return turned, factor
    found = space.regress(entries.subset(wrong & turned[entries.rows]), n_jobs=n_jobs)
    turned &= space.is_identifiable(found.met) & (found.met <= seen - missed)
    other, law = space.residual(entries, found.factors), _ErrorLaw.of(residual, width)
    least = ODDS + np.log(len(seen))  # any of so many may be likelier by chance
    for i in np.flatnonzero(turned):
        own = slice(entries.indptr[i], entries.indptr[i + 1])
        before, after = (law.log_odds(each[own], residual[own]) for each in (residual, other))
        turned[i] = after > before + least
    return turned, np.where(turned[:, None], found.factors, factor)
