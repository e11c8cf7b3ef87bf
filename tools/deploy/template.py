"""What is merged into the template that Chalice packages, so that one stack has all that the API needs."""

import json
from pathlib import Path
from typing import Any

import app
from tools.deploy import gateway_responses
from tools.environment import ROOT, stage_config, stages

_RESOURCES = ROOT / ".chalice" / "resources.json"
_ADDED = ROOT / ".chalice" / "package.json"
"""What a packaged stack has besides, and `make deploy` sees to itself: its owner's choices, a role for logs."""
_NO_VALUE = {"Ref": "AWS::NoValue"}

ACCESS_LOG = json.dumps(
    {
        "request_id": "$context.requestId",
        "time": "$context.requestTimeEpoch",
        "method": "$context.httpMethod",
        "route": "$context.resourcePath",
        "status": "$context.status",
        "ms": "$context.responseLatency",
        "function_ms": "$context.integrationLatency",
        "refused": "$context.error.responseType",
    },
    separators=(",", ":"),
)
"""A line for each call, those that the gateway refuses included; nothing in it is personal."""

TLS = "SecurityPolicy_TLS13_1_2_2021_06"
"""TLS 1.2 and 1.3 (API Gateway Developer Guide, "Security policies for REST APIs")."""

_SKIPS = {
    "CKV_AWS_115": "Reserved concurrency takes it from the other functions of the account: parameter ReservedConcurrency.",
    "CKV_AWS_116": "A caller waits for the answer and gets the failure; there is nothing to queue.",
    "CKV_AWS_117": "The function reaches nothing in a VPC; one would add cost and guard nothing.",
    "CKV_AWS_119": "A key of your own costs about 1 dollar a month and each call: parameter KmsKeyArn.",
    "CKV_AWS_120": "A cache of answers that differ by caller would be a leak.",
    "CKV_AWS_158": "A key of your own costs about 1 dollar a month and each call: parameter KmsKeyArn.",
    "CKV_AWS_173": "No setting is a secret. A key of your own: parameter KmsKeyArn.",
}


def kept() -> dict[str, Any]:
    """Return the template of what is kept, .chalice/resources.json."""
    found: dict[str, Any] = json.loads(_RESOURCES.read_text())
    return found


def merge(stage: str) -> dict[str, Any]:
    """Return the template that `chalice package --merge-template` takes, for a stage."""
    template, added = kept(), json.loads(_ADDED.read_text())
    config = stage_config(stage)
    chosen = config["parameters"] | {"Stage": stage, "WebOrigin": config["environment_variables"]["WEB_ORIGIN"]}
    parameters = template["Parameters"] | added["Parameters"]
    parameters["Stage"] = parameters["Stage"] | {"AllowedValues": [stage]}
    for name, value in chosen.items():
        number = parameters[name]["Type"] == "Number"
        parameters[name] = parameters[name] | {"Default": int(value) if number else value}
    return {
        "Description": f"The task API, stage {stage}: table, users, API, functions, logs and alarms.",
        "Parameters": parameters,
        "Conditions": template["Conditions"] | added["Conditions"],
        "Resources": template["Resources"]
        | _checked(template["Resources"])
        | _functions(stage)
        | _api()
        | added["Resources"],
        "Outputs": {
            name: {"Value": output["Value"], "Description": _told(output)} for name, output in template["Outputs"].items()
        },
    }


def path(stage: str) -> Path:
    """Return where the merge template of a stage is kept, for `chalice package --merge-template`."""
    return ROOT / ".chalice" / f"merge-{stage}.json"


def text(stage: str) -> str:
    """Return the merge template of a stage as it is kept."""
    return json.dumps(merge(stage), indent=2) + "\n"


def write() -> None:
    """Write the merge templates of all stages on AWS."""
    for stage in stages():
        path(stage).write_text(text(stage))


