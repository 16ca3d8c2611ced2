"""Every kind of measurements against a slow NumPy oracle."""

import numpy as np
import pytest
from measured import D1, D2, DELTAS, KINDS, K, M, build, psi
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr._kernels import measurements as kernels
from sklearn_robustlr._operators import base
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.rank_one import RankOneMeasurements


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("kind", KINDS)
def test_step(kind, delta, rng):
    op, stack = build(kind, rng)
    left, right = rng.standard_normal((D1, K)), rng.standard_normal((D2, K))
    weight, y = rng.uniform(size=M), rng.standard_normal(M)
    for w, t in ((None, None), (weight, y)):
        residual, grad_left, grad_right = op.step(left, right, delta, w, t)
        expected = np.einsum("iab,ab->i", stack, left @ right.T) - (op.y if t is None else t)
        g = np.einsum("i,iab->ab", (1 if w is None else w) * psi(expected, delta), stack)
        assert_allclose(residual, expected, atol=1e-10)
        assert_allclose(grad_left, g @ right, atol=1e-9)
        assert_allclose(grad_right, g.T @ left, atol=1e-9)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("kind", KINDS)
def test_tangent(kind, delta, rng):
    op, stack = build(kind, rng)
    u, v = np.linalg.qr(rng.standard_normal((D1, 2)))[0], np.linalg.qr(rng.standard_normal((D2, 2)))[0]
    m, n = rng.standard_normal((D1, 2)), rng.standard_normal((D2, 2))
    residual, grad_m, grad_n = op.tangent(u, v).step(m, n, delta)
    expected = np.einsum("iab,ab->i", stack, m @ v.T + u @ n.T) - op.y
    g = np.einsum("i,iab->ab", psi(expected, delta), stack)
    assert_allclose(residual, expected, atol=1e-10)
    assert_allclose(grad_m, g @ v, atol=1e-9)
    assert_allclose(grad_n, g.T @ u, atol=1e-9)


def test_stored_tangent_coordinates_are_used_and_right(rng):
    """Large matrices store the tangent coordinates; the result is that of the stacked factors."""
    shape, m = (40, 30), 50
    op = DenseMeasurements(rng.standard_normal((m, 1200)), rng.standard_normal(m), shape)
    u, v = np.linalg.qr(rng.standard_normal((40, 2)))[0], np.linalg.qr(rng.standard_normal((30, 2)))[0]
    a, b = rng.standard_normal((40, 2)), rng.standard_normal((30, 2))
    tangent = op.tangent(u, v)
    assert type(tangent).__name__ == "StoredTangent"
    stacked = super(DenseMeasurements, op).tangent(u, v)
    for x, z in zip(tangent.step(a, b, 0.3), stacked.step(a, b, 0.3), strict=True):
        assert_allclose(x, z, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_leading_triplets(kind, rng):
    op, stack = build(kind, rng)
    values = rng.standard_normal(M)
    u, s, v = op.leading(values, 2)
    g = np.einsum("i,iab->ab", values, stack)
    u0, s0, v0t = np.linalg.svd(g)
    assert_allclose(s, s0[:2])
    assert_allclose((u * s) @ v.T, (u0[:, :2] * s0[:2]) @ v0t[:2], atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_subset(kind, rng):
    op, _ = build(kind, rng)
    index = np.arange(0, M, 3)
    left, right = rng.standard_normal((D1, K)), rng.standard_normal((D2, K))
    residual = op.subset(index).step(left, right, 0.0)[0]
    assert_allclose(residual, op.step(left, right, 0.0)[0][index], atol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "rank_one"])
def test_second_moments(kind, rng):
    op, stack = build(kind, rng)
    sizes = rng.uniform(0.5, 2.0, D1), rng.uniform(0.5, 2.0, D2)
    rows, cols = op.second_moments(*sizes)
    even = stack / np.outer(*sizes)
    assert_allclose(rows, np.mean([a @ a.T / D2 for a in even], axis=0), atol=1e-10)
    assert_allclose(cols, np.mean([a.T @ a / D1 for a in even], axis=0), atol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "sparse", "rank_one"])
def test_sizes_of_measurements_and_of_their_lines(kind, rng):
    op, stack = build(kind, rng)
    rows, cols = rng.uniform(0.5, 2.0, D1), rng.uniform(0.5, 2.0, D2)
    size = op.sizes(rows, cols)
    assert_allclose(size, np.linalg.norm(stack / np.outer(rows, cols), axis=(1, 2)), rtol=1e-12)
    even = op.divided(size)
    left, right = rng.standard_normal((D1, K)), rng.standard_normal((D2, K))
    assert_allclose(even.residual(left, right), op.residual(left, right) / size, rtol=1e-10, atol=1e-12)
    if kind == "rank_one":  # of each vector alone
        expected = [np.sqrt(np.mean(vectors**2, axis=0)) for vectors in (op.a, op.b)]
    else:
        expected = [np.sqrt((stack**2).sum(axis=axes) / (stack != 0.0).sum(axis=axes)) for axes in ((0, 2), (0, 1))]
    for found, size in zip(op.line_sizes(), expected, strict=True):
        assert_allclose(found / found[0], size / size[0], rtol=1e-12)


