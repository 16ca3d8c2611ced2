"""A fit that was interrupted goes on from its checkpoint, to the bits of one that was not."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._estimators.validation import make_measurements_object
from sklearn_robustlr._operators.units import make_problem
from sklearn_robustlr._rows import blocks as _blocks
from sklearn_robustlr._solvers.subgradient import History
from sklearn_robustlr._utils import checkpoint as _checkpoint
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

MATRIX = make_corrupted_matrix((60, 50), rank=2, observed=0.8, outliers=0.2, noise=0.1, random_state=3).data
SENSING = make_measurements(700, (14, 12), 2, outliers=0.2, noise=0.05, random_state=1)
CASES = {
    "recovery": (RobustLowRankRecovery(shape=(14, 12)), (SENSING.data, SENSING.target)),
    "race": (RobustLowRankRecovery(shape=(14, 12), n_init=4, random_state=0), (SENSING.data, SENSING.target)),
    "completion": (RobustMatrixCompletion(), (MATRIX,)),
    "pca": (RobustPCA(), (MATRIX,)),
}


def bits(model):
    return {key: value for key, value in vars(model).items() if key.endswith("_") and not callable(value)}


def assert_same(one, other):
    one, other = bits(one), bits(other)
    assert one.keys() == other.keys()
    for key, value in one.items():
        for part, same in zip(*(v.values() if isinstance(v, dict) else [v] for v in (value, other[key])), strict=True):
            assert_array_equal(part, same, err_msg=key)


class Stages:
    """Names of the stages that are computed; after `last` of them `end` is called."""

    def __init__(self, monkeypatch, end):
        self.names, self.last = [], None
        recall = _checkpoint.Checkpoint.recall

        def counted(checkpoint, name, compute, what):
            def computed():
                if self.last is not None and len(self.names) >= self.last:
                    end()
                self.names.append(name)
                return compute()

            return recall(checkpoint, name, computed, what)

        monkeypatch.setattr(_checkpoint.Checkpoint, "recall", counted)


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def stages(monkeypatch):
    return Stages(monkeypatch, interrupt)


@pytest.fixture
def small_blocks(monkeypatch):
    """Matrices go through the stages of large ones."""
    monkeypatch.setattr(_blocks, "SMALL", (600, 1200))
    monkeypatch.setattr(_blocks, "LARGE", 2000)
    monkeypatch.setattr(_blocks, "BLOCK", 1500)


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_fit_goes_on_to_the_same_bits(case, stages, small_blocks, tmp_path):
    estimator, data = CASES[case]
    plain = clone(estimator).fit(*data)
    kept = clone(estimator).set_params(checkpoint=tmp_path)
    assert_same(plain, clone(kept).fit(*data))
    assert not list(tmp_path.iterdir())  # it is done
    whole = stages.names
    assert {"subgradient", "descent", "estimate"} <= set(whole)
    assert case in ("recovery", "race") or {"extension", "rows"} <= set(whole)
    for last in (1, len(whole) // 2, len(whole) - 1):
        stages.names, stages.last = [], last
        with pytest.raises(KeyboardInterrupt):
            clone(kept).fit(*data)
        stages.last = None
        assert_same(plain, clone(kept).set_params(verbose=0, n_jobs=1).fit(*data))
        assert stages.names == whole  # none of them twice
        assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_what_another_goes_on_from(stages, tmp_path):
    estimator, data = CASES["recovery"]
    code = """
        import os, sys
        import pytest
        import test_checkpoint
        from test_checkpoint import *
        monkeypatch = pytest.MonkeyPatch()
        Stages(monkeypatch, lambda: os._exit(7)).last = int(sys.argv[2])
        estimator, data = CASES["recovery"]
        estimator.set_params(checkpoint=sys.argv[1]).fit(*data)
    """
    plain = clone(estimator).set_params(checkpoint=tmp_path).fit(*data)
    last = len(stages.names) - 1
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(sklearn_robustlr.__file__).parent.parent)])
    environment = {**os.environ, "PYTHONPATH": folders}
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(last)]
    assert subprocess.run(command, env=environment, timeout=100).returncode == 7
    stages.names = []
    assert_same(plain, clone(estimator).set_params(checkpoint=tmp_path).fit(*data))
    assert len(stages.names) == 1


def test_other_data_and_parameters_find_nothing(stages, tmp_path):
    kept = RobustLowRankRecovery(shape=(14, 12), checkpoint=str(tmp_path))
    stages.last = 3
    with pytest.raises(KeyboardInterrupt):
        kept.fit(SENSING.data, SENSING.target)
    stages.last = None
    for params, factor in (({}, 2.0), ({"tol": 1e-3}, 1.0)):
        stages.names = []
        model = clone(kept).set_params(**params).fit(SENSING.data, SENSING.target * factor)
        count = len(stages.names)
        assert_same(model, clone(model).set_params(checkpoint=None).fit(SENSING.data, SENSING.target * factor))
        stages.names = []
        clone(model).fit(SENSING.data, SENSING.target * factor)
        assert len(stages.names) == count
    assert len(list(tmp_path.iterdir())) == 1  # what was interrupted is still there


def test_damaged_and_unwritable_checkpoints_cost_time_alone(stages, tmp_path):
    estimator, data = CASES["recovery"]
    plain = clone(estimator).fit(*data)
    kept = clone(estimator).set_params(checkpoint=tmp_path)
    stages.last = 3
    with pytest.raises(KeyboardInterrupt):
        kept.fit(*data)
    stages.last = None
    for path in tmp_path.rglob("estimate-*"):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged and is computed again"):
        assert_same(plain, clone(kept).fit(*data))
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="could not be written"):
        assert_same(plain, clone(kept).set_params(checkpoint=tmp_path / "file").fit(*data))
    with pytest.raises(TypeError, match="checkpoint must be the path of a folder or None, got 3"):
        clone(kept).set_params(checkpoint=3).fit(*data)


def test_a_fit_that_callbacks_watch_makes_its_iterations(stages, tmp_path):
    """They may ask for an end, and what they have asked for must not come back later."""
    estimator, data = CASES["recovery"]

    class Stop:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            return context.task_name == "subgradient"

    kept = clone(estimator).set_params(checkpoint=tmp_path)
    stages.last = 1
    with pytest.raises(KeyboardInterrupt):
        clone(kept).set_callbacks(Stop()).fit(*data)
    assert "subgradient" not in stages.names
    stages.last = None
    assert_same(clone(estimator).fit(*data), kept.fit(*data))


def test_what_a_stage_comes_to_is_what_would_be_read(tmp_path):
    """Strides are lost on disk, and sums over other strides may differ in the last bit."""
    strided = np.ones((6, 4))[:, :2]
    for checkpoint in (None, _checkpoint.Checkpoint(tmp_path, "x"), _checkpoint.Checkpoint(tmp_path, "x")):
        pair, history = _checkpoint.stage(checkpoint, "name", lambda: ([strided], History(spectrum=[strided])), 1)
        assert pair[0].flags.c_contiguous and history.spectrum[0].strides == pair[0].strides


def test_problems_are_told_apart_by_their_data_alone():
    operator, _ = make_measurements_object(SENSING.data, SENSING.target, (14, 12), "matrix")
    before = make_problem(operator).digest
    assert operator.resolution == 0.0  # which it remembers
    assert make_problem(operator.with_threads(2)).digest == before  # of which no result depends
    assert make_problem(operator).digest == before != make_problem(operator.subset(np.arange(600))).digest
