"""What bounds each hot loop, and how close it comes: bytes and operations are counted, both limits measured here.

    python asv_bench/studies/limits.py                  # all loops, a minute
    python asv_bench/studies/limits.py --loop dense     # those whose name contains a word

Limits of one thread: GB/s of a sum that streams over an array far larger than the caches, and GFlop/s of a matrix
product by BLAS (beside it that of a dot product in L1, which has to load what it multiplies). Bytes are those that must
be read from memory or written to it (a store counts twice, since its cache line is read first); "cache" marks loops
whose data stay in cache, so that memory does not bound them. The passes of iterative loops are counted by running the
same function uncompiled on a few rows. The share is the time that the nearer limit allows over the time taken; latency,
divisions and branches are in neither limit, and are named.
"""

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from harness import Arguments, Table
from numba import njit
from scipy import sparse
from threadpoolctl import threadpool_limits

from sklearn_robustlr._kernels import entries as entry_kernels
from sklearn_robustlr._kernels import guesses as guess_kernels
from sklearn_robustlr._kernels import measurements as kernels
from sklearn_robustlr._kernels import rows as row_kernels
from sklearn_robustlr._kernels.jit import REASSOCIATE
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._operators.rank_one import RankOneMeasurements
from sklearn_robustlr._operators.sparse import SparseMeasurements
from sklearn_robustlr.datasets import make_corrupted_matrix

RANK = 5


@dataclass
class Loop:
    """A loop: `run()` is timed; `bytes` of memory and `flops` are the least that it needs."""

    name: str
    run: object
    bytes: float
    flops: float
    remark: str = ""


@njit(fastmath=REASSOCIATE)
def _sum(x):
    total = x[0]
    for i in range(1, x.shape[0]):
        total += x[i]
    return total


@njit
def _dots(x, y, rounds):
    total = 0.0
    for i in range(rounds):
        y[0] = i
        total += kernels._dot(x, y)
    return total


@njit(fastmath=REASSOCIATE)
def _copy(x, out):
    for i in range(x.shape[0]):
        out[i] = x[i]


def timed(function, repeat=7):
    """Least processor time of warm calls in seconds: other processes hardly affect it."""
    function()
    start = time.process_time()
    function()
    number = max(1, math.ceil(0.02 / max(time.process_time() - start, 1e-9)))
    times = []
    for _ in range(repeat):
        start = time.process_time()
        for _ in range(number):
            function()
        times.append((time.process_time() - start) / number)
    return min(times)


def machine(dtype):
    """GB/s of a streaming sum and of a copy with its line reads; GFlop/s of BLAS and of a dot product in L1."""
    size = 2**29 // np.dtype(dtype).itemsize  # half a gigabyte
    x, out = np.ones(size, dtype), np.ones(size, dtype)
    read = x.nbytes / timed(lambda: _sum(x)) / 1e9
    copy = 3 * x.nbytes / timed(lambda: _copy(x, out)) / 1e9
    square = np.ones((600, 600), dtype)
    blas = 2 * 600**3 / timed(lambda: square @ square) / 1e9
    small, other = np.ones((2, 1024), dtype)
    dot = 2 * 1024 * 100 / timed(lambda: _dots(small, other, 100)) / 1e9
    return read, copy, blas, dot


