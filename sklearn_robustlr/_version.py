"""The version, a module of its own so that all others can tell it."""

__version__ = "0.1.0"
