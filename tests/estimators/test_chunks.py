"""dask arrays: the fit of an array in memory, whatever the chunks and the scheduler, and results that are lazy."""

import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

N, P = 4_200, 60
EXACT = pytest.param(("sharp", 0.0), marks=pytest.mark.slow)


def drawn(kind, noise=0.1):
    """Clean rows of more entries than are fitted in memory, and what is seen of them."""
    rng = np.random.RandomState(0)
    space = np.linalg.qr(rng.standard_normal((P, P)))[0] * np.sqrt(P)
    space = space[:, :3] if kind == "sharp" else space / np.arange(1.0, P + 1.0) ** 1.5
    clean = rng.standard_normal((N, space.shape[1])) @ space.T + 2.0
    data = clean + noise * rng.standard_normal(clean.shape)
    wrong = rng.uniform(size=clean.shape) < 0.1
    data[wrong] += 10.0 * rng.standard_normal(wrong.sum())
    data[rng.uniform(size=clean.shape) < 0.2] = np.nan
    return clean, data


DECAYING = pytest.param(("decaying", 0.1), marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[("sharp", 0.1), DECAYING, EXACT], ids=str)
def fitted(request):
    clean, data = drawn(*request.param)
    X = da.from_array(data, chunks=(1_301, P))
    with dask.config.set(scheduler="threads"):
        return clean, data, X, RobustMatrixCompletion(replace="all").fit(X)


def test_a_fit_is_as_good_as_one_of_a_tenth_in_memory(fitted):
    clean, data, X, model = fitted
    one = RobustMatrixCompletion(replace="all").fit(data[::10])
    assert model.stop_reason_ == one.stop_reason_ and model.converged_
    errors = [np.sqrt(np.mean((np.asarray(m.transform(x)) - clean) ** 2)) for m, x in ((model, X), (one, data))]
    assert errors[0] < 1.05 * errors[1] + 1e-9
    assert_allclose(model.location_, np.mean(clean, axis=0), atol=0.05)
    assert_allclose(model.singular_values_[:3], np.linalg.svd(clean, compute_uv=False)[:3], rtol=0.02)


def test_chunks_of_rows_and_columns_do_not_matter(fitted):
    _, data, _, model = fitted
    other = RobustMatrixCompletion(replace="all").fit(da.from_array(data, chunks=(1_103, 11)))
    assert_allclose(other.transform(data[:500]), model.transform(data[:500]), rtol=1e-8, atol=1e-8)
    assert_array_equal(other.outliers_[:500].compute(), model.outliers_[:500].compute())


def test_results_are_lazy_with_the_chunks_of_rows(fitted):
    clean, data, X, model = fitted
    results = [
        model.left_,
        model.outliers_,
        model.transform(X),
        *model.transform(X, return_std=True),
        *model.predict_interval(X),
        model.detect_outliers(X),
        model.outlier_probability(X),
        model.score_samples(X),
    ]
    for result in results:
        assert isinstance(result, da.Array) and result.chunks[0] == X.chunks[0]
    for result, now in zip(
        results[2:],
        [
            model.transform(data[:50]),
            *model.transform(data[:50], return_std=True),
            *model.predict_interval(data[:50]),
            model.detect_outliers(data[:50]),
            model.outlier_probability(data[:50]),
            model.score_samples(data[:50]),
        ],
        strict=True,
    ):
        assert result.dtype == now.dtype
        assert_allclose(result[:50].compute(), now)
    estimate = (model.left_[:50].compute() * model.singular_values_) @ model.right_.T
    assert np.sqrt(np.mean((estimate - clean[:50]) ** 2)) < 0.1
    assert_allclose(model.predict_entries([3, 40], [5, 6]), estimate[[3, 40], [5, 6]])


