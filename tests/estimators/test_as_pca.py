"""RobustPCA does what scikit-learn's tests ask of PCA, of what applies to it."""

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix

IRIS = load_iris().data


def signs(ours, theirs):
    """What theirs has to be multiplied by to point where ours points, one sign a component."""
    return np.sign(np.sum(ours.components_ * theirs.components_, axis=1))


def noisy_table(n_samples, n_features, n_directions, noise=0.1, seed=0):
    """Normal rows with so many directions of a variance far above the noise, and a mean."""
    rng = np.random.RandomState(seed)
    axes = np.linalg.qr(rng.standard_normal((n_features, n_directions)))[0]
    scores = rng.standard_normal((n_samples, n_directions)) * np.linspace(6.0, 3.0, n_directions)
    return scores @ axes.T + noise * rng.standard_normal((n_samples, n_features)) + rng.uniform(1, 3, n_features)


@pytest.fixture(scope="module")
def decaying():
    """A clean table without a sharp rank."""
    rng = np.random.RandomState(1)
    turn = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    return (rng.standard_normal((120, 7)) * np.exp(-np.arange(7) / 3)) @ turn + 2.0


@pytest.mark.parametrize("n_components", [1, 3])
def test_iris(n_components):
    robust, plain = RobustPCA(n_components), PCA(n_components).fit(IRIS)
    scores = robust.fit_transform(IRIS)
    assert scores.shape == (150, n_components)
    assert_allclose(robust.transform(IRIS), scores)
    assert_allclose(scores, plain.transform(IRIS) * signs(robust, plain), atol=1e-8)
    assert_allclose(robust.get_covariance() @ robust.get_precision(), np.eye(4), atol=1e-10)
    assert (robust.n_samples_, robust.n_features_in_) == (150, 4)


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
@pytest.mark.parametrize("seed", [3, 15])
def test_a_sample_of_iris_of_which_one_direction_is_sharp(seed):
    """The second component was any direction, with scores of zero."""
    some = StandardScaler().fit_transform(IRIS[np.random.RandomState(seed).choice(150, 105, replace=False)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 row of X")
        robust, plain = RobustPCA(2).fit(some), PCA(2).fit(some)
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.1)
    ours, theirs = robust.transform(some), plain.transform(some) * signs(robust, plain)
    for k in (0, 1):
        assert np.corrcoef(ours[:, k], theirs[:, k])[0, 1] > 0.98
    assert robust.score(some) > plain.score(some) - 0.1


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_as_many_components_as_the_smaller_side(shape):
    """Nothing is left beside them, and no mean is taken of it."""
    data = make_corrupted_matrix(shape, rank=2, outliers=0.0, mean=1.0, random_state=0).data
    model = RobustPCA(12).fit(data)
    assert model.components_.shape == (12, shape[1])
    assert model.noise_variance_ < 1e-20
    assert np.isfinite(model.score(data))


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(60, 20), (20, 60)], ids=["tall", "wide"])
def test_new_rows_of_tall_and_wide_data(shape, dtype, whiten):
    n = shape[0]
    data = make_corrupted_matrix((n + 8, shape[1]), 3, outliers=0.0, condition=3.0, random_state=0).data.astype(dtype)
    robust, plain = (kind(3, whiten=whiten).fit(data[:n]) for kind in (RobustPCA, PCA))
    precision = 1e-9 if dtype == np.float64 else 1e-3
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=precision)
    for rows in (data[:n], data[n:]):
        scores = robust.transform(rows)
        back = robust.inverse_transform(scores)
        assert scores.dtype == dtype
        assert_allclose(scores, plain.transform(rows) * signs(robust, plain), atol=10 * precision)
        assert_allclose(back, plain.inverse_transform(plain.transform(rows)), atol=10 * precision)


def test_variances_are_those_of_the_scores(decaying):
    model = RobustPCA(3)
    scores = model.fit_transform(decaying)
    assert_allclose(np.var(scores, axis=0, ddof=1), model.explained_variance_)
    eigenvalues = np.linalg.eigvalsh(np.cov(decaying.T))[::-1]
    assert_allclose(model.explained_variance_, eigenvalues[:3], rtol=1e-6)
    assert_allclose(np.linalg.norm(scores, axis=0), model.singular_values_)
    total = np.var(decaying, axis=0, ddof=1).sum()
    assert_allclose(model.explained_variance_ / model.explained_variance_ratio_, total, rtol=1e-6)


def test_singular_values_that_were_made():
    rng = np.random.RandomState(0)
    left = np.linalg.qr(np.column_stack([np.ones(30), rng.standard_normal((30, 3))]))[0][:, 1:]  # without a mean
    right = np.linalg.qr(rng.standard_normal((20, 3)))[0]
    data = (left * [7.0, 2.5, 0.5]) @ right.T
    assert_allclose(RobustPCA().fit(data).singular_values_, [7.0, 2.5, 0.5])


