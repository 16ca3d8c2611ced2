"""Which ranks are tried."""

import numpy as np
import pytest
from cases import Recorder

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


@pytest.mark.parametrize("rank", [1, 3])
def test_the_scan_walks_up_while_directions_promise_more_than_noise_gains(rank):
    """From a guess of 1, and no further: the fit of a rank that promises nothing is not made."""
    problem = make_corrupted_matrix((140, 130), rank=rank, noise=0.2, outliers=0.2, condition=3, random_state=0)
    u, s, vt = np.linalg.svd(problem.clean)
    recorder = Recorder()
    model = RobustMatrixCompletion(10).set_callbacks(recorder)
    model.fit(problem.data, init=(u[:, :1] * s[:1], vt[:1].T))
    assert model.rank_ == rank and model.history_["iteration"].tolist() == [0]
    assert [task for task in recorder.tasks if "rank" in task] == [f"rank {k}" for k in range(1, rank + 1)]


def test_a_fit_to_a_part_of_the_measurements_tells_nothing_of_the_rank():
    """One of 6 or 7 directions follows a part: beside it one more gained, and ranks 7 and 8 were "noisy"."""
    problem = make_measurements(666, (10, 30), 3, ensemble="rank_one", outliers=0.0, noise=0.3, random_state=2)
    model = RobustLowRankRecovery(measurements="rank_one", shape=(10, 30)).fit(problem.data, problem.target)
    assert (model.stop_reason_, model.rank_) == ("noisy", 3)
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.18


@pytest.mark.parametrize(
    ("rows", "columns", "share", "wrong", "seed"), [(300, 30, 0.2, 0.3, 5), (400, 20, 0.06, 0.1, 8)]
)
def test_a_group_of_rows_has_its_direction_beside_noise_and_errors(rows, columns, share, wrong, seed):
    """A fit of a rank too many has one of a few errors: it leads to the right one, which no start does."""
    rng = np.random.default_rng(seed)
    clean = rng.standard_normal((rows, 2)) @ rng.standard_normal((2, columns))
    group = np.arange(rows) < share * rows
    clean += 1.5 * np.outer(group * rng.standard_normal(rows), rng.standard_normal(columns))
    data = clean + 0.1 * rng.standard_normal(clean.shape)
    errors = rng.random(clean.shape) < wrong
    data[errors] += 8.0 * rng.standard_normal(errors.sum())
    model = RobustMatrixCompletion(replace="all")
    estimate = model.fit_transform(data)
    assert (model.stop_reason_, model.rank_) == ("noisy", 3)
    assert relative_recovery_error(clean, estimate) < 0.04


def test_directions_of_rounding_have_no_part_in_an_exact_fit():
    """Where the residuals have something in common a rank too many was kept: two directions were 1e-11 in size."""
    problem = make_measurements(400, (20, 20), 2, ensemble="rank_one", outliers=0.4, random_state=0)
    model = RobustLowRankRecovery(measurements="rank_one").fit(problem.data, problem.target)
    assert (model.stop_reason_, model.rank_) == ("exact", 2)


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")
def test_errors_far_from_the_medians_tell_nothing_of_a_fit():
    """An average that takes some for inliers was judged by them, and a right fit for no better."""
    problem = make_corrupted_matrix((1000, 20), rank=3, outliers=0.4, noise=0.1, random_state=0)
    model = RobustMatrixCompletion().fit(problem.data)
    assert (model.stop_reason_, model.rank_) == ("noisy", 3)
