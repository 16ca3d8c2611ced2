"""A large sparse matrix: error, seconds and peak memory of a fit, in a process of its own.

    python asv_bench/large_study.py                        # 100,000 x 5,000, 10 million stored entries
    python asv_bench/large_study.py --rows 20000 --stored 2000000

The peak is that of the process while it fits, the input included, less what it held before there was an input.
"""

import argparse
import resource
import sys
import time

import numpy as np
from scipy import sparse

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

RANK, ERRORS = 8, 0.1


def resident():
    """Most bytes that the process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def make(rows, cols, stored, seed):
    """A sparse matrix of rank 8, seen at random places, a tenth of it grossly wrong, and its factors."""
    rng = np.random.RandomState(seed)
    left, right = rng.standard_normal((rows, RANK)), rng.standard_normal((cols, RANK))
    count = rng.multinomial(stored, np.full(rows, 1 / rows))
    indptr = np.concatenate([[0], np.cumsum(np.minimum(count, cols))])
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
    for i in range(rows):
        part = slice(indptr[i], indptr[i + 1])
        indices[part] = np.sort(rng.choice(cols, indptr[i + 1] - indptr[i], replace=False))
        data[part] = right[indices[part]] @ left[i]
    wrong = rng.uniform(size=len(data)) < ERRORS
    data[wrong] += 10 * np.sqrt(RANK) * rng.standard_normal(np.count_nonzero(wrong))
    return sparse.csr_matrix((data, indices, indptr), shape=(rows, cols)), left, right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cols", type=int, default=5_000)
    parser.add_argument("--stored", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    small = make_corrupted_matrix((80, 60), rank=3, outliers=0.2, observed=0.8, random_state=0).data
    RobustMatrixCompletion(n_jobs=2).fit(small)  # compiled
    before = resident()
    X, left, right = make(args.rows, args.cols, args.stored, args.seed)
    model = RobustMatrixCompletion(n_jobs=2)
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    some = slice(0, args.rows, 97)
    estimate, truth = (model.left_[some] * model.singular_values_) @ model.right_.T, left[some] @ right.T
    error = np.linalg.norm(estimate - truth) / np.linalg.norm(truth)
    print(
        f"{args.rows:,} x {args.cols:,}, {X.nnz:,} stored: rank {model.rank_}, error {error:.0e}, {seconds:.1f} s, "
        f"peak {(resident() - before) / size:.1f} times the input of {size / 1e6:.0f} MB, converged {model.converged_}"
    )


if __name__ == "__main__":
    main()
