"""Decompositions."""

import numpy as np
import pytest
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


@pytest.mark.parametrize("shape", [(40, 30), (30, 700), (620, 610)])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_largest_singular_value_is_that_of_the_decomposition(shape, kind, rng):
    matrix = rng.standard_normal(shape)
    assert linalg.largest_singular_value(kind(matrix)) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-6)
    assert linalg.largest_singular_value(kind(np.zeros(shape))) == 0.0
