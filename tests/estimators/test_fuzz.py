"""Whatever comes in: a finite result, right where that is easy, or an honest no, or one clear refusal.

`python -m pytest -m slow tests/estimators/test_fuzz.py` makes thousands of examples, new ones at each run.
"""

from datetime import timedelta

import pytest
from found_problems import FUZZED
from fuzz_checks import check_matrix, check_measurements, fit
from fuzzing import MATRICES, MEASURED, RANKS, STARTS, make_matrix, make_measured, parameters
from hypothesis import HealthCheck, given, settings

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA

COMPLETION = parameters(
    rank=RANKS,
    replace=(["all", "outliers", "missing"], ["both", None, 1]),
    add_indicator=([False, True], [1, "no"]),
    keep_empty_features=([False, True], [None, 0]),
)
PCA = parameters(n_components=RANKS, center=([True, False], [1, None, "yes"]), whiten=([False, True], [0, "no"]))
RECOVERY = parameters(
    rank=RANKS,
    symmetric=([False, False, True], [1, None, "yes"]),
    measurements=([None], ["pixels", None, 1]),
    shape=([None], [(0, 3), "ab", (1, 2, 3), 3.5, (2, True)]),
)


def examples(count, *, new=False):
    """Settings: so many examples, always the same or new ones."""
    return settings(
        max_examples=count,
        derandomize=not new,
        deadline=timedelta(seconds=60),  # of an example: next to none takes a second
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@examples(10)
@given(MATRICES, COMPLETION, STARTS)
def test_completion(recipe, drawn, start):
    check_matrix(RobustMatrixCompletion, recipe, *drawn, start)


@examples(15)
@given(MATRICES, PCA, STARTS)
def test_pca(recipe, drawn, start):
    check_matrix(RobustPCA, recipe, *drawn, start)


@examples(20)
@given(MEASURED, RECOVERY, STARTS)
def test_recovery(recipe, drawn, start):
    check_measurements(recipe, *drawn, start)


@pytest.mark.slow
@examples(1500, new=True)
@given(MATRICES, COMPLETION, STARTS)
def test_many_completions(recipe, drawn, start):
    check_matrix(RobustMatrixCompletion, recipe, *drawn, start)


@pytest.mark.slow
@examples(1500, new=True)
@given(MATRICES, PCA, STARTS)
def test_many_pcas(recipe, drawn, start):
    check_matrix(RobustPCA, recipe, *drawn, start)


@pytest.mark.slow
@examples(2000, new=True)
@given(MEASURED, RECOVERY, STARTS)
def test_many_recoveries(recipe, drawn, start):
    check_measurements(recipe, *drawn, start)


@pytest.mark.parametrize("found", FUZZED, ids=lambda found: found.id)
def test_found_problems(found):
    recipe, model = found.recipe, found.model
    if not isinstance(model, RobustLowRankRecovery):
        assert make_matrix(recipe)[-1] == found.expected["outcome"]
        check_matrix(type(model), recipe, model.get_params(), None, None)
        return
    X, y, truth, outcome = make_measured(recipe, model.symmetric)
    assert outcome == found.expected["outcome"]
    kind = "matrix" if recipe["kind"] == "sparse" else recipe["kind"]
    told = model.get_params() | {"measurements": kind, "shape": truth.shape}
    fit(type(model)(**told), X, y, expected=outcome, bad=[])
