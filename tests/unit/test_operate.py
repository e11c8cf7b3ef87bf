"""docs/operate.md has a page for each alarm, and its queries name members that log lines have."""

import json
import re

import pytest

from chalicelib.dynamodb import table
from chalicelib.sms import service as sms
from tests.conftest import ROOT
from tests.support.people import Person
from tests.support.sdk_faults import network, refused, respond_with
from tests.unit import test_dashboard
from tools.deploy import stack

PAGE = (ROOT / "docs" / "operate.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
QUERIES = [text for language, text in BLOCKS if not language]
API_LOG = "SOURCE '/aws/lambda/task-api-prod' | "
QUERIES += [query.removeprefix(API_LOG) for query in test_dashboard.queries() if query.startswith(API_LOG)]
WORDS = {
    "ispresent",
    "d",
    "filter",
    "stats",
    "count",
    "pct",
    "sum",
    "sort",
    "limit",
    "by",
    "as",
    "desc",
    "like",
    "in",
    "and",
    "bin",
    "m",
}


def test_every_alarm_has_its_section_and_no_other() -> None:
    resources = stack.read_template()["Resources"]
    alarms = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert [name for name, alarm in alarms.items() if not alarm["AlarmDescription"].endswith(" docs/operate.md.")] == []
    sections = PAGE.partition("## Alarms\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", sections, re.MULTILINE)) == alarms.keys()
    assert all("\n```\n" in section for section in sections.split("### ")[1:])


def test_the_queries_and_the_table_name_the_members_of_real_log_lines(
    alice: Person, machine: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.http.api._first", iter([True]))
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    alice.creates()
    for _ in range(2):
        alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
    alice("GET", "/tasks")
    with network(refused("AccessDeniedException"), client=table.client):
        alice("GET", "/tasks")
    machine("POST", "/sms", {"to": "+12025550100", "message": "Hello"}, Idempotency_Key="k")
    with network(respond_with(500, b""), client=sms.client()):
        machine("POST", "/sms", {"to": "+12025550101", "message": "Hello"}, Idempotency_Key="l")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    members = {name for line in lines for name in line}
    (described,) = re.findall(r"^\| Member \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    cells = " ".join(row.split("|")[1] for row in described.strip().splitlines()[2:])
    assert set(re.findall(r"`(\w+)`", cells)) == members
    for query in QUERIES:
        plain = re.sub(r'"[^"]*"|/[^/]*/|@\w+|\bas \w+|\berrors\.\d\.(type|code)\b|\d+', " ", query)
        aliases = set(re.findall(r"\bas (\w+)", query))
        assert set(re.findall(r"[a-z_]+", plain)) - WORDS - aliases <= members, query
    assert {"type", "code", "frames"} >= {name for line in lines for one in line.get("errors", []) for name in one}
