"""Performance profiles: one default setting for all workloads, scored by the time to a target error.

    python asv_bench/studies/speed_profiles.py                      # test seeds 5 to 9, some minutes
    python asv_bench/studies/speed_profiles.py --large              # matrices of a million entries, about an hour
    python asv_bench/studies/speed_profiles.py --hidden             # tables and decaying spectra, --count 3: 15 minutes
    python asv_bench/studies/speed_profiles.py --figure profile.png
    python asv_bench/studies/speed_profiles.py --tune               # step parameters of the rivals, tuning seeds 0 to 4

Workloads: {full, completion, sensing, rank-one} x {10, 30, 50 % errors} x {condition 1, 10} x {no noise, 10 %}. The
target is a relative error of 1e-6 without noise, and twice that of least squares told rank and errors with noise. As in
AlgoPerf (Dahl et al., arXiv:2306.07179), t is the median over the seeds of the time to target (infinite where missed),
rho(tau) the share of the workloads with t within tau times that of the fastest method, and B the mean of rho over tau
from 1 to 4; ours has no tuned parameter. Times are processor time, one thread each. A rival that takes far more than
four times the fastest is ended (by an alarm: Unix only).

--hidden: {iris, wine, diabetes, cancer, digits} x five kinds of damage of tables.py, and {1 / k, exponential over three
decades} x {200 x 20, 600 x 60, 1000 x 100} x {20 % missing, and 10 % gross errors besides}. The target is 1.1 or 1.3
times the error of the best method that is told nothing (hidden_entries.py says why). Some imputers take a thousandth of
the time of others, so tau goes to 64 on a logarithmic scale: B is the mean of rho over log tau, so that half of it is
lost at eight times the fastest. All run to their end.
"""

import importlib
import itertools
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from harness import Arguments, Table
from hidden_entries import CAUCHY, OURS, TOLD_ERRORS, measure_hidden, name_of
from hidden_entries import WORKLOADS as HIDDEN
from peers import RIVALS, Ours, name_missing_packages, run_to_target
from problems import KINDS, make_problem
from references import matrix_oracle_error, measurements_oracle_error
from threadpoolctl import threadpool_limits

TUNING_SEEDS, TEST_SEEDS = range(5), range(5, 10)


@dataclass(frozen=True)
class Range:
    """Of tau: what is shown of it, the last being the largest; B weighs tau evenly after `even`."""

    taus: tuple
    even: Callable


FOUR = Range((1.0, 1.5, 2.0, 3.0, 4.0), np.positive)
SIXTY_FOUR = Range((1.0, 4.0, 16.0, 64.0), np.log)
# Measurements: 16 per degree of freedom.
SIZES = {
    "full": {"size": 120, "rank": 2},
    "completion": {"size": 120, "rank": 2, "observed": 0.6},
    "sensing": {"size": 20, "rank": 2, "m": 16 * 76},
    "rank_one": {"size": 20, "rank": 2, "m": 16 * 76},
}
LARGE_SIZES = {
    "full": {"size": 1000, "rank": 5},
    "completion": {"size": 1000, "rank": 5, "observed": 0.3},
    "sensing": {"size": 40, "rank": 3, "m": 16 * 231},
    "rank_one": {"size": 60, "rank": 3, "m": 16 * 351},
}
WORKLOADS = list(itertools.product(KINDS, (0.1, 0.3, 0.5), (1.0, 10.0), (0.0, 0.1)))
# Limits of a run in seconds: at least, at most (small and large problems), and as a multiple of the fastest.
_LEAST, _MOST, _MULTIPLE = 0.25, (2.0, 10.0), 2 * FOUR.taus[-1]


