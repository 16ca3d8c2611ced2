"""Shared fixtures."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")  # tests have no screen


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")
