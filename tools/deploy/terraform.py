"""Builds dist/<stage>-terraform: the zip of the functions, and a Terraform module with everything that they need.

Chalice generates the functions, their roles and the API; the rest is written by hand in .chalice/terraform.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tools.deploy import packaging, parameters, sbom, template
from tools.functions import declarations, reads_table_stream
from tools.stages import ROOT

_MODULE = ROOT / ".chalice" / "terraform"
_REFERENCES = {
    "AWS::Region": "data.aws_region.current.id",
    "FirstOrigin": "local.first_origin",
    "DomainPrefix": "aws_cognito_user_pool_domain.users.domain",
    "MachineClient": "aws_cognito_user_pool_client.machine.id",
    "Stage": "local.stage",
    "Table": "aws_dynamodb_table.tasks.name",
    "UserPool.Arn": "aws_cognito_user_pool.users.arn",
    "WebClient": "aws_cognito_user_pool_client.web.id",
    "WebOrigin": "var.web_origin",
}
"""The Terraform expression for each reference in the CloudFormation template."""

_CONDITIONS = {
    "HasAlarms": 'var.alarm_topic_arn != ""',
    "HasMetrics": "var.metrics",
    "HasMetricAlarms": 'var.alarm_topic_arn != "" && var.metrics',
}
"""The Terraform expression for each condition of the CloudFormation template that a value depends on."""

_LOG_GROUPS = {"api_handler": "api", "user_authorizer": "authorizer"}
"""The log groups in logs.tf of a single function; those of all others are `functions`."""


def package(stage: str, out: Path, **changes: object) -> None:
    """Write the module, with these changes to the stage's configuration; the same commit gives the same bytes.

    Other files in the folder stay, such as the state of Terraform. Raises CommandError.
    """
    parameters.require_valid(stage)
    with packaging.copy_shipped(stage, **changes) as folder:
        built = folder.parent / "built"
        packaging.run_chalice(folder, "package", stage, "--pkg-format", "terraform", str(built))
        shutil.copytree(_MODULE, out, dirs_exist_ok=True)
        shutil.copy(built / "deployment.zip", out / "deployment.zip")
        generated = json.loads((built / "chalice.tf.json").read_text())
    sbom.write(out / "deployment.zip")
    merge = template.set_defaults(template.merge(), stage)
    (out / "chalice.tf.json").write_text(json.dumps(_complete(generated, stage, merge), indent=1) + "\n")
    (out / "variables.tf.json").write_text(json.dumps({"variable": _variables(merge)}, indent=1) + "\n")


def _complete(generated: dict[str, Any], stage: str, merge: dict[str, Any]) -> dict[str, Any]:
    """Return what Chalice generates, completed with the merge template of the stage."""
    resources = generated["resource"]
    definition = json.loads(generated["locals"]["chalice_api_swagger"])
    variables = merge["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    for name, function in resources["aws_lambda_function"].items():
        function["environment"]["variables"] |= _to_terraform(variables)
        function["kms_key_arn"] = "${local.kms_key_arn}"
        function["reserved_concurrent_executions"] = "${local.reserved_concurrency}"
        # The role may not create log groups: log lines are lost until the log group exists.
        function["depends_on"] = [
            f"aws_cloudwatch_log_group.{_LOG_GROUPS.get(name, 'functions')}",
            f"aws_iam_role_policy.{name}_role",
        ]
    for name in filter(reads_table_stream, declarations()):
        mapping = resources["aws_lambda_event_source_mapping"][f"{name}-dynamodb-event-source"]
        mapping["event_source_arn"] = "${aws_dynamodb_table.tasks.stream_arn}"
    for role in resources["aws_iam_role"].values():
        role["permissions_boundary"] = "${local.permissions_boundary_arn}"
    # Chalice would create the stage here, without logs, traces and limits; stage.tf creates it instead.
    resources["aws_api_gateway_deployment"]["rest_api"] = {
        "rest_api_id": "${aws_api_gateway_rest_api.rest_api.id}",
        "triggers": {"definition": "${sha256(local.chalice_api_swagger)}"},
        "lifecycle": {"create_before_destroy": True},
    }
    for kind in ("aws_api_gateway_domain_name", "aws_api_gateway_base_path_mapping"):
        resources.pop(kind, None)  # Chalice's mapping has no base path; domain.tf has both, with variables
    used = json.dumps(resources)
    data = {kind: named for kind, named in generated["data"].items() if f"data.{kind}.chalice." in used}
    return {
        "locals": {
            "stage": stage,
            "first_origin": '${split(",", var.web_origin)[0]}',
            "functions": [name for name in declarations() if name not in _LOG_GROUPS],
            "dashboard_body": _to_terraform(merge["Resources"]["DashboardOfAll"]["Properties"]["DashboardBody"]),
            "chalice_api_swagger": json.dumps(_merge(definition, _definition(merge))),
        },
        "resource": resources,
        **({"data": data} if data else {}),
    }  # without Chalice's outdated provider versions, its unused data and its outputs


def _definition(merge: dict[str, Any]) -> dict[str, Any]:
    """Return what the merge template adds to the definition of the API, with security policy and access mode."""
    properties = merge["Resources"]["RestAPI"]["Properties"]
    definition: dict[str, Any] = _to_terraform(properties["DefinitionBody"])
    # Not every version of the provider has arguments for these two; the definition has extensions.
    return definition | {
        "x-amazon-apigateway-security-policy": properties["SecurityPolicy"],
        "x-amazon-apigateway-endpoint-access-mode": properties["EndpointAccessMode"],
    }


def _to_terraform(value: Any) -> Any:
    """Return a part of a CloudFormation template with references in Terraform's syntax; raises KeyError."""
    found = value
    match value:
        case {"Ref": name}:
            found = f"${{{_REFERENCES[name]}}}"
        case {"Fn::GetAtt": [name, "Arn"]} if name.endswith("Alarm"):
            found = f'${{aws_cloudwatch_metric_alarm.all["{alarm_name(name)}"].arn}}'
        case {"Fn::GetAtt": [name, attribute]}:
            found = f"${{{_REFERENCES[f'{name}.{attribute}']}}}"
        case {"Fn::Sub": [text, _]} | {"Fn::Sub": text}:
            found = re.sub(r"\$\{([\w:.]+)\}", lambda found: f"${{{_REFERENCES[found[1]]}}}", text)
        case {"Fn::Join": _} | {"Fn::If": _}:
            found = f"${{{_to_expression(value)}}}"
        case dict():
            found = {name: _to_terraform(part) for name, part in value.items()}
        case list():
            found = [_to_terraform(part) for part in value]
    return found


