"""The CloudFormation stack of a stage: table, users, clients, logs and alarms, from .chalice/resources.json."""

import copy
import json
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from chalice.utils import to_cfn_resource_name

from tools.errors import CommandError
from tools.stages import ROOT, functions, resource_name, tags, template_parameters

_TEMPLATE = ROOT / ".chalice" / "resources.json"
_TIMEOUT = 1800  # seconds
_SETTINGS = {
    "TableName": "TABLE_NAME",
    "UserPoolArn": "USER_POOL_ARN",
    "WebClientId": "WEB_CLIENT_ID",
    "MachineClientId": "MACHINE_CLIENT_IDS",
    "SignInUrl": "SIGN_IN_URL",
}
"""The setting that each output of the stack gives."""


def read_template() -> dict[str, Any]:
    """Return the template of the stack: .chalice/resources.json, and what follows from it and from the functions.

    A function without a log group there gets one like that of the API, and an alarm for its errors. A stream of the table
    becomes an output.
    """
    template: dict[str, Any] = json.loads(_TEMPLATE.read_text())
    resources = template["Resources"]
    groups = [resource["Properties"].get("LogGroupName") for resource in resources.values()]
    for function in functions():
        group = {"Fn::Sub": f"/aws/lambda/{resource_name('${Stage}', function)}"}
        if group not in groups:
            log, alarm = copy.deepcopy((resources["ApiLog"], resources["FunctionErrorsAlarm"]))
            log["Properties"]["LogGroupName"] = group
            description = f"The function {function} failed or timed out. Its log says where. Procedure: docs/operate.md."
            alarm["Properties"]["AlarmDescription"] = description
            alarm["Properties"]["Dimensions"][0]["Value"] = {"Fn::Sub": resource_name("${Stage}", function)}
            name = to_cfn_resource_name(function)
            resources |= {f"{name}Log": log, f"{name}ErrorsAlarm": alarm}
    if "StreamSpecification" in resources["Table"]["Properties"]:
        arn = {"Fn::GetAtt": ["Table", "StreamArn"]}
        template["Outputs"]["TableStreamArn"] = {
            "Value": arn,
            "Description": "Value of the setting TABLE_STREAM_ARN.",
            "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-TableStreamArn"}},
        }
    return template


def deploy(stage: str, pause: int = 5) -> dict[str, str]:
    """Create or update the stack and return the settings from its outputs; poll after each pause, in seconds.

    Raises CommandError.
    """
    cloudformation: Any = boto3.client("cloudformation")
    values = template_parameters(stage)
    template = read_template()
    request: dict[str, Any] = {
        "StackName": resource_name(stage),
        "TemplateBody": json.dumps(template),
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in values.items() if key in template["Parameters"]
        ],
    }
    if given := tags(stage):  # an empty list would remove tags that others gave the stack
        request["Tags"] = [{"Key": key, "Value": value} for key, value in given.items()]
    try:
        if read_status(stage) == "ROLLBACK_COMPLETE":  # its creation failed: it is empty and cannot be updated
            delete(stage, pause)
        waiter = _create_or_update(cloudformation, stage, request)
        if waiter:
            _wait(cloudformation, waiter, stage, pause)
    except (ClientError, WaiterError) as error:
        message = f"{_TEMPLATE.name} cannot be deployed: {error}{_list_failures(cloudformation, stage)}"
        raise CommandError(message) from error
    return to_settings(read_outputs(stage))


def delete(stage: str, pause: int = 5) -> None:
    """Delete the stack, if it exists, but not table and users; raises ClientError, WaiterError."""
    cloudformation: Any = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=resource_name(stage))
    _wait(cloudformation, "stack_delete_complete", stage, pause)


def read_status(stage: str) -> str:
    """Return the status of the stack, such as CREATE_COMPLETE; empty without a stack."""
    return str(_describe(stage).get("StackStatus", ""))


