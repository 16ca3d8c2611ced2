"""Known relative precisions of entries: they make estimates better, only ratios matter, none is absence."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA


def drawn(seed=0, shape=(160, 60), rank=3, errors=0.05):
    """A matrix, what is seen of it beside noise that varies tenfold, its precisions, and what is seen and right."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) / np.sqrt(rank)
    deviation = 0.05 * 10.0 ** rng.uniform(size=shape)
    wrong, seen = rng.uniform(size=shape) < errors, rng.uniform(size=shape) < 0.8
    data = clean + deviation * rng.standard_normal(shape) + np.where(wrong, 10.0 * rng.standard_normal(shape), 0.0)
    return clean, np.where(seen, data, np.nan), deviation**-2.0, seen & ~wrong


def told(data, precision, rank, clean):
    """Least squares by turns, told rank, precisions and errors, from the truth."""
    weight, filled = precision / precision.mean(), np.where(precision > 0, data, 0.0)
    u, s, vt = np.linalg.svd(clean, full_matrices=False)
    v = vt[:rank].T * s[:rank]
    for _ in range(50):
        left = np.einsum("ij,jk,jl->ikl", weight, v, v)
        u = np.linalg.solve(left, ((weight * filled) @ v)[:, :, None])[:, :, 0]
        right = np.einsum("ij,ik,il->jkl", weight, u, u)
        v = np.linalg.solve(right, ((weight * filled).T @ u)[:, :, None])[:, :, 0]
    return u @ v.T


@pytest.mark.parametrize(("seed", "shape", "rank"), [(0, (160, 60), 3), (1, (60, 160), 2)])
def test_precisions_make_the_estimate_nearly_as_good_as_if_all_were_told(seed, shape, rank):
    clean, data, precision, right = drawn(seed, shape, rank)
    models = RobustMatrixCompletion(replace="all"), RobustMatrixCompletion(replace="all")
    error = [
        np.linalg.norm(model.fit_transform(data, entry_weight=weight) - clean)
        for model, weight in zip(models, (precision, None), strict=True)
    ]
    best = np.linalg.norm(told(data, precision * right, rank, clean) - clean)
    assert error[0] < 1.05 * best
    assert error[0] < 0.8 * error[1]
    assert models[0].rank_ == rank and models[0].stop_reason_ == "noisy"


def test_a_large_matrix_is_refined_from_the_fit_of_a_block():
    clean, data, precision, right = drawn(3, (1200, 100), 3)
    model = RobustMatrixCompletion(replace="all")
    error = np.linalg.norm(model.fit_transform(data, entry_weight=precision) - clean)
    assert error < 1.05 * np.linalg.norm(told(data, precision * right, 3, clean) - clean)


@pytest.fixture(scope="module")
def weighted():
    """The first of these matrices, and its fit."""
    clean, data, precision, _ = drawn()
    return clean, data, precision, RobustMatrixCompletion().fit(data, entry_weight=precision)


def test_intervals_cover_where_precisions_are_known(weighted):
    clean, data, _, model = weighted
    mean, deviation = deepcopy(model).set_params(replace="all").transform(data, return_std=True)
    hidden = np.isnan(data)
    assert 0.91 < np.mean(np.abs(mean - clean)[hidden] < 1.96 * deviation[hidden]) < 0.98


def test_only_ratios_matter():
    _, data, precision, _ = drawn()
    one, *others = (
        RobustMatrixCompletion(replace="all").fit_transform(data, entry_weight=f * precision) for f in (1.0, 1e6, 1e305)
    )
    for other in others:
        assert_allclose(one, other, atol=1e-6)


def test_no_weight_is_absence():
    """Where others are as they were, and also where nothing is missing."""
    _, data, precision, _ = drawn()
    data = np.where(np.isnan(data), 0.0, data)
    off = np.random.RandomState(1).uniform(size=data.shape) < 0.2
    by_weight = RobustMatrixCompletion().fit(data, entry_weight=np.where(off, 0.0, precision))
    by_hand = RobustMatrixCompletion().fit(np.where(off, np.nan, data), entry_weight=precision)
    assert_array_equal(by_weight.transform(data), by_hand.transform(data))
    assert not by_weight.outliers_[off].any()


def test_an_exact_fit_stays_exact():
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40))
    data = np.where(rng.uniform(size=clean.shape) < 0.1, 100.0, clean)
    model = RobustMatrixCompletion().fit(data, entry_weight=rng.uniform(0.1, 10.0, clean.shape))
    assert model.stop_reason_ == "exact"


def test_sparse_weights_are_those_of_dense_ones(weighted):
    _, data, precision, dense = weighted
    seen = np.isfinite(data)
    X = sparse.csr_matrix((data[seen], np.nonzero(seen)), shape=data.shape)
    unknown = np.where(seen, precision, np.nan)
    for weight in (precision, unknown, sparse.csr_matrix(np.where(seen, precision, 0.0)), sparse.csr_matrix(unknown)):
        model = RobustMatrixCompletion().fit(X, entry_weight=weight)
        assert_allclose(model.transform(data), dense.transform(data), rtol=1e-9)


def test_components_know_of_precisions():
    clean, data, precision, _ = drawn(errors=0.0)
    direction = np.linalg.svd(clean - clean.mean(axis=0))[2][:3]
    angles = [
        np.linalg.svd(RobustPCA(3).fit(data, entry_weight=weight).components_ @ direction.T)[1].min()
        for weight in (precision, None)
    ]
    assert 1.0 - angles[0] < 0.7 * (1.0 - angles[1])


