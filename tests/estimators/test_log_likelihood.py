"""Log-likelihood of hidden entries: that of the truth where that is known, and what a search chooses by."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import log_likelihood_scorer


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_it_is_that_of_the_noise_where_much_is_known(noise):
    problem = make_corrupted_matrix((200, 120), 2, noise=noise, outliers=0.0, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    truth = -0.5 * np.log(2.0 * np.pi * np.e * noise**2)
    assert truth - 0.06 < model.log_likelihood(problem.data) < truth + 0.02


def test_new_rows_and_gross_errors_are_allowed_for():
    """A tenth of gross errors, spread over some twenty standard deviations, costs their entropy and no more."""
    problem = make_corrupted_matrix((300, 100), 2, noise=0.2, outliers=0.1, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data[:200])
    truth = -0.5 * np.log(2.0 * np.pi * np.e * 0.2**2)
    assert truth - 0.8 < model.log_likelihood(problem.data[200:]) < truth - 0.2


def test_the_average_is_no_worse_than_medians_alone():
    X = StandardScaler().fit_transform(load_wine().data)
    model = RobustMatrixCompletion().fit(X)
    assert model.log_likelihood(X) > -0.5 * np.log(2.0 * np.pi * np.e) + 0.2


def test_exact_fits_and_those_that_tell_nothing():
    exact = make_corrupted_matrix((60, 40), 2, outliers=0.1, random_state=0).data
    assert RobustMatrixCompletion().fit(exact).log_likelihood(exact) == np.inf
    with pytest.raises(ValueError, match="no observed entry"):
        RobustMatrixCompletion().fit(exact).log_likelihood(np.full((2, 40), np.nan))


def test_a_search_chooses_by_it():
    """Also behind a step that scales."""
    data = make_corrupted_matrix((120, 40), 3, noise=0.3, observed=0.8, outliers=0.05, random_state=0).data
    pipeline = make_pipeline(StandardScaler(), RobustMatrixCompletion())
    grid = {"robustmatrixcompletion__rank": [1, 3]}
    search = GridSearchCV(pipeline, grid, scoring=log_likelihood_scorer, cv=2, refit=False)
    assert search.fit(data).best_params_ == {"robustmatrixcompletion__rank": 3}


def test_others_are_refused():
    with pytest.raises(TypeError, match="needs a RobustMatrixCompletion, got PCA"):
        log_likelihood_scorer(PCA().fit(np.eye(3)), np.eye(3))


@pytest.mark.parametrize("mean", [1.0, 50.0])
def test_scores_of_rows_of_an_exact_fit_do_not_depend_on_the_mean(mean):
    """The mean is a direction in which rows do not spread: what rounding leaves of it gave scores of 1e15."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 20)) + mean
    model = RobustMatrixCompletion().fit(X)
    assert model.stop_reason_ == "exact"
    scores, expected = model.score_samples(X), RobustMatrixCompletion().fit(X - mean).score_samples(X - mean)
    away = scores - scores.mean(), expected - expected.mean()
    np.testing.assert_allclose(*away, atol=0.5)
    assert model.score_samples(X[:1] + rng.standard_normal(20))[0] < scores.min()


@pytest.mark.parametrize("kind", ["sharp", "decaying"])
def test_columns_of_which_nothing_is_known_do_not_count(kind):
    """Their values moved the coefficients of rows, and those of all other columns were no longer likely."""
    rng = np.random.RandomState(0)
    size = np.ones(3) if kind == "sharp" else 3.0 / np.arange(1.0, 21.0) ** 1.5
    loadings = rng.standard_normal((len(size), 25))
    data, new = ((rng.standard_normal((200, len(size))) * size) @ loadings for _ in range(2))
    data, new = (part + 0.3 * rng.standard_normal(part.shape) for part in (data, new))
    data[:, 0] = np.nan
    with pytest.warns(UserWarning, match="1 column of X"):
        model = RobustMatrixCompletion(keep_empty_features=True).fit(data)
    without = new.copy()
    without[:, 0] = np.nan
    assert model.log_likelihood(new) == pytest.approx(model.log_likelihood(without), abs=1e-12)
    np.testing.assert_allclose(model.outlier_probability(new)[:, 1:], model.outlier_probability(without)[:, 1:])
