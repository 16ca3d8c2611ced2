"""Rows and columns that the opposite sign explains nearly as well: no one can tell then which half is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from .._operators.observed import Entries
from .._utils.rules import FLAG_WIDTH
from .._utils.values import Masks
from .regression import Regression, RowSpace

# Entries that are looked at first for what wrong ones have in common.
_FEW_ENTRIES = 50_000


class Ambiguity(NamedTuple):
    """Masks of the rows and columns whose sign is open; `hopeless` says that these are too many to be chance."""

    rows: np.ndarray
    columns: np.ndarray
    hopeless: bool


class _Turned(NamedTuple):
    """Masks of the entries that are larger than the threshold, and of those of them that have the wrong sign."""

    clear: np.ndarray
    turned: np.ndarray


def find_ambiguous(
    space: RowSpace,
    entries: Entries,
    regression: Regression,
    threshold: float,
    known: np.ndarray | None = None,
    *,
    chance: float = 0.03,
) -> Ambiguity:
    """Find the rows and columns that the opposite of what was found explains nearly as well.

    Where many entries have the wrong sign, half of a row's may by chance. Those that may be wrong by majority are
    taken, until the others all are right but for this chance. What lies within the `threshold` of its opposite has the
    wrong sign. A row that is not identifiable goes with whatever it has, and is no witness: `known` masks the entries
    that count. It is hopeless where a wrong majority is likely (5 %) for each of many rows or columns: they are stuck.
    """
    beyond = regression.beyond
    n_rows = entries.shape[0]
    # where signs are not what is wrong, few errors are the opposite of the truth, by chance: some rows tell
    some = np.arange(n_rows) % max(len(beyond) // _FEW_ENTRIES, 1) == 0
    if not some.all():
        within = np.concatenate([beyond[lo:hi] for lo, hi in entries.ranges(some)])
        part = entries.part(some, np.ones(entries.shape[1], dtype=bool))
        clear, turned = _find_turned(space, part, within, regression.factors[some], threshold)
        if turned.sum() < 0.25 * np.sum(clear & within):
            nothing = Masks(*(np.zeros(n, dtype=bool) for n in entries.shape))
            return Ambiguity(*nothing, False)
    clear, turned = _find_turned(space, entries, beyond, regression.factors, threshold)
    if known is not None:
        clear, turned = clear & known, turned & known
    met = clear & ~beyond
    share = turned.sum() / (met.sum() + turned.sum()) if turned.sum() > 0.5 * np.sum(clear & beyond) else 0.0
    masks, hopeless = [], False
    for n_met, n_turned in zip(entries.counts(met), entries.counts(turned), strict=True):
        lead = n_met - n_turned
        log_odds = lead * np.log((1.0 - share) / share) if 0.0 < share < 1.0 else np.full(len(lead), np.inf)
        risk = np.where(n_turned > 0, expit(-log_odds), 0.0)
        order = np.argsort(risk)
        masks.append(np.zeros(len(lead), dtype=bool))
        masks[-1][order[np.cumsum(risk[order]) > chance]] = True
        hopeless |= bool(np.mean(risk > 0.05) > 0.35)
    return Ambiguity(masks[0], masks[1], hopeless)


def _find_turned(
    space: RowSpace, entries: Entries, beyond: np.ndarray, factors: np.ndarray, threshold: float
) -> _Turned:
    clear = np.abs(entries.y) > threshold  # smaller ones fit both
    wrong = entries.subset(beyond)
    apart = np.abs(0.5 * space.residual(wrong, factors) + wrong.y)  # half of the distance from the opposite
    within = np.maximum(0.5 * threshold, 1e-6 * np.abs(wrong.y))
    turned = np.zeros(len(beyond), dtype=bool)
    turned[beyond] = apart <= within
    turned &= clear
    # the wrong sign leaves them as near as noise is, most within a scale; by chance as many lie in each part of it
    near = turned[beyond] & (apart <= within / FLAG_WIDTH)
    return _Turned(clear, turned if near.sum() > 0.5 * turned.sum() else turned & False)
