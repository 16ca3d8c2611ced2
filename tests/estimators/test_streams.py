"""Batches of rows: as good as one fit of all, in constant memory, and after what drifts or comes anew."""

import pickle
from copy import deepcopy

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_iris

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


def rows(loadings, n, seed, *, noise=0.1, errors=0.1, missing=0.2):
    """Clean rows on loadings, and what is seen of them."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((n, loadings.shape[1])) @ loadings.T + 3.0
    data = clean + noise * rng.standard_normal(clean.shape)
    wrong = rng.uniform(size=clean.shape) < errors
    data[wrong] += 10.0 * rng.standard_normal(wrong.sum())
    data[rng.uniform(size=clean.shape) < missing] = np.nan
    return clean, data


def loadings(kind, p=30, seed=0):
    directions = np.linalg.qr(np.random.RandomState(seed).standard_normal((p, p)))[0] * np.sqrt(p)
    return directions[:, :3] if kind == "sharp" else directions / np.arange(1.0, p + 1.0)


def error(model, clean, data):
    return np.sqrt(np.mean((model.transform(data) - clean) ** 2))


@pytest.mark.parametrize(
    ("kind", "noise"), [pytest.param("sharp", 0.1, marks=pytest.mark.slow), ("decaying", 0.1), ("sharp", 0.0)]
)
def test_many_batches_are_as_good_as_one_fit(kind, noise):
    space = loadings(kind, 20)
    _, data = rows(space, 500, 1, noise=noise)
    new = rows(space, 500, 2, noise=noise)
    one = RobustMatrixCompletion(replace="all").fit(data)
    stream = RobustMatrixCompletion(replace="all")
    for batch in np.array_split(data, 10):
        stream.partial_fit(batch)
    assert stream.n_samples_seen_ == 500
    assert stream.converged_ and stream.stop_reason_ == one.stop_reason_
    assert error(stream, *new) < 1.1 * error(one, *new) + 1e-9
    assert_allclose(stream.location_, one.location_, atol=0.05)


def test_single_rows():
    clean, data = rows(loadings("sharp", 12), 40, 0, noise=0.0)
    stream = RobustMatrixCompletion()
    for row in data:
        assert stream.partial_fit(row[None]).outliers_.shape == (1, 12)
    assert stream.n_samples_seen_ == 40 and stream.stop_reason_ == "exact"
    assert_allclose(stream.transform(data[-5:]), clean[-5:], atol=1e-6)


def test_attributes_of_rows_are_those_of_the_batch():
    clean, data = rows(loadings("sharp"), 400, 0)
    stream = RobustMatrixCompletion(replace="all").partial_fit(data[:300]).partial_fit(data[300:])
    estimate = (stream.left_ * stream.singular_values_) @ stream.right_.T
    assert_allclose(estimate, stream.transform(data[300:]), atol=1e-9)
    assert_allclose(stream.predict_entries([5], [7]), estimate[5, 7])
    _, deviation = stream.predict_entries([5], [7], return_std=True)
    assert 0.0 < deviation < 0.2
    assert stream.outliers_.shape == (100, 30)
    assert np.sqrt(np.mean((estimate - clean[300:]) ** 2)) < 0.06


@pytest.mark.slow
def test_intervals_of_a_stream_cover():
    space = loadings("sharp")
    stream = RobustMatrixCompletion(replace="all")
    for batch in np.array_split(rows(space, 1000, 0)[1], 10):
        stream.partial_fit(batch)
    clean, data = rows(space, 300, 1)
    mean, deviation = stream.transform(data, return_std=True)
    assert 0.9 < np.mean(np.abs(mean - clean) < 1.96 * deviation) < 0.99


def test_what_drifts_is_followed_and_memory_does_not_grow():
    old, new = loadings("sharp", 20, 0), loadings("sharp", 20, 1)
    stream = RobustMatrixCompletion(replace="all", forgetting=0.98)
    for batch in np.array_split(rows(old, 400, 0)[1], 4):
        stream.partial_fit(batch)
    probe = rows(new, 200, 3)
    lost = error(stream, *probe)
    for batch in np.array_split(rows(new, 400, 2)[1], 5):
        stream.partial_fit(batch)
    assert error(stream, *probe) < 0.07 < 0.2 * lost
    size = len(pickle.dumps(stream))
    for batch in np.array_split(rows(new, 240, 4)[1], 3):
        stream.partial_fit(batch)
    assert len(pickle.dumps(stream)) < 1.1 * size


@pytest.mark.slow
def test_a_direction_that_comes_later_is_found():
    space = loadings("sharp", 20)
    stream = RobustMatrixCompletion(replace="all", forgetting=0.995)
    for batch in np.array_split(rows(space[:, :2], 1400, 0)[1], 14):
        stream.partial_fit(batch)
    assert stream.rank_ == 3  # two directions and the mean
    for batch in np.array_split(rows(space, 2000, 1)[1], 20):
        stream.partial_fit(batch)
    assert error(stream, *rows(space, 200, 2)) < 0.07


@pytest.mark.parametrize("kind", ["sharp", pytest.param("decaying", marks=pytest.mark.slow)])
def test_components_of_a_stream_are_those_of_one_fit(kind):
    _, data = rows(loadings(kind), 800, 0)
    one, stream = RobustPCA(3).fit(data), RobustPCA(3)
    for batch in np.array_split(data, 4):
        stream.partial_fit(batch)
    assert_allclose(stream.explained_variance_, one.explained_variance_, rtol=0.02)
    assert_allclose(stream.mean_, one.mean_, atol=0.02)
    assert np.linalg.svd(stream.components_ @ one.components_.T)[1].min() > 0.999
    assert stream.transform(data[:5]).shape == (5, 3)


@pytest.mark.slow
def test_sparse_batches_are_those_of_dense_ones():
    _, data = rows(loadings("sharp", 15), 200, 0)
    seen = np.isfinite(data)
    X = sparse.csr_matrix((data[seen], np.nonzero(seen)), shape=data.shape)
    models = RobustMatrixCompletion(), RobustMatrixCompletion()
    for model, table in zip(models, (data, X), strict=True):
        for i in range(0, 200, 50):
            model.partial_fit(table[i : i + 50])
    assert_allclose(models[0].right_, models[1].right_)
    assert_array_equal(models[0].outliers_, models[1].outliers_.toarray())


def test_fit_begins_anew():
    _, data = rows(loadings("sharp"), 300, 0)
    model = RobustMatrixCompletion().partial_fit(data).fit(data[:200])
    assert not hasattr(model, "n_samples_seen_")
    assert model.partial_fit(data[:50]).n_samples_seen_ == 50


@pytest.mark.parametrize(
    ("forgetting", "kind", "message"),
    [(0.0, ValueError, r"forgetting must be a number in \(0, 1\], got 0.0"), ("no", TypeError, "forgetting must be")],
)
@pytest.mark.parametrize("estimator", [RobustMatrixCompletion, RobustPCA])
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_forgetting_is_checked(forgetting, kind, message, estimator, method):
    with pytest.raises(kind, match=message):
        getattr(estimator(forgetting=forgetting), method)(np.eye(5))


def test_batches_have_the_same_columns():
    _, data = rows(loadings("sharp"), 50, 0)
    with pytest.raises(ValueError, match="X has 29 features, but RobustMatrixCompletion is expecting 30"):
        RobustMatrixCompletion().partial_fit(data).partial_fit(data[:, 1:])


def test_rows_fade_however_they_are_split():
    _, data = rows(loadings("sharp"), 400, 0)
    means = []
    for n in (1, 8):
        stream = RobustPCA(forgetting=0.95).partial_fit(data[:200])
        for batch in np.array_split(data[200:], n):
            stream.partial_fit(batch)
        means.append(stream.mean_)
        assert stream.n_samples_ < 30
    assert_allclose(*means, atol=0.5)


def test_a_constant_column_is_left_alone():
    """It is one direction more."""
    _, data = rows(loadings("sharp", 20), 300, 0)
    data[:, 3] = 5.0
    stream = RobustMatrixCompletion().partial_fit(data)
    assert stream.converged_ and not len(stream.undetermined_columns_)
    assert stream.outliers_[:, 3].mean() < 0.01
    data[:50, 3] = np.nan
    assert_allclose(stream.transform(data[:50])[:, 3], 5.0, atol=0.5)


@pytest.mark.slow
def test_noise_after_an_exact_beginning_is_noticed():
    space = loadings("sharp", 20)
    stream = RobustMatrixCompletion(replace="all", forgetting=0.99)
    for batch in np.array_split(rows(space, 800, 0, noise=0.0)[1], 8):
        stream.partial_fit(batch)
    assert stream.stop_reason_ == "exact"
    for batch in np.array_split(rows(space, 1000, 1)[1], 10):
        stream.partial_fit(batch)
    assert stream.stop_reason_ != "exact"
    assert error(stream, *rows(space, 200, 2)) < 0.1


def test_a_column_that_stops_coming_is_named():
    """It stays a column."""
    _, data = rows(loadings("sharp", 20), 800, 0)
    data[200:, 3] = np.nan
    stream = RobustMatrixCompletion(forgetting=0.95)
    for batch in np.array_split(data, 20):
        stream.partial_fit(batch)
    assert 3 in stream.undetermined_columns_
    found = stream.transform(data[:3])
    assert found.shape == (3, 20) and np.isfinite(found).all()


@pytest.mark.slow
def test_offsets_do_not_hide_the_noise():
    clean, data = rows(loadings("sharp"), 600, 0)
    stream = RobustMatrixCompletion(replace="all")
    for batch in np.array_split(data + 1e6, 12):
        stream.partial_fit(batch)
    assert 0.08 < stream.scale_ < 0.12
    assert error(stream, clean + 1e6, data + 1e6) < 0.08


def test_few_rows_have_few_components():
    _, data = rows(loadings("sharp"), 200, 0)
    stream = RobustPCA(3)
    for n in (1, 3, 196):
        stream.partial_fit(data[:n])
    assert stream.n_components_ == 3 and stream.n_samples_seen_ == 200


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (RobustMatrixCompletion(replace="bad"), "replace must be"),
        (RobustMatrixCompletion(min_value=5, max_value=1), "min_value"),
        (RobustPCA(whiten="yes"), "whiten must be"),
    ],
)
def test_parameters_are_checked(model, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.partial_fit(np.eye(6))
    assert not hasattr(model, "n_samples_seen_")


def test_a_first_batch_without_values_is_refused():
    with pytest.raises(ValueError, match="X has no observed entry"):
        RobustMatrixCompletion().partial_fit(np.full((3, 4), np.nan))


def test_one_batch_of_few_rows_and_many_columns_is_one_fit():
    """Where the transpose tells most, the range of estimates is that of the whole table."""
    data = rows(loadings("sharp", 150), 12, 0, noise=0.3, errors=0.0, missing=0.25)[1]
    one = RobustMatrixCompletion().fit(data)
    assert one.mixture_weights_["turned"] > 0.3
    for other in RobustMatrixCompletion().partial_fit(data), RobustMatrixCompletion().fit(da.from_array(data)):
        assert_allclose(other.transform(data), one.transform(data), rtol=1e-9)


@pytest.mark.parametrize(("noise", "center"), [(0.1, False), (0.0, True), (0.0, False)])
def test_components_of_a_stream_have_none_of_rounding(noise, center):
    """The mean of a sharp fit was a direction more, of variance 1e-37, and rounding of its square another."""
    rng = np.random.RandomState(1)
    data = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 12)) + 10.0 + noise * rng.standard_normal((400, 12))
    one, stream = RobustPCA(center=center).fit(data), RobustPCA(center=center)
    for batch in np.array_split(data, 4):
        stream.partial_fit(batch)
    assert one.stop_reason_ == stream.stop_reason_ == ("noisy" if noise else "exact")
    assert stream.n_components_ == one.n_components_
    assert_allclose(stream.explained_variance_, one.explained_variance_, rtol=1e-3)
    assert_allclose(stream.noise_variance_, one.noise_variance_, rtol=0.02, atol=1e-12)
    assert_allclose(stream.score(data), one.score(data), rtol=0.05)


def test_the_range_of_a_stream_is_without_gross_errors():
    rng = np.random.RandomState(0)
    data = load_iris().data.copy()
    data[rng.uniform(size=data.shape) < 0.03] *= 1000.0
    new = 1.1 * load_iris().data  # estimates are beyond the range by less than three standard errors
    new[rng.uniform(size=new.shape) < 0.5] = np.nan
    stream = RobustMatrixCompletion(replace="all").partial_fit(data)
    free = deepcopy(stream).set_params(max_value=np.inf).transform(new)
    assert (free > load_iris().data.max(axis=0)).any()
    assert (stream.transform(new) <= load_iris().data.max(axis=0)).all()


def test_the_range_of_a_stream_is_without_a_gross_error_that_comes_alone():
    """A row alone has no inlier of the column to compare its error with, but the rows before it have."""
    data = load_iris().data[np.random.RandomState(0).permutation(150)]
    stream = RobustMatrixCompletion(replace="all").partial_fit(data[:100])
    wrong = data[100].copy()
    wrong[2] = 500.0
    stream.partial_fit(wrong[None])
    assert stream.outliers_[0, 2]
    new = 1.03 * data  # estimates are beyond the range by less than three standard errors
    new[:, 2] = np.nan
    free = deepcopy(stream).set_params(max_value=np.inf).transform(new)[:, 2]
    assert free.max() > data[:100, 2].max()
    assert stream.transform(new)[:, 2].max() <= data[:100, 2].max()


@pytest.mark.parametrize("noise", [0.1, 0.0])
def test_a_column_that_is_another_from_some_row_on_is_learnt(noise):
    """One of sixty is a small part of all entries: all its readings were errors for good."""
    rng = np.random.RandomState(2)
    space = np.linalg.qr(rng.standard_normal((60, 60)))[0][:, :3] * np.sqrt(60)

    def batch(shift, n=50):
        clean = rng.standard_normal((n, 3)) @ space.T + 2.0
        clean[:, 5] += shift
        data = clean + noise * rng.standard_normal(clean.shape)
        wrong = rng.uniform(size=data.shape) < 0.05
        data[wrong] += 10.0 * rng.standard_normal(wrong.sum())
        data[rng.uniform(size=data.shape) < 0.1] = np.nan
        return clean, data

    stream = RobustMatrixCompletion(forgetting=0.98)
    for shift in [0.0] * 3 + [20.0] * 8:
        stream.partial_fit(batch(shift, 100)[1])
    clean, data = batch(20.0, 300)
    data[:, 5] = np.nan
    assert stream.converged_
    assert np.sqrt(np.mean((stream.transform(data) - clean)[:, 5] ** 2)) < noise + 1e-6
    assert stream.outliers_[:, 5].mean() < 0.2


def test_the_memory_of_a_batch_may_be_used_again():
    rng = np.random.RandomState(0)
    data = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 20)) + 0.1 * rng.standard_normal((60, 20))
    buffer, one, other = data[:30].copy(), RobustPCA(), RobustPCA()
    one.partial_fit(buffer)
    buffer[:] = data[30:]
    one.partial_fit(buffer)
    other.partial_fit(data[:30].copy()).partial_fit(data[30:].copy())
    assert_allclose(one.explained_variance_, other.explained_variance_, rtol=1e-12)


@pytest.mark.parametrize("forgetting", [0.98, 1.0])
def test_a_stream_goes_on_where_all_is_missing_for_a_while(forgetting):
    """The rows that are kept have nothing then; where they were fitted in vain, new ones are fitted anew."""
    _, data = rows(loadings("sharp", 12), 300, 0)
    stream = RobustMatrixCompletion(forgetting=forgetting).partial_fit(data[:200])
    for _ in range(4):
        stream.partial_fit(np.full((100, 12), np.nan))
    for batch in np.array_split(rows(loadings("sharp", 12), 240, 1)[1], 3):
        stream.partial_fit(batch)
    assert stream.converged_
    assert error(stream, *rows(loadings("sharp", 12), 100, 2)) < 0.2