def test_data_are_read_twice():
    made = []

    def chunk(i):
        made.append(i)
        return drawn("sharp")[1][i * 1_050 : (i + 1) * 1_050]

    parts = [da.from_delayed(dask.delayed(chunk)(i), (1_050, P), float) for i in range(4)]
    with dask.config.set(scheduler="synchronous"):
        RobustMatrixCompletion().fit(da.concatenate(parts))
    assert sorted(made) == sorted(2 * [0, 1, 2, 3])


@pytest.mark.parametrize("kind", [pytest.param("sharp", marks=pytest.mark.slow), "decaying"])
def test_components_are_those_of_the_clean_matrix_or_of_a_fit_in_memory(kind):
    clean, data = drawn(kind)
    X = da.from_array(data, chunks=(1_000, P))
    lazy, one = RobustPCA(3), PCA(3).fit(clean) if kind == "sharp" else RobustPCA(3).fit(data)
    scores = lazy.fit_transform(X)
    # of a decaying spectrum each has a sample of its own: what is small differs
    least = 3 if kind == "sharp" else 2
    assert_allclose(lazy.explained_variance_[:least], one.explained_variance_[:least], rtol=0.02)
    assert_allclose(lazy.explained_variance_, one.explained_variance_, rtol=0.1)
    assert np.linalg.svd(lazy.components_[:least] @ one.components_[:least].T)[1].min() > 0.999
    assert np.linalg.svd(lazy.components_ @ one.components_.T)[1].min() > 0.99
    assert isinstance(scores, da.Array) and scores.shape == (N, 3)
    assert_allclose(scores[:10].compute(), lazy.transform(data[:10]))
    assert_allclose(lazy.score_samples(X)[:10].compute(), lazy.score_samples(data[:10]))


def test_small_arrays_single_precision_and_integers():
    data = drawn("sharp")[1][:300]
    single = RobustMatrixCompletion(replace="all").fit(da.from_array(data.astype(np.float32), chunks=100))
    assert single.transform(da.from_array(data.astype(np.float32), chunks=100)).dtype == np.float32
    counts = np.outer(np.arange(1, 60), np.arange(1, 13))
    counts[5, 5] = 10_000
    repaired = RobustMatrixCompletion().fit_transform(da.from_array(counts, chunks=20)).compute()
    assert_allclose(repaired, np.outer(np.arange(1.0, 60.0), np.arange(1.0, 13.0)))


