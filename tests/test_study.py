"""A few problems of the studies of recovery and of structured errors, so that no change loses one of them unseen."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest


def load(name):
    path = Path(__file__).parent.parent / "asv_bench" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


study, structures = load("recovery_study"), load("structure_study")


@pytest.mark.parametrize("seed", [10, 11])
@pytest.mark.parametrize("row", [row for row in study.ROWS if not row.startswith("noise")])
def test_clean_rows(row, seed):
    result = study.run_problem(row, seed)
    assert result["error"] < 1e-6
    assert result["converged"]
    assert not result["warned"]


@pytest.mark.parametrize("seed", [10, 11])
def test_noisy_row(seed):
    result = study.run_problem("noise", seed)
    assert result["ratio"] < 1.4
    assert result["rank_right"]
    assert 0.8 < result["scale_ratio"] < 1.25


def test_the_study_refuses_seeds_that_built_the_method(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["recovery_study", "--seed", "5"])
    with pytest.raises(SystemExit):
        study.main()
    assert "used to build the method" in capsys.readouterr().err


@pytest.mark.parametrize("structure", structures.STRUCTURES)
def test_structures_spoil_their_share(structure):
    truth = np.random.RandomState(0).standard_normal((100, 3)) @ np.random.RandomState(1).standard_normal((3, 80))
    for share in (0.05, 0.3):
        data = structures.STRUCTURES[structure](truth, share, np.random.RandomState(2))
        assert abs(np.mean(data != truth) - share) < 0.02


def test_the_verdict_is_judged_by_what_most_signs_and_the_best_rank_tell(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(study.__file__).parent))
    verdict = load("verdict_study")
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


def test_garbage_rows_are_listed_and_periodic_errors_mislead():
    """As the guide says of them."""
    rows = structures.run_problem("rows", 0.2, 10)
    assert rows["right"] and not rows["warned"] and rows["listed"] == 20
    stripes = structures.run_problem("stripes", 0.3, 10)
    assert stripes["misled"] and not stripes["right"] and stripes["rank"] > 3
    assert structures.summarise([rows]).split() == ["rows", "100", "0", "0"]
