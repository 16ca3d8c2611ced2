"""Whole fits as functions: of measurements, and of a matrix by blocks, core and rows; results are values."""
