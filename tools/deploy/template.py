"""The merge template, .chalice/merge.json: what `chalice package` adds to its own template.

With it one stack has everything that the API needs. It is the same for all stages; a stage sets defaults of its parameters.
"""

import json
from typing import Any

from chalice.utils import to_cfn_resource_name

import app
from tools.deploy import gateway_responses, stack
from tools.functions import declarations, reads_table_stream
from tools.stages import ROOT, environment_variables, resource_name, template_parameters

MERGE_TEMPLATE = ROOT / ".chalice" / "merge.json"
PACKAGE_TEMPLATE = ROOT / ".chalice" / "package.json"
"""What only a packaged stack has: optional parameters, the domain of the API, its web ACL, and a role for logs."""
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
"""One line per request, also for those that API Gateway rejects; it contains no personal data."""
_ACCESS_LOG_FORMAT = {
    "Type": "String",
    "Default": ACCESS_LOG,
    "Description": "The line of the access log for a request, in variables of API Gateway, among them $context.requestId."
    " The dashboard reads its members status, route and refused, and AuthorizerErrorsAlarm reads refused.",
}

TLS = "SecurityPolicy_TLS13_1_2_2021_06"
"""TLS 1.2 and 1.3 (API Gateway Developer Guide, "Security policies for REST APIs")."""

_SKIPS = {
    "CKV_AWS_115": "Reserved concurrency is taken from the account's other functions. Parameter ReservedConcurrency.",
    "CKV_AWS_116": "Nothing is queued: a caller of the API gets the failure; that of a background function raises an alarm.",
    "CKV_AWS_117": "The functions use nothing in a VPC; one would add cost without protection.",
    "CKV_AWS_119": "A KMS key costs about 1 dollar a month and a fee per use. Parameter KmsKeyArn.",
    "CKV_AWS_120": "Responses differ by caller: a cache would leak them.",
    "CKV_AWS_158": "A KMS key costs about 1 dollar a month and a fee per use. Parameter KmsKeyArn.",
    "CKV_AWS_173": "No setting is a secret. A KMS key: parameter KmsKeyArn.",
}


def merge() -> dict[str, Any]:
    """Return the merge template."""
    resources, package = stack.read_template(), json.loads(PACKAGE_TEMPLATE.read_text())
    return {
        "Description": "The task API: table, users, API, functions, logs and alarms.",
        "Parameters": resources["Parameters"] | package["Parameters"] | {"AccessLogFormat": _ACCESS_LOG_FORMAT},
        "Rules": resources["Rules"] | package["Rules"],
        "Conditions": resources["Conditions"] | package["Conditions"],
        "Resources": _with_skips(resources["Resources"]) | _functions(resources["Outputs"]) | _api() | package["Resources"],
        "Outputs": resources["Outputs"] | package["Outputs"] | _outputs(),
    }


