"""What robustness costs: our estimators beside plain methods, references and packages on the same data.

    python asv_bench/speed_report.py                       # all of it, sizes 300 to 10,000: an hour
    python asv_bench/speed_report.py --size 300 1000 --limit 20
    python asv_bench/speed_report.py --part full sensing   # some parts
    python asv_bench/speed_report.py --quick               # small: that all runs, and is accurate

Both sides of a ratio run in turns in one process, ours with default settings, nothing told and two threads; medians of
pairs. A method's time is that to the target error; one that misses it is reported with its error, one that takes longer
than the limit is ended. The packages are ``pip install pyrpca tensorly qolmat``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from unittest.mock import patch

import numpy as np
from peers import RIVALS, YARDSTICKS, Ours, missing_packages
from problems import make_problem
from race import Case, race
from threadpoolctl import threadpool_limits

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._measurements import DenseMeasurements
from sklearn_robustlr._rows import RowSpace

RANK = 5
AHEAD = 5.0


class Bars:
    """What must hold, and what was found; with `quick`, figures alone."""

    def __init__(self, quick):
        self.quick, self.lines, self.wrong = quick, [], []

    def add(self, name, bar, value, *, unit="", words="", ahead=False):
        """A figure: at most the bar, or at least where it says how far `ahead` ours is; None is to be reported only."""
        bar = None if self.quick else bar
        holds = bar is None or (value >= bar if ahead else value <= bar)
        told = "" if bar is None else f"{bar:g}{unit} or {'more' if ahead else 'less'}"
        verdict = "" if bar is None else ("holds" if holds else "MISSED")
        self.lines.append(f"{name:66s} {told:14s} {value:8.3g}{unit:2s} {verdict:7s} {words}".rstrip())

    def ahead(self, report):
        """Theirs over ours: the fastest rival that reaches the error, and the fastest of those not told the rank."""
        rivals = [o for o in report.outcomes if not o.yardstick]
        reached = [o for o in rivals if o.pairs and o.error <= report.case.target]
        for words, some in (
            ("rival / ours", reached),
            ("the same, rank not told", [o for o in reached if "told" not in o.method]),
        ):
            name = f"{words}: {report.case.title}"
            if some:
                fastest = min(some, key=lambda o: o.ratio)
                self.add(name, AHEAD, fastest.ratio, unit="x", words=fastest.method, ahead=True)
            else:
                self.lines.append(f"{name:66s} none reached the error within the limit")

    def accurate(self, title, error, target):
        if not error <= target:
            self.wrong.append(f"{title}: error {error:.1e}, not {target:g}")


def tell(report):
    """One line for ours, one for each method."""
    case = report.case
    print(f"\n{case.title}; target error {case.target:g}")
    print(
        f"   {'ours, nothing told':34s} {report.seconds:9.3f} s   error {report.error:.0e}, rank {report.rank}; "
        f"first fit of a process {report.first:.2f} s"
    )
    for o in report.outcomes:
        if o.failure:
            print(f"   {o.method:34s} {o.failure}")
            continue
        pairs = f"{len(o.pairs)} pair{'s' * (len(o.pairs) > 1)}"
        reached = o.yardstick or o.error <= case.target
        what = f"ours is {1 / o.ratio:8.3g} of it" if o.yardstick else f"{o.ratio:8.3g} times ours"
        error = "" if o.yardstick else f", error {o.error:.0e}"
        print(f"   {o.method:34s} {o.seconds:9.3f} s   {what}{error} ({pairs}){'' if reached else ', target MISSED'}")
    sys.stdout.flush()


def run(case, args):
    """Race all methods of the case's kind that are installed, and print it."""
    methods = [m for m in YARDSTICKS + RIVALS if case.kind in m.kinds and m.installed]
    report = race(case, methods, pairs=args.pairs, limit=args.limit, memory=args.memory)
    tell(report)
    return report


