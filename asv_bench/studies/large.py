"""A large sparse matrix: error, seconds and peak memory of a fit, in a process of its own.

    python asv_bench/studies/large.py                        # 100,000 x 5,000, 10 million stored entries
    python asv_bench/studies/large.py --rows 20000 --stored 2000000

The peak is that of the process during the fit, with the input, less what it held before the input was made.
"""

import resource
import sys

import numpy as np
from harness import Arguments, quiet, recorded, write_json
from scipy import sparse

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

RANK, ERRORS = 8, 0.1


def resident():
    """Peak memory of the process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def make(rows, cols, stored, seed):
    """A sparse matrix of rank 8, observed at random places, a tenth of them corrupted; and its factors."""
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
    options = Arguments(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--cols", type=int, default=5_000)
    options.add_argument("--stored", type=int, default=10_000_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", help="write all figures to this file")
    args = options.parse_args()
    small = make_corrupted_matrix((80, 60), rank=3, outliers=0.2, observed=0.8, random_state=0).data
    with quiet():
        RobustMatrixCompletion(n_jobs=2).fit(small)  # so that all is compiled
    before = resident()
    X, left, right = make(args.rows, args.cols, args.stored, args.seed)
    model = RobustMatrixCompletion(n_jobs=2)
    _, record = recorded(model, lambda: model.fit(X))
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    some = slice(0, args.rows, 97)
    estimate, truth = (model.left_[some] * model.singular_values_) @ model.right_.T, left[some] @ right.T
    error = np.linalg.norm(estimate - truth) / np.linalg.norm(truth)
    figures = {**record, "rank": model.rank_, "error": error, "peak": (resident() - before) / size, "input": size}
    print(
        f"{args.rows:,} x {args.cols:,}, {X.nnz:,} stored: rank {model.rank_}, error {error:.0e}, "
        f"{record['seconds']:.1f} s, peak {figures['peak']:.1f} times the input of {size / 1e6:.0f} MB, "
        f"converged {model.converged_}"
    )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
