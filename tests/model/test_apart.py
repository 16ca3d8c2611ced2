"""What is wide in a noise law counts as errors where the sizes of residuals have more of a tail than noise has."""

from dataclasses import replace

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr._model.apart import columns_told_apart, told_apart
from sklearn_robustlr._model.noise import NoiseLaw
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries

N, P = 300, 20


def is_told_apart(residual, fitted, robust=True):
    """Whether it is, in a table whose values are these residuals beside what was fitted."""
    entries = Entries(fitted + residual)
    table = Table.of(entries, np.zeros(P), np.ones(P))
    of_entries = (values[entries.rows, entries.cols] for values in (residual, fitted))
    return told_apart(NoiseLaw.start(np.ones(P), robust), table, *of_entries).wide_is_errors


@pytest.fixture
def fitted(rng):
    return 5.0 * rng.standard_normal((N, P))


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("size", [7.0, 12.0])
def test_errors_of_one_size_are_a_second_mode(rng, fitted, share, size):
    residual = rng.standard_normal((N, P))
    wrong = rng.uniform(size=residual.shape) < share
    residual[wrong] += size * rng.choice([-1.0, 1.0], wrong.sum())
    assert is_told_apart(residual, fitted)
    assert not is_told_apart(residual, fitted, robust=False)


@pytest.mark.parametrize("share", [0.08, 0.25])
def test_errors_of_any_size_are_a_tail_that_falls_too_slowly(rng, fitted, share):
    residual = rng.standard_normal((N, P))
    wrong = rng.uniform(size=residual.shape) < share
    residual[wrong] += rng.uniform(-18.0, 18.0, wrong.sum())
    assert is_told_apart(residual, fitted)


def test_nothing_is_told_where_less_is_right_than_wrong(fitted):
    residual = 5.0 * np.random.RandomState(0).choice([-1.0, 0.0, 1.0], fitted.shape)
    law = replace(NoiseLaw.start(np.ones(P), True), shares=np.array([0.45, 0.54, 0.01]))
    table = Table.of(Entries(fitted + residual), np.zeros(P), np.ones(P))
    assert not told_apart(law, table, residual.ravel(), fitted.ravel()).wide_is_errors


def test_errors_that_are_as_many_in_all_columns_by_chance(rng):
    """Half of the columns have fewer errors than the others, by chance: they tell too little on their own."""
    fitted = 5.0 * rng.standard_normal((60, P))
    told = []
    for _ in range(20):
        residual = rng.standard_normal(fitted.shape)
        wrong = rng.uniform(size=residual.shape) < 0.05
        residual[wrong] += 8.0 * rng.choice([-1.0, 1.0], wrong.sum())
        entries = Entries(fitted + residual)
        table = Table.of(entries, np.zeros(P), np.ones(P))
        law = NoiseLaw.start(np.ones(P), True)
        told.append(told_apart(law, table, residual.ravel(), fitted.ravel()).wide_is_errors)
    assert np.mean(told) > 0.8


@pytest.mark.parametrize("freedom", [1, 2, 4, 1000])
def test_heavy_tails_are_none(rng, fitted, freedom):
    assert not is_told_apart(rng.standard_t(freedom, size=(N, P)), fitted)


def test_columns_of_few_values_do_not_count(rng):
    values = 8.0 * (rng.uniform(size=(N, P)) < 0.2)
    fitted = np.full((N, P), 0.5)
    assert not is_told_apart(values - fitted, fitted)


def test_columns_of_their_own_law_do_not_count(rng, fitted):
    """A few columns of rare large values: errors would be in all."""
    residual = rng.standard_normal((N, P))
    rare = rng.uniform(size=(N, 6)) < 0.3
    residual[:, :6][rare] += 12.0 + rng.standard_normal(rare.sum())
    assert not is_told_apart(residual, fitted)


def test_errors_are_weighed_as_what_is_wide_beside_them(rng):
    law = NoiseLaw.start(np.ones(1), True)
    weights = law.weigh(np.array([0.1, 36.0, 1e6]), np.zeros(3, int))
    assert weights.wide[1] > 0.5
    assert law.error_chances(weights)[1] < 0.5
    apart = told_apart(law, Table.of(Entries(np.zeros((1, 1))), np.zeros(1), np.ones(1)), *np.zeros((2, 1)))
    assert not apart.wide_is_errors  # of one residual nothing is known


def columns_told(residual, fitted):
    """Columns told to have errors of their own, in a table whose values are residuals beside what was fitted."""
    table = Table.of(Entries(fitted + residual), np.zeros(P), np.ones(P))
    law = columns_told_apart(NoiseLaw.start(np.ones(P), True), table, residual.ravel())
    return [] if law is None else np.flatnonzero(law.wrong).tolist()


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_errors_of_few_columns_are_told_by_their_own(rng, fitted, share):
    residual = rng.standard_normal((N, P)) * np.exp(rng.standard_normal(P))
    wrong = rng.uniform(size=(N, 2)) < share
    residual[:, [4, 11]] += np.where(wrong, 12.0 * np.median(np.abs(residual[:, [4, 11]]), axis=0), 0.0)
    assert columns_told(residual, fitted) == [4, 11]


@pytest.mark.parametrize("of", ["heavy tails", "two halves", "all columns", "one error"])
def test_no_column_has_errors_of_its_own(rng, fitted, of):
    residual = rng.standard_normal((N, P))
    if of == "heavy tails":
        residual = rng.standard_t(2.0, (N, P))
    elif of == "two halves":  # which of them is right cannot be told
        residual[:, 3] += np.where(np.arange(N) < 0.4 * N, 12.0, 0.0)
    elif of == "all columns":
        residual[rng.uniform(size=(N, P)) < 0.1] += 12.0
    else:
        residual[5, 3] += 12.0
    assert columns_told(residual, fitted) == []


def test_modes_that_other_columns_tell_of_are_no_errors(rng):
    """A tenth of each column is a mode of its own, in rows that have large values in the one before."""
    fitted, residual = 3.0 * rng.standard_normal((N, P)), rng.standard_normal((N, P))
    beside = np.roll(fitted, 1, axis=1)
    mode = beside > np.quantile(beside, 0.9, axis=0)
    assert not is_told_apart(residual + 12.0 * mode, fitted)
    assert is_told_apart(residual + 12.0 * np.roll(mode, 7, axis=0), fitted)


@pytest.mark.parametrize("seed, share", [(0, 0.03), (2, 0.03), (4, 0.03), (1, 0.0), (7, 0.0)])
def test_a_second_mode_is_not_flagged(seed, share):
    """A fifth of the rows are of another kind, which one column shows by a mode of its own and the others a little."""
    rng = np.random.RandomState(seed)
    other = rng.uniform(size=400) < 0.2
    common = rng.standard_normal(400) + 1.2 * other
    X = np.column_stack([w * common + 0.6 * rng.standard_normal(400) for w in (1.0, 0.8, 0.6, -0.7)])
    X = np.column_stack([X, 10.0 * other + rng.standard_normal(400)])
    wrong = rng.uniform(size=X.shape) < share
    X += np.where(wrong, rng.choice([-1, 1], X.shape) * 8.0 * X.std(axis=0), 0.0)
    flags = RobustMatrixCompletion().fit(X).outliers_
    assert flags[~wrong].mean() < 0.02
    assert flags[wrong].sum() >= 0.95 * wrong.sum()
