"""docs/security.md speaks of all ten, and of tests that are there."""

import ast
import re

import pytest

from tests.conftest import ROOT

THREATS = re.split(r"^## ", (ROOT / "docs" / "security.md").read_text(), flags=re.MULTILINE)[1:]
HELD_BY = [name for threat in THREATS for name in re.findall(r"`(tests/\S+::\S+)`", threat)]


def test_each_of_the_ten_owasp_risks_names_tests() -> None:
    assert [threat.partition(":")[0] for threat in THREATS] == [f"API{number}" for number in range(1, 11)]
    assert all("**Held by** `tests/" in threat for threat in THREATS)


@pytest.mark.parametrize("name", sorted(set(HELD_BY)))
def test_each_named_test_exists(name: str) -> None:
    file, *place = name.split("::")
    node: ast.Module | ast.ClassDef | ast.FunctionDef = ast.parse((ROOT / file).read_text())
    for step in place:
        node = next(inner for inner in node.body if isinstance(inner, ast.ClassDef | ast.FunctionDef) and inner.name == step)
    assert isinstance(node, ast.FunctionDef)
    assert node.name.startswith("test_")
