"""Writes the IAM policies of the functions, .chalice/policy-<stage>.json: the calls that Chalice's analyzer finds, narrowed.

Chalice's own generator grants on every resource and reads app.py alone; here its analyzer reads every module of chalicelib.
"""

import json
from pathlib import Path
from typing import Any

from chalice.analyzer import APICallCollector, AppViewTypeInfer, parse_code
from chalice.app import DynamoDBEventConfig
from chalice.policy import PolicyBuilder

import app
from tools.deploy import stack
from tools.errors import CommandError
from tools.stages import ROOT, aws_stages, resource_name, stage_config

FUNCTIONS: dict[str, tuple[str, ...]] = {"": (".",), "user_authorizer": ()}
"""The folders of chalicelib whose calls of AWS each function may make, by its name; the API itself has no name.

The authorizer calls nothing: the keys of the pool are public.
"""

_STREAM = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
"""What Lambda calls to read the stream of a table (AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB")."""

_IN_A_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


class _EveryFunction(AppViewTypeInfer):
    """Chalice enters its views alone; a library has none."""

    def _is_chalice_view(self, node: object) -> bool:
        del node
        return True

    def visit_ClassDef(self, node: object) -> None:  # noqa: N802 - its name there
        """Leave methods alone: the analyzer cannot enter them."""


def functions() -> list[str]:
    """Return the names of the app's functions beside the API: authorizers, schedules, event sources and others."""
    kinds = (app.app.builtin_auth_handlers, app.app.event_sources, app.app.pure_lambda_functions)
    return [function.name for kind in kinds for function in kind]


def reads_stream(function: str) -> bool:
    """Return whether `@app.on_dynamodb_record` declares the function."""
    return any(isinstance(source, DynamoDBEventConfig) and source.name == function for source in app.app.event_sources)


def missing() -> list[str]:
    """Return a sentence for each thing that a function of the app needs and that is not there."""
    lines = [
        f"The function {name} has no policy: add it to FUNCTIONS in tools/generate/policies.py."
        for name in functions()
        if name not in FUNCTIONS
    ]
    lines += [
        f"No function is named {name}: remove it from FUNCTIONS in tools/generate/policies.py."
        for name in FUNCTIONS
        if name and name not in functions()
    ]
    lines += [
        f"Stage {stage} does not name the policy of {name}: add "
        f'"{name}": {{"iam_policy_file": "policy-{stage}-{name}.json"}} to its lambda_functions in .chalice/config.json.'
        for stage in aws_stages()
        for name in functions()
        if name not in stage_config(stage).get("lambda_functions", {})
    ]
    groups = {json.dumps(resource.get("Properties", {}).get("LogGroupName")) for resource in _resources().values()}
    lines += [
        f"The function {name} has no log group: add {group} to .chalice/resources.json and .chalice/terraform/logs.tf."
        for name in functions()
        if json.dumps({"Fn::Sub": (group := f"/aws/lambda/{resource_name('${Stage}', name)}")}) not in groups
    ]
    return lines


def calls(source: str) -> dict[str, set[str]]:
    """Return the calls of AWS in a source, by service: {"dynamodb": {"put_item"}}."""
    parsed = parse_code(source)
    found: dict[str, set[str]] = APICallCollector(_EveryFunction(parsed).bind_types()).collect_api_calls(parsed.parsed_ast)
    return found


def _calls_of(path: Path, source: str) -> dict[str, set[str]]:
    try:
        return calls(source)
    except KeyError as error:  # the analyzer does not know some forms of comprehensions
        name = path.relative_to(ROOT)
        message = f"Chalice's analyzer fails on {name} ({error!r}). Move its calls of AWS to a module of their own."
        raise CommandError(message) from error


def policy(stage: str, function: str) -> dict[str, Any]:
    """Return what a function of a stage may do: no action and no resource more than it uses."""
    folders = [ROOT / "chalicelib" / name for name in FUNCTIONS[function]]
    sources = {path: path.read_text() for folder in folders for path in sorted(folder.rglob("*.py"))}
    found: dict[str, set[str]] = {}
    for path, source in sources.items():  # one by one, so that functions of two modules may have the same name
        if "boto3.client(" in source:
            for service, names in _calls_of(path, source).items():
                found.setdefault(service, set()).update(names)
    built = PolicyBuilder().build_policy_from_api_calls(found)
    actions = {action for statement in built["Statement"] for action in statement["Action"]}
    # A transaction is no action: the writes in it are (DynamoDB Developer Guide, "Using IAM with transactions").
    actions |= {
        f"dynamodb:{action}"
        for name, action in _IN_A_TRANSACTION.items()
        for source in sources.values()
        if f'"{name}": ' in source
    }
    properties = _resources()["Table"]["Properties"]
    indexes = [
        index["IndexName"] for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes") for index in properties[kind]
    ]
    table = f"arn:*:dynamodb:*:*:table/{resource_name(stage)}"
    name = resource_name(stage, function)
    statements = [
        _allow("Table", sorted(action for action in actions if action.startswith("dynamodb:")), table),
        _allow(
            "Indexes", ["dynamodb:Query"] * ("dynamodb:Query" in actions), [f"{table}/index/{index}" for index in indexes]
        ),
        _allow("Stream", [f"dynamodb:{name}" for name in _STREAM] * reads_stream(function), f"{table}/stream/*"),
        # A phone number is no resource that a policy could name: everything but topics is what is left.
        _allow("Sms", sorted(action for action in actions if action.startswith("sns:")), "arn:*:sns:*:*:*", "NotResource"),
        _allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], f"arn:*:logs:*:*:log-group:/aws/lambda/{name}:*"),
        _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
    ]
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement["Action"]]}


def files() -> dict[Path, str]:
    """Return the text of every policy file."""
    return {
        ROOT / ".chalice" / ("-".join(filter(None, ("policy", stage, function))) + ".json"): json.dumps(
            policy(stage, function), indent=2
        )
        + "\n"
        for stage in aws_stages()
        for function in FUNCTIONS
    }


def write() -> None:
    """Write them all; raises CommandError with a sentence for each thing that a function lacks."""
    if lines := missing():
        raise CommandError("\n".join(lines))
    for path, text in files().items():
        path.write_text(text)


def _resources() -> dict[str, Any]:
    resources: dict[str, Any] = stack.read_template()["Resources"]
    return resources


def _allow(sid: str, actions: list[str], resource: str | list[str], element: str = "Resource") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, element: resource}
