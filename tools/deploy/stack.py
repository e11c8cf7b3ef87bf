"""The stack of what a stage keeps: .chalice/resources.json, deployed by CloudFormation."""

import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from tools import environment
from tools.environment import ROOT, LocalError

_TEMPLATE = ROOT / ".chalice" / "resources.json"
_LONGEST = 1800  # seconds
_SETTINGS = {
    "TableName": "TABLE_NAME",
    "UserPoolArn": "USER_POOL_ARN",
    "WebClientId": "WEB_CLIENT_ID",
    "MachineClientId": "MACHINE_CLIENT_IDS",
}
"""Which setting each output of the stack is."""


def name(stage: str) -> str:
    """Return the name of the stack of a stage."""
    return f"task-api-{stage}"


def deploy(stage: str, pause: int = 5) -> dict[str, str]:
    """Create or update the stack and return the settings of the stage that come out of it; raises LocalError.

    It is looked at again after each pause, in seconds.
    """
    cloudformation: Any = boto3.client("cloudformation")
    parameters = environment.stage_config(stage)["parameters"] | {"Stage": stage}
    known = json.loads(_TEMPLATE.read_text())["Parameters"]
    wanted: dict[str, Any] = {
        "StackName": name(stage),
        "TemplateBody": _TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items() if key in known],
    }
    patience = {"Delay": pause, "MaxAttempts": _LONGEST // pause}
    try:
        if status(stage) == "ROLLBACK_COMPLETE":  # its creation has failed: it holds nothing, and cannot be updated
            delete(stage, pause)
        done = _create_or_update(cloudformation, stage, wanted)
        if done:
            cloudformation.get_waiter(done).wait(StackName=name(stage), WaiterConfig=patience)
    except (ClientError, WaiterError) as error:
        message = f"{_TEMPLATE.name} cannot be deployed: {error}{_reasons(cloudformation, stage)}"
        raise LocalError(message) from error
    return settings(stage)


def delete(stage: str, pause: int = 5) -> None:
    """Delete the stack, if there is one, all but the data; raises ClientError, WaiterError."""
    cloudformation: Any = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=name(stage))
    patience = {"Delay": pause, "MaxAttempts": _LONGEST // pause}
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name(stage), WaiterConfig=patience)


def status(stage: str) -> str:
    """Return the status of the stack, such as CREATE_COMPLETE; nothing where there is none."""
    return str(_described(stage).get("StackStatus", ""))


def settings(stage: str) -> dict[str, str]:
    """Return the settings that come out of the stack; none where there is no stack."""
    outputs = _outputs(_described(stage))
    return {setting: outputs[output] for output, setting in _SETTINGS.items() if output in outputs}


def require(stage: str) -> dict[str, str]:
    """Return the settings that come out of the stack; raises LocalError without one, or if it has an API itself."""
    try:
        stack = _described(stage)
    except (BotoCoreError, ClientError) as error:
        message = f"The stack {name(stage)} cannot be read: {error}"
        raise LocalError(message) from error
    outputs = _outputs(stack)
    if "RestAPIId" in outputs:
        message = f"The stack {name(stage)} has an API already, from `chalice package`: deploy its next template instead."
        raise LocalError(message)
    if not stack:
        message = f"Stage {stage} has no table and no users: no stack {name(stage)}. Make them: make deploy STAGE={stage}"
        raise LocalError(message)
    if not _SETTINGS.keys() <= outputs.keys():
        state = f"The stack {name(stage)} is {stack['StackStatus']} and lacks outputs."
        message = f"{state} Bring it up to date: make deploy STAGE={stage}"
        raise LocalError(message)
    return {setting: outputs[output] for output, setting in _SETTINGS.items()}


def _outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _described(stage: str) -> dict[str, Any]:
    try:
        (found,) = boto3.client("cloudformation").describe_stacks(StackName=name(stage))["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"]["Message"]:
            raise
        return {}
    return dict(found)


def _create_or_update(cloudformation: Any, stage: str, wanted: dict[str, Any]) -> str:
    """Return the name of the waiter for what was begun, none if nothing was to do; raises LocalError, ClientError."""
    exists = bool(status(stage))
    _refuse_what_is_there(stage, _held(cloudformation, stage) if exists else set())
    if not exists:
        cloudformation.create_stack(**wanted)
        return "stack_create_complete"
    try:
        cloudformation.update_stack(**wanted)
    except ClientError as error:
        if "No updates" not in error.response["Error"]["Message"]:
            raise
        return ""
    return "stack_update_complete"


def _held(cloudformation: Any, stage: str) -> set[str]:
    """Return the names of what is in the stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name(stage))
    return {
        one["PhysicalResourceId"] for page in pages for one in page["StackResourceSummaries"] if "PhysicalResourceId" in one
    }


def _refuse_what_is_there(stage: str, held: set[str]) -> None:
    """Raise LocalError for what is to have a fixed name, is there and not in the stack: CloudFormation would stop at it."""
    there = [
        f"The log group {group} is there already, left by an earlier deployment or made by what logs to it. Delete it with "
        f"its lines: aws logs delete-log-group --log-group-name {group}"
        for group in _log_groups(stage)
        if group not in held and _is_log_group(group)
    ]
    if name(stage) not in held and _is_table(name(stage)):
        there.append(
            f"The table {name(stage)} is there already, from a stack that is gone or from another way of deploying. "
            "Import it, or delete it: docs/deploy.md tells how, under From one way to another."
        )
    if there:
        raise LocalError("\n".join(there))


def _log_groups(stage: str) -> list[str]:
    resources = json.loads(_TEMPLATE.read_text())["Resources"].values()
    groups = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::Logs::LogGroup"]
    return [str(group["LogGroupName"]["Fn::Sub"]).replace("${Stage}", stage) for group in groups]


def _is_log_group(group: str) -> bool:
    pages = boto3.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
    return group in {found["logGroupName"] for page in pages for found in page["logGroups"]}


def _is_table(table: str) -> bool:
    dynamodb: Any = boto3.client("dynamodb")
    try:
        dynamodb.describe_table(TableName=table)
    except dynamodb.exceptions.ResourceNotFoundException:
        return False
    return True


def _reasons(cloudformation: Any, stage: str) -> str:
    """Return what CloudFormation says of each resource that failed, one on a line."""
    try:
        events = cloudformation.describe_stack_events(StackName=name(stage))["StackEvents"]
    except ClientError:
        return ""  # there is no stack to ask about, which the error itself has said
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")][:5]
    return "".join(f"\n{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)
