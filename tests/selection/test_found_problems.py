"""Every problem of the table comes out as the table says."""

import re
import warnings

import numpy as np
import pytest
from found_problems import FITS, Found
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustPCA
from sklearn_robustlr.metrics import relative_recovery_error

# Those that take two seconds and more each.
LONG = {
    "full-one-sided-120127",
    "full-one-sided-150205",
    "half-huge-10-2",
    "half-huge-10-None",
    "heavy-tailed-4",
    "moves-beside-a-gap",
    "near-its-opposite",
    "noise-hides-all",
    "one-column",
    "one-sided-block",
    "opposite",
    "parts",
    "rank-not-determined",
    "rank-that-gains",
    "row-of-few-inliers",
    "scans-from-fits-that-follow-the-errors",
    "starts-until-one-passes",
    "stuck-column",
    "weak-beside-noise",
    "weak-direction",
}
EACH = [pytest.param(found, id=found.id, marks=[pytest.mark.slow] * (found.id in LONG)) for found in FITS]
ASKED = {
    "error",
    "largest_error",
    "known_error",
    "known",
    "rank",
    "scale",
    "outliers",
    "converged",
    "warning",
    "identifiable",
}


def fit(found: Found):
    """The fitted model, what it makes of the data, the truth, and the warnings."""
    data, truth = found.draw()
    model = clone(found.model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(model, RobustLowRankRecovery):
            estimate = model.fit(*data).matrix_
        else:
            estimate = model.fit_transform(*data)
            if isinstance(model, RobustPCA):
                estimate = model.inverse_transform(estimate)
    return model, estimate, truth, caught


def check_warnings(model, expected, caught):
    """One of a fit that is not to be trusted, one of what is not identifiable, and no other."""
    said = [str(warning.message) for warning in caught if warning.category is ConvergenceWarning]
    rest = [str(warning.message) for warning in caught if warning.category is not ConvergenceWarning]
    assert len(said) == (not model.converged_)
    assert all(re.search(expected.get("warning", "did not converge"), message) for message in said), said
    assert all("not identifiable" in message for message in rest), rest
    assert not rest or not expected.get("identifiable", True), rest


@pytest.mark.parametrize("found", EACH)
def test_found_problems(found):
    expected = found.expected
    assert expected.keys() <= ASKED
    model, estimate, truth, caught = fit(found)
    check_warnings(model, expected, caught)
    assert expected.get("converged", True) in (None, model.converged_), model.stop_reason_
    assert np.isfinite(estimate).all() and np.isfinite(model.singular_values_).all()
    if "rank" in expected:
        assert model.rank_ == expected["rank"]
    if "error" in expected:
        assert relative_recovery_error(truth, estimate) < expected["error"]
    if "largest_error" in expected:
        assert np.abs(estimate - truth).max() < expected["largest_error"] * np.abs(truth).max()
    if "scale" in expected:
        assert model.scale_ == pytest.approx(expected["scale"] * truth.std(), rel=0.05)
    if "outliers" in expected:
        assert np.mean(model.outliers_) < expected["outliers"]
    if "known" in expected:
        check_known(model, truth, expected)


def check_known(model, truth, expected):
    """Rows and columns that are said to be identifiable are right, and they are not few."""
    rows = np.setdiff1d(np.arange(truth.shape[0]), model.undetermined_rows_)
    columns = np.setdiff1d(np.arange(truth.shape[1]), model.undetermined_columns_)
    assert len(rows) >= expected["known"][0] and len(columns) >= expected["known"][1]
    if "known_error" in expected:
        found = (model.left_ * model.singular_values_) @ model.right_.T
        error = np.abs(found - truth)[np.ix_(rows, columns)].max() / np.abs(truth).max()
        assert error < expected["known_error"]


def test_names_are_unique():
    names = [found.id for found in FITS]
    assert len(set(names)) == len(names)
