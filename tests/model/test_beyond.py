"""What no direction of a fit captures: nothing of a sharp rank, the rest of a spectrum that decays."""

import numpy as np
import pytest

from sklearn_robustlr._model.beyond import edge_power, share_beyond

EDGE = edge_power(4000, 120, 80)


def test_the_edge_is_the_most_power_of_a_direction_of_noise(rng):
    powers = [np.linalg.norm(rng.standard_normal((120, 80)), 2) ** 2 / 120 / 80 for _ in range(5)]
    assert edge_power(120 * 80, 120, 80) == pytest.approx(np.mean(powers), rel=0.1)


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_a_sharp_rank_leaves_nothing(k):
    assert share_beyond(np.full(k, 100.0 * EDGE), EDGE, 0.2) == 0.0


@pytest.mark.parametrize("fall", [2.5, 3.0, 4.0])
@pytest.mark.parametrize("least", [1.0, 2.0])
def test_a_spectrum_that_comes_down_to_the_noise_goes_on(fall, least):
    """Directions of less power than the edge are hardly told from noise: those of a fit do not count."""
    power = 50.0 * EDGE * np.arange(1.0, 2000.0) ** -fall
    found = power[power > least * EDGE]
    for more in ([], [0.3 * EDGE, 0.2 * EDGE]):
        share = share_beyond(np.append(found, more), EDGE, 1.0)
        assert share == pytest.approx(power[len(found) :].sum(), rel=0.35)


def test_it_is_told_by_the_end_of_the_spectrum_and_the_errors_of_the_fit():
    power = np.exp(-0.7 * np.arange(20)) * 60.0 * EDGE
    k = np.count_nonzero(power > EDGE)
    assert power[k:].sum() < share_beyond(power[:k], EDGE, 1.0) < 3.0 * power[k:].sum()
    slow = np.arange(1.0, 200.0) ** -1.2 * 10.0 * EDGE  # whose sum is next to infinite
    assert share_beyond(slow[slow > EDGE], EDGE, 0.2) == pytest.approx(0.3)


def test_the_less_as_the_next_direction_would_have_been_seen():
    """Two of the same power are followed by a third one, of one direction a quarter is next."""
    left = [share_beyond(np.array([4.0 * times * EDGE]), EDGE, 0.2) for times in (2.9, 4.0, 5.5, 8.0, 10.1)]
    assert left[0] == pytest.approx(0.3) and left[1] > left[2] > left[3] > left[4] == 0.0


@pytest.mark.parametrize("power", [[], [0.0, 0.0], [2.0 * EDGE]])
def test_where_nothing_stands_out_a_direction_may_hide(power):
    assert share_beyond(np.array(power), EDGE, 1e-6) == pytest.approx(EDGE)


def test_no_more_than_the_noise_is_beyond():
    assert share_beyond(np.ones(2), 0.9, 5.0) == 1.0


@pytest.mark.parametrize("size", [1e-250, 1.0, 1e250])
def test_powers_of_any_size_and_any_fall(size):
    """Noise of next to nothing beside the matrix, or many directions: no overflow, and nothing that is not finite."""
    for power in (np.logspace(300, -1, 200) * EDGE, np.array([1e300, EDGE]), np.full(5000, 2.0 * EDGE)):
        with np.errstate(all="raise", under="ignore"):
            share = share_beyond(power, EDGE, 0.2)
        assert 0.0 <= share <= 1.0
    assert 0.0 <= share_beyond(np.array([size, size]), EDGE, 0.2) <= 1.0
