"""Solvers: starts, step rules, the sub-gradient method (SubGM), the fixed-rank manifold, Gauss-Newton."""
