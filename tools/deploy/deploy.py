"""Deploys a stage to AWS and deletes it: first the stack, then functions and API with Chalice."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy import packaging, parameters, stack, state
from tools.errors import CommandError
from tools.stages import ROOT, require_domain_as_key, resource_name

_DEPLOYED = ROOT / ".chalice" / "deployed"


def deploy(stage: str) -> None:
    """Deploy a stage, or update it; raises CommandError."""
    parameters.require_valid(stage)
    require_domain_as_key(stage)
    _DEPLOYED.mkdir(exist_ok=True)
    _print_account(stage, "deploy")
    with _step(stage, "Table, users, clients, logs and alarms (CloudFormation)"):
        stack.deploy(stage)
    with _step(stage, "Functions and API, and what Chalice cannot set on it (chalice deploy)"):
        state.complete(stage, ROOT)
        _run_chalice("deploy", stage)
    resources = json.loads((_DEPLOYED / f"{stage}.json").read_text())["resources"]
    (api,) = [resource for resource in resources if resource["resource_type"] == "rest_api"]
    url = api["rest_api_url"].rstrip("/")
    print(f"Stage {stage} is deployed at {url}. Try: curl {url}/health")


def destroy(stage: str) -> None:
    """Delete a stage, after confirmation, except a table and users with deletion protection; raises CommandError."""
    _print_account(stage, "destroy")
    with _step(stage, "Reading what is deployed", "destroy"):
        has_api = state.require(stage, ROOT)
    print(f"This permanently deletes the API, the functions, the users and the tasks of stage {stage}.")
    print(f"Type {stage} to continue: ", end="", flush=True)
    if sys.stdin.readline().strip() != stage:
        message = "Nothing was deleted: the name of the stage was not entered."
        raise CommandError(message)
    if has_api:
        with _step(stage, "Functions and API (chalice delete)", "destroy"):
            _run_chalice("delete", stage)
    with _step(stage, "Table, users, clients, logs and alarms (CloudFormation)", "destroy"):
        protected = _delete_resources(stage)
    print(f"Stage {stage} is deleted.")
    if protected:
        print(f"Kept, because deletion protection is on: {', '.join(protected)}.")


def _print_account(stage: str, command: str) -> None:
    with _step(stage, "Reading your AWS account", command):
        print(f"Account {boto3.client('sts').get_caller_identity()['Account']}, region {boto3.Session().region_name}.")


@contextmanager
def _step(stage: str, name: str, command: str = "deploy") -> Iterator[None]:
    print(f"{name} ...", flush=True)
    try:
        yield
    except (CommandError, ClientError, BotoCoreError) as error:
        next_step = f"Earlier steps are complete and stay as they are. Fix it, then run: make {command} STAGE={stage}"
        message = f"This step failed: {name}.\n{error}\n{next_step}"
        raise CommandError(message) from error


def _run_chalice(command: str, stage: str) -> None:
    """Run Chalice on a copy of the shipped files, and copy its deployment state back."""
    with packaging.copy_shipped(stage) as folder:
        shutil.copytree(_DEPLOYED, folder / ".chalice" / "deployed", dirs_exist_ok=True)
        try:
            packaging.run_chalice(folder, command, stage)
        finally:
            shutil.copytree(folder / ".chalice" / "deployed", _DEPLOYED, dirs_exist_ok=True)


def _delete_resources(stage: str) -> list[str]:
    """Delete the stack, its table and its user pools; return those that are protected from deletion."""
    dynamodb, cognito = boto3.client("dynamodb"), boto3.client("cognito-idp")
    name = resource_name(stage)
    # The stack itself keeps both when it is deleted. Pools of an earlier stack may be left as well.
    pages = cognito.get_paginator("list_user_pools").paginate(MaxResults=60)
    pools = [pool["Id"] for page in pages for pool in page["UserPools"] if pool["Name"] == name]
    stack.delete(stage)
    protected = [] if _delete(dynamodb.delete_table, TableName=name) else [f"table {name}"]
    return protected + [f"user pool {pool}" for pool in pools if not _delete(cognito.delete_user_pool, UserPoolId=pool)]


def _delete(delete: Callable[..., object], **resource: str) -> bool:
    """Delete a resource, if it exists; return False if it is protected from deletion."""
    try:
        delete(**resource)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].lower()
        if code in {"ValidationException", "InvalidParameterException"} and "protect" in message:
            return False
        if code != "ResourceNotFoundException":
            raise
    return True