def require_settings(stage: str, *, allow_api: bool = False) -> dict[str, str]:
    """Return the settings from the outputs of the stack.

    Raises CommandError without a stack, if outputs are missing, or if it contains an API of its own, unless `allow_api`.
    """
    name = resource_name(stage)
    try:
        stack = _describe(stage)
    except (BotoCoreError, ClientError) as error:
        message = f"The stack {name} cannot be read: {error}"
        raise CommandError(message) from error
    if not stack:
        message = f"Stage {stage} has no table and no users: there is no stack {name}. Run: make deploy STAGE={stage}"
        raise CommandError(message)
    outputs = _to_outputs(stack)
    if "RestAPIId" in outputs and not allow_api:
        message = f"The stack {name} already has an API from `chalice package`. Update it with a newly packaged template."
        raise CommandError(message)
    if not _SETTINGS.keys() <= outputs.keys():
        message = f"The stack {name} is {stack['StackStatus']} and lacks outputs. Update it with: make deploy STAGE={stage}"
        raise CommandError(message)
    return to_settings(outputs)


def _wait(cloudformation: Any, waiter: str, stage: str, pause: int) -> None:
    config = {"Delay": pause, "MaxAttempts": _TIMEOUT // pause}
    cloudformation.get_waiter(waiter).wait(StackName=resource_name(stage), WaiterConfig=config)


def read_outputs(stage: str) -> dict[str, str]:
    """Return the outputs of the stack by name; empty without a stack."""
    return _to_outputs(_describe(stage))


def _to_outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def to_settings(outputs: dict[str, str]) -> dict[str, str]:
    """Return the settings that the outputs of a stack give."""
    settings = _SETTINGS | {"TableStreamArn": "TABLE_STREAM_ARN"}  # which is not among the outputs of every stack
    return {setting: outputs[output] for output, setting in settings.items() if output in outputs}


def _describe(stage: str) -> dict[str, Any]:
    try:
        (stack,) = boto3.client("cloudformation").describe_stacks(StackName=resource_name(stage))["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"]["Message"]:
            raise
        return {}
    return dict(stack)


def _create_or_update(cloudformation: Any, stage: str, request: dict[str, Any]) -> str:
    """Return the name of the waiter for the change; empty without changes. Raises CommandError, ClientError."""
    exists = bool(read_status(stage))
    _require_no_conflict(stage, _list_resources(cloudformation, stage) if exists else set())
    if not exists:
        cloudformation.create_stack(**request)
        return "stack_create_complete"
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates" not in error.response["Error"]["Message"]:
            raise
        return ""
    return "stack_update_complete"


def _list_resources(cloudformation: Any, stage: str) -> set[str]:
    """Return the physical ids of the resources in the stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=resource_name(stage))
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return {resource["PhysicalResourceId"] for resource in resources if "PhysicalResourceId" in resource}


def _require_no_conflict(stage: str, resources: set[str]) -> None:
    """Raise CommandError for log groups and a table that exist outside the stack: CloudFormation would fail on them."""
    conflicts = [
        f"The log group {group} already exists, from an earlier deployment or from a function that logs to it. "
        f"Delete it and its log lines: aws logs delete-log-group --log-group-name {group}"
        for group in _log_groups(stage)
        if group not in resources and _is_log_group(group)
    ]
    table = resource_name(stage)
    if table not in resources and _is_table(table):
        conflicts.append(
            f"The table {table} already exists, from a deleted stack or from another way of deploying. "
            "Import or delete it: docs/deploy.md, From one way to another."
        )
    if conflicts:
        raise CommandError("\n".join(conflicts))


def _log_groups(stage: str) -> list[str]:
    resources = read_template()["Resources"].values()
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


def _list_failures(cloudformation: Any, stage: str) -> str:
    """Return CloudFormation's reason for each resource that failed, one per line."""
    try:
        events = cloudformation.describe_stack_events(StackName=resource_name(stage))["StackEvents"]
    except ClientError:
        return ""  # there is no stack
    failures = [event for event in events if event["ResourceStatus"].endswith("_FAILED")][:5]
    return "".join(f"\n{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failures)
