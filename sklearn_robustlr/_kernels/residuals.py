"""Numba kernels on residuals: inliers told from gross errors, medians, and robust sums of squares."""

from __future__ import annotations

import math

import numpy as np

from .jit import REASSOCIATE, jit

# Residuals that are weighed at a time, and the square, in squared scales, from which a normal density is next to zero.
_AT_A_TIME, _NOTHING = 256, 37.0**2
# Multiplier, increment and largest number of the generator that draws pivots.
_TIMES, _PLUS, _MOST = 1664525, 1013904223, 0xFFFFFFFF


@jit()
def _exponential(square):
    """exp(-square / 2) to 1e-13, by ten squarings of a power series: it is vectorised."""
    x = square * (-0.5 / 1024.0)
    e = 1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))))
    for _ in range(10):
        e = e * e
    return e


@jit()
def inlier_probabilities(residual, scale, spread, bad_share, weight):
    """Write the probability of each residual to be that of an inlier, N(0, scale^2) beside Cauchy(0, spread).

    Returns the sum of the probabilities; the same of the residuals up to two scales, and the sum of their squares times
    their probabilities; and how many have one below 0.99.
    """
    dense = (1.0 - bad_share) / (scale * math.sqrt(2.0 * math.pi))
    thin = bad_share / (math.pi * spread)
    per_scale, per_spread = 1.0 / scale, 1.0 / spread
    total = core = power = 0.0
    n_errors, width = 0, 2.0 * scale
    size, probability = np.empty(_AT_A_TIME), np.empty(_AT_A_TIME)
    for first in range(0, residual.shape[0], _AT_A_TIME):
        n = min(_AT_A_TIME, residual.shape[0] - first)
        some = residual[first : first + n]
        for i in range(n):
            size[i] = min(abs(np.float64(some[i])), 1e100)  # larger squares overflow
        for i in range(n):
            near = size[i] * per_scale
            inlier = dense * _exponential(min(near * near, _NOTHING))
            far = size[i] * per_spread
            probability[i] = inlier / (inlier + thin / (1.0 + far * far))
        some_weight = weight[first : first + n]
        for i in range(n):
            some_weight[i] = probability[i]
        for i in range(n):  # one after the other: the same order wherever and whenever this is compiled
            total += probability[i]
            n_errors += probability[i] < 0.99
            likely = probability[i] if size[i] <= width else 0.0
            core += likely
            power += likely * (size[i] * size[i])
    return total, core, power, n_errors


@jit()
def weigh_parts(squares, cols, variances, parts, odds, wide, per_spread, out):
    """Weigh entries by their expected squared residuals, which are noise or gross.

    In units of the noise of its column the density of a residual r is that of N(0, 1) times the first of the `parts`,
    exp(-r^2 / (2 wide)) times the second, and 1 / (1 + r^2 per_spread) times the third and the `odds` of the column,
    but for a factor. The rows of `out` are the precision of each entry, its share in the variance of the noise, that in
    the count of it, and the probability to be gross.
    """
    core, middle, gross = parts[0], parts[1], parts[2]
    precise, likely = np.empty(_AT_A_TIME), np.empty(_AT_A_TIME)
    for first in range(0, squares.shape[0], _AT_A_TIME):
        n = min(_AT_A_TIME, squares.shape[0] - first)
        last = first + n
        some, precision, effective = squares[first:last], out[0, first:last], out[1, first:last]
        counted, error = out[2, first:last], out[3, first:last]
        for i in range(n):
            precise[i], likely[i] = 1.0 / variances[cols[first + i]], gross * odds[cols[first + i]]
        for i in range(n):
            z = some[i] * precise[i]
            one = core * _exponential(min(z, _NOTHING))
            two = middle * _exponential(min(z / wide, _NOTHING))
            three = likely[i] / (1.0 + z * per_spread)
            per_total = 1.0 / (one + two + three)
            effective[i] = (one + two / wide) * per_total
            precision[i] = effective[i] * precise[i]
            counted[i] = (one + two) * per_total
            error[i] = three * per_total


