"""Principal components of few rows, by the products of all columns."""

import numpy as np
from numpy.testing import assert_allclose

from sklearn_robustlr._fits.components import Spectrum


def test_the_spectrum_of_few_rows_is_that_of_all_columns():
    rng = np.random.RandomState(0)
    n, p, k = 30, 80, 6
    rows = rng.standard_normal((n, k)) / np.arange(1, k + 1) @ rng.standard_normal((k, p))
    rows += 0.1 * rng.standard_normal((n, p))
    more, even = n * rng.uniform(0.001, 0.02, p), rng.uniform(0.5, 2.0, p)
    products = rows.T @ rows + np.diag(more)
    power, vectors = np.linalg.eigh(products)
    found = Spectrum.of_few_rows(rows, more, [even, even**2], n)
    assert_allclose(found.power[-k:], power[-k:], rtol=1e-9)
    for units, evened in zip([even, even**2], found.evened, strict=True):
        assert_allclose(evened[-k:], np.linalg.eigvalsh(products * units[:, None] * units)[-k:], rtol=1e-9)
    assert_allclose(np.abs(np.sum(found.vectors[:, -k:] * vectors[:, -k:], axis=0)), 1.0, rtol=1e-9)
    assert np.all(found.power <= power[-n:] * (1 + 1e-12))  # the others are bounded, and not far
    assert np.sum(found.power) > 0.97 * np.sum(power[-n:])
