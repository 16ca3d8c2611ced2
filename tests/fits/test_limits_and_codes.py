"""Tables in which values repeat: limits of detection, default settings, codes; and means that are all there is."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error


def censored(shape, share, seed):
    """Concentrations, each substance of which has its own limit of detection; a tenth is hidden."""
    rng = np.random.RandomState(seed)
    latent = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1]))
    latent += 0.3 * rng.standard_normal(shape) + 2.0 * rng.standard_normal(shape[1])
    true = np.maximum(latent, np.quantile(latent, share, axis=0))
    return true, rng.uniform(size=shape) < 0.1


@pytest.mark.parametrize(("shape", "share", "seed"), [((100, 12), 0.35, 2), ((100, 12), 0.6, 3)])
def test_limits_of_detection(shape, share, seed):
    """Above half the limits were an exact fit of rank 1, all else outliers; below, the limits were stuck values."""
    true, hidden = censored(shape, share, seed)
    data = np.where(hidden, np.nan, true)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "approximate" and model.outliers_.mean() < 0.01
    error, medians = model.transform(data) - true, np.nanmedian(data, axis=0) - true
    assert np.mean(error[hidden] ** 2) < 0.4 * np.mean(medians[hidden] ** 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_values_above_zero_alone_are_not_all_that_is_right():
    """Half of the entries are zero. The others have a sharp rank, by which all zeros are errors."""
    rng = np.random.RandomState(3)
    clean = rng.standard_normal((120, 2)) @ rng.standard_normal((2, 100))
    true = np.maximum(clean + 0.1 * rng.standard_normal(clean.shape), 0.0)
    hidden = np.random.RandomState(12).uniform(size=true.shape) > 0.3
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, true))
    assert model.outliers_.mean() < 0.01
    error = model.transform(np.where(hidden, np.nan, true)) - true
    assert np.sqrt(np.mean(error[hidden] ** 2)) < 0.2 * true.std()


def test_zeros_of_two_columns_beside_a_sharp_rank_are_no_errors():
    """Seven in ten of their values are zero. Without them the matrix has a sharp rank, and all of them were errors."""
    rng = np.random.RandomState(7)
    true = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 12)) + 0.2 * rng.standard_normal((300, 12))
    zero = np.zeros(true.shape, dtype=bool)
    zero[:, :2] = rng.uniform(size=(300, 2)) < 0.7
    true[zero] = 0.0
    wrong = rng.uniform(size=true.shape) < 0.05
    data = np.where(wrong, true + 8.0 * true.std(axis=0) * rng.choice([-1.0, 1.0], true.shape), true)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_[zero & ~wrong].mean() < 0.05
    assert model.outliers_[wrong].mean() > 0.9


def test_default_settings_are_no_exact_fit():
    """Sixty per cent of each column at a value of its own were "exact", and the others replaced by that."""
    rng = np.random.RandomState(0)
    own = rng.randint(1, 9, 12).astype(float)
    data = np.where(
        rng.uniform(size=(150, 12)) < 0.6, own, rng.randint(1, 9, 12) + 2.0 * rng.standard_normal((150, 12))
    )
    with pytest.warns(UserWarning):
        model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ != "exact" and not model.converged_


def test_rows_of_a_code_beside_a_decaying_spectrum():
    """Rows of -999 had a direction of their own: up to 73 % of the good entries were flagged, errors 3 to 49 times."""
    rng = np.random.RandomState(2)
    true = rng.randn(400, 10) @ (rng.randn(10, 20) / np.arange(1, 11)[:, None]) + 0.1 * rng.randn(400, 20)
    true += rng.uniform(5, 50, 20)
    hidden, lost = rng.rand(400, 20) < 0.15, rng.rand(400) < 0.08
    told = np.where(hidden | lost[:, None], np.nan, true)
    data = np.where(hidden, np.nan, np.where(lost[:, None], -999.0, true))
    with pytest.warns(UserWarning, match="rows of X"):  # nothing is left of them
        model, best = RobustMatrixCompletion().fit(data), RobustMatrixCompletion().fit(told)
    assert model.outliers_[lost].sum() == np.isfinite(data[lost]).sum() and model.outliers_[~lost].mean() < 0.01
    some = hidden & ~lost[:, None]
    own, best = model.transform(data) - true, best.transform(told) - true
    assert np.mean(own[some] ** 2) < 1.1 * np.mean(best[some] ** 2)


def test_components_beside_a_mean_alone_are_in_order():
    """What is left of the mean came first, and varied less than the others, which have the variance of the noise."""
    X = np.random.RandomState(0).standard_normal((300, 10)) + 3.0
    variance = RobustPCA(3).fit(X).explained_variance_
    assert (np.diff(variance) <= 0.0).all() and 0.8 < variance[0] < 1.2


def test_sensors_that_hang_without_noise():
    """The rank of the model's widest gap leads to the right fit, whether or not the model says that a rank is sharp."""
    rng = np.random.RandomState(90000)
    true = make_corrupted_matrix((100, 80), 3, outliers=0, random_state=rng).clean
    first = rng.randint(100, size=80)
    wrong = (np.arange(100)[:, None] - first) % 100 < 30
    data = np.where(wrong, true[first - 1, np.arange(80)], true)
    model = RobustMatrixCompletion(replace="all")
    estimate = model.fit_transform(data)
    assert model.stop_reason_ == "exact" and model.rank_ == 3
    assert relative_recovery_error(estimate, true) < 1e-9


def test_a_limit_with_errors_beyond_it_is_no_stuck_value():
    """A sensor that rests at zero half of the time: codes and wrong signs below that do not make zero a wrong value."""
    rng = np.random.default_rng(0)
    t = np.arange(400)
    factors = np.column_stack([np.sin(2 * np.pi * t / 144), np.cos(2 * np.pi * t / 144), rng.normal(size=400)])
    data = 20 + 5 * (factors @ rng.normal(size=(3, 12)) + 0.2 * rng.normal(size=(400, 12)))
    data[:, 0] = np.maximum(0.0, factors[:, 0] + 0.05 * rng.normal(size=400)) * 800
    hidden, wrong = rng.random(data.shape) < 0.15, rng.random(data.shape) < 0.05
    missed = []
    for damaged in (np.where(wrong, -999.0, data), np.where(wrong, -data, data)):
        seen = np.where(hidden, np.nan, damaged)
        model = RobustMatrixCompletion()
        estimate = model.fit_transform(seen)
        rests = (damaged[:, 0] == 0.0) & ~hidden[:, 0]
        assert model.outliers_[rests, 0].mean() < 0.01
        missed.append(np.sqrt(np.mean((estimate - data)[hidden[:, 0], 0] ** 2)) / data[:, 0].std())
    assert max(missed) < 0.6
