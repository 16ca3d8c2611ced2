"""Warnings point to the line of the user, through whatever of scikit-learn's has called the fit."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_measurements

UNRELATED = np.random.RandomState(0).standard_normal((60, 12))


USES = {
    "fit": lambda estimator, X: estimator.fit(X),
    "fit_transform": lambda estimator, X: estimator.fit_transform(X),
    "pandas": lambda estimator, X: estimator.set_output(transform="pandas").fit_transform(X),
    "pipeline": lambda estimator, X: make_pipeline(StandardScaler(), estimator).fit_transform(X),
    "cross_val_score": lambda estimator, X: cross_val_score(estimator, X, cv=2),
}


@pytest.mark.parametrize(
    ("estimator", "use"),
    [*((RobustMatrixCompletion(), use) for use in USES), *((RobustPCA(), use) for use in ("fit_transform", "pandas"))],
)
def test_of_tables(estimator, use):
    with pytest.warns(ConvergenceWarning, match="did not converge") as caught:
        USES[use](estimator, UNRELATED)
    assert {warning.filename for warning in caught if warning.category is ConvergenceWarning} == {__file__}


def test_of_measurements():
    few = make_measurements(60, shape=(20, 20), rank=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="did not converge") as caught:
        RobustLowRankRecovery(shape=(20, 20)).fit(few.data, few.target)
    assert {warning.filename for warning in caught} == {__file__}


def test_of_rows_that_are_not_identifiable():
    data = UNRELATED[:, :1] @ UNRELATED[:1]
    data[3] = np.nan
    with pytest.warns(UserWarning, match="1 row of X is not identifiable") as caught:
        RobustMatrixCompletion().fit_transform(data)
    assert {warning.filename for warning in caught} == {__file__}
