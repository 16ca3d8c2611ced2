"""Rows that are wrong as a whole, as failed scans: nothing is known of them but the mean of the others."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


def with_failed_rows(truth, rng):
    """The table with a twentieth of its rows replaced by noise of ten times its size, and a tenth missing."""
    failed = rng.uniform(size=len(truth)) < 0.05
    data = np.where(failed[:, None], 10.0 * truth.std(axis=0) * rng.standard_normal(truth.shape), truth)
    missing = rng.uniform(size=truth.shape) < 0.1
    return np.where(missing, np.nan, data), failed, missing & failed[:, None]


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
@pytest.mark.parametrize("n_channels", [8, 20])
def test_of_a_failed_scan_nothing_is_known(n_channels):
    """It was met in a few channels by chance: its hidden values were 2 to 3 sd off, 90 % intervals held a quarter."""
    rng = np.random.RandomState(1)
    weights = rng.standard_normal((8, n_channels)) * np.arange(1, 9)[:, None] ** -1.0
    course = np.cumsum(rng.standard_normal((400, 8)), axis=0)
    truth = (course - course.mean(axis=0)) / course.std(axis=0) @ weights
    truth += 0.1 * rng.standard_normal(truth.shape)
    data, failed, hidden = with_failed_rows(truth, rng)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "approximate" and model.outliers_[failed][np.isfinite(data[failed])].mean() > 0.8
    assert failed[model.undetermined_rows_].all()
    estimate = model.transform(data)
    assert rms((estimate - truth)[hidden]) < 1.2 * rms((np.nanmedian(data, axis=0) - truth)[hidden])
    low, high = model.predict_interval(data)
    assert np.mean(((low <= truth) & (truth <= high))[hidden]) > 0.75


def test_rows_of_noise_beside_a_sharp_rank_are_listed():
    """They had coefficients by which a few of their values are met by chance."""
    problem = make_corrupted_matrix((300, 60), rank=4, observed=1.0, outliers=0.0, noise=0.1, random_state=0)
    data, failed, hidden = with_failed_rows(problem.data, np.random.RandomState(0))
    with pytest.warns(UserWarning, match="rows of X are not identifiable"):
        model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "noisy"
    assert (
        set(model.undetermined_rows_) <= set(np.flatnonzero(failed))
        and len(model.undetermined_rows_) > 0.8 * failed.sum()
    )
    assert model.outliers_[failed][np.isfinite(data[failed])].mean() > 0.9
    assert np.mean(model.detect_outliers(data) != model.outliers_) < 0.01
    assert rms((model.transform(data) - problem.data)[hidden]) < 1.3 * rms(problem.data[hidden])


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_rows_that_are_wrong_have_no_part_in_components():
    """What is left of them by chance is as large as they are: it turned the components, and doubled the variance."""
    rng = np.random.RandomState(1)
    axes = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    data = (rng.standard_normal((200, 10)) * ([5.0, 3.0] + 8 * [0.5])) @ axes.T + 3.0
    wrong = 60
    data[:wrong] = 20.0 * rng.standard_normal((wrong, 10))
    model = RobustPCA(2).fit(data)
    assert np.degrees(subspace_angles(model.components_.T, axes[:, :2]).max()) < 4.0
    assert 0.6 * 34.0 < model.explained_variance_.sum() < 1.6 * 34.0


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
@pytest.mark.parametrize(("size", "n_components"), [(3.0, None), (50.0, 4)])
def test_rows_of_far_more_noise_hide_no_component(size, n_components):
    """The directions of the others were none beside their noise, and those beyond the rank were theirs."""
    problem = make_corrupted_matrix((200, 40), 2, outliers=0.1, noise=0.1, random_state=0)
    data = problem.data.copy()
    data[:20] = size * np.random.RandomState(0).standard_normal((20, 40))
    model = RobustPCA(n_components).fit(data)
    plain = PCA(2).fit(problem.clean[20:])
    cosines = np.linalg.svd(model.components_[:2] @ plain.components_.T, compute_uv=False)
    assert cosines.min() > 0.99
    assert np.all(model.explained_variance_[2:] < 0.01 * plain.explained_variance_[1])
    assert model.noise_variance_ < 0.01 * plain.explained_variance_[1]