def test_a_row_far_along_a_direction():
    rng = np.random.RandomState(0)
    direction = np.linspace(1.0, 3.0, 12)
    data = 0.1 * rng.standard_normal((60, 12)) + np.outer(rng.uniform(size=60) < 0.4, direction)
    data[:, 3] += rng.standard_normal(60) / 3
    score = RobustPCA(2).fit(data).transform(4.0 * direction[None])
    assert abs(score[0, 0]) > 0.995 * np.linalg.norm(score)


def test_lists():
    data = np.outer(np.arange(1.0, 9.0), [1.0, -2.0, 3.0, 4.0, 5.0])
    scores = RobustPCA(1).fit_transform(data.tolist())
    assert_allclose(scores.mean(), 0.0, atol=1e-12)
    assert_allclose(scores, RobustPCA(1).fit_transform(data), atol=1e-12)


def test_nearly_all_of_the_data_comes_back():
    data = noisy_table(50, 12, 2, noise=1e-5)
    model = RobustPCA(2).fit(data)
    for whiten in (False, True):
        model.set_params(whiten=whiten)
        assert_allclose(model.inverse_transform(model.transform(data)), data, atol=1e-4)


@pytest.mark.parametrize(("n_directions", "shape"), [(1, (60, 15)), (3, (60, 15)), (2, (15, 40))])
def test_mle_counts_the_directions(n_directions, shape):
    model = RobustPCA("mle").fit(noisy_table(*shape, n_directions))
    assert model.n_components == "mle" and model.n_components_ == n_directions


def test_mle_of_noise_alone():
    with pytest.warns(ConvergenceWarning, match="low-rank structure|noise is about as large"):
        model = RobustPCA("mle").fit(np.random.RandomState(0).standard_normal((20, 8)))
    assert model.n_components_ == 1


def test_mle_of_columns_that_repeat():
    """One column, and others that are it times a number."""
    column = np.random.RandomState(0).standard_normal((50, 1))
    assert RobustPCA("mle").fit(column * np.linspace(-2.0, 3.0, 14)).n_components_ == 1


def test_mle_of_a_column_that_is_the_mean_of_the_others():
    data = np.random.RandomState(0).standard_normal((200, 6))
    data[:, -1] = data[:, :-1].mean(axis=1)
    assert RobustPCA("mle").fit(data).n_components_ == 5


@pytest.mark.parametrize(("share", "expected"), [(0.95, 2), (0.01, 1)])
def test_a_share_of_the_variance_of_iris(share, expected):
    model = RobustPCA(share).fit(IRIS)
    assert model.n_components == share
    assert model.n_components_ == expected


def test_a_share_that_all_but_the_last_component_explain():
    share = RobustPCA(4).fit(IRIS).explained_variance_ratio_.cumsum()[-2]
    assert RobustPCA(share).fit(IRIS).n_components_ == 4


def test_the_score_is_that_of_the_law_of_the_data():
    rows = noisy_table(250, 8, 2)
    data, others = rows[:200], rows[200:]
    model = RobustPCA(2).fit(data)
    score = model.score(data)
    # the mean log-density of normal rows is minus half the logarithm of the determinant of 2 pi e times the covariance
    law = -0.5 * (8 * np.log(2 * np.pi * np.e) + np.log(36.01) + np.log(9.01) + 6 * np.log(0.01))
    assert score == pytest.approx(law, abs=0.4)
    more_noise = others + 0.3 * np.random.RandomState(1).standard_normal(others.shape)
    assert model.score(more_noise) < model.score(others)
    assert model.set_params(whiten=True).score(data) == score


def test_the_score_of_new_rows_selects_the_number_of_components():
    rng = np.random.RandomState(0)
    data = (
        rng.standard_normal((300, 4)) + np.outer(rng.standard_normal(300), [3.0, 4.0, 5.0, 2.0]) + [1.0, 0.0, 7.0, 3.0]
    )
    scores = [RobustPCA(k).fit(data[:150]).score(data[150:]) for k in (1, 2, 3)]
    assert np.argmax(scores) == 0


def test_no_component_has_less_variance_than_the_noise():
    model = RobustPCA(9).fit(load_wine().data)
    assert (model.explained_variance_ >= model.noise_variance_).all()


def test_no_noise_is_left_beside_all_components():
    model = RobustPCA(4).fit(IRIS)
    assert model.noise_variance_ == 0.0
    assert_allclose(model.score(IRIS), PCA(4).fit(IRIS).score(IRIS))


def test_the_state_of_random_numbers_does_not_matter():
    rng = np.random.RandomState(0)
    first = RobustPCA(2, random_state=rng).fit_transform(IRIS[::3])
    rng.standard_normal(5)
    assert_array_equal(RobustPCA(2, random_state=rng).fit_transform(IRIS[::3]), first)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool])
