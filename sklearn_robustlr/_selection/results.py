"""Results of the selection: a candidate with its verdict, and what one start came to."""

from __future__ import annotations

from dataclasses import dataclass

from .._solvers.subgradient import History
from .._utils.values import Fit, Verdict


@dataclass(frozen=True)
class Candidate:
    """A fit, whether it is to be trusted, and if not, why."""

    fit: Fit
    converged: bool
    reason: str = ""

    @classmethod
    def judged(cls, fit: Fit, verdict: Verdict) -> Candidate:
        """A fit and the verdict on it."""
        return cls(fit, verdict.converged, verdict.reason)


@dataclass(frozen=True)
class Solution:
    """What one start came to."""

    fit: Fit
    rank: int
    converged: bool
    reason: str
    n_iter: int
    history: History

    @classmethod
    def of(cls, candidate: Candidate, n_iter: int, history: History) -> Solution:
        """The solution of a candidate, whose sub-gradient stage took so many iterations."""
        return cls(candidate.fit, candidate.fit.rank, candidate.converged, candidate.reason, n_iter, history)
