"""Whether what is far from an estimate is noise or errors, in all columns or in some: the tail of residuals tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtr

from .._utils.arrays import sorted_within
from .._utils.rules import NORMAL_MEDIAN
from .noise import NoiseLaw
from .table import Table

# Sizes of residuals, in noise scales, whose density is looked at. From two on up to 4.7 % of wine is flagged beside
# missing values, for directions meet most of the core. Without a thought of leverage 1.1 % of cancer is, 0.7 % so.
_SIZES = np.arange(3.0, 20.1, 0.5)
# Share of these residuals that is in the wrong place for noise, at least, beyond chance. With 0.05 3 % of a clean
# photograph is flagged; with 0.1 0.36 instead of more than half of the errors within the range of a table are found
# (the tests of these errors). Swapped values of digits, of which 0.14 were found with 0.05 and more of chance, are not.
_LEAST = 0.08
# Skewness of the quartiles from which the core is skewed: what a seventh of one-sided errors makes of normal noise. All
# of 24 tables of unrelated lognormal, exponential and gamma columns are told so, and none of 36 right fits of rank 1
# that are hardly better than medians; with 0.07 it is 24 and 6, with 0.15 19 and none.
_SKEWED = 0.1
# Least share of a column with errors or a mode of its own that is not: of two halves nothing is known.
_RIGHT = 0.7
# Columns for each one that may have errors of its own. With half of the columns, or all, a table of six columns that
# are the same by twos is missed by 1.46 times as much beside swapped values.
_FEW = 3
# Residuals of inliers, in noise scales, and standard deviations by which there may be more of them by chance.
_NEAR, _BY_CHANCE = 2.0, 2.0
# Distance of distribution functions that is as rare by chance as one in twenty, times the square root of the number of
# values (N. V. Smirnov, Uspekhi Matematicheskikh Nauk 10, 1944). With 2, and a share of 0.05, 69 % of few errors in 40
# real tables are found instead of 77, and 0.85 % of what is right is flagged, not 0.92 (many_tables.py --row few).
_APART = float(np.sqrt(-0.5 * np.log(0.05)))
# Probability of values of other columns that differ so much where residuals are large that this is no chance. Of 14
# real tables, clean and with errors of 10 sd, it is below 1e-4 in columns with a second mode or a tail, and above 0.01
# in most with errors alone.
_AT_RANDOM = 1e-3
# Most other columns that are asked, and most multiplications for that: of more rows, evenly spaced ones stand for all.
_ASKED, _MOST_WORK = 50, 2e7


def told_apart(law: NoiseLaw, table: Table, residual: np.ndarray, fitted: np.ndarray) -> NoiseLaw:
    """The law in which what is wide is errors where the residuals of a table have more of a tail than noise has.

    Large noise is rarer than small noise: the density of its sizes falls as that of a Cauchy law does, at least. Errors
    are of any size, fewer than what is right, and come at random. A column may have several modes, or a tail, without
    any error: one that has hardly more values than noise scales does not count, nor does one of whose large residuals
    the rest of the row tells, nor do those of the others, and rows, that have more large residuals than half of them,
    beyond chance, for errors are in all. A `residual` is what an estimate without its entry would leave, `fitted` are
    the estimates with all.
    """
    if not law.robust:
        return law
    size = np.abs(table.root_weight * residual) / np.sqrt(law.variances[table.cols])
    quiet, large = _is_quiet(table, size), size > _SIZES[0]
    random = _come_at_random(table, large, quiet) | _are_limited(table, large, residual, fitted)
    if not random.all():
        wrong = None if law.wrong is None else np.where(random, law.wrong, 0.0)
        law = replace(law, large=_with_large(table, size, large, random), wrong=wrong)
    else:
        law = replace(law, large=None)
    if law.shares[0] < 0.5:
        return law
    counts = _is_ordinary(table, law, size, random)[table.cols] & quiet[table.rows]
    return replace(law, wide_is_errors=_falls_too_slowly(size) and _falls_too_slowly(size[counts]))


def _with_large(table: Table, size: np.ndarray, large: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Mean square of the noise of each column, some of which is large where that does not come at `random`.

    Errors are as many there as in the other columns. The rest is noise: the smallest, taken as their median.
    """
    p, n = table.shape[1], np.maximum(np.diff(table.column_bounds), 1)
    count = np.bincount(table.cols, large, p)
    errors = float(np.median((count / n)[random])) if random.any() else 0.0
    noise = np.where(random, 0.0, np.maximum(count - errors * n, 0.0))
    order = sorted_within(table.cols[large], size[large], p)
    if not len(order):
        return np.ones(p)
    middle = np.cumsum(count) - count + np.floor(0.5 * noise)
    usual = size[large][order][np.minimum(middle, len(order) - 1).astype(int)]
    return 1.0 + noise / n * (usual**2 - 1.0)


