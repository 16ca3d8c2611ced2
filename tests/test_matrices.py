"""RobustMatrixCompletion and RobustPCA: what they repair, what they report, what they refuse."""

import pickle
import warnings

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._fits import blocks as fit_blocks
from sklearn_robustlr._rows import blocks as _blocks
from sklearn_robustlr._selection import scan as _scan
from sklearn_robustlr.datasets import OUTLIER_KINDS, corrupt, make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error

BOTH = [RobustMatrixCompletion(), RobustPCA()]


@pytest.fixture(scope="module")
def problem():
    return make_corrupted_matrix((80, 60), rank=3, observed=0.7, outliers=0.2, condition=3, random_state=0)


@pytest.fixture(scope="module")
def noisy():
    return make_corrupted_matrix((120, 80), rank=2, observed=0.8, outliers=0.2, noise=0.1, random_state=1)


@pytest.fixture(scope="module")
def model(problem):
    return RobustMatrixCompletion().fit(problem.data)


@pytest.fixture(scope="module")
def pca(problem):
    return RobustPCA().fit(problem.data)


# What is repaired


@pytest.mark.parametrize("kind", OUTLIER_KINDS)
def test_exact_with_every_kind_of_error(kind):
    p = make_corrupted_matrix((90, 70), rank=2, observed=0.7, outliers=0.25, outlier_kind=kind, random_state=2)
    fitted = RobustMatrixCompletion()
    assert relative_recovery_error(p.clean, fitted.fit_transform(p.data)) < 1e-6
    assert fitted.converged_
    assert fitted.rank_ == 2
    precision, recall = outlier_precision_recall(p.outliers, fitted.outliers_)
    assert precision > 0.999
    assert recall > 0.99


@pytest.mark.parametrize("bound", [3, 6, 12])
def test_bound_of_the_rank_does_not_matter(problem, bound):
    fitted = RobustMatrixCompletion(bound)
    assert relative_recovery_error(problem.clean, fitted.fit_transform(problem.data)) < 1e-10
    assert fitted.rank_ == 3


@pytest.mark.parametrize("seed", [9002, 9005, 9007])
def test_many_huge_errors_are_not_taken_for_noise(seed):
    """The scan ends at a noisy fit of a wrong matrix here; only the search for an exact one finds the truth."""
    p = make_corrupted_matrix((60, 60), rank=2, observed=0.59, outliers=0.3, condition=3, random_state=seed)
    assert relative_recovery_error(p.clean, RobustMatrixCompletion().fit_transform(p.data)) < 1e-6


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(("condition", "seed"), [(1.0, 5), (10.0, 6)])
def test_half_of_huge_errors_beside_noise(condition, seed, rank):
    """Least squares told the rank and the errors comes to 0.037 and 0.038."""
    options = {"observed": 0.6, "outliers": 0.5, "noise": 0.1, "condition": condition, "random_state": seed}
    hard = make_corrupted_matrix((120, 120), 2, **options)
    completion = RobustMatrixCompletion(rank, replace="all")
    assert relative_recovery_error(hard.clean, completion.fit_transform(hard.data)) < 0.041
    assert completion.rank_ == 2


@pytest.mark.parametrize("seed", range(3))
def test_errors_that_all_agree(seed):
    """A stuck value in 42 % of the entries is itself an exact fit, of rank one; the majority must win."""
    p = make_corrupted_matrix((150, 120), rank=3, outliers=0.42, outlier_kind="stuck", random_state=seed)
    fitted = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(p.clean, fitted.fit_transform(p.data)) < 1e-6


def test_one_sided_errors_do_not_become_a_direction():
    """Rank 5 with 29 % one-sided errors, where the fit of rank 6 is exact but for a block."""
    p = make_corrupted_matrix(
        (253, 243), rank=5, observed=0.58, outliers=0.3, outlier_kind="one-sided", condition=4, random_state=5057
    )
    fitted = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(p.clean, fitted.fit_transform(p.data)) < 1e-6
    assert fitted.rank_ == 5


@pytest.mark.parametrize("shape", [(60, 40), (30, 10), (400, 8), (8, 400)])
def test_tiny_tall_and_wide(shape):
    p = make_corrupted_matrix(shape, rank=1, outliers=0.1, random_state=3)
    assert relative_recovery_error(p.clean, RobustMatrixCompletion().fit_transform(p.data)) < 1e-8


