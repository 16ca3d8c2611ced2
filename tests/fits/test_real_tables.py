"""Tables whose spectra decay: units, offsets, ties, the error that is promised, and components as those of PCA."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import subspace_angles
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


@pytest.fixture(scope="module")
def wine():
    """Standardised, a fifth of it hidden; the truth."""
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    data = X.copy()
    data[np.random.RandomState(0).uniform(size=X.shape) < 0.2] = np.nan
    return data, X


def filled(data):
    model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "approximate"
    return model.transform(data)


def test_units_and_offsets_of_columns_do_not_matter(wine):
    data, _ = wine
    rng = np.random.RandomState(1)
    plain = filled(data)
    for units, offsets in ((1e6, 0.0), (1e-6, 1e3), (1.0, 1e6)):
        units = units ** rng.uniform(-1, 1, data.shape[1])
        offsets = offsets * rng.choice([-1, 1], data.shape[1])
        assert_allclose(filled(units * (data + offsets)) / units - offsets, plain, atol=1e-6)


def test_a_mean_beyond_all_rounding_leads_to_no_confident_wrong_answer(wine):
    data, truth = wine
    hidden = np.isnan(data)
    error = filled(data + 1e9)[hidden] - 1e9 - truth[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.85


def test_a_sharp_rank_beside_a_huge_mean_is_exact():
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 30)) + 1e7 * rng.standard_normal(30)
    data = clean.copy()
    data[rng.uniform(size=data.shape) < 0.1] += 5.0
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(data)
    assert model.converged_ and model.rank_ == 3
    assert abs(repaired - clean).max() < 1e-6


def test_the_error_that_is_promised_is_that_of_what_is_hidden(wine):
    data, truth = wine
    model = RobustMatrixCompletion(replace="all").fit(data)
    hidden = np.isnan(data)
    error = np.sqrt(np.mean((model.transform(data) - truth)[hidden] ** 2))
    assert model.expected_error_.shape == (13,)
    assert np.sqrt(np.mean(model.expected_error_**2)) == pytest.approx(error, rel=0.25)


@pytest.mark.parametrize("kind", ["zeros and ones", "signs", "grades"])
def test_few_values_are_not_called_exact_nor_overwritten(kind):
    rng = np.random.RandomState(0)
    latent = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 20)) + rng.standard_normal((300, 20))
    data = {
        "zeros and ones": (latent > 0).astype(float),
        "signs": np.sign(latent),
        "grades": np.clip(np.round(latent + 3), 1, 5),
    }[kind]
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ in ("approximate", "noisy")
    assert model.outliers_.mean() < 0.01


@pytest.mark.parametrize("n_components", [None, 2, 9])
def test_components_of_a_clean_table_are_those_of_pca(n_components):
    data = load_diabetes().data
    robust, plain = RobustPCA(n_components).fit(data), PCA(n_components).fit(data)
    assert robust.converged_
    k = robust.n_components_
    assert k == n_components or (n_components is None and k >= 3)
    ratio = robust.explained_variance_ / plain.explained_variance_[:k]
    assert_allclose(ratio[:5], 1.0, rtol=0.05)
    assert_allclose(ratio, 1.0, rtol=0.2)  # a few entries that are far out are taken for errors
    assert np.degrees(subspace_angles(robust.components_[:2].T, plain.components_[:2].T).max()) < 5.0
    assert_allclose(robust.mean_, data.mean(axis=0), atol=0.05 * data.std())


def test_five_directions_in_ten_columns_are_found():
    rng = np.random.RandomState(0)
    basis = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    sd = np.sqrt([10.0, 9.0, 8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    data = rng.standard_normal((1000, 10)) * sd @ basis.T
    model = RobustPCA().fit(data)
    assert model.converged_ and model.n_components_ == 5
    assert_allclose(model.transform(data), (data - model.mean_) @ model.components_.T)
