"""docs/security.md speaks of all ten, and of tests that are there."""

import ast
import re

import pytest

from tests.conftest import ROOT

THREATS = re.split(r"^## ", (ROOT / "docs" / "security.md").read_text(), flags=re.MULTILINE)[1:]
HELD_BY = [name for threat in THREATS for name in re.findall(r"`(tests/\S+::\S+)`", threat)]


def test_all_ten_are_there() -> None:
    assert [threat.partition(":")[0] for threat in THREATS] == [f"API{number}" for number in range(1, 11)]


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: threat.partition(":")[0])
def test_each_says_what_could_happen_what_stops_it_what_holds_it_and_what_is_left(threat: str) -> None:
    for part in ("**What could happen:**", "**What stops it:**", "**Held by** `tests/", "**What is left:**"):
        assert threat.count(part) == 1, part


@pytest.mark.parametrize("name", sorted(set(HELD_BY)))
def test_each_test_that_is_named_is_there(name: str) -> None:
    file, *place = name.split("::")
    node: ast.Module | ast.ClassDef | ast.FunctionDef = ast.parse((ROOT / file).read_text())
    for step in place:
        node = next(inner for inner in node.body if isinstance(inner, ast.ClassDef | ast.FunctionDef) and inner.name == step)
    assert isinstance(node, ast.FunctionDef)
    assert node.name.startswith("test_")
