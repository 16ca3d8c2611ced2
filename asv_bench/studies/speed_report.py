"""What robustness costs: our estimators beside plain methods, references and packages on the same data.

    python asv_bench/studies/speed_report.py                       # all of it, sizes 300 to 10,000: an hour
    python asv_bench/studies/speed_report.py --size 300 1000 --limit 20
    python asv_bench/studies/speed_report.py --part full sensing   # some parts
    python asv_bench/studies/speed_report.py --quick               # small: that all runs, and is accurate

Both sides of a ratio run in turns in one process, ours with default settings, nothing told and two threads; medians of
pairs. The time of a method is that to the target error; one that misses the target is reported with its error, one that
takes longer than the limit is ended. The packages are ``pip install pyrpca tensorly qolmat``.
"""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from unittest.mock import patch

import numpy as np
from harness import Arguments, Table, limit_blas, ratio_in_turns, write_json
from peers import PEERS, RIVALS, YARDSTICKS, Ours, name_missing_packages
from problems import make_problem
from race import Case, race
from threadpoolctl import threadpool_limits

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._rows.regression import RowSpace

RANK = 5
AHEAD = 5.0


class Bars:
    """What must hold, and what was found; with `quick`, figures alone."""

    def __init__(self, quick):
        self.quick, self.lines, self.wrong = quick, [], []

    def add(self, name, bar, value, *, unit="", words="", ahead=False):
        """A figure and its bar (None: only reported): at most, or at least where it says how far `ahead` ours is."""
        bar = None if self.quick else bar
        holds = bar is None or (value >= bar if ahead else value <= bar)
        told = "" if bar is None else f"{bar:g}{unit} or {'more' if ahead else 'less'}"
        verdict = "" if bar is None else ("holds" if holds else "MISSED")
        self._line(name, told, f"{value:.3g}{unit}", verdict, words)

    def _line(self, *cells):
        self.lines.append(dict(zip(("figure", "bar", "value", "verdict", "remark"), cells, strict=True)))

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
                self._line(name, "", "", "", "none reached the error within the limit")

    def accurate(self, title, error, target):
        if not error <= target:
            self.wrong.append(f"{title}: error {error:.1e}, not {target:g}")

    def print(self):
        print()
        table = Table([line["figure"] for line in self.lines], ("remark",), ("bar", "value", "verdict"))
        for line in self.lines:
            table.print(line)


def tell(report):
    """One line for ours, one for each method."""
    case = report.case
    print(f"\n{case.title}; target error {case.target:g}; first fit of a process {report.first:.2f} s")
    table = Table([o.method for o in report.outcomes], ("remark",))
    ours = {"seconds": f"{report.seconds:.3f}", "ours / it": "", "it / ours": "", "error": f"{report.error:.0e}"}
    table.print({"method": "ours, nothing told", **ours, "pairs": "", "remark": f"rank {report.rank}"})
    for o in report.outcomes:
        cells = dict.fromkeys(ours, "") | {"pairs": len(o.pairs), "remark": o.failure}
        if not o.failure:
            cells["seconds"] = f"{o.seconds:.3f}"
            if o.yardstick:
                cells["ours / it"] = f"{1 / o.ratio:.3g}"
            else:
                cells |= {"it / ours": f"{o.ratio:.3g}", "error": f"{o.error:.0e}"}
                cells["remark"] = "" if o.error <= case.target else "target MISSED"
        table.print({"method": o.method, **cells})


def run(case, args):
    """Race all methods of the case's kind that are installed, and print it."""
    methods = [peer for peer in YARDSTICKS + RIVALS if case.kind in peer.kinds and peer.installed]
    report = race(case, methods, pairs=args.pairs, limit=args.limit, memory=args.memory)
    tell(report)
    return report


def matrices(args, bars, kind):
    """Full matrices beside PCA, or 30 % of the entries observed beside sweeps of plain ALS."""
    cases = [(size, {}) for size in args.size]
    if kind == "full" and not args.quick:
        cases += [(min(max(args.size), 3000), extra) for extra in ({"outliers": 0.1}, {"noise": 0.1})]
    for size, extra in cases:
        if kind == "completion" and size > args.largest_seen:
            print(f"\n30 % observed, {size} x {size}: beyond --largest-seen {args.largest_seen}, left out")
            continue
        options = {"size": size, "rank": RANK, "outliers": 0.3, **extra}
        if kind == "completion":
            options["observed"] = 0.6 if args.quick else 0.3
        share = f", {options['observed']:.0%} observed" if kind == "completion" else ""
        noise = extra.get("noise", 0.0)
        title = f"{size} x {size}{share}, {options['outliers']:.0%} errors" + (f", noise {noise:g}" if noise else "")
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


