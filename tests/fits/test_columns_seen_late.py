"""Columns of counts that are seen in the last rows alone: estimates of the first rows stay near to these."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def weekly_sales(seed, n_weeks=52, n_items=200):
    """Counts with trends, seasons and promotions; a fifth of the items is sold from some week on."""
    rng = np.random.RandomState(seed)
    level = np.exp(1.3 * rng.standard_normal(n_items) + 2.0)
    phase = rng.choice([0.0, 0.25, 0.5], n_items)
    season = 1.0 + 0.5 * rng.rand(n_items) * np.sin(2.0 * np.pi * (np.arange(n_weeks)[:, None] / 52.0 + phase))
    trend = np.exp(np.outer(np.linspace(-1.0, 1.0, n_weeks), 0.3 * rng.standard_normal(n_items)))
    promoted = np.where(rng.rand(n_weeks, n_items) < 0.04, rng.uniform(1.5, 4.0, (n_weeks, n_items)), 1.0)
    clean = level * season * trend
    sold = rng.poisson(clean * promoted).astype(float)
    first = np.where(rng.rand(n_items) < 0.2, rng.randint(5, 40, n_items), 0)
    late = np.arange(n_weeks)[:, None] < first
    return np.where(late | (rng.rand(n_weeks, n_items) < 0.1), np.nan, sold), clean, late


@pytest.fixture(scope="module")
def late_errors():
    """Errors at what precedes the first entries, in sizes of columns with the noise of counts, and in stated ones."""
    data, clean, late = weekly_sales(1)
    estimate, error = RobustMatrixCompletion().fit(data).transform(data, return_std=True)
    size = np.hypot(np.std(clean, axis=0), np.sqrt(np.mean(clean, axis=0)))
    return ((estimate - clean) / size)[late], ((estimate - clean) / error)[late]


def test_what_precedes_the_first_entry_is_not_extrapolated_far(late_errors):
    assert np.sqrt(np.mean(late_errors[0] ** 2)) < 1.2


def test_standard_errors_of_what_precedes_the_first_entry(late_errors):
    assert np.mean(np.abs(late_errors[1]) < 2.0) > 0.85
