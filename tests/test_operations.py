"""Unattended use: pickles, other processes, caches that cannot be written."""

import io
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import joblib
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.model_selection import EntryRegressor, to_entries

ROOT = Path(sklearn_robustlr.__file__).parent.parent
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


def run(code, *args, **options):
    """Run code in a fresh interpreter from the root of the package; returns what it prints."""
    code = textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, **options,
    )  # fmt: skip
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
    monkeypatch.setattr("sklearn_robustlr._version.__version__", "9.8.7")
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
