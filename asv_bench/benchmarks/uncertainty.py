"""Standard errors, intervals and draws beside a fit, of a sharp rank and of a spectrum that decays."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion


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

    def track_coverage(self, spectrum):
        """Share of the hidden values that 90 % intervals hold."""
        lower, upper = self.model.predict_interval(self.data, coverage=0.9)
        return float(np.mean(((lower <= self.truth) & (self.truth <= upper))[self.hidden]))
