"""Writes the IAM policies of the functions, .chalice/policy-<stage>.json: the calls that Chalice's analyzer finds, narrowed.

Chalice's own generator grants on every resource and reads app.py alone; here its analyzer reads every module of chalicelib.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

from chalice.analyzer import APICallCollector, AppViewTypeInfer, parse_code
from chalice.app import DynamoDBEventConfig, KinesisEventConfig, SQSEventConfig
from chalice.policy import PolicyBuilder

from tools.deploy import stack
from tools.errors import CommandError
from tools.functions import declarations, find_modules
from tools.stages import ROOT, aws_stages, read_config, resource_name

_FOLDER = ROOT / ".chalice"

_EVENT_SOURCES: dict[type, tuple[str, ...]] = {
    DynamoDBEventConfig: ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"),
    KinesisEventConfig: ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"),
    SQSEventConfig: ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage"),
}
"""What Lambda calls with the role of a function to read its events (AWS Lambda Developer Guide, event source mappings)."""

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


class _WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations: since Python 3.14 their names are in scopes of their own (PEP 649), where Chalice finds none."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815 - its name there

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        changed = ast.Assign([node.target], node.value) if node.value else ast.Pass()
        return self.generic_visit(ast.copy_location(changed, node))


def without_annotations(source: str) -> str:
    """Return a source without its annotations."""
    return ast.unparse(_WithoutAnnotations().visit(ast.parse(source)))


def calls(source: str) -> dict[str, set[str]]:
    """Return the calls of AWS in a source, by service: {"dynamodb": {"put_item"}}."""
    if sys.version_info >= (3, 14):
        source = without_annotations(source)
    parsed = parse_code(source)
    found: dict[str, set[str]] = APICallCollector(_EveryFunction(parsed).bind_types()).collect_api_calls(parsed.parsed_ast)
    return found


def _calls_of(path: Path, source: str) -> dict[str, set[str]]:
    try:
        return calls(source)
    except Exception as error:  # the analyzer fails in several ways, such as on some comprehensions
        name = path.relative_to(ROOT)
        message = f"Chalice's analyzer fails on {name} ({error!r}). Move its calls of AWS to a module of their own."
        raise CommandError(message) from error


def policy(stage: str, function: str) -> dict[str, Any]:
    """Return what a function of a stage may do; one that is not the API, what the modules that it uses call."""
    paths = find_modules(function) if function else sorted((ROOT / "chalicelib").rglob("*.py"))
    sources = {path: path.read_text() for path in paths}
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
    properties = _read_table()
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
        _allow_events(function, table),
        # A phone number is no resource that a policy could name: everything but topics is what is left.
        _allow("Sms", sorted(action for action in actions if action.startswith("sns:")), "arn:*:sns:*:*:*", "NotResource"),
        _allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], f"arn:*:logs:*:*:log-group:/aws/lambda/{name}:*"),
        _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
    ]
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement["Action"]]}


def files() -> dict[Path, str]:
    """Return the content of every policy file."""
    return {
        _path(stage, function): json.dumps(policy(stage, function), indent=2) + "\n"
        for stage in aws_stages()
        for function in ("", *declarations())
    }


def configure() -> dict[str, Any]:
    """Return .chalice/config.json with the policy of each function that app.py declares, and of no other."""
    config = read_config()
    for stage in aws_stages():
        known = config["stages"][stage].get("lambda_functions", {})
        config["stages"][stage]["lambda_functions"] = {
            function: known.get(function, {}) | {"iam_policy_file": _path(stage, function).name}
            for function in declarations()
        }
    return config


def write() -> None:
    """Write the policies, name them in .chalice/config.json, and delete those of former functions; raises CommandError."""
    written = files()
    for path in {*_FOLDER.glob("policy-*.json")} - written.keys():
        path.unlink()
    for path, content in written.items():
        path.write_text(content)
    config = configure()
    if config != read_config():
        (_FOLDER / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _path(stage: str, function: str) -> Path:
    return _FOLDER / ("-".join(filter(None, ("policy", stage, function))) + ".json")


def _allow_events(function: str, table: str) -> dict[str, Any]:
    """Return the statement that lets Lambda read the events of a function; without actions where it needs none."""
    source = declarations().get(function)
    service, resource = "dynamodb", f"{table}/stream/*"
    match source:
        case DynamoDBEventConfig() if "StreamSpecification" not in _read_table():
            message = (
                f"{function} reads the stream of the table, which has none. Add "
                '"StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"} to the properties of Table in '
                '.chalice/resources.json, and stream_enabled = true and stream_view_type = "NEW_AND_OLD_IMAGES" to '
                ".chalice/terraform/table.tf."
            )
            raise CommandError(message)
        case KinesisEventConfig():
            service, resource = "kinesis", f"arn:*:kinesis:*:*:stream/{source.stream}"
        case SQSEventConfig():
            service, resource = "sqs", source.queue_arn or f"arn:*:sqs:*:*:{source.queue}"
    return _allow("Events", [f"{service}:{action}" for action in _EVENT_SOURCES.get(type(source), ())], resource)


def _read_table() -> dict[str, Any]:
    properties: dict[str, Any] = stack.read_template()["Resources"]["Table"]["Properties"]
    return properties


def _allow(sid: str, actions: list[str], resource: str | list[str], element: str = "Resource") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, element: resource}
