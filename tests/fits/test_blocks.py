"""Large matrices are fitted by blocks, which are extended to the whole; what was fitted is what verbose=1 prints."""

import numpy as np
import pytest
from cases import BOTH, Recorder
from numpy.testing import assert_allclose
from sklearn.base import clone

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall, relative_recovery_error


@pytest.mark.parametrize("observed", [1.0, 0.6])
@pytest.mark.parametrize("estimator", BOTH)
def test_an_exact_block_is_extended_without_fitting_the_whole(small_blocks, fitted_parts, estimator, observed):
    problem = make_corrupted_matrix((240, 240), rank=3, observed=observed, outliers=0.25, random_state=8)
    fitted = clone(estimator).set_params(verbose=1).fit(problem.data)
    assert max(rows * columns * observed for rows, columns in fitted_parts()) < 9000
    assert fitted.converged_ and fitted.rank_ == 3
    assert not len(fitted.undetermined_rows_) and not len(fitted.undetermined_columns_)
    # scores, or the repaired matrix
    rows = fitted.transform(problem.data)
    rows = fitted.inverse_transform(rows) if isinstance(fitted, RobustPCA) else rows
    assert relative_recovery_error(problem.clean, rows) < 1e-9
    assert min(outlier_precision_recall(problem.outliers, fitted.outliers_)) == 1.0


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_some_rows_of_a_long_matrix_are_fitted_first(fitted_parts):
    """They tell its row space as well as all: the error is that of rows that are regressed on it."""
    problem = make_corrupted_matrix((9000, 8), rank=2, noise=0.1, outliers=0.05, random_state=0)
    model = RobustMatrixCompletion(replace="all", verbose=1).fit(problem.data)
    parts = fitted_parts()
    assert None not in parts and max(rows * columns for rows, columns in parts) < 30_000
    assert model.stop_reason_ == "noisy" and model.rank_ == 2
    error = np.linalg.norm((model.transform(problem.data) - problem.clean)[:800])
    told = np.where(problem.outliers, np.nan, problem.data)
    right = np.linalg.svd(problem.clean, full_matrices=False)[2][:2].T
    rows = []
    for row in told[:800]:
        seen = np.isfinite(row)
        rows.append(right @ np.linalg.lstsq(right[seen], row[seen], rcond=None)[0])
    assert error < 1.1 * np.linalg.norm(np.array(rows) - problem.clean[:800])


def test_a_noisy_block_starts_the_fit_of_the_whole(small_blocks, block_sizes, fitted_parts):
    """It is as good as the fit that starts from nothing, and its rank alone is fitted to the whole."""
    problem = make_corrupted_matrix((110, 100), rank=3, noise=0.1, outliers=0.2, random_state=8)
    recorder = Recorder()
    fast = RobustMatrixCompletion(replace="all", verbose=1).set_callbacks(recorder).fit(problem.data)
    assert fitted_parts() == [(50, 50), None]
    assert fast.history_["iteration"].tolist() == [0]
    starts = [place for place, task in enumerate(recorder.tasks) if task == "start"]
    assert recorder.tasks[starts[0] + 1 : starts[1]] == ["rank 3"]
    block_sizes(small=())
    slow = RobustMatrixCompletion(replace="all", verbose=1).fit(problem.data)
    assert fitted_parts() == [None] and slow.n_iter_ > fast.n_iter_
    assert fast.rank_ == slow.rank_ == 3 and fast.converged_
    assert_allclose(fast.transform(problem.data), slow.transform(problem.data), atol=0.02)
    assert_allclose(fast.scale_, slow.scale_, rtol=1e-2)


def test_large_blocks_give_what_the_whole_gives(small_blocks, block_sizes, fitted_parts):
    problem = make_corrupted_matrix((160, 120), rank=2, noise=0.1, outliers=0.2, random_state=8)
    fast = RobustMatrixCompletion(replace="all", verbose=1).fit(problem.data)
    assert max(rows * columns for rows, columns in fitted_parts()) < 12_000
    block_sizes(small=(), large=1_000_000)
    slow = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert fast.rank_ == slow.rank_ == 2
    errors = [relative_recovery_error(problem.clean, m.transform(problem.data)) for m in (fast, slow)]
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_blocks_of_extreme_sizes(small_blocks, noise):
    problem = make_corrupted_matrix((240, 160), rank=3, outliers=0.2, noise=noise, random_state=8)
    plain = RobustMatrixCompletion(replace="all").fit_transform(problem.data)
    for scale in (1e300, 1e-300):
        fitted = RobustMatrixCompletion(replace="all")
        repaired = fitted.fit_transform(scale * problem.data) / scale
        assert_allclose(repaired, plain, atol=1e-9)
        assert fitted.converged_ and fitted.rank_ == 3
        assert np.isfinite(RobustPCA().fit_transform(scale * problem.data)).all()


def hidden_direction(rows, share):
    """A matrix whose first block, of these rows, knows nothing of a direction that a share of the others have."""
    rng = np.random.RandomState(0)
    left = rng.standard_normal((240, 3))
    left[:, 2] = np.where(rows | (rng.uniform(size=240) > share), 0.0, left[:, 2])
    truth = left @ rng.standard_normal((3, 100))
    data = truth.copy()
    wrong = rng.uniform(size=data.shape) < 0.1
    data[wrong] = rng.uniform(50.0, 60.0, np.count_nonzero(wrong))
    return truth, data


def test_a_block_without_a_direction_is_drawn_again(small_blocks, first_rows, fitted_parts):
    """With the rows that the first block does not explain; the whole need not be fitted."""
    truth, data = hidden_direction(first_rows((240, 100), 2500), 0.15)
    fitted = RobustMatrixCompletion(verbose=1)
    assert relative_recovery_error(truth, fitted.fit_transform(data)) < 1e-8
    assert fitted.rank_ == 3
    assert fitted_parts() == [(50, 50), (50, 50)]


def test_a_misleading_large_block_falls_back_to_the_whole(block_sizes, first_rows, fitted_parts):
    block_sizes(small=(), large=12_000, block=6_000)
    truth, data = hidden_direction(first_rows((240, 100), 6_000), 0.4)
    fitted = RobustMatrixCompletion(verbose=1)
    assert relative_recovery_error(truth, fitted.fit_transform(data)) < 1e-8
    assert fitted.rank_ == 3
    parts = fitted_parts()
    assert parts[0] is not None and parts[-1] is None
