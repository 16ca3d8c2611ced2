"""The kernels that regress rows, each against a slow NumPy oracle."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog

from sklearn_robustlr._kernels import entries as entry_kernels
from sklearn_robustlr._kernels import guesses as guess_kernels
from sklearn_robustlr._kernels import rows as row_kernels
from sklearn_robustlr._kernels.least_squares import solve_square


def row_oracle(y, basis, scale, rng):
    """Best capped loss over many random exact fits."""
    best = np.inf
    for _ in range(3000):
        pick = rng.choice(len(y), basis.shape[1], replace=False)
        x = np.linalg.solve(basis[pick], y[pick])
        best = min(best, np.minimum(((basis @ x - y) / (3 * scale)) ** 2, 1).sum())
    return best


@pytest.mark.parametrize("n", [40, 300])
def test_regress_rows_finds_what_most_entries_agree_on(n, rng):
    """Rows with 65 % one-sided errors, where l1 breaks down: at least as good as thousands of random fits.

    In long rows random starts are tried on some of the entries first.
    """
    k, scale = 3, 1e-3
    basis = rng.standard_normal((n, k))
    truth = rng.standard_normal((5, k))
    y = truth @ basis.T + scale * rng.standard_normal((5, n))
    bad = rng.uniform(size=y.shape).argsort(axis=1) < 0.65 * n
    y[bad] += rng.uniform(4, 9, bad.sum())
    indptr = np.arange(0, 5 * n + 1, n, dtype=np.int32)
    cols = np.tile(np.arange(n, dtype=np.int32), 5)
    factors, met = np.zeros((5, k)), np.empty(5, dtype=np.int64)
    row_kernels.regress_rows(
        indptr, cols, y.ravel(), basis, scale, 3.5 * scale, 300, 0.0, True, np.arange(5), factors, met
    )
    assert_allclose(factors, truth, atol=5e-3)
    residual = factors @ basis.T - y
    assert_array_equal(met, (np.abs(residual) <= 3.5 * scale).sum(axis=1))
    assert_array_equal(met, (~bad).sum(axis=1))
    for i in range(5):
        # bisquare is the estimate, the capped loss chooses the start
        assert np.minimum((residual[i] / (3 * scale)) ** 2, 1).sum() <= 1.02 * row_oracle(y[i], basis, scale, rng)


@pytest.mark.parametrize("seed", [1, 7, 11])
def test_random_starts_find_what_fewer_than_half_of_a_long_row_agree_on(seed):
    """Of a row 36 % follow one fit, 30 % another, and the start without random ones comes to neither or the other."""
    rng, n, k, scale = np.random.RandomState(seed), 300, 4, 1e-3
    basis, truth = rng.standard_normal((n, k)), rng.standard_normal(k)
    other, who = truth + np.eye(k)[0] * 3, rng.uniform(size=n)
    rest = np.where(who < 0.66, basis @ other, 6 * rng.standard_normal(n) + 4)
    y = np.where(who < 0.36, basis @ truth, rest) + scale * rng.standard_normal(n)
    indptr, cols = np.array([0, n], np.int32), np.arange(n, dtype=np.int32)
    found = []
    for n_starts in (0, 400):
        factors, met = np.zeros((1, k)), np.empty(1, dtype=np.int64)
        row_kernels.regress_rows(
            indptr, cols, y, basis, scale, 3.5 * scale, n_starts, 0.0, True, np.arange(1), factors, met
        )
        found.append(bool(np.abs(factors[0] - truth).max() < 0.01))
    assert found == [False, True]


def test_regress_rows_goes_on_from_what_is_given_alone(rng):
    """Two fits meet three and two fifths of a row: from nothing the first is found, from near the second that one."""
    n, k, scale = 50, 2, 1e-3
    basis, (one, other) = rng.standard_normal((n, k)), rng.standard_normal((2, k))
    y = np.where(np.arange(n) < 30, basis @ one, basis @ other) + scale * rng.uniform(-1, 1, n)
    cols, indptr = np.arange(n, dtype=np.int32), np.array([0, n], np.int32)
    for start, found, count in ((np.zeros(k), one, 30), (other + 0.1, other, 20)):
        factors, met = start[None].copy(), np.empty(1, dtype=np.int64)
        row_kernels.regress_rows(indptr, cols, y, basis, scale, 3.5 * scale, 0, 0.0, True, np.arange(1), factors, met)
        assert_allclose(factors[0], found, atol=2e-3)
        assert met[0] == count


@pytest.mark.parametrize("n", [60, 2000])
def test_regress_rows_is_exact_however_large_the_scale(n, rng):
    """The entries are met exactly, at a scale that is that of a coarser fit: steps must not go back and forth."""
    k, scale = 3, 1e-3
    basis, truth = rng.standard_normal((n, k)), rng.standard_normal((20, k))
    y = truth @ basis.T
    bad = rng.uniform(size=y.shape) < 0.3
    y[bad] += 0.1 * rng.standard_normal(bad.sum())
    indptr, cols = np.arange(0, 20 * n + 1, n, dtype=np.int32), np.tile(np.arange(n, dtype=np.int32), 20)
    near = np.abs(y - truth @ basis.T) < 5 * scale  # smaller errors pass for noise
    y[near] = (truth @ basis.T)[near]
    factors, met = np.zeros((20, k)), np.empty(20, dtype=np.int64)
    row_kernels.regress_rows(
        indptr, cols, y.ravel(), basis, scale, 3.5 * scale, 50, 0.0, True, np.arange(20), factors, met
    )
    assert_allclose(factors, truth, atol=1e-9)
    assert_array_equal(met, (np.abs(y - truth @ basis.T) <= 3.5 * scale).sum(axis=1))


def test_regress_rows_by_least_absolute_deviations(rng):
    """Without bisquare weights the result is the l1 fit."""
    n, k = 60, 3
    basis = rng.standard_normal((n, k))
    y = basis @ rng.standard_normal(k) + rng.standard_t(1, n)
    factors, met = np.zeros((1, k)), np.empty(1, dtype=np.int64)
    cols = np.arange(n, dtype=np.int32)
    row_kernels.regress_rows(
        np.array([0, n], np.int32), cols, y, basis, 1e-4, 3.5e-4, 0, 0.0, False, np.arange(1), factors, met
    )
    variables = np.concatenate([np.zeros(2 * k), np.ones(2 * n)])
    exact = linprog(variables, A_eq=np.hstack([basis, -basis, np.eye(n), -np.eye(n)]), b_eq=y)
    assert_allclose(np.abs(basis @ factors[0] - y).sum(), exact.fun, rtol=1e-3)


def rows_with_errors(rng, n_rows=40, n=90, k=4, share=0.4):
    """Rows on a basis without noise, some with missing entries, some corrupted, in compressed form."""
    basis, truth = rng.standard_normal((n, k)), rng.standard_normal((n_rows, k))
    seen = rng.uniform(size=(n_rows, n)) < np.where(np.arange(n_rows) % 2, 0.7, 1.0)[:, None]
    y = truth @ basis.T
    y[rng.uniform(size=y.shape) < share] += 7.0
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
    return basis, truth, indptr, np.nonzero(seen)[1].astype(np.int32), y[seen]


def test_guess_rows_is_exact_and_keeps_what_it_cannot_solve(rng):
    basis, truth, indptr, cols, y = rows_with_errors(rng)
    y[indptr[3] : indptr[4]] = rng.standard_normal(indptr[4] - indptr[3])  # nothing but noise
    truth[3] = 5.0
    factors = np.full_like(truth, 5.0)
    guess_kernels.guess_rows(indptr, cols, y, basis, 3.5e-10, 500, factors)
    assert_allclose(factors, truth, atol=1e-9)
    alone = np.full((1, 4), 5.0)
    lo, hi = indptr[7], indptr[8]
    bounds = np.array([0, hi - lo], np.int32)
    guess_kernels.guess_rows(bounds, cols[lo:hi].copy(), y[lo:hi].copy(), basis, 3.5e-10, 500, alone)
    assert_array_equal(alone[0], factors[7])


def test_rows_that_are_empty_clean_short_or_hardly_seen(rng):
    """No entry; no error; too few entries to guess from; a basis that vanishes on half of the columns."""
    n, k = 60, 3
    basis, truth = rng.standard_normal((n, k)), rng.standard_normal((4, k))
    basis[::2] = 0.0
    y = truth @ basis.T
    y[3, 1:24:2] += 9.0  # 12 of the 30 entries that tell anything, one-sided
    blank = ~basis.any(axis=1)
    noisy = np.where(blank, rng.standard_normal((4, n)), y)  # zeros on a basis of zeros would be met by any guess
    seen = np.ones((4, n), dtype=bool)
    seen[0] = False
    seen[2] = np.arange(n) < 9
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
    cols = np.nonzero(seen)[1].astype(np.int32)
    factors, met = np.full((4, k), 7.0), np.full(4, -1)
    row_kernels.regress_rows(indptr, cols, y[seen], basis, 1e-6, 3.5e-6, 200, 0.0, True, np.arange(4), factors, met)
    assert_array_equal(factors[0], 7.0)
    assert_allclose(factors[1:], truth[1:], atol=1e-6)
    assert_array_equal(met, [0, n, 9, n - 12])
    guessed = np.full((4, k), 7.0)
    guess_kernels.guess_rows(indptr, cols, noisy[seen], basis, 3.5e-9, 100, guessed)
    assert_array_equal(guessed[[0, 2, 3]], 7.0)  # of the last too few agree
    assert_allclose(guessed[1], truth[1], atol=1e-9)


def test_residual_and_met_of_rows(rng):
    basis, truth, indptr, cols, y = rows_with_errors(rng)
    row = np.repeat(np.arange(40), np.diff(indptr))
    expected = np.einsum("ij,ij->i", basis[cols], truth[row]) - y
    residual = np.empty(len(y))
    entry_kernels.rows_residual(indptr, cols, y, basis, truth, residual)
    assert_allclose(residual, expected, atol=1e-12)
    full = (truth @ basis.T + rng.standard_normal((40, 90))).ravel()
    out = np.empty(len(full))
    entry_kernels.full_residual(full, np.ascontiguousarray(basis.T), truth, out)
    assert_allclose(out.reshape(40, 90), truth @ basis.T - full.reshape(40, 90), atol=1e-12)

    met, good = np.empty(40, dtype=np.int64), np.empty(40, dtype=bool)
    entry_kernels.count_met(indptr, residual, 1e-6, 3.5e-6, 4, 0.0, met, good)
    counts = np.bincount(row, weights=np.abs(expected) <= 3.5e-6)
    assert_array_equal(met, counts)
    assert_array_equal(good, 2 * counts > np.diff(indptr) + 4)
    assert 0 < good.sum() < 40
    entry_kernels.count_met(indptr, residual, 1e-6, 3.5e-6, 4, 0.4, met, good)  # others may share so many
    assert_array_equal(good, 2 * counts > 1.4 * np.diff(indptr))
    entry_kernels.count_met(indptr, residual + 2e-6, 1e-6, 3.5e-6, 4, 0.0, met, good)
    assert not good.any()  # met, but not by far


@pytest.mark.parametrize("size", [1e-100, 1.0, 1e100])
def test_rows_and_columns_that_do_not_span_all_directions(size, rng):
    """As ranks of the rows and columns that are met tell it; the first third of the basis lies in a plane."""
    n, p, k = 50, 45, 4
    basis, left = rng.standard_normal((p, k)), rng.standard_normal((n, k))
    basis[:15, 2:] = basis[:15, :2] @ rng.standard_normal((2, 2))
    left[:20, 3] = 0.0
    seen = rng.uniform(size=(n, p)) < 0.6
    seen[::3, 15:], seen[20:, ::4] = False, False
    seen[5, 12:] = False
    flags = rng.uniform(size=seen.sum()) < 0.2
    indptr = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)
    cols = np.nonzero(seen)[1].astype(np.int32)
    met_at = np.zeros((n, p), dtype=bool)
    met_at[seen] = ~flags
    met = met_at.sum(axis=1)
    expected = np.where([np.linalg.matrix_rank(basis[m]) < k for m in met_at], np.minimum(met, k), met)
    entry_kernels.limit_met(indptr, cols, np.where(flags, 9.0, 0.1), 1.0, size * basis, met)
    assert_array_equal(met, expected)
    spanned, part = np.empty(p, dtype=bool), np.empty(7, dtype=bool)
    entry_kernels.spanned_columns(0, indptr, cols, flags, size * left, spanned)
    expected = np.array([np.linalg.matrix_rank(left[m]) == k for m in met_at.T])
    assert_array_equal(spanned, expected)
    assert 5 < spanned.sum() < 40
    entry_kernels.spanned_columns(30, indptr, cols, flags, size * left, part)
    assert_array_equal(part, spanned[30:37])


@pytest.mark.parametrize("size", [1.0, 1e-290, 1e290])
def test_full_rows_are_guessed_and_judged_in_one_pass(size, rng):
    """As one after the other, over the rows that are taken at a time; extreme sizes do not overflow."""
    n_rows, n, k = 70, 900, 4
    basis, truth = rng.standard_normal((n, k)), size * rng.standard_normal((n_rows, k))
    y = truth @ basis.T
    y[rng.uniform(size=y.shape) < 0.3] += 7.0 * size
    y[5] = size * rng.standard_normal(n)  # noise, which no guess meets
    y[9] += 3e-10 * size * np.where(y[9] > 0, 1.0, -1.0)  # met, but not by far
    indptr, cols = np.arange(n_rows + 1, dtype=np.int32) * n, np.tile(np.arange(n, dtype=np.int32), n_rows)
    data, scale = (indptr, cols, y.ravel(), basis), 1e-10 * size
    factors, met = np.zeros((n_rows, k)), np.empty(n_rows, np.int64)
    good, beyond = np.empty(n_rows, bool), np.empty(y.size, bool)
    turned, bounds = np.ascontiguousarray(basis.T), (scale, 3.5 * scale, 5.0 * size)
    guess_kernels.guess_full_rows(*data, turned, *bounds, 60, 0.0, factors, met, good, beyond)
    one = np.zeros((n_rows, k))
    guess_kernels.guess_rows(*data, 3.5 * scale, 60, one)
    assert_array_equal(factors, one)
    residual = np.abs(factors @ basis.T - y)
    assert_array_equal(met, (residual <= 3.5 * scale).sum(axis=1))
    assert_array_equal(beyond.reshape(y.shape), residual > 5.0 * size)
    assert_array_equal(good, ~np.isin(np.arange(n_rows), [5, 9]))
    guess_kernels.guess_full_rows(*data, turned, *bounds, 60, 0.0, factors, met, good, beyond[:0])  # no flags asked for


def test_solve_square(rng):
    a, b = rng.standard_normal((6, 6)), rng.standard_normal(6)
    a[0, 0] = 0.0
    x = b.copy()
    assert solve_square(a.copy(), x)
    assert_allclose(a @ x, b, atol=1e-12)
    a[2] = a[4]
    assert not solve_square(a.copy(), b.copy())


def test_smallest_selects_as_sorting_does(rng):
    for n in range(1, 40):
        residual = rng.randint(-4, 5, n).astype(float) if n % 2 else rng.standard_normal(n)
        chosen = [row_kernels._smallest(residual, count) for count in range(1, n + 1)]
        assert_array_equal(chosen, np.sort(np.abs(residual)))
    row_kernels._smallest(np.array([np.nan, 1.0, np.nan, 2.0]), 2)  # returns


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_segment_medians(rng, dtype):
    count = np.array([0, 1, 2, 7, 30])
    indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    values = rng.randint(1, 9, count.sum()).astype(dtype)  # ties
    medians = np.full(5, -1, dtype)
    row_kernels.segment_medians(indptr, values, medians)
    expected = [np.sort(values[a:b])[(b - a) // 2] if b > a else -1 for a, b in itertools.pairwise(indptr)]
    assert_array_equal(medians, expected)


def test_expect_rows_is_the_posterior_mean(rng):
    n, k, scale = 6, 3, 0.3
    basis, center = rng.standard_normal((n, k)), rng.standard_normal(n)
    seen = np.array([1, 4], dtype=np.int32)
    y = np.array([center[1] + 0.4, center[4] - 0.7])
    factors = np.full((3, k), 9.0)
    indptr = np.array([0, 2, 2, 3], dtype=np.int32)
    values = np.concatenate([y, [1e6]])
    cols = np.concatenate([seen, [0]]).astype(np.int32)
    guess_kernels.expect_rows(indptr, cols, values, basis, center, scale, 3.5, np.arange(3), factors)
    b = basis[seen]
    assert_allclose(factors[0], np.linalg.solve(b.T @ b + scale**2 * np.eye(k), b.T @ (y - center[seen])))
    assert_array_equal(factors[1:], 0.0)  # nothing seen; nothing believable seen
