"""Code in the README, in the pages and in docstrings runs and prints what it says; all that is public is documented."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import socket
import textwrap
import tomllib
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpydoc.validate import validate
from sklearn.impute import KNNImputer

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.model_selection import EntryRegressor, to_entries

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").glob("*.rst"), *(ROOT / "doc" / "tutorials").glob("*.rst")])


def markdown_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)


def rst_blocks(text):
    blocks = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text, re.M)
    return [re.sub(r"^   ", "", block, flags=re.M) for block in blocks]


def blocks(page):
    return (markdown_blocks if page.suffix == ".md" else rst_blocks)(page.read_text())


CODE = [pytest.param(code, id=f"{page.stem}-{i}") for page in PAGES for i, code in enumerate(blocks(page))]


def test_no_block_is_missed():
    """The patterns above find as many blocks as are begun, indented ones included."""
    begun = sum(len(re.findall(r"```py|code-block:: +py", page.read_text())) for page in PAGES)
    assert begun == len(CODE) >= 4


def test_quoted_code_exists():
    """The developer page quotes the code by name; here a renamed object is noticed without building the site."""
    quotes = re.findall(r"literalinclude:: (\S+)\n   :pyobject: (\w+)", (ROOT / "doc" / "develop.rst").read_text())
    assert quotes
    for path, name in quotes:
        source = (ROOT / "doc" / path).read_text()
        assert re.search(rf"^(class|def) {name}\b", source, re.M), (path, name)


def messages():
    """All strings of the package, with an ellipsis for each value that is formatted into one."""
    for path in (ROOT / "sklearn_robustlr").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_messages_that_troubleshooting_quotes_exist():
    """Three rows of the tables were about messages that had been rewritten."""
    text, said = (ROOT / "doc" / "troubleshooting.rst").read_text(), list(messages())
    quoted = re.findall(r'^   \* - (".*")$', text, re.M)
    assert len(quoted) > 15
    for quote in re.findall(r'"(.+?)"', "\n".join(quoted)):
        for part in filter(None, (part.strip(" ,") for part in quote.split("..."))):
            assert any(part in message for message in said), part


@pytest.mark.parametrize("code", CODE)
def test_code_runs_and_prints_what_it_says(code, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refuse(*args):
        raise AssertionError("documentation must run offline")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    exec(compile(code, "documentation", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"^print\(.*\)(?:  # (.*))?$", code, re.M)
    for line, comment in zip(printed, said, strict=True):
        if comment and comment.startswith("about "):  # the order of magnitude of rounding, two digits of others
            value, about = float(line), float(comment.split()[1].rstrip(":,"))
            assert value < 10 * about if about < 1e-9 else round(value, 1) == about
        elif comment:
            assert line == comment


def test_commands_name_what_there_is():
    """Scripts, folders and extras in the shell blocks and command lines of all pages."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named, scripts = set(), set()
    for page in PAGES:
        text = page.read_text()
        named |= set(re.findall(r"(?:sklearn-robustlr|\.)\[(\w+)\]", text))
        scripts |= set(re.findall(r"python (\w[\w/]*(?:\.py)?)", text)) - {"setup"}
        scripts |= set(re.findall(r"``((?:asv_bench|examples|doc|tests)/[\w/]+\.py)``", text))
    assert named == set(extras) - {"lint", "bench", "coverage"}
    assert len(scripts) > 5
    for script in scripts:
        assert (ROOT / script).is_file(), script
        for options in re.findall(rf"{script}((?: +--?[\w-]+(?: \w+)?)+)", "".join(page.read_text() for page in PAGES)):
            for option in re.findall(r"--[\w-]+", options):
                takes = (ROOT / script).read_text() + (ROOT / "asv_bench/studies/harness.py").read_text()
                assert option == "--help" or f'"{option}"' in takes, (script, option)


MODULES = [f"sklearn_robustlr.{name}" for name in ("compression", "datasets", "metrics", "model_selection", "plotting")]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in map(importlib.import_module, ["sklearn_robustlr", *MODULES])
    for name in module.__all__
    if name != "__version__"
}
CALLABLES = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
METHODS = {
    f"{owner}.{name}": (getattr(cls, name), cls)
    for owner, cls in CALLABLES.items()
    if inspect.isclass(cls)
    for name in dir(cls)
    if not name.startswith("_")
    and inspect.isroutine(getattr(cls, name))
    and (getattr(inspect.unwrap(getattr(cls, name)), "__module__", None) or "").startswith("sklearn_robustlr")
}
PROPERTIES = {
    f"{owner}.{name}": cls
    for owner, cls in CALLABLES.items()
    if inspect.isclass(cls)
    for name in dir(cls)
    if not name.startswith("_") and isinstance(inspect.getattr_static(cls, name), property)
}
# Checks of numpydoc that are not held. As in scikit-learn, the summary is in the first line, which numpydoc has not
# always allowed, and what is returned has a name. Examples of methods and properties may stand in their class, and are
# asked for below. The parameters of an enumeration are not for its users.
FIRST_LINE, NAMED_RETURNS, EXAMPLES, EXTENDED_SUMMARY = "GL01", "RT02", "EX01", "ES01"
SEE_ALSO, PARAMETERS = "SA01", "PR01"


