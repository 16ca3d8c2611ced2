"""Every block of Python code in the README and in the pages runs, without a network, and prints what it says."""

import re
import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").glob("*.rst")])


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


@pytest.mark.parametrize("code", CODE)
def test_code_runs_and_prints_what_it_says(code, capsys, monkeypatch):
    def refuse(*args):
        raise AssertionError("documentation must run offline")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    exec(compile(code, "documentation", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"^print\(.*\)(?:  # (.*))?$", code, re.M)
    for line, comment in zip(printed, said, strict=True):
        if comment and not comment.startswith("about "):
            assert line == comment
