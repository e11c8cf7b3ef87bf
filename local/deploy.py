"""Deploys a stage to AWS with Chalice, and takes it away: the stack, functions and API, then what Chalice cannot set."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import apigateway, packaging, stack, template
from local.environment import CONFIG, ROOT, LocalError

_DEPLOYED = ROOT / ".chalice" / "deployed"


def deploy(stage: str) -> None:
    """Deploy a stage, or bring it up to date; what is there already stays as it is. Raises LocalError."""
    _DEPLOYED.mkdir(exist_ok=True)
    _introduce(stage, "deploy")
    with _step(stage, "Table, users, clients, logs and alarms (CloudFormation)"):
        settings = stack.deploy(stage)
    _remember(stage, settings)
    with _step(stage, "A role with which API Gateway may write logs, once for each account and region"):
        apigateway.let_it_log()
    with _step(stage, "Functions and API (chalice deploy)"):
        _chalice("deploy", stage)
    api = _api(stage)
    with _step(stage, "Refusals, limits, logs and traces of the API, which Chalice cannot set"):
        apigateway.finish(api["rest_api_id"], stage)
    print(f"Stage {stage} answers at {api['rest_api_url']} - try {api['rest_api_url']}health")


def destroy(stage: str) -> None:
    """Take a stage away, all but a table and users that refuse to be deleted; raises LocalError."""
    _introduce(stage, "destroy")
    print(f"This deletes the API, the functions, the users and the tasks of stage {stage}, for good.")
    print(f"Type {stage} to go on: ", end="", flush=True)
    if sys.stdin.readline().strip() != stage:
        message = "Nothing was deleted."
        raise LocalError(message)
    if (_DEPLOYED / f"{stage}.json").exists():
        with _step(stage, "Functions and API (chalice delete)", "destroy"):
            _chalice("delete", stage)
    with _step(stage, "Table, users, clients, logs and alarms (CloudFormation)", "destroy"):
        left = _delete_stack(stage)
    print(f"Stage {stage} is gone{f', all but {left}' if left else ''}.")


def _introduce(stage: str, command: str) -> None:
    with _step(stage, "Finding out who you are on AWS", command):
        print(f"Account {boto3.client('sts').get_caller_identity()['Account']}, region {boto3.Session().region_name}.")


@contextmanager
def _step(stage: str, name: str, command: str = "deploy") -> Iterator[None]:
    print(f"{name} ...", flush=True)
    try:
        yield
    except (LocalError, ClientError, BotoCoreError) as error:
        message = (
            f"This step failed: {name}.\n{error}\nWhat was done before it stays. Mend it, then: make {command} STAGE={stage}"
        )
        raise LocalError(message) from error


def _remember(stage: str, settings: Mapping[str, str | None]) -> None:
    """Write what only deployed resources know into the stage's settings, to be reviewed and committed; none is secret."""
    config = json.loads(CONFIG.read_text())
    variables = config["stages"][stage]["environment_variables"]
    known = variables | settings
    if known != variables:
        config["stages"][stage]["environment_variables"] = {
            name: value for name, value in known.items() if value is not None
        }
        CONFIG.write_text(json.dumps(config, indent=2) + "\n")
        print(f"The settings of stage {stage} in .chalice/config.json have changed: commit them.")


def _chalice(command: str, stage: str) -> None:
    """Run Chalice on what is shipped alone, and keep what it then knows of the stage."""
    with packaging.shipped(stage) as folder:
        shutil.copytree(_DEPLOYED, folder / ".chalice" / "deployed", dirs_exist_ok=True)
        try:
            packaging.chalice(folder, command, "--stage", stage)
        finally:
            shutil.copytree(folder / ".chalice" / "deployed", _DEPLOYED, dirs_exist_ok=True)


def _api(stage: str) -> dict[str, Any]:
    deployed = json.loads((_DEPLOYED / f"{stage}.json").read_text())["resources"]
    found: dict[str, Any] = next(resource for resource in deployed if resource["resource_type"] == "rest_api")
    return found


def _delete_stack(stage: str) -> str:
    """Return what refuses to be deleted, in words; nothing if all is gone."""
    settings = stack.settings(stage) or template.settings(stage)["environment_variables"]
    stack.delete(stage)
    # The stack leaves both, whoever deletes it; here somebody has asked for it.
    deletions = {
        f"the table {stack.name(stage)}": lambda: boto3.client("dynamodb").delete_table(TableName=stack.name(stage))
    }
    if pool := settings.get("USER_POOL_ARN", "").rpartition("/")[2]:
        deletions[f"the user pool {pool}"] = lambda: boto3.client("cognito-idp").delete_user_pool(UserPoolId=pool)
    left = [what for what, delete in deletions.items() if not _deleted(delete)]
    gone = {"TABLE_NAME", "WEB_CLIENT_ID", "MACHINE_CLIENT_IDS"}
    if not any("user pool" in what for what in left):  # whose id is known nowhere else, and asked for by the next attempt
        gone.add("USER_POOL_ARN")
    _remember(stage, dict.fromkeys(gone))
    return " and ".join(left) and f"{' and '.join(left)}, protected from deletion"


def _deleted(delete: Any) -> bool:
    """Delete, and tell whether it was not refused; what is not there any more is gone."""
    try:
        delete()
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
        if code in {"ValidationException", "InvalidParameterException"} and "protect" in message:
            return False
        if code != "ResourceNotFoundException":
            raise
    return True
