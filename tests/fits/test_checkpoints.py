"""A fit that was interrupted goes on from its checkpoint, to the bits of one that was not."""

import os
import subprocess
import sys
import textwrap

import joblib
import pytest
from cases import Recorder
from numpy.testing import assert_array_equal
from sklearn.base import clone

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

# Smaller than the cases that other tests share: each is fitted six times.
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
    """Names of the stages that were stored; in place of the next one after `last` of them, the fit is interrupted."""

    def __init__(self, monkeypatch):
        self.names, self.last = [], None
        dump = joblib.dump

        def counted(value, path):
            if self.last is not None and len(self.names) >= self.last:
                raise KeyboardInterrupt
            self.names.append(path.name.split("-")[0])
            return dump(value, path)

        monkeypatch.setattr(joblib, "dump", counted)


@pytest.fixture
def stages(monkeypatch):
    return Stages(monkeypatch)


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_fit_goes_on_to_the_same_bits(case, stages, block_sizes, tmp_path):
    """Small matrices go through the stages of large ones."""
    block_sizes(small=(600, 1200), large=2000, block=1500)
    estimator, data = CASES[case]
    plain = clone(estimator).fit(*data)
    kept = clone(estimator).set_params(checkpoint=tmp_path)
    assert_same(plain, clone(kept).fit(*data))
    assert not list(tmp_path.iterdir())  # it is done
    whole = stages.names
    assert {"subgradient", "descent", "estimate"} <= set(whole)
    assert case in ("recovery", "race") or {"extension", "rows"} <= set(whole)
    for last in (1, len(whole) // 2):
        stages.names, stages.last = [], last
        with pytest.raises(KeyboardInterrupt):
            clone(kept).fit(*data)
        stages.last = None
        assert_same(plain, clone(kept).set_params(verbose=0, n_jobs=1).fit(*data))
        assert stages.names == whole  # none of them twice
        assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_what_another_goes_on_from(stages, package, tmp_path):
    estimator, data = CASES["recovery"]
    kept = clone(estimator).set_params(checkpoint=tmp_path / "kept")
    joblib.dump((kept, data), tmp_path / "fit")
    code = """
        import os, sys
        import joblib
        estimator, data = joblib.load(sys.argv[1])
        dump, left = joblib.dump, int(sys.argv[2])
        def end_after_some(value, path):
            global left
            left -= 1
            return dump(value, path) if left >= 0 else os._exit(7)
        joblib.dump = end_after_some
        estimator.fit(*data)
    """
    stages.names = []
    plain = clone(kept).fit(*data)
    last = len(stages.names) - 1
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "fit"), str(last)]
    assert subprocess.run(command, env=environment, timeout=100).returncode == 7
    stages.names = []
    assert_same(plain, clone(kept).fit(*data))
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
    with pytest.warns(UserWarning, match="could not be written") as told:
        assert_same(plain, clone(kept).set_params(checkpoint=tmp_path / "file" / "folder").fit(*data))
    assert len([one for one in told if "could not be written" in str(one.message)]) == 1
    with pytest.raises(ValueError, match=r"checkpoint must be the path of a folder, but '.*file' is a file"):
        clone(kept).set_params(checkpoint=tmp_path / "file").fit(*data)
    with pytest.raises(TypeError, match="checkpoint must be the path of a folder or None, got 3"):
        clone(kept).set_params(checkpoint=3).fit(*data)


def test_a_fit_that_callbacks_watch_makes_its_iterations(stages, tmp_path):
    """They may ask for an end, and what they have asked for must not come back later."""
    estimator, data = CASES["recovery"]
    kept = clone(estimator).set_params(checkpoint=tmp_path)
    stages.last = 1
    with pytest.raises(KeyboardInterrupt):
        clone(kept).set_callbacks(Recorder(stop_at="subgradient")).fit(*data)
    assert "subgradient" not in stages.names
    stages.last = None
    assert_same(clone(estimator).fit(*data), kept.fit(*data))
