"""Which ranks are tried."""

import numpy as np
import pytest
from cases import Recorder

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix


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