def test_integers_are_read_in_double_precision(dtype):
    data = np.outer(np.arange(1, 15), np.arange(1, 11)).astype(dtype)
    model = RobustPCA(1).fit(data)
    assert model.components_.dtype == model.transform(data).dtype == np.float64
    assert_allclose(model.components_, RobustPCA(1).fit(data.astype(float)).components_)


def integers_with_holes():
    """Integers of rank two, some of them missing."""
    i, j = np.arange(1.0, 21.0), np.arange(1.0, 9.0)
    data = np.outer(i, j) + np.outer(i % 3, j % 4)
    data[3, 4] = data[7, 1] = np.nan
    return data


@pytest.mark.parametrize("dtype", ["Int64", "Float32"])
def test_nullable_columns(dtype):
    data = integers_with_holes()
    frame = pd.DataFrame(data, columns=list("abcdefgh")).astype(dtype)
    assert frame.isna().to_numpy().sum() == 2
    model = RobustPCA().set_output(transform="pandas")
    scores = model.fit_transform(frame)
    expected = RobustPCA().fit(data)
    assert list(scores.columns) == ["robustpca0", "robustpca1"]
    assert_array_equal(scores, expected.transform(data))
    assert_array_equal(model.transform(frame.iloc[:5]), scores.iloc[:5])
    assert model.score(frame) == expected.score(data)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_polars(small, missing):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(small.data, schema=[f"c{j}" for j in range(30)]).fill_nan(missing)
    model = RobustPCA().set_output(transform="polars")
    scores = model.fit_transform(frame)
    expected = RobustPCA().fit(small.data)
    assert isinstance(scores, pl.DataFrame) and scores.columns == ["robustpca0", "robustpca1"]
    assert_array_equal(scores.to_numpy(), expected.transform(small.data))
    assert_array_equal(model.transform(frame[:5]).to_numpy(), scores[:5].to_numpy())
    assert list(model.feature_names_in_) == frame.columns
    assert_array_equal(model.inverse_transform(scores), expected.inverse_transform(scores.to_numpy()))
    assert model.score(frame) == expected.score(small.data)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename({"c0": "other"}))


def test_polars_integers_with_nulls():
    pl = pytest.importorskip("polars")
    data = integers_with_holes()
    frame = pl.DataFrame(data, schema=list("abcdefgh")).fill_nan(None).cast(pl.Int64)
    assert frame["e"].null_count() == 1
    assert_array_equal(RobustPCA().fit_transform(frame), RobustPCA().fit_transform(data))
    with pytest.raises(ValueError, match="not numbers: 'city'"):
        RobustPCA().fit(frame.with_columns(pl.lit("x").alias("city")))


# What a user who comes from there stumbled on


def test_single_precision_comes_back_from_whitened_scores():
    X = np.outer(np.arange(1, 21), np.arange(1, 11)).astype(np.float32)
    model = RobustPCA(1, whiten=True).fit(X)
    assert model.inverse_transform(model.transform(X)).dtype == np.float32


def test_a_number_of_components_hides_no_doubt():
    X = np.random.RandomState(1).standard_normal((100, 20)) * np.r_[10, 8, np.ones(18)]
    with pytest.warns(ConvergenceWarning):
        model = RobustPCA(2).fit(X)
    assert_allclose(model.explained_variance_, PCA(2).fit(X).explained_variance_, rtol=1e-6)


def test_noise_has_its_variance_beside_a_mean():
    rng = np.random.RandomState(0)
    signal = 3 * rng.standard_normal((400, 1)) @ rng.standard_normal((1, 12)) + 5 * rng.uniform(0.5, 1.5, 12)
    model = RobustPCA(1).fit(signal + 0.1 * rng.standard_normal((400, 12)))
    assert model.noise_variance_ / model.scale_**2 == pytest.approx(1.0, abs=0.01)


def test_a_direction_without_variance_has_none_in_the_covariance():
    X = np.random.RandomState(0).standard_normal((400, 10))
    X[:, -1] = X[:, :-1].mean(axis=1)
    model = RobustPCA(9).fit(X)
    assert model.noise_variance_ < 1e-12
    power = model.components_.T * model.explained_variance_
    assert_allclose(model.get_covariance(), power @ model.components_, atol=1e-8)