def test_clean_complete_matrix_comes_back_bit_for_bit(problem):
    fitted = RobustMatrixCompletion()
    assert_array_equal(fitted.fit_transform(problem.clean), problem.clean)
    assert not fitted.outliers_.any()
    assert fitted.rank_ == 3


def test_full_rank_matrix_is_refused_honestly(rng):
    with pytest.warns(ConvergenceWarning):
        fitted = RobustMatrixCompletion().fit(rng.standard_normal((60, 40)))
    assert not fitted.converged_


def test_noise_is_near_the_oracle(noisy):
    fitted = RobustMatrixCompletion(replace="all")
    error = relative_recovery_error(noisy.clean, fitted.fit_transform(noisy.data))
    # least squares told rank and errors: noise times the root of unknowns per sound observation
    oracle = 0.1 * np.sqrt(2 * 198 / (0.64 * 9600)) / noisy.clean.std()
    assert error < 1.15 * oracle
    assert fitted.rank_ == 2
    assert 0.9 < fitted.scale_ / 0.1 < 1.1


# What is replaced


def test_replace(problem, noisy):
    for p in (problem, noisy):
        seen = np.isfinite(p.data)
        fitted = RobustMatrixCompletion().fit(p.data)
        out = {kind: fitted.set_params(replace=kind).transform(p.data) for kind in ("outliers", "missing", "all")}
        sound = seen & ~fitted.outliers_
        assert_array_equal(out["outliers"][sound], p.data[sound])
        assert_array_equal(out["outliers"][~sound], out["all"][~sound])
        assert_array_equal(out["missing"][seen], p.data[seen])
        assert_array_equal(out["missing"][~seen], out["all"][~seen])
        assert np.isfinite(out["missing"]).all()


@pytest.mark.parametrize("estimator", BOTH)
def test_fit_transform_is_fit_and_transform(estimator, noisy):
    a = clone(estimator).fit_transform(noisy.data)
    assert_array_equal(a, clone(estimator).fit(noisy.data).transform(noisy.data))


def test_flags_are_those_of_transform(noisy):
    fitted = RobustMatrixCompletion().fit(noisy.data)
    changed = fitted.transform(noisy.data) != noisy.data
    assert_array_equal(changed & np.isfinite(noisy.data), fitted.outliers_)


def test_float32_is_kept(problem):
    fitted = RobustMatrixCompletion()
    out = fitted.fit_transform(problem.data.astype(np.float32))
    assert out.dtype == fitted.left_.dtype == fitted.singular_values_.dtype == np.float32
    assert relative_recovery_error(problem.clean, out) < 1e-3
    pca = RobustPCA().fit(problem.data.astype(np.float32))
    assert (
        pca.components_.dtype == pca.mean_.dtype == pca.transform(problem.data.astype(np.float32)).dtype == np.float32
    )


def test_integers():
    p = make_corrupted_matrix((60, 40), rank=1, outliers=0, random_state=0)
    data = np.outer(np.arange(1, 61), np.arange(1, 41))
    data[p.clean > 1] = 7777
    out = RobustMatrixCompletion().fit_transform(data)
    assert_allclose(out, np.outer(np.arange(1, 61), np.arange(1, 41)), rtol=1e-8)


def test_agrees_with_recovery_from_entries(problem, model):
    other = RobustLowRankRecovery(measurements="entries", shape=(80, 60))
    other.fit(np.argwhere(problem.observed), problem.data[problem.observed])
    assert_allclose((model.left_ * model.singular_values_) @ model.right_.T, other.coef_, atol=1e-10)


def test_pandas_in_and_out(problem):
    frame = pandas.DataFrame(problem.data, columns=[f"c{j}" for j in range(60)])
    fitted = RobustMatrixCompletion().set_output(transform="pandas")
    out = fitted.fit_transform(frame)
    assert list(out.columns) == list(frame.columns)
    assert_allclose(out.to_numpy(), problem.clean, atol=1e-8)
    scores = RobustPCA().set_output(transform="pandas").fit_transform(frame)
    assert list(scores.columns) == ["robustpca0", "robustpca1", "robustpca2"]


