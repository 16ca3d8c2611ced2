"""The budget of a fit: iterations of all of its stages, and the most that there may be."""

from __future__ import annotations

import numpy as np

# Multiplications by factors for each iteration of the budget, after which a search ends, too. Of 257 problems of
# ``asv_bench/studies/doubtful.py`` none takes more than 9e7 in all (by default there are 6e10). One of 2000 x 800 and
# 150 directions, in which none is found, ends after 37 s instead of 114 s. One of 1000 x 1000 and rank 50 with 60 %
# seen, 30 % errors and noise is lost: it takes 1.2e11.
_WORK = 1e6
# Share of the budget that the over-parameterised stage may take where others follow, and iterations that it may anyway.
_FIRST_STAGE, _AT_LEAST = 0.005, 300


class Meter:
    """Iterations that a fit has made from one start, each counted by the share of the data that it has read.

    `most` is the budget of each start, `size` the number of measurements.
    """

    def __init__(self, most: int, size: int) -> None:
        self.most, self.size = most, size
        self.spent = self.work = 0.0

    def fresh(self) -> Meter:
        """The meter of another start."""
        return Meter(self.most, self.size)

    def of(self, size: int) -> Meter:
        """The meter of other measurements."""
        return Meter(self.most, size)

    def add(self, n_iter: float, size: int | None = None, rank: float = 0.0) -> None:
        """Count iterations on so many of the measurements (None: on all), of so many multiplications for each."""
        self.spent += n_iter if size is None else n_iter * min(size / self.size, 1.0)
        self.work += n_iter * (self.size if size is None else size) * rank

    @property
    def is_spent(self) -> bool:
        """Whether the budget has been used."""
        return max(self.spent, self.work / _WORK) >= self.most

    @property
    def count(self) -> int:
        """Iterations on all of the data, rounded up."""
        return int(np.ceil(self.spent - 1e-9))

    def first_stage(self, *, alone: bool) -> int:
        """Most iterations of the over-parameterised stage, which may be all that there is."""
        return self.most if alone else min(max(int(_FIRST_STAGE * self.most), _AT_LEAST), self.most)
