"""Unattended use: pickles, other processes, caches that cannot be written."""

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import joblib
import pytest
from numba.core import config as numba_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._kernels import jit as _jit
from sklearn_robustlr._utils import threads as _threads
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.model_selection import EntryRegressor, to_entries

PACKAGE = Path(sklearn_robustlr.__file__).parent
MATRIX = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0).data
SENSING = make_measurements(shape=(8, 6), rank=1, outliers=0.2, random_state=0)
ENTRIES = to_entries(MATRIX)
CASES = {
    "recovery": (RobustLowRankRecovery(shape=(8, 6)), (SENSING.data, SENSING.target)),
    "completion": (RobustMatrixCompletion(), (MATRIX,)),
    "pca": (RobustPCA(), (MATRIX,)),
    "entries": (EntryRegressor(RobustMatrixCompletion(), shape=MATRIX.shape), ENTRIES),
}
each = pytest.mark.parametrize("case", CASES)


def outcome(model, X):
    return model.predict(X) if hasattr(model, "predict") else model.transform(X)


@pytest.fixture(scope="module")
def fitted():
    return {case: clone(model).fit(*data) for case, (model, data) in CASES.items()}


NO_NETWORK = """
import sys
def refuse(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise AssertionError(f"no network: {event}")
sys.addaudithook(refuse)
"""


def run(code, *args, **options):
    """Run code in a fresh interpreter without a network, from the root of the package; returns what it prints."""
    code = NO_NETWORK + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
    options = {"cwd": PACKAGE.parent, **options}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Pickles


def test_pickles_and_dumps_reload_in_a_fresh_process(fitted, tmp_path):
    data = {case: CASES[case][1][0] for case in fitted}
    expected = {case: outcome(model, data[case]) for case, model in fitted.items()}
    (tmp_path / "models.pickle").write_bytes(pickle.dumps((fitted, data, expected)))
    joblib.dump((fitted, data, expected), tmp_path / "models.joblib", compress=1)
    code = """
        import pickle, sys
        from pathlib import Path
        import joblib
        import numpy as np
        for models, data, expected in (pickle.loads(Path(sys.argv[1]).read_bytes()), joblib.load(sys.argv[2])):
            for case, model in models.items():
                call = model.predict if hasattr(model, "predict") else model.transform
                np.testing.assert_array_equal(call(data[case]), expected[case])
                print(case)
    """
    printed = run(code, tmp_path / "models.pickle", tmp_path / "models.joblib")
    assert printed.split() == [*CASES, *CASES]


@each
def test_pickles_hold_no_code(fitted, case):
    """Arrays, numbers and strings, and classes by name: of this package, numpy, scipy and scikit-learn alone."""
    found = []

    class Spy(pickle.Unpickler):
        def find_class(self, module, name):
            found.append(module)
            return super().find_class(module, name)

    Spy(io.BytesIO(pickle.dumps(fitted[case]))).load()
    roots = {module.split(".")[0] for module in found}
    assert "sklearn_robustlr" in roots <= {"sklearn_robustlr", "numpy", "sklearn", "scipy", "_codecs", "builtins"}
    assert not any("kernel" in module for module in found)


@each
def test_pickles_of_another_version_warn(fitted, case, monkeypatch):
    X = CASES[case][1][0]
    dump = pickle.dumps(fitted[case])
    model = pickle.loads(dump)  # no warning
    assert vars(model).keys() == vars(fitted[case]).keys()
    monkeypatch.setattr("sklearn_robustlr._estimators.base.__version__", "9.8.7")
    current = sklearn_robustlr.__version__
    with pytest.warns(InconsistentVersionWarning, match=f"of sklearn_robustlr from version {current} when using") as w:
        model = pickle.loads(dump)
    assert len(w) == (3 if case == "entries" else 1)  # of two estimators inside, too
    assert_array_equal(outcome(model, X), outcome(fitted[case], X))
    buffer = io.BytesIO()
    joblib.dump(fitted[case], buffer)
    monkeypatch.undo()
    buffer.seek(0)
    with pytest.warns(InconsistentVersionWarning, match=r"from version 9\.8\.7 when using"):
        joblib.load(buffer)


# Other processes

