"""The stack of what a stage keeps: .chalice/resources.json, deployed by CloudFormation."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from local.environment import CONFIG, ROOT, LocalError

_TEMPLATE = ROOT / ".chalice" / "resources.json"
_LONGEST = 1800  # seconds


def name(stage: str) -> str:
    """Return the name of the stack of a stage."""
    return f"task-api-{stage}"


def deploy(stage: str, pause: int = 5) -> dict[str, str]:
    """Create or update the stack and return the settings of the stage that come out of it; raises LocalError.

    It is looked at again after each pause, in seconds.
    """
    cloudformation: Any = boto3.client("cloudformation")
    parameters = json.loads(CONFIG.read_text())["stages"][stage]["parameters"] | {"Stage": stage}
    known = json.loads(_TEMPLATE.read_text())["Parameters"]
    wanted: dict[str, Any] = {
        "StackName": name(stage),
        "TemplateBody": _TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items() if key in known],
    }
    try:
        done = _create_or_update(cloudformation, wanted)
        if done:
            patience = {"Delay": pause, "MaxAttempts": _LONGEST // pause}
            cloudformation.get_waiter(done).wait(StackName=name(stage), WaiterConfig=patience)
    except (ClientError, WaiterError) as error:
        message = f"{_TEMPLATE.name} cannot be deployed: {error}"
        raise LocalError(message) from error
    return settings(stage)


def settings(stage: str) -> dict[str, str]:
    """Return the settings that come out of the stack; raises ClientError if there is none."""
    outputs = boto3.client("cloudformation").describe_stacks(StackName=name(stage))["Stacks"][0]["Outputs"]
    told = {output["Description"].split()[0]: output["OutputValue"] for output in outputs}  # it starts with the setting
    return {setting: value for setting, value in told.items() if setting.isupper()}


def _create_or_update(cloudformation: Any, wanted: dict[str, Any]) -> str:
    """Return the name of the waiter for what was begun, none if nothing was to do."""
    try:
        cloudformation.create_stack(**wanted)
    except cloudformation.exceptions.AlreadyExistsException:
        try:
            cloudformation.update_stack(**wanted)
        except ClientError as error:
            if "No updates" not in error.response["Error"]["Message"]:
                raise
            return ""
        return "stack_update_complete"
    return "stack_create_complete"
