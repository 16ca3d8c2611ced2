"""Study of long tables: 4,000 to 25,000 rows of 8 to 40 columns, of a sharp rank or of mixed types.

    python asv_bench/studies/long.py --count 30
    python asv_bench/studies/long.py --count 30 --json one.json   # then with another version, --against one.json

sharp: rank 1 to p / 4 and a mean, noise of 0 to 40 %, up to 15 % gross errors of 2 or 10 standard deviations.
mixed: a mixture of 2 to 5 groups, columns in units of their own; some are exponentials, signs, rounded or cut off at 0.

A tenth of the entries is missing, another tenth is hidden as well and judged: errors are in standard deviations of the
columns. With --against, the ratios of the errors and of the seconds to those of another version are printed. Seeds
below 9000 were used to choose which rows are fitted first.
"""

import time

import numpy as np
from harness import Arguments, Table, over_processes, quiet, ratios, read_json, write_json

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 9000


def draw_sharp(rng, n, p):
    rank = rng.randint(1, max(p // 4, 2) + 1)
    weights = np.linspace(1.0, rng.choice([1.0, 0.2]), rank)
    clean = rng.standard_normal((n, rank)) * weights @ rng.standard_normal((rank, p))
    clean += rng.choice([0.0, 3.0]) * rng.standard_normal(p)
    clean /= clean.std()
    data = clean + rng.choice([0.0, 0.05, 0.2, 0.4]) * rng.standard_normal((n, p))
    wrong = rng.uniform(size=(n, p)) < rng.choice([0.0, 0.05, 0.15])
    data[wrong] += rng.choice([2.0, 10.0]) * rng.standard_normal(int(wrong.sum()))
    return data, clean


def draw_mixed(rng, n, p):
    groups = rng.randint(2, 6)
    centers = rng.standard_normal((groups, p)) * rng.choice([1.0, 2.0])
    mixing = np.eye(p) + 0.5 * rng.standard_normal((p, p)) / np.sqrt(p)
    data = centers[rng.randint(groups, size=n)] + rng.standard_normal((n, p)) @ mixing
    kinds = [np.exp, np.sign, np.round, lambda x: np.maximum(x, 0.0), *[lambda x: x] * 5]
    for j in range(p):
        data[:, j] = kinds[rng.randint(len(kinds))](data[:, j])
    data = data * 10.0 ** rng.uniform(-2, 3, p) + rng.uniform(-5, 5, p)
    return data, data


ROWS = {"sharp": draw_sharp, "mixed": draw_mixed}


def run(row, seed):
    rng = np.random.RandomState(seed)
    shape = int(rng.choice([4_000, 10_000, 25_000])), int(rng.choice([8, 12, 20, 40]))
    data, truth = ROWS[row](rng, *shape)
    place = rng.uniform(size=shape)
    data, hidden = np.where(place < 0.2, np.nan, data), place < 0.1
    with quiet():
        began = time.perf_counter()
        model = RobustMatrixCompletion().fit(data)
        seconds = time.perf_counter() - began
        missed = (model.transform(data) - truth) / truth.std(axis=0)
    error = float(np.sqrt(np.mean(np.clip(missed[hidden], -20.0, 20.0) ** 2)))
    return {"seed": seed, "error": error, "seconds": seconds, "converged": bool(model.converged_)}


def cells(results):
    seconds = [r["seconds"] for r in results]
    return {
        "problems": len(results),
        "error": f"{np.mean([r['error'] for r in results]):.3f}",
        "converged": sum(r["converged"] for r in results),
        "seconds, mean": f"{np.mean(seconds):.1f}",
        "slowest": f"{max(seconds):.1f}",
    }


def main():
    options = Arguments(__doc__)
    options.add_seeds(FIRST_TEST_SEED, count=30, used_to="choose which rows are fitted first")
    options.add_rows(ROWS)
    options.add_argument("--against", help="file of the figures of another version, for the same seeds")
    args = options.parse_args()
    figures, others = {}, read_json(args.against)
    table = Table({}, sentences=())
    for row in args.row or ROWS:
        figures[row] = results = over_processes(run, [(row, seed) for seed in args.seeds], args.jobs)
        table.print({"row": row, **cells(results), **ratios(results, others.get(row, []))})
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
