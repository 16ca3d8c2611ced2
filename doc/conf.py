"""Sphinx configuration."""

import re
import sys
from pathlib import Path

from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # an example imports it

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import architecture
import gallery_order
import matplotlib
import over_time

from sklearn_robustlr import RobustMatrixCompletion, __version__
from sklearn_robustlr.datasets import fetch_street_camera, make_corrupted_matrix

matplotlib.use("Agg")

project = "sklearn_robustlr"
author = "the sklearn_robustlr developers"
copyright = "2026, the sklearn_robustlr developers"
release = version = __version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "myst_parser",
]
exclude_patterns = ["_build", "generated", "gallery/**/*.ipynb"]
source_suffix = {".rst": "restructuredtext"}  # Markdown is only included
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_robustlr"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_center": [],  # the sidebar has all pages
}
html_sidebars = {"**": ["all-pages.html"]}

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False

bibtex_bibfiles = ["refs.bib"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def examples_that_run():
    """Pattern of the examples to run: all but the one whose data are missing, which is then shown only."""
    try:
        fetch_street_camera()
    except OSError:
        return r"[\\/]plot_(?!street_camera)"
    return r"[\\/]plot_"


# the first fit of a new installation compiles, which is not the time of the example that it happens to be in
first = make_corrupted_matrix((200, 12), 2, observed=0.8, noise=0.1, random_state=0)
RobustMatrixCompletion().fit_transform(first.data)

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": examples_that_run(),
    "doc_module": ("sklearn_robustlr",),
    "reference_url": {"sklearn_robustlr": None},
    "within_subsection_order": "gallery_order.place",
    "minigallery_sort_order": "gallery_order.place",
    "backreferences_dir": "api/backreferences",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}


def generate(app):
    """Write what the pages on development and on benchmarks show."""
    target = HERE / "generated"
    target.mkdir(exist_ok=True)
    architecture.draw(HERE.parent / "sklearn_robustlr", target / "architecture.svg")
    architecture.table(HERE.parent / "sklearn_robustlr", target / "modules.rst")
    over_time.draw(HERE.parent / "asv_bench" / "history.json", target / "over_time.svg")
    over_time.tables(HERE.parent / "asv_bench" / "history.json", target / "over_time.rst")


def one_place_each(app, docname, source):
    """The tutorials stand in the sidebar once: under their own index, not again under that of the gallery."""
    if docname == "gallery/index":
        for name in gallery_order.TUTORIALS:
            source[0] = source[0].replace(f"\n   /gallery/{name}\n", "\n")


def link_to_scikit_learn(app, what, name, obj, options, lines):
    """Docstrings that scikit-learn makes, of requests for metadata, refer to pages of its own."""
    page = "`metadata routing <https://scikit-learn.org/stable/metadata_routing.html>`__"
    for i, line in enumerate(lines):
        if name.endswith("_request"):
            line = line.replace(":term:`meta-estimator`", "meta-estimator").replace(":ref:`metadata_routing`", page)
            line = re.sub(r":ref:`[^`<]*<metadata_routing>`", page, line)
        lines[i] = line


def setup(app):
    app.connect("builder-inited", generate)
    app.connect("source-read", one_place_each)
    app.connect("autodoc-process-docstring", link_to_scikit_learn)
