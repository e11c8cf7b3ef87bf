"""docs/operate.md has a page for each alarm, and its queries and those of the dashboard find lines that are really logged."""

import json
import operator
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import config
from chalicelib.dynamodb import table
from chalicelib.sms import service as sms
from tests.conftest import ROOT
from tests.support.people import Person
from tests.support.sdk_faults import network, refused, respond_with
from tests.unit import test_dashboard
from tools.deploy import stack, template

PAGE = (ROOT / "docs" / "operate.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
QUERIES = [text for language, text in BLOCKS if not language]
DASHBOARD = [re.findall(r"^SOURCE '(.*?)' \| (.*)", query)[0] for query in test_dashboard.queries()]
OF_PLATFORM = [query for query in QUERIES if "@message" in query]
OF_APP = [query for query in QUERIES if query not in OF_PLATFORM]
OF_APP += [query for group, query in DASHBOARD if group == "/aws/lambda/task-api-prod"]
OF_GATEWAY = [query for group, query in DASHBOARD if group == "/aws/apigateway/task-api-prod"]
OPERATORS: dict[str, Callable[[Any, Any], object]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "in": lambda value, values: value in values,
    "like": lambda value, expression: re.search(expression, value),
}
ID = "3f0c3c5e-0a52-4f5b-9a0e-6d6f0e0c9d11"
ORDINARY = [
    # AWS Lambda Developer Guide, "View CloudWatch logs for Python Lambda functions" and "execution environment lifecycle"
    "INIT_START Runtime Version: python:3.13.v13\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0123456789ab\n",
    f"START RequestId: {ID} Version: $LATEST\n",
    f"END RequestId: {ID}\n",
    f"REPORT RequestId: {ID}\tDuration: 15.74 ms\tBilled Duration: 16 ms\tMemory Size: 512 MB\tMax Memory Used: 56 MB\t\n",
]
FAILURES = [
    # AWS Lambda Developer Guide, "Troubleshoot invocation issues": the timeout
    f"2026-11-27T08:00:10.003Z {ID} Task timed out after 10.00 seconds\n\n",
    # AWS re:Post, knowledge-center/lambda-runtime-error: the process ended, here out of memory
    f"RequestId: {ID} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n",
    # aws/aws-lambda-python-runtime-interface-client, awslambdaric/bootstrap.py: log_error in the text format
    "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'x'\nTraceback (most recent call last):",
]


def commands(query: str) -> dict[str, str]:
    """Return what follows each command of a query; each occurs once."""
    found = dict(command.split(" ", 1) for command in query.split(" | "))
    assert len(found) == len(query.split(" | ")), query
    assert found.keys() <= {"filter", "stats", "sort", "limit"}, query
    return found


def matches(query: str, line: dict[str, Any]) -> bool:
    """Return whether the `filter` of a query, if it has one, matches the members of a line.

    CloudWatch Logs User Guide, "filter". It knows what these queries use, and raises an error for anything else.
    """
    conditions = commands(query).get("filter")
    return conditions is None or all(_holds(condition, line) for condition in conditions.split(" and "))


def _holds(condition: str, line: dict[str, Any]) -> bool:
    if " not like " in condition:
        return not _holds(condition.replace(" not like ", " like "), line)
    if found := re.fullmatch(r"ispresent\(([\w.]+)\)", condition):
        return found[1] in line
    member, symbol, value = condition.split(" ", 2)
    wanted = value[1:-1] if symbol == "like" else json.loads(value)
    return member in line and bool(OPERATORS[symbol](line[member], wanted))


def members(value: Any, name: str = "") -> dict[str, Any]:
    """Return the members of a line by the names that CloudWatch Logs Insights gives them, such as `errors.0.type`."""
    if not isinstance(value, dict | list):
        return {name: value}
    found: dict[str, Any] = {}
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        found |= members(one, f"{name}.{key}".removeprefix("."))
    return found


def assert_finds(query: str, lines: list[dict[str, Any]]) -> None:
    """Assert that a query selects some of the lines, by its filter not all, and that these have what it shows."""
    parts = commands(query)
    selected = [line for line in lines if matches(query, line)]
    assert selected, query
    assert (len(selected) < len(lines)) is ("filter" in parts), query
    if "stats" not in parts:
        return
    aggregates, _, by = parts["stats"].partition(" by ")
    aliases = re.findall(r"\bas (\w+)", aggregates)
    groups = [name for name in by.split(", ") if not name.startswith("bin(")]
    aggregated = set(re.findall(r"\w+\(([^),]+)", aggregates)) - {"*"}
    assert aggregated.union(groups) <= {name for line in selected for name in line}, query
    keys = [key.removesuffix(" desc") for key in parts["sort"].removeprefix("by ").split(", ")] if "sort" in parts else []
    assert set(keys) <= {*aliases, *groups}, query
    if keys and f"count(*) as {keys[0]}" in aggregates:
        assert not matches(query, {}), f"the platform's lines, three for each request, would be the first row of: {query}"


@pytest.fixture
def log(
    alice: Person,
    machine: Person,
    nobody: Person,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Return the lines that the app has written for requests of all kinds, the first one of a new instance."""
    monkeypatch.setattr("chalicelib.http.api._first", iter([True]))
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    alice.creates()
    for _ in range(2):
        alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
    alice("GET", "/tasks")
    nobody("GET", "/health")
    with network(refused("AccessDeniedException"), client=table.client):
        alice("GET", "/tasks")
    for _ in range(2):
        machine("POST", "/sms", {"to": "+12025550100", "message": "Hello"}, Idempotency_Key="k")
    with network(respond_with(500, b""), client=sms.client()):
        machine("POST", "/sms", {"to": "+12025550101", "message": "Hello"}, Idempotency_Key="l")
    with network(lambda _: None, refused("AccessDeniedException"), client=table.client):  # sent, but not stored
        machine("POST", "/sms", {"to": "+12025550102", "message": "Hello"}, Idempotency_Key="m")
    return capsys.readouterr().out.splitlines()


def test_every_alarm_has_its_section_and_no_other() -> None:
    resources = stack.read_template()["Resources"]
    alarms = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert [name for name, alarm in alarms.items() if not alarm["AlarmDescription"].endswith(" docs/operate.md.")] == []
    sections = PAGE.partition("## Alarms\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", sections, re.MULTILINE)) == alarms.keys()
    assert all("\n```\n" in section for section in sections.split("### ")[1:])


def test_the_table_names_the_members_of_real_log_lines(log: list[str]) -> None:
    lines = [json.loads(line) for line in log]
    (described,) = re.findall(r"^\| Member \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    cells = " ".join(row.split("|")[1] for row in described.strip().splitlines()[2:])
    assert set(re.findall(r"`(\w+)`", cells)) == {name for line in lines for name in line}
    assert {"type", "code", "frames"} >= {name for line in lines for one in line.get("errors", []) for name in one}


def test_the_queries_of_the_log_find_real_lines(log: list[str]) -> None:
    lines = [members(json.loads(line)) for line in log]
    # A request with the id of the page cannot be sent, and one that takes a second would delay the test: the real line
    # of a new instance gets this id and another number.
    ((page_id,),) = [re.findall(r'^filter request_id = "(.*)"$', query) for query in OF_APP if "request_id" in query]
    lines[0] |= {"request_id": page_id, "ms": 1500.0}
    for query in OF_APP:
        # All lines of the app have a route. This filter excludes those of the platform, which have none of the members.
        only_app = "filter ispresent(route)" in query
        assert_finds(query, [*lines, {}] if only_app else lines)


def test_the_queries_of_the_access_log_find_what_the_gateway_itself_responded() -> None:
    line = json.loads(template.ACCESS_LOG)
    # API Gateway writes "-" for a variable without a value; the other one is a type of "Gateway response types" there.
    passed_on = line | {"status": "200", "refused": "-"}
    throttled = line | {"status": "429", "refused": "THROTTLED"}
    assert len(OF_APP) + len(OF_PLATFORM) + len(OF_GATEWAY) == len(QUERIES) + len(DASHBOARD)  # each in one of these tests
    assert OF_GATEWAY
    for query in OF_GATEWAY:
        assert_finds(query, [passed_on, throttled])
        assert matches(query, throttled)


def test_the_queries_for_failed_functions_find_every_failure_and_nothing_else(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(RuntimeError) as raised:
        config.read()
    # As log_error of awslambdaric/bootstrap.py writes an exception at import.
    trace = ["Traceback (most recent call last):\n", *traceback.format_tb(raised.tb)]
    failures = [*FAILURES, f"[ERROR] RuntimeError: {raised.value}\n{''.join(trace)}"]
    refused_token = "[ERROR] Exception: Unauthorized\nTraceback (most recent call last):"
    assert len(OF_PLATFORM) == 2
    for query in OF_PLATFORM:
        assert [text for text in failures if not matches(query, {"@message": text})] == [], query
        assert [text for text in ORDINARY + log if matches(query, {"@message": text})] == [], query
        is_authorizer = PAGE.index(query) > PAGE.index("### AuthorizerErrorsAlarm")
        assert matches(query, {"@message": refused_token}) is not is_authorizer
        expression = re.findall(r"/(.*?)/", query)[0]
        unused = [one for one in expression.split("|") if not any(re.search(one, text) for text in failures)]
        assert unused == [], query
