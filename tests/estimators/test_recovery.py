"""RobustLowRankRecovery: what it recovers from each kind of measurements, and what it reports."""

import pickle
import warnings

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error


@pytest.mark.parametrize("kind", OUTLIER_KINDS)
def test_exact_with_a_quarter_of_errors_of_every_kind(kind):
    p = make_measurements(shape=(20, 16), rank=2, outliers=0.25, outlier_kind=kind, condition=4, random_state=1)
    fitted = RobustLowRankRecovery(shape=(20, 16)).fit(p.data, p.target)
    assert fitted.rank_ == 2
    assert fitted.converged_
    assert relative_recovery_error(p.coef, fitted.matrix_) < 1e-10
    precision, recall = outlier_precision_recall(p.outliers, fitted.outliers_)
    assert precision == 1.0
    # a sign flip of a value near zero, or a small Cauchy error, is hardly an error
    assert recall > 0.99


@pytest.mark.parametrize("ensemble", ["sign", "rank_one"])
def test_other_ensembles(ensemble):
    p = make_measurements(shape=(18, 14), rank=2, ensemble=ensemble, outliers=0.2, random_state=3)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    fitted = RobustLowRankRecovery(measurements=kind, shape=(18, 14)).fit(p.data, p.target)
    assert relative_recovery_error(p.coef, fitted.matrix_) < 1e-10


def entries_of(p):
    return np.argwhere(p.observed), p.data[p.observed]


def test_entries_in_any_order_with_duplicates():
    p = make_corrupted_matrix((60, 50), rank=2, observed=0.7, outliers=0.2, random_state=0)
    X, y = entries_of(p)
    order = np.random.RandomState(0).permutation(len(y))
    X, y = np.vstack([X[order], X[:5]]), np.concatenate([y[order], y[:5]])
    fitted = RobustLowRankRecovery(measurements="entries", shape=(60, 50)).fit(X, y)
    assert relative_recovery_error(p.clean, fitted.matrix_) < 1e-10
    assert_array_equal(fitted.outliers_[: len(order)], p.outliers[p.observed][order])
    assert_allclose(fitted.predict(X), p.clean[X[:, 0], X[:, 1]], atol=1e-10)


def test_many_entries_are_begun_from_a_block():
    """The over-parameterised stage reads a block alone; duplicates, corrupted ones, are measurements of their own."""
    problem = make_corrupted_matrix((500, 400), rank=3, observed=0.4, outliers=0.2, random_state=0)
    rows, cols = np.nonzero(problem.observed)
    again = np.arange(0, len(rows), 50)
    X = np.concatenate([np.stack([rows, cols], axis=1), np.stack([rows, cols], axis=1)[again]])
    y = np.concatenate([problem.data[rows, cols], problem.data[rows, cols][again] + 5.0])
    model = RobustLowRankRecovery(measurements="entries").fit(X, y)
    assert relative_recovery_error(problem.clean, model.matrix_) < 1e-9 and model.converged_ and model.rank_ == 3
    assert model.history_["iteration"].tolist() == [0]
    inlier = problem.data[rows, cols] == problem.clean[rows, cols]
    assert_array_equal(model.outliers_[: len(rows)], ~inlier)
    assert np.mean(model.outliers_[len(rows) :]) > 0.99


def test_sparse_rows_equal_dense_ones(sensing):
    data = sensing.data * (np.random.RandomState(0).uniform(size=sensing.data.shape) < 0.3)
    target = data @ sensing.coef.ravel()
    target[::6] += 50
    dense = RobustLowRankRecovery(shape=(20, 15)).fit(data, target)
    rows = RobustLowRankRecovery(shape=(20, 15)).fit(sparse.csr_array(data), target)
    assert_allclose(rows.matrix_, sensing.coef, atol=1e-9)
    assert_allclose(rows.matrix_, dense.matrix_, atol=1e-9)
    assert_allclose(rows.transform(sparse.csr_array(data)), dense.transform(data), atol=1e-7)


def test_symmetric():
    p = make_measurements(400, shape=(15, 15), rank=2, symmetric=True, outliers=0.2, random_state=0)
    fitted = RobustLowRankRecovery(symmetric=True).fit(p.data, p.target)
    assert relative_recovery_error(p.coef, fitted.matrix_) < 1e-10
    assert_array_equal(fitted.left_, fitted.right_)
    assert fitted.rank_ == 2


