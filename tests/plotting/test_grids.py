"""Displays of outliers and of phase transitions, and what cannot be drawn, refused in words."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.plotting import OutlierDisplay, PhaseTransitionDisplay, RecoveryDisplay, SpectrumDisplay


def legend(display):
    return " ".join(text.get_text() for text in display.ax_.get_legend().get_texts())


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_outliers_of_a_matrix(kind, small, small_completion):
    X, estimator = small.data, small_completion
    if kind == "sparse":
        rows, cols = np.nonzero(small.observed)
        X = sparse.csr_matrix((small.data[small.observed], (rows, cols)), shape=small.data.shape)
        estimator = RobustMatrixCompletion().fit(X)
    display = OutlierDisplay.from_estimator(estimator, X)
    drawn = display.image_.get_array()
    assert_array_equal(drawn.mask, ~small.observed)
    assert_allclose(drawn.compressed(), small.data[small.observed])
    flags = display.ax_.images[1].get_array()
    assert_array_equal(~flags.mask, small.outliers)
    share = small.outliers.sum() / small.observed.sum()
    assert f"{share:.1%}" in legend(display) and "missing" in legend(display)
    inliers = small.data[small.observed & ~small.outliers]
    assert display.image_.get_clim() == (inliers.min(), inliers.max())
    histogram = OutlierDisplay.from_estimator(estimator, X, kind="histogram")
    assert f"flagged: {small.outliers.sum()}" in legend(histogram)
    assert sum(patch.get_height() for patch in histogram.ax_.containers[0]) == len(inliers)


def test_outliers_are_those_of_the_fit_whatever_the_components(small):
    pca = RobustPCA(1).fit(small.data)
    display = OutlierDisplay.from_estimator(pca, small.data)
    assert_array_equal(display.outliers, pca.outliers_)
    assert display.threshold == pca.threshold_


def test_outliers_of_measurements(measured):
    problem, model = measured
    display = OutlierDisplay.from_estimator(model, problem.data, problem.target)
    assert_array_equal(display.outliers, problem.outliers)
    assert_allclose(display.residual, model.predict(problem.data) - problem.target)
    assert f"threshold: {model.threshold_:.2g}" in legend(display)
    assert display.ax_.get_xscale() == "log" and "units" in display.ax_.get_xlabel()
    with pytest.raises(ValueError, match="needs y"):
        OutlierDisplay.from_estimator(model, problem.data)
    with pytest.raises(ValueError, match="no place in one"):
        OutlierDisplay.from_estimator(model, problem.data, problem.target, kind="matrix")


def test_outliers_from_predictions():
    truth = np.array([[1.0, 2.0], [np.nan, 9.0]])
    display = OutlierDisplay.from_predictions(truth, np.ones((2, 2)), threshold=3.0)
    assert_array_equal(display.outliers, [[False, False], [False, True]])
    assert display.image_ is not None


def test_large_sparse_flags_are_points():
    flags = sparse.csr_matrix(([True, True], ([0, 3], [2, 4])), shape=(5000, 6000))
    display = OutlierDisplay(flags).plot()
    assert display.image_ is None and not display.ax_.images
    assert_array_equal(np.transpose(display.ax_.lines[0].get_data()), [[2, 0], [4, 3]])
    assert display.ax_.get_ylim() == (4999.5, -0.5)


def test_exact_and_zero_residuals_have_a_histogram():
    display = OutlierDisplay([False, False, True], residual=[0.0, 1e-16, 5.0], threshold=1e-8).plot()
    assert sum(patch.get_height() for patch in display.ax_.containers[0]) == 2
    assert OutlierDisplay([False, False], residual=[0.0, 0.0], threshold=np.inf).plot().ax_.get_xscale() == "linear"


def test_phase_transition_draws_the_map():
    success = np.array([[1.0, 0.75, np.nan], [0.0, 0.25, 0.5]])
    figure, ax = plt.subplots()
    display = PhaseTransitionDisplay(success, outliers=[0.1, 0.5], observations=[2, 4, 8]).plot(ax=ax, cmap="viridis")
    assert display.ax_ is ax and display.figure_ is figure
    assert_allclose(display.image_.get_array().filled(np.nan), success)
    assert display.image_.get_cmap().name == "viridis" and display.image_.get_clim() == (0, 1)
    assert [t.get_text() for t in display.text_.ravel()] == ["1", "0.75", "", "0", "0.25", "0.5"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["10%", "50%"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "4", "8"]
    plain = PhaseTransitionDisplay(success, outliers=[0.1, 0.5], observations=[2, 4, 8])
    assert plain.plot(include_values=False, colorbar=False).text_ is None
    assert len(plain.figure_.axes) == 1


def test_phase_transition_from_errors():
    errors = [[[1e-9, 1.0], [np.nan, 1e-2]]]
    display = PhaseTransitionDisplay.from_predictions(errors, outliers=[0.2], observations=[1, 2])
    assert_array_equal(display.success, [[0.5, 0.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecoveryDisplay([], [], []), "not empty"),
        (lambda: RecoveryDisplay([0, 1], [1.0], [1.0, 2.0]), r"loss must have .* \(2,\), got \(1,\)"),
        (lambda: RecoveryDisplay([0], [1.0], [1.0], step=[1.0, 2.0]), "step must have"),
        (lambda: SpectrumDisplay([0, 1], [[1.0]], rank=1), "one row per recorded iteration"),
        (lambda: SpectrumDisplay([0], [[1.0]], rank=-1), "rank must be an integer of at least 0, got -1"),
        (lambda: SpectrumDisplay([0], [[1.0]], rank=True), "got True"),
        (lambda: OutlierDisplay([True], residual=[1.0, 2.0]), "residual must have the shape of outliers"),
        (lambda: OutlierDisplay([[True]], matrix=[[1.0, 2.0]]), "matrix must have the shape of outliers"),
        (lambda: OutlierDisplay([True]).plot(), "needs residual"),
        (lambda: OutlierDisplay([[True]]).plot(kind="bars"), "kind must be .* got 'bars'"),
        (lambda: OutlierDisplay.from_predictions([1.0], [1.0, 2.0], threshold=1), "one shape"),
        (lambda: OutlierDisplay.from_predictions([1.0], [1.0], threshold=-1), "threshold must be at least 0"),
        (
            lambda: PhaseTransitionDisplay([[1.0]], outliers=[0.1, 0.2], observations=[1]),
            r"shape \(2, 1\), got \(1, 1\)",
        ),
        (lambda: PhaseTransitionDisplay([[1.5]], outliers=[0.1], observations=[1]), "must lie in 0 to 1"),
        (lambda: PhaseTransitionDisplay.from_predictions([[1.0]], outliers=[0], observations=[1]), "n_problems"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
