"""What is said of a release in several files is the same in all: version, dependencies, address."""

import itertools
import re
import tomllib
from pathlib import Path

import pytest

import sklearn_robustlr

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name(requirement):
    return re.match(r"[\w-]+", requirement)[0]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (.*)$"),
        ("CHANGELOG.md", r"^## (.*)$"),  # the newest part is the first
        ("conda/recipe.yaml", r'^  version: "(.*)"$'),
    ],
)
def test_the_version_is_the_same_in_all_files(file, pattern):
    assert re.search(pattern, (ROOT / file).read_text(), re.M)[1] == sklearn_robustlr.__version__


def test_the_recipe_needs_what_the_package_needs():
    recipe = (ROOT / "conda" / "recipe.yaml").read_text()
    run = re.findall(r"^    - (\S+) (>=.+)$", recipe.split("  run:\n")[1].split("\ntests:")[0], re.M)
    assert run.pop(0) == ("python", ">=${{ python_min }}")
    assert sorted("".join(part) for part in run) == sorted(PROJECT["dependencies"])
    assert f'python_min: "{PROJECT["requires-python"].removeprefix(">=")}"' in recipe


def test_the_reason_of_each_dependency_is_given():
    reasons = (ROOT / "CONTRIBUTING.md").read_text().split("## Why each dependency")[1]
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^- (.*?):", reasons, re.M))))
    for requirement in itertools.chain(PROJECT["dependencies"], *EXTRAS.values()):
        assert name(requirement) in {*named, "sklearn-robustlr"}, requirement


def test_the_address_is_the_same_in_all_files():
    owner, repository = PROJECT["urls"]["Repository"].removeprefix("https://github.com/").split("/")
    assert PROJECT["urls"]["Homepage"] == f"https://{owner}.github.io/{repository}/"
    own = {f"github.com/{owner}/{repository}", f"{owner}.github.io/{repository}"}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *(ROOT / "doc").glob("*.rst"), ROOT / "conda" / "recipe.yaml"]
    pages += [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"]
    found = set()
    for page in pages:
        found |= set(re.findall(rf"github\.com/[\w-]+/{repository}|[\w-]+\.github\.io/{repository}", page.read_text()))
    assert found == own
