"""Standard errors, intervals, likelihoods and draws beside a fit, of a sharp rank and of a spectrum that decays."""

import numpy as np

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import make_measurements


class Uncertainty:
    """A 600 x 40 matrix of rank 3 with noise, or with singular values that fall as j^-1.5, a third of it missing."""

    params = ["sharp", "decaying"]
    param_names = ["spectrum"]
    timeout = 300

    def setup(self, spectrum):
        rng = np.random.RandomState(0)
        if spectrum == "sharp":
            clean = rng.standard_normal((600, 3)) @ rng.standard_normal((3, 40)) / np.sqrt(3)
        else:
            turn = np.linalg.qr(rng.standard_normal((40, 40)))[0]
            clean = rng.standard_normal((600, 40)) * np.arange(1, 41) ** -1.5 @ turn
        self.truth = clean + 0.2 * clean.std() * rng.standard_normal(clean.shape)
        self.hidden = rng.uniform(size=clean.shape) < 1 / 3
        self.data = np.where(self.hidden, np.nan, self.truth)
        self.model = RobustMatrixCompletion(replace="all").fit(self.data)

    def time_standard_errors(self, spectrum):
        self.model.transform(self.data, return_std=True)

    def peakmem_standard_errors(self, spectrum):
        self.model.transform(self.data, return_std=True)

    def time_imputations(self, spectrum):
        self.model.sample_imputations(self.data, 5, random_state=0)

    def peakmem_imputations(self, spectrum):
        self.model.sample_imputations(self.data, 5, random_state=0)

    def time_intervals(self, spectrum):
        self.model.predict_interval(self.data, coverage=0.9)

    def peakmem_intervals(self, spectrum):
        self.model.predict_interval(self.data, coverage=0.9)

    def time_likelihood(self, spectrum):
        self.model.log_likelihood(self.truth)

    def peakmem_likelihood(self, spectrum):
        self.model.log_likelihood(self.truth)

    def time_outlier_probability(self, spectrum):
        self.model.outlier_probability(self.data)

    def time_single_entries(self, spectrum):
        self.model.predict_entries(*np.nonzero(self.hidden), return_std=True)

    def peakmem_single_entries(self, spectrum):
        self.model.predict_entries(*np.nonzero(self.hidden), return_std=True)

    def track_coverage(self, spectrum):
        """Share of the hidden values that 90 % intervals hold."""
        lower, upper = self.model.predict_interval(self.data, coverage=0.9)
        return float(np.mean(((lower <= self.truth) & (self.truth <= upper))[self.hidden]))

    def track_draw_deviation(self, spectrum):
        """Relative difference of the spread of draws from that of the hidden values around their estimates."""
        estimate, draws = self.model.transform(self.data), self.model.sample_imputations(self.data, 5, random_state=0)
        spread = np.mean([np.mean((draw - estimate)[self.hidden] ** 2) for draw in draws])
        return float(abs(np.sqrt(spread / np.mean((self.truth - estimate)[self.hidden] ** 2)) - 1.0))


class OfMeasurements:
    """Standard errors of what 2,000 measurements of a 40 x 30 matrix with noise are predicted to be."""

    def setup(self):
        problem = make_measurements(2400, (40, 30), 3, outliers=0.2, noise=0.1, random_state=0)
        self.X, self.true = problem.data[2000:], problem.data[2000:].reshape(400, -1) @ problem.coef.ravel()
        self.model = RobustLowRankRecovery(shape=(40, 30)).fit(problem.data[:2000], problem.target[:2000])

    def time_standard_errors(self):
        self.model.predict(self.X, return_std=True)

    def peakmem_standard_errors(self):
        self.model.predict(self.X, return_std=True)

    def track_standard_error_deviation(self):
        """Relative difference of the errors from what they are claimed to be, root mean square."""
        estimate, error = self.model.predict(self.X, return_std=True)
        return float(abs(np.sqrt(np.mean(((estimate - self.true) / error) ** 2)) - 1.0))
