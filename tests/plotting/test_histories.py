"""Displays of histories: what goes in is what is drawn, on the axes given."""

import sys
import warnings

import numpy as np
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.plotting import OutlierDisplay, RecoveryDisplay, SpectrumDisplay

HISTORY_DISPLAYS = [RecoveryDisplay, SpectrumDisplay]


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


def test_spectrum_draws_each_direction(small_completion):
    display = SpectrumDisplay.from_estimator(small_completion)
    spectrum = small_completion.history_["spectrum"]
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


def test_rank_zero_and_float32(small):
    zero = RobustMatrixCompletion().fit(np.zeros((6, 5), np.float32))
    assert zero.rank_ == 0
    assert SpectrumDisplay.from_estimator(zero).gap is None
    assert RecoveryDisplay.from_estimator(zero).lines_
    assert OutlierDisplay.from_estimator(zero, np.zeros((6, 5), np.float32), kind="histogram").image_ is None
    data = small.data.astype(np.float32)
    assert OutlierDisplay.from_estimator(RobustMatrixCompletion().fit(data), data).image_ is not None


@pytest.mark.parametrize("name", ["linewidth", "lw"])
@pytest.mark.parametrize("display", HISTORY_DISPLAYS)
def test_ax_and_style_are_used(display, name, small_completion):
    figure, ax = plt.subplots()
    drawn = display.from_estimator(small_completion, ax=ax, **{name: 3.5})
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


def test_without_matplotlib_the_extra_is_named(monkeypatch, small_completion):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = SpectrumDisplay([0], [[1.0]], rank=1)
    with pytest.raises(ImportError, match=r"sklearn-robustlr\[plot\]"):
        display.plot()
    monkeypatch.undo()  # the fixture that closes figures needs it