@pytest.mark.parametrize("seed", [3, 7])
def test_symmetric_entries_of_one_half(seed):
    """The last rows hardly occur as the first index: what is seen of a row is seen as a column, too."""
    rng = np.random.RandomState(seed)
    factor = rng.standard_normal((60, 3))
    truth = factor @ factor.T
    index = np.column_stack(np.triu_indices(60))
    y = truth[tuple(index.T)]
    wrong = rng.uniform(size=len(y)) < 0.1
    y[wrong] += rng.uniform(5.0, 15.0, wrong.sum()) * rng.choice([-1.0, 1.0], wrong.sum())
    model = RobustLowRankRecovery(measurements="entries", symmetric=True, shape=(60, 60)).fit(index, y)
    assert (model.stop_reason_, model.rank_) == ("exact", 3)
    assert_allclose(model.matrix_, truth, atol=1e-6)
    assert_array_equal(model.outliers_, wrong)


@pytest.mark.parametrize("seed", range(2))
def test_symmetric_entries_of_both_halves_do_not_agree_on_a_larger_rank(seed):
    rng = np.random.RandomState(seed)
    factor = rng.standard_normal((30, 2))
    truth = factor @ factor.T
    index = np.argwhere(rng.uniform(size=truth.shape) < 0.5)
    y = truth[tuple(index.T)]
    wrong = rng.uniform(size=len(y)) < 0.1
    y[wrong] += rng.uniform(5.0, 15.0, wrong.sum())
    model = RobustLowRankRecovery(measurements="entries", symmetric=True, shape=(30, 30)).fit(index, y)
    assert (model.stop_reason_, model.rank_) == ("exact", 2)
    assert_allclose(model.matrix_, truth, atol=1e-6)


def test_a_positive_semidefinite_matrix_beside_one_sided_errors():
    """All right targets are positive: their signs say nothing of the matrix."""
    rng = np.random.RandomState(22)
    u, a = rng.standard_normal(20), rng.standard_normal((200, 20))
    y = (a @ u) ** 2
    scale = y.std()
    y += 0.02 * scale * rng.standard_normal(200)
    wrong = rng.uniform(size=200) < 0.3
    y[wrong] += scale * rng.uniform(3.0, 15.0, wrong.sum())
    model = RobustLowRankRecovery(measurements="rank_one", symmetric=True).fit(np.hstack([a, a]), y)
    assert model.stop_reason_ == "noisy"
    assert relative_recovery_error(np.outer(u, u), model.matrix_) < 0.03


def test_float32_is_kept():
    p = make_measurements(shape=(16, 12), rank=2, outliers=0.2, random_state=0)
    fitted = RobustLowRankRecovery(shape=(16, 12)).fit(p.data.astype(np.float32), p.target)
    assert fitted.left_.dtype == fitted.singular_values_.dtype == fitted.matrix_.dtype == np.float32
    assert fitted.rank_ == 2
    assert relative_recovery_error(p.coef, fitted.matrix_) < 1e-4


def test_noise_is_near_the_oracle():
    p = make_measurements(1200, shape=(25, 20), rank=2, outliers=0.2, noise=0.1, random_state=0)
    fitted = RobustLowRankRecovery(shape=(25, 20)).fit(p.data, p.target)
    assert fitted.rank_ == 2
    # least squares told rank and errors is at about scale * sqrt(dof / m)
    statistical = 0.1 * np.sqrt(2 * 43 / (0.8 * 1200))
    assert relative_recovery_error(p.coef, fitted.matrix_) < 1.25 * statistical
    assert 0.9 < fitted.scale_ / (0.1 * p.clean_target.std()) < 1.1


