"""Each kernel against a slow NumPy oracle."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.optimize import linprog

from sklearn_robustlr._kernels import entries as _entries
from sklearn_robustlr._kernels import measurements as _kernels
from sklearn_robustlr._kernels import rows as _row_kernels
from sklearn_robustlr._operators import base as _measurements
from sklearn_robustlr._operators import entries as _entry_measurements
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.rank_one import RankOneMeasurements
from sklearn_robustlr._operators.sparse import SparseMeasurements
from sklearn_robustlr._operators.units import Preconditioned
from sklearn_robustlr._utils import linalg as _factors
from sklearn_robustlr._utils.threads import run_parts

D1, D2, M, K = 6, 5, 40, 3
DELTAS = (0.0, 0.7, np.inf)


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


KINDS = ("dense", "sparse", "rank_one", "entries", "dense entries", "preconditioned")


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
    rows, cols = op.second_moments()
    assert_allclose(rows, np.mean([a @ a.T / D2 for a in stack], axis=0), atol=1e-10)
    assert_allclose(cols, np.mean([a.T @ a / D1 for a in stack], axis=0), atol=1e-10)


def test_large_sparse_svd_matches_dense(rng):
    low = rng.standard_normal((800, 3)) @ rng.standard_normal((3, 700))
    u, s, v = _factors.truncated_svd(sparse.csr_matrix(low), 3)
    assert_allclose((u * s) @ v.T, low, atol=1e-8)
    assert np.all(np.diff(s) <= 0)


def test_nan_is_not_lost(rng):
    """The flags that let loops vectorise must not turn NaN into a number."""
    op, _ = build("dense", rng)
    left = np.full((D1, K), np.nan)
    assert np.isnan(op.step(left, np.ones((D2, K)), 0.5)[0]).all()


def row_oracle(y, basis, scale, rng):
    """Best capped loss over many random exact fits."""
    best = np.inf
    for _ in range(3000):
        pick = rng.choice(len(y), basis.shape[1], replace=False)
        x = np.linalg.solve(basis[pick], y[pick])
        best = min(best, np.minimum(((basis @ x - y) / (3 * scale)) ** 2, 1).sum())
    return best


def test_regress_rows_finds_what_most_entries_agree_on(rng):
    """Rows with 65 % one-sided errors, where l1 breaks down: at least as good as thousands of random fits."""
    n, k, scale = 40, 3, 1e-3
    basis = rng.standard_normal((n, k))
    truth = rng.standard_normal((5, k))
    y = truth @ basis.T + scale * rng.standard_normal((5, n))
    bad = rng.uniform(size=y.shape).argsort(axis=1) < 26
    y[bad] += rng.uniform(4, 9, bad.sum())
    indptr = np.arange(0, 5 * n + 1, n, dtype=np.int32)
    cols = np.tile(np.arange(n, dtype=np.int32), 5)
    factors, met = np.zeros((5, k)), np.empty(5, dtype=np.int64)
    _row_kernels.regress_rows(indptr, cols, y.ravel(), basis, scale, 3.5 * scale, 300, True, np.arange(5), factors, met)
    assert_allclose(factors, truth, atol=5e-3)
    residual = factors @ basis.T - y
    assert_array_equal(met, (np.abs(residual) <= 3.5 * scale).sum(axis=1))
    assert_array_equal(met, (~bad).sum(axis=1))
    for i in range(5):
        # bisquare is the estimate, the capped loss chooses the start
        assert np.minimum((residual[i] / (3 * scale)) ** 2, 1).sum() <= 1.02 * row_oracle(y[i], basis, scale, rng)


def test_regress_rows_goes_on_from_what_is_given_alone(rng):
    """Two fits meet three and two fifths of a row: from nothing the first is found, from near the second that one."""
    n, k, scale = 50, 2, 1e-3
    basis, (one, other) = rng.standard_normal((n, k)), rng.standard_normal((2, k))
    y = np.where(np.arange(n) < 30, basis @ one, basis @ other) + scale * rng.uniform(-1, 1, n)
    cols, indptr = np.arange(n, dtype=np.int32), np.array([0, n], np.int32)
    for start, found, count in ((np.zeros(k), one, 30), (other + 0.1, other, 20)):
        factors, met = start[None].copy(), np.empty(1, dtype=np.int64)
        _row_kernels.regress_rows(indptr, cols, y, basis, scale, 3.5 * scale, 0, True, np.arange(1), factors, met)
        assert_allclose(factors[0], found, atol=2e-3)
        assert met[0] == count


def test_regress_rows_by_least_absolute_deviations(rng):
    """Without bisquare weights the result is the l1 fit."""
    n, k = 60, 3
    basis = rng.standard_normal((n, k))
    y = basis @ rng.standard_normal(k) + rng.standard_t(1, n)
    factors, met = np.zeros((1, k)), np.empty(1, dtype=np.int64)
    cols = np.arange(n, dtype=np.int32)
    _row_kernels.regress_rows(
        np.array([0, n], np.int32), cols, y, basis, 1e-4, 3.5e-4, 0, False, np.arange(1), factors, met
    )
    variables = np.concatenate([np.zeros(2 * k), np.ones(2 * n)])
    exact = linprog(variables, A_eq=np.hstack([basis, -basis, np.eye(n), -np.eye(n)]), b_eq=y)
    assert_allclose(np.abs(basis @ factors[0] - y).sum(), exact.fun, rtol=1e-3)


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
    calls = []
    run_parts = _measurements.run_parts

    def spy(function, n_parts, n_threads):
        calls.append((n_parts, n_threads))
        run_parts(function, n_parts, n_threads)

    monkeypatch.setattr(_measurements, "run_parts", spy)
    monkeypatch.setattr(_measurements, "_PART_WORK", 16)
    monkeypatch.setattr(_measurements, "_OWN_GRADIENT", 1e-3)
    results = {}
    for n_threads in (1, 3):
        op = whole.with_threads(n_threads)
        results[n_threads] = [*op.step(left, right, 0.7), *op.tangent(u, v).step(left, right, 0.7)]
    assert min(n for n, _ in calls) > 2 and {n for _, n in calls} == {1, 3}
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


def test_parts_are_each_made_once_and_errors_are_heard():
    done = []
    run_parts(done.append, 20, 3)
    assert sorted(done) == list(range(20))

    def fail(p):
        done.append(p)
        if p == 5:
            raise ZeroDivisionError

    for n_threads in (1, 2, 5):
        with pytest.raises(ZeroDivisionError):
            run_parts(fail, 20, n_threads)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_matrix_without_holes(dtype, delta, rng, monkeypatch):
    """By products of whole rows, a few at a time, the same as entry by entry."""
    monkeypatch.setattr(_entry_measurements, "_SLICE", 1)
    n, k = 37, 3
    rows, cols = (index.ravel().astype(np.int32) for index in np.indices((n, n - 2)))
    y, weight = rng.standard_normal(len(rows)).astype(dtype), rng.uniform(size=len(rows)).astype(dtype)
    whole, single = (EntryMeasurements(rows, cols, y, (n, n - 2)) for _ in range(2))
    assert whole._is_dense and whole._is_whole
    single._is_dense = False
    left, right = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((n - 2, k)).astype(dtype)
    u, v = np.linalg.qr(left)[0], np.linalg.qr(right)[0]
    for a, b in (
        [op.step(left, right, delta, weight) for op in (whole, single)],
        [op.tangent(u, v).step(left, right, delta, weight) for op in (whole, single)],
    ):
        for one, other in zip(a, b, strict=True):
            assert one.dtype == dtype
            assert_allclose(one, other, atol=50 * np.finfo(dtype).eps * np.abs(other).max())
    twice = EntryMeasurements(rows, np.sort(cols.reshape(n, -1) // 2, axis=1).ravel(), y, (n, n - 2))
    assert twice._is_dense and not twice._is_whole


def test_entries_are_sorted_stably(rng):
    rows, cols = rng.randint(0, D1, 200).astype(np.int32), rng.randint(0, D2, 200).astype(np.int32)
    op, order = EntryMeasurements.from_unsorted(rows, cols, np.arange(200.0), (D1, D2))
    assert_array_equal(order, np.lexsort((cols, rows)))
    assert_array_equal(op.y, order)


def rows_with_errors(rng, n_rows=40, n=90, k=4, share=0.4):
    """Rows on a basis without noise, some with holes, some of their entries wrong, in compressed form."""
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
    _row_kernels.guess_rows(indptr, cols, y, basis, 3.5e-10, 500, factors)
    assert_allclose(factors, truth, atol=1e-9)
    alone = np.full((1, 4), 5.0)
    lo, hi = indptr[7], indptr[8]
    bounds = np.array([0, hi - lo], np.int32)
    _row_kernels.guess_rows(bounds, cols[lo:hi].copy(), y[lo:hi].copy(), basis, 3.5e-10, 500, alone)
    assert_array_equal(alone[0], factors[7])


def test_rows_that_are_empty_sound_short_or_hardly_seen(rng):
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
    _row_kernels.regress_rows(indptr, cols, y[seen], basis, 1e-6, 3.5e-6, 200, True, np.arange(4), factors, met)
    assert_array_equal(factors[0], 7.0)
    assert_allclose(factors[1:], truth[1:], atol=1e-6)
    assert_array_equal(met, [0, n, 9, n - 12])
    guessed = np.full((4, k), 7.0)
    _row_kernels.guess_rows(indptr, cols, noisy[seen], basis, 3.5e-9, 100, guessed)
    assert_array_equal(guessed[[0, 2, 3]], 7.0)  # of the last too few agree
    assert_allclose(guessed[1], truth[1], atol=1e-9)


def test_residual_and_met_of_rows(rng):
    basis, truth, indptr, cols, y = rows_with_errors(rng)
    row = np.repeat(np.arange(40), np.diff(indptr))
    expected = np.einsum("ij,ij->i", basis[cols], truth[row]) - y
    residual = np.empty(len(y))
    _entries.rows_residual(indptr, cols, y, basis, truth, residual)
    assert_allclose(residual, expected, atol=1e-12)
    full = (truth @ basis.T + rng.standard_normal((40, 90))).ravel()
    out = np.empty(len(full))
    _row_kernels.full_residual(full, np.ascontiguousarray(basis.T), truth, out)
    assert_allclose(out.reshape(40, 90), truth @ basis.T - full.reshape(40, 90), atol=1e-12)

    met, good = np.empty(40, dtype=np.int64), np.empty(40, dtype=bool)
    _entries.count_met(indptr, residual, 1e-6, 3.5e-6, 4, met, good)
    counts = np.bincount(row, weights=np.abs(expected) <= 3.5e-6)
    assert_array_equal(met, counts)
    assert_array_equal(good, 2 * counts > np.diff(indptr) + 4)
    assert 0 < good.sum() < 40
    _entries.count_met(indptr, residual + 2e-6, 1e-6, 3.5e-6, 4, met, good)
    assert not good.any()  # met, but not by far


def test_solve_square(rng):
    a, b = rng.standard_normal((6, 6)), rng.standard_normal(6)
    a[0, 0] = 0.0
    x = b.copy()
    assert _row_kernels._solve_square(a.copy(), x)
    assert_allclose(a @ x, b, atol=1e-12)
    a[2] = a[4]
    assert not _row_kernels._solve_square(a.copy(), b.copy())


def test_smallest_selects_as_sorting_does(rng):
    for n in range(1, 40):
        residual = rng.randint(-4, 5, n).astype(float) if n % 2 else rng.standard_normal(n)
        chosen = [_row_kernels._smallest(residual, count) for count in range(1, n + 1)]
        assert_array_equal(chosen, np.sort(np.abs(residual)))
    _row_kernels._smallest(np.array([np.nan, 1.0, np.nan, 2.0]), 2)  # returns


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_segment_medians(rng, dtype):
    count = np.array([0, 1, 2, 7, 30])
    indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    values = rng.randint(1, 9, count.sum()).astype(dtype)  # ties
    medians = np.full(5, -1, dtype)
    _row_kernels.segment_medians(indptr, values, medians)
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
    _row_kernels.expect_rows(indptr, cols, values, basis, center, scale, 3.5, np.arange(3), factors)
    b = basis[seen]
    assert_allclose(factors[0], np.linalg.solve(b.T @ b + scale**2 * np.eye(k), b.T @ (y - center[seen])))
    assert_array_equal(factors[1:], 0.0)  # nothing seen; nothing believable seen


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
        signatures = [s for s in getattr(_kernels, name).signatures if "float32" not in str(s)]
        assert len(signatures) == 1, (name, signatures)


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


def test_flags_of_entries(rng):
    seen, wrong = rng.uniform(size=(2, 9, 7)) < 0.6
    seen[3], seen[:, 2] = False, False  # a row and a column without entries
    indptr, cols = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32), np.nonzero(seen)[1]
    cols, flags = cols.astype(np.int32), wrong[seen]
    in_row, in_col, out = np.zeros(9, np.int64), np.zeros(7, np.int64), np.zeros(seen.shape, bool)
    _entries.count_flags(indptr, cols, flags, in_row, in_col)
    _entries.spread_flags(indptr, cols, flags, out)
    assert_array_equal(in_row, (seen & wrong).sum(axis=1))
    assert_array_equal(in_col, (seen & wrong).sum(axis=0))
    assert_array_equal(out, seen & wrong)


def test_deal_entries(rng):
    """Against a slow dealing of the same law."""
    rows, cols = (index.astype(np.int32) for index in np.nonzero(rng.uniform(size=(9, 7)) < 0.5))
    order = rng.permutation(len(rows))
    total = [np.bincount(index, minlength=9) for index in (rows, cols)]
    fold = np.full(len(rows), -1)
    _entries.deal_entries(order, rows, cols, *total, *np.zeros((2, 9, 3), int), fold)
    slow = np.full(len(rows), -1)
    for e in order:
        costs = []
        for c in range(3):
            now = [np.sum((index == index[e]) & (slow == c)) + 1 for index in (rows, cols)]
            of = [np.sum(index == index[e]) for index in (rows, cols)]
            cost = (now[0] / of[0]) ** 2 + (now[1] / of[1]) ** 2 + np.sum(slow == c) / len(rows)
            costs.append(cost + 10.0 * any(n == t > 1 for n, t in zip(now, of, strict=True)))
        slow[e] = np.argmin(costs)
    assert_array_equal(fold, slow)
