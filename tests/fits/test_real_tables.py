"""Tables whose spectra decay: units, offsets, ties, the error that is promised, and components as those of PCA."""

import numpy as np
import pytest
from cases import Recorder
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import subspace_angles
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix


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
    for units, offsets in ((1e-6, 1e3), (1.0, 1e6)):
        units = units ** rng.uniform(-1, 1, data.shape[1])
        offsets = offsets * rng.choice([-1, 1], data.shape[1])
        assert_allclose(filled(units * (data + offsets)) / units - offsets, plain, atol=1e-6)


def test_a_mean_beyond_all_rounding_leads_to_no_confident_wrong_answer(wine):
    data, truth = wine
    hidden = np.isnan(data)
    error = filled(data + 1e9)[hidden] - 1e9 - truth[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.85


def test_a_noisy_rank_beside_a_large_mean_stays_sharp():
    """It gave way to the model of tables, for the fit beside the medians was not taken for what it is."""
    problem = make_corrupted_matrix((300, 60), rank=4, observed=0.9, outliers=0.05, noise=0.1, random_state=0)
    plain, model = RobustMatrixCompletion().fit(problem.data), RobustMatrixCompletion().fit(problem.data + 1e7)
    assert plain.stop_reason_ == model.stop_reason_ == "noisy" and plain.rank_ <= model.rank_ <= plain.rank_ + 2
    assert np.mean(plain.outliers_ != model.outliers_) < 1e-3
    estimates = plain.transform(problem.data), model.transform(problem.data + 1e7) - 1e7
    errors = [np.sqrt(np.mean((estimate - problem.clean)[~problem.observed] ** 2)) for estimate in estimates]
    assert errors[1] < 1.05 * errors[0]
    ends = plain.predict_interval(problem.data), model.predict_interval(problem.data + 1e7)
    assert_allclose(*(np.median(high - low) for low, high in ends), rtol=0.05)
    assert_allclose(*(model.expected_error_.mean() for model in (plain, model)), rtol=0.05)


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


def test_no_rank_is_looked_for_where_the_spectrum_decays(wine, capsys):
    RobustMatrixCompletion(verbose=1).fit(wine[1])
    said = capsys.readouterr().out
    assert "there is no sharp rank" in said and "not converged" not in said


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_a_table_that_was_stopped_says_so(wine):
    model = RobustMatrixCompletion().set_callbacks(Recorder(stop_at="model"))
    with pytest.warns(ConvergenceWarning, match="asked it to stop"):
        model.fit(wine[1])
    assert model.stop_reason_ == "interrupted"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*too few inliers:UserWarning")
@pytest.mark.parametrize(("shape", "most"), [((10, 6), 1.2), ((8, 12), 1.2), ((60, 8), 1.02)], ids=str)
def test_columns_that_have_nothing_in_common_are_filled_as_by_medians(shape, most):
    """Normal ones and heavy-tailed ones by turns."""
    ratios = []
    for seed in range(2):
        rng = np.random.RandomState(seed)
        truth = rng.standard_t(3, shape) if seed % 2 else rng.standard_normal(shape)
        hidden = rng.uniform(size=shape) < 0.3
        data = np.where(hidden, np.nan, truth)
        model = RobustMatrixCompletion(replace="all")
        repaired = model.fit_transform(data)
        assert model.stop_reason_ != "exact"
        guesses = repaired, np.nanmedian(data, axis=0)
        ours, medians = (np.sqrt(np.mean((guess - truth)[hidden] ** 2)) for guess in guesses)
        ratios.append(ours / medians)
    assert np.mean(ratios) < 1.05 and max(ratios) < most


@pytest.mark.parametrize("kind", ["zeros and ones", "grades"])
def test_few_values_are_not_called_exact_nor_overwritten(kind):
    rng = np.random.RandomState(0)
    latent = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 20)) + rng.standard_normal((300, 20))
    data = {
        "zeros and ones": (latent > 0).astype(float),
        "grades": np.clip(np.round(latent + 3), 1, 5),
    }[kind]
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ in ("approximate", "noisy")
    assert model.outliers_.mean() < 0.01


@pytest.mark.parametrize("n_components", [None, 9])
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


def test_variance_of_what_is_missing_is_not_lost():
    rng = np.random.RandomState(0)
    truth = (
        rng.standard_normal((300, 12)) / np.sqrt(1.0 + np.arange(12)) @ np.linalg.qr(rng.standard_normal((12, 12)))[0]
    )
    data = np.where(rng.uniform(size=truth.shape) < 0.3, np.nan, truth)
    model = RobustPCA(11).fit(data)
    assert model.stop_reason_ == "approximate"
    total = model.explained_variance_.sum() / model.explained_variance_ratio_.sum()
    assert total == pytest.approx(truth.var(axis=0, ddof=1).sum(), rel=0.07)


def test_five_directions_in_ten_columns_are_found():
    rng = np.random.RandomState(0)
    basis = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    sd = np.sqrt([10.0, 9.0, 8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    data = rng.standard_normal((1000, 10)) * sd @ basis.T
    model = RobustPCA().fit(data)
    assert model.converged_ and model.n_components_ == 5
    assert_allclose(model.transform(data), (data - model.mean_) @ model.components_.T)


def test_components_do_not_depend_on_an_error_beyond_all_measure():
    rng = np.random.RandomState(0)
    data = rng.standard_normal((150, 8)) / np.arange(1.0, 9.0) @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    without = RobustPCA(3).fit(np.where(np.arange(8) + 8 * np.arange(150)[:, None] == 43, np.nan, data))
    data[5, 3] = 1e300
    model = RobustPCA(3).fit(data)
    assert model.stop_reason_ == "approximate" and model.outliers_[5, 3]
    assert_allclose(model.explained_variance_, without.explained_variance_, rtol=0.02)


def test_one_absurd_value_does_not_spoil_its_row():
    rng = np.random.RandomState(1)
    truth = rng.standard_normal((150, 8)) / np.arange(1.0, 9.0) @ np.linalg.qr(rng.standard_normal((8, 8)))[0]
    data = truth.copy()
    data[5, 3], data[5, 4] = 1e9, np.nan
    model = RobustMatrixCompletion().fit(data)
    repaired = model.transform(data)[5]
    without = np.where(data == 1e9, np.nan, data)
    told = RobustMatrixCompletion().fit_transform(without)
    assert model.outliers_.sum() == 1 and model.outliers_[5, 3]
    assert_allclose(repaired, told[5], atol=0.25 * truth.std())


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_rare_values_of_a_clean_table_are_kept_and_huge_errors_found(load):
    """Flags are the entries that are more likely wrong than not."""
    X = load().data
    model = RobustMatrixCompletion().fit(X)
    assert model.outliers_.mean() < 0.01
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=X.shape) < 0.01
    data = np.where(wrong, X + rng.uniform(8, 20, X.shape) * rng.choice([-1, 1], X.shape) * X.std(axis=0), X)
    flags = model.fit(data).outliers_
    assert flags[wrong].mean() > 0.95 and flags[~wrong].mean() < 0.02
    assert_array_equal(model.outlier_probability(data) > 0.5, flags)