@jit()
def sum_weights(squares, cols, effective, counted, gross, power, count, wrong):
    """Add up weighted squares, counts and gross shares of each column; returns the sums of all weights."""
    totals = np.zeros(3)
    for i in range(squares.shape[0]):
        power[cols[i]] += effective[i] * squares[i]
        count[cols[i]] += counted[i]
        wrong[cols[i]] += gross[i]
        totals[0] += effective[i]
        totals[1] += counted[i]
        totals[2] += gross[i]
    return totals


@jit()
def _bring_forward(values, mass, lo, hi, bound, or_equal):
    """Bring values below a bound, from lo to hi, before the others; returns the place of these, and the mass below."""
    place, total = lo, 0.0
    for i in range(lo, hi):  # without a branch, which no processor could predict
        value, own = values[i], mass[i]
        values[i], mass[i] = values[place], mass[place]
        values[place], mass[place] = value, own
        is_before = value <= bound if or_equal else value < bound
        total += own * is_before
        place += is_before
    return place, total


@jit()
def _middle_of(values, mass, n):
    """The same of the first n of values, which are overwritten."""
    half, below, pick, lo, hi = 0.0, 0.0, n, 0, n
    for i in range(n):
        half += 0.5 * mass[i]
    while lo + 1 < hi:
        pick = (pick * _TIMES + _PLUS) & _MOST  # in any order of the values that is as good
        pivot = values[lo + pick % (hi - lo)]
        place, less = _bring_forward(values, mass, lo, hi, pivot, False)
        if place > lo and below + less >= half:
            hi = place
            continue
        place, equal = _bring_forward(values, mass, place, hi, pivot, True)
        if place == hi or below + less + equal >= half:
            return pivot
        lo, below = place, below + less + equal
    return values[lo]


@jit()
def weighted_median(values, mass):
    """Least of the values that half of all mass does not exceed, by partition: O(n)."""
    return _middle_of(values.copy(), mass.copy(), len(values))


@jit()
def median_gross(squares, cols, variances, gross, least):
    """Median of the sizes of gross residuals in units of the noise of their columns; 0 of less than one of them.

    Those that are gross with a probability of `least` at most do not count.
    """
    square, mass = np.empty(len(gross)), np.empty(len(gross))
    n, total = 0, 0.0
    for i in range(len(gross)):  # without a branch
        square[n], mass[n] = squares[i] / variances[cols[i]], gross[i]
        counts = gross[i] > least
        total += gross[i] * counts
        n += counts
    return math.sqrt(_middle_of(square, mass, n)) if total >= 1.0 else 0.0


@jit()
def likely_errors(residual, weight, step, size, probability):
    """Write the sizes of every `step`-th of the residuals of a weight below 0.99, and one minus that weight."""
    seen = 0
    for i in range(residual.shape[0]):
        if weight[i] < 0.99:
            if seen % step == 0:
                size[seen // step] = min(abs(np.float64(residual[i])), 1e100)
                probability[seen // step] = 1.0 - weight[i]
            seen += 1


@jit(fastmath=REASSOCIATE)
def bisquare_sum(residual, width):
    """Sum of 1 - (1 - (r / width)^2)^3 over residuals, 1 beyond the width."""
    total = 0.0
    for i in range(residual.shape[0]):
        z = min(abs(np.float64(residual[i])) / width, 1.0)
        left = 1.0 - z * z
        total += 1.0 - left * left * left
    return total


@jit(fastmath=REASSOCIATE)
def bisquare_saved(large, small, width, rows, cols, of_row, of_col):
    """Fall of :func:`bisquare_sum` from large to small residuals, each times the shares of its row and its column."""
    total = 0.0
    for i in range(large.shape[0]):
        y = min(abs(np.float64(large[i])) / width, 1.0)
        z = min(abs(np.float64(small[i])) / width, 1.0)
        before, after = 1.0 - y * y, 1.0 - z * z
        total += (after * after * after - before * before * before) * of_row[rows[i]] * of_col[cols[i]]
    return total