def iteration(args, bars):
    """One fused iteration of dense measurements, in streaming reads."""
    for dtype in (np.float64, np.float32):
        problem = make_problem("sensing", **sensing_options(args), dtype=dtype)
        measurements = DenseMeasurements(problem.data, problem.y, problem.shape).with_threads(2)
        rng = np.random.RandomState(0)
        left, right = (rng.standard_normal((side, 5)).astype(dtype) for side in problem.shape)
        step = lambda m=measurements, a=left, b=right: m.step(a, b, 0.0)  # noqa: E731
        ratio = ratio_in_turns(step, problem.data.sum, max(args.pairs, 7))
        bar = 1.3 if dtype == np.float64 else None
        bars.add(f"one fused iteration in reads of A, {np.dtype(dtype).name}", bar, ratio)


def restarts(args, bars):
    """Eight starts in fits of one."""
    problem = make_problem("sensing", **sensing_options(args))
    many = RobustLowRankRecovery(shape=problem.shape, n_init=8, n_jobs=2, random_state=0)
    one = RobustLowRankRecovery(shape=problem.shape, n_jobs=2)
    fit = lambda model: model.fit(problem.data, problem.y)  # noqa: E731
    ratio = ratio_in_turns(lambda: fit(many), lambda: fit(one), min(args.pairs, 3))
    bars.add("8 restarts in fits of one, sensing as above", 2.0, ratio)
    bars.accurate("8 restarts", problem.error(many.matrix_), 1e-6)


def split_fit(ours, problem):
    """Seconds of a fit and of its last regression of all rows, the one pass over all data that it always needs."""
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


SMALL_FITS = {
    "ours": "from sklearn_robustlr import RobustMatrixCompletion\nRobustMatrixCompletion().fit(X)",
    "scikit-learn's PCA": "from sklearn.decomposition import PCA\nPCA(2, svd_solver='randomized').fit(X)",
    **{peer.package: peer.cold for peer in PEERS if peer.cold and peer.installed},
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
            first = process(matrix + SMALL_FITS["ours"])
            print(f"   {'ours, nothing compiled yet':34s} {first:6.2f} s")
            bars.add("first fit ever, seconds", 15.0, first)
            for name, code in SMALL_FITS.items():
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
        bars.add("import beyond scikit-learn's, seconds", 0.2, added)


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
    """Half of the memory in GB; None where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**31
    except (AttributeError, ValueError, OSError):
        return None


def main():
    options = Arguments(__doc__)
    options.add_argument("--part", nargs="*", choices=PARTS, default=PARTS, help="parts (default: all)")
    options.add_argument("--size", type=int, nargs="*", default=[300, 1000, 3000, 10_000], help="sides of the matrices")
    options.add_argument("--largest-seen", type=int, default=3000, help="largest side of a matrix with missing entries")
    options.add_argument("--pairs", type=int, default=5, help="pairs of runs a line")
    options.add_argument("--limit", type=float, default=60.0, help="seconds that one run of a method may take")
    options.add_argument("--memory", type=float, default=default_memory(), help="GB that a method may take")
    options.add_argument("--quick", action="store_true", help="small problems, one pair: it runs, and is accurate")
    options.add_argument("--json", help="write the last table to this file")
    args = options.parse_args()
    if args.quick:
        args.size, args.pairs, args.limit, args.part = [120], 1, 5.0, PARTS
    name_missing_packages()
    bars = Bars(args.quick)
    limit_blas(2)
    try:
        with threadpool_limits(2):
            for part in args.part:
                PARTS[part](args, bars)
    finally:  # after an interrupt, what was found so far
        bars.print()
        write_json(args.json, bars.lines)
    if bars.wrong:
        sys.exit("\nnot accurate enough:\n" + "\n".join(bars.wrong))


if __name__ == "__main__":
    main()
