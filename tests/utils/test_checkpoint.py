"""Stages that are kept on disk."""

from dataclasses import dataclass

import numpy as np

from sklearn_robustlr._utils.checkpoint import Checkpoint, stage


@dataclass
class Result:
    spectrum: list


def test_what_a_stage_comes_to_is_what_would_be_read(tmp_path):
    """Strides are lost on disk, and sums over other strides may differ in the last bit."""
    strided = np.ones((6, 4))[:, :2]
    kept = Checkpoint(tmp_path, "x")
    pair, result = stage(None, "name", lambda: ([strided], strided), 1)
    assert pair[0].flags.c_contiguous and result.strides == pair[0].strides
    for _ in range(2):  # computed, and read
        pair, result = stage(kept, "name", lambda: ([strided], strided), 1)
        assert pair[0].flags.c_contiguous and result.strides == pair[0].strides
    assert stage(None, "name", lambda: Result([strided]), 1).spectrum[0].flags.c_contiguous
