"""Fits of a block of a matrix, extended to all of it: an exact one is the whole, any other one a start.

A block tells the rank, the noise and the row space as well as the whole does, up to noise. Without noise a few
thousand entries do, and nothing is lost; with noise, a last round over all columns brings the noise of the block down
to that of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .._operators.entries import EntryMeasurements
from .._operators.observed import Entries, core
from .._rows import blocks
from .._rows.regression import Regression, RowSpace
from .._selection.verdict import DECAYS
from .._solvers.mending import broken
from .._utils.checkpoint import stage
from .._utils.rules import are_more
from .._utils.values import Factors, Masks, Options, is_exact
from .measurements import LowRankFit, Outcome, fit_measurements


@dataclass(frozen=True)
class Block:
    """The fit of a block, and masks of its rows and columns."""

    fit: LowRankFit
    masks: Masks

    def extend(self, entries: Entries, options: Options, *, thorough: bool = True) -> Factors:
        """Factors of the whole; if not `thorough`, good enough for a start."""
        fit = self.fit
        block = fit.left, fit.singular_values, fit.right, *self.masks
        scale, efficient = fit.row_scale, not fit.heavy_tailed

        def compute() -> Factors:
            return blocks.extend(
                entries, *block, scale=scale, efficient=efficient, n_jobs=options.n_jobs, thorough=thorough
            )

        return stage(options.checkpoint, "extension", compute, block, scale, efficient, thorough)


class Extension(NamedTuple):
    """An exact fit of a block that holds for the whole, and the regression of all rows on its row space."""

    fit: LowRankFit
    regression: Regression


class Extended(NamedTuple):
    """The extension of an exact fit of a block; where it failed (None), the rows and columns that it does not explain.

    These are asked for in the next block; masks of nothing say that there is no use in another one.
    """

    extension: Extension | None
    include: Masks


class SmallBlocks(NamedTuple):
    """What small blocks came to: the exact fit of all, a block that has shown noise, the fit of one without a rank."""

    extension: Extension | None = None
    block: Block | None = None
    decaying: LowRankFit | None = None

    @property
    def repeated(self) -> np.ndarray | None:
        """Values that keep coming back and have nothing to do with the fit of a block."""
        fit = self.extension.fit if self.extension is not None else self.block.fit if self.block is not None else None
        return None if fit is None else fit.repeated


def fit_part(
    entries: Entries, masks: Masks, options: Options, start: Factors | None = None, *, is_block: bool = True
) -> Outcome:
    """Fit the submatrix of the masked rows and columns; `start`: factors of all rows and columns.

    It `is_block` if the others have entries, too, that the fit is to hold for.
    """
    if start is not None:
        start = Factors(start.left[masks.rows], start.right[masks.columns])
    rival = options.rival
    if rival is not None:
        options = replace(options, likely=lambda: rival.factors(masks))
    all_are_masked = masks.are_all()
    if not all_are_masked:
        entries = entries.part(*masks)
    rank = None if options.rank is None else min(options.rank, *entries.shape)
    measurements = EntryMeasurements(entries.rows, entries.cols, entries.y, entries.shape)
    options = replace(options, rank=rank)
    if all_are_masked:
        return fit_measurements(measurements, options, start)
    return fit_measurements(measurements, options, start, whole=not is_block, masks=masks)


def fit_core(entries: Entries, kept: Masks, options: Options, start: Factors | None) -> LowRankFit:
    """Fit the rows and columns of two entries and more; those of the others are zero."""
    fit = fit_part(entries, kept, options, start, is_block=False).in_user_units()
    left, right = kept.filled(fit.left, fit.right)
    return replace(fit, left=left, right=right)


def search_small_blocks(entries: Entries, options: Options) -> SmallBlocks:
    """Look for an exact fit of a small block that holds for the whole.

    A block that shows that there is noise instead ends the search: its fit is a start for the whole. So does one that
    no rank of is sharp.
    """
    # where entries have known precisions, the fit of the block is refined by them, its rank as it is
    screening = replace(options, screening=True, is_start=entries.weight is None)
    for size in blocks.SMALL if options.polish else ():
        if len(entries.y) <= 4 * size:
            break
        include = None
        for _ in range(2):
            masks = _choose_block(entries, size, include)
            if not masks.rows.any():
                break
            outcome = fit_part(entries, masks, screening)
            best = outcome.best
            if best.verdict == DECAYS:
                return SmallBlocks(decaying=outcome.in_user_units())
            if not best.converged or best.fit.heavy_tailed or not best.rank:
                break
            block = Block(outcome.in_user_units(), masks)
            if not is_exact(best.fit):
                return SmallBlocks(block=block)
            extension, include = _extend_exactly(entries, block, options)
            if extension is not None:
                return SmallBlocks(extension)
            if not any(mask.any() for mask in include):
                break
    return SmallBlocks()


def block_to_start(entries: Entries, block: Block, options: Options) -> Factors:
    """Factors to begin at, from a fitted block: of the whole, or of the larger block that is fitted next."""
    size = blocks.first_block(entries.shape, len(entries.y))
    if size is None:
        return block.extend(entries, options, thorough=False)
    larger = _choose_block(entries, size)
    within = Masks(larger.rows | block.masks.rows, larger.columns | block.masks.columns)
    inner = Masks(block.masks.rows[within.rows], block.masks.columns[within.columns])
    part = replace(block, masks=inner).extend(entries.part(*within), options, thorough=False)
    start = Factors(*(np.zeros((n, block.fit.rank), entries.dtype) for n in entries.shape))
    for factor, mask, known in zip(start, within, part, strict=True):
        factor[mask] = known
    return start


def fit_block(entries: Entries, options: Options, start: Factors | None) -> LowRankFit | None:
    """Fit a block of many entries and extend it; None where there are few, or it does not hold for the whole."""
    size = blocks.first_block(entries.shape, len(entries.y))
    if size is None:
        return None
    masks = _choose_block(entries, size)
    if not masks.rows.any():
        return None
    fit = fit_part(entries, masks, options, start).in_user_units()
    if fit.rank == 0:
        return None
    if fit.verdict == DECAYS:  # another model will take its place
        return fit
    share = float(np.mean(fit.outliers))
    left, right = Block(fit, masks).extend(entries, options)
    residual = RowSpace.learn(right, left, slice(None), fit.row_scale).residual(entries, left)
    # a block that knows nothing of a direction; where it has not converged, the whole would not either
    if fit.converged and are_more(float(np.mean(np.abs(residual) > fit.threshold)), share):
        return None
    return fit.with_factors(left, right)


def _choose_block(entries: Entries, size: int, include: Masks | None = None) -> Masks:
    """Masks of the rows and columns of a block, all of which have entries in it."""
    masks = blocks.choose_block(entries.shape, len(entries.y), size, include=include)
    for mask, keep in zip(masks, core(entries.part(*masks)), strict=True):
        mask[mask] = keep
    return masks


def _extend_exactly(entries: Entries, block: Block, options: Options) -> Extended:
    """Extend an exact fit of a block to the whole."""
    fit, n_jobs = block.fit, options.n_jobs
    scale, share = fit.row_scale, 1.0 - float(np.mean(fit.outliers))
    triplets = fit.left, fit.singular_values, fit.right
    right = blocks.extend_columns(entries, *triplets, *block.masks, scale=scale, efficient=True, n_jobs=n_jobs)
    space = RowSpace.learn(right, fit.factors.left, slice(None), scale)
    regression = space.regress(entries, n_jobs=n_jobs, threshold=fit.threshold)
    inlier = ~regression.beyond
    met_rows, met_cols = entries.counts(inlier)
    seen_rows, seen_cols = entries.seen()
    worse = Masks(broken(met_rows, seen_rows, of=1.0), broken(met_cols, seen_cols, of=1.0))
    few = met_rows <= fit.rank, met_cols <= fit.rank
    nothing = Masks(*(np.zeros_like(mask) for mask in worse))
    if any(mask.any() for mask in (*worse, *few)) or met_rows.sum() < (0.9 * share - 0.02) * len(entries.y):
        return Extended(None, worse if max(mask.mean() for mask in worse) < 0.3 else nothing)
    return Extended(Extension(fit.with_factors(regression.factors, right), regression), nothing)


def start_from_block(entries: Entries, options: Options) -> Factors | None:
    """Factors of the whole from a block, for other measurements of the same entries; None: no such block."""
    found = search_small_blocks(entries, options)
    if found.extension is not None:
        return found.extension.fit.factors
    return None if found.block is None else found.block.extend(entries, options)
