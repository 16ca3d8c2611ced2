"""Numba kernels: the compilation policy, loops over measurements, over entries, over rows."""
