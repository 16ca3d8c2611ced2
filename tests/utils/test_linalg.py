"""Decompositions."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import sparse

from sklearn_robustlr._utils import linalg


def test_large_sparse_svd_matches_dense(rng):
    low = rng.standard_normal((800, 3)) @ rng.standard_normal((3, 700))
    u, s, v = linalg.truncated_svd(sparse.csr_matrix(low), 3)
    assert_allclose((u * s) @ v.T, low, atol=1e-8)
    assert np.all(np.diff(s) <= 0)


def test_diagonals_of_packed_matrices(rng):
    diagonals = rng.standard_normal((4, 3))
    packed = linalg.pack_diagonals(diagonals)
    assert_allclose(linalg.unpack(packed), [np.diag(d) for d in diagonals])
    assert_allclose(linalg.packed_diagonals(packed), diagonals)
