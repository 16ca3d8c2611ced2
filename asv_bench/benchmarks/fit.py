"""Whole fits with default settings, warm; and from a cold start in a fresh process."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


def case(name):
    if name == "entries":
        p = make_corrupted_matrix((300, 300), rank=3, observed=0.5, outliers=0.2, random_state=0)
        return {"measurements": "entries"}, np.argwhere(p.observed), p.data[p.observed], p.clean
    ensemble = "rank_one" if name == "rank_one" else "gaussian"
    noise = 0.1 if name == "noisy" else 0.0
    p = make_measurements(shape=(40, 30), rank=3, ensemble=ensemble, outliers=0.2, noise=noise, random_state=0)
    kind = "rank_one" if name == "rank_one" else "matrix"
    return {"measurements": kind, "shape": (40, 30)}, p.data, p.target, p.coef


class Fit:
    params = ["matrix", "noisy", "rank_one", "entries"]
    param_names = ["case"]

    def setup(self, name):
        parameters, self.X, self.y, self.truth = case(name)
        self.model = RobustLowRankRecovery(**parameters).fit(self.X, self.y)

    def time_fit(self, name):
        self.model.fit(self.X, self.y)

    def peakmem_fit(self, name):
        self.model.fit(self.X, self.y)

    def time_predict(self, name):
        self.model.predict(self.X)

    def time_transform(self, name):
        self.model.transform(self.X)

    def track_recovery_error(self, name):
        return relative_recovery_error(self.truth, self.model.matrix_)


class Matrix:
    """Completion and PCA: fit, and transform of new rows."""

    params = [
        ["completion", "pca"],
        ["full", "half", "noisy", "few noisy", "half wrong noisy", "large", "large few", "large noisy"],
    ]
    param_names = ["estimator", "case"]
    timeout = 300

    def setup(self, estimator, name):
        shape = (1200, 1000) if name.startswith("large") else (300, 200)
        # few noisy: three inliers for each degree of freedom; large few: errors hide the gap from the tiny start
        observed = {"half": 0.5, "few noisy": 0.125, "large few": 0.3}.get(name, 1.0)
        noise = 0.1 if name.endswith("noisy") else 0.0
        outliers = {"half wrong noisy": 0.5, "large few": 0.4}.get(name, 0.2)
        p = make_corrupted_matrix(shape, rank=4, observed=observed, outliers=outliers, noise=noise, random_state=0)
        self.X, self.clean = p.data, p.clean
        self.model = RobustMatrixCompletion(replace="all") if estimator == "completion" else RobustPCA()
        self.model.fit(self.X)

    def time_fit(self, estimator, name):
        self.model.fit(self.X)

    def peakmem_fit(self, estimator, name):
        self.model.fit(self.X)

    def time_transform(self, estimator, name):
        self.model.transform(self.X)

    def peakmem_transform(self, estimator, name):
        self.model.transform(self.X)

    def track_recovery_error(self, estimator, name):
        result = self.model.transform(self.X)
        return relative_recovery_error(
            self.clean, result if estimator == "completion" else self.model.inverse_transform(result)
        )


class Decaying:
    """A 2000 x 150 matrix with singular values 1 / k, a fifth missing, with and without a tenth of errors."""

    params = [[0.0, 0.1]]
    param_names = ["errors"]
    timeout = 300

    def setup(self, errors):
        rng = np.random.RandomState(0)
        turn = np.linalg.qr(rng.standard_normal((150, 150)))[0]
        self.clean = rng.standard_normal((2000, 150)) / np.arange(1, 151) @ turn
        self.hidden = rng.uniform(size=self.clean.shape) < 0.2
        size = 10.0 * self.clean.std() * (rng.uniform(size=self.clean.shape) < errors)
        self.X = np.where(self.hidden, np.nan, self.clean + size * rng.standard_normal(self.clean.shape))
        self.model = RobustMatrixCompletion(n_jobs=2).fit(self.X)

    def time_fit(self, errors):
        self.model.fit(self.X)

    def peakmem_fit(self, errors):
        self.model.fit(self.X)

    def time_transform(self, errors):
        self.model.transform(self.X)

    def track_error(self, errors):
        """Error of the missing entries, in standard deviations of the data."""
        missed = (self.model.transform(self.X) - self.clean)[self.hidden]
        return float(np.sqrt(np.mean(missed**2)) / self.clean.std())


class Restarts:
    """Eight starts, by number of threads; a fit with a callback that listens, and with one line a start."""

    params = [["matrix", "noisy", "entries"], [1, 8], [1, 2]]
    param_names = ["case", "n_init", "n_jobs"]

    def setup(self, name, n_init, n_jobs):
        parameters, self.X, self.y, self.truth = case(name)
        self.model = RobustLowRankRecovery(**parameters, n_init=n_init, n_jobs=n_jobs, random_state=0)
        self.model.fit(self.X, self.y)

    def time_fit(self, name, n_init, n_jobs):
        self.model.fit(self.X, self.y)

    def peakmem_fit(self, name, n_init, n_jobs):
        self.model.fit(self.X, self.y)

    def track_recovery_error(self, name, n_init, n_jobs):
        return relative_recovery_error(self.truth, self.model.matrix_)


class Silent:
    """Callbacks that do nothing."""

    def setup(self, *args, **kwargs):
        pass

    teardown = on_fit_task_begin = on_fit_task_end = setup


class Callback:
    """What it costs to be listened to, and that nothing is paid where nobody does."""

    params = [[0, 1]]
    param_names = ["callbacks"]

    def setup(self, callbacks):
        parameters, self.X, self.y, self.truth = case("matrix")
        self.model = RobustLowRankRecovery(**parameters)
        self.model.set_callbacks(*[Silent() for _ in range(callbacks)])
        self.model.fit(self.X, self.y)

    def time_fit(self, callbacks):
        self.model.fit(self.X, self.y)

    def peakmem_fit(self, callbacks):
        self.model.fit(self.X, self.y)

    def track_recovery_error(self, callbacks):
        return relative_recovery_error(self.truth, self.model.matrix_)


class ColdStart:
    """A whole process: import, and a small fit with an empty or a warm compilation cache."""

    timeout = 300
    number = 1
    repeat = 2
    warmup_time = 0

    CODE = (
        "from sklearn_robustlr import RobustMatrixCompletion as R\n"
        "from sklearn_robustlr.datasets import make_corrupted_matrix\n"
        "from sklearn_robustlr.metrics import relative_recovery_error\n"
        "p = make_corrupted_matrix((60, 40), rank=2, random_state=0)\n"
        "print(relative_recovery_error(p.clean, R(replace='all').fit_transform(p.data)))"
    )

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()
        self.run(self.CODE, self.folder.name)

    def teardown(self):
        self.folder.cleanup()

    @staticmethod
    def run(code, cache):
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        return subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.PIPE).stdout

    def time_first_fit_empty_cache(self):
        with tempfile.TemporaryDirectory() as empty:
            self.run(self.CODE, empty)

    def time_first_fit_warm_cache(self):
        self.run(self.CODE, self.folder.name)

    def time_import(self):
        self.run("import sklearn_robustlr", self.folder.name)

    def track_import_beyond_scikit_learn(self):
        """Seconds that the import takes beyond that of the parts of scikit-learn that any user of it has loaded."""

        def seconds(module):
            start = time.perf_counter()
            self.run(f"import {module}", self.folder.name)
            return time.perf_counter() - start

        pairs = [
            (seconds("sklearn_robustlr"), seconds("sklearn.decomposition, sklearn.model_selection")) for _ in range(3)
        ]
        return statistics.median(ours - theirs for ours, theirs in pairs)

    def track_recovery_error(self):
        return float(self.run(self.CODE, self.folder.name))
