"""RobustPCA has the interface of scikit-learn's PCA, and its results where nothing is wrong with the data.

After the tests of `sklearn.decomposition.PCA`, of what applies.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix

IRIS = StandardScaler().fit_transform(load_iris().data)


@pytest.fixture(scope="module")
def gaussian():
    """A clean table with a spectrum that decays."""
    rng = np.random.RandomState(0)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    return rng.standard_normal((150, 8)) * np.exp(-np.arange(8) / 3) @ turn + rng.standard_normal(8)


@pytest.mark.parametrize("n_components", [1, 7, 0.5, 0.99])
def test_clean_data_have_the_components_of_pca(gaussian, n_components):
    robust, plain = RobustPCA(n_components).fit(gaussian), PCA(n_components).fit(gaussian)
    assert robust.n_components_ == plain.n_components_
    for name in ("explained_variance_", "explained_variance_ratio_", "singular_values_", "noise_variance_", "mean_"):
        assert_allclose(getattr(robust, name), getattr(plain, name), rtol=1e-6, err_msg=name)
    assert_allclose(robust.get_covariance(), plain.get_covariance(), atol=1e-8)
    assert_allclose(robust.get_precision(), plain.get_precision(), rtol=1e-5, atol=1e-6)
    assert_allclose(robust.score_samples(gaussian), plain.score_samples(gaussian), rtol=1e-6)
    assert_allclose(robust.score(gaussian), plain.score(gaussian), rtol=1e-6)
    signs = np.sign(np.sum(robust.components_ * plain.components_, axis=1))
    assert_allclose(robust.transform(gaussian) * signs, plain.transform(gaussian), atol=1e-8)


@pytest.mark.parametrize("n_components", [2, None])
def test_whitened_scores_have_unit_variance(n_components):
    data = load_iris().data
    model = RobustPCA(n_components, whiten=True)
    scores = model.fit_transform(data)
    assert_allclose(np.cov(scores.T), np.eye(model.n_components_), atol=1e-8)
    plain = RobustPCA(n_components).fit(data)
    assert_allclose(model.inverse_transform(scores), plain.inverse_transform(plain.transform(data)), atol=1e-8)


def test_an_integer_is_the_number_of_columns():
    problem = make_corrupted_matrix((60, 20), 2, outliers=0.1, random_state=0)
    for n_components in (1, 3, 20):
        model = RobustPCA(n_components).fit(problem.data)
        scores = model.transform(problem.data)
        assert scores.shape == (60, n_components) and model.components_.shape == (n_components, 20)
        assert_allclose(model.components_ @ model.components_.T, np.eye(n_components), atol=1e-10)
        assert list(model.get_feature_names_out()) == [f"robustpca{i}" for i in range(n_components)]
    assert_allclose(model.inverse_transform(scores), problem.clean, atol=1e-6)


def test_a_share_of_the_variance(noisy):
    model = RobustPCA(0.5).fit(noisy.data)
    ratio = RobustPCA().fit(noisy.data).explained_variance_ratio_
    assert model.n_components_ == np.searchsorted(np.cumsum(ratio), 0.5) + 1
    assert RobustPCA(0.999).fit(noisy.data).n_components_ == 2  # noise is no component


def test_mle_is_what_stands_out(noisy, noisy_pca):
    assert RobustPCA("mle").fit(noisy.data).n_components_ == noisy_pca.n_components_ == 2


def test_covariance_and_precision_with_errors(noisy, noisy_pca):
    clean = noisy.clean + 0.1 * np.random.RandomState(0).standard_normal(noisy.clean.shape)
    plain = PCA(2).fit(clean)
    covariance = noisy_pca.get_covariance()
    size = np.linalg.norm(plain.get_covariance())
    assert np.linalg.norm(covariance - plain.get_covariance()) < 0.05 * size
    assert_allclose(noisy_pca.get_precision() @ covariance, np.eye(80), atol=1e-8)


def test_strange_rows_have_low_scores():
    X = load_wine().data
    model = RobustPCA().fit(X)
    scores = model.score_samples(X)
    spoilt = X[:40].copy()
    spoilt[:, 3] += 12 * X[:, 3].std()
    found = model.score_samples(spoilt)
    assert (found < scores[:40]).all()
    assert np.median(found) > np.median(scores) - 30  # one wrong cell does not hide the rest
    absurd = X[:1].copy()
    absurd[0, 3] = 1e300
    assert scores.min() - 2000 < model.score_samples(absurd)[0] < scores[0]
    hidden = X[:40].copy()
    hidden[:, 3] = np.nan
    assert np.isfinite(model.score_samples(hidden)).all()


def test_rows_have_the_density_of_what_is_observed(gaussian):
    model = RobustPCA(3).fit(gaussian)
    X = gaussian[:20].copy()
    X[np.random.RandomState(0).uniform(size=X.shape) < 0.3] = np.nan
    covariance, expected = model.get_covariance(), []
    for row in X:
        seen = np.isfinite(row)
        cov, away = covariance[np.ix_(seen, seen)], (row - model.mean_)[seen]
        expected.append(
            -0.5 * (seen.sum() * np.log(2 * np.pi) + np.linalg.slogdet(cov)[1] + away @ np.linalg.solve(cov, away))
        )
    assert_allclose(model.score_samples(X), expected, rtol=1e-8)


def test_an_exact_fit_has_finite_likelihoods():
    problem = make_corrupted_matrix((60, 20), 2, outliers=0.1, random_state=0)
    model = RobustPCA().fit(problem.data)
    assert model.stop_reason_ == "exact" and model.noise_variance_ < 1e-20
    assert np.isfinite(model.score_samples(problem.data)).all()
    assert np.isfinite(model.get_precision()).all()


@pytest.mark.slow
def test_grid_search_over_the_number_of_components():
    X, y = load_wine(return_X_y=True)
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=X.shape) < 0.05
    spoilt = np.where(wrong, X + 10 * X.std(axis=0) * rng.choice([-1, 1], X.shape), X)
    scaled = StandardScaler().fit(X).transform(spoilt)
    grid = {"robustpca__n_components": [2, 4]}
    pipeline = make_pipeline(RobustPCA(), LogisticRegression())
    search = GridSearchCV(pipeline, grid, cv=3).fit(scaled, y)
    assert search.best_score_ > 0.9
    plain = GridSearchCV(make_pipeline(PCA(), LogisticRegression()), {"pca__n_components": [2, 4]}, cv=3)
    assert search.best_score_ > plain.fit(scaled, y).best_score_ + 0.1
    folds = KFold(3, shuffle=True, random_state=0)  # rows are in the order of their classes
    by_likelihood = GridSearchCV(RobustPCA(), {"n_components": [1, 4]}, cv=folds).fit(scaled)
    assert by_likelihood.best_params_ == {"n_components": 4}


@pytest.mark.parametrize(
    ("value", "error"), [("most", ValueError), (1.0, ValueError), (-0.5, ValueError), (0, ValueError), (21, ValueError)]
)
def test_bad_numbers_of_components(value, error):
    with pytest.raises(error, match="n_components must be"):
        RobustPCA(value).fit(np.random.RandomState(0).standard_normal((30, 20)))


def test_whiten_is_checked(noiseless):
    with pytest.raises(TypeError, match="whiten must be True or False"):
        RobustPCA(whiten="yes").fit(noiseless.data)


def test_directions_without_variance_have_no_scores():
    """Not those of the mean either, which was a direction of the matrix."""
    problem = make_corrupted_matrix((100, 20), 3, outliers=0.0, noise=0.1, mean=2.0, random_state=0)
    exact = RobustPCA(5, whiten=True).fit(problem.clean)
    assert_allclose(exact.transform(problem.clean)[:, 3:], 0.0, atol=1e-6)  # rounding is not blown up


@pytest.mark.parametrize("size", [1e-165, 1e200])
def test_extreme_sizes_have_likelihoods(size):
    data = make_corrupted_matrix((100, 20), 3, outliers=0.0, noise=0.1, random_state=0).data
    usual, model = RobustPCA(whiten=True).fit(data), RobustPCA(whiten=True).fit(data * size)
    assert model.score(data * size) == pytest.approx(usual.score(data) - 20 * np.log(size), abs=0.1)
    assert_allclose(model.transform(data * size), usual.transform(data), atol=1e-3)


@pytest.mark.filterwarnings("ignore:. (rows|columns) of X")
def test_a_few_numbers_tell_no_noise():
    X = np.random.RandomState(0).standard_normal((4, 6))
    with pytest.warns(ConvergenceWarning):
        model = RobustPCA().fit(X)
    assert model.score(X) > -100.0


def test_rows_without_entries_do_not_count_in_the_score():
    """They counted as rows of likelihood one."""
    X = make_corrupted_matrix((60, 12), rank=2, outliers=0.0, noise=0.1, random_state=0).data
    model = RobustPCA().fit(X)
    more = np.vstack([X, np.full_like(X, np.nan)])
    assert_allclose(model.score(more), model.score(X), rtol=1e-12)
    weight = np.r_[np.arange(60.0), np.full(60, 5.0)]
    assert_allclose(model.score(more, sample_weight=weight), model.score(X, sample_weight=weight[:60]), rtol=1e-12)
