"""Tests that say something of all others run where all others do, and nowhere else."""

from pathlib import Path

import pytest

from tests.support.selection import is_complete


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two files of tests, and one with something else."""
    for name in ("test_a.py", "test_b.py", "support.py"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_run_of_every_file_is_complete(folder: Path) -> None:
    collected = [folder / "test_a.py", folder / "test_a.py", folder / "test_b.py", folder.parent / "test_c.py"]
    assert is_complete(["tests/unit", "tests/api"], collected, [folder])


def test_a_run_without_one_file_is_incomplete(folder: Path) -> None:
    assert not is_complete(["tests/unit"], [folder / "test_a.py"], [folder])


def test_a_run_of_one_test_is_incomplete(folder: Path) -> None:
    collected = [folder / "test_a.py", folder / "test_b.py"]
    assert not is_complete([f"{folder}/test_a.py::test_it", f"{folder}/test_b.py"], collected, [folder])
