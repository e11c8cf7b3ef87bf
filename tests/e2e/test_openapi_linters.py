"""The OpenAPI document passes the usual linters with their stock rules; none is switched off."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import npm
from tools.generate import openapi

LINTERS = {
    "redocly": ("redocly", "lint", "--extends", "recommended"),
    "spectral": ("spectral", "lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint"),
}
NO_FINDING = {
    "redocly": r"Your API description is valid\. \S+\s*$",  # with a warning, the number of warnings follows
    "spectral": "No results with a severity of 'hint' or higher found!",
}


def lint(name: str, document: Path) -> tuple[int, str]:
    """Return the exit status of a linter, and what it prints."""
    done = npm.run(*LINTERS[name], str(document))
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_finds_nothing(name: str) -> None:
    status, output = lint(name, openapi.DOCUMENT)
    assert status == 0, output
    assert re.search(NO_FINDING[name], output), output


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_finds_a_mistake(name: str, tmp_path: Path) -> None:
    document: Any = json.loads(openapi.DOCUMENT.read_text())
    document["components"]["schemas"]["Unused"] = {"type": "object"}
    changed = tmp_path / "openapi.json"
    changed.write_text(json.dumps(document))
    _, output = lint(name, changed)
    assert "Unused" in output
    assert not re.search(NO_FINDING[name], output)
