"""Whether a run of pytest has all the tests, so that something can be said of them together."""

from collections.abc import Collection
from pathlib import Path


def is_whole(arguments: Collection[str], collected: Collection[Path], folders: Collection[Path]) -> bool:
    """Tell whether every test file in the folders was collected, and no argument names a part of a file."""
    files = {file for folder in folders for file in folder.rglob("test_*.py")}
    return files <= set(collected) and not any("::" in argument for argument in arguments)
