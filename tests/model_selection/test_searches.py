"""scikit-learn's searches over the estimators."""

from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.model_selection import EntryKFold, EntryRegressor, to_entries


def recovery_task():
    p = make_measurements(shape=(12, 10), rank=2, outliers=0.15, random_state=3)
    return RobustLowRankRecovery(shape=(12, 10)), p.data, p.target, 3


def matrix_task(filler):
    p = make_corrupted_matrix((30, 25), rank=2, outliers=0.1, random_state=3)
    return EntryRegressor(filler, shape=p.data.shape), *to_entries(p.data), EntryKFold(3, random_state=0)


TASKS = {
    "recovery": recovery_task,
    "completion": lambda: matrix_task(RobustMatrixCompletion()),
    "pca": lambda: matrix_task(RobustPCA()),
}
SEARCHES = {
    "grid": GridSearchCV,
    "randomised": partial(RandomizedSearchCV, n_iter=3, random_state=0),
    "halving": partial(HalvingGridSearchCV, random_state=0, resource="max_iter", max_resources=400, min_resources=100),
}


def grid_of(model, piped):
    """Grids over the parameters that matter, named as where they are."""
    inner = model.estimator if isinstance(model, EntryRegressor) else model
    rank = "n_components" if isinstance(inner, RobustPCA) else "rank"
    grids = [{"init_scale": [1e-3, 1.0], rank: [2]}, {rank: [4], "step_size": ["constant"]}]
    prefix = "estimator__" if inner is not model else ""
    if piped:
        prefix = f"{type(model).__name__.lower()}__{prefix}"
    return [{prefix + name: values for name, values in grid.items()} for grid in grids], prefix


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*too few inliers:UserWarning")
@pytest.mark.parametrize(
    ("task", "search", "piped"),
    [*((task, search, False) for task in ("recovery", "completion") for search in SEARCHES), ("pca", "grid", False)]
    + [(task, "grid", True) for task in ("recovery", "completion")],  # that of the components is one of entries, too
)
def test_searches_of_scikit_learn(task, search, piped):
    model, X, y, cv = TASKS[task]()
    grid, prefix = grid_of(model, piped)
    for name, value in {"polish": False, "max_iter": 100}.items():
        model.set_params(**{("estimator__" if task != "recovery" else "") + name: value})
    if piped:
        model = make_pipeline(FunctionTransformer(), model)
    make = SEARCHES[search]
    if search == "halving":
        make = partial(make, **{"resource": prefix + "max_iter"})
    found = make(model, grid, cv=cv, error_score="raise").fit(X, y)
    assert found.best_score_ > 0.99
    assert np.isfinite(found.predict(X)).all()


STAGE = {"polish": False, "max_iter": 1000}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*too few inliers:UserWarning")
@pytest.mark.parametrize("noise", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [pytest.param("recovery", marks=pytest.mark.slow), "completion"])
def test_score_curve_over_init_scale_tells_the_truth(kind, noise):
    """Of the over-parameterised stage alone: where the held-out score is near the best, so is the true error."""
    scales = [1e-6, 1e-4, 1e-2, 1.0]
    if kind == "recovery":
        p = make_measurements(None, (24, 20), 2, outliers=0.15, noise=noise, random_state=5)
        model, X, y, cv, truth = RobustLowRankRecovery(shape=(24, 20)), p.data, p.target, 3, p.coef
        name = "init_scale"
    else:
        p = make_corrupted_matrix((60, 50), rank=2, observed=0.7, outliers=0.1, noise=noise, random_state=5)
        model = EntryRegressor(RobustMatrixCompletion(), shape=p.data.shape)
        X, y = to_entries(p.data)
        cv, truth, name = EntryKFold(2, random_state=0), p.clean, "estimator__init_scale"
    model.set_params(**{name.replace("init_scale", rest): value for rest, value in STAGE.items()})
    scores = GridSearchCV(model, {name: scales}, cv=cv, refit=False).fit(X, y).cv_results_["mean_test_score"]
    everything = np.argwhere(np.ones(truth.shape))
    errors = []
    for scale in scales:
        fitted = clone(model).set_params(**{name: scale}).fit(X, y)
        estimate = fitted.matrix_ if kind == "recovery" else fitted.predict(everything).reshape(truth.shape)
        errors.append(relative_recovery_error(truth, estimate))
    assert scores[3] < scores[2] - 0.05 and errors[3] > 2 * errors[2]
    assert errors[int(np.argmax(scores))] < 1.5 * min(errors)