def measurement_loops(dtype, rng):
    """Loops over measurements: one iteration of measurements whose rows are matrices, by the classes that call them."""
    size = np.dtype(dtype).itemsize
    d, m = 64, 8000
    normal = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    left, right, y, zero = normal(d, RANK), normal(d, RANK), normal(m), dtype(0)
    dense = DenseMeasurements(normal(m, d * d), y, (d, d))
    yield Loop("dense_step", lambda: dense.step(left, right, zero), m * d * d * size, 4 * m * d * d)
    many = [(left * (1 + c), right, zero) for c in range(8)]
    yield Loop(
        "dense_steps, 8 at once (BLAS)",
        lambda: dense.steps(many),
        m * d * d * size,
        8 * 4 * m * d * d,
        "products with few columns",
    )
    u, v = (np.linalg.qr(normal(d, 3))[0].astype(dtype) for _ in range(2))
    width = 3 * 2 * d
    yield Loop(
        "dense_tangent, rank 3",
        lambda: dense.tangent(u, v),
        m * (d * d + 2 * width) * size,
        2 * 2 * m * d * d * 3,
        "many small products",
    )
    tangent = dense.tangent(u, v)
    three = normal(d, 3), normal(d, 3)
    yield Loop("dense_step on tangent coordinates", lambda: tangent.step(*three, zero), m * width * size, 4 * m * width)

    design = sparse.random(m, d * d, density=0.02, format="csr", random_state=0).astype(dtype)
    rows = SparseMeasurements(design, y, (d, d))
    yield Loop(
        "sparse_steps, 2 % stored",
        lambda: rows.step(left, right, zero),
        design.nnz * (size + 4),
        4 * design.nnz,
        "gathers and scatters in L1",
    )
    pairs = RankOneMeasurements(normal(m, d), normal(m, d), y, (d, d))
    yield Loop(
        "rank-one steps, rank 5 (BLAS)",
        lambda: pairs.step(left, right, zero),
        2 * m * d * size,
        8 * m * d * RANK,
        "products with few columns",
    )


def entry_loops(dtype, rng):
    """The same of observed entries, and of a whole matrix."""
    size, zero = np.dtype(dtype).itemsize, dtype(0)
    normal = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    n = 1500
    i, j = np.nonzero(rng.uniform(size=(n, n)) < 0.3)
    entries = EntryMeasurements(i.astype(np.int32), j.astype(np.int32), normal(len(i)), (n, n))
    a, b = normal(n, RANK), normal(n, RANK)
    per = 4 + 4 * size  # column, target, weight, residual with its line read
    yield Loop(
        "entries_step, rank 5",
        lambda: entries.step(a, b, zero),
        per * len(i),
        (6 * RANK + 2) * len(i),
        "gather and scatter of rows of length rank",
    )
    space = entries.tangent(*(np.linalg.qr(factor)[0].astype(dtype) for factor in (a, b)))
    yield Loop(
        "entries_tangent_step, rank 5",
        lambda: space.step(a, b, zero),
        per * len(i),
        (8 * RANK + 2) * len(i),
        "the same, two pairs of factors",
    )
    side = 1000
    row, col = (index.ravel().astype(np.int32) for index in np.indices((side, side)))
    whole = EntryMeasurements(row, col, normal(side * side), (side, side))
    factors = normal(side, RANK), normal(side, RANK)
    yield Loop(
        "whole rows, rank 5 (BLAS)",
        lambda: whole.step(*factors, zero),
        4 * size * side**2,
        (6 * RANK + 2) * side**2,
        "products with few columns, signs and weights between them",
    )


def deal_loop(rng):
    n, folds = 1000, 5
    i, j = (index.astype(np.int32) for index in np.nonzero(rng.uniform(size=(n, n)) < 0.3))
    order = rng.permutation(len(i))
    counts = np.bincount(i, minlength=n), np.bincount(j, minlength=n)

    def run():
        held = np.zeros((n, folds)), np.zeros((n, folds))
        entry_kernels.deal_entries(order, i, j, *counts, *held, np.empty(len(i), np.int64))

    yield Loop(
        "deal_entries, 5 folds",
        run,
        5 * 64 * len(i),
        9 * folds * len(i),
        "divisions, random access, each choice after the last",
    )


# Operations of a call of each part of the row loops, from the number of entries n and of coefficients k.
COSTS = {
    "weighted_fit": lambda n, k: n * k * (k + 4),
    "row_residual": lambda n, k: 2 * n * k + n,
    "_smallest": lambda n, k: 4 * n,
    "_capped_loss": lambda n, k: 5 * n,
    "count_within": lambda n, k: 2 * n,
    "_bisquare": lambda n, k: 9 * n,
    "interpolate": lambda n, k: 2 * k**3 / 3,
}
# Parts that call counted ones, or pass on the state of a generator, are not compiled while counting.
UNCOMPILED = ("_concentrate", "interpolate", "first_state", "_l1", "_refine")


