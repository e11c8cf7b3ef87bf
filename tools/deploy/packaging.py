"""Builds dist/<stage>: the zip of the functions and one template with all that they need, for a team that deploys itself."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chalicelib import __version__
from tools import install
from tools.deploy import shipping, template
from tools.environment import ROOT, LocalError


@contextmanager
def shipped(stage: str, **changes: object) -> Iterator[Path]:
    """Give a copy of what Chalice packages, without whatever else lies about; changes are those of the stage.

    Raises LocalError.
    """
    names, left_out = shipping.files(ROOT)
    shipping.tell(left_out)
    shipping.require_what_is_imported(ROOT, left_out)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "task-api"
        shutil.copytree(ROOT / ".chalice", copy / ".chalice", ignore=shutil.ignore_patterns("deployments*", "deployed"))
        for name in (Path("requirements.txt"), *names):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        config_file = copy / ".chalice" / "config.json"
        config = json.loads(config_file.read_text())
        config["stages"][stage] |= changes
        config_file.write_text(json.dumps(config))
        yield copy


def chalice(folder: Path, command: str, stage: str, *arguments: str) -> None:
    """Run Chalice there and show what it says as it goes; raises LocalError.

    pip is shown a folder that has the wheels of the lock and nothing else, fetched with a word on what is the matter when
    they cannot be had.
    """
    words = [str(Path(sys.executable).with_name("chalice")), command, "--stage", stage, *arguments]
    with tempfile.TemporaryDirectory() as wheels:
        if command != "delete":
            _fetch(folder, stage, wheels)
        ours = {"PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=folder, env=os.environ | ours, check=False)  # noqa: S603 - its words are ours
    if done.returncode:
        message = f"`chalice {' '.join(words[1:])}` failed; what it said stands above."
        raise LocalError(message)


def _fetch(folder: Path, stage: str, wheels: str) -> None:
    """Fetch what the functions of a stage need, for the processor that they run on; raises LocalError."""
    lock = folder / "requirements.txt"
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--platform", shipping.platform(folder, stage), "--requirement", str(lock), "--dest", wheels]
    try:
        install.run(command, lock)
    except install.InstallError as error:
        message = f"{error}: repeat the command."
        raise LocalError(message) from error


def package(stage: str, out: Path, **changes: object) -> None:
    """Write deployment.zip, template.json, import.json and MANIFEST.md; the same commit gives the same bytes.

    Raises LocalError.
    """
    with shipped(stage, **changes) as folder:
        built = folder.parent / "built"
        chalice(folder, "package", stage, "--merge-template", str(template.path(stage)), str(built))
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(built / "deployment.zip", out / "deployment.zip")
        shutil.copy(built / "sam.json", out / "template.json")
    whole = json.loads((out / "template.json").read_text())
    (out / "import.json").write_text(json.dumps(_data_alone(whole), indent=1) + "\n")
    (out / "MANIFEST.md").write_text(_manifest(stage, out, whole))


def _data_alone(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the template with table and users alone, which a stack is to have that imports them."""
    conditions = {"IsProtected": ["DeletionProtection"], "HasKey": ["KmsKeyArn"]}
    parameters = ["Stage", *(name for names in conditions.values() for name in names)]
    return {
        "AWSTemplateFormatVersion": whole["AWSTemplateFormatVersion"],
        "Description": "Table and users of the task API, to be imported into a stack that gets the rest after that.",
        "Parameters": {name: whole["Parameters"][name] for name in parameters},
        "Conditions": {name: whole["Conditions"][name] for name in conditions},
        "Resources": {name: whole["Resources"][name] for name in ("Table", "UserPool")},
    }


def _manifest(stage: str, out: Path, whole: dict[str, Any]) -> str:
    resources = whole["Resources"]
    hashes = "".join(
        f"| {name} | {(out / name).stat().st_size:,} | `{hashlib.sha256((out / name).read_bytes()).hexdigest()}` |\n"
        for name in ("deployment.zip", "template.json", "import.json")
    )
    policies = "".join(
        f"\n**{function}**\n\n" + "".join(f"- {_in_words(statement)}\n" for statement in _statements(resources[role]))
        for function, role in (("API", "ApiHandlerRole"), ("Authorizer of /hello", "UserAuthorizerRole"))
    )
    variables = resources["APIHandler"]["Properties"]["Environment"]["Variables"]
    limits = "".join(f"| {name} | {value} |\n" for name, value in sorted(variables.items()) if name.startswith("SMS_"))
    parameters = "".join(
        f"| {name} | {parameter.get('Default', '')} | {parameter['Description']} |\n"
        for name, parameter in sorted(whole["Parameters"].items())
    )
    return (
        f"# Task API {__version__}, stage {stage}\n\n{resources['APIHandler']['Properties']['Runtime']} on "
        f"{resources['APIHandler']['Properties']['Architectures'][0]}. How to deploy it: docs/deploy.md.\n\n"
        f"| File | Bytes | SHA-256 |\n| --- | --- | --- |\n{hashes}\n"
        f"## What the functions may do\n{policies}\n"
        f"## Limits of texts\n\n| Setting | Value |\n| --- | --- |\n{limits}\n"
        f"## Parameters\n\n| Name | Default | What it is |\n| --- | --- | --- |\n{parameters}"
    )


def _statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return found


def _in_words(statement: dict[str, Any]) -> str:
    actions = ", ".join(action.partition(":")[2] for action in statement["Action"])
    if "NotResource" in statement:
        return f"{actions} to phone numbers, not to `{statement['NotResource']}`"
    resource = statement["Resource"]
    return f"{actions} on {', '.join(f'`{name}`' for name in (resource if isinstance(resource, list) else [resource]))}"