def as_sparse(data, kind=sparse.csr_array):
    seen = np.isfinite(data)
    return kind((data[seen], np.nonzero(seen)), shape=data.shape)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_stored_is_observed(problem, model, kind):
    X = as_sparse(problem.data, kind)
    fitted = RobustMatrixCompletion().fit(X)
    assert_allclose(fitted.singular_values_, model.singular_values_)
    assert_array_equal(fitted.outliers_.toarray(), model.outliers_)
    out = fitted.transform(X)
    assert sparse.issparse(out)
    assert out.nnz == X.nnz
    assert_allclose(out.toarray()[problem.observed], problem.clean[problem.observed], atol=1e-8)
    i, j = np.nonzero(~problem.observed)
    assert_allclose(fitted.predict_entries(i, j), problem.clean[i, j], atol=1e-8)
    assert_allclose(RobustPCA().fit(X).transform(X), RobustPCA().fit(problem.data).transform(problem.data), atol=1e-8)


def test_sparse_stored_zero_is_a_value_and_stored_nan_is_missing(problem, rng):
    X = as_sparse(problem.data, sparse.csr_array)
    X.data[7] = np.nan
    data = problem.data.copy()
    data[X.tocoo().row[7], X.tocoo().col[7]] = np.nan
    assert_array_equal(
        RobustMatrixCompletion().fit(X).outliers_.toarray(), RobustMatrixCompletion().fit(data).outliers_
    )
    X = sparse.csr_array(np.ones((20, 15)))
    X.data[rng.uniform(size=300) < 0.15] = 0.0
    out = RobustMatrixCompletion().fit_transform(X)
    assert_allclose(out.toarray(), 1.0, atol=1e-8)  # zeros that are stored were seen, and are wrong


def test_predict_entries_refuses_what_is_outside(model):
    with pytest.raises(ValueError, match="rows must lie in 0 to 79, got 3 to 80"):
        model.predict_entries([3, 80], [0, 0])
    with pytest.raises(ValueError, match="one length"):
        model.predict_entries([3], [0, 0])


# New rows


def test_new_rows_are_exact(rng):
    p = make_corrupted_matrix((330, 60), rank=3, outliers=0.2, random_state=5)
    fitted = RobustMatrixCompletion(replace="all").fit(p.data[:130])
    new, truth = p.data[130:].copy(), p.clean[130:]
    new[rng.uniform(size=new.shape) < 0.4] = np.nan
    sound = (np.isfinite(new) & ~p.outliers[130:]).sum(axis=1) >= 12
    exact = np.abs(fitted.transform(new) - truth).max(axis=1) < 1e-6
    assert exact[sound].mean() >= 0.99


