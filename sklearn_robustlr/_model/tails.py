"""Columns of long tails: a few scales from their median, values count by their logarithms."""

from __future__ import annotations

import numpy as np

from .._utils.arrays import sorted_within

# Tail from which a column counts so, in scales: 80 % of the values of an exponential law are within as much of its
# median, 1.28 of a normal law. Of 61 damaged real tables that have such columns, hidden values are missed by 0.91 of
# what they are missed by without. The mean tail of 28 is longer than this: there by 0.82; of the others by 0.995.
_LONG = 2.256
# The same of the other tail of such a column; a normal law has 1.28. Of tables of long tails on both sides, some of
# them just below that bound, errors are 0.955 to 1.042 of those with both sides bent; with that bound for both they are
# 1.019 to 1.068.
_ALSO_LONG = 1.6
#: Scales from the median from which values count by their logarithms. At 1 these figures are 0.93, 0.82 and 1.025.
BULK = 2.0


# Sides of its median on which a column has a long tail, as bits of a number: none of them, one, or both.
_BELOW, _ABOVE = 1, 2


def long_tails(values: np.ndarray, cols: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Sides on which columns have long tails, by values from their medians, of these scales; 0: on none.

    A tail is the distance of the 10 % or 90 % quantile from the median: gross errors, if they are fewer than some fifth
    of the values, do not make it a long one.
    """
    order = sorted_within(cols, values, len(scale))
    count = np.bincount(cols, minlength=len(scale))
    first = np.cumsum(count) - count
    some = count > 0
    low, high = (
        values[order[(first + np.round(share * (count - 1)).astype(np.int64))[some]]] / scale[some]
        for share in (0.1, 0.9)
    )
    long = np.zeros(len(scale), dtype=np.int8)
    least = np.where(np.maximum(-low, high) > _LONG, _ALSO_LONG, np.inf)
    long[some] = _BELOW * (-low > least) + _ABOVE * (high > least)
    return long


def are_on_long_side(values: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Mask of the values that are on a side on which the tail of their column is long.

    On the other one an error is as far as it is: of what has a long tail above, a code such as -999 is no small value.
    """
    return (long & np.where(values < 0.0, _BELOW, _ABOVE)) > 0


def bend(values: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Values in scales from the median, by their logarithms on the sides on which tails are long.

    This is the inverse hyperbolic sine (J. B. Burbidge, L. Magee and A. L. Robb, "Alternative transformations to handle
    extreme values of the dependent variable", Journal of the American Statistical Association 83, 1988).
    """
    return np.where(are_on_long_side(values, long), BULK * np.arcsinh(values / BULK), values)


def straighten(values: np.ndarray, long: np.ndarray) -> np.ndarray:
    """The inverse of :func:`bend`."""
    bent = are_on_long_side(values, long)
    return np.where(bent, BULK * np.sinh(np.where(bent, values, 0.0) / BULK), values)


def slope(values: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Slope of :func:`straighten`."""
    return np.cosh(np.where(are_on_long_side(values, long), values, 0.0) / BULK)
