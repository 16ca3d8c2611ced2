"""Values that repeat are stuck where the other columns tell better, and only there."""

import numpy as np
import pytest

from sklearn_robustlr._model.stuck import find_stuck_values
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries


def find(data):
    entries = Entries(data)
    table = Table.of(entries, np.median(data, axis=0), np.std(data, axis=0))
    return find_stuck_values(entries, table, min(data.shape) - 1)


@pytest.mark.parametrize("follows", [True, False])
def test_where_the_other_columns_tell_nothing_no_value_is_stuck(rng, follows):
    data = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 10)) if follows else rng.standard_normal((200, 10))
    data += 0.05 * rng.standard_normal(data.shape)
    data[:50, 3] = 1.0
    found = find(data)
    assert list(zip(found.cols, found.values, strict=True)) == ([(3, 1.0)] if follows else [])


def test_a_value_that_follows_its_rows_is_kept(rng):
    """A state in which all columns stand still."""
    data = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 10)) + 0.05 * rng.standard_normal((200, 10))
    data[:50] = data[60] + 0.05 * rng.standard_normal((50, 10))
    data[:50, 3] = data[60, 3]
    assert not len(find(data).cols)