@pytest.mark.parametrize("estimator", BOTH)
def test_rows_do_not_depend_on_their_batch(estimator, noisy):
    fitted = clone(estimator).fit(noisy.data)
    rng = np.random.RandomState(0)
    rows = noisy.data.copy()
    rows[:10] = np.where(rng.uniform(size=(10, 80)) < 0.55, rng.standard_cauchy((10, 80)), rows[:10])  # random starts
    whole = fitted.transform(rows)
    alone = np.vstack([fitted.transform(row[None]) for row in rows[:20]])
    assert_allclose(alone, whole[:20], rtol=1e-12, atol=1e-12)
    assert_allclose(fitted.transform(rows[::-1])[::-1], whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("estimator", BOTH)
def test_result_does_not_depend_on_n_jobs(estimator, noisy, monkeypatch):
    monkeypatch.setattr("sklearn_robustlr._operators.observed._BLOCK_ENTRIES", 1000)
    one = clone(estimator).set_params(n_jobs=1).fit(noisy.data)
    two = clone(estimator).set_params(n_jobs=2).fit(noisy.data)
    assert_array_equal(one.transform(noisy.data), two.transform(noisy.data))


def test_row_without_entries_is_the_location(problem, model, pca):
    empty = np.full((1, 60), np.nan)
    assert_allclose(model.transform(empty)[0], model.location_)
    assert_allclose(model.location_, problem.clean.mean(axis=0), atol=1e-8)
    assert_allclose(pca.transform(empty), 0.0, atol=1e-8)


def test_few_entries_are_better_than_none(model, problem):
    """Two entries do not determine a row of rank three, but they say something."""
    few = np.full_like(problem.clean, np.nan)
    few[:, 10:12] = problem.clean[:, 10:12]
    out = model.transform(few)
    assert_array_equal(out[:, 10:12], few[:, 10:12])
    none = np.broadcast_to(model.location_, few.shape)
    assert np.linalg.norm(out - problem.clean) < 0.9 * np.linalg.norm(none - problem.clean)


# What cannot be determined


def test_undetermined_rows_and_columns_are_listed(problem):
    data = problem.data.copy()
    data[5] = np.nan
    data[9, 2:] = np.nan
    data[:, 7] = np.nan
    fitted = RobustMatrixCompletion(replace="all")
    with pytest.warns(UserWarning, match="too few inliers") as caught:
        fitted.fit(data)
    assert len(caught) == 2
    assert_array_equal(fitted.undetermined_rows_, [5, 9])
    assert_array_equal(fitted.undetermined_columns_, [7])
    assert fitted.converged_
    out = fitted.transform(data)
    rest = np.setdiff1d(np.arange(80), [5, 9]), np.setdiff1d(np.arange(60), [7])
    assert_allclose(out[np.ix_(*rest)], problem.clean[np.ix_(*rest)], atol=1e-8)
    assert_allclose(out[5], fitted.location_)
    assert np.abs(fitted.location_).max() > 0
    assert np.isfinite(out).all()


@pytest.mark.parametrize("data", [np.arange(5.0)[None], np.arange(5.0)[:, None], np.array([[3.0]])])
def test_one_row_or_one_column(data):
    with pytest.warns(Warning) as caught:
        fitted = RobustMatrixCompletion().fit(data)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert not fitted.converged_
    assert_array_equal(fitted.transform(data), data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(RobustPCA().fit_transform(data)).all()


# Scores


def test_score_sees_only_hidden_entries(noisy):
    fitted = RobustMatrixCompletion().fit(noisy.data)
    signal = 1 - (0.1 / noisy.clean.std()) ** 2
    assert fitted.score(noisy.data) == fitted.score(noisy.data)
    assert abs(fitted.score(noisy.data) - signal) < 0.02
    # rows of pure noise: a regression that saw the entry it predicts would explain part of it
    rng = np.random.RandomState(0)
    noise = rng.standard_normal((400, 80))
    noise[rng.uniform(size=noise.shape) < 0.9] = np.nan
    assert fitted.score(noise) < 0.0
    assert_allclose(RobustPCA().fit(noisy.data).score(noisy.data), fitted.score(noisy.data), atol=1e-8)


def test_grid_search_over_init_scale_and_replace(noisy):
    grid = {"init_scale": [1e-3, 1e-2], "rank": [1, 2, 8]}
    search = GridSearchCV(RobustMatrixCompletion(), grid, cv=3, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(noisy.data)
    assert search.best_params_["rank"] >= 2
    assert search.best_score_ > 0.9


def test_pipeline_with_a_classifier(problem):
    labels = (problem.clean[:, :3].sum(axis=1) > 0).astype(int)
    pipeline = make_pipeline(RobustPCA(), LogisticRegression(C=100)).fit(problem.data, labels)
    assert pipeline.score(problem.data, labels) > 0.95


# Principal components


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


def test_pca_keeps_the_leading_components(noisy):
    both, one = RobustPCA().fit(noisy.data), RobustPCA(1).fit(noisy.data)
    assert (both.n_components_, one.n_components_) == (2, 1)
    # the bound changes the width of the first stage, and with it the last digits
    assert_allclose(one.components_, both.components_[:1], atol=1e-4)
    assert_allclose(one.transform(noisy.data), both.transform(noisy.data)[:, :1], atol=1e-3)
    assert_allclose(one.explained_variance_ratio_, both.explained_variance_ratio_[:1], rtol=1e-4)
    assert RobustPCA(30).fit(noisy.data).n_components_ == 2


def test_pca_variances_with_noise(noisy):
    clean = noisy.clean + 0.1 * np.random.RandomState(0).standard_normal(noisy.clean.shape)
    robust, plain = RobustPCA().fit(noisy.data), PCA(2).fit(clean)
    assert_allclose(robust.explained_variance_, plain.explained_variance_, rtol=0.05)
    assert_allclose(robust.explained_variance_ratio_, plain.explained_variance_ratio_, rtol=0.03)
    assert_allclose(robust.noise_variance_, plain.noise_variance_, rtol=0.1)


def test_pca_without_centring(problem):
    fitted = RobustPCA(center=False).fit(problem.data)
    assert_array_equal(fitted.mean_, 0.0)
    assert_allclose(fitted.singular_values_, np.linalg.svd(problem.clean)[1][:3])


# Invariances


@settings(max_examples=8, deadline=None)
@given(factor=st.sampled_from([1e-150, 1e-6, 3.0, 1e9, 1e200]))
def test_scaling(problem, model, factor):
    fitted = RobustMatrixCompletion().fit(factor * problem.data)
    assert_allclose(fitted.singular_values_ / factor, model.singular_values_, rtol=1e-8)
    assert_array_equal(fitted.outliers_, model.outliers_)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permutation_and_transposition(problem, model, seed):
    rng = np.random.RandomState(seed)
    rows, cols = rng.permutation(80), rng.permutation(60)
    data = problem.data[np.ix_(rows, cols)].T
    fitted = RobustMatrixCompletion()
    assert_allclose(fitted.fit_transform(data), problem.clean[np.ix_(rows, cols)].T, atol=1e-8)
    assert_array_equal(fitted.outliers_, model.outliers_[np.ix_(rows, cols)].T)


@settings(max_examples=5, deadline=None)
@given(size=st.sampled_from([10.0, 1e3, 1e8, 1e200]))
def test_moving_errors_further_away_changes_nothing(problem, size):
    data = problem.data.copy()
    data[problem.outliers] = size * np.sign(data[problem.outliers])
    assert_allclose(RobustMatrixCompletion().fit_transform(data), problem.clean, atol=1e-8)


def test_an_empty_row_changes_nothing(problem, model):
    data = np.vstack([problem.data, np.full((1, 60), np.nan)])
    with pytest.warns(UserWarning, match="1 rows of X have too few"):
        fitted = RobustMatrixCompletion().fit(data)
    assert_allclose(fitted.transform(data)[:-1], model.transform(problem.data), atol=1e-8)


def test_a_stuck_value_inside_the_data_is_seen_through_by_its_repetition():
    """A quarter of the entries read 1.2, in noise that hides them: no worse than if they were holes."""
    problem = make_corrupted_matrix((120, 100), rank=2, noise=0.25, random_state=2)
    stuck = np.random.RandomState(0).uniform(size=problem.data.shape) < 0.25
    fits = []
    for value in (1.2, np.nan):
        data = np.where(stuck, value, problem.data)
        fits.append(RobustMatrixCompletion(replace="all").fit(data))
        assert fits[-1].rank_ == 2
        assert relative_recovery_error(problem.clean, fits[-1].transform(np.where(stuck, np.nan, data))) < 0.08
    assert_allclose(fits[0].scale_, fits[1].scale_, rtol=1e-3)


def test_a_direction_of_one_column_is_not_taken_for_structure():
    """The fit of the right rank is stuck on one column (or row), which a rank too many makes a direction of its own."""
    kind = {"outliers": 0.3, "outlier_kind": "one-sided", "observed": 0.61}
    problem = make_corrupted_matrix((291, 311), rank=5, noise=0.29, condition=4, random_state=7033, **kind)
    fitted = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(problem.clean, fitted.fit_transform(problem.data)) < 0.1
    assert fitted.rank_ == 5


# Large matrices


@pytest.fixture
def small_blocks(monkeypatch):
    """The sizes of blocks, a tenth of what they are."""
    monkeypatch.setattr(_blocks, "SMALL", (2500, 6000))
    monkeypatch.setattr(_blocks, "LARGE", 12_000)
    monkeypatch.setattr(_blocks, "BLOCK", 9_000)


@pytest.fixture
def no_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "SMALL", ())


def whole_fits(monkeypatch):
    """Count the fits to more entries than a block has."""
    sizes = []
    original = fit_blocks.fit_measurements

    def counted(measurements, options, start=None, *, whole=True):
        sizes.append((measurements.size, start is not None))
        return original(measurements, options, start, whole=whole)

    monkeypatch.setattr(fit_blocks, "fit_measurements", counted)
    return sizes


@pytest.mark.parametrize("observed", [1.0, 0.6])
@pytest.mark.parametrize("estimator", BOTH)
def test_an_exact_block_is_extended_without_fitting_the_whole(small_blocks, monkeypatch, estimator, observed):
    sizes = whole_fits(monkeypatch)
    problem = make_corrupted_matrix((240, 240), rank=3, observed=observed, outliers=0.25, random_state=8)
    fitted = clone(estimator).fit(problem.data)
    assert max(size for size, _ in sizes) < 9000
    assert fitted.converged_ and fitted.rank_ == 3
    assert not len(fitted.undetermined_rows_) and not len(fitted.undetermined_columns_)
    # scores, or the repaired matrix
    rows = fitted.transform(problem.data)
    rows = fitted.inverse_transform(rows) if isinstance(fitted, RobustPCA) else rows
    assert relative_recovery_error(problem.clean, rows) < 1e-9
    assert min(outlier_precision_recall(problem.outliers, fitted.outliers_)) == 1.0


def test_a_noisy_block_starts_the_fit_of_the_whole(small_blocks, monkeypatch):
    """It is as good as the fit that starts from nothing."""
    problem = make_corrupted_matrix((110, 100), rank=3, noise=0.1, outliers=0.2, random_state=8)
    sizes, refits = whole_fits(monkeypatch), []
    refit = _scan.Scan.refit

    def counted(scan, *args, **kwargs):
        refits.append(scan._problem.base.size)
        return refit(scan, *args, **kwargs)

    monkeypatch.setattr(_scan.Scan, "refit", counted)
    fast = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert sizes[-1] == (11_000, True)
    assert set(refits) == {2500}  # the whole is estimated once, at the rank of the block
    monkeypatch.setattr(_blocks, "SMALL", ())
    slow = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert sizes[-1] == (11_000, False)
    assert fast.rank_ == slow.rank_ == 3 and fast.converged_
    assert_allclose(fast.transform(problem.data), slow.transform(problem.data), atol=0.02)
    assert_allclose(fast.scale_, slow.scale_, rtol=1e-2)


def test_a_block_of_one_rank_too_many_does_not_mislead_the_whole():
    """The fit of a block is stuck on a few rows, and makes them a direction of its own: that is not believed."""
    kind = {"outliers": 0.27, "outlier_kind": "one-sided", "observed": 0.64}
    problem = make_corrupted_matrix((383, 336), rank=5, noise=0.16, condition=4, random_state=7037, **kind)
    fitted = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(problem.clean, fitted.fit_transform(problem.data)) < 0.05
    assert fitted.rank_ == 5


def test_large_blocks_give_what_the_whole_gives(small_blocks, monkeypatch):
    problem = make_corrupted_matrix((160, 120), rank=2, noise=0.1, outliers=0.2, random_state=8)
    sizes = whole_fits(monkeypatch)
    fast = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert max(size for size, _ in sizes) < 12_000
    monkeypatch.setattr(_blocks, "SMALL", ())
    monkeypatch.setattr(_blocks, "LARGE", 1_000_000)
    slow = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert fast.rank_ == slow.rank_ == 2
    errors = [relative_recovery_error(problem.clean, m.transform(problem.data)) for m in (fast, slow)]
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("scale", [1e300, 1e-300])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_blocks_of_extreme_sizes(small_blocks, scale, noise):
    problem = make_corrupted_matrix((240, 160), rank=3, outliers=0.2, noise=noise, random_state=8)
    fitted, plain = RobustMatrixCompletion(replace="all"), RobustMatrixCompletion(replace="all")
    repaired = fitted.fit_transform(scale * problem.data) / scale
    assert_allclose(repaired, plain.fit_transform(problem.data), atol=1e-9)
    assert fitted.converged_ and fitted.rank_ == 3
    assert np.isfinite(RobustPCA().fit_transform(scale * problem.data)).all()


def hidden_direction(blocks, share):
    """A matrix whose first block knows nothing of a direction that a share of the other rows have."""
    rng = np.random.RandomState(0)
    rows, _ = _blocks.choose_block((240, 100), 24_000, blocks)
    left = rng.standard_normal((240, 3))
    left[:, 2] = np.where(rows | (rng.uniform(size=240) > share), 0.0, left[:, 2])
    truth = left @ rng.standard_normal((3, 100))
    data = truth.copy()
    data[rng.uniform(size=data.shape) < 0.1] = 50.0
    return truth, data


def test_a_block_without_a_direction_is_drawn_again(small_blocks, monkeypatch):
    """With the rows that the first block does not explain; the whole need not be fitted."""
    sizes = whole_fits(monkeypatch)
    truth, data = hidden_direction(2500, 0.15)
    fitted = RobustMatrixCompletion()
    assert relative_recovery_error(truth, fitted.fit_transform(data)) < 1e-8
    assert fitted.rank_ == 3
    assert [size for size, _ in sizes] == [2500, 2500]


def test_a_misleading_large_block_falls_back_to_the_whole(monkeypatch, no_blocks):
    monkeypatch.setattr(_blocks, "LARGE", 12_000)
    monkeypatch.setattr(_blocks, "BLOCK", 6_000)
    truth, data = hidden_direction(6_000, 0.4)
    fitted = RobustMatrixCompletion()
    assert relative_recovery_error(truth, fitted.fit_transform(data)) < 1e-8
    assert fitted.rank_ == 3


def test_garbage_rows_do_not_stop_the_block(small_blocks):
    problem = make_corrupted_matrix((240, 160), rank=3, outliers=0.2, random_state=8)
    data = problem.data.copy()
    data[[3, 77]] = np.random.RandomState(1).standard_normal((2, 160))
    with pytest.warns(UserWarning, match="2 rows of X"):
        fitted = RobustMatrixCompletion().fit(data)
    assert_array_equal(fitted.undetermined_rows_, [3, 77])
    sound = np.delete(np.arange(240), [3, 77])
    assert_allclose(fitted.transform(data)[sound], problem.clean[sound], atol=1e-8)


# Bad input


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((4, 3), np.nan), "no observed entry: all 4 x 3 values are missing"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "infinity"),
        (np.array([[1.0, 2j], [2.0, 3.0]]), "Complex"),
        (np.array([["a", "b"], ["c", "d"]]), "could not convert|dtype"),
        (np.empty((4, 0)), "0 feature"),
        (np.empty((0, 4)), "0 sample"),
        (np.arange(4.0), "2D array"),
        (sparse.csr_array(([1.0, np.inf], ([0, 1], [0, 1])), shape=(3, 3)), "infinity"),
        (sparse.csr_array((3, 3)), "no observed entry"),
    ],
)
def test_bad_data(estimator, data, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(data)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be from 1 to min.shape. = 60, got 0"),
        ({"rank": 61}, ValueError, "rank must be from 1 to min.shape. = 60, got 61"),
        ({"rank": 2.5}, TypeError, "rank must be an integer or None, got 2.5"),
        ({"replace": "both"}, ValueError, "replace must be one of .*, got 'both'"),
        ({"init_scale": 0}, ValueError, "init_scale must be from 1e-15 to 10, got 0"),
        ({"step_size": "fast"}, ValueError, "step_size must be one of"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"n_init": 0}, ValueError, "n_init must be at least 1"),
        ({"polish": 1}, TypeError, "polish must be True or False"),
    ],
)
def test_bad_parameters(problem, parameters, error, message):
    with pytest.raises(error, match=message):
        RobustMatrixCompletion(**parameters).fit(problem.data)


