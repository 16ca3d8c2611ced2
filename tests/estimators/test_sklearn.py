"""scikit-learn's own battery, on several configurations, and the number of its checks."""

from collections import Counter

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA

RECOVERY = [
    RobustLowRankRecovery(),
    RobustLowRankRecovery(n_init=2, polish=False),
]
COMPLETION = [
    RobustMatrixCompletion(),
    RobustMatrixCompletion(rank=1, replace="missing", absent="zero", min_value=-1e3, max_value=np.inf, polish=False),
]
PCA = [
    RobustPCA(),
    RobustPCA(1, center=False, absent="missing", polish=False, init_scale=0.1),
]
MORE = [
    RobustLowRankRecovery(rank=1, n_init=2, step_size="geometric", max_iter=50),
    RobustLowRankRecovery(step_size="constant", tol=1e-2),
    RobustLowRankRecovery(step_size="polyak", init_scale=0.1),
    RobustMatrixCompletion(polish=False, step_size="geometric", max_iter=50),
    RobustMatrixCompletion(rank=1, replace="missing", absent="zero", min_value=-1e3, max_value=np.inf),
    RobustMatrixCompletion(replace="all", n_init=2),
    RobustPCA(center=False, absent="missing"),
    RobustPCA(2, n_init=2),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*too few inliers:UserWarning")
@parametrize_with_checks([*RECOVERY, *COMPLETION, *PCA])
def test_battery(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*too few inliers:UserWarning")
@parametrize_with_checks(MORE)
def test_battery_of_more(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("estimator", "least"), [(RECOVERY[0], 66), (COMPLETION[0], 54), (PCA[0], 54)])
def test_battery_is_whole(estimator, least):
    """A wrong tag silently shrinks the battery."""
    checks = Counter(check.func.__name__ for _, check in estimator_checks_generator(estimator))
    assert sum(checks.values()) >= least


@pytest.mark.parametrize("model", [RobustMatrixCompletion(), RobustPCA(), RobustMatrixCompletion(n_init=0)], ids=repr)
def test_a_fit_that_failed_is_no_fit(model):
    with pytest.raises(ValueError, match=r"X has no observed entry|n_init must be at least 1"):
        model.fit(np.full((5, 4), np.nan) if model.n_init else np.ones((5, 4)))
    with pytest.raises(NotFittedError):
        model.transform(np.ones((5, 4)))