def section(documented, title):
    """Text of a section of a numpydoc docstring, None where it is missing."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", inspect.getdoc(documented) or "", re.S | re.M)
    return found and found[1]


def check_sections(function, documented):
    """Parameters, and Returns and Raises where the code of the function says so."""
    parameters = [p for p in inspect.signature(inspect.unwrap(function)).parameters if p not in ("self", "cls")]
    for parameter in parameters:
        assert re.search(rf"^[\w, *]*\b{parameter}\b[\w, *]* :", section(documented, "Parameters") or "", re.M), (
            parameter
        )
    generated = dataclasses.is_dataclass(documented)  # its __init__ has no source
    source = "" if generated else textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    nodes = list(ast.walk(ast.parse(source)))
    if function is documented and any(isinstance(node, ast.Return) and node.value is not None for node in nodes):
        assert section(documented, "Returns")
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        assert section(documented, "Yields")
    called = {ast.unparse(node.func).split(".")[-1].strip("_") for node in nodes if isinstance(node, ast.Call)}
    if any(isinstance(node, ast.Raise) for node in nodes) or any(
        re.match("check|valid|share|choice|at_least|axes|series|same_shape|history|plot$", name) for name in called
    ):
        assert section(documented, "Raises")


def test_the_reference_lists_every_public_object():
    listed = re.findall(
        r"currentmodule:: (\S+)|^   (\w+)$|autodata:: (\S+)", (ROOT / "doc" / "api.rst").read_text(), re.M
    )
    module, names = "", []
    for current, name, data in listed:
        module = current or module
        names += [f"{module}.{name or data}"] if name or data else []
    assert sorted(names) == sorted(PUBLIC)


@pytest.mark.parametrize("name", CALLABLES)
def test_public_objects_are_documented(name):
    thing = CALLABLES[name]
    if inspect.isclass(thing) and issubclass(thing, Enum):  # its members are its attributes
        assert set(thing.__members__) <= set(re.findall(r"^\w+$", section(thing, "Attributes"), re.M))
    else:
        check_sections(thing.__init__ if inspect.isclass(thing) else thing, thing)
    assert ">>> " in section(thing, "Examples")


@pytest.mark.parametrize("name", METHODS)
def test_public_methods_are_documented(name):
    """Their sections, and an example of their own or in that of their class."""
    method, cls = METHODS[name]
    check_sections(method, method)
    in_class = section(cls, "Examples").replace("fit_transform(", "fit(")
    assert section(method, "Examples") or f".{method.__name__}(" in in_class


@pytest.mark.parametrize("name", PROPERTIES)
def test_public_properties_have_an_example(name):
    """In their class; an enumeration has one for all of its members."""
    assert re.search(rf"\.{name.split('.')[-1]}\b", section(PROPERTIES[name], "Examples"))


@pytest.mark.parametrize("name", [*CALLABLES, *METHODS, *PROPERTIES])
def test_numpydoc_finds_nothing(name):
    """Methods and properties need no section on what else to see, and only classes an extended summary."""
    left_out = {FIRST_LINE, NAMED_RETURNS}
    if name not in CALLABLES:
        left_out |= {EXAMPLES, EXTENDED_SUMMARY, SEE_ALSO}
    elif inspect.isfunction(CALLABLES[name]):
        left_out |= {EXTENDED_SUMMARY}
    elif issubclass(CALLABLES[name], Enum):
        left_out |= {PARAMETERS}
    assert [error for error in validate(name)["errors"] if error[0] not in left_out] == []


@pytest.mark.parametrize("name", [name for name in [*CALLABLES, *METHODS] if not name.endswith("StopReason")])
def test_defaults_are_those_of_the_code(name):
    """That of each parameter is stated, unless it is ignored."""
    function = CALLABLES[name] if name in CALLABLES else METHODS[name][0]
    text, said = section(function, "Parameters") or "", {}
    for names, kind, rest in re.findall(r"^([\w, *]+) : (.*)\n +(.*)", text, re.M):
        if rest != "Ignored.":
            said |= dict.fromkeys(re.split(", ", names), re.search(r"default=(.*)", kind))
    for parameter in inspect.signature(function).parameters.values():
        stated = said.get(parameter.name)
        if parameter.default is parameter.empty:
            assert stated is None, parameter
        elif parameter.name in said:
            np.testing.assert_equal(eval(stated[1], {"nan": np.nan}), parameter.default)


def fitted(model):
    """The model, by the way to all of its attributes: of data with names of columns, in batches where it takes them."""
    if isinstance(model, RobustLowRankRecovery):
        problem = make_measurements(shape=(6, 5), rank=1, random_state=0)
        return model.fit(pd.DataFrame(problem.data).add_prefix("x"), problem.target)
    X = make_corrupted_matrix((40, 10), rank=1, outliers=0.1, random_state=0).data
    if isinstance(model, EntryRegressor):
        indices, values = to_entries(X)
        return model.fit(pd.DataFrame(indices, columns=["row", "column"]), values)
    table = pd.DataFrame(X).add_prefix("x")
    return model.fit(table).partial_fit(table)


@pytest.mark.parametrize(
    "model",
    [RobustLowRankRecovery(), RobustMatrixCompletion(), RobustPCA(), EntryRegressor(KNNImputer())],
    ids=lambda model: type(model).__name__,
)
def test_the_attributes_are_those_of_a_fit(model):
    there = {name for name in dir(fitted(model)) if name.endswith("_") and not name.startswith("_")}
    documented = re.findall(r"^(\w[\w, ]*) : ", section(type(model), "Attributes"), re.M)
    assert {name for names in documented for name in names.split(", ")} == there


def test_docstring_examples_run():
    """Those of all modules, so that none is forgotten."""
    attempted = 0
    package = Path(importlib.import_module("sklearn_robustlr").__file__).parent  # of the wheel, where that is tested
    for path in sorted(package.rglob("*.py")):
        name = ".".join(["sklearn_robustlr", *path.relative_to(package).with_suffix("").parts])
        result = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted > 150
