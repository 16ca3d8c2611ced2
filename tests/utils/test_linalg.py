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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "p", "k"), [(40, 30, 3), (9, 4, 6), (1, 5, 2), (200, 150, 70), (6, 5, 0)])
def test_the_decomposition_of_a_product(n, p, k, dtype, rng):
    left, right = (rng.standard_normal((size, k)).astype(dtype) for size in (n, p))
    u, s, v = linalg.product_svd(left, right)
    rtol = 1e-4 if dtype == np.float32 else 1e-12
    assert u.dtype == s.dtype == v.dtype == dtype
    assert_allclose((u * s) @ v.T, left @ right.T, atol=10 * rtol * max(s, default=1.0))
    for factor in (u, v):
        assert_allclose(factor.T @ factor, np.eye(len(s)), atol=rtol)
    own = linalg.product_spectrum(left, right)[: len(s)]
    assert_allclose(own, s, rtol=rtol, atol=rtol * max(s, default=1.0))
    least = min(n, p, k)
    expected = np.linalg.svd(left.astype(float) @ right.T.astype(float), compute_uv=False)[:least]
    assert_allclose(s[:least], expected, rtol=rtol, atol=rtol * max(s, default=1.0))
