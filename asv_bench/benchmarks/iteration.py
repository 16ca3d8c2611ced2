"""One iteration of the solvers for each kind of measurement, against one read of the data."""

import numpy as np
from scipy import sparse

from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.rank_one import RankOneMeasurements
from sklearn_robustlr._operators.sparse import SparseMeasurements
from sklearn_robustlr._solvers.gauss_newton import least_squares, m_estimate
from sklearn_robustlr._solvers.mixture import Mixture
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

KINDS = ["dense", "sparse", "rank_one", "entries", "whole matrix"]


def build(kind):
    rng = np.random.RandomState(0)
    shape = (64, 64)
    if kind in ("entries", "whole matrix"):
        rows, cols = np.nonzero(rng.uniform(size=(1000, 1000)) < (0.3 if kind == "entries" else 1.0))
        y = rng.standard_normal(len(rows))
        return EntryMeasurements(rows.astype(np.int32), cols.astype(np.int32), y, (1000, 1000))
    if kind == "rank_one":
        a, b = rng.standard_normal((15000, 64)), rng.standard_normal((15000, 64))
        return RankOneMeasurements(a, b, rng.standard_normal(15000), shape)
    if kind == "sparse":
        data = sparse.random(15000, 4096, density=0.02, format="csr", random_state=0)
        return SparseMeasurements(data, rng.standard_normal(15000), shape)
    return DenseMeasurements(rng.standard_normal((5000, 4096)), rng.standard_normal(5000), shape)


class Iteration:
    params = KINDS
    param_names = ["measurements"]

    def setup(self, kind):
        rng = np.random.RandomState(1)
        self.operator = build(kind)
        self.left = rng.standard_normal((self.operator.shape[0], 5))
        self.right = rng.standard_normal((self.operator.shape[1], 5))
        self.eight = [(self.left * scale, self.right, 0.0) for scale in np.arange(1.0, 9.0)]
        self.operator.steps(self.eight)
        self.u, self.v = np.linalg.qr(self.left)[0], np.linalg.qr(self.right)[0]
        self.operator.step(self.left, self.right, 0.0)
        self.tangent = self.operator.tangent(self.u, self.v)
        self.tangent.step(self.left, self.right, 0.0)
        self.weight = rng.uniform(size=self.operator.size)
        self.normal = self.tangent.normal(self.weight)

    def time_iteration(self, kind):
        self.operator.step(self.left, self.right, 0.0)

    def peakmem_iteration(self, kind):
        self.operator.step(self.left, self.right, 0.0)

    def time_eight_iterations(self, kind):
        self.operator.steps(self.eight)

    def peakmem_eight_iterations(self, kind):
        self.operator.steps(self.eight)

    def time_tangent_space(self, kind):
        self.operator.tangent(self.u, self.v)

    def peakmem_tangent_space(self, kind):
        self.operator.tangent(self.u, self.v)

    def time_tangent_iteration(self, kind):
        self.tangent.step(self.left, self.right, 0.0)

    def peakmem_tangent_iteration(self, kind):
        self.tangent.step(self.left, self.right, 0.0)

    def time_normal_equations(self, kind):
        self.normal(self.left, self.right)

    def peakmem_normal_equations(self, kind):
        self.normal(self.left, self.right)

    def track_normal_error(self, kind):
        """Relative difference of the normal equations from the gradients of a step."""
        zero = np.zeros_like(self.operator.y)
        _, *exact = self.tangent.step(self.left, self.right, np.inf, self.weight, zero)
        pairs = zip(self.normal(self.left, self.right), exact, strict=True)
        return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)

    def track_gradient_error(self, kind):
        """Relative error of the gradient against the transpose identity <G right, left> = <w, A(X)>."""
        residual, grad_left, _ = self.operator.step(self.left, self.right, np.inf)
        product = residual + self.operator.y
        return abs(float((grad_left * self.left).sum() - residual @ product)) / abs(float(residual @ product))

    def track_tangent_error(self, kind):
        """Relative difference of the residual in tangent coordinates from that of the matrix."""
        residual = self.tangent.step(self.left, self.right, np.inf)[0]
        stacked = np.hstack([self.left, self.u]), np.hstack([self.v, self.right])
        exact = self.operator.step(*stacked, np.inf)[0]
        return float(np.abs(residual - exact).max() / np.abs(exact).max())

    def track_difference_of_eight(self, kind):
        """Largest difference of iterations that share a read from the same ones alone."""
        together, alone = self.operator.steps(self.eight), [self.operator.step(*one) for one in self.eight]
        return max(
            float(np.abs(a - b).max()) for x, y in zip(together, alone, strict=True) for a, b in zip(x, y, strict=True)
        )


class Weights:
    """One expectation step of the mixture of inliers and gross errors, of the residuals of a 1000 x 1000 matrix."""

    def setup(self):
        rng = np.random.RandomState(0)
        self.residual = 0.1 * rng.standard_normal(1_000_000)
        self.wrong = rng.uniform(size=1_000_000) < 0.3
        self.residual[self.wrong] += 5.0 * rng.standard_normal(self.wrong.sum())
        self.mixture = Mixture(self.residual, 10_000, 1e-10, 0.2)
        for _ in range(8):
            self.mixture.update(self.residual)

    def time_update(self):
        self.mixture.update(self.residual)

    def peakmem_update(self):
        self.mixture.update(self.residual)

    def track_scale_deviation(self):
        """Relative error of the scale of the noise."""
        return abs(self.mixture.scale / 0.1 - 1.0)


class Estimate:
    """A fit of rank 2 from a start 10 % off: 300 x 300 entries, or dense measurements of 30 x 30, noise of 20 %."""

    params = [["entries", "dense"], ["mixture", "least squares"]]
    param_names = ["measurements", "estimate"]

    def setup(self, kind, estimate):
        if kind == "entries":
            problem = make_corrupted_matrix((300, 300), 2, noise=0.2, outliers=0.0, random_state=0)
            rows, cols = (index.astype(np.int32).ravel() for index in np.indices((300, 300)))
            self.operator = EntryMeasurements(rows, cols, problem.data.ravel(), (300, 300))
            self.truth = problem.clean
        else:
            problem = make_measurements(2000, (30, 30), 2, noise=0.2, outliers=0.0, random_state=0)
            self.operator = DenseMeasurements(problem.data, problem.target, (30, 30))
            self.truth = problem.coef
        noise = np.random.RandomState(0).standard_normal(self.truth.shape)
        away = self.truth + 0.1 * np.linalg.norm(self.truth) / np.linalg.norm(noise) * noise
        u, s, vt = np.linalg.svd(away)
        self.start = u[:, :2], s[:2], vt[:2].T
        self.estimate = m_estimate if estimate == "mixture" else least_squares
        self.estimate(self.operator, *self.start)

    def time_estimate(self, kind, estimate):
        self.estimate(self.operator, *self.start)

    def peakmem_estimate(self, kind, estimate):
        self.estimate(self.operator, *self.start)

    def track_error(self, kind, estimate):
        """Relative error of the matrix."""
        fit = self.estimate(self.operator, *self.start)
        return float(np.linalg.norm((fit.u * fit.s) @ fit.v.T - self.truth) / np.linalg.norm(self.truth))


class Read:
    """The yardstick: one streaming read of the dense data."""

    def setup(self):
        self.data = build("dense").data

    def time_sum(self):
        self.data.sum()