def test_weights_are_routed_through_a_pipeline(weighted):
    _, data, precision, alone = weighted
    with config_context(enable_metadata_routing=True):
        last = RobustMatrixCompletion().set_fit_request(entry_weight=True)
        pipeline = make_pipeline(FunctionTransformer(), last).fit(data, entry_weight=precision)
    assert_array_equal(pipeline.transform(data), alone.transform(data))


@pytest.mark.parametrize(
    ("weight", "error", "said"),
    [
        (np.ones((3, 3)), ValueError, "entry_weight must have the shape of X"),
        (-np.ones((160, 60)), ValueError, "entry_weight must not be negative, got -1"),
        (np.full((160, 60), np.inf), ValueError, "entry_weight must be finite wherever X is observed"),
        ("much", TypeError, "entry_weight must be an array of real numbers, got str"),
        (np.ones((160, 60)) + 1j, TypeError, "entry_weight must be an array of real numbers"),
    ],
)
def test_weights_that_are_none_are_refused(weight, error, said):
    with pytest.raises(error, match=said):
        RobustMatrixCompletion().fit(drawn()[1], entry_weight=weight)


def test_weights_beyond_all_measure_are_bounded():
    """One of them alone, and as many on either side of their median as there may be."""
    _, data, precision, _ = drawn(shape=(60, 30))
    one = precision.copy()
    one[3, 4] = 1e300
    for weight in (one, 10.0 ** np.random.RandomState(0).uniform(-300, 300, data.shape)):
        out = RobustMatrixCompletion(replace="all").fit_transform(data, entry_weight=weight)
        assert np.isfinite(out).all()


def test_no_weight_at_all_is_no_data():
    data = drawn()[1]
    with pytest.raises(ValueError, match="no observed entry"):
        RobustMatrixCompletion().fit(data, entry_weight=np.zeros(data.shape))


def test_an_error_is_one_in_units_of_the_noise_of_its_entry():
    clean, data, precision, right = drawn(errors=0.0)
    seen = np.argwhere(right)
    deviation = precision**-0.5
    precise = seen[deviation[tuple(seen.T)] < 0.06][:20]
    vague = seen[deviation[tuple(seen.T)] > 0.4][:20]
    for places in (precise, vague):  # the same size: many deviations of the one, one of the other
        data[tuple(places.T)] = clean[tuple(places.T)] + 0.6
    flags = RobustMatrixCompletion().fit(data, entry_weight=precision).outliers_
    assert flags[tuple(precise.T)].mean() > 0.9 and not flags[tuple(vague.T)].any()


def test_scores_of_a_weighted_fit_are_of_its_estimates():
    """They took each observed entry as it was, however imprecise: the error was four times as large."""
    rng = np.random.RandomState(0)
    clean = (
        rng.standard_normal((300, 10)) * (3.0 / np.arange(1.0, 11.0)) @ np.linalg.qr(rng.standard_normal((10, 10)))[0]
    )
    deviation = np.where(rng.uniform(size=clean.shape) < 0.2, 3.0, 0.05)
    model = RobustPCA(3)
    data = clean + deviation * rng.standard_normal(clean.shape)
    scores = model.fit_transform(data, entry_weight=deviation**-2.0)
    assert np.sqrt(np.mean((scores - (clean - model.mean_) @ model.components_.T) ** 2)) < 0.55


@pytest.mark.parametrize("rank", [3, 20])
def test_intervals_of_entries_of_no_known_precision_have_their_mean_noise(rank):
    """That of weight one, of the median, was taken: 90 % intervals held 0.67 beside a sharp rank."""
    rng = np.random.RandomState(0)
    size = np.ones(3) * 1.5 if rank == 3 else 3.0 / np.arange(1.0, 21.0) ** 1.5
    loadings = np.linalg.qr(rng.standard_normal((25, rank)))[0] * 5.0
    clean = rng.standard_normal((500, rank)) * size @ loadings.T
    weight = np.exp(1.2 * rng.standard_normal(clean.shape))
    value = clean + 0.5 * rng.standard_normal(clean.shape) / np.sqrt(weight)
    hidden = rng.uniform(size=clean.shape) < 0.2
    data = np.where(hidden, np.nan, value)
    model = RobustMatrixCompletion().fit(data[:250], entry_weight=weight[:250])
    low, high = model.predict_interval(data[250:], coverage=0.9)
    held = np.mean(((low <= value[250:]) & (value[250:] <= high))[hidden[250:]])
    assert 0.86 < held < 0.96


def test_weights_in_another_order_of_columns_and_masked_ones_are_refused():
    _, data, precision, _ = drawn()
    X, weight = (pd.DataFrame(values).add_prefix("sensor") for values in (data, precision))
    RobustMatrixCompletion().fit(X, entry_weight=weight)
    with pytest.raises(ValueError, match="entry_weight must have the columns of X in the same order"):
        RobustMatrixCompletion().fit(X, entry_weight=weight[weight.columns[::-1]])
    with pytest.raises(ValueError, match="entry_weight has masked values"):
        RobustMatrixCompletion().fit(X, entry_weight=np.ma.masked_greater(precision, np.median(precision)))
    with pytest.raises(ValueError, match="sample_weight has masked values"):
        RobustMatrixCompletion().fit(X, sample_weight=np.ma.masked_less(np.arange(len(X)), 5))
