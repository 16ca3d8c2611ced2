"""The layout is what CONTRIBUTING.md says: imports flow one way, modules stay small, names are public."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_robustlr

PACKAGE = Path(sklearn_robustlr.__file__).parent
MODULES = {path.stem: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")}

# Each module may import those after it (and itself nothing before it).
ORDER = [
    "__init__",
    "plotting",
    "_grid_displays",
    "_drawing",
    "_recovery",
    "_completion",
    "_pca",
    "_entrywise",
    "_tuning",
    "_matrices",
    "_memory",
    "_blocks",
    "_base",
    "_progress",
    "_repr",
    "_rows",
    "_entries",
    "_validation",
    "_restarts",
    "_pipeline",
    "_verdict",
    "_scan",
    "_checkpoint",
    "_version",
    "_problem",
    "_initialization",
    "_polish",
    "_rank",
    "_subgradient",
    "_step_sizes",
    "_entry_measurements",
    "_measurements",
    "_factors",
    "_tangents",
    "_row_kernels",
    "_threads",
    "_kernels",
]
# Public helpers, and what each may import; estimators may import those that import nothing.
FREE = {
    "datasets": set(),
    "metrics": set(),
    "model_selection": {"_entrywise", "_tuning"},
}


def imports(tree):
    """Pairs (module, names) of all imports; relative ones start with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def test_every_module_has_its_place():
    assert set(MODULES) == {*ORDER, *FREE}


def own(module):
    """Modules of the package that a module imports."""
    for source, names in imports(MODULES[module]):
        if source.startswith("."):
            yield from [source.lstrip(".")] if source != "." else names


@pytest.mark.parametrize("module", ORDER)
def test_data_flows_one_way(module):
    for target in own(module):
        if target in FREE:
            assert not FREE[target], f"{module} imports {target}"
        else:
            assert ORDER.index(target) > ORDER.index(module), f"{module} imports {target}"


@pytest.mark.parametrize("module", FREE)
def test_helpers_import_little(module):
    assert set(own(module)) <= FREE[module]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_private_names_of_others(module):
    for source, names in imports(MODULES[module]):
        if not source.startswith(".") and source != "__future__":
            assert not any(part.startswith("_") for part in [*source.split("."), *names]), (module, source, names)


def test_numba_only_in_kernels_and_sklearn_only_above_the_stages():
    above = {*ORDER[: ORDER.index("_pipeline")], *FREE}
    for module, tree in MODULES.items():
        roots = {source.split(".")[0] for source, _ in imports(tree)}
        assert "numba" not in roots or module == "_kernels"
        assert "sklearn" not in roots or module in above


def test_nothing_is_downloaded_or_unpickled():
    """No module opens a connection, none but the checkpoints of the user a pickle; what numpy loads is no pickle."""
    for module, tree in MODULES.items():
        roots = {source.split(".")[0] for source, _ in imports(tree)}
        assert not roots & {"socket", "urllib", "http", "ftplib", "requests", "pickle", "shelve", "subprocess"}, module
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "joblib.load"):
                assert "allow_pickle=False" in ast.unparse(node) or module == "_checkpoint", module


def test_actions_of_the_ci_are_pinned_by_hash():
    files = sorted((Path(__file__).parent.parent / ".github" / "workflows").glob("*.y*ml"))
    used = re.findall(r"^ *-? *uses: *(.*)$", "\n".join(path.read_text() for path in files), re.M)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v[\d.]+", action), action


def test_matplotlib_is_imported_when_drawing_only():
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "matplotlib" not in ast.unparse(node), module


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda p: p.stem)
def test_modules_stay_small(path):
    assert len(path.read_text().splitlines()) <= 420


def test_import_compiles_nothing_and_is_light():
    code = (
        "import sys, sklearn_robustlr, sklearn_robustlr._kernels as k\n"
        "assert not any(getattr(f, 'signatures', None) for f in vars(k).values())\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_cache_can_be_moved_and_switched_off(tmp_path):
    code = "import sklearn_robustlr._kernels as k; import numpy as np; print(k._dot(np.ones(3), np.ones(3)))"
    for extra in ({"SKLEARN_ROBUSTLR_CACHE": "0"}, {}):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **extra}
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PACKAGE.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == "3.0"
        assert bool(list(tmp_path.rglob("*.nbc"))) == (not extra)