def target_error(problem):
    if not problem.noise:
        return 1e-6
    if problem.y is None:
        oracle = matrix_oracle_error(problem.truth, problem.data, problem.inliers, problem.rank)
    else:
        data = problem.data
        if problem.kind == "rank_one":
            a, b = data[:, : problem.shape[0]], data[:, problem.shape[0] :]
            data = (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
        oracle = measurements_oracle_error(data, problem.y, problem.inliers, problem.truth, problem.rank)
    return 2.0 * oracle


def time_ours(problem, target):
    """Seconds of our fit, infinite where the error is missed."""
    ours = Ours(problem.kind, n_jobs=None)
    seconds = ours.fit(problem, time.process_time)
    return seconds if ours.error(problem) <= target else np.inf


def _ring(*_):
    raise TimeoutError


def time_rival(method, problem, target, limit):
    """Seconds to the target; infinite where it is missed, or not reached within the limit."""

    def tick():  # by wall-clock time: an alarm on processor time makes its clock coarse
        signal.setitimer(signal.ITIMER_REAL, 3 * limit)

    before = signal.signal(signal.SIGALRM, _ring)
    try:
        seconds, error, _ = run_to_target(method, problem, target, limit, tick, time.process_time)
    except (TimeoutError, np.linalg.LinAlgError):
        return np.inf
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return seconds if error <= target else np.inf


def measure(methods, seeds, workloads, *, with_ours=True, large=False):
    """{name: times of the workloads}, medians over the seeds."""
    names = [OURS] * with_ours + [m.name for m in methods]
    times = {name: np.full((len(workloads), len(seeds)), np.inf) for name in names}
    sizes, most = (LARGE_SIZES if large else SIZES), _MOST[large]
    warm = set()
    for w, (kind, outliers, condition, noise) in enumerate(workloads):
        for s, seed in enumerate(seeds):
            options = {"outliers": outliers, "condition": condition, "noise": noise, "seed": seed}
            problem = make_problem(kind, **sizes[kind], **options)
            target = target_error(problem)
            some = [m for m in methods if kind in m.kinds]
            for _ in range(1 if kind in warm else 2):
                fastest = np.inf
                for name in [OURS] * with_ours + [m.name for m in some]:
                    if name == OURS:
                        seconds = time_ours(problem, target)
                    else:
                        limit = min(max(_LEAST, _MULTIPLE * fastest), most)
                        method = next(m for m in some if m.name == name)
                        seconds = time_rival(method, problem, target, limit)
                    times[name][w, s] = seconds
                    fastest = min(fastest, seconds)
            warm.add(kind)
        print(f"\r{w + 1} of {len(workloads)} workloads", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.median(t, axis=1) for name, t in times.items()}


def ratios(times):
    """{name: t over that of the fastest}; infinite where the target is missed."""
    fastest = np.min(list(times.values()), axis=0)
    return {name: t / np.where(np.isfinite(fastest), fastest, 1.0) for name, t in times.items()}


def share_within(ratio, tau):
    """rho(tau)."""
    return float(np.mean(ratio <= tau))


def score(ratio, scope=FOUR):
    """B: the mean of rho(tau) over the range of tau."""
    first, last = scope.even([1.0, scope.taus[-1]])
    return float(np.mean(np.maximum(0.0, last - scope.even(np.maximum(ratio, 1.0))) / (last - first)))


def words_of(workload):
    kind, outliers, condition, noise = workload
    return f"{kind} {outliers:.0%} cond. {condition:g}{' noise' * bool(noise)}"


def tell(title, times, workloads, scope=FOUR, words=words_of):
    """Print the shares, the score and the number solved of each kind, best first; and what nobody solves."""
    relative = ratios(times)
    kinds = np.array([workload[0] for workload in workloads])
    shown = list(dict.fromkeys(kinds.tolist()))
    each = ", ".join(f"{np.sum(kinds == kind)} {kind}" for kind in shown)
    print(f"\n{title}: {len(workloads)} workloads ({each})")
    table = Table(times)
    for name, ratio in sorted(relative.items(), key=lambda item: -score(item[1], scope)):
        cells = {f"rho({tau:g})": f"{share_within(ratio, tau):.2f}" for tau in scope.taus}
        cells["B"] = f"{score(ratio, scope):.2f}"
        cells |= {f"solved, {kind}": np.isfinite(times[name][kinds == kind]).sum() for kind in shown}
        cells |= {f"B, {kind}": f"{score(ratio[kinds == kind], scope):.2f}" for kind in shown if len(shown) > 1}
        table.print({"method": name, **cells})
    unsolved = [workloads[i] for i in np.flatnonzero(~np.isfinite(np.min(list(times.values()), axis=0)))]
    if unsolved:
        print(f"solved by nobody: {', '.join(map(words, unsolved))}")


def tell_hidden(times, errors, workloads):
    """Print the profiles at each target, and where ours misses it or takes over 20 times as long as the fastest."""
    told = {CAUCHY.name, *TOLD_ERRORS}
    for factor, named in times.items():
        alone = {name: t for name, t in named.items() if name not in told}
        tell(f"within {factor:g} times the least error, told nothing", alone, workloads, SIXTY_FOUR, name_of)
        tell(f"within {factor:g} times, and those that are told", named, workloads, SIXTY_FOUR, name_of)
        for w, workload in enumerate(workloads):
            fastest = min(alone, key=lambda name: alone[name][w])
            mine, least = alone[OURS][w], alone[fastest][w]
            if not mine <= 20 * least:
                lowest = min((name for name in errors if name in alone), key=lambda name: errors[name][w])
                how = f"{mine / least:.0f} times as long as" if np.isfinite(mine) else "missed; fastest"
                error = f"error {errors[OURS][w]:.3g}, least {errors[lowest][w]:.3g} of {lowest}"
                print(f"   {name_of(workload)}: {how} {fastest} ({least:.2g} s); {error}")


def draw(times, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    taus = np.linspace(1.0, FOUR.taus[-1], 301)
    styles = itertools.cycle(("-", "--", "-.", ":"))
    for name, ratio in sorted(ratios(times).items(), key=lambda item: -score(item[1])):
        curve = [share_within(ratio, tau) for tau in taus]
        axes.step(taus, curve, where="post", linestyle=next(styles), label=f"{name} (B {score(ratio):.2f})")
    axes.set(xlabel="factor tau of the fastest", ylabel="share of workloads solved within it", ylim=(-0.02, 1.02))
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)


def tune(methods, seeds, workloads, **options):
    """Step parameters on the tuning seeds: candidates of a method race each other."""
    for method in methods:
        if not method.steps:
            continue
        candidates = [replace(method, name=f"{method.name}, step {step:g}", step=step) for step in method.steps]
        some = [workload for workload in workloads if workload[0] in method.kinds]
        times = measure(candidates, seeds, some, with_ours=False, **options)
        relative = ratios(times)
        best = max(candidates, key=lambda c: score(relative[c.name]))
        tell(f"{method.name} (tuning seeds)", times, some)
        print(f"   chosen: {best.step:g}; peers.py has {method.step:g}", flush=True)


def run_hidden(groups, seeds):
    workloads = [workload for workload in HIDDEN if workload[0] in groups]
    start = time.perf_counter()
    with threadpool_limits(1):
        times, errors = measure_hidden(seeds, workloads)
    tell_hidden(times, errors, workloads)
    print(f"{time.perf_counter() - start:.0f} s in all")


def main():
    options = Arguments(__doc__)
    options.add_argument("--tune", action="store_true", help="compare the rivals' step parameters on the tuning seeds")
    options.add_argument("--large", action="store_true", help="large workloads instead of small ones")
    options.add_argument(
        "--hidden", nargs="*", choices=("tables", "spectra"), help="hidden entries instead (default: of both)"
    )
    options.add_argument("--kind", nargs="*", choices=KINDS, default=KINDS, help="kinds of workload (default: all)")
    options.add_argument("--method", nargs="*", help="rivals whose name contains one of these (default: all)")
    options.add_argument("--count", type=int, default=5, choices=range(1, 6), help="seeds, for a quick look")
    options.add_argument("--figure", help="file of the figure")
    args = options.parse_args()
    if args.hidden is not None:
        if args.tune or args.large or args.figure or args.method:
            options.error("--hidden goes with --count alone")
        run_hidden(args.hidden or ("tables", "spectra"), TEST_SEEDS[: args.count])
        return
    workloads = [workload for workload in WORKLOADS if workload[0] in args.kind]
    methods = [m for m in RIVALS if m.installed and any(part in m.name for part in args.method or [""])]
    name_missing_packages()
    if args.figure:  # fails before the work, not after it
        importlib.import_module("matplotlib")
    start = time.perf_counter()
    with threadpool_limits(1):
        if args.tune:
            tune(methods, TUNING_SEEDS[: args.count], workloads, large=args.large)
        else:
            times = measure(methods, TEST_SEEDS[: args.count], workloads, large=args.large)
            tell("all methods", times, workloads)
            untold = {name: t for name, t in times.items() if "rank told" not in name}
            tell("those that are not told the rank", untold, workloads)
            mine = times[OURS][np.isfinite(times[OURS])]
            if len(mine):
                print(f"\nours, where it reaches the target: median {median(mine):.2f} s, longest {mine.max():.2f} s")
            if args.figure:
                draw(times, args.figure)
    print(f"{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
