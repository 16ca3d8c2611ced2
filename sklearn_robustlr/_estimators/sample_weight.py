"""Samples that count more or less than once, and samples that are the same: each is seen once, with its weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from .._fits.matrix_fit import MatrixFit
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import RowSpace
from .weighted import check_weights

# Most copies of samples, in units of these, or numbers in all: more would be a fit of another size.
_MOST_TIMES, _MOST_NUMBERS = 4.0, 1 << 14
# Largest ratio of a weight to the median one, and the inverse of the least: with 1e10 normal equations lose all digits.
_MOST_RATIO = 1e8
# Columns that are looked at first for samples that are the same, and numbers that are looked at at a time.
_FIRST_COLUMNS, _BLOCK = 4, 1 << 16


@dataclass(frozen=True)
class Copies:
    """What a fit sees of samples: the `index` of each that it sees.

    `weight` is how often each of them counts, in an order that depends on their contents alone; None: once, in that of
    the samples. `where` has for each sample the place of what is seen of it, -1 where its weight is zero. Samples that
    are the same are seen once: their noise, which is the same too, would look like a direction of the matrix.
    """

    index: np.ndarray
    weight: np.ndarray | None
    where: np.ndarray

    @classmethod
    def of_rows(cls, X: Any, entries: Entries, sample_weight: Any = None) -> Copies | None:
        """Those of the rows of X, which has these observed entries; None: each is there once, and no two are alike."""

        def keys() -> np.ndarray:
            if entries.full is not None and entries.weight is None:
                return _keys_of_rows(entries.full)
            return _keys_of_entries(entries.indptr, entries.cols, entries.y, entries.weight)

        return cls._of(X, sample_weight, keys)

    @classmethod
    def of_measurements(cls, X: Any, y: np.ndarray, sample_weight: Any = None) -> Copies | None:
        """Those of measurements X of values y; None: each is there once, and no two are alike."""

        def keys() -> np.ndarray:
            own = _keys_of_entries(X.indptr, X.indices, X.data) if sparse.issparse(X) else _keys_of_rows(X)
            return _mixed(own ^ _bits(y))

        return cls._of(X, sample_weight, keys)

    @classmethod
    def _of(cls, X: Any, sample_weight: Any, keys: Callable[[], np.ndarray]) -> Copies | None:
        """Those of the rows of X, whose `keys` tell them from one another, in the order of these."""
        n = X.shape[0]
        if sample_weight is not None:
            weight = check_weights(sample_weight, n)
        elif _are_apart(X):
            return None
        else:
            weight = np.ones(n)
        counts = np.flatnonzero(weight > 0.0)
        _, first, group = np.unique(keys()[counts], return_index=True, return_inverse=True)
        own, where = np.bincount(group, weight[counts]), np.full(n, -1)
        once = bool(np.all(own == 1.0))
        if once and len(own) == len(counts):  # none is another: their order stays
            where[counts] = np.arange(len(counts))
            return None if len(counts) == n else cls(counts, None, where)
        where[counts] = group
        return cls(counts[first], None if once else own, where)

    def repeated(self, n_features: int) -> Copies | None:
        """The same samples, each as often as it counts, if most are to be repeated; None: they are not.

        Copies agree: where what is exact is looked for, a majority of them is one.
        """
        if self.weight is None:
            return None
        n = len(self.index)
        most = max(_MOST_TIMES * n, _MOST_NUMBERS / max(n_features, 1))
        times = np.ceil(self.weight / max(float(self.weight.sum()) / most, 1.0)).astype(np.int64)
        if times.sum() < 2 * n:
            return None
        starts = np.append(np.cumsum(times) - times, -1)  # that of a sample of no weight is none
        return Copies(np.repeat(self.index, times), np.repeat(self.weight / times, times), starts[self.where])

    def entries(self, entries: Entries) -> Entries:
        """The entries of what is seen of rows."""
        return entries.taken(self.index, self.weight)

    def of_samples(self, found: MatrixFit, entries: Entries, *, n_jobs: int | None) -> MatrixFit:
        """A fit of what is seen of the rows of a matrix as one of its rows; those of no weight are regressed."""
        fit, space, where = found.fit, found.space, self.where
        regression = space.regress(entries, n_jobs=n_jobs, residual=True, threshold=fit.threshold)
        left = fit.factors.left.astype(np.float64)[where]
        absent = where < 0
        left[absent] = space.predict(regression.factors[absent]) @ fit.right.astype(np.float64)
        if len(np.unique(where)) == len(where) == len(self.index):  # they are in another order
            fit = replace(fit, left=fit.left[where])
        else:
            fit = fit.with_factors(left, fit.right)
        lost = np.isin(where, found.undetermined_rows)
        lost[absent] = False
        few = regression.met == 0 if isinstance(space, ModelSpace) else ~space.is_identifiable(regression.met)
        return replace(
            found,
            fit=fit,
            outliers=entries.mask(space.gross(entries, regression)),
            n_observed=len(entries.y),
            undetermined_rows=np.flatnonzero(lost | (absent & few)),
            regression=None if isinstance(space, RowSpace) else regression,
        )


def in_units_of(others: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights in units of the median of others, and not too far from that; ratios of extremes overflow."""
    reach = np.log(_MOST_RATIO)
    return np.exp(np.clip(np.log(weight) - np.median(np.log(others)), -reach, reach))


def _are_apart(X: Any) -> bool:
    """Whether the first numbers of samples tell that no two are alike."""
    if sparse.issparse(X) or X.shape[1] <= _FIRST_COLUMNS:
        return False
    return len(np.unique(_keys_of_rows(X[:, :_FIRST_COLUMNS]))) == X.shape[0]


def _keys_of_rows(X: np.ndarray) -> np.ndarray:
    """A number of 64 bits for each row, which tells it from others."""
    n, p = X.shape
    columns = _mixed(np.arange(p, dtype=np.uint64))
    keys = np.empty(n, np.uint64)
    step = max(_BLOCK // max(p, 1), 1)
    for lo in range(0, n, step):
        keys[lo : lo + step] = _mixed(_bits(X[lo : lo + step]) ^ columns).sum(axis=1, dtype=np.uint64)
    return keys


def _keys_of_entries(
    indptr: np.ndarray, cols: np.ndarray, values: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """The same of rows given by their entries, in whatever order, and the weights of these."""
    each = _mixed(_bits(values) ^ _mixed(cols.astype(np.uint64)))
    if weight is not None:
        each = _mixed(each ^ _bits(weight))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(each, dtype=np.uint64)])
    return total[indptr[1:]] - total[indptr[:-1]]


def _bits(values: np.ndarray) -> np.ndarray:
    """Numbers by their bits, the same for both zeros, and for all that are missing."""
    values = values.astype(np.float64) + 0.0
    values[np.isnan(values)] = np.nan
    return values.view(np.uint64)


def _mixed(x: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits that look random (a step of splitmix64), zero among them."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