def columns_told_apart(law: NoiseLaw, table: Table, residual: np.ndarray) -> NoiseLaw | None:
    """The law in which some columns have a share of gross errors of their own; None where none needs one.

    Beside the others, the errors of a single column are so rare that they are wide noise of a column that has much of
    it: none of 10 % errors in one column of wine was found in half of the cases, and RobustPCA was PCA. They are told
    by the sizes of residuals in units of the median one of the column. Those in most columns are told by all of them.
    Columns of few values do not count, nor do those of which most entries have the same value, and those that have no
    more large residuals than half of them, beyond chance.
    """
    if law.wide_is_errors:
        return None
    size, n = np.abs(table.root_weight * residual), np.diff(table.column_bounds)
    order = sorted_within(table.cols, size, len(n))
    middle = order[np.minimum(table.column_bounds[:-1] + n // 2, len(order) - 1)]
    scale = np.where(n > 0, size[middle], 0.0) / NORMAL_MEDIAN
    seen = scale > 0.0
    units = np.where(seen, scale, 1.0)
    fine = seen & _is_fine(table, replace(law, variances=units**2), size / units[table.cols])
    if table.tied is not None:  # others are rare, not wrong
        fine[table.cols[table.tied]] = False
    far = np.bincount(table.cols, size > _SIZES[0] * units[table.cols], len(n)) / np.maximum(n, 1)
    usual = n * np.median(far[seen]) if seen.any() else far
    told, slow = n * far > usual + _BY_CHANCE * np.sqrt(usual), fine & (far > 0.0) & (far <= 1.0 - _RIGHT)
    for some in (told, ~told):  # where there are none of the former, the others do not matter
        for j in np.flatnonzero(slow & some):
            slow[j] = _falls_too_slowly(size[order[table.column_bounds[j] : table.column_bounds[j + 1]]] / scale[j])
        if not (slow & told).any():
            return None
    wrong = np.where(slow & told, far, 0.0)
    if _FEW * np.count_nonzero(slow) > len(n):
        return None
    variances = np.where(wrong > 0.0, np.minimum(law.variances, scale**2), law.variances)
    return replace(law, variances=variances, wrong=wrong)


def are_tail_of_noise(residual: np.ndarray, cols: np.ndarray) -> bool:
    """Whether what is large of residuals, in noise scales, is a tail of noise and no errors: the core is skewed, too.

    There are more than normal ones, they fall as noise does, and the quartiles are skewed to the side of each
    column that has most of them (A. L. Bowley, "Elements of Statistics", 1920).
    """
    size, usual = np.abs(residual), 2.0 * ndtr(-_SIZES[0]) * len(residual)
    far = (size > _SIZES[0]) & (size < _SIZES[-1])
    if np.count_nonzero(far) <= usual + _BY_CHANCE * np.sqrt(usual) or _falls_too_slowly(size):
        return False
    side = np.sign(np.bincount(cols, far * np.sign(residual)))[cols]
    low, middle, high = np.quantile((side * residual)[side != 0.0], [0.25, 0.5, 0.75]) if side.any() else np.zeros(3)
    return bool(high + low - 2.0 * middle > _SKEWED * (high - low))


def _falls_too_slowly(size: np.ndarray) -> bool:
    """Whether the density of sizes falls more slowly than the tail of a Cauchy law somewhere, beyond chance.

    Their distribution function is compared with that of the nearest density which falls as fast everywhere, as the
    nearest one that never rises is found (U. Grenander, "On the theory of mortality measurement", Skandinavisk
    Aktuarietidskrift 39, 1956).
    """
    count = np.histogram(size, _SIZES)[0]
    cauchy = 1.0 / (_SIZES[1:] * _SIZES[:-1])
    falling = cauchy * isotonic_regression(count / cauchy, weights=cauchy, increasing=False).x
    moved = float(np.max(np.cumsum(falling - count)))
    return bool(moved > _LEAST * count.sum() + _APART * np.sqrt(count.sum()))


def _come_at_random(table: Table, large: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """Mask of the columns whose `large` residuals come at random, but for chance: the rest of the row tells of none.

    Ranks of the values of other columns, and how far they are from the middle, are compared with those where residuals
    are not large. Only `quiet` rows, a mask, count: others may be errors as a whole. Of a column of which too many are
    large nothing is known.
    """
    n, p = table.shape
    asked = np.unique(np.linspace(0, p - 1, min(p, _ASKED)).astype(int))
    step = max(int(np.ceil(n * p * len(asked) / _MOST_WORK)), 1)
    some = quiet[table.rows] & (table.rows % step == 0)
    seen, wide, ranks = np.zeros((3, -(-n // step), p))
    where = table.rows[some] // step, table.cols[some]
    seen[where], wide[where] = 1.0, large[some]
    ranks[where] = _ranks(table.values, table.cols, p, table.by_value)[some]
    others = seen[:, asked]
    m, both, ranks = wide.T @ others, seen.T @ others, ranks[:, asked]
    chance, tiny = np.zeros((p, len(asked))), np.finfo(np.float64).tiny
    for score in (ranks, np.abs(ranks)):
        mean, square = (seen.T @ values / np.maximum(both, 1.0) for values in (score, score**2))
        spread = m * (both - m) * (square - mean**2) / np.maximum(both - 1.0, 1.0)
        chance += np.where(spread > 0.0, (wide.T @ score - m * mean) ** 2 / np.maximum(spread, tiny), 0.0)
    chance[asked, np.arange(len(asked))] = 0.0  # of a column itself they tell
    told = np.exp(-0.5 * chance.max(axis=1)) * len(asked) < _AT_RANDOM  # of chi-squared, with two degrees of freedom
    share = np.bincount(table.cols, large, p) / np.maximum(np.diff(table.column_bounds), 1)
    return ~told | (share > 1.0 - _RIGHT)


def _ranks(values: np.ndarray, cols: np.ndarray, p: int, order: np.ndarray) -> np.ndarray:
    """Ranks of values in their columns, from -1/2 to 1/2, by the order of both; equal ones have the same."""
    cols, values = cols[order], values[order]
    n = np.bincount(cols, minlength=p)
    is_new = np.append(np.ones(len(values[:1]), dtype=bool), (values[1:] != values[:-1]) | (cols[1:] != cols[:-1]))
    tie, place = np.cumsum(is_new) - 1, np.arange(len(cols)) - (np.cumsum(n) - n)[cols] + 0.5
    found = np.empty(len(cols))
    found[order] = (np.bincount(tie, place) / np.bincount(tie))[tie] / n[cols] - 0.5
    return found


def _are_limited(table: Table, large: np.ndarray, residual: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Mask of the columns that a limit holds: they do not reach estimates that are far from the middle.

    Large residuals are on this side of these, and most are at values that others have, too.
    """
    p, cols, values = table.shape[1], table.cols, table.values
    low, high = np.full(p, np.inf), np.full(p, -np.inf)
    np.minimum.at(low, cols[~large], values[~large])
    np.maximum.at(high, cols[~large], values[~large])
    cols, values = cols[large], values[large]
    place = _ranks(fitted, table.cols, p, sorted_within(table.cols, fitted, p))
    beyond = np.sign(residual[large]) * place[large]
    outward, squares = (np.bincount(cols, v, p) for v in (beyond, beyond**2))
    inside = np.bincount(cols, (values >= low[cols]) & (values <= high[cols]), p)
    return (2.0 * inside > np.bincount(cols, minlength=p)) & (outward < -_BY_CHANCE * np.sqrt(squares))


def _is_ordinary(table: Table, law: NoiseLaw, size: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Mask of the columns that have many values, and no more large residuals than half of these, but for chance.

    Those count whose large residuals come at `random`. None where most columns do not: of the others nothing is known
    that they have in common. One of which most entries have the same value does not count, if there are others.
    """
    fine, n = _is_fine(table, law, size) & random, np.diff(table.column_bounds)
    counts = np.ones(len(n), dtype=bool) if table.tied is None else np.bincount(table.cols, table.tied, len(n)) == 0.0
    counts |= not counts.any()
    if 2 * np.count_nonzero(fine & counts) <= np.count_nonzero(counts):
        return np.zeros_like(fine)
    large = np.bincount(table.cols, size > _NEAR, minlength=len(fine))
    usual = n * np.median(large[fine] / np.maximum(n[fine], 1))
    return fine & (large <= usual + _BY_CHANCE * np.sqrt(usual))


def _is_quiet(table: Table, size: np.ndarray) -> np.ndarray:
    """Mask of the rows that have no more large residuals than half of them, but for chance."""
    n = np.diff(table.indptr)
    large = np.bincount(table.rows, size > _NEAR, minlength=len(n))
    rate = (large + 1.0) / (n + 2.0)  # of few entries most have none
    usual = n * (np.median(rate[n > 0]) if n.any() else 0.0)
    return large <= usual + _BY_CHANCE * np.sqrt(usual)


def _is_fine(table: Table, law: NoiseLaw, size: np.ndarray) -> np.ndarray:
    """Mask of the columns whose inliers mostly have values less than a noise scale apart, but for equal ones."""
    order = table.by_value
    order = order[size[order] < _NEAR]
    cols, step = table.cols[order], np.diff(table.values[order])
    differ = (cols[1:] == cols[:-1]) & (step > 0.0)
    cols, step = cols[1:][differ], step[differ]
    small = step < np.sqrt(law.variances)[cols]
    return np.bincount(cols, np.where(small, 1.0, -1.0), minlength=table.shape[1]) > 0.0
