"""What the project is made of: pinned, by hash, under licences that allow it; and no secret lies in it."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from chalicelib.config import Settings
from tests.conftest import ROOT
from tools import stages
from tools.deploy import template
from tools.generate import licences, policies

LINT = ROOT / "tools" / "requirements-lint.txt"
BENCH = ROOT / "tools" / "bench" / "requirements.txt"
BROWSER = ROOT / "tools" / "requirements-browser.txt"
LOCKS = [*sorted(ROOT.glob("requirements*.txt")), LINT, BENCH, BROWSER]
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")[
    :-1
]
PERMISSIVE = {"Apache License 2.0", "Apache-2.0", "Apache-2.0 OR BSD-3-Clause", "BSD-3-Clause", "MIT", "MIT-0"}
SECRETS = {
    "a key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a secret key": r"(?i)secret_?(?:access_?)?key\W{1,6}[A-Za-z0-9/+]{40}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    "a password in an address": r"://[^/\s:@\"'{]+:[^/\s:@\"'{]+@",
}
STAGES = stages.aws_stages()
SETTINGS = {name.upper() for name in Settings.__struct_fields__}


class TestTheLocks:
    def test_there_are_five_lock_files(self) -> None:
        names = ["requirements-dev.txt", "requirements.txt", LINT.name, BENCH.name, BROWSER.name]
        assert [lock.name for lock in LOCKS] == names

    @pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
    def test_every_package_has_one_version_and_its_hashes(self, lock: Path) -> None:
        lines = [
            line for line in lock.read_text().replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")
        ]
        assert len(lines) > 1
        for line in lines:
            assert re.fullmatch(
                r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+( ; [^#]*?)?(\s+--hash=sha256:[0-9a-f]{64})+", line.rstrip()
            ), line

    @pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
    def test_no_lock_file_names_an_index(self, lock: Path) -> None:
        assert not re.search(
            r"://|--(?:extra-)?index-url|--find-links|--trusted-host|^-[if] | @ ", lock.read_text(), re.MULTILINE
        )

    def test_pyproject_and_lock_files_agree(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        files = {"dev": ROOT / "requirements-dev.txt", "lint": LINT, "bench": BENCH, "browser": BROWSER}
        groups = {files[name]: wanted for name, wanted in project["dependency-groups"].items()}
        groups[ROOT / "requirements.txt"] = project["project"]["dependencies"]
        for lock, wanted in groups.items():
            text = lock.read_text()
            for one in wanted:
                name, version = re.sub(r"\[.*?\]", "", one).lower().split("==")
                locked = re.search(rf"^{name}(?:\[.*\])?==(\S+)", text, re.MULTILINE)
                assert locked, one
                assert fnmatchcase(locked[1], version), one

    def test_lambda_gets_the_tested_versions(self) -> None:
        locked = [
            set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))
            for name in ("requirements.txt", "requirements-dev.txt")
        ]
        assert locked[0] <= locked[1]


def attributes(name: str, tracked: list[str]) -> dict[str, str]:
    """Return the value of one attribute of git for each of these files."""
    command = ["git", "check-attr", "-z", "--stdin", name]
    told = subprocess.run(command, cwd=ROOT, input="\0".join(tracked), check=True, capture_output=True, text=True).stdout
    parts = told.split("\0")
    return dict(zip(parts[::3], parts[2::3], strict=False))


class TestTheCheckout:
    def test_every_text_file_has_unix_line_ends(self) -> None:
        text = {name for name in TRACKED if not name.endswith(".png")}
        assert {name for name, end in attributes("eol", TRACKED).items() if end == "lf"} >= text
        assert {name for name, kind in attributes("text", TRACKED).items() if kind == "unset"} == {*TRACKED} - text

    def test_generated_files_are_marked(self) -> None:
        generated = {*map(str, policies.files()), str(template.MERGE_TEMPLATE), *map(str, LOCKS)}
        generated = {str(Path(name).relative_to(ROOT)) for name in generated}
        generated |= {f"chalicelib/static/{name}" for name in ("aws.json", "docs.html", "openapi.json")} | {
            "docs/licences.md"
        }
        marked = {name for name, value in attributes("linguist-generated", TRACKED).items() if value == "set"}
        assert marked == generated


class TestTheLicences:
    def test_the_docs_page_is_up_to_date(self) -> None:
        assert licences.render() == licences.PAGE.read_text(), "`make generate` writes it anew"

    def test_each_licence_is_a_permissive_one(self) -> None:
        assert {licence for _, licence in licences.list_packages().values()} <= PERMISSIVE


def found(text: str) -> list[str]:
    return [f"{what}: {match[0]}" for what, pattern in SECRETS.items() for match in re.finditer(pattern, text)]


class TestSecrets:
    @pytest.mark.parametrize("secret", [
        "AKIA" + "A" * 16, 'aws_secret_access_key = "' + "x" * 40, "-----BEGIN RSA " + "PRIVATE KEY-----", "https://me:" + "word@example.com",
        "eyJhbGciOiJub25lIn0." + "eyJzdWIiOiJtZSJ9.x", "ghp_" + "a" * 36,
    ])  # fmt: skip
    def test_a_secret_is_detected(self, secret: str) -> None:
        assert found(f"x = {secret}\n")

    def test_no_file_in_git_contains_a_secret(self) -> None:
        assert len(TRACKED) > 50
        texts = {name: (ROOT / name).read_bytes().decode(errors="replace") for name in TRACKED if (ROOT / name).is_file()}
        assert {name: secrets for name, text in texts.items() if (secrets := found(text))} == {}

    @pytest.mark.parametrize("stage", STAGES)
    def test_a_stage_sets_what_the_app_reads_and_nothing_else(self, stage: str) -> None:
        assert stages.environment_variables(stage).keys() == SETTINGS - stages.placeholder_settings().keys()

    def test_no_variable_of_a_function_is_a_secret(self) -> None:
        merged = template.merge()
        functions = [one for one in merged["Resources"].values() if "Environment" in one.get("Properties", {})]
        for variables in (one["Properties"]["Environment"]["Variables"] for one in functions):
            assert variables.keys() <= SETTINGS
        assert functions
        assert [path for path in paths(merged) if re.search(r"(?i)clientsecret$|password$|NoEcho|SecretString", path)] == []


def paths(part: Any, here: str = "") -> Iterator[str]:
    """Return all that a template names, be it a member or a value."""
    if isinstance(part, dict):
        for name, inner in part.items():
            yield f"{here}/{name}"
            yield from paths(inner, f"{here}/{name}")
    elif isinstance(part, list):
        for inner in part:
            yield from paths(inner, here)
    else:
        yield f"{here}={part}"
