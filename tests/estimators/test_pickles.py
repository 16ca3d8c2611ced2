"""Pickles: they hold no code, reload in another process, and warn of another version."""

import io
import pickle
import re

import joblib
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.model_selection import EntryRegressor, to_entries

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


def test_pickles_and_dumps_reload_in_a_fresh_process(run, fitted, tmp_path):
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
def test_pickles_of_another_version_warn(fitted, case):
    X, current = CASES[case][1][0], sklearn_robustlr.__version__
    other = "9" + current[1:]  # of the same length, as pickles count the letters
    buffer = io.BytesIO()
    joblib.dump(fitted[case], buffer)
    for dump, load in ((pickle.dumps(fitted[case]), pickle.load), (buffer.getvalue(), joblib.load)):
        model = load(io.BytesIO(dump))  # no warning
        assert vars(model).keys() == vars(fitted[case]).keys()
        said = f"of sklearn_robustlr from version {other} when using version {current}"
        with pytest.warns(InconsistentVersionWarning, match=re.escape(said)) as caught:
            model = load(io.BytesIO(dump.replace(current.encode(), other.encode())))
        assert len(caught) == (3 if case == "entries" else 1)  # of two estimators inside, too
        assert_array_equal(outcome(model, X), outcome(fitted[case], X))
