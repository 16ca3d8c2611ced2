"""Columns most of whose values are errors: their medians are errors, and only the other columns tell where they are."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


def damaged(seed, offset, share=0.6):
    """A table whose spectrum decays, and the same with errors in most values of its first two columns."""
    rng = np.random.RandomState(seed)
    truth = rng.standard_normal((200, 20)) * 0.65 ** np.arange(20) @ np.linalg.qr(rng.standard_normal((20, 20)))[0]
    truth /= truth.std()
    wrong = rng.uniform(size=truth.shape) < 0.05
    wrong[:, :2] = rng.uniform(size=(200, 2)) < share
    data = truth + wrong * (offset + 20.0 * rng.standard_normal(truth.shape))
    data[rng.uniform(size=truth.shape) < 0.1] = np.nan
    return truth, data, wrong


@pytest.mark.parametrize(("offset", "seed"), [(0.0, 1), (0.0, 4), (13.0, 1), (13.0, 4), (13.0, 5)])
def test_columns_mostly_wrong_are_found(offset, seed):
    """They had directions to themselves, which met the errors: their values were missed by 1 to 23 sd."""
    truth, data, wrong = damaged(seed, offset)
    model = RobustMatrixCompletion(replace="all").fit(data)
    missed = np.sqrt(np.mean((model.transform(data) - truth) ** 2, axis=0)) / truth.std(axis=0)
    assert missed.max() < 0.2
    flagged, seen = model.outliers_[:, :2], np.isfinite(data[:, :2])
    assert flagged[wrong[:, :2] & seen].mean() > 0.95 and flagged[~wrong[:, :2] & seen].mean() < 0.05


def test_whatever_the_units():
    _, data, _ = damaged(4, 13.0)
    other = (data + 7.0) * 2.0 ** np.linspace(-8, 8, 20).round()
    model, same = (RobustMatrixCompletion().fit(each) for each in (data, other))
    np.testing.assert_array_equal(same.outliers_, model.outliers_)


def test_what_others_do_not_tell_stays_as_it_is():
    """No value of a column that has nothing in common with the others is wrong for that."""
    _, data, _ = damaged(1, 0.0, share=0.0)
    rng = np.random.RandomState(5)
    data[:, 0] = rng.choice([-2.0, 2.0], 200, p=[0.65, 0.35]) + rng.standard_normal(200)
    data[:, 1] = rng.exponential(size=200)
    assert RobustMatrixCompletion().fit(data).outliers_[:, :2].mean() < 0.02
