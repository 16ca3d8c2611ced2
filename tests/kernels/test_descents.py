"""The kernel of many steps of the sub-gradient method, against a slow NumPy oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_robustlr._kernels.descents import clipped_steps


def oracle(y, weight, left, right, symmetric, delta, norm, share, width, fall, places, most, n_steps):
    for t in range(n_steps):
        largest = max(np.linalg.norm(factor, 2) ** 2 for factor in (left, right))
        if max(np.linalg.norm(gram) for gram in (left.T @ left, right @ right.T)) > most:
            return left, right, t, delta
        residual = left @ right - y
        gradient = weight * np.clip(residual, -delta, delta)
        grad_left, grad_right = gradient @ right.T, left.T @ gradient
        size = np.sort(np.abs(residual.ravel()[places]))
        delta = (
            max(fall * delta, width * size[len(size) // 2])
            if size[len(size) // 2] >= fall * delta / width
            else (fall * delta)
        )
        step = share / max(norm, largest)
        if symmetric:
            left = left - step * (grad_left + grad_right.T)
            right = left.T
        else:
            left, right = left - step * grad_left, right - step * grad_right
    return left, right, n_steps, delta


def run(y, weight, left, right, *how, dtype=np.float64):
    y, weight, left, right = (
        np.ascontiguousarray(part, dtype=dtype) for part in (y, weight, left.T.copy(), right.copy())
    )
    k, places = len(left), how[6]
    memory = [np.empty(shape, dtype) for shape in (y.shape, y.shape[1], len(places), left.shape, right.shape)]
    n_made, delta = clipped_steps(y, weight, left, right, *how, *memory, *np.empty((2, 2, k, k)))
    return left.T, right, n_made, delta


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k", [1, 3, 4, 9])
def test_steps_are_those_that_are_made_one_at_a_time(rng, k, dtype):
    y = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 17))
    weight = (rng.uniform(size=y.shape) < 0.7).astype(float)
    places = np.flatnonzero(weight)[::2]
    left, right = 0.3 * rng.standard_normal((30, k)), 0.3 * rng.standard_normal((k, 17))
    # of a norm that the factors are beyond, they are bounded by their own
    for norm in (0.5, 300.0):
        how = False, 1.0, norm, 0.4, 0.7, 0.98, places, 1e9, 12
        expected, found = oracle(y, weight, left, right, *how), run(y, weight, left, right, *how, dtype=dtype)
        rtol = 0.1 if norm < 1.0 else 1e-4 if dtype is np.float32 else 1e-10  # an upper bound of the norm
        for one, other in zip(found[:2], expected[:2], strict=True):
            assert np.linalg.norm(one - other) <= rtol * np.linalg.norm(other)
        assert found[2] == 12
        assert_allclose(found[3], expected[3], rtol=max(rtol, 1e-10))


def test_symmetric_factors_stay_so(rng):
    half = rng.standard_normal((20, 2))
    left, weight = 0.1 * rng.standard_normal((20, 3)), np.ones((20, 20))
    how = True, 1.0, 300.0, 0.4, 0.7, 0.98, np.arange(400), 1e9, 10
    expected, found = (f(half @ half.T, weight, left, left.T, *how) for f in (oracle, run))
    assert_allclose(found[0], expected[0], rtol=1e-10)
    assert_allclose(found[1], found[0].T)


def test_steps_end_where_factors_grow_beyond_all_measure(rng):
    y, weight = rng.standard_normal((12, 8)), np.ones((12, 8))
    left, right = rng.standard_normal((12, 2)), rng.standard_normal((2, 8))
    how = False, 1e6, 1e-3, 1e3, 0.7, 0.98, np.arange(96), 1e4, 50
    *_, n_made, delta = run(y, weight, left, right, *how)
    assert 0 < n_made < 50
    assert np.isfinite(delta)


def test_bound_falls_to_the_median_of_what_is_left_but_no_faster_than_it_may(rng):
    y, weight = np.zeros((40, 10)), np.ones((40, 10))
    left, right = rng.standard_normal((40, 1)), rng.standard_normal((1, 10))
    median = np.sort(np.abs(left @ right).ravel())[200]
    for delta, expected in ((100.0, 98.0), (1.5 * median, 1.47 * median), (0.3 * median, 0.7 * median)):
        how = False, delta, 300.0, 1e-9, 0.7, 0.98, np.arange(400), 1e9, 1
        assert_allclose(run(y, weight, left, right, *how)[3], expected)
