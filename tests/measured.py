"""Small measurements of every kind, and what a slow NumPy oracle needs."""

import numpy as np
from scipy import sparse

from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.rank_one import RankOneMeasurements
from sklearn_robustlr._operators.sparse import SparseMeasurements
from sklearn_robustlr._operators.units import Preconditioned

D1, D2, M, K = 6, 5, 40, 3
DELTAS = (0.0, 0.7, np.inf)
KINDS = ("dense", "sparse", "rank_one", "entries", "dense entries", "preconditioned")


def psi(residual, delta):
    return np.sign(residual) if delta == 0 else np.clip(residual, -delta, delta)


def build(kind, rng, dtype=np.float64):
    """Return (measurements, dense stack of the A_i)."""
    y = rng.standard_normal(M).astype(dtype)
    if kind == "rank_one":
        a, b = rng.standard_normal((M, D1)).astype(dtype), rng.standard_normal((M, D2)).astype(dtype)
        return RankOneMeasurements(a, b, y, (D1, D2)), a[:, :, None] * b[:, None, :]
    if "entries" in kind:
        rows = np.sort(rng.randint(0, D1, M)).astype(np.int32)
        cols = rng.randint(0, D2, M).astype(np.int32)
        order = np.lexsort((cols, rows))
        rows, cols = rows[order], cols[order]
        stack = np.zeros((M, D1, D2), dtype)
        stack[np.arange(M), rows, cols] = 1
        op = EntryMeasurements(rows, cols, y, (D1, D2))  # some of them twice, some not at all
        op._is_dense = kind == "dense entries"
        return op, stack
    data = rng.standard_normal((M, D1 * D2)).astype(dtype)
    if kind == "sparse":
        data *= rng.uniform(size=data.shape) < 0.3
        return SparseMeasurements(sparse.csr_matrix(data), y, (D1, D2)), data.reshape(M, D1, D2)
    if kind == "preconditioned":
        p, q = (g @ g.T + np.eye(len(g)) for g in (rng.standard_normal((D1, D1)), rng.standard_normal((D2, D2))))
        return Preconditioned(DenseMeasurements(data, y, (D1, D2)), p, q), p @ data.reshape(M, D1, D2) @ q
    return DenseMeasurements(data, y, (D1, D2)), data.reshape(M, D1, D2)
