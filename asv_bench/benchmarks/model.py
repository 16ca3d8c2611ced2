"""Hot loops of the low-rank model: a sweep over rows and columns, and new rows."""

import numpy as np

from sklearn_robustlr._model.columns import Columns, start_columns
from sklearn_robustlr._model.full import full_columns
from sklearn_robustlr._model.noise import NoiseLaw
from sklearn_robustlr._model.passes import Gaussian, Passes
from sklearn_robustlr._model.posterior import sweep_until_settled
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._utils.linalg import pack, unpack
from sklearn_robustlr.datasets import make_corrupted_matrix

SHAPE, DIRECTIONS = (570, 30), 20


class Sweep:
    """Posteriors of rows and of columns, and the moments of entries: by whole matrices, or by entries."""

    params = [0.8, 0.2]
    param_names = ["observed"]

    def setup(self, observed):
        rng = np.random.RandomState(0)
        data = rng.standard_normal(SHAPE)
        data[rng.uniform(size=SHAPE) > observed] = np.nan
        self.table = Table.of(Entries(data), np.zeros(SHAPE[1]), np.ones(SHAPE[1]))
        self.precision = rng.uniform(0.5, 2.0, len(self.table.values))
        spread = 0.1 * rng.standard_normal((SHAPE[1], DIRECTIONS, DIRECTIONS))
        loadings = rng.standard_normal((SHAPE[1], DIRECTIONS))
        self.columns = Gaussian(loadings, pack(spread @ spread.transpose(0, 2, 1)))
        self.prior, self.passes = np.ones(DIRECTIONS), Passes(self.table)
        self.rows = Gaussian(*(part.copy() for part in self._sweep()[0]))

    def _sweep(self):
        rows = self.passes.rows(self.table.values, self.precision, self.columns, self.prior)
        columns = self.passes.columns(self.table.values, self.precision, rows, self.prior)
        return rows, columns, self.passes.moments(rows, columns)

    def time_rows(self, observed):
        self.passes.rows(self.table.values, self.precision, self.columns, self.prior)

    def time_columns(self, observed):
        self.passes.columns(self.table.values, self.precision, self.rows, self.prior)

    def time_moments(self, observed):
        self.passes.moments(self.rows, self.columns)

    def peakmem_sweep(self, observed):
        self._sweep()

    def track_row_error(self, observed):
        """Largest distance of the mean of a row from the solution of its own equations."""
        second = self.columns.mean[:, :, None] * self.columns.mean[:, None]
        errors = []
        for i in range(0, SHAPE[0], 57):
            own = slice(*self.table.indptr[i : i + 2])
            cols, weight = self.table.cols[own], self.precision[own]
            spread = unpack(self.columns.covariance[cols])
            precision = np.eye(DIRECTIONS) + np.einsum("p,pkl->kl", weight, second[cols] + spread)
            moment = self.columns.mean[cols].T @ (weight * self.table.values[own])
            errors.append(np.abs(np.linalg.solve(precision, moment) - self.rows.mean[i]).max())
        return float(max(errors))


class Posterior:
    """A robust law fitted until it has settled, and new rows regressed on it."""

    def setup(self):
        drawn = make_corrupted_matrix(SHAPE, 6, noise=0.3, observed=0.8, outliers=0.05, random_state=0)
        self.clean = drawn.clean
        self.table = Table.of(Entries(drawn.data), np.zeros(SHAPE[1]), np.ones(SHAPE[1]))
        self.start = start_columns(self.table, DIRECTIONS, True)
        self.columns = sweep_until_settled(self.table, self.start)

    def time_sweeps(self):
        sweep_until_settled(self.table, self.start)

    def peakmem_sweeps(self):
        sweep_until_settled(self.table, self.start)

    def time_rows(self):
        regress(self.table, self.columns)

    def track_error(self):
        """Error of the estimate, in units of the data."""
        rows = regress(self.table, self.columns)
        estimate = self.columns.mean + rows.means @ self.columns.loadings.T
        return float(np.linalg.norm(estimate - self.clean) / np.linalg.norm(self.clean))


class AnyCovariance:
    """A covariance of columns that nearby ones tell, and new rows regressed on it."""

    def setup(self):
        rng = np.random.RandomState(0)
        p = SHAPE[1]
        covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
        self.clean = rng.multivariate_normal(np.zeros(p), covariance, SHAPE[0])
        self.hidden = rng.uniform(size=SHAPE) < 0.2
        data = np.where(self.hidden, np.nan, self.clean)
        self.table = Table.of(Entries(data), np.zeros(p), np.ones(p))
        self.law = NoiseLaw.start(np.ones(p), False)
        self.told = start_columns(self.table, 1, True)
        self.columns = full_columns(self.table, self.law, self.told)

    def time_fit(self):
        full_columns(self.table, self.law, self.told)

    def peakmem_fit(self):
        full_columns(self.table, self.law, self.told)

    def time_rows(self):
        regress(self.table, self.columns)

    def track_error(self):
        """Root mean square of what hidden entries are missed by, in standard deviations."""
        rows = regress(self.table, self.columns)
        missed = self.columns.mean + rows.means @ self.columns.loadings.T - self.clean
        return float(np.sqrt(np.mean(missed[self.hidden] ** 2)))


class ManyDirections:
    """Rows regressed on many directions: by whole rows, or by entries."""

    params = [0.8, 0.2]
    param_names = ["observed"]

    def setup(self, observed):
        rng = np.random.RandomState(0)
        loadings = rng.standard_normal((200, 60)) / np.sqrt(1.0 + np.arange(60))
        coefficients = rng.standard_normal((750, 60))
        self.clean = coefficients @ loadings.T
        data = self.clean + 0.1 * rng.standard_normal(self.clean.shape)
        data[rng.uniform(size=data.shape) < 0.05] += 10.0
        data[rng.uniform(size=data.shape) > observed] = np.nan
        self.table = Table.of(Entries(data), np.zeros(200), np.ones(200))
        law = NoiseLaw.start(np.full(200, 0.01), True)
        self.columns = Columns(loadings, pack(np.full((200, 60, 1), 1e-6) * np.eye(60)), np.zeros(200), law)
        self.estimate = self._estimate()

    def _estimate(self):
        return regress(self.table, self.columns).means @ self.columns.loadings.T

    def time_rows(self, observed):
        self._estimate()

    def peakmem_rows(self, observed):
        self._estimate()

    def track_error(self, observed):
        """Error of the estimate, in units of the data."""
        return float(np.linalg.norm(self.estimate - self.clean) / np.linalg.norm(self.clean))
