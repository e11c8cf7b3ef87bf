"""The direction of imports, and the number of files that one request runs through."""

import ast
import itertools
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

from tests.conftest import ROOT
from tests.support.people import Person, path_of

LEAVES = {"aws", "config", "deadline", "log_line", "principals", "problems", "values"}
"""Modules that every other module may import, and that import no package."""
IMPORTS = {
    "app": {"about", "auth", "http", "sms", "start", "tasks"},
    "about": set(),
    "auth": set(),
    "dynamodb": set(),
    "http": set(),
    "sms": {"dynamodb"},
    "start": {"dynamodb"},
    "tasks": {"dynamodb"},
}
"""The packages that a package may import beside the leaves."""

SHIPPED = [ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py"))]
SPEAKS_HTTP = {"app", "about", "auth", "http", "problems"}
CALLS_AWS = {"aws", "dynamodb/table", "dynamodb/updates", "auth/tokens", "http/api", "sms/service"}


def name_of(path: Path) -> str:
    """Return such as app, config and http/request."""
    return path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("chalicelib/")


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it; `from a import b` counts as a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_module_imports_only_what_it_may(path: Path) -> None:
    package = name_of(path).partition("/")[0]
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("chalicelib.")}
    allowed = set() if package in LEAVES else IMPORTS.get(package, set()) | LEAVES | {package, "__version__"}
    allowed |= {"config"} if package == "deadline" else set()
    assert ours <= allowed, f"Add {ours - allowed} to {package!r} in IMPORTS, if the direction is right."


def test_every_package_has_its_line_in_the_table() -> None:
    assert {name_of(path).partition("/")[0] for path in SHIPPED} - {"__init__"} == IMPORTS.keys() | LEAVES, "see IMPORTS"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_shipped_module_needs_nothing_that_is_not_shipped(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imported(path)}
    assert not packages & {"app", "tests", "moto", "pytest"}
    if path.name != "app.py":  # it imports tools for the `chalice` command alone
        assert "tools" not in packages


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_few_modules_know_chalice_and_fewer_know_aws(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imported(path)}
    assert "chalice" not in packages or name_of(path).partition("/")[0] in SPEAKS_HTTP
    assert not packages & {"boto3", "botocore"} or name_of(path) in CALLS_AWS


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_module_starts_with_a_sentence_on_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_a_module_has_at_most_310_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 310


NAMES = {str(path): name_of(path) for path in SHIPPED if path.name != "aws.py"}  # which botocore calls, and no request


class Trace:
    """Records in which of our files functions are called, while it is entered."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def _record(self, frame: FrameType, event: str, _argument: Any) -> None:
        name = NAMES.get(frame.f_code.co_filename)
        if event == "call" and name:
            self.files.append(name)

    def __enter__(self) -> Self:
        sys.setprofile(self._record)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    @property
    def moves(self) -> list[str]:
        """The files in order, each once where it calls itself."""
        return [name for name, _ in itertools.groupby(self.files)]


@pytest.mark.parametrize(("request_", "files", "changes"), [("create", 12, 18), ("update", 12, 18), ("sms", 13, 24)])
def test_a_request_runs_through_few_files(alice: Person, machine: Person, request_: str, files: int, changes: int) -> None:
    path = path_of(alice.creates())
    message = {"to": "+12025550100", "message": "Hello"}
    send: Any = {
        "create": lambda: alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k"),
        "update": lambda: alice("PATCH", path, {"status": "in_progress"}, If_Match='"1"'),
        "sms": lambda: machine("POST", "/sms", message, Idempotency_Key="k"),
    }
    alice("PATCH", path, {"status": "pending"}, If_Match='"9"')  # this and the next load what is loaded once
    machine("POST", "/sms", {}, Idempotency_Key="k")
    with Trace() as trace:
        assert send[request_]().status < 300
    moves = trace.moves
    assert len(set(moves)) <= files, " > ".join(moves)
    assert len(moves) - 1 <= changes, " > ".join(moves)