@pytest.mark.parametrize("rank", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ensemble", ["gaussian", "rank_one"])
def test_few_measurements_without_errors(ensemble, rank):
    """Three a degree of freedom: a noise scale that begins too small follows a part of them."""
    shape = (24, 16)
    options = {"ensemble": ensemble, "outliers": 0.0, "noise": 0.2}
    problem = make_measurements(3 * 2 * (sum(shape) - 2), shape, 2, random_state=0, **options)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # they may say that there are few
        model = RobustLowRankRecovery(measurements=kind, shape=shape, rank=rank).fit(problem.data, problem.target)
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.25


def test_rank_is_an_upper_bound(sensing):
    fitted = RobustLowRankRecovery(8, shape=(20, 15)).fit(sensing.data, sensing.target)
    assert fitted.rank_ == 2
    assert relative_recovery_error(sensing.coef, fitted.matrix_) < 1e-10


def test_fitted_attributes(sensing, recovery):
    assert recovery.left_.shape == (20, 2)
    assert recovery.right_.shape == (15, 2)
    assert_allclose(recovery.left_.T @ recovery.left_, np.eye(2), atol=1e-12)
    assert_allclose(recovery.singular_values_, np.linalg.svd(sensing.coef)[1][:2])
    assert recovery.matrix_.shape == recovery.shape_ == (20, 15)
    assert recovery.stop_reason_ == "exact"
    assert recovery.restart_scores_.shape == (1,)
    history = recovery.history_
    assert len({len(v) for v in history.values()}) == 1
    assert recovery.n_iter_ > history["iteration"][-1] + 1
    assert history["residual"][-1] < 0.1 * history["residual"][0]


def test_predict_is_transform_times_singular_values(sensing, recovery):
    assert_allclose(
        recovery.predict(sensing.data), recovery.transform(sensing.data) @ recovery.singular_values_, atol=1e-9
    )
    assert_allclose(recovery.predict(sensing.data), sensing.data @ sensing.coef.ravel(), atol=1e-8)
    assert recovery.score(sensing.data, sensing.target) > 1 - 1e-12


def test_feature_names_and_pandas(sensing, recovery):
    names = ["robustlowrankrecovery0", "robustlowrankrecovery1"]
    assert_array_equal(recovery.get_feature_names_out(), names)
    frame = RobustLowRankRecovery(shape=(20, 15)).set_output(transform="pandas")
    out = frame.fit(sensing.data, sensing.target).transform(sensing.data)
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
    assert_allclose(fitted.matrix_.ravel(), np.arange(7.0), atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_grid_search_over_init_scale_in_a_pipeline(sensing):
    pipeline = make_pipeline(FunctionTransformer(), RobustLowRankRecovery(shape=(20, 15), polish=False))
    grid = {"robustlowrankrecovery__init_scale": [1e-6, 1e-3, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(sensing.data, sensing.target)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] > scores[2] or scores[0] > scores[2]
    assert search.best_params_["robustlowrankrecovery__init_scale"] < 1.0


def test_pickle_holds_arrays_only(sensing, recovery):
    again = pickle.loads(pickle.dumps(recovery))
    assert_array_equal(again.predict(sensing.data), recovery.predict(sensing.data))
    assert b"numba" not in pickle.dumps(recovery)


def test_input_is_not_changed(sensing):
    X, y = sensing.data.copy(), sensing.target.copy()
    X.setflags(write=False)
    RobustLowRankRecovery(shape=(20, 15)).fit(X, y)
    assert_array_equal(X, sensing.data)
    assert_array_equal(y, sensing.target)


def test_zero_targets_are_the_zero_matrix(rng):
    fitted = RobustLowRankRecovery(shape=(4, 5)).fit(rng.standard_normal((100, 20)), np.zeros(100))
    assert fitted.rank_ == 0
    assert not fitted.matrix_.any()


def test_predicting_entries_outside_the_matrix():
    p = make_corrupted_matrix((30, 20), rank=1, outliers=0.1, random_state=0)
    fitted = RobustLowRankRecovery(measurements="entries", shape=(30, 20)).fit(*entries_of(p))
    assert fitted.row_ids_ is None and fitted.column_ids_ is None
    with pytest.raises(ValueError, match="row index 30"):
        fitted.predict([[30, 0]])


def test_coefficients_are_those_of_the_features():
    problem = make_measurements(300, (12, 10), 1, outliers=0.1, random_state=0)
    model = RobustLowRankRecovery(shape=(12, 10)).fit(problem.data, problem.target)
    assert model.coef_.shape == (model.n_features_in_,)
    assert_allclose(model.coef_.reshape(12, 10), model.matrix_)
    assert_allclose(problem.data @ model.coef_, model.predict(problem.data))
    chosen = SelectFromModel(model, threshold=-np.inf, max_features=7, prefit=True)
    largest = np.sort(np.argsort(-np.abs(model.coef_))[:7])
    assert_array_equal(np.flatnonzero(chosen.get_support()), largest)


def test_only_flattened_matrices_have_coefficients():
    problem = make_measurements(200, (9, 8), 1, ensemble="rank_one", random_state=0)
    model = RobustLowRankRecovery(measurements="rank_one", shape=(9, 8)).fit(problem.data, problem.target)
    assert not hasattr(model, "coef_") and model.matrix_.shape == (9, 8)


def test_nothing_is_known_where_nothing_was_found():
    """No positive semi-definite matrix is near one without positive eigenvalues: standard errors were zero."""
    p = make_measurements(shape=(15, 15), rank=2, symmetric=True, noise=0.1, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model = RobustLowRankRecovery(shape=(15, 15), symmetric=True).fit(p.data, -p.target)
    assert np.isinf(model.predict(p.data, return_std=True)[1]).all()


def test_targets_that_were_in_single_precision_are_no_outliers():
    p = make_measurements(shape=(15, 12), rank=2, outliers=0.0, random_state=0)
    model = RobustLowRankRecovery(shape=(15, 12)).fit(p.data, p.target.astype(np.float32).astype(np.float64))
    assert model.stop_reason_ == "exact" and not model.outliers_.any()


@pytest.mark.parametrize(("law", "noise"), [("uniform", 0.2), ("mean", 0.1), ("boxes", 0.05)])
def test_measurements_that_have_much_in_common(law, noise):
    """The posterior mean takes them to have nothing in common, and lost a direction: then least squares is kept."""
    d1, d2, m = 20, 16, 544
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((d1, 2)) @ rng.standard_normal((2, d2))
    if law == "uniform":
        A = rng.uniform(2.0, 3.0, (m, d1, d2))
    elif law == "mean":
        A = 10.0 + rng.standard_normal((m, d1, d2))
    else:
        A = np.zeros((m, d1, d2))
        for a in A:
            i, j = (np.sort(rng.choice(d + 1, 2, replace=False)) for d in (d1, d2))
            a[slice(*i), slice(*j)] = 1.0
    A = A.reshape(m, -1)
    clean = A @ truth.ravel()
    model = RobustLowRankRecovery(shape=(d1, d2)).fit(A, clean + noise * clean.std() * rng.standard_normal(m))
    assert model.rank_ == 2
    assert np.linalg.norm(model.matrix_ - truth) < 0.2 * np.linalg.norm(truth)


def test_normal_equations_that_are_singular_to_rounding():
    """Clean entries of two groups of rows that few link: no error of linear algebra is raised."""
    rng = np.random.RandomState(100)
    X = np.linalg.qr(rng.standard_normal((120, 3)))[0] @ np.linalg.qr(rng.standard_normal((60, 3)))[0].T * np.sqrt(7200)
    X[8:60, :30] = X[60:, 30:] = np.nan
    for seed in range(3):
        rng = np.random.RandomState(seed)
        Y = X[rng.permutation(120)][:, rng.permutation(60)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = RobustLowRankRecovery(measurements="entries", shape=Y.shape)
            assert np.isfinite(model.fit(np.argwhere(np.isfinite(Y)), Y[np.isfinite(Y)]).matrix_).all()


def drawn_unevenly(kind, rng):
    """Measurement matrices that are not symmetric, and a positive semidefinite matrix of rank 2."""
    root = rng.standard_normal((12, 2))
    X = rng.standard_normal((400, 12, 12))
    if kind == "columns in units of 1 to 10":
        X *= np.geomspace(1, 10, 12)
    elif kind == "upper triangles":
        X *= np.triu(np.ones((12, 12)))
    else:
        X = rng.standard_normal((400, 12, 1)) * (1.0 + rng.standard_normal((400, 1, 12)))
    return X.reshape(400, -1), root @ root.T


@pytest.mark.parametrize("kind", ["columns in units of 1 to 10", "upper triangles", "products of unlike vectors"])
def test_a_symmetric_matrix_by_measurements_that_are_not(kind, rng):
    """Rows and columns were brought to units of their own, in which it is not symmetric: errors of 0.3 to 0.9."""
    X, matrix = drawn_unevenly(kind, rng)
    model = RobustLowRankRecovery(shape=(12, 12), symmetric=True).fit(X, X @ matrix.ravel())
    assert model.stop_reason_ == "exact"
    assert_allclose(model.matrix_, matrix, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 6, 11, 13])
def test_the_upper_triangle_of_a_symmetric_matrix_with_rows_of_uneven_size(seed):
    """Fits were "exact" and wrong by 0.1 to 0.5."""
    rng = np.random.RandomState(seed)
    root = rng.standard_normal((30, 2)) * np.exp(rng.standard_normal(30))[:, None]
    matrix = root @ root.T
    X = np.argwhere(np.triu(rng.uniform(size=(30, 30)) < 0.8))
    model = RobustLowRankRecovery(measurements="entries", shape=(30, 30), symmetric=True).fit(X, matrix[tuple(X.T)])
    assert model.stop_reason_ == "exact"
    assert relative_recovery_error(matrix, model.matrix_) < 1e-8


@pytest.mark.parametrize("shape", [(1, 31), (31, 1), (2, 5), (3, 3)])
def test_a_matrix_of_full_rank(shape, rng):
    """The rank stops there because there are no more: measurements did not do for it, they said."""
    X, matrix = rng.standard_normal((400, np.prod(shape))), rng.standard_normal(np.prod(shape))
    model = RobustLowRankRecovery(shape=shape).fit(X, X @ matrix + 0.05 * rng.standard_normal(400))
    assert model.converged_ and model.rank_ == min(shape)
    assert_allclose(model.coef_, np.linalg.lstsq(X, X @ matrix)[0], atol=0.02)
    assert np.isfinite(model.predict(X, return_std=True)[1]).all()


def measured(seed, n, noise=0.0):
    """Measurements of a 12 x 10 matrix of rank 2, and the matrix."""
    problem = make_measurements(n, (12, 10), 2, noise=noise, random_state=seed)
    return problem.data, problem.target, problem.coef


@pytest.mark.parametrize("n", [10, 36])
def test_few_measurements_that_are_repeated_do_not_determine_a_matrix(n):
    """Each counts as new: fits were "noisy" and all wrong, although all standard errors were infinite."""
    X, y, _ = measured(0, n)
    X, y = np.repeat(X, 20, axis=0), np.repeat(y, 20)
    y += 0.05 * y.std() * np.random.RandomState(0).standard_normal(len(y))
    with pytest.warns(ConvergenceWarning, match="leave most of the matrix open"):
        model = RobustLowRankRecovery(shape=(12, 10)).fit(X, y)
    assert model.stop_reason_ == "undetermined"
    assert np.isinf(model.predict(X, return_std=True)[1]).all()


def test_measurements_that_are_repeated_and_enough_determine_a_matrix():
    X, y, matrix = measured(0, 160)
    X, y = np.repeat(X, 5, axis=0), np.repeat(y, 5)
    y += 0.05 * y.std() * np.random.RandomState(0).standard_normal(len(y))
    model = RobustLowRankRecovery(shape=(12, 10)).fit(X, y)
    assert model.converged_ and not len(model.undetermined_rows_) and not len(model.undetermined_columns_)
    assert relative_recovery_error(matrix, model.matrix_) < 0.05


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_row_that_nothing_is_measured_of_is_not_identifiable(noise, symmetric, rng):
    """Fits were "exact" without a word, and infinite standard errors the only sign."""
    left, right = rng.standard_normal((12, 2)), rng.standard_normal((10, 2))
    matrix = left @ (left if symmetric else right).T
    X = rng.standard_normal((300, *matrix.shape))
    X[:, 3] = 0.0
    if symmetric:
        X[:, :, 3] = 0.0
    y = np.einsum("mij,ij->m", X, matrix)
    y += noise * y.std() * rng.standard_normal(300)
    X = X.reshape(300, -1)
    with pytest.warns(UserWarning, match=r"of the matrix is not identifiable \(3\)"):
        model = RobustLowRankRecovery(shape=matrix.shape, symmetric=symmetric).fit(X, y)
    assert model.converged_
    assert_array_equal(model.undetermined_rows_, [3])
    assert_array_equal(model.undetermined_columns_, [3] if symmetric else [])
    known = np.arange(12) != 3
    assert relative_recovery_error(matrix[known][:, :3], model.matrix_[known][:, :3]) < max(2 * noise, 1e-8)


def test_a_row_of_one_entry_is_not_identifiable(rng):
    matrix = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 20))
    seen = rng.uniform(size=matrix.shape) < 0.6
    seen[0] = np.arange(20) == 3
    with pytest.warns(UserWarning, match=r"1 row of the matrix is not identifiable \(0\)"):
        model = RobustLowRankRecovery(measurements="entries").fit(np.argwhere(seen), matrix[seen])
    assert model.stop_reason_ == "exact"
    assert_array_equal(model.undetermined_rows_, [0])
