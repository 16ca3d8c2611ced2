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


@pytest.mark.parametrize("seed", [2, 9])
def test_a_fit_to_a_part_of_the_measurements_tells_nothing_of_the_rank(seed):
    """One of 6 or 7 directions follows a part: beside it one more gained, and ranks 7 and 8 were "noisy"."""
    problem = make_measurements(666, (10, 30), 3, ensemble="rank_one", outliers=0.0, noise=0.3, random_state=seed)
    model = RobustLowRankRecovery(measurements="rank_one", shape=(10, 30)).fit(problem.data, problem.target)
    assert (model.stop_reason_, model.rank_) == ("noisy", 3)
    assert relative_recovery_error(problem.coef, model.matrix_) < 0.18
