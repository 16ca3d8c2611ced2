"""A fit of measurements to draw."""

import pytest

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements


@pytest.fixture(scope="session")
def measured():
    problem = make_measurements(shape=(12, 10), rank=1, outliers=0.2, random_state=0)
    return problem, RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
