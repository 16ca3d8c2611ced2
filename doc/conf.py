"""Sphinx configuration."""

from sklearn_robustlr import __version__

project = "sklearn_robustlr"
author = "the sklearn_robustlr developers"
copyright = "2026, the sklearn_robustlr developers"
release = version = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
exclude_patterns = ["_build"]
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
templates_path = ["_templates"]
