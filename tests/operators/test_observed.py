"""Observed entries of a matrix."""

import numpy as np

from sklearn_robustlr._operators.observed import Entries, core


def test_core_counts_the_entries_of_a_mask_alone():
    """A chain: the last column has two entries, one of them in a row that has no other that counts."""
    X = np.array([[1.0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 2, 1]])
    rows, cols = core(Entries(X), 2, among=X.ravel() == 1)
    np.testing.assert_array_equal(rows, [True, True, True, False])
    np.testing.assert_array_equal(cols, [True, True, True, False])
