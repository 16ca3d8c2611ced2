"""Which rows of a sharp rank are known: those whose inliers chance cannot have picked."""

import numpy as np
import pytest
from scipy.stats import cauchy, norm, t

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr._rows.odds import GrossErrors, log_odds


def drawn(seed, noise, wrong, size, n_seen, rank=3):
    """A fit of a matrix of which a tenth is wrong, and new rows with this share of errors."""
    rng = np.random.RandomState(seed)
    loadings = rng.standard_normal((rank, 40)) / np.sqrt(rank)
    fitted, new = rng.standard_normal((200, rank)) @ loadings, rng.standard_normal((150, rank)) @ loadings
    parts = [rows + noise * rng.standard_normal(rows.shape) for rows in (fitted, new)]
    for rows, share in zip(parts, (0.1, wrong), strict=True):
        rows += (rng.uniform(size=rows.shape) < share) * size * rng.standard_normal(rows.shape)
    parts[1][np.argsort(rng.uniform(size=new.shape), axis=1) >= n_seen] = np.nan
    model = RobustMatrixCompletion(replace="all").fit(parts[0])
    assert model.stop_reason_ == "noisy"
    found, deviation = model.transform(parts[1], return_std=True)
    known = np.isfinite(deviation).all(axis=1)
    error, stated = (np.sqrt(np.mean(rows**2, axis=1)) for rows in (found - new, deviation))
    return known, known & (error > 4.0 * stated)


@pytest.mark.parametrize("noise", [1e-3, 1e-2, 0.1, 0.3])
@pytest.mark.parametrize("size", [5.0, 50.0])
def test_rows_of_nothing_but_errors_are_not_known(noise, size):
    """Some coefficients meet more entries than they interpolate, by chance."""
    known, _ = drawn(0, noise, 1.0, size, 24)
    assert known.mean() <= 0.02


@pytest.mark.parametrize("noise", [1e-3, 0.1, 0.3])
def test_rows_of_inliers_are_known(noise):
    known, wrong = drawn(1, noise, 0.0, 5.0, 8)
    assert known.all() and not wrong.any()


def test_rows_half_of_which_are_errors_are_seldom_known_and_wrong():
    """Of those that meet more than they interpolate a third are wrong here."""
    known, wrong = drawn(2, 0.1, 0.5, 5.0, 8)
    assert known.mean() > 0.4
    assert wrong.mean() < 0.15


def test_odds_are_those_of_evidence(rng):
    """That of a row of one coefficient, by integration, with the shares of errors that its prior has."""
    share, reach, p, n = 0.2, 8.0, 12, 60
    loadings = 5.0 * rng.choice([-1.0, 1.0], size=p) * rng.uniform(0.8, 1.2, size=p)
    x = t.rvs(4, size=n, random_state=rng)
    met = rng.randint(2, p + 1, size=n)
    values = np.where(np.arange(p) < met[:, None], np.outer(x, loadings) + rng.standard_normal((n, p)), 40.0)
    grid = np.linspace(-30.0, 30.0, 60_001)
    exact = np.empty(n)
    for i, (m, row) in enumerate(zip(met, values, strict=True)):
        inliers = norm.logpdf(row[:m, None] - loadings[:m, None] * grid).sum(axis=0) + t.logpdf(grid, 4)
        most = inliers.max()
        evidence = most + np.log(np.sum(np.exp(inliers - most)) * (grid[1] - grid[0]))
        few, none = (
            np.logaddexp(
                np.log(0.9) + (p - k) * np.log(share) + k * np.log1p(-share),
                np.log(0.1) - np.log(p + 1) - sum(np.log((p - j) / (j + 1)) for j in range(k)),
            )
            for k in (m, 0)
        )
        exact[i] = evidence - cauchy.logpdf(row[:m], scale=reach).sum() + few - none
    seen = np.full(n, p)
    found = log_odds(x[:, None], loadings[:, None], met, seen, GrossErrors(share, reach))
    assert np.abs(np.median(found - exact)) < 2.0
    assert np.corrcoef(found, exact)[0, 1] > 0.9


@pytest.mark.parametrize("size", [0.0, 1.0, 1e250])
@pytest.mark.parametrize("noise", [1e-6, 1e6])
def test_odds_beside_errors_of_any_size_are_numbers(noise, size):
    loadings, met = np.ones((5, 2)) / noise, np.arange(3)
    odds = log_odds(np.ones((3, 2)), loadings, met, np.full(3, 5), GrossErrors(0.0, size))
    assert np.isfinite(odds).all()
