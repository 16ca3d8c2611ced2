"""Groups of rows that have too little in common with the others are not identifiable."""

import numpy as np
import pytest

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._rows.links import linked


def two_groups(n_links, noise, *, n=120, p=60, rank=3, seed=0):
    """Rows of one half see the first columns, those of the other half the others; some see all of them."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))
    data = clean + noise * rng.standard_normal(clean.shape)
    data[n_links : n // 2, p // 2 :] = np.nan
    data[n // 2 :, : p // 2] = np.nan
    return clean, data


@pytest.mark.parametrize(("n_links", "noise"), [(0, 0.0), (1, 0.05), (2, 0.05), (5, 0.0)])
def test_what_nothing_links_is_not_known(n_links, noise):
    """It was zero, or had the sign of nothing, with a standard error of zero."""
    clean, data = two_groups(n_links, noise)
    with pytest.warns(UserWarning, match="not identifiable"):
        model = RobustMatrixCompletion().fit(data)
    missing = np.isnan(data)
    filled, error = model.transform(data, return_std=True)
    low, high = model.predict_interval(data)
    wrong = missing & (np.abs(filled - clean) > 0.5 * clean.std())
    assert np.isinf(error[wrong]).mean() > 0.99 and np.isinf((high - low)[wrong]).mean() > 0.99
    assert len(model.undetermined_rows_) >= 50 and len(model.undetermined_columns_) >= 30
    assert not model.outliers_.any()


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_groups_with_enough_links_are_one(noise):
    clean, data = two_groups(25, noise, seed=1)
    model = RobustMatrixCompletion().fit(data)
    assert model.converged_ and not len(model.undetermined_rows_)
    missing = np.isnan(data)
    assert np.sqrt(np.mean((model.transform(data) - clean)[missing] ** 2)) <= 2.0 * noise + 1e-8


def test_few_rows_and_columns_that_tell_one_another_are_known():
    """Two of each have too few entries in the others alone, but enough with those that they share."""
    data = np.ones((60, 40))
    data[58:, 4:38] = data[3:58, 38:] = data[5:10, :4] = np.nan
    entries = Entries(data)
    assert linked(entries, np.ones(len(entries.y), dtype=bool), 4).are_all()  # 18 equations for 16 numbers
    data[:, 38:] = np.nan
    data[:2, 38:] = data[58:, 38:] = 1.0
    data[59, 3] = np.nan
    entries = Entries(data)
    known = linked(entries, np.ones(len(entries.y), dtype=bool), 4)  # 15 for 16
    assert not known.rows[58:].any() and not known.columns[38:].any() and known.rows[:58].all()


def test_entries_of_an_exact_fit_of_which_nothing_is_known():
    """Their standard error was zero, as that of all others."""
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 40))
    seen = rng.uniform(size=truth.shape) < 0.6
    seen[5:8] = False
    seen[6, 3] = seen[7, 1] = seen[7, 2] = True
    X = np.argwhere(seen)
    with pytest.warns(UserWarning, match=r"3 rows of the matrix are not identifiable \(5, 6, 7\)"):
        model = RobustLowRankRecovery(measurements="entries", shape=truth.shape).fit(X, truth[seen])
    assert model.stop_reason_ == "exact"
    value, error = model.predict([[5, 0], [6, 0], [7, 0], [8, 0]], return_std=True)
    assert np.isinf(error).tolist() == [True, True, True, False]
    assert error[3] == 0.0 and abs(value[3] - truth[8, 0]) < 1e-9


def test_measurements_that_tell_nothing_of_a_row():
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 10))
    A = rng.standard_normal((300, 12, 10))
    A[:, 3] = 0.0
    y = np.sum(A * truth, axis=(1, 2))
    with pytest.warns(UserWarning, match="1 row of the matrix is not identifiable"):
        model = RobustLowRankRecovery(shape=truth.shape).fit(A.reshape(300, -1), y)
    single = np.zeros((2, 12, 10))
    single[0, 3, 0] = single[1, 4, 0] = 1.0
    value, error = model.predict(single.reshape(2, -1), return_std=True)
    assert model.stop_reason_ == "exact" and np.isinf(error[0])
    assert error[1] == 0.0 and abs(value[1] - truth[4, 0]) < 1e-9
