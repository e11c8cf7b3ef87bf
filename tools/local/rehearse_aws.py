"""An AWS emulator to which the package of a stage can be deployed, with IAM and Cognito checks on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.stages import ROOT

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
_BUCKET = "handed-over"
TEMPLATE = f"{_BUCKET}/template.json"
"""Where `upload` puts the template."""
TERRAFORM = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "GOMAXPROCS": "1"}
"""The environment variables of a Terraform that works on the emulator.

With several threads, the provider's HTTP client sometimes closes the connection when the response comes at once, as from the
same machine, and repeats the request: then an API exists twice, and the creation of what has a fixed name fails.
"""
_ATTEMPTS = 300


def start(port: int, log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start the emulator on loopback; tools/local/child_process.py stops it."""
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tools.local.child_process", "tools.local.ministack"],
            cwd=ROOT, env=environment | settings | {"AUTH": "true", "LOG_LEVEL": "WARNING"},
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def upload(s3: Any, built: Path) -> str:
    """Upload what `make package` has built, as `aws cloudformation package` does; return the path of the template."""
    s3.create_bucket(Bucket=_BUCKET)
    s3.upload_file(str(built / "deployment.zip"), _BUCKET, "deployment.zip")
    template = json.loads((built / "template.json").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{_BUCKET}/deployment.zip"
    s3.put_object(Bucket=_BUCKET, Key="template.json", Body=json.dumps(template))
    return TEMPLATE


def change_stack(cloudformation: Any, stack: str, name: str, kind: str, **options: Any) -> dict[str, str]:
    """Create and execute a change set of a kind (create, update or import), and return the outputs of the stack."""
    change_set = {"StackName": stack, "ChangeSetName": name}
    wait = {"WaiterConfig": {"Delay": 1, "MaxAttempts": _ATTEMPTS}}
    cloudformation.create_change_set(**change_set, ChangeSetType=kind.upper(), **options)
    cloudformation.get_waiter("change_set_create_complete").wait(**change_set, **wait)
    cloudformation.execute_change_set(**change_set)
    cloudformation.get_waiter(f"stack_{kind}_complete").wait(StackName=stack, **wait)
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
