"""Large matrices: a random block of rows by columns is fitted, and extended to all by robust regression.

A block of some hundred thousand entries tells the rank, the noise and the row space as well as the whole does, up to
noise; what it has not seen is a small regression a column, then a row, on bases that are known by then. A last round
over all columns brings the noise of the block down to that of the whole.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ._factors import product_svd
from ._rows import RowSpace

#: Entries beyond which a block is fitted first, and entries of the block of a full matrix.
LARGE, BLOCK = 1_000_000, 300_000


def choose_block(shape, n_entries):
    """Masks of a random block that holds about `BLOCK` of the entries, as square as it can be.

    Up to three times as many where few are seen: there are fewer for each unknown.
    """
    density = n_entries / np.prod(shape, dtype=float)
    size = min(BLOCK / np.sqrt(density), 3.3 * BLOCK)
    rows = min(shape[0], np.sqrt(size / density))
    cols = min(shape[1], size / density / rows)
    rows = min(shape[0], size / density / cols)
    rng = np.random.RandomState(0)
    masks = []
    for total, count in zip(shape, (rows, cols), strict=True):
        mask = np.zeros(total, dtype=bool)
        mask[rng.permutation(total)[: int(np.ceil(count))]] = True
        masks.append(mask)
    return masks


def extend(matrix, left, right, rows, cols, *, scale, efficient, n_jobs=None):
    """Extend the factors of a block to the whole matrix.

    `matrix` is CSR, its stored entries observed; `left` (with the singular values in it) and `right` belong to the
    block of the masks `rows` and `cols`. Returns (left, right) of the whole.
    """
    whole = np.zeros((matrix.shape[1], right.shape[1]))
    whole[cols] = right
    missing = ~cols

    def regress(entries, basis, coefficients):
        prior = coefficients[np.any(coefficients != 0.0, axis=1)]
        space = RowSpace.learn(basis, prior, np.ones(len(prior), dtype=bool), scale, efficient=efficient)
        return space.regress(entries.indptr, entries.indices, entries.data, n_jobs=n_jobs)[0]

    if missing.any():
        strip = sparse.csr_matrix(matrix[np.flatnonzero(rows)].T)[np.flatnonzero(missing)]
        whole[missing] = regress(strip, left, right)
    left = regress(matrix, whole, left)
    left, s, whole = product_svd(left, whole)
    right = regress(sparse.csr_matrix(matrix.T), left * s, whole)
    return left * s, right
