"""Rows whose sign cannot be told."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


@pytest.mark.filterwarnings("ignore:.*of the other sign")
@pytest.mark.parametrize("n_rows", [300, 2600])
def test_rows_that_may_be_of_the_opposite_sign_are_not_known(n_rows):
    """Of many entries some rows are looked at first: where they have wrong signs, all are looked at."""
    problem = make_corrupted_matrix((n_rows, 40), 2, outliers=0.3, outlier_kind="sign-flip", random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    rows = model.undetermined_rows_
    assert 0 < len(rows) < 0.4 * n_rows
    assert set(rows % 2) == {0, 1}
    known = np.delete(np.arange(n_rows), rows)
    found = (model.left_ * model.singular_values_) @ model.right_.T
    assert np.abs(found - problem.clean)[known].max() < 1e-9 * np.abs(problem.clean).max()


def test_errors_that_are_no_opposites_leave_all_rows_known():
    problem = make_corrupted_matrix((2600, 40), 2, outliers=0.3, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    assert not len(model.undetermined_rows_) and not len(model.undetermined_columns_)
