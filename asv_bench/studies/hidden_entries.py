"""Workloads of speed_profiles.py with hidden entries: damaged tables, decaying spectra, and peers that fill them.

Nobody knows the least error of a table. So the method that is told nothing and has the least error of the hidden
entries (root mean square, median over the seeds) sets the target of each seed: 1.1 or 1.3 times its own error there.
The seeds of a small table differ by more than that, the methods within a seed do not. The target is a matter of the
workload, not of ours: whoever is best sets it. Methods that are told something do not set it, for they are judged on
their best rank, which is chosen by these very entries.

An imputer counts with the time of its whole fit, as none says when it is as good as that; SoftImpute is plain NumPy
with a fixed number of steps. Told the errors: SoftImpute, and ridge regressions by turns (ALS) with the rank and ridge
that end best, the others not counted. Told the rank: Cauchy IRLS-ALS with the rank that reaches the target first, until
it does.
"""

import sys
import time
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from decaying import FIRST_TEST_SEED as FIRST_SPECTRUM
from decaying import alternating, draw, size
from harness import quiet
from peers import Ours, Peer, run_once
from references import cauchy_als
from tables import FIRST_TEST_SEED as FIRST_TABLE
from tables import KINDS, PEERS, TABLES, damaged, fence, soft_impute

OURS = "ours, nothing told"
FACTORS = (1.1, 1.3)
SPECTRA = ("1 / k", "exponential, three decades")
SHAPES = ((200, 20), (600, 60), (1000, 100))
# (group, what, damage): the rows and columns of a spectrum are a part of what.
WORKLOADS = [
    *(("tables", name, kind) for name, kind in product(TABLES, KINDS)),
    *(("spectra", (name, *shape), kind) for name, shape, kind in product(SPECTRA, SHAPES, ("holes", "gross"))),
]
RANKS, RIDGES, ITERATIONS = (1, 2, 3, 5, 10, 20, 40), (0.03, 0.3, 3.0), 30


@dataclass
class Hidden:
    """A matrix with NaN where entries are missing, its truth, the unit of each column, and what is seen and right."""

    data: np.ndarray
    truth: np.ndarray
    unit: np.ndarray | float
    known: np.ndarray
    rank: int = 0

    def error(self, left, right=None):
        """Root mean square at the missing entries, of a matrix or of a pair of factors."""
        estimate = left if right is None else left @ right.T
        return size(((estimate - self.truth) / self.unit)[np.isnan(self.data)])

    @property
    def ranks(self):
        return [k for k in RANKS if k < 0.6 * self.data.shape[1]]


def make_hidden(group, what, damage, seed):
    """The problem of a workload; seeds count from the first that the studies of tables and of spectra report."""
    if group == "tables":
        data, truth, unit, _ = damaged(what, damage, FIRST_TABLE + seed)
        return Hidden(data, truth, unit, data == truth)
    truth, data, known = draw(*what, damage == "gross", FIRST_SPECTRUM + seed)
    return Hidden(data, truth, 1.0, known)


def name_of(workload):
    """A workload in words."""
    group, what, damage = workload
    return f"{what} {damage}" if group == "tables" else f"{what[0]} {what[1]} x {what[2]} {damage}"


def impute(method, data, problem):
    """(seconds, error) of a function that fills the missing entries."""
    start = time.process_time()
    filled = method(data)
    return time.process_time() - start, problem.error(filled)


def ours(X):
    return Ours("completion", n_jobs=None).model.fit_transform(X)


UNTOLD = {OURS: ours, **PEERS, "SoftImpute": soft_impute, "fence, SoftImpute": lambda X: soft_impute(fence(X))}


def soft_told(problem):
    return impute(soft_impute, np.where(problem.known, problem.data, np.nan), problem)


def ridge_told(problem):
    """The best of all ranks and ridges, and its own seconds."""
    fits = []
    for k, ridge in product(problem.ranks, RIDGES):
        fits.append(impute(lambda X, k=k, ridge=ridge: alternating(X, problem.known, k, ridge), problem.data, problem))
    return min(fits, key=lambda fit: fit[1])


TOLD_ERRORS = {"SoftImpute, errors told": soft_told, "ridge ALS, errors and rank told": ridge_told}
CAUCHY = Peer(
    "Cauchy IRLS-ALS, rank told",
    ("tables", "spectra"),
    lambda problem, step, _: cauchy_als(problem.data, problem.rank, decay=step, n_iter=ITERATIONS),
    0.8,
)


def cauchy_told(problem, targets):
    """Seconds to each target, at the rank that reaches it first."""
    seconds, ranks = {}, problem.ranks
    for target in sorted(targets, reverse=True):
        ends = {}
        for k in ranks:
            taken, error = run_once(CAUCHY, replace(problem, rank=k), None, target, clock=time.process_time)
            if error <= target:
                ends[k] = taken
        seconds[target] = min(ends.values(), default=np.inf)
        ranks = list(ends)  # the others do not reach a smaller one
    return [seconds[target] for target in targets]


def run(workload, seeds, factors, warm):
    """{factor: {name: seconds to the target, a seed each}} and {name: errors, a seed each} of a workload.

    A fit of ours, and of all where they are not `warm`, comes before those that are timed.
    """
    problems = [make_hidden(*workload, seed) for seed in seeds]
    for method in [ours] if warm else UNTOLD.values():
        method(problems[0].data)
    fits = {name: [impute(method, p.data, p) for p in problems] for name, method in UNTOLD.items()}
    errors = {name: np.array([error for _, error in some]) for name, some in fits.items()}
    leader = min(errors, key=lambda name: np.median(errors[name]))
    fits |= {name: [method(p) for p in problems] for name, method in TOLD_ERRORS.items()}
    targets = np.outer(factors, errors[leader])
    reached = np.transpose([cauchy_told(p, list(some)) for p, some in zip(problems, targets.T, strict=True)])
    times = {}
    for factor, some, cauchy in zip(factors, targets, reached, strict=True):
        times[factor] = {
            name: [seconds if error <= target else np.inf for (seconds, error), target in zip(fit, some, strict=True)]
            for name, fit in fits.items()
        }
        times[factor][CAUCHY.name] = list(cauchy)
    return times, {name: np.array([error for _, error in some]) for name, some in fits.items()}


def measure_hidden(seeds, workloads, factors=FACTORS):
    """{factor: {name: times of the workloads}} and {name: errors}, medians over the seeds."""
    names = [*UNTOLD, *TOLD_ERRORS]
    errors = {name: np.zeros(len(workloads)) for name in names}
    times = {factor: {name: np.zeros(len(workloads)) for name in [*names, CAUCHY.name]} for factor in factors}
    for w, workload in enumerate(workloads):
        with quiet():
            taken, found = run(workload, seeds, factors, warm=w > 0)
        for factor, named in taken.items():
            for name, seconds in named.items():
                times[factor][name][w] = np.median(seconds)
        for name in names:
            errors[name][w] = np.median(found[name])
        print(f"\r{w + 1} of {len(workloads)} workloads", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return times, errors
