"""The SMS part removed from a copy of the checkout as docs/make-it-yours.md says: the tests of the rest pass there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.local_server import copy_checkout

(SECTION,) = re.findall(r"## Remove the SMS part\n(.*?)\n## ", (ROOT / "docs" / "make-it-yours.md").read_text(), re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", SECTION, re.MULTILINE)
RENEW = "docs/remove-sms.diff is behind the code. CONTRIBUTING.md says how to renew it."


def run(folder: Path, *module: str) -> None:
    done = subprocess.run([sys.executable, "-m", *module], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{RENEW}\n{done.stdout[-4000:]}{done.stderr}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy in which the commands of the page were run."""
    folder = copy_checkout(tmp_path_factory.mktemp("without") / "copy")
    *removals, generate, test = COMMANDS
    assert (generate, test) == ("make generate", "make test")
    commit = "git -c user.name=A -c user.email=a@example.com -c commit.gpgsign=false commit -qm copy"
    for command in ["git init -q", "git add -A", commit, *removals]:
        done = subprocess.run(command, shell=True, cwd=folder, check=False, capture_output=True, text=True)  # noqa: S602 - ours
        assert done.returncode == 0, f"{RENEW}\n{command}: {done.stderr}"
    run(folder, "tools", "generate")
    return folder


def test_nothing_of_it_is_left_in_what_is_shipped_or_deployed(copy: Path) -> None:
    shipped = ["app.py", "chalicelib", ":!chalicelib/static/docs.html", ".chalice", "tools", "requirements.txt", "README.md"]
    pattern = "(^|[^a-z])sms|phonenumbers|machine_?client|sns:Publish|client_credentials"
    found = subprocess.run(
        ["git", "grep", "-InEi", pattern, "--", *shipped], cwd=copy, check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (1, ""), f"{RENEW}\n{found.stderr}"


def test_the_fast_tests_of_the_rest_pass_and_cover_all_of_it(copy: Path) -> None:
    run(copy, "ruff", "check")
    run(copy, "ruff", "format", "--check")
    run(copy, "mypy")
    run(copy, "pytest", "-q", "--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=100")