def _functions(stage: str) -> dict[str, Any]:
    deployed = {
        "TABLE_NAME": {"Ref": "Table"},
        "USER_POOL_ARN": {"Fn::GetAtt": ["UserPool", "Arn"]},
        "WEB_CLIENT_ID": {"Ref": "WebClient"},
        "MACHINE_CLIENT_IDS": {"Ref": "MachineClient"},
        "WEB_ORIGIN": {"Ref": "WebOrigin"},
    }
    function = {
        "Environment": {"Variables": deployed},
        "KmsKeyArn": {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, _NO_VALUE]},
        "ReservedConcurrentExecutions": {"Fn::If": ["HasReserve", {"Ref": "ReservedConcurrency"}, _NO_VALUE]},
    }
    boundary = {"PermissionsBoundary": {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, _NO_VALUE]}}
    skips = _skipping("CKV_AWS_115", "CKV_AWS_116", "CKV_AWS_117", "CKV_AWS_173")
    return {
        # Named as `chalice deploy` names them, for their logs, which their roles name, and their alarms.
        "APIHandler": {"Properties": function | {"FunctionName": f"task-api-{stage}"}, "Metadata": skips},
        "UserAuthorizer": {
            "Properties": function | {"FunctionName": f"task-api-{stage}-user_authorizer"},
            "Metadata": skips,
        },
        "ApiHandlerRole": {"Properties": boundary},
        "UserAuthorizerRole": {"Properties": boundary},
    }


def _api() -> dict[str, Any]:
    pool = {"providerARNs": [{"Fn::GetAtt": ["UserPool", "Arn"]}]}
    audience = {"identityValidationExpression": {"Fn::Sub": "^${WebClient}$"}}
    authorizers = {"users": pool | audience, "machines": pool}
    definition = {
        "securityDefinitions": {
            name: {"x-amazon-apigateway-authorizer": authorizer} for name, authorizer in authorizers.items()
        },
        "paths": {path: {"options": _preflight()} for path in app.app.routes},
        "x-amazon-apigateway-gateway-responses": gateway_responses.responses("${WebOrigin}"),
    }
    log = {"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${AccessLog}"}
    properties = {
        "OpenApiVersion": "2.0",  # else SAM adds a public stage of its own, aws/chalice#1655
        "AlwaysDeploy": True,  # SAM would see a change of the definition's text alone, and none of a parameter in it
        "DefinitionBody": definition,
        "TracingEnabled": True,
        "SecurityPolicy": TLS,
        "EndpointAccessMode": "BASIC",
        "AccessLogSetting": {
            # A stage with a log waits for the role, if that is made here: DependsOn takes no resource under a condition.
            "DestinationArn": {
                "Fn::If": ["NeedsGatewayLogsRole", {"Fn::Select": [0, [log, {"Ref": "GatewayAccount"}]]}, log]
            },
            "Format": ACCESS_LOG,
        },
        "MethodSettings": [
            {
                "ResourcePath": "/*",
                "HttpMethod": "*",
                "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
                "ThrottlingBurstLimit": {"Ref": "RequestsAtOnce"},
            }
        ],
    }
    return {"RestAPI": {"Properties": properties, "Metadata": _skipping("CKV_AWS_120")}}


def _preflight() -> dict[str, Any]:
    allowed = {"method.response.header.Access-Control-Allow-Origin": {"Fn::Sub": "'${WebOrigin}'"}}
    return {"x-amazon-apigateway-integration": {"responses": {"default": {"responseParameters": allowed}}}}


def _checked(resources: dict[str, Any]) -> dict[str, Any]:
    skipped = {"AWS::DynamoDB::Table": "CKV_AWS_119", "AWS::Logs::LogGroup": "CKV_AWS_158"}
    return {
        name: resource | {"Metadata": _skipping(skipped[resource["Type"]])}
        for name, resource in resources.items()
        if resource["Type"] in skipped
    }


def _skipping(*checks: str) -> dict[str, Any]:
    return {"checkov": {"skip": [{"id": check, "comment": _SKIPS[check]} for check in checks]}}


def _told(output: dict[str, Any]) -> str:
    return str(output["Description"]).replace("in the settings of the stage", "in the settings of the functions")
