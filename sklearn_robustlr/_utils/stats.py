"""Robust statistics: quantiles by partition, and sizes and scales from them."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from .arrays import sorted_within
from .rules import LOSS_LEVEL, NORMAL_MEDIAN

# Values from which a sample bounds a quantile (partition by SIMD instructions is as fast up to there), and how many
# standard deviations of the rank in that sample these bounds are away.
_MANY, _BEYOND = 20_000, 3.0
# Share of the values, and their number, beyond which one occurs often; values, of many, among which it is looked for
# first.
_OFTEN, _FEWEST_OFTEN, _SAMPLE = 0.005, 10, 20_000
# Share of the values of a row or column that occur again from which it has no others; and share of them that one value
# has, with that elsewhere in units of it, beyond and below which it is its own (``asv_bench/studies/repeated.py``; with
# more than half, none of 20 matrices is right in which each sensor is stuck for half of the time, 17 so).
_DISCRETE, _MOST, _RARE = 0.95, 2.0 / 3.0, 0.25
# Values from which the middle is a mean of several. Of indicators of countries by years (992 x 18, half of the rows are
# rates and half counts) hidden values are missed by 0.001 sd where it is that of as many as twice or four times the
# standard deviation of the rank; by 0.17 with once that, by 0.38 with the median. Of few values errors would be among
# them. With 32 (and 128) instead, 35 % errors on one side of 90 x 8 (180 x 8) of rank 2 make the error 3.9 (0.30) sd,
# not 0.47 (0.19), and that of rates and counts of as many rows is 0.054 (0.005), not 0.030 (0.013).
_MEAN_FROM = 256
# Half of a key that no generator of another has by chance.
_KEY = 0x9E3779B97F4A7C15
# Probability of a mean below which its sign is no chance: two standard deviations of a normal law.
_CERTAIN = 0.97725


def quantile(values: np.ndarray, q: float) -> float:
    """Quantile of a one-dimensional array, O(m).

    It is the value itself, found by partition. Of many values only those are partitioned that lie between two values of
    a sample, which takes a quarter of the time without SIMD instructions (R. W. Floyd and R. L. Rivest,
    "Expected time bounds for selection", Communications of the ACM 18(3), 1975).
    """
    n = len(values)
    k = min(int(q * n), n - 1)
    if n >= _MANY:
        sample = np.sort(values[:: _stride(n)])
        low, high = _ends(sample, q)
        between = values[(values >= low) & (values <= high)]
        k_between = k - int(np.count_nonzero(values < low))
        if 0 <= k_between < len(between):
            k, values = k_between, between
    return float(np.partition(values, k)[k])


def median(values: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Median of values that count so often (None: once); the mean of both where it lies between two."""
    if weight is None:
        return float(np.median(values))
    return float(medians_within(values, np.zeros(len(values), dtype=np.int32), 1, weight)[0])


def medians_within(
    values: np.ndarray,
    keys: np.ndarray,
    n: int,
    weight: np.ndarray | None = None,
    *,
    order: np.ndarray | None = None,
) -> np.ndarray:
    """Median of the values of each of n keys, as :func:`median`; 0 of a key that has none.

    `order` is that by keys and values, of all values or of those alone that count (None: of all, it is not known).
    """
    order = sorted_within(keys, values, n) if order is None else order
    count = np.bincount(keys[order], minlength=n)
    seen = count > 0
    ends, count = np.cumsum(count)[seen], count[seen]
    begins = ends - count
    if weight is None:
        low, high = begins + (count - 1) // 2, begins + count // 2
    else:
        mass = np.cumsum(_shares_within(weight[order], keys[order], n))
        half = 0.5 * (mass[ends - 1] + np.where(begins > 0, mass[begins - 1], 0.0))
        reach = len(mass) * np.finfo(np.float64).eps * mass[-1:]  # of the rounding of sums
        low, high = (np.clip(np.searchsorted(mass, half + away), begins, ends - 1) for away in (-reach, reach))
    low, high = values[order[low]], values[order[high]]
    medians = np.zeros(n)
    medians[seen] = np.where(low == high, low, 0.5 * low + 0.5 * high)  # a half of the least number is none
    return medians


def _shares_within(weight: np.ndarray, keys: np.ndarray, n: int) -> np.ndarray:
    """Weights in units of the sum of those of their key."""
    return np.asarray(weight / np.maximum(np.bincount(keys, weight, n), np.finfo(np.float64).tiny)[keys])


def middles_within(
    values: np.ndarray, keys: np.ndarray, n: int, weight: np.ndarray | None, order: np.ndarray
) -> np.ndarray:
    """Mean of the values of each of n keys that its median may be by chance; 0 of a key that has none.

    On each side of the median they are as many as twice the standard deviation of its rank. Where there is a gap in the
    middle of the values the median leaps over it with a few of them, and this does not (A. Akinshin, "Trimmed
    Harrell-Davis quantile estimator based on the highest density interval of the given width", Communications in
    Statistics, 2022, weighs them). Of few values it is the median, which more errors leave alone. `weight` and `order`
    are those of :func:`medians_within`.
    """
    medians, of = medians_within(values, keys, n, weight, order=order), keys[order]
    own = np.ones(len(order)) if weight is None else weight[order]
    share, total = _shares_within(own, of, n), np.bincount(of, own, n)
    upto = np.cumsum(share) - np.cumsum(total > 0.0)[of] + 1.0  # of those of its key
    reach = np.where(total >= _MEAN_FROM, 1.0 / np.sqrt(np.maximum(total, 1.0)), 0.0)[of]
    within = np.minimum(upto, 0.5 + reach) - np.maximum(upto - share, 0.5 - reach)
    rounding = np.finfo(np.float64).eps * len(order) * np.count_nonzero(total)
    middle = np.flatnonzero(within > rounding)  # of an extreme error this would be much
    of, within = of[middle], within[middle]
    if not len(middle):
        return medians
    with np.errstate(over="ignore", invalid="ignore"):  # of extreme values at both sides
        away = values[order[middle]] - medians[of]
        found = medians + np.bincount(of, _shares_within(within, of, n) * away, n)
    return np.where(np.isfinite(found), found, medians)