def matrices(args, bars, kind):
    """Full matrices beside PCA, or a third of the entries seen beside sweeps of plain ALS."""
    cases = [(size, {}) for size in args.size]
    if kind == "full" and not args.quick:
        cases += [(min(max(args.size), 3000), extra) for extra in ({"outliers": 0.1}, {"noise": 0.1})]
    for size, extra in cases:
        if kind == "completion" and size > args.largest_seen:
            print(f"\n30 % seen, {size} x {size}: beyond --largest-seen {args.largest_seen}, left out")
            continue
        options = {"size": size, "rank": RANK, "outliers": 0.3, **extra}
        if kind == "completion":
            options["observed"] = 0.6 if args.quick else 0.3
        seen = f", {options['observed']:.0%} seen" if kind == "completion" else ""
        noise = extra.get("noise", 0.0)
        title = f"{size} x {size}{seen}, {options['outliers']:.0%} errors" + (f", noise {noise:g}" if noise else "")
        target = 1e-4
        if noise:  # twice the error of least squares, sqrt(dof / size) times the noise
            target = 2 * noise * np.sqrt(RANK * (2 * size - RANK) / ((1 - options["outliers"]) * size**2))
        report = run(Case(title, kind, options, target), args)
        bars.accurate(title, report.error, target)
        yardstick = next(o for o in report.outcomes if o.yardstick)
        main = size == 3000 and not extra
        if kind == "full":
            bars.add(f"RobustPCA / randomised PCA: {title}", 1.0 if main else None, 1 / yardstick.ratio)
        else:
            bars.add(f"in sweeps of plain ALS: {title}", 25.0 if main else None, 1 / yardstick.ratio)
        bars.ahead(report)


def full(args, bars):
    matrices(args, bars, "full")


def completion(args, bars):
    matrices(args, bars, "completion")


def sensing_options(args):
    side, rank, m = (16, 2, 1200) if args.quick else (64, 3, 15_000)
    return {"size": side, "rank": rank, "outliers": 0.2, "m": m}


def sensing(args, bars):
    """Dense measurements beside streaming reads of the design."""
    options = sensing_options(args)
    title = f"sensing {options['size']} x {options['size']}, m = {options['m']:,}, 20 % errors"
    report = run(Case(title, "sensing", options, 1e-6), args)
    bars.accurate(title, report.error, 1e-6)
    yardstick = next(o for o in report.outcomes if o.yardstick)
    bars.add(f"in reads of A: {title}", 30.0, 1 / yardstick.ratio)
    bars.ahead(report)


def pairs_of(ours, other, n):
    """Median ratio of two functions that run in turns, both run once before."""
    ours(), other()
    ratios = []
    for _ in range(n):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        other()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return median(ratios)


def iteration(args, bars):
    """One fused iteration of dense measurements, in streaming reads."""
    for dtype in (np.float64, np.float32):
        problem = make_problem("sensing", **sensing_options(args), dtype=dtype)
        measurements = DenseMeasurements(problem.data, problem.y, problem.shape).with_threads(2)
        rng = np.random.RandomState(0)
        left, right = (rng.standard_normal((side, 5)).astype(dtype) for side in problem.shape)
        step = lambda m=measurements, a=left, b=right: m.step(a, b, 0.0)  # noqa: E731
        ratio = pairs_of(step, problem.data.sum, max(args.pairs, 7))
        bar = 1.3 if dtype == np.float64 else None
        bars.add(f"one fused iteration in reads of A, {np.dtype(dtype).name}", bar, ratio)


def restarts(args, bars):
    """Eight starts in fits of one."""
    problem = make_problem("sensing", **sensing_options(args))
    many = RobustLowRankRecovery(shape=problem.shape, n_init=8, n_jobs=2, random_state=0)
    one = RobustLowRankRecovery(shape=problem.shape, n_jobs=2)
    fit = lambda model: model.fit(problem.data, problem.y)  # noqa: E731
    ratio = pairs_of(lambda: fit(many), lambda: fit(one), min(args.pairs, 3))
    bars.add("8 restarts in fits of one, sensing as above", 2.0, ratio)
    bars.accurate("8 restarts", problem.error(many.coef_), 1e-6)


def split_fit(ours, problem):
    """Seconds of a fit and of its last regression of all rows, the pass over all data that it cannot do without."""
    passes = []
    regress = RowSpace.regress

    def watched(space, entries, **options):
        start = time.perf_counter()
        result = regress(space, entries, **options)
        if entries.shape == problem.shape:
            passes.append(time.perf_counter() - start)
        return result

    with patch.object(RowSpace, "regress", watched):
        seconds = ours.fit(problem)
    return seconds, passes[-1] if passes else 0.0


