"""The noise of each column, in its units: what a flag is to be compared with."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.compression import compress, load
from sklearn_robustlr.datasets import make_corrupted_matrix


def noisy_matrix(noise=0.1):
    return make_corrupted_matrix((150, 40), rank=2, noise=noise, outliers=0.05, random_state=0).data


@pytest.mark.parametrize("estimator", [RobustMatrixCompletion(), RobustPCA()])
def test_columns_of_one_noise_have_its_scale(estimator):
    model = estimator.fit(noisy_matrix())
    np.testing.assert_array_equal(model.noise_scale_, np.full(40, model.scale_))
    assert model.scale_ == pytest.approx(0.1, rel=0.05)


def test_columns_of_unlike_noise_have_their_own():
    clean = make_corrupted_matrix((300, 30), rank=2, random_state=0).clean
    noise = np.where(np.arange(30) % 3, 0.05, 0.4)
    model = RobustMatrixCompletion().fit(clean + noise * np.random.RandomState(1).standard_normal(clean.shape))
    np.testing.assert_allclose(model.noise_scale_, noise, rtol=0.25)
    assert model.scale_ == pytest.approx(np.sqrt(np.mean(model.noise_scale_**2)))


@pytest.mark.parametrize("data", [load_wine().data, noisy_matrix()], ids=["approximate", "noisy"])
def test_it_is_in_the_units_of_the_columns(data):
    units = np.geomspace(1.0, 1e6, data.shape[1])
    before, after = (RobustMatrixCompletion().fit(data * unit).noise_scale_ for unit in (1.0, units))
    np.testing.assert_allclose(after, before * units, rtol=0.5)


def test_flagged_entries_are_beyond_that_of_their_column():
    data = load_wine().data.copy()
    hit = np.random.RandomState(0).rand(*data.shape) < 0.03
    data[hit] *= 10.0
    model = RobustMatrixCompletion().fit(data)
    away = np.abs(data - model.set_params(replace="all").transform(data)) / model.noise_scale_
    assert away[model.outliers_].min() > 3.0 and np.mean(away[~model.outliers_] < 3.5) > 0.99


def test_batches_tell_it_too():
    data = noisy_matrix()
    model = RobustMatrixCompletion()
    for lo in range(0, 150, 50):
        model.partial_fit(data[lo : lo + 50])
    np.testing.assert_allclose(model.noise_scale_, 0.1, rtol=0.3)


def test_a_rounded_model_has_that_of_rounding(tmp_path):
    clean = make_corrupted_matrix((60, 40), rank=2, outliers=0.05, random_state=0).data
    model = RobustMatrixCompletion().fit(clean)
    compress(model, "float16", allow_loss=True).save(tmp_path / "model.npz")
    rounded = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(rounded.noise_scale_, np.full(40, rounded.scale_))
    assert rounded.scale_ > 10.0 * model.scale_
