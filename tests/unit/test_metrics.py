"""The metric filters in resources.json, against the log lines of real requests."""

import json
import operator
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from chalicelib.sms import service as sms
from tests.support.people import Person
from tests.support.sdk_faults import network, refused, respond_with
from tools.deploy import gateway_responses, stack, template

RESOURCES = stack.read_template()["Resources"]
FILTERS = {
    resource["Properties"]["FilterName"]: resource["Properties"]
    for resource in RESOURCES.values()
    if resource["Type"] == "AWS::Logs::MetricFilter" and resource["Properties"]["LogGroupName"] == {"Ref": "ApiLog"}
}
OPERATORS = {
    "=": lambda found, value: fnmatchcase(str(found), str(value)),
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
}


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Return whether a filter pattern for JSON matches (CloudWatch Logs User Guide, "Filter pattern syntax")."""
    (conditions,) = re.findall(r"^{ (.*) }$", pattern)
    return all(_holds(condition, line) for condition in conditions.split(" && "))


def _holds(condition: str, line: dict[str, Any]) -> bool:
    if found := re.fullmatch(r"\$\.(\w+) IS TRUE", condition):
        return line.get(found[1]) is True
    ((member, symbol, value),) = re.findall(r"^\$\.(\w+) (=|>=|>|<) (.+)$", condition)
    return member in line and bool(OPERATORS[symbol](line[member], json.loads(value)))


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the value of each metric, line by line of what was logged since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [
        {
            name: line[value[2:]] if (value := transformation["MetricValue"]).startswith("$.") else float(value)
            for name, properties in FILTERS.items()
            for transformation in properties["MetricTransformations"]
            if matches(properties["FilterPattern"], line)
        }
        for line in lines
    ]


ALWAYS = {"Requests", "Latency"}


def test_authorizers_that_fail_count_and_refused_tokens_do_not() -> None:
    """Lambda counts a refused token as an error, because 401 needs an exception (API Gateway Developer Guide)."""
    counted = RESOURCES["AuthorizerErrorsMetric"]["Properties"]
    assert counted["LogGroupName"] == {"Ref": "AccessLog"}
    (transformation,) = counted["MetricTransformations"]
    alarm = RESOURCES["AuthorizerErrorsAlarm"]["Properties"]
    assert alarm["MetricName"] == transformation["MetricName"]
    assert alarm["Namespace"] == transformation["MetricNamespace"]
    # The types are those of "Gateway response types", ibid.; without one, the gateway writes "-".
    lines = {kind: json.loads(template.ACCESS_LOG) | {"refused": kind} for kind in (*gateway_responses.responses(""), "-")}
    failures = {kind for kind, line in lines.items() if matches(counted["FilterPattern"], line)}
    assert failures == {"AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"}


def test_every_request_counts_with_its_latency_by_route(nobody: Person, capsys: pytest.CaptureFixture[str]) -> None:
    nobody("GET", "/health")
    (counted,) = metrics(capsys)
    assert counted.keys() - {"ColdStarts"} == ALWAYS
    by_route = {name for name, one in FILTERS.items() if one["MetricTransformations"][0].get("Dimensions")}
    assert by_route == {"Requests", "Errors", "Latency"}


def test_writes_replays_conflicts_and_units_count(alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
    alice.creates()
    for _ in range(2):  # moto does not say what a transaction consumes
        created = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k").json
    alice("PATCH", f"/tasks/{created['task_id']}", {"title": "U"}, If_Match='"7"')
    alice("GET", f"/tasks/{created['task_id']}")
    create, _, replay, conflict, read = metrics(capsys)
    assert create.keys() - {"ColdStarts"} == ALWAYS | {"WriteUnits"}
    assert create["WriteUnits"] >= 1
    assert replay.keys() == ALWAYS | {"Replays"}
    assert conflict.keys() == ALWAYS | {"Conflicts"}
    assert read.keys() == ALWAYS | {"ReadUnits"}


def test_an_outage_counts_as_an_error(alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
    with network(refused("AccessDeniedException")):
        alice("GET", "/tasks")
    (counted,) = metrics(capsys)
    assert counted.keys() - {"ColdStarts"} == ALWAYS | {"Errors"}


def test_a_cold_start_counts(nobody: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.http.api._first", iter([True]))
    nobody("GET", "/health")
    (counted,) = metrics(capsys)
    assert counted.keys() == ALWAYS | {"ColdStarts"}


def test_sms_messages_count_with_their_parts_and_outcome(machine: Person, capsys: pytest.CaptureFixture[str]) -> None:
    def send(number: str, key: str) -> None:
        machine("POST", "/sms", {"to": number, "message": "x" * 200}, Idempotency_Key=key)

    send("+12025550100", "a")
    send("+12025550100", "a")
    send("not a number", "b")
    with network(respond_with(500, b""), client=sms.client()):
        send("+12025550101", "c")
    sent, replay, refused_, unknown = metrics(capsys)
    assert (sent["SmsSent"], sent["SmsParts"]) == (1, 2)
    assert replay.keys() == ALWAYS | {"Replays"}  # and not one more message
    assert (refused_["SmsRefused"], "SmsParts" in refused_) == (1, False)
    assert (unknown["SmsUnknown"], unknown["SmsParts"]) == (1, 2)