@contextmanager
def counted():
    """Count the calls of the parts of an iterative row loop that is run uncompiled; yields {part: calls}."""
    names = {*COSTS, *UNCOMPILED}
    places = [(module, name) for module in (row_kernels, guess_kernels) for name in names if hasattr(module, name)]
    kept = {place: getattr(*place) for place in places}
    calls = dict.fromkeys(COSTS, 0)

    def counting(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)

        return call

    try:
        for (module, name), function in kept.items():
            part = function.__wrapped__ if name in UNCOMPILED else function
            setattr(module, name, counting(name, part) if name in COSTS else part)
        with np.errstate(over="ignore"):  # the generator wraps around
            yield calls
    finally:
        for place, function in kept.items():
            setattr(*place, function)


def operations(calls, n, k):
    return sum(times * COSTS[name](n, k) for name, times in calls.items())


N_ROWS, WIDTH = 250, 1000  # of a block of full rows; in double precision, as such blocks always are


def block(**corruption):
    """Entries of a block of full rows, and a basis of the true row space."""
    problem = make_corrupted_matrix((2 * N_ROWS, WIDTH), rank=RANK, random_state=0, **corruption)
    basis = np.linalg.svd(problem.clean, full_matrices=False)[2][:RANK].T * np.sqrt(WIDTH)
    return *Entries(problem.data).block(0, N_ROWS)[:3], np.ascontiguousarray(basis)


def regression_loops():
    """Iterative loops over rows."""
    few, rows, n = np.arange(10), np.arange(N_ROWS), WIDTH
    for name, corruption, scale, efficient in (
        ("regress_rows, clean rows", {"outliers": 0.0}, 1e-10, True),
        ("regress_rows, noise and errors", {"outliers": 0.3, "noise": 0.1}, 0.1, True),
        ("regress_rows, noise and errors, l1", {"outliers": 0.3, "noise": 0.1}, 0.1, False),
    ):
        data = block(**corruption)
        factors, met = np.zeros((N_ROWS, RANK)), np.zeros(N_ROWS, np.int64)

        def run(data=data, scale=scale, efficient=efficient, factors=factors, met=met):
            factors[:] = 0.0
            row_kernels.regress_rows(*data, scale, 3.5 * scale, 50, 0.0, efficient, rows, factors, met)

        run()
        with counted() as calls:
            row_kernels.regress_rows.__wrapped__(
                *data, scale, 3.5 * scale, 50, efficient, few, np.zeros((N_ROWS, RANK)), np.zeros(N_ROWS, np.int64)
            )
        flops = operations(calls, n, RANK) * N_ROWS / len(few)
        fits, picks = (calls[part] / len(few) for part in ("weighted_fit", "_smallest"))
        remark = f"cache; {fits:.0f} weighted fits and {picks:.0f} order statistics a row"
        yield Loop(name, run, N_ROWS * n * 12, flops, remark)

    data = block(outliers=0.3)
    factors = np.zeros((N_ROWS, RANK))
    width = 24 + 4 * RANK

    def guess():
        factors[:] = 0.0
        guess_kernels.guess_rows(*data, 3.5e-10, 60, factors)

    guess()
    with counted() as calls:
        guess_kernels.guess_rows.__wrapped__(*(data[0][:11], *data[1:]), 3.5e-10, 60, np.zeros((10, RANK)))
    yield Loop(
        "guess_rows, 30 % errors",
        guess,
        N_ROWS * width * 2 * 64,
        operations(calls, width, RANK) * N_ROWS / 10,
        f"latency: {width} random lines a row; {calls['interpolate'] / 10:.1f} guesses a row",
    )


