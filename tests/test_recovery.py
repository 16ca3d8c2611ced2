"""RobustLowRankRecovery: what it recovers, what it reports, what it refuses."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.units import make_problem
from sklearn_robustlr._selection import descents as _pipeline
from sklearn_robustlr._selection.scan import Scan
from sklearn_robustlr._solvers.starts import spectral_start
from sklearn_robustlr._utils.values import Options
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error


@pytest.fixture(scope="module")
def problem():
    return make_measurements(shape=(20, 15), rank=2, outliers=0.2, condition=3, random_state=0)


@pytest.fixture(scope="module")
def model(problem):
    return RobustLowRankRecovery(shape=(20, 15)).fit(problem.data, problem.target)


@pytest.mark.parametrize("kind", OUTLIER_KINDS)
def test_exact_with_a_quarter_of_errors_of_every_kind(kind):
    p = make_measurements(shape=(20, 16), rank=2, outliers=0.25, outlier_kind=kind, condition=4, random_state=1)
    fitted = RobustLowRankRecovery(shape=(20, 16)).fit(p.data, p.target)
    assert fitted.rank_ == 2
    assert fitted.converged_
    assert relative_recovery_error(p.coef, fitted.coef_) < 1e-10
    precision, recall = outlier_precision_recall(p.outliers, fitted.outliers_)
    assert precision == 1.0
    # a sign flip of a value near zero, or a small Cauchy error, is hardly an error
    assert recall > 0.99


@pytest.mark.parametrize("ensemble", ["sign", "rank_one"])
def test_other_ensembles(ensemble):
    p = make_measurements(shape=(18, 14), rank=2, ensemble=ensemble, outliers=0.2, random_state=3)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    fitted = RobustLowRankRecovery(measurements=kind, shape=(18, 14)).fit(p.data, p.target)
    assert relative_recovery_error(p.coef, fitted.coef_) < 1e-10


def entries_of(p):
    return np.argwhere(p.observed), p.data[p.observed]


def test_entries_in_any_order_with_duplicates():
    p = make_corrupted_matrix((60, 50), rank=2, observed=0.7, outliers=0.2, random_state=0)
    X, y = entries_of(p)
    order = np.random.RandomState(0).permutation(len(y))
    X, y = np.vstack([X[order], X[:5]]), np.concatenate([y[order], y[:5]])
    fitted = RobustLowRankRecovery(measurements="entries", shape=(60, 50)).fit(X, y)
    assert relative_recovery_error(p.clean, fitted.coef_) < 1e-10
    assert_array_equal(fitted.outliers_[: len(order)], p.outliers[p.observed][order])
    assert_allclose(fitted.predict(X), p.clean[X[:, 0], X[:, 1]], atol=1e-10)


def test_many_entries_are_begun_from_a_block(monkeypatch):
    """The over-parameterised stage reads a block alone; duplicates, wrong ones, are measurements of their own."""
    problem = make_corrupted_matrix((500, 400), rank=3, observed=0.4, outliers=0.2, random_state=0)
    rows, cols = np.nonzero(problem.observed)
    again = np.arange(0, len(rows), 50)
    X = np.concatenate([np.stack([rows, cols], axis=1), np.stack([rows, cols], axis=1)[again]])
    y = np.concatenate([problem.data[rows, cols], problem.data[rows, cols][again] + 5.0])
    sizes = []
    descend = _pipeline.descend

    def spy(problem, *args, **kwargs):
        sizes.append(problem.work.size)
        return descend(problem, *args, **kwargs)

    monkeypatch.setattr(_pipeline, "descend", spy)
    model = RobustLowRankRecovery(measurements="entries").fit(X, y)
    assert relative_recovery_error(problem.clean, model.coef_) < 1e-9 and model.converged_ and model.rank_ == 3
    assert 0 < max(sizes) < 0.5 * len(y)
    sound = problem.data[rows, cols] == problem.clean[rows, cols]
    assert_array_equal(model.outliers_[: len(rows)], ~sound)
    assert np.mean(model.outliers_[len(rows) :]) > 0.99


def test_sparse_rows_equal_dense_ones(problem):
    data = problem.data * (np.random.RandomState(0).uniform(size=problem.data.shape) < 0.3)
    target = data @ problem.coef.ravel()
    target[::6] += 50
    dense = RobustLowRankRecovery(shape=(20, 15)).fit(data, target)
    rows = RobustLowRankRecovery(shape=(20, 15)).fit(sparse.csr_array(data), target)
    assert_allclose(rows.coef_, problem.coef, atol=1e-9)
    assert_allclose(rows.coef_, dense.coef_, atol=1e-9)
    assert_allclose(rows.transform(sparse.csr_array(data)), dense.transform(data), atol=1e-7)


def test_symmetric():
    p = make_measurements(400, shape=(15, 15), rank=2, symmetric=True, outliers=0.2, random_state=0)
    fitted = RobustLowRankRecovery(symmetric=True).fit(p.data, p.target)
    assert relative_recovery_error(p.coef, fitted.coef_) < 1e-10
    assert_array_equal(fitted.left_, fitted.right_)
    assert fitted.rank_ == 2


def test_float32_is_kept():
    p = make_measurements(shape=(16, 12), rank=2, outliers=0.2, random_state=0)
    fitted = RobustLowRankRecovery(shape=(16, 12)).fit(p.data.astype(np.float32), p.target)
    assert fitted.left_.dtype == fitted.singular_values_.dtype == fitted.coef_.dtype == np.float32
    assert fitted.rank_ == 2
    assert relative_recovery_error(p.coef, fitted.coef_) < 1e-4


def test_noise_is_near_the_oracle():
    p = make_measurements(1200, shape=(25, 20), rank=2, outliers=0.2, noise=0.1, random_state=0)
    fitted = RobustLowRankRecovery(shape=(25, 20)).fit(p.data, p.target)
    assert fitted.rank_ == 2
    # least squares told rank and errors is at about scale * sqrt(dof / m)
    statistical = 0.1 * np.sqrt(2 * 43 / (0.8 * 1200))
    assert relative_recovery_error(p.coef, fitted.coef_) < 1.25 * statistical
    assert 0.9 < fitted.scale_ / (0.1 * p.clean_target.std()) < 1.1


def test_half_of_huge_errors_beside_noise():
    """Fits of too large a rank are stuck; a small one, which no scan came to, is not. The oracle comes to 0.037."""
    p = make_measurements(16 * 76, (20, 20), 2, ensemble="rank_one", outliers=0.5, noise=0.1, random_state=6)
    fitted = RobustLowRankRecovery(measurements="rank_one", shape=(20, 20)).fit(p.data, p.target)
    assert fitted.rank_ == 2
    assert relative_recovery_error(p.coef, fitted.coef_) < 0.04


def test_rank_is_an_upper_bound(problem):
    fitted = RobustLowRankRecovery(8, shape=(20, 15)).fit(problem.data, problem.target)
    assert fitted.rank_ == 2
    assert relative_recovery_error(problem.coef, fitted.coef_) < 1e-10


def test_fitted_attributes(problem, model):
    assert model.left_.shape == (20, 2)
    assert model.right_.shape == (15, 2)
    assert_allclose(model.left_.T @ model.left_, np.eye(2), atol=1e-12)
    assert_allclose(model.singular_values_, np.linalg.svd(problem.coef)[1][:2])
    assert model.coef_.shape == model.shape_ == (20, 15)
    assert model.stop_reason_ == "exact fit"
    assert model.restart_scores_.shape == (1,)
    history = model.history_
    assert len({len(v) for v in history.values()}) == 1
    assert model.n_iter_ == history["iteration"][-1] + 1
    assert history["residual"][-1] < 0.1 * history["residual"][0]


def test_predict_is_transform_times_singular_values(problem, model):
    assert_allclose(model.predict(problem.data), model.transform(problem.data) @ model.singular_values_, atol=1e-9)
    assert_allclose(model.predict(problem.data), problem.data @ problem.coef.ravel(), atol=1e-8)
    assert model.score(problem.data, problem.target) > 1 - 1e-12


def test_feature_names_and_pandas(problem, model):
    names = ["robustlowrankrecovery0", "robustlowrankrecovery1"]
    assert_array_equal(model.get_feature_names_out(), names)
    frame = RobustLowRankRecovery(shape=(20, 15)).set_output(transform="pandas")
    out = frame.fit(problem.data, problem.target).transform(problem.data)
    assert isinstance(out, pandas.DataFrame)
    assert list(out.columns) == names


def test_shape_is_factored_squarely():
    p = make_measurements(200, shape=(3, 4), rank=1, outliers=0, random_state=0)
    assert RobustLowRankRecovery().fit(p.data, p.target).shape_ == (3, 4)


def test_prime_width_is_robust_linear_regression(rng):
    X = rng.standard_normal((200, 7))
    y = X @ np.arange(7.0)
    y[::5] += 100
    fitted = RobustLowRankRecovery().fit(X, y)
    assert_allclose(fitted.coef_.ravel(), np.arange(7.0), atol=1e-9)


def test_restarts_do_not_depend_on_n_jobs(problem):
    one, two = (
        RobustLowRankRecovery(shape=(20, 15), n_init=3, n_jobs=n, random_state=0).fit(problem.data, problem.target)
        for n in (1, 2)
    )
    assert_array_equal(one.coef_, two.coef_)
    assert_array_equal(one.restart_scores_, two.restart_scores_)
    assert len(one.restart_scores_) == 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_grid_search_over_init_scale_in_a_pipeline(problem):
    pipeline = make_pipeline(FunctionTransformer(), RobustLowRankRecovery(shape=(20, 15), polish=False))
    grid = {"robustlowrankrecovery__init_scale": [1e-6, 1e-3, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(problem.data, problem.target)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] > scores[2] or scores[0] > scores[2]
    assert search.best_params_["robustlowrankrecovery__init_scale"] < 1.0


def test_pickle_holds_arrays_only(problem, model):
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(problem.data), model.predict(problem.data))
    assert b"numba" not in pickle.dumps(model)


def test_input_is_not_changed(problem):
    X, y = problem.data.copy(), problem.target.copy()
    X.setflags(write=False)
    RobustLowRankRecovery(shape=(20, 15)).fit(X, y)
    assert_array_equal(X, problem.data)
    assert_array_equal(y, problem.target)


def test_verbose_prints_one_line(problem, capsys):
    RobustLowRankRecovery(shape=(20, 15), verbose=1).fit(problem.data, problem.target)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "rank 2" in out


def paper(p, rank, init_scale):
    fitted = RobustLowRankRecovery(
        rank, symmetric=True, polish=False, step_size="geometric", init_scale=init_scale, max_iter=9000, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return relative_recovery_error(p.coef, fitted.fit(p.data, p.target).coef_)


@pytest.fixture(scope="module")
def psd():
    return make_measurements(8 * 2 * 20, shape=(20, 20), rank=2, symmetric=True, outliers=0.1, random_state=0)


def test_paper_error_falls_with_init_scale(psd):
    errors = [paper(psd, 8, alpha) for alpha in (1e-1, 1e-3, 1e-5)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.5 * errors[1]


def test_paper_error_does_not_depend_on_the_width(psd):
    narrow, full = paper(psd, 8, 1e-3), paper(psd, 20, 1e-3)
    assert 0.5 < narrow / full < 2


def test_paper_sample_need_does_not_depend_on_the_width():
    """What suffices at r' = 4 suffices at r' = d."""
    for m in (200, 300, 400):
        p = make_measurements(m, shape=(20, 20), rank=2, symmetric=True, outliers=0.1, random_state=1)
        narrow, full = paper(p, 4, 1e-4), paper(p, 20, 1e-4)
        assert (narrow < 0.05) == (full < 0.05)


@pytest.mark.parametrize("step_size", ["geometric", "constant", "polyak"])
def test_every_step_rule_leads_to_the_same_polished_result(problem, step_size):
    scale = 0.1 if step_size == "polyak" else 1e-3
    fitted = RobustLowRankRecovery(shape=(20, 15), step_size=step_size, init_scale=scale)
    assert relative_recovery_error(problem.coef, fitted.fit(problem.data, problem.target).coef_) < 1e-10


def test_polyak_without_errors_converges_by_itself():
    p = make_measurements(shape=(15, 12), rank=2, outliers=0, random_state=0)
    fitted = RobustLowRankRecovery(2, shape=(15, 12), step_size="polyak", init_scale=0.1, polish=False, tol=1e-9)
    assert relative_recovery_error(p.coef, fitted.fit(p.data, p.target).coef_) < 1e-4


# Properties


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.sampled_from([1e-200, 1e-9, 1e6, 1e200]))
def test_scaling_y_scales_coef(factor):
    p = make_measurements(shape=(12, 10), rank=1, outliers=0.2, noise=0.05, random_state=0)
    base = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, p.target)
    scaled = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, factor * p.target)
    assert_allclose(scaled.coef_ / factor, base.coef_, rtol=1e-6, atol=1e-6)
    assert_array_equal(scaled.outliers_, base.outliers_)


@pytest.mark.parametrize("ensemble", ["gaussian", "rank_one"])
@pytest.mark.parametrize("size", [1e150, 1e-150])
def test_measurements_of_extreme_size(ensemble, size):
    """Squares of the A_i would overflow or vanish."""
    p = make_measurements(shape=(18, 14), rank=2, ensemble=ensemble, outliers=0.2, random_state=3)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    fitted = RobustLowRankRecovery(measurements=kind, shape=(18, 14)).fit(size * p.data, p.target)
    assert_allclose(fitted.coef_ * size * (size if kind == "rank_one" else 1.0), p.coef, atol=1e-10)
    if kind == "matrix":
        rows = RobustLowRankRecovery(shape=(18, 14)).fit(sparse.csr_array(size * size * p.data), p.target)
        assert_allclose(rows.coef_ * size * size, p.coef, atol=1e-10)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.sampled_from([1e-100, 1e-4, 1e5, 1e100]))
def test_scaling_the_measurements_scales_coef_back(factor):
    p = make_measurements(shape=(12, 10), rank=1, outliers=0.2, random_state=0)
    scaled = RobustLowRankRecovery(shape=(12, 10)).fit(factor * p.data, p.target)
    assert_allclose(scaled.coef_ * factor, p.coef, atol=1e-8)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_order_of_measurements_does_not_matter(seed):
    p = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=2)
    order = np.random.RandomState(seed).permutation(len(p.target))
    base = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, p.target)
    shuffled = RobustLowRankRecovery(shape=(12, 10)).fit(p.data[order], p.target[order])
    assert_allclose(shuffled.coef_, base.coef_, atol=1e-9)
    assert_array_equal(shuffled.outliers_, base.outliers_[order])


def test_transposing_the_measurements_transposes_coef(problem, model):
    data = problem.data.reshape(-1, 20, 15).transpose(0, 2, 1).reshape(-1, 300)
    turned = RobustLowRankRecovery(shape=(15, 20)).fit(data, problem.target)
    assert_allclose(turned.coef_.T, model.coef_, atol=1e-9)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.sampled_from([1e3, 1e9, 1e100]))
def test_moving_an_error_further_away_changes_nothing(size):
    p = make_measurements(shape=(12, 10), rank=2, outliers=0.2, random_state=0)
    target = p.target.copy()
    target[np.flatnonzero(p.outliers)[0]] = size
    fitted = RobustLowRankRecovery(shape=(12, 10)).fit(p.data, target)
    assert_allclose(fitted.coef_, p.coef, atol=1e-9)


# Failures say so


def test_too_few_measurements_warn():
    p = make_measurements(60, shape=(20, 20), rank=3, outliers=0.2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        fitted = RobustLowRankRecovery(shape=(20, 20)).fit(p.data, p.target)
    assert not fitted.converged_
    assert fitted.stop_reason_


def test_pure_noise_warns(rng):
    X = rng.standard_normal((600, 100))
    with pytest.warns(ConvergenceWarning, match="no low-rank structure"):
        RobustLowRankRecovery(shape=(10, 10)).fit(X, rng.standard_normal(600))


def test_zero_targets_are_the_zero_matrix(rng):
    fitted = RobustLowRankRecovery(shape=(4, 5)).fit(rng.standard_normal((100, 20)), np.zeros(100))
    assert fitted.rank_ == 0
    assert not fitted.coef_.any()


def test_zero_measurements_warn(rng):
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        RobustLowRankRecovery(shape=(4, 5)).fit(np.zeros((100, 20)), rng.standard_normal(100))


X20, Y20 = np.random.RandomState(0).standard_normal((40, 20)), np.random.RandomState(1).standard_normal(40)
PAIRS = np.random.RandomState(0).randint(0, 5, (40, 2))

BAD_PARAMETERS = [
    ({"rank": 0}, ValueError, "rank must be from 1 to"),
    ({"rank": 5}, ValueError, r"min\(shape\) = 4"),
    ({"rank": 1.5}, TypeError, "rank must be an integer"),
    ({"init_scale": 0}, ValueError, "init_scale must be from 1e-15 to 10, got 0"),
    ({"init_scale": -1.0}, ValueError, "init_scale"),
    ({"init_scale": "small"}, TypeError, "init_scale must be a number"),
    ({"step_size": "newton"}, ValueError, "step_size must be one of"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    ({"tol": -1}, ValueError, "tol"),
    ({"polish": 1}, TypeError, "polish must be True or False"),
    ({"n_init": 0}, ValueError, "n_init must be at least 1"),
    ({"n_jobs": 0}, ValueError, "n_jobs must be None or an integer other than 0"),
    ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer or None"),
    ({"random_state": "seed"}, TypeError, "random_state must be None, an integer or"),
    ({"random_state": -1}, ValueError, "random_state must be from 0 to 4294967295"),
    ({"warm_start": 1}, TypeError, "warm_start must be True or False"),
    ({"init_scale": 1e300}, ValueError, "init_scale"),
    ({"verbose": -1}, ValueError, "verbose"),
    ({"measurements": "pixels"}, ValueError, "measurements must be one of"),
    ({"shape": (3, 4)}, ValueError, "12 entries, but X has 20 features"),
    ({"shape": 20}, ValueError, "shape must be None or a pair"),
    ({"shape": (0, 5)}, ValueError, "shape must be None or a pair"),
    ({"symmetric": "yes"}, TypeError, "symmetric must be True or False"),
    ({"symmetric": True}, ValueError, "square"),
    ({"measurements": "entries"}, ValueError, "pair"),
    ({"measurements": "rank_one", "shape": (3, 4)}, ValueError, "3 \\+ 4"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        RobustLowRankRecovery(**parameters).fit(X20, Y20)


def with_value(X, value):
    X = X.copy()
    X[3, 1] = value
    return X


BAD_DATA = [
    (with_value(X20, np.nan), Y20, {}, "NaN"),
    (with_value(X20, np.inf), Y20, {}, "inf"),
    (X20, with_value(Y20[:, None].repeat(2, 1), np.nan)[:, 1], {}, "NaN"),
    (X20.astype(complex), Y20, {}, "[Cc]omplex"),
    (X20.astype(str).astype(object) + "x", Y20, {}, "convert"),
    (X20, Y20[:-1], {}, "inconsistent"),
    (X20[:, :0], Y20, {}, "0 feature"),
    (X20[:0], Y20[:0], {}, "0 sample"),
    (X20[:, :5], Y20, {"measurements": "rank_one"}, "odd"),
    (PAIRS + 0.5, Y20, {"measurements": "entries"}, "integer indices"),
    (PAIRS - 1, Y20, {"measurements": "entries"}, "non-negative"),
    (PAIRS, Y20, {"measurements": "entries", "shape": (5, 3)}, "column index 4"),
    (PAIRS, Y20, {"measurements": "entries", "shape": (3, 5)}, "row index 4"),
    (PAIRS * 1e12, Y20, {"measurements": "entries"}, "above the largest"),
    (sparse.csr_array(X20[:, :4]), Y20, {"measurements": "rank_one"}, "[Ss]parse"),
]


@pytest.mark.parametrize(("X", "y", "parameters", "message"), BAD_DATA)
def test_bad_data(X, y, parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RobustLowRankRecovery(**parameters).fit(X, y)


def test_predicting_entries_outside_the_matrix():
    p = make_corrupted_matrix((30, 20), rank=1, outliers=0.1, random_state=0)
    fitted = RobustLowRankRecovery(measurements="entries").fit(*entries_of(p))
    assert fitted.shape_ == (30, 20)
    with pytest.raises(ValueError, match="row index 30"):
        fitted.predict([[30, 0]])


def test_wide_sparse_problem_never_becomes_dense():
    """Rank-one measurements of a 2000 x 2000 matrix: d1 * d2 numbers a row would be 16 GB."""
    p = make_measurements(200, shape=(300, 300), rank=1, ensemble="rank_one", outliers=0, random_state=0)
    model = RobustLowRankRecovery(measurements="rank_one", max_iter=5, polish=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(p.data, p.target)  # compiled
        tracemalloc.start()
        model.fit(p.data, p.target)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200 * 300 * 300 * 8 / 5


def test_dense_fit_peaks_below_1_3_times_its_input():
    p = make_measurements(3000, shape=(40, 40), rank=2, outliers=0.1, random_state=0)
    model = RobustLowRankRecovery()
    model.fit(p.data[:400], p.target[:400])  # compiled
    tracemalloc.start()
    model.fit(p.data, p.target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * p.data.nbytes


@pytest.mark.parametrize("rank", [1, 3])
def test_the_scan_walks_up_while_directions_promise_more_than_noise_gains(rank):
    """From a guess of 1, and no further: the fit of a rank that promises nothing is not made."""
    problem = make_corrupted_matrix((140, 130), rank=rank, noise=0.2, outliers=0.2, condition=3, random_state=0)
    rows, cols = (index.astype(np.int32) for index in np.nonzero(problem.observed))
    units = make_problem(EntryMeasurements(rows, cols, problem.data[problem.observed], (140, 130)))
    u, s, v = spectral_start(units.work, 10)
    scan = Scan(units, u * s, v, Options(None, 1e-3, "auto", 300, 1e-4, True, False))
    assert scan.choose(1, 10) == rank
    assert max(scan.fits) == rank


@pytest.mark.parametrize("factor", [-1.0, 1.0])
def test_targets_that_are_not_finite_are_refused_whatever_their_type(factor):
    X = np.random.RandomState(0).standard_normal((20, 4))
    y = np.arange(20.0)
    y[:2] = np.inf, factor * np.inf
    with pytest.raises(ValueError, match="y contains infinity"):
        RobustLowRankRecovery().fit(X, y.astype(object))
    with pytest.raises(ValueError, match="y contains infinity or a value too large for dtype\\('float32'\\)"):
        RobustLowRankRecovery().fit(X.astype(np.float32), factor ** np.arange(20) * 1e39)