def test_what_is_refused_is_named():
    X = da.from_array(np.ones((20, 4)), chunks=10)
    unknown = X[X[:, 0] > 0]
    with pytest.raises(ValueError, match=r"call X.compute_chunk_sizes\(\) first"):
        RobustMatrixCompletion().fit(unknown)
    with pytest.raises(TypeError, match=r"pass X.to_dask_array\(lengths=True\)"):
        RobustMatrixCompletion().fit(db.from_sequence([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="sample_weight is not taken with a dask array"):
        RobustMatrixCompletion().fit(X, sample_weight=np.ones(20))
    with pytest.raises(TypeError, match="X must have real numbers, got a dask array of complex128"):
        RobustMatrixCompletion().fit(X.astype(complex))
    model = RobustMatrixCompletion().fit(drawn("sharp")[1][:100])
    with pytest.raises(ValueError, match="X has 4 features, but RobustMatrixCompletion is expecting 60"):
        model.transform(X)


def test_a_chunk_that_raises_ends_the_fit_with_the_cause():
    def chunk():
        raise OSError("the disk is gone")

    X = da.concatenate(
        [da.from_array(np.ones((20, 4)), chunks=20), da.from_delayed(dask.delayed(chunk)(), (20, 4), float)]
    )
    with pytest.raises(OSError, match="the disk is gone"):
        RobustMatrixCompletion().fit(X)


def test_chunks_without_rows():
    data = drawn("sharp")[1][:200]
    X = da.concatenate([da.from_array(data[:100], chunks=100), da.zeros((0, P)), da.from_array(data[100:], chunks=50)])
    model = RobustMatrixCompletion(replace="all").fit(X)
    assert_allclose(model.transform(X).compute(), model.transform(data))


@pytest.mark.parametrize("scheduler", ["processes", pytest.param("cluster", marks=pytest.mark.slow)])
def test_processes_and_a_cluster_with_a_killed_worker_give_the_same(tmp_path, scheduler):
    script = Path(__file__).parent.parent / "cluster_fit.py"
    done = subprocess.run([sys.executable, script, scheduler, tmp_path], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0 and done.stdout.endswith("the same\n"), done.stderr


def test_markers_are_missing_and_infinite_values_are_refused_in_every_row():
    """In rows that are not among those fitted first as well."""
    data = drawn("sharp")[1]
    marked = da.from_array(np.where(np.isnan(data), -999.0, data), chunks=(1_400, P))
    model = RobustMatrixCompletion(missing_values=-999, replace="all").fit(marked)
    assert model.outliers_.mean().compute() < 0.1
    assert_allclose(model.transform(marked[:50]).compute(), model.transform(data[:50]))
    data[1, 2] = np.inf
    with pytest.raises(ValueError, match="X contains infinity"):
        RobustMatrixCompletion().fit(da.from_array(data, chunks=(1_400, P)))


@pytest.mark.parametrize("model", [RobustMatrixCompletion(replace="all"), RobustPCA(2)], ids=["completion", "pca"])
def test_what_is_masked_is_missing_whatever_is_behind_the_mask(model):
    data = drawn("sharp")[1][:240]
    behind = np.random.RandomState(0).standard_normal(data.shape)
    hidden = [da.from_array(part, chunks=(60, P)) for part in (np.where(np.isnan(data), behind, data), np.isnan(data))]
    masked = da.ma.masked_array(*hidden)
    found = np.asarray(model.fit_transform(masked))
    assert_array_equal(found, np.asarray(model.transform(data)))
    assert_array_equal(found, np.asarray(model.fit(da.from_array(data, chunks=(60, P))).transform(data)))


def test_chunks_that_are_no_arrays_are_refused():
    X = da.from_array(np.ones((20, P)), chunks=(10, P)).map_blocks(sparse.csr_matrix)
    with pytest.raises(TypeError, match="X must be a dask array of NumPy arrays, got chunks of type csr_matrix"):
        RobustMatrixCompletion().fit(X)


@pytest.mark.filterwarnings("ignore:RobustMatrixCompletion did not converge")
def test_noise_that_the_sample_has_not_is_noticed():
    clean, data = drawn("sharp")
    clean[1::2] = data[1::2]
    model = RobustMatrixCompletion().fit(da.from_array(clean, chunks=(1_400, P)))
    assert model.stop_reason_ == "unexplained" and not model.converged_


def test_results_are_lazy_whatever_the_container():
    X = da.from_array(drawn("sharp")[1][:200], chunks=(50, P))
    model = RobustMatrixCompletion(replace="all").fit(X)
    frame = RobustMatrixCompletion(replace="all").set_output(transform="pandas").fit(X).transform(X)
    assert_allclose(np.asarray(frame), model.transform(X).compute())


def test_parameters_and_empty_arrays():
    X = da.from_array(drawn("sharp")[1][:200], chunks=(50, P))
    with pytest.raises(ValueError, match="replace must be"):
        RobustMatrixCompletion(replace="bad").fit(X)
    with pytest.raises(ValueError, match="X has no observed entry"):
        RobustMatrixCompletion().fit(X * np.nan)


def test_a_polars_frame_of_a_dask_array_is_refused():
    """It failed in that package."""
    rng = np.random.RandomState(0)
    X = da.from_array(rng.standard_normal((60, 2)) @ rng.standard_normal((2, 8)), chunks=(20, 8))
    model = RobustMatrixCompletion().fit(X).set_output(transform="polars")
    with pytest.raises(ValueError, match="set_output"):
        model.transform(X)
