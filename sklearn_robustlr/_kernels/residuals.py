"""Numba kernels on residuals: inliers told from gross errors, and robust sums of squares."""

from __future__ import annotations

import math

import numpy as np

from .jit import REASSOCIATE, jit

# Residuals that are weighed at a time, and the number of scales beyond which the density of inliers is next to zero.
_AT_A_TIME, _NOTHING = 256, 37.0


@jit()
def _exponential(z):
    """exp(-z^2 / 2) to 1e-13, by ten squarings of a power series: it is vectorised."""
    x = z * z * (-0.5 / 1024.0)
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
            inlier = dense * _exponential(min(size[i] * per_scale, _NOTHING))
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
