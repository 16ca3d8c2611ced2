"""Fit a dask array by processes, or on a cluster whose worker is killed on the way.

    python cluster_fit.py processes|cluster FOLDER

A process of its own, for what a cluster runs must not be a module of the tests.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from sklearn_robustlr import RobustMatrixCompletion

N, P = 4_200, 60
LOOPBACK = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}


def dies_once(rows, flag):
    """The rows; the process that asks for them first is killed."""
    if not os.path.exists(flag):
        with open(flag, "w"):
            pass
        os._exit(1)
    return rows


def by_processes():
    """The first estimates by another process; one pool, for each computation would start its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool, dask.config.set(scheduler="processes", pool=pool):
        return RobustMatrixCompletion(replace="all").fit(whole).transform(whole)[:100].compute()


def by_a_cluster(flag):
    """The same on a cluster, a worker of which dies."""
    parts = [dask.delayed(part) for part in np.split(data, 3)]
    parts[1] = dask.delayed(dies_once)(parts[1], flag)
    X = da.concatenate([da.from_delayed(part, (N // 3, P), float) for part in parts])
    with LocalCluster(**LOOPBACK) as cluster, Client(cluster):
        found = RobustMatrixCompletion(replace="all").fit(X).transform(X)[:100].compute()
    assert os.path.exists(flag)
    return found


if __name__ == "__main__":
    rng = np.random.RandomState(0)
    data = rng.standard_normal((N, 3)) @ rng.standard_normal((3, P)) + 0.1 * rng.standard_normal((N, P))
    data[rng.uniform(size=data.shape) < 0.2] = np.nan
    whole = da.from_array(data, chunks=(1_400, P))
    with dask.config.set(scheduler="threads"):
        alone = RobustMatrixCompletion(replace="all").fit(whole)
    estimates = by_processes() if sys.argv[1] == "processes" else by_a_cluster(os.path.join(sys.argv[2], "died"))
    np.testing.assert_allclose(estimates, alone.transform(data[:100]), rtol=1e-8, atol=1e-8)
    print("the same")
