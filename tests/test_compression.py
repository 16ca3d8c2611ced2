"""Models in few bits: they transform new rows as they did, to what is stated, from files without pickle."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.compression import compress, load
from sklearn_robustlr.datasets import make_corrupted_matrix


def drawn(n, seed, *, decays=False, noise=0.1, p=40):
    """Clean rows and what is seen of them."""
    rng = np.random.RandomState(seed)
    space = np.linalg.qr(np.random.RandomState(0).standard_normal((p, p)))[0] * np.sqrt(p)
    space = space / np.arange(1.0, p + 1.0) ** 1.5 if decays else space[:, :3]
    clean = rng.standard_normal((n, space.shape[1])) @ space.T
    data = clean + noise * rng.standard_normal(clean.shape)
    wrong = rng.uniform(size=clean.shape) < 0.05
    data[wrong] += 20.0 * rng.standard_normal(wrong.sum())
    data[rng.uniform(size=clean.shape) < 0.1] = np.nan
    return clean, data


@pytest.fixture(scope="module", params=[False, True], ids=["sharp", "decaying"])
def fitted(request):
    decays = request.param
    return RobustMatrixCompletion(replace="all").fit(drawn(400, 0, decays=decays)[1]), drawn(200, 1, decays=decays)[1]


@pytest.mark.parametrize(("dtype", "most"), [("float16", 0.01), ("int8", 0.1), ("nf4", 1.5)])
def test_estimates_change_by_what_is_stated(fitted, tmp_path, dtype, most):
    model, rows = fitted
    stored = compress(model, dtype, allow_loss=dtype == "nf4")
    stored.save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    noise = np.sqrt(np.mean(((small.transform(rows) - model.transform(rows)) / model.scale_) ** 2))
    assert stored.added_error < most
    assert 0.5 * stored.added_error < noise < 2.0 * stored.added_error


def test_files_have_no_pickle_and_are_small(fitted, tmp_path):
    model, _ = fitted
    sizes = []
    for dtype in ("float16", "int8", "nf4"):
        stored = compress(model, dtype, allow_loss=True)
        stored.save(tmp_path / "model.npz")
        sizes.append(stored.nbytes)
        with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
            assert all(array.dtype.kind != "O" for array in arrays.values())
        assert 10 * (tmp_path / "model.npz").stat().st_size < len(pickle.dumps(model))
    assert sizes[0] > sizes[1] > sizes[2]


def test_what_else_is_done_with_rows(fitted, tmp_path):
    model, rows = fitted
    compress(model, "float16").save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    assert small.stop_reason_ == model.stop_reason_ and small.rank_ == model.rank_
    assert np.mean(small.detect_outliers(rows) != model.detect_outliers(rows)) < 1e-3
    for one, other in zip(small.predict_interval(rows), model.predict_interval(rows), strict=True):
        assert_allclose(one, other, atol=0.2 * model.scale_)
    assert_allclose(small.score(rows), model.score(rows), atol=1e-3)
    assert not hasattr(small, "left_") and not hasattr(small, "outliers_")


def test_components_and_names(tmp_path):
    data = pd.DataFrame(drawn(300, 0, decays=True)[1]).add_prefix("c")
    model = RobustPCA(3).fit(data)
    compress(model).save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    assert_allclose(small.transform(data), model.transform(data), atol=model.scale_)
    assert list(small.feature_names_in_) == list(data.columns)
    assert_allclose(small.explained_variance_, model.explained_variance_)


def test_scores_of_columns_in_any_units_are_kept(tmp_path):
    """In 8 bits numbers of small units beside large ones were lost: scores moved by their standard deviation."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 12)) + 0.5 * rng.standard_normal((300, 12))
    X *= 10.0 ** rng.uniform(-2, 2, 12)
    model = RobustPCA(4).fit(X[::2])
    stored = compress(model)
    stored.save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    before, after = model.transform(X[1::2]), small.transform(X[1::2])
    assert np.all(np.sqrt(np.mean((before - after) ** 2, axis=0)) < 0.01 * before.std(axis=0))
    moved = small.inverse_transform(after) - model.inverse_transform(before)
    assert np.all(np.sqrt(np.mean(moved**2, axis=0)) < 0.02 * X.std(axis=0))


def test_an_exact_fit_is_refused_unless_told_so(tmp_path):
    clean, data = drawn(200, 0, noise=0.0)
    model = RobustMatrixCompletion(replace="all").fit(data)
    with pytest.raises(ValueError, match=r"changes the estimates by .* of the noise.*allow_loss=True"):
        compress(model, "float16")
    compress(model, "float16", allow_loss=True).save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    assert small.stop_reason_ != "exact"
    assert np.sqrt(np.mean((small.transform(data) - clean) ** 2)) < 1e-3 * np.std(clean)


def test_loss_is_refused(fitted):
    with pytest.raises(ValueError, match=r"dtype='nf4' changes the estimates by 0\.\d+ of the noise"):
        compress(fitted[0], "nf4")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"dtype": "int4"}, ValueError, "dtype must be one of 'float16', 'int8', 'nf4', got 'int4'"),
        ({"block": 0}, ValueError, "block must be a positive integer, got 0"),
        ({"model": RobustLowRankRecovery()}, TypeError, "model must be a RobustMatrixCompletion or a RobustPCA"),
        ({"model": RobustPCA()}, NotFittedError, "not fitted"),
    ],
)
def test_what_is_wrong_is_named(fitted, arguments, kind, message):
    with pytest.raises(kind, match=message):
        compress(**{"model": fitted[0], **arguments})


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"is no file that sklearn_robustlr.compression.compress has made"):
        load(tmp_path / "other.npz")


def test_parameters_of_any_form_are_stored(fitted, tmp_path):
    _, rows = fitted
    limits = {"min_value": [-50.0] * 40, "max_value": pd.Series([50.0] * 40), "missing_values": pd.NA}
    model = RobustMatrixCompletion(**limits).set_output(transform="pandas").fit(pd.DataFrame(rows))
    compress(model, "float16").save(tmp_path / "model.npz")
    small = load(tmp_path / "model.npz")
    assert_allclose(small.transform(pd.DataFrame(rows)), model.transform(pd.DataFrame(rows)), atol=0.1)
    with pytest.raises(ValueError, match="rows of the fit are not kept"):
        small.predict_entries([0], [1])
    model.note = {"a": 1}
    with pytest.raises(TypeError, match="note must be a number, a string or an array"):
        compress(model)


@pytest.mark.parametrize("content", [b"junk", b"PK\x03\x04junk"])
def test_broken_files_are_refused(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no file that sklearn_robustlr.compression.compress has made"):
        load(tmp_path / "model.npz")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")


def test_scores_of_an_exact_fit_allow_for_rounding(tmp_path):
    """Its noise stayed that of the fit, and rows that are now missed by rounding were beyond belief."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 20)) + 5.0
    compress(RobustPCA().fit(X), "float16", allow_loss=True).save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert again.noise_variance_ >= again.scale_**2 > 0.0
    assert again.score(X) > 0.0


def test_an_exact_fit_has_no_noise_to_compare_with():
    problem = make_corrupted_matrix((60, 20), rank=2, outliers=0.0, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    with pytest.raises(ValueError, match=r"of it: set allow_loss=True\. An exact fit has next to no noise"):
        compress(model, "float16")