def residual_loops():
    """Loops of one pass over a block of rows."""
    indptr, cols, y, basis = block(outliers=0.3)
    rows, factors = np.arange(N_ROWS), np.zeros((N_ROWS, RANK))
    guess_kernels.guess_rows(indptr, cols, y, basis, 3.5e-10, 60, factors)
    turned, residual = np.ascontiguousarray(basis.T), np.empty(len(y))
    per = len(y) * 8
    yield Loop(
        "full_residual",
        lambda: entry_kernels.full_residual(y, turned, factors, residual),
        3 * per,
        2 * RANK * len(y),
        "cache",
    )
    yield Loop(
        "rows_residual",
        lambda: entry_kernels.rows_residual(indptr, cols, y, basis, factors, residual),
        3 * per + 4 * len(y),
        2 * RANK * len(y),
        "cache; gather of rows of length rank, not re-associated",
    )
    met, good = np.empty(N_ROWS, np.int64), np.empty(N_ROWS, bool)
    yield Loop(
        "count_met",
        lambda: entry_kernels.count_met(indptr, residual, 1e-10, 3.5e-10, RANK, 0.0, met, good),
        per,
        4 * len(y),
        "cache; branch and division an entry",
    )
    bounds, beyond = (1e-10, 3.5e-10, 3.5e-10, 0.0), np.empty(len(y), bool)
    yield Loop(
        "judge_full",
        lambda: entry_kernels.judge_full(y, turned, factors, *bounds, met, good, beyond),
        per + len(y),
        (2 * RANK + 6) * len(y),
        "cache",
    )
    center = np.zeros(WIDTH)
    yield Loop(
        "expect_rows",
        lambda: guess_kernels.expect_rows(indptr, cols, y, basis, center, 0.1, 3.5, rows, factors),
        per + 4 * len(y),
        len(y) * (4 * RANK + RANK * (RANK + 1)),
        "cache; gather, not re-associated",
    )


def limits_of(loop, read, peak):
    """Cells of a loop: what it needs, how long it takes, and the share of that which the nearer limit allows."""
    seconds = timed(loop.run)
    by_memory = 0.0 if loop.remark.startswith("cache") else loop.bytes / read / 1e9
    by_flops = loop.flops / peak / 1e9
    return {
        "ms": f"{seconds * 1e3:.3f}",
        "MB": f"{loop.bytes / 1e6:.1f}",
        "MFlop": f"{loop.flops / 1e6:.1f}",
        "GB/s": f"{loop.bytes / seconds / 1e9:.1f}",
        "GFlop/s": f"{loop.flops / seconds / 1e9:.2f}",
        "flop/byte": f"{loop.flops / loop.bytes:.2f}",
        "bound by": "memory" if by_memory >= by_flops else "flops",
        "share": f"{max(by_memory, by_flops) / seconds:.0%}",
        "remark": loop.remark,
    }


def main():
    options = Arguments(__doc__)
    options.add_argument("--loop", nargs="*", default=[""], help="loops whose name has one of these (default: all)")
    args = options.parse_args()
    with threadpool_limits(1):
        for dtype in (np.float64, np.float32):
            rng = np.random.RandomState(0)
            read, copy, peak, dot = machine(dtype)
            print(
                f"\n{np.dtype(dtype).name}, one thread: streaming sum {read:.1f} GB/s, copy {copy:.1f} GB/s; "
                f"BLAS {peak:.1f} GFlop/s, dot product in L1 {dot:.1f}"
            )
            loops = [*measurement_loops(dtype, rng), *entry_loops(dtype, rng)]
            if dtype == np.float64:
                loops += [*deal_loop(rng), *regression_loops(), *residual_loops()]
            chosen = [loop for loop in loops if any(word in loop.name for word in args.loop)]
            table = Table([loop.name for loop in chosen], ("bound by", "remark"), ("ms", "MB", "MFlop"))
            for loop in chosen:
                table.print({"loop": loop.name, **limits_of(loop, read, peak)})


if __name__ == "__main__":
    main()
