"""Numba functions: one policy, loops over measurements, over entries, over rows."""
