"""Steps of the fit of a table: units, samples, repeated values, errors told from noise, growth, joint covariances."""

import numpy as np

from sklearn_robustlr._fits.location import Spreads, far_medians, far_units
from sklearn_robustlr._model.apart import told_apart
from sklearn_robustlr._model.columns import start_columns
from sklearn_robustlr._model.growth import grow
from sklearn_robustlr._model.joint import joint_root
from sklearn_robustlr._model.noise import NoiseLaw
from sklearn_robustlr._model.posterior import sweep_until_settled
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.samples import Samples
from sklearn_robustlr._model.stuck import find_stuck_values
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries


def plain(entries):
    """Entries as a table in their own units."""
    return Table.of(entries, np.zeros(entries.shape[1]), np.ones(entries.shape[1]))


class FarUnits:
    """Units of the columns of 10,000 x 50 entries: alike, which some of them tell, or far apart."""

    params = ["alike", "apart"]
    param_names = ["units"]

    def setup(self, units):
        rng = np.random.RandomState(0)
        self.units = 10.0 ** np.linspace(-5.0, 5.0, 50) if units == "apart" else np.ones(50)
        data = rng.standard_normal((10_000, 50)) * self.units
        data[rng.uniform(size=data.shape) < 0.2] = np.nan
        self.entries = Entries(data)

    def _look(self):
        some = Spreads.of_some(self.entries)
        return far_units(self.entries, some), far_medians(self.entries, some)

    def time_look(self, units):
        self._look()

    def peakmem_look(self, units):
        self._look()

    def track_error(self, units):
        """Largest distance of a unit from that of the data, as a power of two: half of one is rounding."""
        found = self._look()[0]
        away = np.log2((np.ones(50) if found is None else found) / self.units)
        return float(np.abs(away - np.median(away)).max())


class Sample:
    """Which of 100,000 entries are learnt from: their units, values that repeat, and what is held out."""

    params = ["long", "wide"]
    param_names = ["table"]

    def setup(self, table):
        shape, rng = (2000, 50) if table == "long" else (50, 2000), np.random.RandomState(0)
        data = np.round(rng.standard_normal((shape[0], 5)) @ rng.standard_normal((5, shape[1])), 3)
        data[rng.uniform(size=data.shape) < 0.2] = np.nan
        self.entries = Entries(data)

    def time_draw(self, table):
        Samples.of(self.entries, 20)

    def peakmem_draw(self, table):
        Samples.of(self.entries, 20)

    def track_scale_deviation(self, table):
        """Largest relative difference of the scale of a column from its standard deviation."""
        data, scale = self.entries, Samples.of(self.entries, 20).units.scale
        exact = np.array([np.std(data.y[data.cols == j]) for j in range(data.shape[1])])
        return float(np.abs(scale / exact - 1.0).max())


class Stuck:
    """Values of 400 x 20 entries that keep coming back: a fifth of two columns."""

    def setup(self):
        rng = np.random.RandomState(0)
        data = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 20)) / 2.0
        data += 0.05 * rng.standard_normal(data.shape)
        wrong = np.zeros(data.shape, dtype=bool)
        wrong[:, :2] = rng.uniform(size=(400, 2)) < 0.2
        data[wrong] = 0.25
        self.entries, self.wrong = Entries(data), wrong.ravel()
        self.table = plain(self.entries)
        find_stuck_values(self.entries, self.table, 8)

    def time_find(self):
        find_stuck_values(self.entries, self.table, 8)

    def peakmem_find(self):
        find_stuck_values(self.entries, self.table, 8)

    def track_error(self):
        """Share of the stuck values that are not found, and of the others that are."""
        found = find_stuck_values(self.entries, self.table, 8).among(self.entries)
        return float(np.mean(~found[self.wrong]) + np.mean(found[~self.wrong]))


class Apart:
    """Whether what is wide in 200,000 residuals is errors (a tenth of any size) or noise (a Laplace law)."""

    params = ["errors", "noise"]
    param_names = ["wide"]

    def setup(self, wide):
        rng = np.random.RandomState(0)
        self.table = plain(Entries(rng.standard_normal((4000, 50))))
        n = len(self.table.values)
        self.residual = rng.laplace(size=n) if wide == "noise" else rng.standard_normal(n)
        if wide == "errors":
            wrong = rng.uniform(size=n) < 0.1
            self.residual[wrong] = rng.uniform(-20.0, 20.0, wrong.sum())
        self.law = NoiseLaw.start(np.ones(50), True)

    def time_tell(self, wide):
        told_apart(self.law, self.table, self.residual)

    def peakmem_tell(self, wide):
        told_apart(self.law, self.table, self.residual)

    def track_error(self, wide):
        """One if it is told wrongly."""
        return float(told_apart(self.law, self.table, self.residual).wide_is_errors != (wide == "errors"))


class Grow:
    """A model of 800 x 60 entries that begins with five directions, of singular values that fall as 1 / k."""

    def setup(self):
        rng = np.random.RandomState(0)
        turn = np.linalg.qr(rng.standard_normal((60, 60)))[0]
        self.clean = rng.standard_normal((800, 60)) / np.arange(1.0, 61.0) @ turn
        self.clean /= self.clean.std()
        data = self.clean + 0.05 * rng.standard_normal(self.clean.shape)
        self.hidden = rng.uniform(size=data.shape) < 0.2
        self.table = plain(Entries(np.where(self.hidden, np.nan, data)))
        self.columns = sweep_until_settled(self.table, start_columns(self.table, 5, False))
        self.grown = grow(self.table, self.columns)

    def time_grow(self):
        grow(self.table, self.columns)

    def peakmem_grow(self):
        grow(self.table, self.columns)

    def track_error(self):
        """Error of the hidden entries, in standard deviations of the data."""
        estimate = self.grown.mean + regress(self.table, self.grown).means @ self.grown.loadings.T
        return float(np.sqrt(np.mean((estimate - self.clean)[self.hidden] ** 2)))


class Joint:
    """The joint covariance of the loadings of a 120 x 60 matrix of rank 3."""

    def setup(self):
        rng = np.random.RandomState(0)
        self.table = plain(Entries(np.where(rng.uniform(size=(120, 60)) < 0.3, np.nan, 1.0)))
        self.precision = rng.uniform(0.5, 2.0, len(self.table.values))
        self.factors = rng.standard_normal((120, 3)), rng.standard_normal((60, 3))
        self._root()

    def _root(self):
        u, v = self.factors
        return joint_root(self.table, u, self.precision, v, np.ones(3))

    def time_root(self):
        self._root()

    def peakmem_root(self):
        self._root()

    def track_error(self):
        """Relative difference from the part of the inverse of all normal equations."""
        (u, v), n = self.factors, 120 * 3
        tangent = np.zeros((len(self.precision), n + 60 * 3))
        at = np.arange(len(self.precision))[:, None]
        tangent[at, 3 * self.table.rows[:, None] + np.arange(3)] = v[self.table.cols]
        tangent[at, n + 3 * self.table.cols[:, None] + np.arange(3)] = u[self.table.rows]
        normal = tangent.T @ (self.precision[:, None] * tangent) + np.eye(tangent.shape[1])
        exact = np.linalg.inv(normal)[n:, n:]
        root = self._root().reshape(60 * 3, -1)
        return float(np.abs(root @ root.T - exact).max() / np.abs(exact).max())
