"""Unattended use: other processes, no network."""

import os
import sys

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
    return completion.left_, completion.transform(matrix.data), recovery.matrix_, pca.components_


if __name__ == "__main__":
    for module in pkgutil.walk_packages(sklearn_robustlr.__path__, "sklearn_robustlr."):
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


def test_a_network_would_be_noticed(run):
    """The other tests of this file that start an interpreter rely on it."""
    for call in ("create_connection(('localhost', 9))", "getaddrinfo('example.org', 80)"):
        code = f"import socket\ntry:\n    socket.{call}\nexcept AssertionError as e:\n    print(e)"
        assert run(code).startswith("no network: socket.")


# a fork is not safe beside the system's BLAS on macOS, and there is none on Windows
METHODS = ["fork", "spawn"] if sys.platform == "linux" else ["spawn"]


def test_fits_in_children_after_a_fit_in_the_parent(run, package, tmp_path):
    """All modules are imported, too, and nothing of this needs a network (see `run`)."""
    script = tmp_path / "children.py"
    script.write_text(IN_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    assert (
        run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", *METHODS, env=environment).split()
        == METHODS
    )