def test_bad_parameters_of_pca(problem, pca):
    with pytest.raises(ValueError, match="n_components must be from 1 to min"):
        RobustPCA(0).fit(problem.data)
    with pytest.raises(TypeError, match="center must be True or False"):
        RobustPCA(center="yes").fit(problem.data)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        pca.inverse_transform(np.ones((2, 4)))
    with pytest.raises(NotFittedError):
        RobustPCA().inverse_transform(np.ones((2, 4)))


def test_duplicates_in_a_sparse_matrix_are_summed_as_scipy_does(problem, model):
    X = as_sparse(problem.data, sparse.coo_array)
    row, col = X.coords
    twice = sparse.coo_array((np.r_[X.data / 2, X.data / 2], (np.r_[row, row], np.r_[col, col])), shape=X.shape)
    assert_allclose(RobustMatrixCompletion().fit(twice).singular_values_, model.singular_values_)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: np.vstack([X, X[:20]]),
        lambda X: np.asfortranarray(X),
        lambda X: X[::2],
        lambda X: X.astype(object),
    ],
    ids=["duplicated rows", "F order", "strides", "objects"],
)
def test_odd_data(problem, change):
    data = problem.data.copy()
    fitted = RobustMatrixCompletion(replace="all")
    out = fitted.fit_transform(change(data))
    truth = np.asarray(change(problem.clean), dtype=float)
    assert_allclose(out, truth, atol=1e-8)
    assert_array_equal(data, problem.data)


