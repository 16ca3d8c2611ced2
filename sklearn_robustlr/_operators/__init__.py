"""Measurement operators, X to <A_i, X>: dense, sparse, rank-one, entries; their tangent spaces and their units."""
