"""Writes the IAM policies of the functions, .chalice/policy-<stage>.json: the calls that Chalice's analyzer finds, narrowed.

Chalice's own generator grants on every resource and reads app.py alone; here its analyzer reads every module of chalicelib.
"""

import json
from pathlib import Path
from typing import Any

from chalice.analyzer import APICallCollector, AppViewTypeInfer, parse_code
from chalice.policy import PolicyBuilder

from tools.errors import CommandError
from tools.stages import ROOT, aws_stages, resource_name

FUNCTIONS = {"": True, "user_authorizer": False}
"""The functions, and whether each calls AWS. The API itself has no name. The keys of the pool are public: no call of AWS."""

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
    paths = sorted((ROOT / "chalicelib").rglob("*.py")) if FUNCTIONS[function] else []
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
    resources = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Resources"]["Table"]["Properties"]
    indexes = [
        index["IndexName"] for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes") for index in resources[kind]
    ]
    table = f"arn:*:dynamodb:*:*:table/{resource_name(stage)}"
    name = resource_name(stage, function)
    statements = [
        _allow("Table", sorted(action for action in actions if action.startswith("dynamodb:")), table),
        _allow(
            "Indexes", ["dynamodb:Query"] * ("dynamodb:Query" in actions), [f"{table}/index/{index}" for index in indexes]
        ),
        # A phone number is no resource that a policy could name: everything but topics is what is left.
        _allow("Texts", sorted(action for action in actions if action.startswith("sns:")), "arn:*:sns:*:*:*", "NotResource"),
        _allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], f"arn:*:logs:*:*:log-group:/aws/lambda/{name}:*"),
        _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
    ]
    return {"Version": "2012-10-17", "Statement": [statement for statement in statements if statement["Action"]]}


def files() -> dict[Path, str]:
    """Return every policy file and what stands in it."""
    return {
        ROOT / ".chalice" / ("-".join(filter(None, ("policy", stage, function))) + ".json"): json.dumps(
            policy(stage, function), indent=2
        )
        + "\n"
        for stage in aws_stages()
        for function in FUNCTIONS
    }


def write() -> None:
    """Write them all."""
    for path, text in files().items():
        path.write_text(text)


def _allow(sid: str, actions: list[str], resource: str | list[str], element: str = "Resource") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, element: resource}
