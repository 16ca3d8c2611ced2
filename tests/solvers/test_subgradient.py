"""The over-parameterised sub-gradient method alone, as in the paper, and its step rules."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


def paper(p, rank, init_scale):
    fitted = RobustLowRankRecovery(
        rank, symmetric=True, polish=False, step_size="geometric", init_scale=init_scale, max_iter=9000, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return relative_recovery_error(p.coef, fitted.fit(p.data, p.target).matrix_)


@pytest.fixture(scope="module")
def psd():
    return make_measurements(8 * 2 * 20, shape=(20, 20), rank=2, symmetric=True, outliers=0.1, random_state=0)


def test_paper_error_falls_with_init_scale(psd):
    errors = [paper(psd, 8, alpha) for alpha in (1e-1, 1e-3, 1e-5)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.5 * errors[1]


def test_paper_error_does_not_depend_on_the_width(psd):
    narrow, full = paper(psd, 8, 1e-3), paper(psd, 20, 1e-3)
    assert 0.5 < narrow / full < 2


def test_paper_sample_need_does_not_depend_on_the_width():
    """What suffices at r' = 4 suffices at r' = d."""
    for m in (200, 300, 400):
        p = make_measurements(m, shape=(20, 20), rank=2, symmetric=True, outliers=0.1, random_state=1)
        narrow, full = paper(p, 4, 1e-4), paper(p, 20, 1e-4)
        assert (narrow < 0.05) == (full < 0.05)


@pytest.mark.parametrize("step_size", ["geometric", "constant", "polyak"])
def test_every_step_rule_leads_to_the_same_polished_result(sensing, step_size):
    scale = 0.1 if step_size == "polyak" else 1e-3
    fitted = RobustLowRankRecovery(shape=(20, 15), step_size=step_size, init_scale=scale)
    assert relative_recovery_error(sensing.coef, fitted.fit(sensing.data, sensing.target).matrix_) < 1e-10


def test_polyak_without_errors_converges_by_itself():
    p = make_measurements(shape=(15, 12), rank=2, outliers=0, random_state=0)
    fitted = RobustLowRankRecovery(2, shape=(15, 12), step_size="polyak", init_scale=0.1, polish=False, tol=1e-9)
    assert relative_recovery_error(p.coef, fitted.fit(p.data, p.target).matrix_) < 1e-4


def test_a_run_that_diverges_ends_where_it_was_best():
    """Equal measurements, and steps that fall too slowly for so small a start: factors grew to 1e65."""
    X = np.tile(np.random.RandomState(0).randint(-100, 100, 36), (57, 1)).astype(float)
    y = np.zeros(57)
    y[19] = 127.0
    with pytest.warns(ConvergenceWarning):
        model = RobustLowRankRecovery(shape=(6, 6), step_size="geometric", init_scale=1e-6, tol=0).fit(X, y)
    assert np.abs(model.predict(X)).max() < 127
    assert np.isfinite(model.history_["loss"]).all()
