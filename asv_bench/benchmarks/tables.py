"""Whole fits of tables unlike others, each of which goes a way of its own."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion


def falling(n, p, rng, power=1.0):
    """A matrix whose singular values fall as a power of 1 / k, of a standard deviation of one."""
    turn = np.linalg.qr(rng.standard_normal((p, p)))[0]
    rows = rng.standard_normal((n, p)) / np.arange(1.0, p + 1.0) ** power @ turn
    return rows / rows.std()


def sharp(n, p, rng):
    """A matrix of rank 3, of a standard deviation of about one."""
    return rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) / np.sqrt(3.0)


def plain(rng):
    """A table with noise of 5 %: nothing is unlike others but its spectrum."""
    clean = falling(200, 20, rng)
    return clean, clean + 0.05 * rng.standard_normal(clean.shape)


def far_units(rng):
    """Units of columns from 1e-6 to 1e6, and errors."""
    unit = 10.0 ** np.linspace(-6.0, 6.0, 16)
    clean = sharp(120, 16, rng)
    wrong = rng.uniform(size=clean.shape) < 0.05
    return clean * unit, (clean + 0.05 * rng.standard_normal(clean.shape) + 8.0 * wrong) * unit


def far_medians(rng):
    """Columns far from zero, beside which no exact rank is seen."""
    clean = sharp(200, 20, rng) + 1e9 * rng.uniform(1.0, 2.0, 20)
    return clean, clean


def beyond_the_range(rng):
    """Some rows are six times as large as the others: their hidden values may be beyond what is seen."""
    clean = falling(200, 20, rng, 2.0) * np.where(np.arange(200) % 20, 1.0, 6.0)[:, None]
    return clean, clean + 0.02 * rng.standard_normal(clean.shape)


def stuck(rng):
    """A fifth of a column is one value within its range."""
    clean, seen = plain(rng)
    seen[rng.uniform(size=len(seen)) < 0.2, 3] = 0.5
    return clean, seen


def errors_within(rng):
    """A tenth of the entries are those of other rows."""
    clean, seen = plain(rng)
    return clean, np.where(rng.uniform(size=clean.shape) < 0.1, seen[rng.permutation(len(seen))], seen)


def long_tails(rng):
    """Sizes whose logarithms have a sharp rank."""
    logarithm = 1.5 * sharp(200, 20, rng)
    return np.exp(logarithm), np.exp(logarithm + 0.05 * rng.standard_normal(logarithm.shape))


def few_rows(rng):
    """Fewer rows than columns, which the transposed table tells of."""
    clean = falling(150, 24, rng).T
    return clean, clean + 0.05 * rng.standard_normal(clean.shape)


def noise_of_rows(rng):
    """Half of the rows of a sharp rank have ten times the noise of the others."""
    clean = sharp(200, 20, rng)
    size = np.where(np.arange(200) % 2, 0.02, 0.2)[:, None]
    return clean, clean + size * rng.standard_normal(clean.shape)


CASES = [plain, far_units, far_medians, beyond_the_range, stuck, errors_within, long_tails, few_rows, noise_of_rows]


class Tables:
    """Fits of tables a tenth of which is hidden."""

    params = [case.__name__.replace("_", " ") for case in CASES]
    param_names = ["table"]

    def setup(self, name):
        rng = np.random.RandomState(0)
        self.clean, seen = CASES[self.params.index(name)](rng)
        self.hidden = rng.uniform(size=seen.shape) < 0.1
        self.X = np.where(self.hidden, np.nan, seen)
        self.model = RobustMatrixCompletion(replace="all").fit(self.X)

    def time_fit(self, name):
        self.model.fit(self.X)

    def peakmem_fit(self, name):
        self.model.fit(self.X)

    def time_transform(self, name):
        self.model.transform(self.X)

    def peakmem_transform(self, name):
        self.model.transform(self.X)

    def track_error(self, name):
        """Error of the hidden entries, in standard deviations of their columns."""
        missed = (self.model.transform(self.X) - self.clean) / self.clean.std(axis=0)
        return float(np.sqrt(np.mean(missed[self.hidden] ** 2)))


class KnownPrecision:
    """A table of a sharp rank, half of whose entries have five times the noise of the others, which is told."""

    def setup(self):
        rng = np.random.RandomState(0)
        self.clean = sharp(200, 20, rng)
        size = np.where(rng.uniform(size=self.clean.shape) < 0.5, 0.05, 0.25)
        self.weight = size**-2.0
        self.hidden = rng.uniform(size=size.shape) < 0.1
        self.X = np.where(self.hidden, np.nan, self.clean + size * rng.standard_normal(size.shape))
        self._fit()

    def _fit(self):
        self.model = RobustMatrixCompletion(replace="all").fit(self.X, entry_weight=self.weight)

    def time_fit(self):
        self._fit()

    def peakmem_fit(self):
        self._fit()

    def track_error(self):
        """Error of the hidden entries."""
        missed = self.model.transform(self.X) - self.clean
        return float(np.sqrt(np.mean(missed[self.hidden] ** 2)))
