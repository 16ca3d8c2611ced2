"""Numba kernels of many iterations at once, on matrices so small that the way to a pass over them would count.

They are given the memory that they work in: to compile what asks for it takes half a second more.
"""

from __future__ import annotations

import math

from .jit import REASSOCIATE, jit

# Multiplier, increment and largest number of the generator that draws pivots: those of the kernels of residuals, whose
# code the cache of this file would not follow.
_TIMES, _PLUS, _MOST = 1664525, 1013904223, 0xFFFFFFFF


@jit()
def _kth_smallest(values, n, k):
    """Return the k-th, from 0, of the first n values, which are overwritten: by partition without branches."""
    lo, hi, pick = 0, n, n
    while lo + 1 < hi:
        pick = (pick * _TIMES + _PLUS) & _MOST
        pivot = values[lo + pick % (hi - lo)]
        below = lo
        for i in range(lo, hi):
            value = values[i]
            values[i] = values[below]
            values[below] = value
            below += value < pivot
        if k < below:
            hi = below
            continue
        lo = below
        for i in range(below, hi):
            value = values[i]
            values[i] = values[lo]
            values[lo] = value
            lo += value <= pivot
        if k < lo or lo == below:  # not even the pivot is as large as itself: it is no number
            return pivot
    return values[lo]


@jit(fastmath=REASSOCIATE)
def _clipped_gradients(y, weight, left, right, delta, residual, clipped, grad_left, grad_right):
    """Compute residuals of a matrix at left^T right, and the gradients of both factors for those clipped at delta.

    Its rows are taken one at a time, four directions at once: loops over columns are vectorised.
    """
    k, d = right.shape
    zero, whole = y.dtype.type(0.0), k - k % 4
    for c in range(k):
        for j in range(d):
            grad_right[c, j] = zero
    for i in range(left.shape[1]):
        rest, target, counts = residual[i], y[i], weight[i]
        for j in range(d):
            rest[j] = -target[j]
        for c in range(0, whole, 4):
            p, q, s, t = left[c, i], left[c + 1, i], left[c + 2, i], left[c + 3, i]
            for j in range(d):
                rest[j] += p * right[c, j] + q * right[c + 1, j] + s * right[c + 2, j] + t * right[c + 3, j]
        for c in range(whole, k):
            p = left[c, i]
            for j in range(d):
                rest[j] += p * right[c, j]
        for j in range(d):
            clipped[j] = counts[j] * min(max(rest[j], -delta), delta)
        for c in range(0, whole, 4):
            p, q, s, t = zero, zero, zero, zero
            for j in range(d):
                p += clipped[j] * right[c, j]
                q += clipped[j] * right[c + 1, j]
                s += clipped[j] * right[c + 2, j]
                t += clipped[j] * right[c + 3, j]
            grad_left[c, i], grad_left[c + 1, i], grad_left[c + 2, i], grad_left[c + 3, i] = p, q, s, t
        for c in range(whole, k):
            p = zero
            for j in range(d):
                p += clipped[j] * right[c, j]
            grad_left[c, i] = p
        for c in range(k):
            p = left[c, i]
            for j in range(d):
                grad_right[c, j] += p * clipped[j]


@jit(fastmath=REASSOCIATE)
def _gram(factor, gram):
    """Compute the inner products of the rows of a factor."""
    for c in range(factor.shape[0]):
        for e in range(c + 1):
            total = 0.0
            for j in range(factor.shape[1]):
                total += factor[c, j] * factor[e, j]
            gram[c, e] = gram[e, c] = total


@jit(fastmath=REASSOCIATE)
def _largest(grams):
    """Larger Frobenius norm of two matrices."""
    largest = 0.0
    for s in range(2):
        total = 0.0
        for c in range(grams.shape[1]):
            for e in range(grams.shape[1]):
                total += grams[s, c, e] * grams[s, c, e]
        largest = max(largest, total)
    return math.sqrt(largest)


@jit(fastmath=REASSOCIATE)
def _square(grams, out):
    """Compute the squares of two symmetric matrices."""
    k = grams.shape[1]
    for s in range(2):
        for c in range(k):
            for e in range(k):
                out[s, c, e] = 0.0
            for b in range(k):
                for e in range(k):
                    out[s, c, e] += grams[s, c, b] * grams[s, b, e]


@jit()
def clipped_steps(
    y, weight, left, right, symmetric, delta, norm, share, width, fall, places, most, n_steps,
    residual, clipped, size, grad_left, grad_right, grams, squares,
):  # fmt: skip
    """Make steps of the sub-gradient method on clipped residuals, as the rule of that name does one at a time.

    The matrix y has a `weight` of zero where nothing is observed. `left` (k x n) and `right` (k x d) are overwritten.
    A step is `share` over the largest squared spectral norm of the factors, `norm` at least; delta falls to `width`
    times the median of the residuals at the `places` of the flattened matrix, but no further than by the factor `fall`.
    Returns the number of the steps that were made, fewer where the factors have grown beyond `most`, and delta.
    """
    k, middle, flat = left.shape[0], places.shape[0] // 2, residual.ravel()
    for t in range(n_steps):
        _gram(left, grams[0])
        _gram(right, grams[1])
        bound = _largest(grams)
        if not bound <= most:
            return t, delta
        _clipped_gradients(y, weight, left, right, y.dtype.type(delta), residual, clipped, grad_left, grad_right)
        largest = norm
        if bound > norm:
            for s in range(2):
                for c in range(k):
                    for e in range(k):
                        grams[s, c, e] /= bound
            for _ in range(2):
                _square(grams, squares)
                _square(squares, grams)
            largest = max(norm, bound * _largest(grams) ** (1.0 / 16.0))
        delta *= fall
        n_far, near = 0, delta / width
        for i in range(places.shape[0]):
            value = abs(flat[places[i]])
            size[n_far] = value
            n_far += not value < near
        if places.shape[0] - n_far <= middle:
            delta = max(delta, width * _kth_smallest(size, n_far, middle - places.shape[0] + n_far))
        step = y.dtype.type(share / largest)
        for c in range(k):
            if symmetric:
                for i in range(left.shape[1]):
                    left[c, i] -= step * (grad_left[c, i] + grad_right[c, i])
                    right[c, i] = left[c, i]
                continue
            for i in range(left.shape[1]):
                left[c, i] -= step * grad_left[c, i]
            for j in range(right.shape[1]):
                right[c, j] -= step * grad_right[c, j]
    return n_steps, delta
