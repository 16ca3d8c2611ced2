"""Shared fixtures: problems and their fits, made once; and what a test may change of the package: two sizes."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

# Read when SciPy is imported; only then does scikit-learn's battery check input by the array API standard.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import matplotlib
import numpy as np
import pytest
from hypothesis import settings

import sklearn_robustlr
from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._estimators import memory
from sklearn_robustlr._rows import blocks
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

matplotlib.use("Agg")  # tests have no screen
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
settings.register_profile("same", derandomize=True, deadline=None, database=None)  # the same examples in each run
settings.load_profile("same")


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


# Problems and fits


@pytest.fixture(scope="session")
def noiseless():
    return make_corrupted_matrix((80, 60), rank=3, observed=0.7, outliers=0.2, condition=3, random_state=0)


@pytest.fixture(scope="session")
def completion(noiseless):
    return RobustMatrixCompletion().fit(noiseless.data)


@pytest.fixture(scope="session")
def pca(noiseless):
    return RobustPCA().fit(noiseless.data)


@pytest.fixture(scope="session")
def noisy():
    return make_corrupted_matrix((120, 80), rank=2, observed=0.8, outliers=0.2, noise=0.1, random_state=1)


@pytest.fixture(scope="session")
def noisy_completion(noisy):
    return RobustMatrixCompletion().fit(noisy.data)


@pytest.fixture(scope="session")
def noisy_pca(noisy):
    return RobustPCA().fit(noisy.data)


@pytest.fixture(scope="session")
def shifted():
    """A small matrix with a mean."""
    return make_corrupted_matrix((28, 22), rank=2, observed=0.9, outliers=0.08, mean=1.0, random_state=4)


@pytest.fixture(scope="session")
def shifted_pca(shifted):
    return RobustPCA().fit(shifted.data)


@pytest.fixture(scope="session")
def small():
    """A small matrix without a mean."""
    return make_corrupted_matrix((40, 30), rank=2, outliers=0.15, observed=0.8, random_state=0)


@pytest.fixture(scope="session")
def small_completion(small):
    return RobustMatrixCompletion().fit(small.data)


@pytest.fixture(scope="session")
def sensing():
    return make_measurements(shape=(20, 15), rank=2, outliers=0.2, condition=3, random_state=0)


@pytest.fixture(scope="session")
def recovery(sensing):
    return RobustLowRankRecovery(shape=(20, 15)).fit(sensing.data, sensing.target)


# What was done


@pytest.fixture
def fitted_parts(capsys):
    """Shapes of the blocks that fits with verbose=1 have printed since the last call; None: all of the data."""

    def read():
        starts = [line for line in capsys.readouterr().out.splitlines() if "] start " in line]
        found = [re.search(r"block of (\d+) x (\d+)", line) for line in starts]
        return [match and (int(match[1]), int(match[2])) for match in found]

    return read


# What a test may change


@pytest.fixture
def block_sizes(monkeypatch):
    """Set the sizes of the blocks that large matrices are fitted by: `small`, `large` and `block`."""

    def change(**sizes):
        for name, size in sizes.items():
            monkeypatch.setattr(blocks, name.upper(), size)

    return change


@pytest.fixture
def small_blocks(block_sizes):
    """The sizes of blocks, a tenth to a hundredth of what they are."""
    block_sizes(small=(2500, 6000), large=12_000, block=9_000)


@pytest.fixture
def first_rows():
    """Mask of the rows that the first block of so many entries of a full matrix has."""
    return lambda shape, size: blocks.choose_block(shape, shape[0] * shape[1], size)[0]


@pytest.fixture
def available_memory(monkeypatch):
    """Set how many bytes there are (None: that is not known)."""
    return lambda size: monkeypatch.setattr(memory, "available", lambda: size)


# Other processes

NO_NETWORK = """
import sys
def refuse(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise AssertionError(f"no network: {event}")
sys.addaudithook(refuse)
"""


@pytest.fixture(scope="session")
def package():
    """The folder of the package."""
    return Path(sklearn_robustlr.__file__).parent


@pytest.fixture(scope="session")
def run(package):
    """Run code in a fresh interpreter without a network, from the root of the package; returns what it prints."""

    def run(code, *args, **options):
        command = [sys.executable, "-W", "error", "-c", NO_NETWORK + textwrap.dedent(code), *map(str, args)]
        options = {"cwd": package.parent, **options}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