def count_equal(values: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each value of each key occurs, and that key, in order; values are ordered by keys and values."""
    is_new = (values[1:] != values[:-1]) | (keys[1:] != keys[:-1])
    begins = np.flatnonzero(np.append(np.ones(len(values[:1]), dtype=bool), is_new))
    return np.diff(np.append(begins, len(values))), keys[begins]


def medians_of_others(values: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Median of the others for each of two values or more, which count so often (None: once).

    A value that counts twice is one of its own others, as one of two equal values is.
    """
    order = np.argsort(values, kind="stable")
    own = np.ones(len(values)) if weight is None else weight[order]
    left, mass = np.minimum(own, 1.0), np.cumsum(own)
    reach = len(own) * np.finfo(np.float64).eps * mass[-1]  # of the rounding of sums
    found = np.zeros(len(values))
    for away in (-reach, reach):
        half = 0.5 * (mass[-1] - left) + away
        before, after = np.searchsorted(mass, half), np.searchsorted(mass, half + left)
        place = np.where(before < np.arange(len(own)), before, after)
        found += 0.5 * values[order[np.minimum(place, len(own) - 1)]]
    out = np.empty(len(values))
    out[order] = found
    return out


def sign_of_mean(values: np.ndarray) -> int:
    """Sign of the mean of values, 0 where it may be chance: less than about two standard errors.

    These are the quantiles of Student's t that have the probability of two standard deviations of a normal law.
    """
    n = len(values)
    if n < 2:
        return 0
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / np.sqrt(n)
    return int(np.sign(mean)) if abs(mean) > stdtrit(n - 1, _CERTAIN) * error else 0


def _stride(n: int) -> int:
    """Step of the sample of so many values that takes least time in all."""
    return int(n ** (1 / 3))


def _ends(sample: np.ndarray, q: float) -> tuple[float, float]:
    """Two values of a sorted sample that a quantile of what it is drawn from lies between, but for chance."""
    m = len(sample)
    at, reach = int(q * m), int(_BEYOND * np.sqrt(m * q * (1.0 - q))) + 1
    return (
        float(sample[at - reach]) if at >= reach else -np.inf,
        float(sample[at + reach]) if at + reach < m else np.inf,
    )


def random_sample(n: int, most: int) -> slice | np.ndarray:
    """Indices of all of n values; of more than `most`, of two thirds to all of so many. They are always the same."""
    return slice(None) if n <= most else np.unique(np.random.RandomState(0).randint(n, size=most))


def is_quantile_below(values: np.ndarray, q: float, bound: float) -> bool:
    """Whether a quantile of a one-dimensional array is below a bound, by counting."""
    n = len(values)
    return bool(np.count_nonzero(values < bound) > min(int(q * n), n - 1))


def robust_size(values: np.ndarray, level: float = LOSS_LEVEL) -> float:
    """Quantile of |values|; their mean where that is zero, as with mostly zero targets."""
    size = np.abs(values)
    return quantile(size, level) or float(size.mean())


def median_scale(residual: np.ndarray) -> float:
    """Noise scale by the median absolute residual: the standard deviation of Gaussian noise."""
    return quantile(np.abs(residual), 0.5) / NORMAL_MEDIAN


def find_repeated(values: np.ndarray, *lines: np.ndarray) -> np.ndarray:
    """Mask of values that keep coming back among others that never do.

    With noise that is not rounded no value occurs twice: one that does is that of a sensor that is stuck, cut off, or
    filled in. Where it lies well inside the range of the data the noise hides it, and it draws the fit towards itself.

    `lines` are rows and columns of the values, where they have any. What repeats there by nature is not meant: a row or
    column of hardly anything else, and a value that most of its values have (by two to one) and few of the others.
    """
    some = np.sort(values[random_sample(len(values), _SAMPLE)])
    if not np.any(some[1:] == some[:-1]):  # one that occurs often is there dozens of times
        return np.zeros(len(values), dtype=bool)
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    often = count > max(_OFTEN * len(values), _FEWEST_OFTEN)
    mask = often[index]
    others = np.count_nonzero(~mask)
    mask &= (np.count_nonzero(count == 1) > 0.99 * others) & (others > 0.25 * len(values))
    for line in lines if mask.any() else ():
        n = np.bincount(line)
        mask &= (np.bincount(line, count[index] > 1) < _DISCRETE * n)[line]
        for kind in np.flatnonzero(often):
            own = np.bincount(line[index == kind], minlength=len(n))
            elsewhere = (own.sum() - own) / np.maximum(n.sum() - n, 1)
            mask &= ~((index == kind) & ((own > _MOST * n) & (elsewhere * n < _RARE * own))[line])
    return mask


def own_random(seed: int) -> np.random.Generator:
    """A generator whose numbers no seed of another gives."""
    return np.random.Generator(np.random.Philox(key=[_KEY, seed]))
