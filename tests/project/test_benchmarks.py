"""What a comparison of two commits takes for worse, and that what the site shows is what is to be measured."""

import ast
import json
import math
import re
from pathlib import Path

import history
import judge
import pytest

ROOT = Path(__file__).parents[2]
PLAN = history.load_plan()
# Benchmarks of asv, without their cases.
NAMES = {
    f"{path.stem}.{owner.name}.{method.name}"
    for path in (ROOT / "asv_bench" / "benchmarks").glob("*.py")
    for owner in ast.parse(path.read_text()).body
    if isinstance(owner, ast.ClassDef)
    for method in owner.body
    if isinstance(method, ast.FunctionDef)
}
COLUMNS = ["result", "params", "version", "samples"]


def stored(path, results):
    """A file of results, as asv writes it, of benchmarks: results of cases, names of these, and samples."""
    rows = {name: [found, cases, "0", samples] for name, (found, cases, samples) in results.items()}
    path.write_text(json.dumps({"result_columns": COLUMNS, "results": rows}))
    return path


def test_results_are_read_by_case_and_failures_are_none(tmp_path):
    results = {
        "fit.Fit.time_fit": ([0.1, None, math.nan, 0.4], [["'a'", "'b'"], ["1", "2"]], None),
        "fit.Fit.track_error": (None, [["'a'", "'b'"]], None),
        "steps.Grow.time_grow": ([0.5], [], [[0.6, 0.5]]),
    }
    path = stored(tmp_path / "results.json", results)
    found = judge.read(path)
    assert math.isnan(found.pop("fit.Fit.time_fit('b', 1)"))
    assert found == {
        "fit.Fit.time_fit('a', 1)": 0.1,
        "fit.Fit.time_fit('a', 2)": None,
        "fit.Fit.time_fit('b', 2)": 0.4,
        "fit.Fit.track_error('a')": None,
        "fit.Fit.track_error('b')": None,
        "steps.Grow.time_grow": 0.5,
    }
    assert judge.read(path, "samples")["steps.Grow.time_grow"] == [0.6, 0.5]


@pytest.mark.parametrize(
    ("method", "before", "after", "worse"),
    [
        ("track_recovery_error", 1e-16, 5e-9, False),  # both are exact
        ("track_recovery_error", 1e-16, 2e-8, True),
        ("track_error", 0.1, 0.12, False),
        ("track_error", 0.1, 0.13, True),
        ("track_error", 0.1, 0.01, False),
        ("track_error", 0.1, math.nan, True),
        ("track_difference_of_eight", 0.0, 1e-3, True),
        ("track_scale_deviation", 1e-4, 0.019, False),  # chance had brought it near to zero
        ("track_scale_deviation", 1e-4, 0.03, True),
        ("track_scale_deviation", 0.2, 0.24, False),
        ("track_coverage", 0.9, 0.885, False),
        ("track_coverage", 0.9, 0.87, True),
        ("track_coverage", 0.9, 0.93, True),
        ("track_coverage", 0.8, 0.97, False),
        ("track_price", 1.0, 9.0, False),  # a ratio of times
        ("time_error", 1.0, 9.0, False),
        ("peakmem_fit", 1e8, 1e9, False),
    ],
)
def test_what_is_clearly_worse(method, before, after, worse):
    assert judge.is_clearly_worse(f"fit.Fit.{method}('case')", before, after) == worse


def test_complaints_are_of_failures_and_of_accuracy_alone():
    before = {
        "a.A.time_fit": 1.0,
        "a.A.track_error": 0.1,
        "b.B.time_fit": None,
        "c.C.time_fit": 1.0,
        "d.D.time_fit": 1.0,
        "e.E.track_error": math.nan,  # it was not asked for
    }
    after = {**before, "a.A.time_fit": 9.0, "a.A.track_error": 0.2, "c.C.time_fit": None, "e.E.track_error": None}
    del after["d.D.time_fit"]
    assert judge.judge(before, after) == [
        "a.A.track_error was 0.1 and is 0.2",
        "c.C.time_fit fails",
        "d.D.time_fit fails",
    ]
    assert judge.judge(before, before) == judge.judge({}, after) == []


def test_the_exit_code_tells(tmp_path, capsys):
    files = {
        name: stored(tmp_path / f"{name}.json", {"a.A.track_error": ([value], [["1"]], None)})
        for name, value in (("good", 0.1), ("bad", 0.3), ("failed", None))
    }
    assert judge.main(files["good"], files["good"]) == 0
    assert judge.main(files["good"], files["bad"]) == 1
    assert judge.main(files["bad"], files["good"]) == 0
    assert judge.main(files["failed"], files["good"]) == 1  # nothing was compared
    assert "worse: a.A.track_error(1) was 0.1 and is 0.3\n1 results compared, 1 worse\n" in capsys.readouterr().out


def test_the_fastest_time_is_kept_and_what_is_missing_is_none(tmp_path):
    benchmark = {"title": "t", "of": "m.C", "case": "'x'", "what": "fit", "error": "track_coverage"}
    commits = [{"hash": "old"}, {"hash": "new"}]
    results = {
        "m.C.time_fit": ([0.23456, 1.0], [["'x'", "'y'"]], [[0.3, 0.12345], [1.0]]),
        "m.C.peakmem_fit": ([123456789, 1], [["'x'", "'y'"]], None),
        "m.C.track_coverage": ([0.87, 0.9], [["'x'", "'y'"]], None),
    }
    stored(tmp_path / "old.json", {"m.C.time_fit": ([None, 1.0], [["'x'", "'y'"]], [None, [1.0]])})
    stored(tmp_path / "new.json", results)
    kept = history.collect({"machine": "m", "commits": commits, "benchmarks": [benchmark]}, tmp_path)
    (found,) = kept["benchmarks"]
    assert found == {"title": "t", "time": [None, 0.123], "memory": [None, 123e6], "error": [None, 0.03]}


def test_patterns_name_single_cases():
    every, times = history.patterns(PLAN), history.patterns(PLAN, "time_")
    assert len(every) == 3 * len(times) == 3 * len(PLAN["benchmarks"]) == len({*every})
    assert r"^rows\.NewRows\.time_transform\('noise',\ 1\)$" in times


@pytest.mark.parametrize("benchmark", PLAN["benchmarks"], ids=lambda benchmark: benchmark["title"])
def test_what_is_measured_exists(benchmark):
    assert {name.split("(")[0] for name in history.names(benchmark).values()} <= NAMES


def test_what_is_compared_by_default_exists():
    found = re.findall(r"--bench '(.+?)'", (ROOT / ".ci" / "bench").read_text())
    assert len(found) >= 3
    for pattern in found:
        assert any(re.search(pattern, name) for name in NAMES), pattern


def test_what_is_stored_is_what_is_to_be_measured():
    kept = json.loads(history.STORED.read_text())
    assert kept["commits"] == PLAN["commits"] and kept["machine"] == PLAN["machine"]
    assert [one["title"] for one in kept["benchmarks"]] == [one["title"] for one in PLAN["benchmarks"]]
    for one in kept["benchmarks"]:
        for kind in history.DIGITS:
            assert len(one[kind]) == len(PLAN["commits"]) and one[kind][-1] is not None, (one["title"], kind)
