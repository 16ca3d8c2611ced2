"""The kernels of the low-rank model beside plain NumPy."""

import numpy as np
from numpy.testing import assert_allclose

from sklearn_robustlr._kernels.posterior import (
    diagonal_moments,
    entry_means,
    entry_moments,
    posterior_rows,
    relax_rows,
)
from sklearn_robustlr._utils.linalg import pack, pack_diagonals, unpack


def problem(rng, n=7, p=9, k=3):
    """Some entries of rows, one of which is empty, with weights, loadings and their covariances."""
    seen = rng.uniform(size=(n, p)) < 0.7
    seen[2] = False
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
    cols = np.nonzero(seen)[1].astype(np.int32)
    root = rng.standard_normal((p, k, k))
    spread = 0.1 * root @ root.transpose(0, 2, 1)
    weight = rng.uniform(0.0, 3.0, len(cols))
    weight[::5] = 0.0
    return indptr, cols, rng.standard_normal(len(cols)), weight, rng.standard_normal((p, k)), spread


def test_posterior_of_rows(rng):
    indptr, cols, target, weight, basis, spread = problem(rng)
    prior = np.array([1.0, 2.0, 0.5])
    mean, cov = np.full((7, 3), np.nan), np.full((7, 6), np.nan)
    posterior_rows(indptr, cols, target, weight, basis, pack(spread), prior, mean, cov)
    cov = unpack(cov)
    for i in range(7):
        own = slice(indptr[i], indptr[i + 1])
        b, w = basis[cols[own]], weight[own]
        precision = np.diag(prior) + (b * w[:, None]).T @ b + np.einsum("p,pkl->kl", w, spread[cols[own]])
        assert_allclose(cov[i], np.linalg.inv(precision), rtol=1e-10, atol=1e-13)
        assert_allclose(mean[i], np.linalg.solve(precision, b.T @ (w * target[own])), rtol=1e-9, atol=1e-12)
    assert_allclose(mean[2], 0.0)
    assert_allclose(cov[2], np.diag(1.0 / prior))


def test_posterior_of_more_rows_than_are_inverted_side_by_side(rng):
    """With directions that next to nothing is known of: the precision is nearly singular."""
    indptr, cols, target, weight, basis, spread = problem(rng, n=75, p=12, k=9)
    prior = np.full(9, 1e-3)
    mean, cov = np.full((75, 9), np.nan), np.full((75, 45), np.nan)
    posterior_rows(indptr, cols, target, weight, basis, pack(1e-6 * spread), prior, mean, cov)
    cov = unpack(cov)
    for i in range(75):
        own = slice(indptr[i], indptr[i + 1])
        b, w = basis[cols[own]], weight[own]
        precision = np.diag(prior) + (b * w[:, None]).T @ b + 1e-6 * np.einsum("p,pkl->kl", w, spread[cols[own]])
        assert_allclose(cov[i] @ precision, np.eye(9), atol=1e-8)
        assert_allclose(precision @ mean[i], b.T @ (w * target[own]), atol=1e-7)


