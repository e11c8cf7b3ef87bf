"""Builds dist/<stage>-terraform: the zip of the functions and a Terraform module with all that they need.

Chalice writes the functions, their roles and the API; what stands around them is written by hand, .chalice/terraform.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tools.deploy import packaging, template
from tools.environment import ROOT

_WRITTEN = ROOT / ".chalice" / "terraform"
_REFERENCES = {
    "AWS::Region": "data.aws_region.current.id",
    "MachineClient": "aws_cognito_user_pool_client.machine.id",
    "Stage": "local.stage",
    "Table": "aws_dynamodb_table.tasks.name",
    "UserPool.Arn": "aws_cognito_user_pool.users.arn",
    "WebClient": "aws_cognito_user_pool_client.web.id",
    "WebOrigin": "var.web_origin",
}
"""What CloudFormation and Terraform call the same thing."""

_LOGS = {"api_handler": "api", "user_authorizer": "authorizer"}


def package(stage: str, out: Path, **changes: object) -> None:
    """Write the module; the same commit gives the same bytes. Changes are those of the stage. Raises LocalError.

    What else is in the folder stays: the state of Terraform may be.
    """
    with packaging.shipped(stage, **changes) as folder:
        built = folder.parent / "built"
        packaging.chalice(folder, "package", stage, "--pkg-format", "terraform", str(built))
        shutil.copytree(_WRITTEN, out, dirs_exist_ok=True)
        shutil.copy(built / "deployment.zip", out / "deployment.zip")
        generated = json.loads((built / "chalice.tf.json").read_text())
    wanted = template.merge(stage)
    (out / "chalice.tf.json").write_text(json.dumps(_repaired(generated, stage, wanted), indent=1) + "\n")
    (out / "variables.tf.json").write_text(json.dumps({"variable": _variables(wanted)}, indent=1) + "\n")


def _repaired(generated: dict[str, Any], stage: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what Chalice generates, with the settings that the template of the stage merges into Chalice's own."""
    resources = generated["resource"]
    definition = json.loads(generated["locals"]["chalice_api_swagger"])
    variables = wanted["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    for name, function in resources["aws_lambda_function"].items():
        function["environment"]["variables"] |= _in_terraform(variables)
        function["kms_key_arn"] = "${local.kms_key_arn}"
        function["reserved_concurrent_executions"] = "${local.reserved_concurrency}"
        # The role makes no log group; what is logged before there is one is lost.
        function["depends_on"] = [f"aws_cloudwatch_log_group.{_LOGS[name]}", f"aws_iam_role_policy.{name}_role"]
    for role in resources["aws_iam_role"].values():
        role["permissions_boundary"] = "${local.permissions_boundary_arn}"
    # Chalice makes the stage here, where it can have no log, no traces and no limits: stage.tf makes it.
    resources["aws_api_gateway_deployment"]["rest_api"] = {
        "rest_api_id": "${aws_api_gateway_rest_api.rest_api.id}",
        "triggers": {"definition": "${sha256(local.chalice_api_swagger)}"},
        "lifecycle": {"create_before_destroy": True},
    }
    return {
        "locals": {
            "stage": stage,
            "access_log_format": template.ACCESS_LOG,
            "dashboard_body": _in_terraform(wanted["Resources"]["DashboardOfAll"]["Properties"]["DashboardBody"]),
            "chalice_api_swagger": json.dumps(_merged(definition, _definition(wanted))),
        },
        "resource": resources,
    }  # not its versions, which are of the past, its data, which nothing reads, and its outputs, which tell little


def _definition(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what the template merges into the definition of the API, and what stands beside it there."""
    properties = wanted["Resources"]["RestAPI"]["Properties"]
    merged: dict[str, Any] = _in_terraform(properties["DefinitionBody"])
    # The provider has no argument for these two in every version; the definition has.
    return merged | {
        "x-amazon-apigateway-security-policy": properties["SecurityPolicy"],
        "x-amazon-apigateway-endpoint-access-mode": properties["EndpointAccessMode"],
    }


def _in_terraform(value: Any) -> Any:
    """Return a part of a CloudFormation template with references as Terraform writes them; raises KeyError."""
    match value:
        case {"Ref": name}:
            return f"${{{_REFERENCES[name]}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{_REFERENCES[f'{name}.{attribute}']}}}"
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: f"${{{_REFERENCES[found[1]]}}}", text)
        case dict():
            return {name: _in_terraform(part) for name, part in value.items()}
        case list():
            return [_in_terraform(part) for part in value]
    return value


def _merged(ours: Any, theirs: Any) -> Any:
    """Return the one with the other in it, as `chalice package --merge-template` does."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours | {name: _merged(ours.get(name), part) for name, part in theirs.items()}
    return theirs


def _variables(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the template as variables; the stage is no choice: the zip's policies name it."""
    parameters = {name: parameter for name, parameter in wanted["Parameters"].items() if name != "Stage"}
    return {snake(name): _variable(snake(name), parameter) for name, parameter in sorted(parameters.items())}


def _variable(name: str, parameter: dict[str, Any]) -> dict[str, Any]:
    default = parameter["Default"]
    found: dict[str, Any] = {"description": parameter["Description"], "nullable": False}
    rules = {}
    if parameter["Type"] == "CommaDelimitedList":
        return found | {"type": "list(string)", "default": default.split(",")}
    if parameter.get("AllowedValues") == ["true", "false"]:
        return found | {"type": "bool", "default": default == "true"}
    if "AllowedValues" in parameter:
        allowed = ", ".join(map(str, parameter["AllowedValues"]))
        rules[f"contains([{allowed}], var.{name})"] = f"one of {allowed}"
    if "AllowedPattern" in parameter:
        whole = f"^(?:{parameter['AllowedPattern']})$"
        rules[f"can(regex({json.dumps(whole)}, var.{name}))"] = f"of the form {parameter['AllowedPattern']}"
    if "MinValue" in parameter:
        rules[f"var.{name} >= {parameter['MinValue']}"] = f"{parameter['MinValue']} or more"
    found |= {"type": parameter["Type"].lower(), "default": default}
    if rules:
        found["validation"] = [
            {"condition": f"${{{rule}}}", "error_message": f"It has to be {told}."} for rule, told in rules.items()
        ]
    return found


def snake(name: str) -> str:
    """Return a name of CloudFormation, such as KmsKeyArn, as Terraform writes it: kms_key_arn."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
