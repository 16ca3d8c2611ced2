"""Results of the selection: a candidate with its verdict, and what one start came to."""

from __future__ import annotations

from dataclasses import dataclass

from .._solvers.subgradient import History
from .._utils.values import Fit, Verdict


@dataclass(frozen=True)
class Candidate:
    """A fit and the verdict on it."""

    fit: Fit
    verdict: Verdict

    @property
    def converged(self) -> bool:
        """Whether the fit is to be trusted."""
        return self.verdict.converged


@dataclass(frozen=True)
class Solution:
    """What one start came to; `sharp`: no stage had a doubt that its rank is the true one."""

    fit: Fit
    rank: int
    verdict: Verdict
    n_iter: int
    history: History
    sharp: bool = False

    @classmethod
    def of(cls, candidate: Candidate, n_iter: int, history: History, *, sharp: bool = False) -> Solution:
        """The solution of a candidate, whose sub-gradient stage took so many iterations."""
        return cls(candidate.fit, candidate.fit.rank, candidate.verdict, n_iter, history, sharp)

    @property
    def converged(self) -> bool:
        """Whether the fit is to be trusted."""
        return self.verdict.converged
