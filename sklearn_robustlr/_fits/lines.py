"""Rows and columns that are stuck: each is regressed again, where its entries or measurements see no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._operators.base import Measurements, evaluate
from .._operators.entries import EntryMeasurements
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .._solvers.mending import broken
from .._utils.rules import FLAG_WIDTH
from .._utils.values import StopReason
from .measurements import LowRankFit, Outcome
from .shrinkage import shrunk

# Numbers of derivatives that are held at a time.
_BLOCK = 500_000


def better_rows(space: RowSpace, entries: Entries, factor: np.ndarray, scale: float, n_jobs: int | None) -> np.ndarray:
    """The rows of a factor, those replaced that another robust regression suits: it meets more, and is likelier."""
    inlier = np.abs(space.residual(entries, factor)) <= FLAG_WIDTH * scale
    space = space.expecting(entries, ~inlier)
    found = space.regress(entries, n_jobs=n_jobs)
    met = entries.counts(inlier)[0]
    seen = np.diff(entries.indptr)
    better = space.is_identifiable(found.met) & (found.met > met) & ~broken(found.met, seen)
    better &= space.log_odds(found.factors, found.met, seen) > space.log_odds(factor, met, seen)
    return np.where(better[:, None], found.factors, factor)


def entries_again(entries: Entries, fit: LowRankFit, n_jobs: int | None) -> LowRankFit:
    """A fit of entries, those rows and columns replaced that another regression on the other factor suits.

    One that meets some of its entries by chance, and takes the others for errors, is stuck there.
    """
    changed = False
    for each, own, other in ((entries, 0, 1), (entries.transposed(), 1, 0)):
        basis = (fit.left, fit.right)[other].astype(np.float64)
        factor = ((fit.left, fit.right)[own] * fit.singular_values).astype(np.float64)
        space = RowSpace.learn(basis, factor, slice(None), fit.row_scale)
        better = better_rows(space, each, factor, fit.row_scale, n_jobs)
        if (better != factor).any():
            changed = True
            fit = fit.with_factors(*((better, basis) if own == 0 else (basis, better)))
    if not changed:
        return fit
    left = fit.factors.left.astype(np.float64)
    residual = RowSpace.learn(fit.right, left, slice(None), fit.row_scale).residual(entries, left)
    return replace(fit, outliers=np.abs(residual) > fit.threshold)


def lines_again(measurements: Measurements, outcome: Outcome, weight: np.ndarray | None = None) -> LowRankFit:
    """The fit :func:`shrunk`, those lines of a sharp rank replaced that another regression on the other factor suits.

    A line that meets some of its measurements by chance, and takes the others for errors, is stuck there: of 12 exact
    fits of 30 tasks of 20 coefficients, rank 2, 20 values of each with 20 % errors, 6 lost a task.
    """
    fit, options = shrunk(measurements, outcome, weight), outcome.options
    code = fit.verdict.code
    is_sharp = code in (StopReason.EXACT, StopReason.NOISY) and not fit.heavy_tailed
    if not (is_sharp and options.polish) or options.symmetric or weight is not None:  # all have one noise scale
        return fit
    if isinstance(measurements, EntryMeasurements):
        entries = Entries.of(measurements.indptr, measurements.cols, measurements.y, measurements.shape)
        return entries_again(entries, fit, options.n_jobs) if code is StopReason.EXACT else fit
    changed = False
    for side, line in enumerate(measurements.seen_lines()):
        if line is None:
            continue
        basis, factor = (
            _slopes_in_lines(measurements, fit, line, side),
            (fit.left, fit.right)[side] * fit.singular_values,
        )
        order = np.argsort(line, kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(line, minlength=len(factor)))])
        y = measurements.y[order].astype(np.float64)
        each = Entries.of(indptr, order.astype(np.int32), y, (len(factor), len(y)))
        factor = factor.astype(np.float64)
        space = RowSpace.learn(basis, factor, slice(None), fit.row_scale)
        better = better_rows(space, each, factor, fit.row_scale, options.n_jobs)
        if (better != factor).any():
            changed = True
            fit = fit.with_factors(*((better, fit.right) if side == 0 else (fit.left, better)))
    if not changed:
        return fit
    residual = evaluate(measurements, fit.left, fit.singular_values, fit.right)
    return replace(fit, outliers=np.abs(residual) > fit.threshold)


def _slopes_in_lines(measurements: Measurements, fit: LowRankFit, line: np.ndarray, side: int) -> np.ndarray:
    """Derivatives (n, k) of measurements in the line of a factor that each of them sees."""
    (d1, d2), n, k = measurements.shape, measurements.size, len(fit.singular_values)
    left, right = fit.left.astype(np.float64), fit.right.astype(np.float64)
    out, step = np.empty((n, k)), max(_BLOCK // (k * (d1 + d2) + d1 * d2), 1)
    for lo in range(0, n, step):
        part = slice(lo, min(lo + step, n))
        slopes = measurements.subset(part).gradients(left, right)
        slopes = slopes if isinstance(slopes, np.ndarray) else slopes.toarray()
        own = slopes[:, : d1 * k] if side == 0 else slopes[:, d1 * k :]
        out[part] = own.reshape(len(own), -1, k)[np.arange(len(own)), line[part]]
    return out
