"""Deploys a stage to AWS with Chalice, and takes it away: the stack, functions and API, then what Chalice cannot set."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy import packaging, stack
from tools.environment import ROOT, LocalError

_DEPLOYED = ROOT / ".chalice" / "deployed"


def deploy(stage: str) -> None:
    """Deploy a stage, or bring it up to date; what is there already stays as it is. Raises LocalError."""
    _DEPLOYED.mkdir(exist_ok=True)
    _introduce(stage, "deploy")
    with _step(stage, "Table, users, clients, logs and alarms (CloudFormation)"):
        stack.deploy(stage)
    with _step(stage, "Functions and API, and what Chalice cannot set on it (chalice deploy)"):
        _chalice("deploy", stage)
    url = _api(stage)["rest_api_url"]
    print(f"Stage {stage} answers at {url} - try {url}health")


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
        what_next = f"What was done before it stays. Repair it, then: make {command} STAGE={stage}"
        message = f"This step failed: {name}.\n{error}\n{what_next}"
        raise LocalError(message) from error


def _chalice(command: str, stage: str) -> None:
    """Run Chalice on what is shipped alone, and keep what it then knows of the stage."""
    with packaging.shipped(stage) as folder:
        shutil.copytree(_DEPLOYED, folder / ".chalice" / "deployed", dirs_exist_ok=True)
        try:
            packaging.chalice(folder, command, stage)
        finally:
            shutil.copytree(folder / ".chalice" / "deployed", _DEPLOYED, dirs_exist_ok=True)


def _api(stage: str) -> dict[str, Any]:
    deployed = json.loads((_DEPLOYED / f"{stage}.json").read_text())["resources"]
    found: dict[str, Any] = next(resource for resource in deployed if resource["resource_type"] == "rest_api")
    return found


def _delete_stack(stage: str) -> str:
    """Return what refuses to be deleted, in words; nothing if all is gone."""
    pools = _pools(stage)
    stack.delete(stage)
    # The stack leaves both, whoever deletes it; here somebody has asked for it.
    table = stack.name(stage)
    deletions: dict[str, Callable[[], object]] = {
        f"the table {table}": partial(boto3.client("dynamodb").delete_table, TableName=table)
    }
    for pool in pools:
        deletions[f"the user pool {pool}"] = partial(boto3.client("cognito-idp").delete_user_pool, UserPoolId=pool)
    left = [what for what, delete in deletions.items() if not _deleted(delete)]
    return " and ".join(left) and f"{' and '.join(left)}, protected from deletion"


def _pools(stage: str) -> list[str]:
    """Return the ids of the user pools with the stage's name, also of those that a deleted stack has left."""
    pages = boto3.client("cognito-idp").get_paginator("list_user_pools").paginate(MaxResults=60)
    return [pool["Id"] for page in pages for pool in page["UserPools"] if pool["Name"] == stack.name(stage)]


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
