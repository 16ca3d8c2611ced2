"""The figures that must hold, as ratios of two things timed in turns: robust at the price of ordinary.

`speed_report.py` says what each is to be. Accuracy is tracked beside each of them.
"""

import statistics

import numpy as np
from harness import ratio_in_turns
from peers import RIVALS, YARDSTICKS, Ours, run_once
from problems import make_problem

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._operators.dense import DenseMeasurements

PAIRS = 3
FULL = {"size": 1000, "rank": 5, "outliers": 0.3}
SEEN = {**FULL, "observed": 0.3}
SENSING = {"size": 64, "rank": 3, "outliers": 0.2, "m": 15_000}


class Price:
    """Ours over the yardstick of each kind: randomised PCA, a sweep of plain least squares, a read of the data."""

    params = ["full", "full 3000", "full noisy", "completion", "sensing"]
    param_names = ["case"]
    timeout = 600
    LARGE = {**FULL, "size": 3000}
    OPTIONS = {
        "full": FULL,
        "full 3000": LARGE,
        "full noisy": {**LARGE, "noise": 0.1},
        "completion": SEEN,
        "sensing": SENSING,
    }

    def setup(self, case):
        self.kind = case.split()[0]
        self.problem = make_problem(self.kind, **self.OPTIONS[case])
        self.ours = Ours(self.kind)
        self.ours.fit(self.problem)

    def time_fit(self, case):
        self.ours.fit(self.problem)

    def peakmem_fit(self, case):
        self.ours.fit(self.problem)

    def track_price(self, case):
        yardstick = next(m for m in YARDSTICKS if self.kind in m.kinds)
        plain = yardstick.run(self.problem, None, None)
        return ratio_in_turns(lambda: self.ours.fit(self.problem), plain, PAIRS)

    def track_recovery_error(self, case):
        return self.ours.error(self.problem)


class Ahead:
    """Time of a reference method that is told the rank, to an error of 1e-4, over ours that is told nothing."""

    params = [["full", "completion"], [m.name for m in RIVALS if m.package is None]]
    param_names = ["case", "rival"]
    timeout = 600
    OPTIONS = {"full": FULL, "completion": SEEN}

    def setup(self, case, rival):
        self.rival = next(m for m in RIVALS if m.name == rival)
        self.problem = make_problem(case, **self.OPTIONS[case])
        self.ours = Ours(case)
        self.ours.fit(self.problem)

    def track_times_ahead(self, case, rival):
        theirs, error = run_once(self.rival, self.problem, None, 1e-4)
        return theirs / self.ours.fit(self.problem) if error <= 1e-4 else np.nan


class FusedIteration:
    """One iteration of dense measurements in streaming reads of them."""

    params = [["float64", "float32"]]
    param_names = ["dtype"]
    timeout = 300

    def setup(self, dtype):
        problem = make_problem("sensing", **SENSING, dtype=dtype)
        self.measurements = DenseMeasurements(problem.data, problem.y, problem.shape)
        rng = np.random.RandomState(0)
        self.factors = [rng.standard_normal((side, 5)).astype(dtype) for side in problem.shape]
        self.measurements.step(*self.factors, 0.0)

    def track_reads(self, dtype):
        return ratio_in_turns(lambda: self.measurements.step(*self.factors, 0.0), self.measurements.data.sum, 7)

    def track_residual_error(self, dtype):
        left, right = (factor.astype(float) for factor in self.factors)
        m = self.measurements
        exact = m.data[:200].astype(float) @ (left @ right.T).ravel() - m.y[:200]
        return float(np.abs(m.step(*self.factors, 0.0)[0][:200] - exact).max() / np.abs(exact).max())


class EightStarts:
    """Eight starts in fits of one."""

    params = [["sensing", "entries"], [1, 2]]
    param_names = ["case", "n_jobs"]
    timeout = 600

    def setup(self, case, n_jobs):
        if case == "sensing":
            self.problem = problem = make_problem("sensing", 64, rank=3, outliers=0.2, m=5000)
            self.X, self.y, kind = problem.data, problem.y, "matrix"
        else:
            self.problem = problem = make_problem("completion", 300, rank=3, outliers=0.2, observed=0.5)
            self.X = np.argwhere(np.isfinite(problem.data))
            self.y, kind = problem.data[tuple(self.X.T)], "entries"
        options = {"measurements": kind, "shape": problem.shape, "n_jobs": n_jobs}
        self.one = RobustLowRankRecovery(**options).fit(self.X, self.y)
        self.eight = RobustLowRankRecovery(**options, n_init=8, random_state=0).fit(self.X, self.y)

    def track_fits(self, case, n_jobs):
        return ratio_in_turns(lambda: self.eight.fit(self.X, self.y), lambda: self.one.fit(self.X, self.y), PAIRS)

    def track_recovery_error(self, case, n_jobs):
        return self.problem.error(self.eight.matrix_)


class Growth:
    """Log-log slope of the time of a fit in the number of entries, float32, rank 5."""

    timeout = 600
    SIZES = (1000, 1800, 3200)

    def setup(self):
        self.problems = [make_problem("full", n, rank=5, outliers=0.3, dtype=np.float32) for n in self.SIZES]
        self.ours = Ours("full")

    def track_slope(self):
        times = []
        for problem in self.problems:
            self.ours.fit(problem)
            times.append(statistics.median(self.ours.fit(problem) for _ in range(PAIRS)))
        return float(np.polyfit(2 * np.log(self.SIZES), np.log(times), 1)[0])

    def track_recovery_error(self):
        errors = []
        for problem in self.problems:
            self.ours.fit(problem)
            errors.append(self.ours.error(problem))
        return max(errors)
