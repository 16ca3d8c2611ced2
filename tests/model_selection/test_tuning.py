"""Tuning on seeds of its own."""

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.model_selection import (
    ParameterSampler,
)
from sklearn.pipeline import make_pipeline

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.model_selection import tune_and_report


def draw(seed):
    return make_measurements(shape=(10, 8), rank=1, outliers=0.1, random_state=seed)


def minus_error(model, problem):
    return -relative_recovery_error(problem.coef, model.matrix_)


def recovered(model, problem):
    return float(minus_error(model, problem) > -1e-6)


MODEL = RobustLowRankRecovery(shape=(10, 8))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tune_and_report():
    grid = {"step_size": ["constant", "auto"]}
    seeds = {"tuning_seeds": [3, 1], "report_seeds": range(10, 14)}
    rough = clone(MODEL).set_params(polish=False)
    report = tune_and_report(rough, grid, draw, score=minus_error, **seeds)
    assert report.best_params_ == {"step_size": "auto"}
    assert report.candidates_ == [{"step_size": "constant"}, {"step_size": "auto"}]
    by_hand = minus_error(clone(rough).set_params(step_size="constant").fit(draw(1).data, draw(1).target), draw(1))
    assert report.tuning_scores_[0, 1] == by_hand
    assert (report.tuning_scores_[1] > -1e-2).all()
    assert report.report_scores_.shape == (4,)
    assert report.report_seeds_ == [10, 11, 12, 13]
    assert_array_equal(report.quartiles_, np.percentile(report.report_scores_, [25, 50, 75]))
    low, high = report.interval()
    assert report.report_scores_.min() <= low <= report.report_scores_.mean() <= high <= report.report_scores_.max()
    assert report.interval() == (low, high)
    with parallel_config("threading"):
        threads = tune_and_report(rough, grid, draw, score=minus_error, n_jobs=2, **seeds)
    assert_array_equal(threads.report_scores_, report.report_scores_)


def test_interval_covers_the_mean(rng):
    report = tune_and_report(MODEL, {"rank": [None]}, draw, score=recovered, tuning_seeds=[0], report_seeds=[1])
    covered = 0
    for _ in range(200):
        object.__setattr__(report, "report_scores_", rng.standard_normal(30))
        low, high = report.interval(n_resamples=500)
        covered += low < 0 < high
    assert covered > 175


def test_seeds_reach_the_estimator():
    seen = []

    def score(model, problem):
        seen.append(model.get_params()["robustlowrankrecovery__random_state"])
        return 0.0

    candidates = ParameterSampler({"robustlowrankrecovery__rank": [1, 2]}, n_iter=1, random_state=0)
    report = tune_and_report(
        make_pipeline("passthrough", MODEL), candidates, draw, score=score, tuning_seeds=[5], report_seeds=[6, 7]
    )
    assert seen == [5, 6, 7]
    assert len(report.candidates_) == 1


def test_equal_candidates_go_to_the_first():
    report = tune_and_report(MODEL, {"rank": [3, 2]}, draw, score=recovered, tuning_seeds=[0, 1], report_seeds=[2])
    assert report.best_params_ == {"rank": 3}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"report_seeds": [9, 1, 0]}, r"these are in tuning_seeds too: \[0, 1\]"),
        ({"report_seeds": []}, "report_seeds must hold one seed at least"),
        ({"tuning_seeds": [-1]}, "each of tuning_seeds must be at least 0, got -1"),
        ({"tuning_seeds": [1.0]}, "each of tuning_seeds must be an integer, got 1.0"),
        ({"tuning_seeds": [1, 1]}, "none twice"),
        ({"param_grid": iter(())}, "no candidate"),
        ({"score": lambda model, problem: np.nan}, r"score returned nan for \{'rank': 2\} on seed 0"),
    ],
)
def test_tune_and_report_refuses(changed, message):
    arguments = {
        "param_grid": {"rank": [2]},
        "score": recovered,
        "tuning_seeds": [0, 1],
        "report_seeds": [2],
        **changed,
    }
    with pytest.raises((ValueError, TypeError), match=message):
        tune_and_report(MODEL, make_problem=draw, **arguments)


def test_interval_refuses():
    report = tune_and_report(MODEL, {"rank": [None]}, draw, score=recovered, tuning_seeds=[0], report_seeds=[1])
    with pytest.raises(ValueError, match="level must be less than 1, got 95"):
        report.interval(level=95)


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"tuning_seeds": 5}, TypeError, "tuning_seeds must be an iterable"),
        ({"score": "r2"}, TypeError, "score must be a function"),
        ({"make_problem": 3}, TypeError, "make_problem must be a function"),
        ({"make_problem": lambda seed: (seed,)}, ValueError, "make_problem must return a dict"),
        ({"param_grid": 3}, TypeError, "param_grid must be"),
    ],
)
def test_bad_arguments_are_named(changed, error, match):
    given = {"param_grid": {"rank": [1]}, "make_problem": lambda seed: {"data": np.eye(3)}, "score": lambda *_: 0.0}
    given |= {"tuning_seeds": [0], "report_seeds": [1]} | changed
    with pytest.raises(error, match=match):
        tune_and_report(RobustLowRankRecovery(), **given)
