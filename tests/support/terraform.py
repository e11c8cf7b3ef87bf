"""Runs Terraform against an emulator, with a provider that is already on this machine."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator import SETTINGS, Deployed, Emulator
from tests.support.local_server import clean_environment
from tools.deploy.terraform import snake
from tools.local import rehearse_aws

_PROVIDER = "*/hashicorp/aws"
_PLUGIN_FOLDERS = (
    "~/.terraform.d/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt/tf-plugins",
)


@cache
def plugin_folder() -> Path:
    """Return the folder with the provider, from Terraform's configuration or a default path; skip the test without one."""
    config = Path(os.environ.get("TF_CLI_CONFIG_FILE", "~/.terraformrc")).expanduser()
    named = re.findall(r'(?:path|plugin_cache_dir)\s*=\s*"([^"]+)"', config.read_text()) if config.is_file() else []
    found = [folder for name in (*named, *_PLUGIN_FOLDERS) if list((folder := Path(name).expanduser()).glob(_PROVIDER))]
    if not found or shutil.which("terraform") is None:
        pytest.skip(
            "Terraform or its AWS provider is missing: `terraform providers mirror` fetches the provider to a plugin folder"
        )
    return found[0]


class Module:
    """The Terraform module of a stage; nothing is downloaded for it."""

    def __init__(self, folder: Path, emulator: Emulator | None = None) -> None:
        self.folder, self.emulator = folder, emulator
        shared = emulator.environment if emulator else clean_environment()
        self.environment = shared | rehearse_aws.TERRAFORM | {"TF_CLI_CONFIG_FILE": os.devnull}
        self("init", f"-plugin-dir={plugin_folder()}", "-input=false")

    def __call__(self, command: str, *arguments: str, status: int = 0) -> str:
        """Run a command, check its exit status and return its output."""
        done = subprocess.run(
            ["terraform", command, *arguments, *(["-no-color"] if command != "fmt" else [])],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-3000:] + done.stderr
        return done.stdout + done.stderr

    def set_variables(self, **variables: Any) -> None:
        """Add variables to terraform.tfvars.json."""
        file = self.folder / "terraform.tfvars.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(known | variables))

    def apply(self, *arguments: str) -> None:
        self("apply", "-auto-approve", "-input=false", *arguments)

    def is_unchanged(self) -> bool:
        """Return whether a plan is empty."""
        return "No changes." in self("plan", "-detailed-exitcode", "-input=false")

    def resources(self) -> list[dict[str, Any]]:
        """Return the managed resources in the state."""
        resources = json.loads(self("show", "-json"))["values"]["root_module"]["resources"]
        return [resource for resource in resources if resource["mode"] == "managed"]

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("output", "-json"))
        return found

    def deployed(self) -> Deployed:
        assert self.emulator is not None
        outputs = {name: output["value"] for name, output in self.outputs().items()}
        settings = {setting: outputs[snake(name)] for name, setting in SETTINGS.items()}
        return Deployed(self.emulator, outputs["rest_api_id"], outputs["api_url"].rpartition("/")[2], settings)
