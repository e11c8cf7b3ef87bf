"""Decides whether a pytest run includes all tests: only then do the tests run that check all others together."""

from collections.abc import Collection
from pathlib import Path


def is_complete(arguments: Collection[str], collected: Collection[Path], folders: Collection[Path]) -> bool:
    """Return whether every test file in the folders was collected and no argument names a part of a file."""
    files = {file for folder in folders for file in folder.rglob("test_*.py")}
    return files <= set(collected) and not any("::" in argument for argument in arguments)
