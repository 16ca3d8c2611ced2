"""A few problems of every row of the recovery study, so that no change loses one of them unseen."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "asv_bench" / "recovery_study.py"
SPEC = importlib.util.spec_from_file_location("recovery_study", PATH)
study = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(study)


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
