"""Terraform, with a provider that is on this machine already, against an AWS of the tests."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws import Aws, Deployed
from tests.support.local_server import clean_environment

_PROVIDER = "*/hashicorp/aws"
_USUAL = ("~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/tf-plugins")
_OUTPUTS = {
    "TABLE_NAME": "table_name",
    "USER_POOL_ARN": "user_pool_arn",
    "WEB_CLIENT_ID": "web_client_id",
    "MACHINE_CLIENT_IDS": "machine_client_id",
}


@cache
def plugins() -> Path:
    """Return the folder with the provider, as the command line of Terraform is configured, or a usual one; else skip."""
    config = Path(os.environ.get("TF_CLI_CONFIG_FILE", "~/.terraformrc")).expanduser()
    named = re.findall(r'(?:path|plugin_cache_dir)\s*=\s*"([^"]+)"', config.read_text()) if config.is_file() else []
    found = [folder for name in (*named, *_USUAL) if list((folder := Path(name).expanduser()).glob(_PROVIDER))]
    if not found or shutil.which("terraform") is None:
        pytest.skip("Terraform or its AWS provider is not there: `terraform providers mirror` fetches it to a plugin folder")
    return found[0]


class Module:
    """The module of a stage, used as it is; nothing is fetched for it."""

    def __init__(self, folder: Path, aws: Aws | None = None) -> None:
        self.folder, self.aws = folder, aws
        nowhere = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        self.environment = (aws.environment if aws else clean_environment()) | nowhere
        self("init", f"-plugin-dir={plugins()}", "-input=false")

    def __call__(self, command: str, *arguments: str, status: int = 0) -> str:
        """Run a command, which is to end with that status, and return what it says."""
        done = subprocess.run(
            ["terraform", command, *arguments, *(["-no-color"] if command != "fmt" else [])],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=1200,
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-3000:] + done.stderr
        return done.stdout + done.stderr

    def choose(self, **variables: Any) -> None:
        """Set variables, as a team does, beside those that stay as the stage has them."""
        chosen = self.folder / "terraform.tfvars.json"
        known = json.loads(chosen.read_text()) if chosen.exists() else {}
        chosen.write_text(json.dumps(known | variables))

    def apply(self, *arguments: str) -> None:
        self("apply", "-auto-approve", "-input=false", *arguments)

    def is_clean(self) -> bool:
        """Ask whether an apply would change nothing."""
        return "No changes." in self("plan", "-detailed-exitcode", "-input=false")

    def shown(self) -> list[dict[str, Any]]:
        """Return the resources that there are, as Terraform knows them."""
        resources = json.loads(self("show", "-json"))["values"]["root_module"]["resources"]
        return [resource for resource in resources if resource["mode"] == "managed"]

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("output", "-json"))
        return found

    def deployed(self) -> Deployed:
        assert self.aws is not None
        outputs = {name: output["value"] for name, output in self.outputs().items()}
        settings = {setting: outputs[name] for setting, name in _OUTPUTS.items()}
        return Deployed(self.aws, outputs["rest_api_id"], outputs["api_url"].rpartition("/")[2], settings)
