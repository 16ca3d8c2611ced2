"""Measurements of single entries: passes by whole rows, order, clustering."""

import numpy as np
import pytest
from measured import D1, D2, DELTAS, build, psi
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr._operators.entries import EntryMeasurements


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("twice", [False, True])
def test_a_matrix_without_missing_entries(twice, dtype, delta, rng):
    """By products of whole rows, some at a time; also where half of the columns are measured twice, the others not."""
    shape, k = (300, 280), 3
    rows, cols = (index.astype(np.int32) for index in np.indices(shape))
    cols = np.sort(cols // 2, axis=1) if twice else cols
    y, weight = rng.standard_normal(shape).astype(dtype), rng.uniform(size=shape).astype(dtype)
    op = EntryMeasurements(rows.ravel(), cols.ravel(), y.ravel(), shape)
    left, right = rng.standard_normal((shape[0], k)).astype(dtype), rng.standard_normal((shape[1], k)).astype(dtype)
    u, v = np.linalg.qr(left)[0], np.linalg.qr(right)[0]
    at_factors = left @ right.T, right, left
    at_tangent = left @ v.T + u @ right.T, v, u
    found = op.step(left, right, delta, weight.ravel()), op.tangent(u, v).step(left, right, delta, weight.ravel())
    for (product, into_left, into_right), steps in zip((at_factors, at_tangent), found, strict=True):
        residual = np.take_along_axis(product, cols, axis=1) - y
        g = np.zeros(shape)
        np.add.at(g, (rows, cols), weight * psi(residual, delta))
        for one, other in zip(steps, (residual.ravel(), g @ into_left, g.T @ into_right), strict=True):
            assert one.dtype == dtype
            assert_allclose(one, other, atol=100 * np.finfo(dtype).eps * np.abs(other).max())


def test_entries_are_sorted_stably(rng):
    rows, cols = rng.randint(0, D1, 200).astype(np.int32), rng.randint(0, D2, 200).astype(np.int32)
    op, order = EntryMeasurements.from_unsorted(rows, cols, np.arange(200.0), (D1, D2))
    assert_array_equal(order, np.lexsort((cols, rows)))
    assert_array_equal(op.y, order)


def test_clustering_of_weights(rng):
    """About one where they fall by chance, the number in a row where whole rows share them; one without rows."""
    rows, cols = np.nonzero(rng.uniform(size=(60, 50)) < 0.5)
    op = EntryMeasurements(rows.astype(np.int32), cols.astype(np.int32), np.ones(len(rows)), (60, 50))
    scattered = (rng.uniform(size=op.size) < 0.3).astype(float)
    assert 0.7 < op.clustering(scattered) < 1.3
    gathered = (op.rows % 3 == 0).astype(float)
    assert op.clustering(gathered) == pytest.approx(op.size / 60, rel=0.1)
    gathered = (op.cols % 3 == 0).astype(float)
    assert op.clustering(gathered) == pytest.approx(op.size / 50, rel=0.1)
    assert op.clustering(np.ones(op.size)) == 1.0
    assert build("dense", rng)[0].clustering(scattered) == 1.0


@pytest.mark.parametrize(("observed", "twice"), [(1.0, False), (0.7, False), (0.7, True), (0.1, False)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_normal_equations_and_residuals(dtype, observed, twice, rng):
    """The gradients of squares, where nothing is missing, much, most, or entries are measured twice."""
    shape, k = (40, 30), 3
    rows, cols = np.nonzero(rng.uniform(size=shape) < observed)
    if twice:
        rows, cols = np.repeat(rows, 2), np.repeat(cols, 2)
    y, weight = rng.standard_normal((2, len(rows))).astype(dtype) ** 2
    op = EntryMeasurements(rows.astype(np.int32), cols.astype(np.int32), y, shape)
    u, v = (np.linalg.qr(rng.standard_normal((n, k)))[0].astype(dtype) for n in shape)
    normal = op.tangent(u, v).normal(weight)
    for _ in range(2):  # it is called for one direction after the other
        m, n = (rng.standard_normal((size, k)).astype(dtype) for size in shape)
        g = np.zeros(shape)
        np.add.at(g, (rows, cols), weight * (m @ v.T + u @ n.T)[rows, cols])
        for one, other in zip(normal(m, n), (g @ v, g.T @ u), strict=True):
            assert one.dtype == dtype
            assert_allclose(one, other, atol=100 * np.finfo(dtype).eps * np.abs(other).max())
        residual = op.residual(m, v)
        assert residual.dtype == dtype
        assert_allclose(residual, (m @ v.T)[rows, cols] - y, atol=100 * np.finfo(dtype).eps)
