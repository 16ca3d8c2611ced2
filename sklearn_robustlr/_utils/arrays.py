"""Preparation of arrays for compiled kernels: read-only views, int32 indices, a stable order of keys."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view: numba then compiles one signature for writeable and for read-only arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


def with_single_values(
    estimates: np.ndarray, seen_range: tuple[np.ndarray, np.ndarray] | None, columns: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Return estimates of entries of some columns, a column whose range is one value at that."""
    if seen_range is None:
        return estimates
    low, high = seen_range
    return np.where((low == high)[columns], low[columns], estimates).astype(estimates.dtype, copy=False)


def counting_sort(keys: np.ndarray, n: int) -> np.ndarray:
    """Return the stable order of integer keys below n.

    SciPy's transposition of a sparse matrix sorts them in one pass, without comparisons.
    """
    places = np.arange(len(keys) + 1, dtype=np.int32)
    one_a_row = sparse.csr_matrix((places[:-1], keys, places), shape=(len(keys), n))
    return one_a_row.tocsc().data


def sorted_within(keys: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return the order by integer keys below n, and by values among equal ones.

    It takes a sixth of the time of ``np.lexsort``.
    """
    by_value = np.argsort(values)
    return by_value[counting_sort(keys[by_value], n)]


def check_count(n: int) -> None:
    """Refuse more numbers than indices of 32 bits tell apart."""
    if n > np.iinfo(np.int32).max:
        raise ValueError(f"X has {n} numbers, more than the {2**31 - 1} that are supported: use partial_fit.")


def index32(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return a CSR matrix with int32 indices and its duplicates summed; data are copied only where they must be."""
    check_count(matrix.nnz)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if matrix.indices.dtype == np.int32 and matrix.indptr.dtype == np.int32:
        return matrix
    indices, indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return sparse.csr_matrix((matrix.data, indices, indptr), shape=matrix.shape)