def test_nan_is_not_lost(rng):
    """The flags that let loops vectorise must not turn NaN into a number."""
    op, _ = build("dense", rng)
    left = np.full((D1, K), np.nan)
    assert np.isnan(op.step(left, np.ones((D2, K)), 0.5)[0]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_several_steps_in_one_read_are_the_steps(kind, rng, dtype):
    """Bit for bit, but for the products that BLAS forms, whose sums depend on how many there are."""
    op, _ = build(kind, rng, dtype)
    requests = [
        (rng.standard_normal((D1, K)).astype(dtype), rng.standard_normal((D2, K)).astype(dtype), delta)
        for delta in DELTAS
    ]
    weight = rng.uniform(size=M).astype(dtype)
    for together, request in zip(op.steps(requests, weight), requests, strict=True):
        for a, b in zip(together, op.step(*request, weight), strict=True):
            rtol = 0.0 if kind == "sparse" or "entries" in kind else 20 * np.finfo(dtype).eps
            assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_in_parts_is_the_same_in_any_number_of_threads(kind, rng, monkeypatch):
    """Cut into parts, the sums are those of the whole up to rounding, and the same bits for every number of threads."""
    whole, _ = build(kind, rng)
    left, right = rng.standard_normal((D1, K)), rng.standard_normal((D2, K))
    u, v = np.linalg.qr(left)[0], np.linalg.qr(right)[0]
    expected = [*whole.step(left, right, 0.7), *whole.tangent(u, v).step(left, right, 0.7)]
    monkeypatch.setattr(base, "_PART_WORK", 16)
    monkeypatch.setattr(base, "_OWN_GRADIENT", 1e-3)
    results = {}
    for n_threads in (1, 3):
        op = whole.with_threads(n_threads)
        results[n_threads] = [*op.step(left, right, 0.7), *op.tangent(u, v).step(left, right, 0.7)]
    for one, three, known in zip(results[1], results[3], expected, strict=True):
        assert_array_equal(one, three)
        assert_allclose(one, known, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision(kind, rng):
    """The same to seven digits, targets of any size; what would overflow, and the kinds that gain nothing, stay."""
    op, _ = build(kind, rng)
    left, right = rng.standard_normal((D1, K)), rng.standard_normal((D2, K))
    single = op.single()
    assert single.dtype == (np.float64 if kind == "sparse" or "entries" in kind else np.float32)
    factors = left.astype(single.dtype), right.astype(single.dtype)
    for a, b in zip(single.step(*factors, 0.7), op.step(left, right, 0.7), strict=True):
        assert a.dtype == single.dtype
        assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
    assert np.isfinite(op.with_targets(op.y * 1e40).single().y).all()
    if kind in ("dense", "rank_one"):
        huge = DenseMeasurements(1e30 * op.data, op.y, op.shape) if kind == "dense" else None
        huge = huge or RankOneMeasurements(op.a, 1e-30 * op.b, op.y, op.shape)
        assert huge.single() is huge


@pytest.mark.compiled
def test_one_signature_per_kernel(rng):
    """Input that differs in writability or layout must not compile a kernel again."""
    for kind in ("dense", "sparse", "rank_one", "entries", "dense entries"):
        op, _ = build(kind, rng)
        left, right = np.asfortranarray(rng.standard_normal((D1, K))), rng.standard_normal((D2, K))
        op.step(left, right, 0)
        op.step(left, right, np.inf, np.ones(M), np.zeros(M))
        op.steps([(left, right, 0), (left, right, np.inf)])
        op.tangent(np.eye(D1, 2), np.eye(D2, 2)).step(np.eye(D1, 2, order="F"), np.eye(D2, 2), 0.0)
    DenseMeasurements(rng.standard_normal((5, 144)), np.ones(5), (12, 12)).tangent(np.eye(12, 1), np.eye(12, 1))
    dense = "dense_step", "dense_steps", "dense_tangent"
    names = *dense, "sparse_steps", "rank_one_weigh", "entries_step", "entries_tangent_step"
    for name in names:
        signatures = [s for s in getattr(kernels, name).dispatcher.signatures if "float32" not in str(s)]
        assert len(signatures) == 1, (name, signatures)
