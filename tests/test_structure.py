"""The layout is what CONTRIBUTING.md says: imports run down the layers, modules stay small, names are public."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_robustlr

PACKAGE = Path(sklearn_robustlr.__file__).parent
ROOT = PACKAGE.parent  # of the wheel, where that is tested
TREE = Path(__file__).parents[1]
# Name of each module below the package, dots between folders: its syntax tree.
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}

# From the top down: a module imports from its own layer and from those below.
LAYERS = [
    "_estimators",
    "_fits",
    "_selection",
    "_model",
    "_rows",
    "_solvers",
    "_operators",
    "_kernels",
    "_utils",
]
# Public modules that import nothing of the package, so that any may import them.
FREE = {"datasets", "_version"}
PUBLIC = {"__init__", "compression", "metrics", "model_selection", "plotting"}
ESTIMATORS = {"completion", "pca", "recovery"}


def imports(tree):
    """Pairs (level and module, names) of all imports; relative ones start with dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def own(module):
    """Modules and packages of this package that a module imports, by their whole names."""
    for source, names in imports(MODULES[module]):
        dots = len(source) - len(source.lstrip("."))
        if not dots:
            continue
        folders = module.split(".")
        base = folders[: len(folders) - dots]
        target = [*base, *([source[dots:]] if source[dots:] else [])]
        for name in names:
            whole = ".".join([*target, name])
            yield whole if whole in MODULES else ".".join(target)


def test_every_module_has_its_place():
    assert {module.split(".")[0] for module in MODULES} == {*LAYERS, *FREE, *PUBLIC}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_down_the_layers(module):
    top = module.split(".")[0]
    for target in own(module):
        below = target.split(".")[0]
        if below in FREE or below == top:
            continue
        assert top not in FREE, f"{module} imports {target}"
        if top in PUBLIC:
            assert below in LAYERS, f"{module} imports {target}"
        else:
            assert below in LAYERS and LAYERS.index(below) > LAYERS.index(top), f"{module} imports {target}"


def test_no_estimator_imports_another():
    for name in ESTIMATORS:
        for target in own(f"_estimators.{name}"):
            assert target.split(".")[-1] not in ESTIMATORS, f"{name} imports {target}"


def test_imports_within_a_layer_have_no_cycle():
    below = {module: set(own(module)) & set(MODULES) for module in MODULES}
    while below:
        leaves = [module for module, targets in below.items() if not targets & set(below) - {module}]
        assert leaves, f"these import one another: {sorted(below)}"
        for module in leaves:
            del below[module]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_private_names_of_others(module):
    for source, names in imports(MODULES[module]):
        if not source.startswith(".") and source != "__future__":
            assert not any(part.startswith("_") for part in [*source.split("."), *names]), (module, source, names)
        elif source.startswith("."):
            assert not any(name.startswith("_") and name != "__version__" for name in names), (module, source, names)


def test_numba_only_in_one_module_and_sklearn_only_above_the_solvers():
    above = {*LAYERS[: LAYERS.index("_rows")], *FREE, *PUBLIC}
    for module, tree in MODULES.items():
        roots = {source.split(".")[0] for source, _ in imports(tree)}
        assert "numba" not in roots or module == "_kernels.jit"
        assert "sklearn" not in roots or module.split(".")[0] in above, module


def test_nothing_is_downloaded_or_unpickled():
    """No module opens a connection, none but the checkpoints of the user a pickle; what numpy loads is no pickle."""
    for module, tree in MODULES.items():
        roots = {source.split(".")[0] for source, _ in imports(tree)}
        assert not roots & {"socket", "urllib", "http", "ftplib", "requests", "pickle", "shelve", "subprocess"}, module
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "joblib.load"):
                assert "allow_pickle=False" in ast.unparse(node) or module == "_utils.checkpoint", module


def test_actions_of_the_ci_are_pinned_by_hash():
    files = sorted((TREE / ".github" / "workflows").glob("*.y*ml"))
    used = re.findall(r"^ *-? *uses: *(.*)$", "\n".join(path.read_text() for path in files), re.M)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v[\d.]+", action), action


def test_matplotlib_is_imported_when_drawing_only():
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "matplotlib" not in ast.unparse(node), module


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= 420


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not name.startswith("_kernels.")))
def test_functions_stay_short(module):
    for function in functions(MODULES[module]):
        docstring = function.body[0] if ast.get_docstring(function) else None
        length = function.end_lineno - function.lineno + 1
        length -= docstring.end_lineno - docstring.lineno + 1 if docstring else 0
        assert length <= 80, f"{module}.{function.name} has {length} lines"


def test_functions_and_classes_have_names_of_their_own():
    """One name, one thing: no two modules define a function or class of the same name."""
    defined = {}
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.setdefault(node.name, []).append(module)
    assert not {name: modules for name, modules in defined.items() if len(modules) > 1}


def test_the_matrix_mixin_stays_small():
    (mixin,) = [node for node in MODULES["_estimators.matrix"].body if getattr(node, "name", "") == "MatrixMixin"]
    assert mixin.end_lineno - mixin.lineno + 1 <= 150


def test_each_module_says_in_one_sentence_what_it_is():
    for module, tree in MODULES.items():
        first = (ast.get_docstring(tree) or "").split("\n\n")[0]
        assert first.endswith((".", "!")) and len(first) <= 240, module


def test_contributing_names_every_package():
    text = (TREE / "CONTRIBUTING.md").read_text()
    packages = {module.split(".")[0] for module in MODULES if "." in module}
    for name in [*LAYERS, *PUBLIC, *FREE - {"_version"}]:
        assert f"`{name}{'/' if name in packages else '.py'}`" in text, name


def test_import_compiles_nothing_and_is_light():
    code = (
        "import sys, sklearn_robustlr\n"
        "kernels = [m for name, m in sys.modules.items() if name.startswith('sklearn_robustlr._kernels.')]\n"
        "assert len(kernels) == 9\n"
        "assert not {'numba', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_cache_can_be_moved_and_switched_off(tmp_path):
    code = "from sklearn_robustlr._kernels.rows import _smallest; import numpy as np; print(_smallest(np.ones(3), 1))"
    for extra in ({"SKLEARN_ROBUSTLR_CACHE": "0"}, {}):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **extra}
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "1.0"
        assert bool(list(tmp_path.rglob("*.nbc"))) == (not extra)
