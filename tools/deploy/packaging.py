"""Builds dist/<stage>: the zip of the functions, and one CloudFormation template with everything that they need."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chalice.utils import to_cfn_resource_name

from chalicelib import __version__
from tools import install
from tools.deploy import parameters, sbom, shipping, template, web
from tools.errors import CommandError
from tools.functions import declarations
from tools.stages import ROOT, app_name, functions, read_config

_GRACE = 10  # seconds that a command has to clean up


@contextmanager
def copy_shipped(stage: str, **changes: object) -> Iterator[Path]:
    """Provide a temporary copy of the files that Chalice packages, with these changes to the stage's configuration.

    Raises CommandError.
    """
    if functions() != sorted(declarations()):
        message = "The policies are not those of the functions in app.py. Run: make generate"
        raise CommandError(message)
    paths, left_out = shipping.select_files(ROOT)
    shipping.report(left_out)
    shipping.require_imports(ROOT, left_out)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / app_name()
        shutil.copytree(ROOT / ".chalice", copy / ".chalice", ignore=shutil.ignore_patterns("deployments*", "deployed"))
        for path in (Path("requirements.txt"), *paths):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, copy / path)
        config = read_config()
        config["stages"][stage] |= changes
        (copy / ".chalice" / "config.json").write_text(json.dumps(config))
        yield copy


def run_chalice(folder: Path, command: str, stage: str, *arguments: str) -> None:
    """Run a command of Chalice in a folder; raises CommandError.

    The locked wheels are downloaded first, so that a failure of the download is explained; Chalice's pip sees only these.
    """
    words = [str(Path(sys.executable).with_name("chalice")), command, "--stage", stage, *arguments]
    with tempfile.TemporaryDirectory() as wheels:
        if command != "delete":
            _download(folder, stage, wheels)
        variables = {"PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PYTHONPATH": str(ROOT)}
        variables["RUN_BY_TOOLS"] = "1"  # tools/local/chalice_cli.py then does not say what the result lacks
        status, _ = run(words, cwd=folder, env=os.environ | variables)
    if status:
        message = f"`chalice {' '.join(words[1:])}` failed; the lines above say why. Fix it, then repeat the command."
        raise CommandError(message)


def run(words: list[str], **options: Any) -> tuple[int, str]:
    """Run a command and return its exit status and what it wrote to a pipe; end all that it started on an interrupt."""
    with subprocess.Popen(words, process_group=0, text=True, **options) as process:  # noqa: S603 - no shell
        try:
            output, _ = process.communicate()
        except BaseException:
            for signal_ in (signal.SIGINT, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, signal_)
                    process.wait(_GRACE)
            raise
    return process.returncode, output or ""


def _download(folder: Path, stage: str, wheels: str) -> None:
    """Download the wheels of requirements.txt for the processor of the stage's functions; raises CommandError."""
    lock = folder / "requirements.txt"
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--platform", shipping.platform(folder, stage), "--requirement", str(lock), "--dest", wheels]
    try:
        install.run(command, lock)
    except install.InstallError as error:
        message = f"{error} repeat the command."
        raise CommandError(message) from error


def package(stage: str, out: Path, **changes: object) -> None:
    """Write the zip, templates, parameters, the manifest, sbom.json and the web app; the same commit gives the same bytes.

    Raises CommandError.
    """
    parameters.require_valid(stage)
    with copy_shipped(stage, **changes) as folder:
        built = folder.parent / "built"
        run_chalice(folder, "package", stage, "--merge-template", str(template.MERGE_TEMPLATE), str(built))
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(built / "deployment.zip", out / "deployment.zip")
        shutil.copy(built / "sam.json", out / "template.json")
    complete = json.loads((out / "template.json").read_text())
    (out / "import.json").write_text(json.dumps(_import_template(complete), indent=1) + "\n")
    # In this form the AWS CLI takes a file, and the stack keeps no value that the configuration no longer has.
    values = [f"{name}={parameter['Default']}" for name, parameter in complete["Parameters"].items()]
    (out / "parameters.json").write_text(json.dumps(values, indent=1) + "\n")
    (out / "MANIFEST.md").write_text(_manifest(stage, out, complete))
    sbom.write(out / "deployment.zip")
    web.write(out / "web")


def _import_template(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a stack that imports an existing table and user pool, and nothing else."""
    conditions = {
        "IsProtected": ["DeletionProtection"],
        "HasKey": ["KmsKeyArn"],
        "HasEmail": ["EmailIdentityArn", "EmailFrom"],
        "HasMfa": ["MfaConfiguration"],
    }
    parameters = ["Stage", *(name for names in conditions.values() for name in names)]
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Description": "Table and users of the task API, for an import. Deploy the complete template afterwards.",
        "Parameters": {name: template["Parameters"][name] for name in parameters},
        "Conditions": {name: template["Conditions"][name] for name in conditions},
        "Resources": {name: template["Resources"][name] for name in ("Table", "UserPool")},
    }


def _manifest(stage: str, out: Path, template: dict[str, Any]) -> str:
    resources = template["Resources"]
    hashes = "".join(
        f"| {name} | {(out / name).stat().st_size:,} | `{hashlib.sha256((out / name).read_bytes()).hexdigest()}` |\n"
        for name in ("deployment.zip", "template.json", "parameters.json", "import.json")
    )
    permissions = "".join(
        f"\n**{function}**\n\n" + "".join(f"- {_describe(statement)}\n" for statement in _statements(resources[role]))
        for function, role in [("The API", "ApiHandlerRole")]
        + [(name, f"{to_cfn_resource_name(name)}Role") for name in declarations()]
    )
    variables = resources["APIHandler"]["Properties"]["Environment"]["Variables"]
    limits = "".join(f"| {name} | {value} |\n" for name, value in sorted(variables.items()) if name.startswith("SMS_"))
    parameters = "".join(
        f"| {name} | {parameter.get('Default', '')} | {parameter['Description']} |\n"
        for name, parameter in sorted(template["Parameters"].items())
    )
    return (
        f"# Task API {__version__}, stage {stage}\n\n{resources['APIHandler']['Properties']['Runtime']} on "
        f"{resources['APIHandler']['Properties']['Architectures'][0]}. How to deploy it: docs/deploy.md.\n\n"
        f"| File | Bytes | SHA-256 |\n| --- | --- | --- |\n{hashes}\n"
        f"## Permissions of the functions\n{permissions}\n"
        f"## Limits of SMS messages\n\n| Setting | Value |\n| --- | --- |\n{limits}\n"
        f"## Parameters\n\n| Name | Default | Description |\n| --- | --- | --- |\n{parameters}"
    )


def _statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return statements


def _describe(statement: dict[str, Any]) -> str:
    actions = ", ".join(action.partition(":")[2] for action in statement["Action"])
    if "NotResource" in statement:
        return f"{actions} to phone numbers, not to `{statement['NotResource']}`"
    resource = statement["Resource"]
    return f"{actions} on {', '.join(f'`{name}`' for name in (resource if isinstance(resource, list) else [resource]))}"
