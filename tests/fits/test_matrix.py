"""The fit of a matrix: what it cannot determine, and what it says of that."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error


def test_undetermined_rows_and_columns_are_listed(noiseless):
    data = noiseless.data.copy()
    data[5] = np.nan
    data[9, 2:] = np.nan
    data[:, 7] = np.nan
    fitted = RobustMatrixCompletion(replace="all", keep_empty_features=True)
    with pytest.warns(UserWarning, match="too few inliers") as caught:
        fitted.fit(data)
    assert len(caught) == 2
    assert_array_equal(fitted.undetermined_rows_, [5, 9])
    assert_array_equal(fitted.undetermined_columns_, [7])
    assert fitted.converged_
    out = fitted.transform(data)
    rest = np.setdiff1d(np.arange(80), [5, 9]), np.setdiff1d(np.arange(60), [7])
    assert_allclose(out[np.ix_(*rest)], noiseless.clean[np.ix_(*rest)], atol=1e-8)
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


def test_corrupted_rows_do_not_stop_the_block(small_blocks):
    problem = make_corrupted_matrix((240, 160), rank=3, outliers=0.2, random_state=8)
    data = problem.data.copy()
    data[[3, 77]] = np.random.RandomState(1).standard_normal((2, 160))
    with pytest.warns(UserWarning, match="2 rows of X"):
        fitted = RobustMatrixCompletion().fit(data)
    assert_array_equal(fitted.undetermined_rows_, [3, 77])
    known = np.delete(np.arange(240), [3, 77])
    assert_allclose(fitted.transform(data)[known], problem.clean[known], atol=1e-8)


def test_rows_of_few_wrong_signs_are_known():
    p = make_corrupted_matrix((60, 50), 2, outliers=0.15, outlier_kind="sign-flip", random_state=0)
    model = RobustMatrixCompletion().fit(p.data)
    assert not len(model.undetermined_rows_) and not len(model.undetermined_columns_)
    assert relative_recovery_error(p.clean, (model.left_ * model.singular_values_) @ model.right_.T) < 1e-9


def least_squares_error(problem, rank, sweeps=50):
    """Error of least squares that is told the rank and the entries that are wrong."""
    weight = problem.observed & ~problem.outliers
    factors = [np.linalg.svd(problem.clean)[2][:rank].T]
    for _ in range(sweeps):
        for values, mask in ((problem.data, weight), (problem.data.T, weight.T)):
            basis = factors[-1]
            rows = [
                np.linalg.lstsq(basis[seen], row[seen], rcond=None)[0] for row, seen in zip(values, mask, strict=True)
            ]
            factors = [basis, np.array(rows)]
    right, left = factors[::-1]
    return relative_recovery_error(problem.clean, left @ right.T)


def test_few_inliers_with_noise_are_drawn_towards_what_is_likely():
    """The posterior mean is nearer to the matrix than least squares that is told the rank and the outliers."""
    ratios = []
    for seed in range(4):
        problem = make_corrupted_matrix((50, 40), 2, noise=0.3, outliers=0.1, observed=0.5, random_state=seed)
        model = RobustMatrixCompletion(replace="all").fit(problem.data)
        error = relative_recovery_error(problem.clean, model.transform(problem.data))
        assert model.stop_reason_ == "noisy" and model.rank_ == 2
        ratios.append(error / least_squares_error(problem, 2))
    assert np.exp(np.mean(np.log(ratios))) < 1.0


@pytest.mark.parametrize(("shape", "rank"), [((80, 12), 2), ((80, 12), 1), ((300, 40), 3)])
@pytest.mark.parametrize("estimator", [RobustMatrixCompletion, RobustPCA])
def test_numbers_that_were_in_single_precision_are_no_outliers(shape, rank, estimator):
    """Of such tables, as of files of images, up to a tenth was flagged: large numbers are rounded by more."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    data = clean.astype(np.float32).astype(np.float64)
    model = estimator().fit(data)
    assert model.stop_reason_ == "exact" and model.rank_ == rank and not model.outliers_.any()
    data[:5, 0] += 1e-4
    assert estimator().fit(data).outliers_.sum() == 5
