"""Daily profiles of percentages, whose noise is less near their ends, with a trend and errors."""

import numpy as np

from sklearn_robustlr import RobustMatrixCompletion


def test_errors_of_rows_with_less_noise_do_not_speak_for_a_fit():
    """A fit of rank four was "noisy", its error twice as large as that of the average."""
    rng, n = np.random.RandomState(6), (600, 48)
    day, t = np.arange(600)[:, None], np.arange(48) / 48 * 2 * np.pi
    level = 10.0 + 5.0 * np.sin(t) * (1.0 + 0.3 * np.sin(2 * np.pi * day / 60)) + 2.0 * np.cos(2 * t) * (day % 7 < 5)
    steps, noise = 0.3 * rng.randn(*n), np.zeros(n)
    for j in range(48):
        noise[:, j] = 0.9 * noise[:, j - 1] * (j > 0) + steps[:, j]
    clean = 1.0 / (1.0 + np.exp(-0.5 * (level + 0.03 * day + noise - 10.0)))
    missing, wrong = rng.rand(*n) < 0.1, rng.rand(*n) < 0.05
    data = clean.copy()
    data[wrong] += rng.choice([-1, 1], wrong.sum()) * 20.0 * clean.std()
    data[missing] = np.nan
    model = RobustMatrixCompletion()
    error = (model.fit_transform(data) - clean)[missing]
    assert model.stop_reason_ == "approximate" and np.sqrt(np.mean(error**2)) < 0.018
