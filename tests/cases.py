"""Three fits that many tests are about, one of each estimator, and what listens to a fit."""

from functools import cache

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

MATRIX = make_corrupted_matrix((90, 70), rank=3, observed=0.7, outliers=0.2, noise=0.1, random_state=3)
SENSING = make_measurements(900, (20, 15), 2, outliers=0.25, noise=0.05, random_state=1)
CASES = {
    "recovery": (RobustLowRankRecovery(shape=(20, 15)), (SENSING.data, SENSING.target)),
    "completion": (RobustMatrixCompletion(replace="all"), (MATRIX.data,)),
    "pca": (RobustPCA(), (MATRIX.data,)),
}
# the estimators of a matrix
BOTH = [RobustMatrixCompletion(), RobustPCA()]
each = pytest.mark.parametrize("case", CASES)


def fitted(case, **params):
    """A fit of this case, with these parameters."""
    estimator, data = CASES[case]
    return clone(estimator).set_params(random_state=0, **params).fit(*data)


@cache
def reference(case, **params):
    """The same, made once: to compare others with."""
    return fitted(case, **params)


def error(case, model):
    """Error of a fit of this case relative to the truth."""
    if case == "recovery":
        return relative_recovery_error(SENSING.coef, model.matrix_)
    rows = model.transform(MATRIX.data)
    return relative_recovery_error(MATRIX.clean, model.inverse_transform(rows) if case == "pca" else rows)


def arrays(model):
    """Fitted attributes that are arrays, by name."""
    return {key: value for key, value in vars(model).items() if isinstance(value, np.ndarray)}


class Recorder:
    """Record the tasks of a fit, and what they come to; ask for an end at a given step."""

    def __init__(self, stop_at=None, look=None):
        self.tasks, self.stop_at, self.look, self.last = [], stop_at, look, None

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.tasks.append(context.task_name)
        if context.task_name == "fit":
            self.last = fitted_estimator
        elif self.look is not None:
            self.look(context.task_name, fitted_estimator)
        return context.task_name == self.stop_at


MEASUREMENTS = ["matrix", "rank_one", "entries"]


def measure(kind):
    """Measurements of a 9 x 7 matrix of rank two: X, y, the matrix."""
    rng = np.random.RandomState(3)
    if kind == "entries":
        problem = make_corrupted_matrix((26, 22), rank=2, outliers=0.08, random_state=0)
        return np.argwhere(problem.observed), problem.data[problem.observed], problem.clean
    ensemble = "rank_one" if kind == "rank_one" else "gaussian"
    problem = make_measurements(280, shape=(9, 7), rank=2, ensemble=ensemble, outliers=0.1, random_state=rng)
    return problem.data, problem.target, problem.coef


def recover(kind, X, y, shape):
    """A fit of measurements that has to be trusted."""
    model = RobustLowRankRecovery(measurements=kind, shape=shape).fit(X, y)
    assert model.converged_
    return model


def repaired(data, model=None):
    """The low-rank part of a matrix, from a fit that has to be trusted."""
    model = RobustMatrixCompletion(replace="all") if model is None else model
    out = model.fit_transform(data)
    assert model.converged_
    return out
