"""RobustMatrixCompletion: what it repairs, and what it replaces."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error


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
def test_bound_of_the_rank_does_not_matter(noiseless, bound):
    fitted = RobustMatrixCompletion(bound)
    assert relative_recovery_error(noiseless.clean, fitted.fit_transform(noiseless.data)) < 1e-10
    assert fitted.rank_ == 3


@pytest.mark.parametrize("shape", [(60, 40), (30, 10), (400, 8), (8, 400)])
def test_tiny_tall_and_wide(shape):
    p = make_corrupted_matrix(shape, rank=1, outliers=0.1, random_state=3)
    assert relative_recovery_error(p.clean, RobustMatrixCompletion().fit_transform(p.data)) < 1e-8


def test_clean_complete_matrix_comes_back_bit_for_bit(noiseless):
    fitted = RobustMatrixCompletion()
    assert_array_equal(fitted.fit_transform(noiseless.clean), noiseless.clean)
    assert not fitted.outliers_.any()
    assert fitted.rank_ == 3


def test_noise_is_near_the_oracle(noisy):
    fitted = RobustMatrixCompletion(replace="all")
    error = relative_recovery_error(noisy.clean, fitted.fit_transform(noisy.data))
    # least squares told rank and errors: noise times the root of degrees of freedom per inlier
    oracle = 0.1 * np.sqrt(2 * 198 / (0.64 * 9600)) / noisy.clean.std()
    assert error < 1.15 * oracle
    assert fitted.rank_ == 2
    assert 0.9 < fitted.scale_ / 0.1 < 1.1


def test_replace(noiseless, noisy):
    for p in (noiseless, noisy):
        seen = np.isfinite(p.data)
        fitted = RobustMatrixCompletion().fit(p.data)
        out = {kind: fitted.set_params(replace=kind).transform(p.data) for kind in ("outliers", "missing", "all")}
        inlier = seen & ~fitted.outliers_
        assert_array_equal(out["outliers"][inlier], p.data[inlier])
        assert_array_equal(out["outliers"][~inlier], out["all"][~inlier])
        assert_array_equal(out["missing"][seen], p.data[seen])
        assert_array_equal(out["missing"][~seen], out["all"][~seen])
        assert np.isfinite(out["missing"]).all()


def test_flags_are_those_of_transform(noisy, noisy_completion):
    changed = noisy_completion.transform(noisy.data) != noisy.data
    assert_array_equal(changed & np.isfinite(noisy.data), noisy_completion.outliers_)


def test_agrees_with_recovery_from_entries(noiseless, completion):
    other = RobustLowRankRecovery(measurements="entries", shape=(80, 60))
    other.fit(np.argwhere(noiseless.observed), noiseless.data[noiseless.observed])
    assert_allclose((completion.left_ * completion.singular_values_) @ completion.right_.T, other.matrix_, atol=1e-10)


def test_predict_entries_refuses_what_is_outside(completion):
    with pytest.raises(ValueError, match="rows must lie in 0 to 79, got 3 to 80"):
        completion.predict_entries([3, 80], [0, 0])
    with pytest.raises(ValueError, match="one length"):
        completion.predict_entries([3], [0, 0])


def test_grid_search_over_init_scale_and_replace(noisy):
    grid = [{"rank": [1, 2]}, {"init_scale": [1e-2], "rank": [2]}]
    search = GridSearchCV(RobustMatrixCompletion(), grid, cv=2, error_score="raise", refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(noisy.data)
    assert search.best_params_["rank"] >= 2
    assert search.best_score_ > 0.9


def test_single_entries_are_asked_for_by_pairs_as_of_recovery():
    data = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0).data
    model = RobustMatrixCompletion().fit(data)
    pairs = np.array([[0, 3], [5, 7], [11, 2]])
    assert_array_equal(model.predict_entries(pairs), model.predict_entries(*pairs.T))
    recovery = RobustLowRankRecovery(measurements="entries", shape=data.shape)
    recovery.fit(np.argwhere(np.isfinite(data)), data[np.isfinite(data)])
    assert_allclose(recovery.predict(pairs), model.predict_entries(pairs), rtol=1e-8)
    with pytest.raises(ValueError, match="rows must be pairs"):
        model.predict_entries([0, 5])


def test_single_entries_beside_a_column_of_large_units():
    """Factors of one precision lost what the other columns have in common: the error was four times as large."""
    rng = np.random.RandomState(0)
    values = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 8)) + 0.3 * rng.standard_normal((100, 8)) + 5.0
    data = np.column_stack([1.7e18 + 6e10 * np.arange(100), values])  # times in nanoseconds
    rows, columns = np.nonzero(rng.uniform(size=values.shape) < 0.2)
    data[rows, columns + 1] = np.nan
    model = RobustMatrixCompletion().fit(data)
    repaired = model.transform(data)[rows, columns + 1]
    assert_allclose(model.predict_entries(rows, columns + 1), repaired, rtol=1e-9)
    assert np.mean(np.abs(repaired - values[rows, columns])) < 0.45


@pytest.mark.parametrize("seed", [0, 2])
def test_products_of_integers_are_met_to_rounding(seed):
    """Rounding to integers was taken for noise, so that steps ended at an error of 1e-7."""
    rng = np.random.RandomState(seed)
    clean = (rng.randint(-4, 5, (60, seed + 1)) @ rng.randint(-4, 5, (seed + 1, 15))).astype(float)
    data = np.where(rng.uniform(size=clean.shape) < 0.2, np.nan, clean)
    data[rng.uniform(size=clean.shape) < 0.03] += 17.0
    model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "exact"
    assert_allclose(model.transform(data), clean, atol=1e-11)