def test_constant_column_that_has_nothing_to_do_with_the_others(problem):
    """No verdict is passed on it: its values come back, with a warning."""
    data = np.column_stack([problem.data, np.ones(80)])
    fitted = RobustMatrixCompletion()
    with pytest.warns(UserWarning, match="1 columns of X"):
        out = fitted.fit_transform(data)
    assert_allclose(out[:, :-1], problem.clean, atol=1e-8)
    assert_array_equal(out[:, -1], 1.0)
    assert_array_equal(fitted.undetermined_columns_, [60])
    # part of a mean that all columns have, it is explained
    mean = make_corrupted_matrix((80, 60), rank=2, outliers=0.2, mean=2.0, random_state=0)
    data = np.column_stack([mean.data, np.ones(80)])
    data[::9, -1] = np.nan
    assert_allclose(RobustMatrixCompletion().fit_transform(data)[:, -1], 1.0)


@pytest.mark.parametrize("scale", [1e300, 1e-300, 5e-324 * 2**60])
def test_extreme_sizes(scale):
    truth = np.outer(np.arange(1.0, 31.0), np.arange(1.0, 21.0)) / 600
    data = scale * truth
    data[3, 4] = scale
    out = RobustMatrixCompletion().fit_transform(data)
    assert_allclose(out / scale, truth, rtol=1e-6)
    assert np.isfinite(RobustPCA().fit_transform(data)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rounded_data_full_of_ties_are_not_taken_for_exact():
    """Half of the pixels of the digits are zero: meeting those is no evidence, and rounding is noise."""
    X = load_digits().data[:300]
    fitted = RobustPCA(4).fit(X)
    assert fitted.stop_reason_ != "exact fit"
    assert fitted.n_components_ >= 3
    assert fitted.scale_ >= 0.28
    assert fitted.outliers_.mean() < 0.25


def test_zero_matrix():
    fitted = RobustMatrixCompletion().fit(np.zeros((10, 8)))
    assert fitted.rank_ == 0
    assert_array_equal(fitted.transform(np.full((2, 8), np.nan)), 0.0)


@pytest.mark.parametrize("estimator", BOTH)
def test_pickle(estimator, noisy):
    fitted = clone(estimator).fit(noisy.data)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(noisy.data), fitted.transform(noisy.data))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_svd_that_does_not_converge_is_done_again():
    """LAPACK's divide and conquer gave up on a finite 26 x 26 matrix of this fit."""
    p = make_corrupted_matrix(
        (60, 63), 2, observed=0.8494254787143889, outliers=0.13843817072927, condition=1.892603819633417, random_state=0
    )
    fitted = RobustMatrixCompletion(init_scale=0.1, max_iter=1000).fit(p.data)
    assert np.isfinite(fitted.singular_values_).all()


