"""Displays of uncertainty: intervals of a row or column, and their coverage."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.plotting import CoverageDisplay, IntervalDisplay


@pytest.fixture(scope="module")
def completed():
    problem = make_corrupted_matrix((60, 40), 2, noise=0.2, outliers=0.05, observed=0.7, random_state=0)
    return problem, RobustMatrixCompletion().fit(problem.data)


@pytest.mark.parametrize(("axis", "place"), [(0, {"row": 7}), (1, {"column": 3})])
def test_the_band_is_that_of_the_intervals(completed, axis, place):
    problem, model = completed
    index = next(iter(place.values()))
    display = IntervalDisplay.from_estimator(model, problem.data, coverage=0.8, **place)
    lower, upper = model.predict_interval(problem.data, coverage=0.8)
    assert_array_equal(display.lower, np.take(lower, index, axis=axis))
    assert_array_equal(display.upper, np.take(upper, index, axis=axis))
    assert_allclose(display.estimate, (display.lower + display.upper) / 2)
    assert_array_equal(display.outliers, np.take(model.outliers_, index, axis=axis))
    assert_allclose(display.line_.get_ydata(), display.estimate)
    drawn = display.band_.get_paths()[0].vertices[:, 1]
    assert drawn.min() == pytest.approx(display.lower.min()) and drawn.max() == pytest.approx(display.upper.max())
    assert "80% interval" in [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_a_column_may_be_named(completed):
    problem, model = completed
    frame = pd.DataFrame(problem.data).add_prefix("x")
    named = RobustMatrixCompletion().fit(frame)
    display = IntervalDisplay.from_estimator(named, frame, column="x3")
    expected = IntervalDisplay.from_estimator(model, problem.data, column=3)
    assert_array_equal(display.lower, expected.lower)
    with pytest.raises(ValueError, match=r"that fit has seen \(x0, x1, x2, x3, x4, \.\.\.\), got 'y'"):
        IntervalDisplay.from_estimator(named, frame, column="y")
    with pytest.raises(ValueError, match=r"no names"):
        IntervalDisplay.from_estimator(model, problem.data, column="x3")


def test_a_gross_error_does_not_hide_the_rest(completed):
    display = IntervalDisplay([0.0, 1e6, 0.1], [-1.0] * 3, [1.0] * 3, [0.0] * 3, outliers=[False, True, False]).plot()
    low, high = display.ax_.get_ylim()
    assert -2 < low < -1 and 1 < high < 2


def test_coverage_is_that_of_hidden_values(completed):
    problem, model = completed
    truth = problem.clean + 0.2 * np.random.RandomState(0).standard_normal(problem.clean.shape)
    display = CoverageDisplay.from_estimator(model, problem.data, truth)
    lower, upper = model.predict_interval(problem.data, coverage=0.5)
    hidden = ~problem.observed
    inside = np.mean(((lower <= truth) & (truth <= upper))[hidden])
    assert display.observed[list(display.nominal).index(0.5)] == inside
    assert abs(display.observed - display.nominal).max() < 0.1
    assert_allclose(display.line_.get_xydata(), np.column_stack([display.nominal, display.observed]))


def test_bad_arguments_are_named(completed):
    problem, model = completed
    with pytest.raises(ValueError, match="one of row and column"):
        IntervalDisplay.from_estimator(model, problem.data)
    with pytest.raises(ValueError, match="row must lie in 0 to 59, got 60"):
        IntervalDisplay.from_estimator(model, problem.data, row=60)
    with pytest.raises(TypeError, match="column must be an integer, got True"):
        IntervalDisplay.from_estimator(model, problem.data, column=True)
    with pytest.raises(ValueError, match="X must be dense"):
        IntervalDisplay.from_estimator(model, sparse.csr_matrix(np.nan_to_num(problem.data)), row=0)
    with pytest.raises(ValueError, match="no value that X lacks"):
        CoverageDisplay.from_estimator(model, problem.data, problem.data)
    with pytest.raises(ValueError, match="truth must have the shape"):
        CoverageDisplay.from_estimator(model, problem.data, problem.clean[:3])
    with pytest.raises(ValueError, match="upper must have one value per entry"):
        IntervalDisplay([0.0], [0.0], [1.0, 2.0], [0.0])


def test_short_names_of_matplotlib_are_understood():
    display = CoverageDisplay([0.5, 0.9], [0.48, 0.91]).plot(c="red", lw=3)
    assert display.line_.get_color() == "red" and display.line_.get_linewidth() == 3
