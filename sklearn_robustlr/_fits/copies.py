"""Fits of rows, or measurements, that may be copies of one another: they have to be exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._operators.base import Measurements
from .._operators.observed import Entries, core
from .._utils.values import Factors, Options, StopReason, are_far_more
from .blocks import block_to_start, fit_block, fit_core, search_small_blocks
from .matrix import settled
from .matrix_fit import MatrixFit
from .measurements import LowRankFit, fit_measurements
from .misses import misfit_of


def fit_copies(copies: Entries, index: np.ndarray, alone: Entries, options: Options) -> MatrixFit | None:
    """Fit rows that may be copies, those of one `index`, if they can be met exactly; None: no such fit was found.

    It has to be exact if each row counts once, too, or meet all of a full matrix. So it has to meet as much then as the
    exact fit of the rows `alone` does, if there is one.
    """
    options = replace(options, screening=True, rival=None, report=None)
    found = _fit_exactly(copies, options)
    if found is None:
        return None
    first = np.unique(index, return_index=True)[1]
    once, left = copies.taken(first, None), found.fit.factors.left[first]
    if once.full is None or (np.abs(misfit_of(once, left, found.fit.right)) > found.fit.threshold).any():
        met, other = _met_beyond(once, left, found.fit), _fit_exactly(alone, options)
        if not are_far_more(met, int(np.count_nonzero(once.y))):
            return None
        if other is not None and _met_beyond(alone, other.fit.factors.left, other.fit) > met:
            return None
    return found


def start_from_copies(copies: Measurements, options: Options) -> Factors | None:
    """Factors that meet measurements exactly, each as often as it was made; None: no such factors were found.

    They are a start for the fit in which each counts once: copies make any fit seem to be exact.
    """
    if not options.polish:
        return None
    found = fit_measurements(copies, replace(options, report=None, meter=options.meter.fresh()))
    return found.in_user_units().factors if found.best.verdict.code is StopReason.EXACT else None


def _fit_exactly(entries: Entries, options: Options) -> MatrixFit | None:
    """Fit the observed entries of a matrix if they can be met exactly; None: no such fit was found."""
    kept = core(entries)
    if not kept.rows.any():
        return None
    found = search_small_blocks(entries, options)
    start = None if found.block is None else block_to_start(entries, found.block, options)
    fit = fit_block(entries, options, start) or fit_core(entries, kept, options, start)
    return settled(entries, kept, fit, options) if fit.verdict.code is StopReason.EXACT else None


def _met_beyond(entries: Entries, left: np.ndarray, fit: LowRankFit) -> int:
    """How many entries other than zero a fit meets with these factors of rows beyond its degrees of freedom."""
    met = (np.abs(misfit_of(entries, left, fit.right)) <= fit.threshold) & (entries.y != 0.0)
    return int(np.count_nonzero(met)) - fit.rank * (sum(entries.shape) - fit.rank)
