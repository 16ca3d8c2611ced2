"""Rows of a matrix regressed on a fixed row space, each alone, in parallel blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from .._kernels.entries import count_met, full_residual, limit_met, rows_residual
from .._kernels.guesses import expect_rows, guess_full_rows, guess_rows
from .._kernels.rows import LEAST_INLIERS, regress_rows, start_work, starts_needed
from .._operators.observed import Entries
from .._utils.rules import FLAG_WIDTH
from .._utils.threads import count_threads, interruptible, run_parts, slices, working_for
from .odds import ODDS, GrossErrors, log_odds

# Most work, in multiplications, that random starts may cost a row on which re-weighted l1 has failed.
_START_WORK = 3e7
# The same of one of which chance may have picked what it meets, and share of inliers that it is looked for.
_MORE_WORK, _FEW_INLIERS = 3e6, 0.3
# Noise, relative to the data, below which a few entries settle a row, and most fits to so few that are tried.
_NEGLIGIBLE, _MOST_GUESSES = 1e-6, 60
# Hyperplanes through columns that are looked at, and influence, in units of the largest, that is none. One that holds
# two thirds of the columns is found in 0.92 of cases with ten coefficients.
_HYPERPLANES, _NO_INFLUENCE = 100, 1e-7


def count_starts(length: int, rank: int, share: float = LEAST_INLIERS, work: float = _START_WORK) -> int:
    """Random starts of a row of which this share is inliers, within the work of one."""
    needed = starts_needed.plain(share, rank)
    return int(max(20, min(needed, work / start_work(length, rank))))


def _range_unit(size: float) -> float:
    """Divisor of data of this size that keeps their squares in range; 1 where they are anyhow."""
    return 1.0 if size == 0.0 or 1e-100 < size < 1e100 else float(min(size, np.finfo(np.float64).max))


@dataclass(frozen=True)
class Regression:
    """Coefficients of rows, and what they leave.

    `met` counts the entries of each row within the flag width of the noise scale; `residual`, and the mask `beyond` of
    residuals beyond a threshold, follow the order of the entries (empty where not asked for).
    """

    factors: np.ndarray
    met: np.ndarray
    residual: np.ndarray
    beyond: np.ndarray

    def without_residual(self) -> Regression:
        """The same where no residuals are asked for."""
        return replace(self, residual=self.residual[:0])


@dataclass(frozen=True)
class RowSpace:
    """What rows are regressed on: an entry in column j of a row with coefficients x is basis_j . x.

    `center` and `root` are the mean and the square root of the covariance of the coefficients of known rows, the prior
    of rows with too few entries. `scale` is the noise scale. `efficient` says that the noise is Gaussian-like, so that
    bisquare weights are used and not l1. `known` masks the columns that say something of a row (None: all do), and
    entries with one of the `repeated` values say nothing. `seen_range` is what estimates of each column are held to
    (None: where the rank is sharp, those beyond what is seen are right). Columns with `units` of their own count in
    these: the noise scale, and a threshold, are in them (None: all are one). `errors` are those that
    are to be expected (None: nothing is known of them).
    """

    basis: np.ndarray
    center: np.ndarray
    root: np.ndarray
    scale: float
    efficient: bool
    known: np.ndarray | None = None
    repeated: np.ndarray | None = None
    seen_range: tuple[np.ndarray, np.ndarray] | None = None
    units: np.ndarray | None = None
    errors: GrossErrors | None = None
    #: Rows that meet less than half of their entries are begun at random starts, too.
    is_thorough: bool = True

    #: Its rank is sharp.
    is_sharp = True

    @classmethod
    def learn(
        cls,
        basis: np.ndarray,
        coefficients: np.ndarray,
        rows: np.ndarray | slice,
        scale: float,
        *,
        efficient: bool = True,
        known: np.ndarray | None = None,
        row_weight: np.ndarray | None = None,
        errors: GrossErrors | None = None,
    ) -> RowSpace:
        """Take the prior from the coefficients of some `rows` (mask), as often as they count; of all where none is."""
        basis = np.ascontiguousarray(basis, dtype=np.float64)
        sample = coefficients[rows].astype(np.float64)
        weight = np.ones(len(coefficients)) if row_weight is None else row_weight
        weight = weight[rows]
        if not len(sample):
            sample = coefficients.astype(np.float64) if len(coefficients) else np.zeros((1, basis.shape[1]))
            weight = np.ones(len(sample))
        center = np.average(sample, axis=0, weights=weight)
        _, s, vt = np.linalg.svd((sample - center) * np.sqrt(weight)[:, None], full_matrices=False)
        return cls(basis, center, (vt.T * (s / np.sqrt(weight.sum()))) @ vt, scale, efficient, known, errors=errors)

    @property
    def rank(self) -> int:
        """Number of coefficients of a row."""
        return self.basis.shape[1]

    def is_identifiable(self, met: np.ndarray) -> np.ndarray:
        """Mask of the rows whose coefficients meet more entries than they could by interpolation alone."""
        return met > self.rank

    def log_odds(self, factors: np.ndarray, met: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """How far what rows meet, of so many entries, speaks for their coefficients (:func:`_rows.odds.log_odds`).

        Rows that are not identifiable have none. Without noise chance meets nothing; where errors are not known, or the
        tails of the noise are heavy, it is not told.
        """
        errors, scale = self.errors, max(self.scale, np.finfo(np.float64).tiny)
        if self.is_clean or errors is None or not self.tells_chance:
            return -np.log(_NEGLIGIBLE) * (met - self.rank)
        with np.errstate(over="ignore", invalid="ignore"):
            away = (factors - self.center) @ self._unroot
        odds = log_odds(away, self.whitened / scale, met, seen, errors._replace(size=errors.size / scale))
        return np.where(self.is_identifiable(met), odds, -np.inf)

    @property
    def tells_chance(self) -> bool:
        """Whether chance is told (see :meth:`log_odds`)."""
        return self.efficient and (self.is_clean or (self._size > 0.0 and self.errors is not None))

    def expecting(self, entries: Entries, wrong: np.ndarray) -> RowSpace:
        """The same space, where as many errors, and as large ones, are expected as the mask tells of the entries."""
        return replace(self, errors=GrossErrors.of(entries.y - (self.basis @ self.center)[entries.cols], wrong))

    @cached_property
    def _unroot(self) -> np.ndarray:
        return np.linalg.pinv(self.root)

    @cached_property
    def whitened(self) -> np.ndarray:
        """The basis on which coefficients of known rows have unit covariance."""
        return np.ascontiguousarray(self.evened.basis @ self.root)

    @property
    def evened(self) -> RowSpace:
        """The same space of entries in the units of the columns."""
        return self if self.units is None else replace(self, basis=self.basis / self.units[:, None], units=None)

    def in_units(self, units: np.ndarray) -> RowSpace:
        """The same space where columns count in these units, in which its entries are now."""
        held = None if self.seen_range is None else (self.seen_range[0] * units, self.seen_range[1] * units)
        units = units if self.units is None else self.units * units
        return replace(self, basis=self.evened.basis * units[:, None], seen_range=held, units=units)

    @property
    def is_clean(self) -> bool:
        """Whether the noise is negligible, so that an entry is met or is not."""
        return bool(self.rank > 0 and self.scale <= _NEGLIGIBLE * self._size)

    @cached_property
    def _size(self) -> float:
        """Size of the entries of known rows."""
        basis = self.evened.basis
        return float(np.mean(np.abs(basis @ self.center)) + np.mean(np.abs(basis @ self.root)))

    @cached_property
    def shared(self) -> float:
        """Largest share of the columns on which a direction of coefficients has no influence; 0 where few have none.

        Of factors in general position as many columns have none as there are coefficients less one. Of groups, most
        have none. It is that of directions without influence on random ones.
        """
        (p, k), basis = self.basis.shape, self.basis
        if not 1 < k < p:
            return 0.0
        some = np.argsort(np.random.RandomState(0).uniform(size=(_HYPERPLANES, p)), axis=1)[:, : k - 1]
        direction = np.linalg.svd(basis[some])[2][:, -1]
        influence = np.abs(basis @ direction.T)
        none = np.count_nonzero(influence <= _NO_INFLUENCE * influence.max(axis=0), axis=0).max()
        return float(none) / p if none >= 2 * k else 0.0

    def gross(self, entries: Entries, regression: Regression) -> np.ndarray:
        """Mask of the gross errors: rows that are not identifiable have none, unless they are unlike any other.

        Then most of their entries are two standard deviations away from those of the others. Without noise, and where
        entries are too few to tell, no verdict is passed.
        """
        told, seen = self.is_identifiable(regression.met), np.diff(entries.indptr)
        if self.tells_chance and not self.is_clean and not told.all():
            spread = 2.0 * np.hypot(self.scale, np.hypot.reduce(self.whitened, axis=1))
            spread = spread if self.units is None else spread * self.units
            far = np.abs(entries.y - (self.basis @ self.center)[entries.cols]) > spread[entries.cols]
            told = told | ((2 * entries.counts(far)[0] > seen) & (seen > self.rank))
        flags = regression.beyond & told[entries.rows]
        return flags if self.known is None else flags & self.known[entries.cols]

    def regress(
        self,
        entries: Entries,
        *,
        n_jobs: int | None = None,
        residual: bool = False,
        threshold: float | None = None,
        thorough: bool = True,
    ) -> Regression:
        """Regress rows, each alone; if not `thorough`, without random starts for those that meet less than half.

        Rows that are not identifiable get the posterior mean under the prior, a row without entries the centre. The
        residuals are returned where `residual` asks for them, the mask of those beyond a `threshold` where it is given.
        """
        if self.units is not None:
            fit = self.evened.regress(
                entries.divided(self.units), n_jobs=n_jobs, residual=residual, threshold=threshold, thorough=thorough
            )
            return replace(fit, residual=self.residual(entries, fit.factors)) if residual else fit
        idle = self._idle(entries)
        if idle is not None:
            fit = self.regress(entries.subset(~idle), n_jobs=n_jobs, thorough=thorough)
            rest = self.residual(entries, fit.factors)
            beyond = np.zeros(0, dtype=bool) if threshold is None else np.abs(rest) > threshold
            return Regression(fit.factors, fit.met, rest if residual else rest[:0], beyond)
        n_rows = entries.shape[0]
        factors = np.zeros((n_rows, self.rank))
        met = np.zeros(n_rows, dtype=np.int64)
        out = np.empty(len(entries.y) if residual else 0, dtype=entries.dtype)
        beyond = np.empty(0 if threshold is None else len(entries.y), dtype=bool)
        regressor = _Regressor(self, thorough and self.is_thorough)

        def block(lo: int, hi: int) -> None:
            where = slice(entries.indptr[lo], entries.indptr[hi])
            asked = out[where], beyond[where], np.inf if threshold is None else threshold
            regressor.block(entries, lo, hi, factors[lo:hi], met[lo:hi], *asked)

        pairs = list(pairwise(entries.bounds()))
        with interruptible() as token:
            task = working_for(token)(lambda p: block(*pairs[p]))
            run_parts(task, len(pairs), count_threads(n_jobs))
        return Regression(factors, met, out, beyond)

    def predict(self, factors: np.ndarray) -> np.ndarray:
        """Estimates of all entries of rows."""
        return factors @ self.basis.T

    def _idle(self, entries: Entries) -> np.ndarray | None:
        """Mask of the entries that say nothing of a row; None without any.

        They have repeated values, or are in columns that are not known, or where the row space vanishes: zeros there
        are met by all coefficients alike, and counted among those met, they would pass any.
        """
        size = np.abs(self.basis).max(axis=1, initial=0.0)
        blank = size <= 1e-9 * size.max(initial=0.0)
        if self.known is not None:
            blank |= ~self.known
        masks = [] if self.repeated is None else [np.isin(entries.y, self.repeated)]
        if blank.any() and not blank.all():
            masks.append(blank[entries.cols])
        mask = np.any(masks, axis=0) if masks else None
        return mask if mask is not None and mask.any() else None

    def without(self, repeated: np.ndarray) -> RowSpace:
        """The same space, for which entries with one of these values say nothing of a row."""
        return replace(self, repeated=repeated)

    def with_repeated(self) -> RowSpace:
        """The same space, for which no value says nothing of a row."""
        return replace(self, repeated=None)

    def holding(self, columns: np.ndarray, entries: Entries) -> RowSpace:
        """The same space, its estimates of some columns, a mask, between the least and the largest of their entries."""
        if not columns.any():
            return self
        low, high = entries.extremes()
        held = columns & (low <= high)
        return replace(self, seen_range=(np.where(held, low, -np.inf), np.where(held, high, np.inf)))

    def beside(self, lost: np.ndarray, medians: np.ndarray) -> RowSpace:
        """The same space beside columns that it says nothing of, a mask: they are at their medians."""
        low, high = (np.full(len(lost), limit) for limit in (-np.inf, np.inf))
        low[lost] = high[lost] = medians
        known = ~lost if self.known is None else self.known & ~lost
        return replace(self, basis=np.where(lost[:, None], 0.0, self.basis), known=known, seen_range=(low, high))

    def residual(self, entries: Entries, factors: np.ndarray) -> np.ndarray:
        """Residual basis_j . x_i - y of the entries at given coefficients, in the type of y."""
        residual = np.empty(len(entries.y), dtype=entries.dtype)
        for lo, hi in pairwise(entries.bounds()):
            indptr, cols, y, _ = entries.block(lo, hi)
            rest = np.empty(len(y))
            rows_residual(indptr, cols, y, self.basis, np.ascontiguousarray(factors[lo:hi], np.float64), rest)
            residual[entries.indptr[lo] : entries.indptr[hi]] = rest
        return residual


class _Regressor:
    """The regression of blocks of rows on a row space: what all blocks share, and the stages of one."""

    def __init__(self, space: RowSpace, thorough: bool):
        self._space = space
        self._basis = space.basis
        self._turned = np.ascontiguousarray(space.basis.T)
        self._whitened = space.whitened
        self._center = space.basis @ space.center
        size = np.mean(np.abs(self._center)) + np.mean(np.abs(self._whitened))
        self._unit = _range_unit(max(size, space.scale))
        self._starts = count_starts(len(space.basis), space.rank) if thorough else 0
        self._scale = float(max(space.scale, np.finfo(np.float64).tiny))
        self._reach = FLAG_WIDTH * self._scale
        self._is_clean = space.is_clean

    def block(
        self,
        entries: Entries,
        lo: int,
        hi: int,
        x: np.ndarray,
        met: np.ndarray,
        residual: np.ndarray,
        beyond: np.ndarray,
        threshold: float,
    ) -> None:
        """Regress the rows lo to hi into `x` and `met`.

        Where there is room for them, their residuals are written, and the mask of those beyond the threshold.
        """
        indptr, cols, y, _ = entries.block(lo, hi)
        is_full, is_judged, left = entries.full is not None, False, np.arange(hi - lo)
        rest: np.ndarray | None = None

        def evaluate() -> np.ndarray:
            rest = np.empty(len(y))
            if is_full:
                full_residual(y, self._turned, x, rest)
            else:
                rows_residual(indptr, cols, y, self._basis, x, rest)
            return rest

        if self._is_clean:
            good = np.empty(hi - lo, dtype=bool)
            if is_full:
                bounds = self._scale, self._reach, threshold, _MOST_GUESSES, self._space.shared
                guess_full_rows(indptr, cols, y, self._basis, self._turned, *bounds, x, met, good, beyond)
                is_judged = True
            else:
                guess_rows(indptr, cols, y, self._basis, self._reach, _MOST_GUESSES, x)
                rest = evaluate()
                count_met(indptr, rest, self._scale, self._reach, self._space.rank, self._space.shared, met, good)
            left = np.flatnonzero(~good)
            x[left] = 0.0
        if len(left):
            self._regress(indptr, cols, y, left, x, met)
        if self._is_clean and not is_full:  # by the prior others are known, as far as they are
            rest = evaluate() if len(left) or rest is None else rest
            limit_met(indptr, cols, rest, self._reach, self._basis, met)
        lost = np.flatnonzero(self._space.log_odds(x, met, np.diff(indptr)) <= ODDS)
        if len(lost):
            met[lost] = np.minimum(met[lost], self._space.rank)
            x[lost] = self._expect(indptr, cols, y, lost)[lost]
            if self._space.tells_chance and not self._is_clean:  # the most of them are errors
                x[lost[np.diff(indptr)[lost] > self._space.rank]] = self._space.center
        if len(left) or len(lost):
            rest, is_judged = None if len(lost) or is_full else rest, False
        if not len(residual) and (is_judged or not len(beyond)):
            return
        rest = evaluate() if rest is None else rest
        if len(residual):
            residual[:] = rest
        if len(beyond):
            np.greater(np.abs(rest), threshold, out=beyond)

    def _regress(
        self, indptr: np.ndarray, cols: np.ndarray, y: np.ndarray, some: np.ndarray, x: np.ndarray, met: np.ndarray
    ) -> None:
        """Robust regression of some rows; one that meets few entries is also begun at what the prior holds likely."""
        space = self._space
        data = indptr, cols, y, self._basis, self._scale, self._reach
        for part in slices(some, max(self._starts, 1) * start_work(*self._basis.shape)):
            regress_rows(*data, self._starts, space.shared, space.efficient, part, x, met)
        seen = np.diff(indptr)
        if self._starts and space.tells_chance:
            odds = space.log_odds(x[some], met[some], seen[some])
            lost = some[(odds <= ODDS) & (seen[some] > space.rank + 1)]
            if len(lost):
                more = count_starts(len(self._basis), space.rank, _FEW_INLIERS, _MORE_WORK)
                again, met_again = x.copy(), met.copy()
                for part in slices(lost, more * start_work(*self._basis.shape)):
                    regress_rows(*data, more, space.shared, True, part, again, met_again)
                # the more starts, the more is met by chance
                known = lost[space.log_odds(again[lost], met_again[lost], seen[lost]) > ODDS]
                x[known], met[known] = again[known], met_again[known]
        poor = some[2 * met[some] <= seen[some] + space.rank] if space.efficient else some[:0]
        if len(poor):
            again, met_again = self._expect(indptr, cols, y, poor), np.zeros_like(met)
            regress_rows(*data, 0, space.shared, True, poor, again, met_again)
            rival = space.log_odds(again[poor], met_again[poor], seen[poor])
            better = poor[rival > space.log_odds(x[poor], met[poor], seen[poor])]
            x[better], met[better] = again[better], met_again[better]

    def _expect(self, indptr: np.ndarray, cols: np.ndarray, y: np.ndarray, some: np.ndarray) -> np.ndarray:
        """Posterior means of some rows under the prior."""
        unit, space = self._unit, self._space
        with np.errstate(over="ignore"):  # an entry that is infinite in these units is left out
            even = y / unit, self._whitened / unit, self._center / unit, space.scale / unit
        x = np.zeros((len(indptr) - 1, space.rank))
        expect_rows(indptr, cols, *even, FLAG_WIDTH, some, x)
        x[some] = x[some] @ space.root + space.center
        return x
