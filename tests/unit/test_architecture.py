"""Who imports whom, and how large the rooms are."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

ANYWHERE = {"config", "problems"}
ARROWS = {
    "app": {"auth", "call", "lists", "middleware", "sms", "task", "tasks", "text", "web"},
    "middleware": {"aws", "call", "deadline", "web"},
    "web": {"auth", "call", "etags", "lists", "task", "text"},
    "call": {"auth", "caller", "etags", "idempotency", "inputs", "task"},
    "tasks": {"board", "caller", "cursor", "idempotency", "ledger", "lists", "table", "task", "update"},
    "sms": {"aws", "caller", "deadline", "idempotency", "ledger", "text"},
    "table": {"aws", "caller", "lists", "rows", "task"},
    "update": {"aws", "caller", "rows", "task"},
    "ledger": {"aws", "caller", "idempotency", "rows", "task"},
    "board": {"aws", "lists", "rows", "task"},
    "rows": {"caller", "idempotency", "task"},
    "auth": {"caller", "tokens"},
    "aws": {"deadline"},
    "caller": set(),
    "config": set(),
    "cursor": set(),
    "deadline": set(),
    "etags": set(),
    "idempotency": set(),
    "inputs": {"values"},
    "lists": {"task"},
    "problems": set(),
    "task": {"values"},
    "text": {"values"},
    "tokens": set(),
    "values": set(),
}
MODULES = {"app": ROOT / "app.py"} | {path.stem: path for path in (ROOT / "chalicelib").glob("[!_]*.py")}
SPEAKS_HTTP = {"app", "call", "middleware", "problems", "web"}
SPEAKS_TO_AWS = {"aws", "board", "ledger", "middleware", "sms", "table", "tokens", "update"}


def imported(path: Path) -> set[str]:
    """Return the names that a file imports, wherever in it; `from chalicelib import x` counts as chalicelib.x."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"chalicelib.{alias.name}" for alias in node.names} if node.module == "chalicelib" else {node.module}
    return names


def test_every_module_has_its_arrows() -> None:
    assert MODULES.keys() == ARROWS.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_whom_it_may(module: str) -> None:
    ours = {name.removeprefix("chalicelib.") for name in imported(MODULES[module]) if name.startswith("chalicelib.")}
    assert ours - {"RELEASE"} - ANYWHERE <= ARROWS[module]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_that_is_shipped_needs_what_is_not(module: str) -> None:
    packages = {name.partition(".")[0] for name in imported(MODULES[module])}
    assert not packages & {"app", "tests", "moto", "pytest"}
    if module != "app":  # which asks first whether it is on a laptop
        assert "tools" not in packages


@pytest.mark.parametrize("module", MODULES)
def test_few_modules_know_http_and_fewer_know_aws(module: str) -> None:
    packages = {name.partition(".")[0] for name in imported(MODULES[module])}
    assert "chalice" not in packages or module in SPEAKS_HTTP
    assert not packages & {"boto3", "botocore"} or module in SPEAKS_TO_AWS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_in_one_sentence_what_it_is_for(module: str) -> None:
    docstring = ast.get_docstring(ast.parse(MODULES[module].read_text()))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))