def growth(args, bars):
    """Growth of the time with the number of entries at a fixed rank, float32; and without the last pass over all."""
    sizes = (60, 120) if args.quick else [n for n in (1000, 1800, 3200, 5600, 10_000) if n <= max(args.size)]
    times = []
    print("\ngrowth at rank 5, 30 % errors, float32")
    for size in sizes:
        problem = make_problem("full", size, rank=RANK, outliers=0.3, dtype=np.float32)
        ours = Ours("full")
        ours.fit(problem)
        fits = [split_fit(ours, problem) for _ in range(3)]
        fit, before = median(t for t, _ in fits), median(t - last for t, last in fits)
        error = ours.error(problem)
        times.append((fit, before))
        words = f"fit {fit:8.3f} s, of it the last pass over all {fit - before:8.3f} s, error {error:.0e}"
        print(f"   {size:6d} x {size:<6d} {words}", flush=True)
        bars.accurate(f"float32, {size} x {size}", error, 1e-4)
    if len(sizes) > 1:
        logs = np.log(np.square(sizes, dtype=float))
        slopes = [np.polyfit(logs, np.log([t[column] for t in times]), 1)[0] for column in (0, 1)]
        words = f"{sizes[0] ** 2:.0e} to {sizes[-1] ** 2:.0e} entries"
        bars.add(f"log-log slope of the fit, {words}", None, slopes[0])
        bars.add("the same until the last pass over all", 1.0, slopes[1])


SMALL_FIT = {
    "ours": "from sklearn_robustlr import RobustMatrixCompletion\nRobustMatrixCompletion().fit(X)",
    "scikit-learn's PCA": "from sklearn.decomposition import PCA\nPCA(2, svd_solver='randomized').fit(X)",
    "pyrpca": "from pyrpca import rpca_pcp_ialm\nrpca_pcp_ialm(X, 60**-0.5, verbose=False)",
    "tensorly": "from tensorly.decomposition import robust_pca\nrobust_pca(X, reg_E=0.26, n_iter_max=200, verbose=0)",
    "qolmat": (
        "from qolmat.imputations.rpca.rpca_pcp import RpcaPcp\n"
        "RpcaPcp(verbose=False).decompose(X, np.ones(X.shape, dtype=bool))"
    ),
}


def cold(args, bars):
    """Whole processes: the first fit ever (nothing compiled), the same with a warm cache, the import alone."""
    matrix = (
        "import numpy as np, warnings; warnings.simplefilter('ignore')\n"
        "rng = np.random.RandomState(0)\n"
        "X = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40)); X[rng.uniform(size=X.shape) < 0.1] = 9\n"
    )
    times = 1 if args.quick else 3
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}

        def process(code):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            return time.perf_counter() - start

        print("\ncold start, whole processes: import, and a fit of 60 x 40")
        if not args.quick:
            first = process(matrix + SMALL_FIT["ours"])
            print(f"   {'ours, nothing compiled yet':34s} {first:6.2f} s")
            bars.add("first fit ever, seconds", 15.0, first)
            missing = missing_packages()
            for name, code in SMALL_FIT.items():
                if name not in missing:
                    seconds = median(process(matrix + code) for _ in range(times))
                    print(f"   {name:34s} {seconds:6.2f} s", flush=True)
                    if name == "ours":
                        bars.add("whole process with a warm cache, seconds", 3.5, seconds)
        ours, theirs = [], []
        for _ in range(times):
            ours.append(process("import sklearn_robustlr"))
            theirs.append(process("import sklearn.decomposition, sklearn.model_selection"))
        print(f"   import: ours {median(ours):.2f} s, scikit-learn's alone {median(theirs):.2f} s")
        added = median(a - b for a, b in zip(ours, theirs, strict=True))
        bars.add("import beyond scikit-learn's, seconds", 0.3, added)


PARTS = {
    "full": full,
    "completion": completion,
    "sensing": sensing,
    "iteration": iteration,
    "restarts": restarts,
    "growth": growth,
    "cold": cold,
}


def default_memory():
    """Half of the machine's memory in GB; None where it is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**31
    except (AttributeError, ValueError, OSError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=PARTS, default=PARTS, help="parts (default: all)")
    parser.add_argument("--size", type=int, nargs="*", default=[300, 1000, 3000, 10_000], help="sides of the matrices")
    parser.add_argument("--largest-seen", type=int, default=3000, help="largest side of a matrix with holes")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs a line")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that one run of a method may take")
    parser.add_argument("--memory", type=float, default=default_memory(), help="GB that a method may take")
    parser.add_argument("--quick", action="store_true", help="small problems, one pair: it runs, and is accurate")
    args = parser.parse_args()
    if args.quick:
        args.size, args.pairs, args.limit, args.part = [120], 1, 5.0, PARTS
    missing = missing_packages()
    if missing:
        print(f"not installed, left out: {', '.join(missing)}")
    bars = Bars(args.quick)
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # of the processes
        os.environ.setdefault(name, "2")
    try:
        with threadpool_limits(2):
            for part in args.part:
                PARTS[part](args, bars)
    finally:  # what has been found where it is interrupted
        print("\n" + "\n".join(bars.lines))
    if bars.wrong:
        sys.exit("\nnot accurate enough:\n" + "\n".join(bars.wrong))


if __name__ == "__main__":
    main()
