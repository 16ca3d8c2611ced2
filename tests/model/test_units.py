"""Units of all columns at once are those of each column by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_robustlr._model.units import Units
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._utils.rules import NORMAL_MEDIAN
from sklearn_robustlr._utils.stats import middles_within

KINDS = {
    "plain": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.randint(-3, 4, shape[1]),
    "rounded": lambda rng, shape: np.round(rng.standard_normal(shape)),
    "counts": lambda rng, shape: rng.poisson(0.4, shape).astype(float),
    "mostly zero": lambda rng, shape: np.where(rng.uniform(size=shape) < 0.7, 0.0, rng.standard_normal(shape)),
    "of one value": lambda rng, shape: np.where(np.arange(shape[1]) % 2, 5.0, rng.standard_normal(shape)),
    "rounding beside an error": lambda rng, shape: 1e-9 * rng.standard_normal(shape) + 1e6 * np.eye(*shape),
}


def middle_of(values):
    """Mean of what the median of values may be by chance."""
    return middles_within(values, np.zeros(len(values), dtype=np.int32), 1, None, np.argsort(values))[0]


def expected_units(column, told):
    """Middle and scale of a column with entries; the scale is 0 where it is that of other columns."""
    median = np.median(column)
    shift = median if 2 * np.count_nonzero(column == median) > len(column) else middle_of(column)
    away = column - shift
    values, count = np.unique(column, return_counts=True)
    others = away
    if count.max() > 1 and len(values) > 1:  # without the most frequent value
        others = away[column != values[np.argmax(count)]]
    robust = middle_of(np.abs(others)) / NORMAL_MEDIAN if np.median(np.abs(away)) else 0.0
    if told and robust:
        return shift, robust
    bound = 30.0 * np.median(np.abs(away[away != 0.0])) if away.any() else 0.0
    usual = np.std(np.clip(away, -bound, bound))
    return shift, (robust if robust < np.finfo(float).eps * usual else usual) or usual or abs(shift)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30) | st.integers(400, 500), p=st.integers(1, 6))
def test_units_are_those_of_each_column_by_itself(kind, seed, n, p):
    rng = np.random.RandomState(seed)
    data = KINDS[kind](rng, (n, p))
    data[rng.uniform(size=data.shape) < 0.3] = np.nan
    units = Units.of(Entries(data))
    often = rng.randint(1, 4, n)  # rows that count so often are so many rows
    weighed, repeated = (
        Units.of(Entries(data).counting(often.astype(float))),
        Units.of(Entries(np.repeat(data, often, axis=0))),
    )
    assert_allclose(weighed.shift, repeated.shift, rtol=1e-9, atol=1e-12 * np.abs(repeated.shift).max())

    columns = [column[np.isfinite(column)] for column in data.T]
    seen = np.array([len(column) > 0 for column in columns])
    told = np.isfinite(data).sum() >= 8 * seen.sum()
    shift, scale = np.zeros(p), np.ones(p)
    for j in np.flatnonzero(seen):
        shift[j], scale[j] = expected_units(columns[j], told)
    scale[scale == 0.0] = np.median(scale[scale > 0.0]) if scale.any() else 1.0
    assert_allclose(units.shift, shift, rtol=1e-10, atol=1e-12 * scale.max())
    assert_allclose(units.scale, scale, rtol=1e-9)
    assert_allclose(units.low, [column.min() if len(column) else 0.0 for column in columns])
    assert_allclose(units.high, [column.max() if len(column) else 0.0 for column in columns])
