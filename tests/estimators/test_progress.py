"""What a fit tells callbacks, and what it prints."""

import numpy as np
import pytest
from cases import CASES, MATRIX, Recorder, arrays, each, error, fitted, reference
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements


@each
@pytest.mark.parametrize("n_init", [1, 4])
def test_task_tree(case, n_init):
    estimator, data = CASES[case]
    seen = []
    recorder = Recorder(look=lambda task, model: model is None or seen.append(error(case, model)))
    model = clone(estimator).set_params(n_init=n_init, random_state=0)
    model.set_callbacks(recorder)
    model.fit(*data)
    assert recorder.tasks[-2:] == ["fit", "teardown"]
    assert recorder.tasks.count("start") == n_init
    assert "subgradient" in recorder.tasks and len(seen) > 0 and np.isfinite(seen).all()
    if n_init == 1:
        assert f"rank {model.rank_}" in recorder.tasks
    plain = reference(case, n_init=n_init)
    for key, value in arrays(plain).items():
        assert_array_equal(value, getattr(model, key), err_msg=key)
        assert_array_equal(value, getattr(recorder.last, key), err_msg=key)


def test_requests_to_stop_are_honoured():
    estimator, data = CASES["recovery"]
    model = clone(estimator)
    model.set_callbacks(Recorder(stop_at="subgradient"))
    model.fit(*data)
    assert len(model.history_["iteration"]) == 1
    model.set_callbacks(Recorder(stop_at="rank 1"))
    model.rank = 1
    with pytest.warns(ConvergenceWarning, match="a callback asked it to stop"):
        model.fit(*data)
    assert not model.converged_ and model.stop_reason_ == "interrupted"


def test_callbacks_are_told_of_a_table_with_an_empty_column():
    X = make_corrupted_matrix((60, 20), 2, observed=0.8, random_state=0).data
    X[:, 4] = np.nan
    monitor = ScoringMonitor(scoring=lambda model, X, y: {"score": model.score(X)})
    with pytest.warns(UserWarning, match="identifiable"):
        RobustMatrixCompletion(keep_empty_features=True).set_callbacks(monitor).fit(X)
    scores = [row["score"] for row in monitor.get_logs().data]
    assert len(scores) > 2 and scores[-1] > 0.9


@pytest.mark.filterwarnings("ignore:1 column of X is not:UserWarning")
def test_callbacks_see_the_columns_that_the_fit_will_have():
    X = make_corrupted_matrix((60, 20), 2, observed=0.8, random_state=0).data
    X[:, 4] = np.nan
    shapes = []
    recorder = Recorder(look=lambda task, model: model is None or shapes.append(model.transform(X).shape))
    RobustMatrixCompletion().set_callbacks(recorder).fit(X)
    assert len(shapes) > 1 and set(shapes) == {(60, 19)}


@pytest.mark.filterwarnings("ignore:20 rows of X are not:UserWarning")
def test_empty_rows_are_no_part_of_the_variances_that_callbacks_see():
    X = make_corrupted_matrix((60, 20), 2, mean=5.0, random_state=0).data
    X[::3] = np.nan
    seen = []
    recorder = Recorder(look=lambda task, model: model is None or seen.append(model.explained_variance_))
    model = RobustPCA(2).set_callbacks(recorder).fit(X)
    assert_allclose(seen[-1] / seen[-1].sum(), model.explained_variance_ / model.explained_variance_.sum(), rtol=0.05)


def own_score(estimator, X, y):
    return {"score": estimator.score(X, y)}


def test_a_race_that_is_asked_to_end_has_a_winner():
    estimator, data = CASES["recovery"]
    recorder = Recorder(stop_at="subgradient")
    model = clone(estimator).set_params(n_init=8, random_state=0).set_callbacks(recorder)
    model.fit(*data)
    assert recorder.tasks.count("subgradient") == 8  # of one round
    assert model.rank_ == 2 and error("recovery", model) < 0.1


@each
def test_scoring_monitor(case):
    estimator, data = CASES[case]
    monitor = ScoringMonitor(scoring=own_score)
    model = clone(estimator)
    model.set_callbacks(monitor)
    model.fit(*data)
    scores = [row["score"] for row in monitor.get_logs().data if row["task_name"] == "subgradient"]
    assert len(scores) > 5
    if case == "pca":  # log-likelihoods
        assert scores[0] < scores[-1] and np.isfinite(scores).all()
    else:
        assert scores[0] < 0.5 < 0.9 < scores[-1]


def test_scoring_monitor_and_progress_bar_through_grid_search(capsys):
    estimator, data = CASES["recovery"]
    monitor = ScoringMonitor(scoring=own_score)
    grid = GridSearchCV(clone(estimator).set_callbacks(monitor), {"rank": [2, 3]}, cv=2)
    grid.set_callbacks(ProgressBar(max_propagation_depth=None))
    grid.fit(*data)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "subgradient"]
    assert len({row["task_id_path"][:3] for row in rows}) == 4 + 1  # two candidates on two folds, and the refit
    assert "start" in capsys.readouterr().out


def test_progress_bar_alone(capsys):
    model = RobustMatrixCompletion()
    model.set_callbacks(ProgressBar())
    model.fit(MATRIX.data)
    assert "RobustMatrixCompletion" in capsys.readouterr().out


def test_one_line_a_start(capsys):
    fitted("completion", verbose=1, n_init=3)
    lines = capsys.readouterr().out.splitlines()
    result = lines.pop()
    assert [line.split(",")[0] for line in lines] == [f"[RobustMatrixCompletion] start {i}" for i in (1, 2, 3)]
    assert result.startswith("[RobustMatrixCompletion] result, rank 3, ") and result.endswith(", converged (noisy)")
    assert sum("given up" in line for line in lines) == 1
    assert (
        sum("rank 3" in line and "noise scale 0.0972" in line and ", converged (noisy)," in line for line in lines) == 2
    )


def test_verbose_prints_a_line_for_the_start_and_one_for_the_result(sensing, capsys):
    RobustLowRankRecovery(shape=(20, 15), verbose=1).fit(sensing.data, sensing.target)
    start, result = capsys.readouterr().out.splitlines()
    assert "rank 2" in start and ", converged (exact)," in start
    assert result.startswith("[RobustLowRankRecovery] result, rank 2, ") and result.endswith(", converged (exact)")


def test_verbose_tells_the_result_of_an_approximate_fit(capsys):
    """No start of it comes to an end of its own."""
    model = RobustMatrixCompletion(verbose=1).fit(load_wine().data)
    result = capsys.readouterr().out.splitlines()[-1]
    assert f"result, rank {model.rank_}, " in result and result.endswith(", converged (approximate)")


def test_verbose_says_what_is_wrong(capsys):
    few = make_measurements(60, shape=(20, 20), rank=3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        RobustLowRankRecovery(shape=(20, 20), verbose=1).fit(few.data, few.target)
    assert ", not converged (undetermined: too few inliers: about " in capsys.readouterr().out


@pytest.mark.parametrize("far", ["units", "medians"])
def test_no_estimator_of_a_fit_in_other_units_or_beside_medians_is_shown(far):
    """It would predict in these, or what is left beside them."""
    X = MATRIX.data + 1e9 if far == "medians" else MATRIX.data * 10.0 ** np.linspace(-6, 6, MATRIX.data.shape[1])
    shown = []
    recorder = Recorder(look=lambda task, model: shown.append(model))
    RobustMatrixCompletion().set_callbacks(recorder).fit(X)
    assert shown and all(model is None for model in shown)
