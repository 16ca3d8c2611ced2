"""Order statistics are those that sorting all values gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm, ttest_1samp

from sklearn_robustlr._kernels.residuals import weighted_median
from sklearn_robustlr._utils.arrays import sorted_within
from sklearn_robustlr._utils.stats import (
    is_quantile_below,
    median,
    medians_of_others,
    medians_within,
    middles_within,
    quantile,
    random_sample,
    sign_of_mean,
)

DRAWS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(n),
    "ties": lambda rng, n: rng.randint(0, 3, n).astype(float),
    "sorted": lambda rng, n: np.sort(rng.standard_normal(n)),
    # the sample that bounds the quantile sees one part of the values alone
    "periodic": lambda rng, n: np.where(np.arange(n) % int(n ** (1 / 3)) == 0, 0.0, rng.standard_normal(n)),
}


@pytest.mark.parametrize("kind", DRAWS)
@given(seed=st.integers(0, 1000), n=st.sampled_from([1, 2, 100, 2500, 23_456]), q=st.floats(0.0, 1.0))
def test_quantiles_are_values_of_the_array(kind, seed, n, q):
    values = DRAWS[kind](np.random.RandomState(seed), n)
    expected = np.sort(values)[min(int(q * n), n - 1)]
    assert quantile(values, q) == expected
    for bound in (expected, np.nextafter(expected, np.inf)):
        assert is_quantile_below(values, q, bound) == (expected < bound)


@pytest.mark.parametrize("kind", DRAWS)
@given(seed=st.integers(0, 1000), n=st.sampled_from([1, 2, 100, 2500, 12_345]), power=st.integers(0, 8))
def test_half_of_the_mass_is_below_the_weighted_median(kind, seed, n, power):
    rng = np.random.RandomState(seed)
    values, mass = DRAWS[kind](rng, n), rng.uniform(0.01, 1.0, n) ** power
    order = np.argsort(values, kind="stable")
    total = np.cumsum(mass[order])
    expected = values[order[np.searchsorted(total, 0.5 * total[-1])]]
    before = values.copy(), mass.copy()
    found = weighted_median(values, mass)
    assert_array_equal((values, mass), before)
    below, upto = mass[values < found].sum(), mass[values <= found].sum()
    assert found == expected or max(below, total[-1] - upto) <= 0.5 * total[-1] * (1.0 + 1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_the_sign_of_a_mean_is_that_of_a_test_by_students_t(n):
    rng = np.random.RandomState(n)
    level = 2 * norm.sf(2.0)
    samples = rng.standard_normal((300, n)) + rng.choice([-2.0, 0.0, 2.0], (300, 1)) / np.sqrt(n)
    expected = [np.sign(x.mean()) if ttest_1samp(x, 0.0).pvalue < level else 0 for x in samples]
    assert_array_equal([sign_of_mean(x) for x in samples], expected)
    assert set(expected) == {-1, 0, 1}


@pytest.mark.parametrize("values", [[], [3.0]])
def test_few_values_tell_no_sign(values):
    assert sign_of_mean(np.array(values)) == 0


def test_values_that_are_no_numbers_come_last():
    values = np.r_[np.full(30_000, np.nan), np.arange(50_000.0)]
    assert_allclose(quantile(values, 0.5), 40_000.0)


@pytest.mark.parametrize("n", [1, 100, 101, 150, 10_000])
def test_a_sample_is_all_or_a_good_part_of_it(n):
    values = np.arange(n)
    some = values[random_sample(n, 100)]
    assert_array_equal(some, values[random_sample(n, 100)])
    assert np.all(np.diff(some) > 0)
    assert len(some) == n if n <= 100 else 60 <= len(some) <= 100
    assert some[0] <= 0.1 * n and some[-1] >= 0.9 * n - 1


@pytest.mark.parametrize("kind", DRAWS)
@given(seed=st.integers(0, 1000), n=st.integers(2, 9))
def test_medians_of_others_are_those_without_the_value(kind, seed, n):
    rng = np.random.RandomState(seed)
    values, weight = DRAWS[kind](rng, n), rng.randint(1, 4, n)
    repeated = np.repeat(values, weight)
    expected = [np.median(np.delete(repeated, i)) for i in range(len(repeated))]
    assert_allclose(medians_of_others(repeated), expected)
    assert_allclose(np.repeat(medians_of_others(values, weight.astype(float)), weight), expected)


@pytest.mark.parametrize("kind", DRAWS)
@given(seed=st.integers(0, 1000), n=st.integers(1, 40))
def test_medians_within_are_those_of_each_key(kind, seed, n):
    rng = np.random.RandomState(seed)
    values, keys, weight = DRAWS[kind](rng, n), rng.randint(0, 4, n).astype(np.int32), rng.randint(1, 4, n)
    repeated, of = np.repeat(values, weight), np.repeat(keys, weight)
    expected = [np.median(repeated[of == key]) if np.any(of == key) else 0.0 for key in range(5)]
    assert_allclose(medians_within(repeated, of, 5), expected)
    assert_allclose(medians_within(values, keys, 5, weight.astype(float)), expected)
    assert_allclose(median(values, weight.astype(float)), np.median(repeated))


def test_medians_of_light_keys_do_not_depend_on_heavy_ones():
    """The rounding of the sum of all weights was that of each: of 1, 2, 3, 4 and 1e6 the median was their middle."""
    values, keys = np.r_[np.zeros(1000), 1.0, 2.0, 3.0, 4.0, 1e6], np.repeat([0, 1], [1000, 5])
    weight = np.where(keys == 0, 1.0, 1e-12)
    assert_allclose(medians_within(values, keys, 2, weight), [0.0, 3.0])
    assert_allclose(medians_within(np.full(3, 5e-324), np.zeros(3, dtype=int), 1), 5e-324, rtol=0, atol=0)


def middles_of(values, keys, n, weight=None):
    return middles_within(values, keys, n, weight, sorted_within(keys, values, n))


def middle_of(values):
    """Mean of sorted values at ranks within their root of the middle, by a fine grid; the median of few values."""
    if len(values) < 256:
        return np.median(values)
    ranks = 0.5 * len(values) + np.sqrt(len(values)) * (np.arange(20_000) - 9_999.5) / 10_000
    return np.sort(values)[ranks.astype(int)].mean()


@pytest.mark.parametrize("kind", ["normal", "ties", "sorted"])
@given(seed=st.integers(0, 1000), n=st.integers(1, 900))
def test_middles_are_means_of_what_the_median_may_be(kind, seed, n):
    rng = np.random.RandomState(seed)
    values, keys, weight = DRAWS[kind](rng, n), rng.randint(0, 3, n), rng.randint(1, 4, n)
    repeated, of = np.repeat(values, weight), np.repeat(keys, weight)
    expected = [middle_of(repeated[of == key]) if np.any(of == key) else 0.0 for key in range(4)]
    found = middles_of(repeated, of, 4)
    assert_allclose(found, expected, atol=2e-3)
    assert_allclose(middles_of(values, keys, 4, weight.astype(float)), found, atol=1e-12)
    moved = 1e6 * np.isin(range(4), of) - 3.0 * found
    assert_allclose(middles_of(1e6 - 3.0 * repeated, of, 4), moved, rtol=1e-12)


def test_middles_do_not_leap_over_a_gap():
    """The median does with a few values more at one side."""
    small, large = np.arange(500.0), 1e6 + 1e4 * np.arange(510.0)
    more, fewer = (np.r_[small, large[:n]] for n in (495, 505))
    middles, medians = (
        [of(values, np.zeros(len(values), dtype=int), 1)[0] for values in (more, fewer)]
        for of in (middles_of, medians_within)
    )
    assert middles[1] < 3.0 * middles[0] and medians[1] > 1000.0 * medians[0]


@pytest.mark.parametrize("n, share", [(12, 0.4), (40, 0.45), (400, 0.45), (900, 0.466), (1000, 0.45), (2500, 0.48)])
def test_errors_do_not_move_middles(n, share):
    """The first of them may be next to what counts, but for rounding: in which of these is the machine's."""
    n_wrong = round(share * n)
    column = np.r_[np.linspace(-1.0, 1.0, n - n_wrong), np.full(n_wrong, 1e300)]
    values, keys = np.tile(column, 9), np.repeat(np.arange(9), n)
    assert np.all(np.abs(middles_of(values, keys, 9)) <= 1.0)
    assert np.all(np.abs(middles_of(values, keys, 9, np.full(9 * n, 1.1))) <= 1.0)


def test_middles_of_extreme_values_at_both_ends_are_numbers():
    values = np.repeat([-1.7e308, 1.0, 1.7e308], [200, 1, 200])
    assert abs(middles_of(values, np.zeros(401, dtype=int), 1)[0]) < 1e300
