"""RobustPCA: the principal components of the clean matrix."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_robustlr import RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix


@pytest.mark.parametrize("mean", [0.0, 3.0])
def test_pca_is_that_of_the_clean_matrix(mean):
    p = make_corrupted_matrix((100, 50), rank=3, observed=0.8, outliers=0.2, condition=3, mean=mean, random_state=4)
    robust, plain = RobustPCA().fit(p.data), PCA(3).fit(p.clean)
    assert robust.n_components_ == 3
    for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "components_"):
        ours, theirs = getattr(robust, name), getattr(plain, name)
        if name == "components_":
            theirs = theirs * np.sign(np.sum(ours * theirs, axis=1))[:, None]
        assert_allclose(ours, theirs, atol=1e-8, err_msg=name)
    scores = robust.transform(p.data)
    assert_allclose(robust.inverse_transform(scores), p.clean, atol=1e-8)
    assert_allclose(scores, (p.clean - robust.mean_) @ robust.components_.T, atol=1e-8)
    assert robust.noise_variance_ < 1e-20


def test_pca_keeps_the_leading_components(noisy, noisy_pca):
    both, one = noisy_pca, RobustPCA(1).fit(noisy.data)
    assert (both.n_components_, one.n_components_) == (2, 1)
    # the bound changes the width of the first stage, and with it the last digits
    assert_allclose(one.components_, both.components_[:1], atol=1e-4)
    assert_allclose(one.transform(noisy.data), both.transform(noisy.data)[:, :1], atol=1e-3)
    assert_allclose(one.explained_variance_ratio_, both.explained_variance_ratio_[:1], rtol=1e-4)
    many = RobustPCA(30).fit(noisy.data)
    assert many.n_components_ == 30
    assert_allclose(many.components_ @ many.components_.T, np.eye(30), atol=1e-10)
    assert_allclose(many.components_[:2], both.components_, atol=1e-3)
    directions = min(noisy.data.shape)
    noise = np.r_[many.explained_variance_[2:], np.full(directions - 30, many.noise_variance_)]
    assert (np.diff(noise) <= 0.0).all()
    assert_allclose(noise.mean(), both.noise_variance_, rtol=0.05)


def noisy_table(shape, rank, share, seed=0):
    """A low-rank matrix with noise in all entries, the same with a share of errors, and the mask of these."""
    rng = np.random.RandomState(seed)
    clean = make_corrupted_matrix(shape, rank, outliers=0.0, random_state=seed).clean
    table = clean + 0.1 * clean.std() * rng.standard_normal(shape)
    wrong = rng.uniform(size=shape) < share
    return table, np.where(wrong, table + 10.0 * clean.std() * rng.choice([-1.0, 1.0], shape), table), wrong


@pytest.mark.parametrize(("shape", "share", "precision"), [((200, 20), 0.1, 0.08), ((30, 100), 0.0, 0.01)])
def test_components_beyond_the_rank_are_those_of_the_noise(shape, share, precision):
    """They were any directions, with scores of zero."""
    table, data, wrong = noisy_table(shape, 2, share)
    robust, plain = RobustPCA(6), PCA(6).fit(table)
    scores = robust.fit_transform(data)
    assert robust.stop_reason_ == "noisy" and robust.rank_ == 2
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=precision)
    assert_allclose(robust.noise_variance_, plain.noise_variance_, rtol=precision)
    assert_allclose(robust.transform(data), scores)
    assert_allclose(robust.transform(np.where(wrong, np.nan, data)), scores, atol=1e-8)  # errors have no part in them
    right = np.mean(~wrong)
    assert_allclose(scores.var(axis=0, ddof=1)[2:], right * robust.explained_variance_[2:], rtol=0.05)
    if not share:
        cosines = np.linalg.svd(robust.components_ @ plain.components_.T, compute_uv=False)
        assert cosines.min() > 0.99


def test_pca_variances_with_noise(noisy, noisy_pca):
    clean = noisy.clean + 0.1 * np.random.RandomState(0).standard_normal(noisy.clean.shape)
    robust, plain = noisy_pca, PCA(2).fit(clean)
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.05)
    assert_allclose(robust.explained_variance_ratio_, plain.explained_variance_ratio_, rtol=0.03)
    assert_allclose(robust.noise_variance_, plain.noise_variance_, rtol=0.1)


def test_pca_without_centring(noiseless):
    fitted = RobustPCA(center=False).fit(noiseless.data)
    assert_array_equal(fitted.mean_, 0.0)
    assert_allclose(fitted.singular_values_, np.linalg.svd(noiseless.clean)[1][:3])


def test_pipeline_with_a_classifier(noiseless):
    labels = (noiseless.clean[:, :3].sum(axis=1) > 0).astype(int)
    pipeline = make_pipeline(RobustPCA(), LogisticRegression(C=100)).fit(noiseless.data, labels)
    assert pipeline.score(noiseless.data, labels) > 0.95


def test_bad_parameters_of_pca(noiseless, pca):
    with pytest.raises(ValueError, match="n_components must be from 1 to min"):
        RobustPCA(0).fit(noiseless.data)
    with pytest.raises(TypeError, match="center must be True or False"):
        RobustPCA(center="yes").fit(noiseless.data)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        pca.inverse_transform(np.ones((2, 4)))
    with pytest.raises(NotFittedError):
        RobustPCA().inverse_transform(np.ones((2, 4)))


def test_a_mean_that_is_a_direction_is_no_component():
    """The rank of such a fit is three, and the third component was any direction."""
    problem = make_corrupted_matrix((400, 60), 2, outliers=0.0, noise=0.1, mean=2.0, random_state=0)
    robust, plain = RobustPCA(3).fit(problem.data), PCA(3).fit(problem.data)
    assert robust.stop_reason_ == "noisy" and robust.rank_ == 3
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.02)
    assert_allclose(robust.transform(problem.data)[:, 2].var(), robust.explained_variance_[2], rtol=0.02)


def test_components_beyond_the_rank_of_a_large_table():
    """A block of it is searched: its outliers are not those of all."""
    table, data, _ = noisy_table((3000, 500), 3, 0.05, seed=1)
    robust, plain = RobustPCA(5).fit(data), PCA(5, svd_solver="randomized", random_state=0).fit(table)
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.06)
    assert_allclose(robust.noise_variance_, plain.noise_variance_, rtol=0.02)


def test_noise_beyond_the_rank_does_not_depend_on_what_is_missing():
    """It was a sixth too small where few entries are seen for each degree of freedom. The largest one is apart."""
    problem = make_corrupted_matrix((300, 100), 2, observed=0.2, outliers=0.0, noise=0.1, random_state=1)
    noise = 0.01 * problem.clean.var()
    assert 0.94 * noise < RobustPCA(3).fit(problem.data).noise_variance_ < noise


def test_components_that_are_alike_are_all_kept():
    """Each raised the mean that the others are compared with, and one was left."""
    n, p, k = 16, 400, 4
    rng = np.random.RandomState(0)
    rows = rng.standard_normal((n, n))
    left = np.linalg.svd(rows - rows.mean(axis=0))[0][:, : n - 1]
    right = np.linalg.qr(rng.standard_normal((p, n - 1)))[0]
    sizes = np.append(np.ones(k), 0.12 / np.arange(1, n - k)) * np.sqrt(n * p)
    data = (left * sizes) @ right.T + 0.05 * rng.standard_normal((n, p))
    variances = PCA().fit(data).explained_variance_
    assert variances[0] < 1.01 * variances[k - 1] and variances[k - 1] > 60.0 * variances[k]
    assert RobustPCA().fit(data).n_components_ >= k


def test_weak_directions_beside_columns_of_nothing_but_noise_are_kept():
    """In units in which columns are alike, noise was most of those without a peak: two of six directions were lost."""
    rng = np.random.RandomState(0)
    places = np.linspace(0.0, 1.0, 500)
    peaks = np.exp(-0.5 * ((places - rng.uniform(size=7)[:, None]) / 0.05) ** 2)
    data = rng.uniform(size=(60, 7)) @ peaks + 0.01 * rng.standard_normal((60, 500))
    told = PCA().fit(data[6:])
    assert told.explained_variance_[5] > 20.0 * told.explained_variance_[6]
    data[:6] += 3.0 * rng.standard_normal((6, 500))
    model = RobustPCA().fit(data)
    assert model.n_components_ == 6
    assert_allclose(model.explained_variance_, told.explained_variance_[:6], rtol=0.1)


def test_few_rows_of_columns_that_are_mostly_zero():
    """The noise of the transposed table was that of its columns, of which there are more."""
    pixels = load_digits().data[80:120]
    pixels = pixels[:, pixels.std(axis=0) > 0.0]
    robust, plain = RobustPCA(5).fit(pixels), PCA(5).fit(pixels)
    assert np.isfinite(robust.transform(pixels)).all()
    assert (
        np.var(pixels @ robust.components_.T, axis=0).sum() > 0.8 * np.var(pixels @ plain.components_.T, axis=0).sum()
    )


def test_long_tails_are_no_errors():
    """They were in the units of the data, and as many components as are asked for bounded the model of the table."""
    rng = np.random.RandomState(0)
    logs = rng.standard_normal((300, 3)) @ (rng.standard_normal((3, 14)) * [[0.9], [0.6], [0.4]])
    clean = np.exp(logs + 0.1 * rng.standard_normal(logs.shape))
    clean = (clean - clean.mean(axis=0)) / clean.std(axis=0)
    wrong = rng.uniform(size=clean.shape) < 0.02
    data = np.where(wrong, clean + 20.0 * rng.choice([-1.0, 1.0], clean.shape), clean)
    robust, told = RobustPCA(3).fit(data), PCA(3).fit(clean)
    held = np.var((clean - clean.mean(axis=0)) @ robust.components_.T, axis=0).sum() / told.explained_variance_.sum()
    assert held > 0.96
    assert robust.outliers_[wrong].mean() > 0.9 and robust.outliers_[~wrong].mean() < 0.02
