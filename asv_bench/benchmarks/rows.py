"""Rows regressed on a row space, as `transform` does; and entries dealt into folds."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.model_selection import EntryKFold


class NewRows:
    """New rows of a fitted matrix: clean, with errors, with noise, with missing entries, and almost empty."""

    params = [["clean", "errors", "noise", "missing", "few"], [1, 2]]
    param_names = ["rows", "n_jobs"]
    timeout = 300

    def setup(self, rows, n_jobs):
        n = 4000
        p = make_corrupted_matrix(
            (n + 400, 400), rank=5, outliers=0.3, noise=0.1 if rows == "noise" else 0.0, random_state=0
        )
        self.clean = p.clean[400:]
        self.rows = self.clean.copy() if rows == "clean" else p.data[400:]
        hidden = {"missing": 0.7, "few": 0.99}.get(rows, 0.0)
        self.rows[np.random.RandomState(1).uniform(size=self.rows.shape) < hidden] = np.nan
        self.model = RobustMatrixCompletion(replace="all", n_jobs=n_jobs).fit(p.data[:400])

    def time_transform(self, rows, n_jobs):
        self.model.transform(self.rows)

    def peakmem_transform(self, rows, n_jobs):
        self.model.transform(self.rows)

    def track_recovery_error(self, rows, n_jobs):
        return relative_recovery_error(self.clean, self.model.transform(self.rows))


class Folds:
    """Entries dealt into folds that share each row and column evenly."""

    def setup(self):
        self.index = np.argwhere(np.random.RandomState(0).uniform(size=(1000, 800)) < 0.3)
        self.folds = EntryKFold(5, random_state=0)

    def time_split(self):
        for _ in self.folds.split(self.index):
            pass

    def peakmem_split(self):
        for _ in self.folds.split(self.index):
            pass

    def track_imbalance(self):
        """Entries of a row in its fullest fold beyond a fifth of them, at most."""
        rows, worst = self.index[:, 0], 0.0
        whole = np.bincount(rows)
        for _, test in self.folds.split(self.index):
            worst = max(worst, float((np.bincount(rows[test], minlength=len(whole)) - whole / 5).max()))
        return worst
