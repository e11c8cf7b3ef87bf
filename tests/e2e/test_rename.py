"""`make rename` in a copy of the checkout, whose tests are run afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.local_server import copy_checkout


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def run(folder: Path, *module: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *module], cwd=folder, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout with a clean git tree."""
    folder = copy_checkout(tmp_path_factory.mktemp("renamed") / "copy")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "A copy")
    return folder


@pytest.mark.parametrize("name", ["Orders", "orders_api", "orders-", "aws-orders", "o" * 30, "task-api", ""])
def test_a_name_that_aws_would_refuse_changes_nothing(checkout: Path, name: str) -> None:
    done = run(checkout, "tools", "rename", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"The name {name!r} ")
    assert done.stderr.count("\n") == 1
    git(checkout, "diff", "--exit-code")


def test_a_tree_with_changes_is_left_as_it_is(checkout: Path) -> None:
    (checkout / "app.py").write_text("changed")
    done = run(checkout, "tools", "rename", "orders-api")
    assert done.returncode == 1
    assert done.stderr.startswith("The working tree has changes: commit or stash them first")
    assert (checkout / "app.py").read_text() == "changed"
    git(checkout, "checkout", "-q", "app.py")


def test_the_tests_pass_after_a_rename(checkout: Path) -> None:
    done = run(checkout, "tools", "rename", "orders-api")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("task-api is orders-api now: ")
    left = subprocess.run(["git", "grep", "-Il", "task-api"], cwd=checkout, check=False, capture_output=True, text=True)
    assert left.stdout == ""
    assert run(checkout, "ruff", "check").returncode == 0
    assert run(checkout, "mypy").returncode == 0
    tested = run(checkout, "pytest", "-q", "tests/unit", "tests/api")
    assert tested.returncode == 0, tested.stdout[-3000:]
