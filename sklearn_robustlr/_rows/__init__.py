"""Rows of a matrix on a known row space: regression, blocks and their extension, mending."""
