"""Compiled code is cached where that is possible; a cache that cannot be used costs time alone."""

import copy
import os
import pickle
import shutil
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from numba.core import config as numba_config

from sklearn_robustlr._kernels import jit, rows

SMALL_FIT = """
    from sklearn_robustlr import RobustLowRankRecovery
    from sklearn_robustlr.datasets import make_measurements

    problem = make_measurements(shape=(8, 6), rank=1, outliers=0.2, random_state=0)
    model = RobustLowRankRecovery(shape=(8, 6), polish=False).fit(problem.data, problem.target)
    assert model.rank_ == 1 and model.score(problem.data, problem.clean_target) > 0.99
"""


@pytest.mark.skipif(os.name == "nt", reason="on Windows the place of a user's cache is no matter of the environment")
def test_fit_where_no_cache_can_be_written(run, package, tmp_path):
    """Neither beside the package nor in the user's home: files are in the way, which stop root, too."""
    shutil.copytree(package, tmp_path / "sklearn_robustlr", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [path.parent for path in tmp_path.rglob("__init__.py")]
    for path in (*(folder / "__pycache__" for folder in folders), tmp_path / "home"):
        path.write_text("in the way")
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    run(SMALL_FIT, cwd=tmp_path, env=environment)
    assert not list(tmp_path.rglob("*.nb?"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_fit_where_the_disk_of_the_cache_is_full(run, tmp_path):
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what is longer cannot be written
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SKLEARN_ROBUSTLR_CACHE": "1"}
    run(textwrap.dedent(code) + textwrap.dedent(SMALL_FIT), env=environment)
    assert list(tmp_path.iterdir())  # it was tried
    assert not list(tmp_path.rglob("*.nbc")) and not list(tmp_path.rglob("*.tmp.*"))


def test_kernels_that_threads_call_at_once_are_made_once():
    @jit.jit()
    def double(x):
        return x + x

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: double.dispatcher, range(32)))
    assert all(dispatcher is made[0] for dispatcher in made)


def test_kernels_are_told_to_other_processes_by_their_names():
    assert pickle.loads(pickle.dumps(rows.starts_needed)) is rows.starts_needed
    assert copy.deepcopy(rows.starts_needed) is rows.starts_needed


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))

    def double(x):
        return x + x

    for damaged in ("*.nbi", "*.nbc"):
        assert jit.jit()(double)(2) == 4
        for path in tmp_path.rglob(damaged):
            path.write_bytes(path.read_bytes()[:-50])
        assert jit.jit()(double)(2) == 4
        again = jit.jit()(double)
        assert again(2) == 4
        assert sum(again.dispatcher.stats.cache_hits.values()) == 1
