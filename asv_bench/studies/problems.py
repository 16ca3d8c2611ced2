"""Random problems of the studies of recovery, and those that methods are timed on: their data, truth and error."""

from dataclasses import dataclass

import numpy as np

from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

KINDS = ("full", "completion", "sensing", "rank_one")


def draw(
    seed,
    *,
    sides,
    ranks,
    outliers,
    kinds=OUTLIER_KINDS,
    condition=(1, 5),
    observed=None,
    noise=None,
    multiple=None,
    ensembles=("gaussian",),
):
    """Options of a random problem, for the generators of `sklearn_robustlr.datasets`.

    Each option is drawn from a range that includes its ends, kinds and ensembles take turns. With `multiple`, these are
    measurements, so many per degree of freedom; otherwise a matrix of which a share is observed.
    """
    rng = np.random.RandomState(seed)
    shape = tuple(int(side) for side in rng.randint(sides[0], sides[1] + 1, 2))
    rank = int(rng.randint(ranks[0], ranks[1] + 1))
    told = {"shape": shape, "rank": rank, "outlier_kind": kinds[seed % len(kinds)], "random_state": seed}
    if multiple:
        told["n_measurements"] = multiple * rank * (sum(shape) - rank)
        told["ensemble"] = ensembles[seed % len(ensembles)]
    for name, ends in {"observed": observed, "outliers": outliers, "condition": condition, "noise": noise}.items():
        if ends is not None:
            told[name] = float(rng.uniform(*ends))
    return told


# The error of a matrix is taken over at most so many of its rows.
_ROWS = 1000


@dataclass
class Problem:
    """A matrix with NaN where entries are missing (`y` is None), or measurements and their targets `y`.

    `inliers` masks what is observed and not corrupted; only the oracle is told.
    """

    kind: str
    data: np.ndarray
    y: np.ndarray | None
    truth: np.ndarray
    rank: int
    noise: float
    inliers: np.ndarray

    @property
    def shape(self):
        return self.truth.shape

    def error(self, left, right=None):
        """Relative error of a matrix, or of a pair of factors."""
        rows = slice(None, None, -(-len(self.truth) // _ROWS))
        estimate = left[rows] if right is None else left[rows] @ right.T
        return relative_recovery_error(self.truth[rows], estimate)


def make_problem(kind, size, *, rank, outliers, condition=1.0, noise=0.0, observed=None, m=None, dtype=float, seed=0):
    """Draw a problem: `size` x `size`, with this share of its entries observed, or `m` measurements of it."""
    options = {"outliers": outliers, "condition": condition, "noise": noise, "random_state": seed}
    shape = (size, size)
    if kind in ("full", "completion"):
        share = 1.0 if kind == "full" else observed
        drawn = make_corrupted_matrix(shape, rank, observed=share, **options)
        inliers = drawn.observed & ~drawn.outliers
        return Problem(kind, drawn.data.astype(dtype, copy=False), None, drawn.clean, rank, noise, inliers)
    ensemble = "rank_one" if kind == "rank_one" else "gaussian"
    drawn = make_measurements(m, shape, rank, ensemble=ensemble, **options)
    data, y = (array.astype(dtype, copy=False) for array in (drawn.data, drawn.target))
    return Problem(kind, data, y, drawn.coef, rank, noise, ~drawn.outliers)
