"""A few problems of the studies, so that no change loses one of them unseen, and what the studies refuse."""

import hidden_entries
import imputers
import numpy as np
import pytest
import recovery
import selection
import speed_profiles
import structure
import verdict
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401

CLEAN = [row for row in recovery.ROWS if not row.startswith("noise")]
FAST = [pytest.param(row, 10, marks=pytest.mark.slow if row == "gauss16" else ()) for row in CLEAN]


@pytest.mark.parametrize(("row", "seed"), [*FAST, *(pytest.param(row, 11, marks=pytest.mark.slow) for row in CLEAN)])
def test_clean_rows(row, seed):
    result = recovery.run_problem(row, seed)
    assert result["error"] < 1e-6
    assert result["converged"]
    assert not result["warned"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 11])
def test_noisy_row(seed):
    result = recovery.run_problem("noise", seed)
    assert result["ratio"] < 1.4
    assert result["rank_right"]
    assert 0.8 < result["scale_ratio"] < 1.25


def test_the_study_refuses_seeds_that_built_the_method(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recovery", "--seed", "5"])
    with pytest.raises(SystemExit):
        recovery.main()
    assert "used to build the method" in capsys.readouterr().err


@pytest.mark.parametrize("name", structure.STRUCTURES)
def test_structures_corrupt_their_share(name):
    truth = np.random.RandomState(0).standard_normal((100, 3)) @ np.random.RandomState(1).standard_normal((3, 80))
    for share in (0.05, 0.3):
        data = structure.STRUCTURES[name](truth, share, np.random.RandomState(2))
        assert abs(np.mean(data != truth) - share) < 0.02


def test_the_verdict_is_judged_by_what_most_signs_and_the_best_rank_tell():
    truth, wrong = np.eye(3), np.arange(9).reshape(3, 3) < 5
    for kind, sign in (("sign-flip", -1), ("huge", 1)):
        told, bad = verdict._told_by_most({"outlier_kind": kind}, truth, wrong)
        np.testing.assert_array_equal(told, sign * truth)
        np.testing.assert_array_equal(bad, wrong if sign > 0 else ~wrong)
    observed = wrong | (np.arange(9).reshape(3, 3) > 7)  # five of six that are seen
    np.testing.assert_array_equal(
        verdict._told_by_most({"outlier_kind": "sign-flip"}, truth, wrong, observed)[1], observed & ~wrong
    )

    def oracle(k, known):
        if k == 4:
            raise np.linalg.LinAlgError
        return {3: 0.5, 2: 0.3, 1: 0.4}[k]

    assert verdict._least_error(oracle, 4, [range(9), range(9)]) == 0.3
    assert verdict._least_error(oracle, 4, [range(9), range(1)]) == 0.4
    assert verdict._least_error(oracle, 4, [range(9), range(0)]) == np.inf


def test_corrupted_rows_are_listed_and_periodic_errors_mislead():
    """As the page on evidence says of them."""
    rows = structure.run_problem("rows", 0.2, 10)
    assert rows["right"] and not rows["warned"] and rows["listed"] == 20
    stripes = structure.run_problem("stripes", 0.3, 10)
    assert stripes["misled"] and not stripes["right"] and stripes["rank"] > 3
    assert structure.summarise("rows", [rows]) == {"20%": "100   0   0"}


def test_grid_search_picks_a_value_that_recovers():
    """A slice of the study."""
    result = selection.run_problem("gauss", 10)
    assert selection.recovers("gauss", result["stage"])
    assert selection.recovers("gauss", result["all"])
    assert result["stage"]["picked"] < 1e-2


@pytest.mark.parametrize("study", [selection, imputers, structure], ids=lambda study: study.__name__)
def test_studies_refuse_seeds_that_were_tuned_on(study, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [study.__name__, "--seed", "5"])
    with pytest.raises(SystemExit):
        study.main()
    assert "results on them are not reported" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["none", "huge", "one-sided", "same-size", "permuted"])
def test_imputer_study_spoils_as_it_says(kind, rng):
    X = rng.standard_normal((4000, 3)) * [1, 10, 100]
    spoilt = imputers.spoil(X, kind, 0)
    missing = np.isnan(spoilt)
    assert abs(missing.mean() - 0.2) < 0.02
    wrong = (spoilt != X) & ~missing
    assert np.abs(wrong.sum(axis=0) / (~missing).sum(axis=0) - (0.2 if kind != "none" else 0)).max() < 0.03
    moved = np.abs(spoilt - X)[wrong] / np.broadcast_to(X.std(axis=0), X.shape)[wrong]
    if kind in ("huge", "one-sided"):
        assert moved.min() > 4.9
    elif kind != "none":
        assert np.median(moved) < 2


def test_profiles_of_hidden_entries_count_who_reaches_the_target():
    workloads = [("tables", "iris", "gross"), ("spectra", ("1 / k", 60, 12), "gross")]
    times, errors = hidden_entries.measure_hidden([5], workloads)
    untold = [name for name in hidden_entries.UNTOLD if name != "median"]
    for w in range(len(workloads)):
        least = min(untold, key=lambda name: errors[name][w])
        for factor, named in times.items():
            assert np.isfinite(named[least][w])
            reached = {name for name in errors if errors[name][w] <= factor * errors[least][w]}
            assert reached == {name for name in errors if np.isfinite(named[name][w])}
        assert times[1.1]["median"][w] == np.inf
        assert times[1.3][hidden_entries.CAUCHY.name][w] <= times[1.1][hidden_entries.CAUCHY.name][w]
    assert np.isfinite(times[1.3][hidden_entries.OURS]).all()


def test_profiles_score_the_range_of_tau():
    ratio = np.array([1.0, 2.5, 8.0, 64.0, np.inf])
    assert speed_profiles.score(ratio) == pytest.approx(1.5 / 5)
    assert speed_profiles.score(ratio[[0, 2, 3, 4]], speed_profiles.SIXTY_FOUR) == pytest.approx(1.5 / 4)
    assert speed_profiles.share_within(ratio, 8.0) == 0.6
