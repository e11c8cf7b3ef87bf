"""What the documents say of the code and of each other is so; tests/e2e/test_docs.py runs their commands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app import app
from chalicelib import __version__
from chalicelib.problems import Problem
from tests.conftest import ROOT
from tools.generate import readme

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "AGENTS.md")] + sorted(
    [*(ROOT / "docs").rglob("*.md"), *(ROOT / "clients").rglob("*.md")]
)


def test_the_routes_of_readme_are_the_routes_of_the_app() -> None:
    told = {
        (method, path): what
        for method, path, what in re.findall(r"^\| `([A-Z]+) (\S+)` \| [^|]+ \| (.+) \|$", README, re.MULTILINE)
    }
    routes = {
        (method, path): str(entry.view_function.__doc__).partition("\n\n")[0]
        for path, entries in app.routes.items()
        for method, entry in entries.items()
    }
    assert told == routes
    assert readme.render() == README, "run: make generate"


def test_the_tree_of_problems_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"^[├└]── (\w+) +(\S+) +([0-9]+)$", sys.modules[Problem.__module__].__doc__ or "", re.MULTILINE)
    assert drawn == [(problem.__name__, problem.slug, str(problem.status)) for problem in Problem.__subclasses__()]


def test_the_version_is_the_same_everywhere() -> None:
    for folder in (ROOT, ROOT / "clients" / "python"):
        assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == __version__  # type: ignore[index]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_has_a_target(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_file_exists(document: Path) -> None:
    named = re.findall(r"`((?:[\w.]+/)*[\w.-]+\.(?:py|json|md|toml|txt))`", document.read_text())
    for name in set(named) - {"parameters.json", "sbom.json", "trust.json"}:  # which make package and the reader write
        folders = ("", "*/", "chalicelib/**/", "tools/**/")
        assert any(list(ROOT.glob(f"{folder}{name}")) for folder in folders), name


def test_the_top_level_is_small() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    required = {"app.py", "chalicelib", ".chalice", "tests", "requirements.txt", "README.md"}
    top_level = {name.partition("/")[0] for name in tracked if (ROOT / name).exists()}
    assert required <= top_level
    shown = {name for name in top_level if not name.startswith(".")}  # by `ls`
    assert len(shown) <= 18, sorted(shown)
