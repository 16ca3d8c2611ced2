"""Displays: what goes in is what is drawn, on the axes given, and what cannot be drawn is refused in words."""

import sys
import warnings

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.plotting import OutlierDisplay, PhaseTransitionDisplay, RecoveryDisplay, SpectrumDisplay
from sklearn_robustlr.plotting import _grids as _grid_displays

HISTORY_DISPLAYS = [RecoveryDisplay, SpectrumDisplay]


@pytest.fixture(scope="module")
def matrix():
    return make_corrupted_matrix((40, 30), rank=2, outliers=0.15, observed=0.8, random_state=0)


@pytest.fixture(scope="module")
def completion(matrix):
    return RobustMatrixCompletion().fit(matrix.data)


@pytest.fixture(scope="module")
def measured():
    problem = make_measurements(shape=(12, 10), rank=1, outliers=0.2, random_state=0)
    return problem, RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)


def legend(display):
    return " ".join(text.get_text() for text in display.ax_.get_legend().get_texts())


def test_recovery_draws_the_history(measured):
    history = measured[1].history_
    display = RecoveryDisplay.from_estimator(measured[1])
    assert set(display.lines_) == {"loss", "residual", "step"}
    for name, line in display.lines_.items():
        assert_allclose(line.get_xdata(), history["iteration"])
        assert_allclose(line.get_ydata(), history[name])
    assert display.lines_["step"].axes is display.step_ax_
    assert display.ax_.get_yscale() == display.step_ax_.get_yscale() == "log"
    assert "units" in display.ax_.get_ylabel() and display.ax_.get_xlabel()


def test_recovery_without_step_and_with_zeros():
    display = RecoveryDisplay([0, 10], [1.0, 0.5], [0.1, 0.0]).plot()
    assert display.step_ax_ is None
    assert_array_equal(display.lines_["residual"].get_ydata(), [0.1, np.nan])
    nothing = RecoveryDisplay([0], [0.0], [0.0], step=[0.0]).plot()
    assert nothing.ax_.get_yscale() == "linear"


def test_spectrum_draws_each_direction(completion):
    display = SpectrumDisplay.from_estimator(completion)
    spectrum = completion.history_["spectrum"]
    assert len(display.lines_) == spectrum.shape[1]
    for line, values in zip(display.lines_, spectrum.T, strict=True):
        assert_allclose(line.get_ydata(), values)
    colors = [line.get_color() for line in display.lines_]
    assert len(set(colors[:2])) == len(set(colors[2:])) == 1 and colors[0] != colors[2]
    assert display.gap == pytest.approx(spectrum[-1, 1] / spectrum[-1, 2])
    assert "2 kept (rank 2 chosen)" in legend(display) and "gap" in legend(display)


@pytest.mark.parametrize(
    ("rank", "gap"), [(0, None), (1, 100.0), (2, np.inf), (3, None), (5, None)], ids=["none", "1", "2", "all", "more"]
)
def test_spectrum_of_any_rank(rank, gap):
    spectrum = np.array([[1.0, 1.0, 1.0], [1.0, 0.01, 0.0]], dtype=np.float32)
    display = SpectrumDisplay([0, 10], spectrum, rank=rank).plot()
    assert display.gap == (gap if gap is None else pytest.approx(gap))
    assert len(display.lines_) == 3


def test_rank_zero_and_float32(matrix):
    zero = RobustMatrixCompletion().fit(np.zeros((6, 5), np.float32))
    assert zero.rank_ == 0
    assert SpectrumDisplay.from_estimator(zero).gap is None
    assert RecoveryDisplay.from_estimator(zero).lines_
    assert OutlierDisplay.from_estimator(zero, np.zeros((6, 5), np.float32), kind="histogram").image_ is None
    data = matrix.data.astype(np.float32)
    assert OutlierDisplay.from_estimator(RobustMatrixCompletion().fit(data), data).image_ is not None


@pytest.mark.parametrize("name", ["linewidth", "lw"])
@pytest.mark.parametrize("display", HISTORY_DISPLAYS)
def test_ax_and_style_are_used(display, name, completion):
    figure, ax = plt.subplots()
    drawn = display.from_estimator(completion, ax=ax, **{name: 3.5})
    assert drawn.ax_ is ax and drawn.figure_ is figure
    assert all(line.get_linewidth() == 3.5 for line in ax.lines)


@pytest.mark.parametrize("display", HISTORY_DISPLAYS)
def test_nothing_to_draw(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(RobustPCA())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        location = RobustMatrixCompletion().fit([[1.0, np.nan], [np.nan, 2.0]])
    with pytest.raises(ValueError, match="history_ is empty"):
        display.from_estimator(location)
    from sklearn.linear_model import Ridge

    with pytest.raises(ValueError, match="Ridge has no history"):
        display.from_estimator(Ridge().fit([[1.0], [2.0]], [1.0, 2.0]))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_outliers_of_a_matrix(kind, matrix, completion):
    X, estimator = matrix.data, completion
    if kind == "sparse":
        rows, cols = np.nonzero(matrix.observed)
        X = sparse.csr_matrix((matrix.data[matrix.observed], (rows, cols)), shape=matrix.data.shape)
        estimator = RobustMatrixCompletion().fit(X)
    display = OutlierDisplay.from_estimator(estimator, X)
    drawn = display.image_.get_array()
    assert_array_equal(drawn.mask, ~matrix.observed)
    assert_allclose(drawn.compressed(), matrix.data[matrix.observed])
    flags = display.ax_.images[1].get_array()
    assert_array_equal(~flags.mask, matrix.outliers)
    share = matrix.outliers.sum() / matrix.observed.sum()
    assert f"{share:.1%}" in legend(display) and "missing" in legend(display)
    sound = matrix.data[matrix.observed & ~matrix.outliers]
    assert display.image_.get_clim() == (sound.min(), sound.max())
    histogram = OutlierDisplay.from_estimator(estimator, X, kind="histogram")
    assert f"flagged: {matrix.outliers.sum()}" in legend(histogram)
    assert sum(patch.get_height() for patch in histogram.ax_.containers[0]) == len(sound)


def test_outliers_are_those_of_the_fit_whatever_the_components(matrix):
    pca = RobustPCA(1).fit(matrix.data)
    display = OutlierDisplay.from_estimator(pca, matrix.data)
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


def test_large_sparse_flags_are_points(monkeypatch):
    monkeypatch.setattr(_grid_displays, "_IMAGE_CELLS", 10)
    display = OutlierDisplay(sparse.csr_matrix(([True, True], ([0, 3], [2, 4])), shape=(5, 6))).plot()
    assert display.image_ is None and not display.ax_.images
    assert_array_equal(np.transpose(display.ax_.lines[0].get_data()), [[2, 0], [4, 3]])
    assert display.ax_.get_ylim() == (4.5, -0.5)


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


def test_without_matplotlib_the_extra_is_named(monkeypatch, completion):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = SpectrumDisplay([0], [[1.0]], rank=1)
    with pytest.raises(ImportError, match=r"sklearn_robustlr\[plot\]"):
        display.plot()
    monkeypatch.undo()  # the fixture that closes figures needs it
