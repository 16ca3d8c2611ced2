"""Tables whose spectra decay to rounding, as of simulations: nothing in them is wrong, and nothing is exact."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

TIME = np.linspace(0.0, 1.0, 60)


def black_bodies(a):
    length = 0.3 + 2.0 * TIME
    return length**-5 / (np.exp(1.0 / (length * (0.1 + 0.3 * a[:, None]))) - 1.0)


def absorption(a):
    return 10.0 ** (-3.0 * a[:, None] * np.exp(-((TIME - 0.5) ** 2) / 0.02))


def decay(a):
    return np.exp(-np.outer(0.5 + 5.0 * a, TIME))


@pytest.mark.parametrize(("curves", "seed"), [(black_bodies, 0), (decay, 0)])
def test_components_are_those_of_pca(curves, seed):
    """Up to all entries were flagged, with errors of 0.4 to 0.8 sd (PCA 0.001 to 0.004); one fit ended in numpy."""
    X = curves(np.random.RandomState(seed).rand(100))
    ours, theirs = RobustPCA(3).fit(X), PCA(3).fit(X)

    def missed(model):
        return np.sqrt(np.mean((model.inverse_transform(model.transform(X)) - X) ** 2))

    assert ours.converged_ and ours.outliers_.mean() < 0.01
    assert missed(ours) < 1.2 * missed(theirs)


@pytest.mark.parametrize(("curves", "seed"), [(black_bodies, 1), (absorption, 0)])
def test_missing_values(curves, seed):
    """Fits were "exact", a tenth to a quarter of the curves outliers, and errors up to 1.1 sd."""
    rng = np.random.RandomState(seed)
    X = curves(rng.rand(120))
    hidden = rng.rand(*X.shape) < 0.1
    data = np.where(hidden, np.nan, X)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "approximate" and model.outliers_.mean() < 0.01
    assert np.sqrt(np.mean((model.transform(data) - X)[hidden] ** 2)) < 0.01 * X.std()


def test_an_exponential_spectrum_is_followed_as_far_as_its_entries_tell():
    """Shrinking all singular values by the penalty that is best for held-out entries comes to 0.100."""
    rng = np.random.RandomState(1)
    left, right = (np.linalg.qr(rng.standard_normal((n, 100)))[0] for n in (1000, 100))
    truth = left * 10.0 ** (-0.03 * np.arange(100)) @ right.T
    truth /= truth.std()
    hidden = rng.uniform(size=truth.shape) < 0.2
    repaired = RobustMatrixCompletion().fit_transform(np.where(hidden, np.nan, truth))
    assert np.sqrt(np.mean((repaired - truth)[hidden] ** 2)) < 0.097


def test_an_exponential_spectrum_with_gross_errors_is_followed_as_far():
    """Directions were not added that were beyond the residuals, but not beyond the noise: 0.28."""
    rng = np.random.RandomState(3)
    right = np.linalg.qr(rng.standard_normal((100, 100)))[0]
    truth = rng.standard_normal((300, 100)) * 10.0 ** (-0.03 * np.arange(100)) @ right.T
    truth /= truth.std()
    wrong, hidden = rng.uniform(size=(2, *truth.shape)) < [[[0.1]], [[0.2]]]
    data = truth + 0.05 * rng.standard_normal(truth.shape) + np.where(wrong, 10.0 * rng.standard_normal(truth.shape), 0)
    model = RobustMatrixCompletion(min_value=-np.inf, max_value=np.inf, replace="all")
    repaired = model.fit_transform(np.where(hidden, np.nan, data))
    assert np.sqrt(np.mean((repaired - truth)[hidden] ** 2)) < 0.23
