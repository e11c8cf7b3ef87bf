"""Writes what the functions may do, .chalice/policy-<stage>.json: the calls that Chalice's own analyzer finds, narrowed.

Chalice's generator grants on every resource and reads app.py alone; its analyzer is given all modules here that call AWS.
"""

import json
import re
from pathlib import Path
from typing import Any

from chalice.analyzer import APICallCollector, AppViewTypeInfer, parse_code
from chalice.policy import PolicyBuilder

from tools.environment import ROOT, stages

FUNCTIONS = {"": ("aws", "table", "update", "ledger", "board", "sms"), "any_user": ("tokens",)}
"""The modules that call AWS on behalf of each function; the API itself has no name of its own."""

_APP_NAME = "task-api"
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


def source_of(modules: tuple[str, ...]) -> str:
    """Return the modules as one source, since the analyzer does not follow a client that is imported."""
    return "\n".join((ROOT / "chalicelib" / f"{name}.py").read_text() for name in modules)


def policy(stage: str, function: str) -> dict[str, Any]:
    """Return what a function of a stage may do: no action and no resource more than it uses."""
    source = source_of(FUNCTIONS[function])
    built = PolicyBuilder().build_policy_from_api_calls(calls(source))
    actions = {action for statement in built["Statement"] for action in statement["Action"]}
    if "transact_write_items" in source:  # which is no action: what it may hold is (DynamoDB, "Using IAM with transactions")
        actions |= {f"dynamodb:{action}" for name, action in _IN_A_TRANSACTION.items() if f'"{name}": ' in source}
    indexes = sorted(set(re.findall(r'"?IndexName"?[=:] ?"(\w+)"', source)))
    table = f"arn:*:dynamodb:*:*:table/{_APP_NAME}-{stage}"
    name = "-".join(filter(None, (_APP_NAME, stage, function)))
    statements = [
        _allow("Table", sorted(action for action in actions if action.startswith("dynamodb:")), table),
        _allow("Indexes", ["dynamodb:Query"] * bool(indexes), [f"{table}/index/{index}" for index in indexes]),
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
        for stage in stages()
        for function in FUNCTIONS
    }


def write() -> None:
    """Write them all."""
    for path, text in files().items():
        path.write_text(text)


def _allow(sid: str, actions: list[str], resource: str | list[str], element: str = "Resource") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, element: resource}