def test_a_table_of_few_rows_and_many_columns():
    """Its components are those of PCA, and no products of all columns with one another are stored."""
    rng = np.random.RandomState(0)
    n, p = 12, 2000
    X = rng.standard_normal((n, n)) / np.arange(1, n + 1) @ rng.standard_normal((n, p)) + 0.1 * rng.standard_normal(
        (n, p)
    )
    data = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)
    tracemalloc.start()
    model = RobustPCA(3).fit(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < p * p * 8
    pca = PCA(3).fit(X)
    assert_allclose(model.explained_variance_, pca.explained_variance_, rtol=0.05)
    assert np.abs(np.sum(model.components_ * pca.components_, axis=1)).min() > 0.98
    assert_allclose(model.components_ @ model.components_.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("shape", [(300, 12), (60, 90)])
def test_what_estimates_lack_counts_in_the_variance(shape):
    """An estimate varies less than the entry that is missing: of these tables by a fifth and more of all variance."""
    rng = np.random.RandomState(0)
    n, p = shape
    X = rng.standard_normal((n, 12)) / np.arange(1, 13) @ rng.standard_normal((12, p)) + 0.8 * rng.standard_normal(
        (n, p)
    )
    model = RobustPCA(3).fit(np.where(rng.uniform(size=X.shape) < 0.4, np.nan, X))
    total = model.explained_variance_.sum() / model.explained_variance_ratio_.sum()
    assert 0.88 < total / X.var(axis=0, ddof=1).sum() < 1.1


def _drawn(spectrum, n, rng, turn):
    """Rows of these standard deviations along turned axes, about two."""
    return rng.standard_normal((n, len(spectrum))) * spectrum @ turn.T + 2.0


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        *(("decaying", missing) for missing in ("scattered", "most of some rows", "some rows")),
        *(("sharp", missing) for missing in ("scattered", "none, weights nearly one")),
    ],
)
def test_what_is_missing_changes_neither_variances_nor_noise(kind, missing):
    """What estimates lack has the covariance that the model states: it was added to the noise alone."""
    rng = np.random.RandomState(0)
    spectrum = 3.0 / np.arange(1.0, 13.0) if kind == "decaying" else np.repeat([6.0, 0.5], [3, 9])
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    clean, new = _drawn(spectrum, 400, rng, turn), _drawn(spectrum, 400, rng, turn)
    data, weights = clean.copy(), None
    if missing == "scattered":
        data[rng.uniform(size=data.shape) < 0.5] = np.nan
    elif missing == "most of some rows":
        data[np.ix_(rng.uniform(size=400) < 0.5, rng.permutation(12)[3:])] = np.nan
    elif missing == "some rows":
        data = np.vstack([data, np.full((200, 12), np.nan)])
    else:
        weights = rng.uniform(0.99, 1.01, data.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the empty rows
        ours = RobustPCA(3).fit(data, entry_weight=weights)
    theirs = PCA(3).fit(clean)
    assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=0.15)
    assert_allclose(ours.noise_variance_, theirs.noise_variance_, rtol=0.25)
    assert ours.score(new) > theirs.score(new) - 0.3


def test_the_precision_of_columns_in_unlike_units():
    """An income beside a ratio: what was small beside the income was no part of the inverse."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 5)) + 0.3 * rng.standard_normal((300, 5))
    X *= [3e6, 500.0, 40.0, 6.0, 0.5]
    model, other = RobustPCA(3).fit(X), PCA(3).fit(X)
    assert_allclose(np.diag(model.get_precision()), np.diag(other.get_precision()), rtol=0.05)


@pytest.mark.parametrize(("size", "value"), [(1e-6, 0.0), (1e6, 2.0)])
def test_a_constant_column_has_no_variance_in_any_unit(size, value):
    """Its unit was one: in small units it was the first component."""
    rng = np.random.RandomState(0)
    X = size * np.column_stack([load_wine().data, np.full(178, value)])
    X[rng.uniform(size=X.shape) < 0.05] = np.nan
    model = RobustPCA(3).fit(X)
    assert_allclose(model.components_[:, -1], 0.0, atol=1e-9)
    assert 0.9 < model.explained_variance_[0] / size**2 / PCA(1).fit(load_wine().data).explained_variance_[0] < 1.1


@pytest.mark.filterwarnings("ignore:.*not identifiable")  # rows of few inliers
def test_errors_in_most_rows_of_a_tall_complete_table():
    """Rows of more than a quarter of a million entries are repaired at a time."""
    rng = np.random.RandomState(0)
    rates = np.exp(0.4 * rng.standard_normal((29000, 5))) @ rng.uniform(size=(5, 10))
    clean = rates + rng.uniform(0.05, 0.4, 10) * rng.standard_normal(rates.shape)
    clean[:, :3] = np.round(2.0 * clean[:, :3]) / 2.0
    wrong = rng.uniform(size=clean.shape) < 0.2
    ours = RobustPCA(2).fit(clean + 10.0 * wrong * rng.choice([-1.0, 1.0], clean.shape))
    theirs = PCA(2).fit(clean)
    assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=0.1)
    assert np.abs(np.sum(ours.components_ * theirs.components_, axis=1)).min() > 0.95