def set_defaults(template: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return a merge template with the stage's values from .chalice/config.json as defaults of its parameters.

    A merge template of a user may lack any of these parameters.
    """
    values = template_parameters(stage) | {"WebOrigin": environment_variables(stage)["WEB_ORIGIN"]}
    parameters = dict(template.get("Parameters", {}))
    for name in parameters.keys() & values.keys():
        is_number = parameters[name]["Type"] == "Number"
        parameters[name] = parameters[name] | {"Default": int(values[name]) if is_number else values[name]}
    if "Stage" in parameters:
        # Chalice writes the stage's name into the policies.
        parameters["Stage"] |= {
            "AllowedValues": [stage],
            "Description": f"Always {stage}, for which this template was packaged. Package another stage for another value.",
        }
    return template | {"Parameters": parameters} if parameters else template


def render() -> str:
    """Return the content of the file."""
    return json.dumps(merge(), indent=2) + "\n"


def write() -> None:
    """Write the file."""
    MERGE_TEMPLATE.write_text(render())


def _outputs() -> dict[str, Any]:
    """Return descriptions and exports for the outputs of Chalice, which have neither."""
    descriptions = {
        "EndpointURL": "Where the API answers; try health behind it.",
        "RestAPIId": "The id of the API in API Gateway.",
        "APIHandlerName": "The name of the function behind the API.",
        "APIHandlerArn": "The ARN of the function behind the API.",
    }
    return {
        name: {"Description": text, "Export": {"Name": {"Fn::Sub": f"${{AWS::StackName}}-{name}"}}}
        for name, text in descriptions.items()
    }


def _functions(outputs: dict[str, Any]) -> dict[str, Any]:
    variables = {
        "TABLE_NAME": {"Ref": "Table"},
        "USER_POOL_ARN": {"Fn::GetAtt": ["UserPool", "Arn"]},
        "WEB_CLIENT_ID": {"Ref": "WebClient"},
        "MACHINE_CLIENT_IDS": {"Ref": "MachineClient"},
        "SIGN_IN_URL": outputs["SignInUrl"]["Value"],
        "WEB_ORIGIN": {"Ref": "WebOrigin"},
    }
    function = {
        "Environment": {"Variables": variables},
        "KmsKeyArn": {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, _NO_VALUE]},
        "ReservedConcurrentExecutions": {"Fn::If": ["HasReserve", {"Ref": "ReservedConcurrency"}, _NO_VALUE]},
    }
    boundary = {"PermissionsBoundary": {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, _NO_VALUE]}}
    skips = _checkov_skips("CKV_AWS_115", "CKV_AWS_116", "CKV_AWS_117", "CKV_AWS_173")
    names = {to_cfn_resource_name(name): name for name in declarations()}
    return {
        # The names that `chalice deploy` gives them: policies, log groups and alarms refer to these.
        "APIHandler": {"Properties": function | {"FunctionName": {"Fn::Sub": resource_name("${Stage}")}}, "Metadata": skips},
        **{
            resource: {
                "Properties": function | {"FunctionName": {"Fn::Sub": resource_name("${Stage}", name)}} | _stream(name),
                "Metadata": skips,
            }
            for resource, name in names.items()
        },
        "ApiHandlerRole": {"Properties": boundary},
        **{f"{resource}Role": {"Properties": boundary} for resource in names},
    }


def _stream(function: str) -> dict[str, Any]:
    """Return the stream of the table, for a function that reads it: its ARN is unknown before the table exists."""
    if not reads_table_stream(function):
        return {}
    stream = {"Properties": {"Stream": {"Fn::GetAtt": ["Table", "StreamArn"]}}}
    return {"Events": {f"{to_cfn_resource_name(function)}DynamodbEventSource": stream}}


def _api() -> dict[str, Any]:
    pool = {"providerARNs": [{"Fn::GetAtt": ["UserPool", "Arn"]}]}
    audience = {"identityValidationExpression": {"Fn::Sub": "^${WebClient}$"}}
    authorizers = {"users": pool | audience, "machines": pool}
    definition = {
        "securityDefinitions": {
            name: {"x-amazon-apigateway-authorizer": authorizer} for name, authorizer in authorizers.items()
        },
        "paths": {path: {"options": _preflight()} for path in app.app.routes},
        "x-amazon-apigateway-gateway-responses": gateway_responses.responses("${FirstOrigin}"),
    }
    log = {"Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${AccessLog}"}
    properties = {
        "OpenApiVersion": "2.0",  # without it SAM adds a second public stage (aws/chalice#1655)
        "AlwaysDeploy": True,  # without it SAM redeploys for a change of the definition's text, but not of a parameter in it
        "DefinitionBody": definition,
        "TracingEnabled": True,
        "SecurityPolicy": TLS,
        "EndpointAccessMode": "BASIC",
        "AccessLogSetting": {
            # Makes the stage wait for the role for logs, if this stack creates it: DependsOn takes no conditional resource.
            "DestinationArn": {
                "Fn::If": ["NeedsGatewayLogsRole", {"Fn::Select": [0, [log, {"Ref": "GatewayAccount"}]]}, log]
            },
            "Format": {"Ref": "AccessLogFormat"},
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
    return {"RestAPI": {"Properties": properties, "Metadata": _checkov_skips("CKV_AWS_120")}}


def _preflight() -> dict[str, Any]:
    first = {"Fn::Sub": ["'${FirstOrigin}'", {"FirstOrigin": gateway_responses.FIRST_ORIGIN}]}
    allowed = {"method.response.header.Access-Control-Allow-Origin": first}
    templates = {kind: {"Fn::Sub": text} for kind, text in gateway_responses.preflight("${WebOrigin}").items()}
    response = {"responseParameters": allowed, "responseTemplates": templates}
    return {"x-amazon-apigateway-integration": {"responses": {"default": response}}}


def _with_skips(resources: dict[str, Any]) -> dict[str, Any]:
    checks = {"AWS::DynamoDB::Table": "CKV_AWS_119", "AWS::Logs::LogGroup": "CKV_AWS_158"}
    return {
        name: resource | {"Metadata": _checkov_skips(checks[resource["Type"]])} if resource["Type"] in checks else resource
        for name, resource in resources.items()
    }


def _checkov_skips(*checks: str) -> dict[str, Any]:
    return {"checkov": {"skip": [{"id": check, "comment": _SKIPS[check]} for check in checks]}}