def test_posterior_of_rows_on_a_large_basis(rng):
    """Of more entries than are summed up at a time: where covariances are diagonal, and where one is not."""
    k, p = 30, 600
    indptr, cols, target, weight, basis, _ = problem(rng, n=3, p=p, k=k)
    spread, prior = 0.1 * np.eye(k) * rng.uniform(size=(p, k, 1)), rng.uniform(1.0, 2.0, k)
    for _ in range(2):
        mean, cov = np.full((3, k), np.nan), np.full((3, k * (k + 1) // 2), np.nan)
        posterior_rows(indptr, cols, target, weight, basis, pack(spread), prior, mean, cov)
        for i in range(3):
            own = slice(indptr[i], indptr[i + 1])
            b, w = basis[cols[own]], weight[own]
            precision = np.diag(prior) + (b * w[:, None]).T @ b + np.einsum("p,pkl->kl", w, spread[cols[own]])
            assert_allclose(unpack(cov)[i] @ precision, np.eye(k), atol=1e-11)
            assert_allclose(precision @ mean[i], b.T @ (w * target[own]), atol=1e-11)
        spread[p // 2, 3, 4] = spread[p // 2, 4, 3] = 0.05


def test_precisions_that_rounding_has_made_singular_give_numbers():
    ones = np.ones(3)
    mean, cov = np.empty((1, 2)), np.empty((1, 3))
    basis = np.ones((3, 2))
    entries = np.array([0, 3], np.int32), np.arange(3, dtype=np.int32), ones, 1e12 * ones
    posterior_rows(*entries, basis, np.zeros((3, 3)), np.full(2, 1e-9), mean, cov)
    assert np.isfinite(mean).all() and np.isfinite(cov).all()


def test_conjugate_gradients_come_to_the_posterior_mean(rng):
    """Of rows 1 to 6, from any start; as many steps as coefficients are exact."""
    indptr, cols, target, weight, basis, spread = problem(rng)
    spread = np.ascontiguousarray(np.einsum("jkk->jk", spread))
    prior = np.array([1.0, 2.0, 0.5])
    mean, variance = rng.standard_normal((7, 3)), np.full((7, 3), np.nan)
    start = mean.copy()
    relax_rows(1, 6, indptr, cols, target, weight, basis, spread, prior, 3, mean, variance)
    assert_allclose(mean[[0, 6]], start[[0, 6]])
    assert np.isnan(variance[[0, 6]]).all()
    for i in range(1, 6):
        own = slice(indptr[i], indptr[i + 1])
        b, w = basis[cols[own]], weight[own]
        precision = np.diag(prior + w @ spread[cols[own]]) + (b * w[:, None]).T @ b
        assert_allclose(mean[i], np.linalg.solve(precision, b.T @ (w * target[own])), rtol=1e-3, atol=1e-3)
        assert_allclose(variance[i], 1.0 / np.diag(precision))
    before = mean.copy()
    relax_rows(1, 6, indptr, cols, target, weight, basis, spread, prior, 3, mean, variance)
    assert_allclose(mean, before, rtol=1e-3, atol=1e-3)


def test_moments_with_diagonal_covariances(rng):
    indptr, cols, _, _, basis, _ = problem(rng)
    left, left_var, right_var = rng.standard_normal((7, 3)), rng.uniform(size=(7, 3)), rng.uniform(size=(9, 3))
    mean, variance, expected_mean, expected = np.zeros((4, len(cols)))
    diagonal_moments(0, 7, indptr, cols, left, left_var, basis, right_var, mean, variance)
    full = left, pack_diagonals(left_var), basis, pack_diagonals(right_var)
    entry_moments(indptr, cols, *full, expected_mean, expected)
    assert_allclose(mean, expected_mean)
    assert_allclose(variance, expected)


def test_means_of_entries(rng):
    indptr, cols, _, _, basis, _ = problem(rng)
    left, mean = rng.standard_normal((7, 3)), np.empty(len(cols))
    entry_means(indptr, cols, left, basis, mean)
    assert_allclose(mean, (left @ basis.T)[np.repeat(np.arange(7), np.diff(indptr)), cols])


def test_moments_of_entries_are_those_of_products(rng):
    """Beside the variance of products of many draws."""
    indptr, cols, _, _, basis, spread = problem(rng)
    left = rng.standard_normal((7, 3))
    root = 0.3 * rng.standard_normal((7, 3, 3))
    cov = root @ root.transpose(0, 2, 1)
    mean, variance = np.empty((2, len(cols)))
    entry_moments(indptr, cols, left, pack(cov), basis, pack(spread), mean, variance)
    rows = np.repeat(np.arange(7), np.diff(indptr))
    assert_allclose(mean, np.sum(left[rows] * basis[cols], axis=1), rtol=1e-12)
    i, j = rows[4], cols[4]
    u = rng.multivariate_normal(left[i], cov[i], size=200_000)
    v = rng.multivariate_normal(basis[j], spread[j], size=200_000)
    assert_allclose(variance[4], np.var(np.sum(u * v, axis=1)), rtol=0.03)