def _to_expression(value: Any) -> str:
    """Return a string of a CloudFormation template as an expression of Terraform; raises KeyError."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return f"join({json.dumps(separator)}, [{', '.join(map(_to_expression, parts))}])"
        case {"Fn::If": [condition, yes, no]}:
            return f"({_CONDITIONS[condition]} ? {_to_expression(yes)} : {_to_expression(no)})"
        case {"Ref": _} | {"Fn::GetAtt": _}:
            return str(_to_terraform(value)).removeprefix("${").removesuffix("}")
    return json.dumps(_to_terraform(value))  # a string of JSON is one of Terraform; references in it stay


def _merge(generated: Any, added: Any) -> Any:
    """Merge two JSON values as `chalice package --merge-template` does."""
    if isinstance(generated, dict) and isinstance(added, dict):
        return generated | {name: _merge(generated.get(name), part) for name, part in added.items()}
    return added


def _variables(merge: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the template as variables, except the stage, which the policies contain."""
    parameters = {name: parameter for name, parameter in merge["Parameters"].items() if name != "Stage"}
    names = re.compile(rf"\b({'|'.join(parameters)})\b")
    return {
        snake(name): _variable(
            snake(name),
            parameter | {"Description": names.sub(lambda found: snake(found[1]), parameter["Description"])},
        )
        for name, parameter in sorted(parameters.items())
    }


def _variable(name: str, parameter: dict[str, Any]) -> dict[str, Any]:
    default = parameter["Default"]
    variable: dict[str, Any] = {"description": parameter["Description"], "nullable": False}
    rules = {}
    if parameter["Type"] == "CommaDelimitedList":
        return variable | {"type": "list(string)", "default": default.split(",")}
    if parameter.get("AllowedValues") == ["true", "false"]:
        return variable | {"type": "bool", "default": default == "true"}
    if "AllowedValues" in parameter:
        allowed = ", ".join(map(str, parameter["AllowedValues"]))
        rules[f"contains({json.dumps(parameter['AllowedValues'])}, var.{name})"] = f"one of {allowed}"
    if "AllowedPattern" in parameter:
        pattern: str = parameter["AllowedPattern"]
        # Terraform's regular expressions have no lookahead, so what a pattern excludes is a rule of its own.
        excluded = re.match(r"\(\?!\.\*\((.*?)\)\)", pattern)
        if excluded:
            pattern = pattern.removeprefix(excluded[0])
            rules[f"!can(regex({json.dumps(excluded[1])}, var.{name}))"] = f"without {excluded[1].replace('|', ', ')}"
        rules[f"can(regex({json.dumps(f'^(?:{pattern})$')}, var.{name}))"] = f"of the form {pattern}"
    if "MinValue" in parameter:
        rules[f"var.{name} >= {parameter['MinValue']}"] = f"{parameter['MinValue']} or more"
    variable |= {"type": parameter["Type"].lower(), "default": default}
    if rules:
        variable["validation"] = [
            {"condition": f"${{{rule}}}", "error_message": f"It must be {text}."} for rule, text in rules.items()
        ]
    return variable


def alarm_name(resource: str) -> str:
    """Return the name of an alarm of the template, such as ApiErrorsAlarm, in alarms.tf: api-errors."""
    return snake(resource.removesuffix("Alarm")).replace("_", "-")


def snake(name: str) -> str:
    """Return a CloudFormation name such as KmsKeyArn in snake case: kms_key_arn."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