def test_columns_of_zeros_do_not_pass_for_evidence():
    """Any coefficients of a row meet them: three rows were wrong, in a fit that called itself exact."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 500))
    clean[:, rng.uniform(size=500) < 0.6] = 0.0
    data, _ = corrupt(clean, 0.35, random_state=rng)
    repaired = RobustMatrixCompletion(replace="all").fit_transform(data)
    assert_allclose(repaired, clean, atol=1e-8)


@pytest.mark.parametrize(
    "told",
    [
        {"shape": (169, 200), "rank": 6, "outliers": 0.327, "condition": 9.033667458185727, "random_state": 120127},
        {
            "shape": (145, 60), "rank": 3, "outliers": 0.3703403572770001, "condition": 4.67590497745536, "mean": 2.0,
            "random_state": 150205,
        },
    ],
)  # fmt: skip
def test_errors_that_agree_do_not_draw_a_full_matrix_aside(told):
    """A third is wrong in one direction: the first fit has no gap in its residuals, and all looks like noise."""
    problem = make_corrupted_matrix(**told, outlier_kind="one-sided")
    model = RobustPCA().fit(problem.data)
    assert model.converged_
    estimate = model.inverse_transform(model.transform(problem.data))
    assert relative_recovery_error(problem.clean, estimate) < 1e-10


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_errors_with_a_heavy_tail_are_told_from_noise(seed):
    """Cauchy errors in nearly half leave no gap beside the noise, but fall where they like: they are weighed down."""
    problem = make_corrupted_matrix(
        (120, 100), 4, outliers=0.45, outlier_kind="cauchy", noise=0.05, condition=5.0, random_state=seed
    )
    model = RobustMatrixCompletion(replace="all")
    # least squares told the errors come to 0.018 to 0.020, least absolute deviations to 0.047
    assert relative_recovery_error(problem.clean, model.fit_transform(problem.data)) < 0.023
    assert model.converged_ and model.rank_ == 4
    assert model.scale_ == pytest.approx(0.05 * problem.clean.std(), rel=0.05)


def test_what_a_low_rank_matrix_cannot_follow_is_not_taken_for_errors(rng):
    """Noise ten times larger in a third of the rows has a heavy tail and no gap, as photographs have."""
    truth = rng.standard_normal((90, 2)) @ rng.standard_normal((2, 80))
    size = np.where(np.arange(90) % 3 == 0, 1.0, np.where(np.arange(90) % 3 == 1, 0.3, 0.1))[:, None]
    data = truth + size * rng.standard_normal(truth.shape)
    model = RobustMatrixCompletion(rank=2, replace="all").fit(data)
    assert np.mean(model.outliers_) < 0.2