IN_CHILDREN = """
import importlib
import multiprocessing
import pkgutil
import sys
import warnings

import numpy as np

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements


def fit():
    matrix = make_corrupted_matrix((60, 40), rank=2, observed=0.8, outliers=0.1, noise=0.1, random_state=0)
    sensing = make_measurements(shape=(8, 6), rank=1, outliers=0.2, random_state=0)
    options = {"n_init": 3, "n_jobs": 2, "random_state": 0}
    completion = RobustMatrixCompletion(**options).fit(matrix.data)
    recovery = RobustLowRankRecovery(shape=(8, 6), **options).fit(sensing.data, sensing.target)
    pca = RobustPCA(**options).fit(matrix.data)
    return completion.left_, completion.transform(matrix.data), recovery.coef_, pca.components_


if __name__ == "__main__":
    for module in pkgutil.iter_modules(sklearn_robustlr.__path__, "sklearn_robustlr."):
        importlib.import_module(module.name)
    expected = fit()
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork with threads about
    for method in sys.argv[1:]:
        with multiprocessing.get_context(method).Pool(1) as pool:
            found = pool.apply_async(fit).get(timeout=100)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
        print(method)
"""


def test_a_network_would_be_noticed():
    """The other tests of this file that start an interpreter rely on it."""
    for call in ("create_connection(('localhost', 9))", "getaddrinfo('example.org', 80)"):
        code = f"import socket\ntry:\n    socket.{call}\nexcept AssertionError as e:\n    print(e)"
        assert run(code).startswith("no network: socket.")


# a fork is not safe beside the system's BLAS on macOS, and there is none on Windows
METHODS = ["fork", "spawn"] if sys.platform == "linux" else ["spawn"]


def test_fits_in_children_after_a_fit_in_the_parent(tmp_path):
    """All modules are imported, too, and nothing of this needs a network (see `run`)."""
    script = tmp_path / "children.py"
    script.write_text(IN_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    assert (
        run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", *METHODS, env=environment).split()
        == METHODS
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12: a fork with threads about
def test_a_fork_while_another_thread_holds_the_lock():
    held, done = threading.Event(), threading.Event()

    def hold():
        with _threads._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it where it hangs
        try:
            with _threads.single_threaded_blas():
                os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0


# numba's cache

SMALL_FIT = """
    from sklearn_robustlr import RobustLowRankRecovery
    from sklearn_robustlr._kernels import measurements
    from sklearn_robustlr.datasets import make_measurements

    problem = make_measurements(shape=(8, 6), rank=1, outliers=0.2, random_state=0)
    model = RobustLowRankRecovery(shape=(8, 6), polish=False).fit(problem.data, problem.target)
    assert model.rank_ == 1 and model.score(problem.data, problem.clean_target) > 0.99
    print(measurements.dense_step.stats.cache_path)
"""


@pytest.mark.skipif(os.name == "nt", reason="on Windows the place of a user's cache is no matter of the environment")
def test_fit_where_no_cache_can_be_written(tmp_path):
    """Neither beside the package nor in the user's home: files are in the way, which stop root, too."""
    package = tmp_path / "sklearn_robustlr"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("sklearn_robustlr/__pycache__", "home"):
        (tmp_path / name).write_text("in the way")
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    assert run(SMALL_FIT, cwd=tmp_path, env=environment).strip() == "None"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_fit_where_the_disk_of_the_cache_is_full(tmp_path):
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what is longer cannot be written
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "SKLEARN_ROBUSTLR_CACHE": "1"}
    printed = run(textwrap.dedent(code) + textwrap.dedent(SMALL_FIT), env=environment)
    assert printed.startswith(str(tmp_path))
    assert not list(tmp_path.rglob("*.nbc")) and not list(tmp_path.rglob("*.tmp.*"))


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))

    def double(x):
        return x + x

    for damaged in ("*.nbi", "*.nbc"):
        assert _jit.jit()(double)(2) == 4
        for path in tmp_path.rglob(damaged):
            path.write_bytes(path.read_bytes()[:-50])
        assert _jit.jit()(double)(2) == 4
        again = _jit.jit()(double)
        assert again(2) == 4
        assert sum(again.stats.cache_hits.values()) == 1
