"""The dashboard in resources.json: valid, with metrics that exist, and described in docs/operate.md."""

import json
import re
from itertools import combinations
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support import compare
from tools.bench import report
from tools.deploy import stack, template
from tools.functions import declarations
from tools.stages import app_name, resource_name, stage_config

RESOURCES = stack.read_template()["Resources"]
PAGE = (ROOT / "docs" / "operate.md").read_text()
NAME = resource_name("prod")
FUNCTIONS = {NAME, *(resource_name("prod", function) for function in declarations())}
INDEXES = {index["IndexName"] for index in RESOURCES["Table"]["Properties"]["GlobalSecondaryIndexes"]}
AWS_METRICS = {
    # API Gateway, Lambda and DynamoDB Developer Guides, "metrics and dimensions"
    ("AWS/ApiGateway", "ApiName", "Stage"): {"Count", "4XXError", "5XXError", "Latency"},
    ("AWS/Lambda", "FunctionName"): {"Invocations", "Duration", "Errors", "Throttles", "ConcurrentExecutions"},
    ("AWS/DynamoDB", "TableName"): {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "WriteThrottleEvents",
    },
    ("AWS/DynamoDB", "TableName", "GlobalSecondaryIndexName"): {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "WriteThrottleEvents",
    },
    ("AWS/DynamoDB", "Operation", "TableName"): {"SuccessfulRequestLatency", "SystemErrors"},
}
DIMENSIONS = {
    "ApiName": {app_name()},
    "Stage": {"prod"},
    "FunctionName": FUNCTIONS,
    "TableName": {NAME},
    "GlobalSecondaryIndexName": INDEXES,
}


def widgets() -> list[dict[str, Any]]:
    """Return the widgets of the dashboard, with the parameters of tests/support/compare.py."""
    found: list[dict[str, Any]] = json.loads(compare.resolve(RESOURCES["DashboardOfAll"]["Properties"]["DashboardBody"]))[
        "widgets"
    ]
    return found


def properties(kind: str) -> list[dict[str, Any]]:
    return [one["properties"] for one in widgets() if one["type"] == kind]


def queries() -> list[str]:
    return [log["query"] for log in properties("log")]


def published() -> dict[tuple[str, ...], set[str]]:
    """Return the metrics of the metric filters, by namespace and dimensions."""
    found: dict[tuple[str, ...], set[str]] = {}
    for resource in RESOURCES.values():
        if resource["Type"] == "AWS::Logs::MetricFilter":
            (metric,) = compare.resolve(resource["Properties"]["MetricTransformations"])
            key = (metric["MetricNamespace"], *(each["Key"] for each in metric.get("Dimensions", [])))
            found.setdefault(key, set()).add(metric["MetricName"])
    return found


@pytest.mark.parametrize(("alarms", "metrics"), [(True, True), (True, False), (False, True), (False, False)])
def test_every_combination_of_parameters_is_a_grid_without_overlap(
    monkeypatch: pytest.MonkeyPatch, *, alarms: bool, metrics: bool
) -> None:
    if not alarms:
        monkeypatch.setitem(compare.PARAMETERS, "AlarmTopicArn", "")
    if not metrics:
        monkeypatch.setitem(compare.PARAMETERS, "Metrics", "false")
    shown = widgets()
    for one in shown:
        assert 0 <= one["x"] <= 24 - one["width"]
        assert one["height"] >= 2
    for one, other in combinations(shown, 2):
        apart = (one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]) or (
            one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        )
        assert apart, (one, other)
    listed = [arn for one in properties("alarm") for arn in one["alarms"]]
    wanted = {"HasAlarms": alarms, "HasMetricAlarms": alarms and metrics}
    conditions = [one["Condition"] for one in RESOURCES.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(listed) == sum(wanted[condition] for condition in conditions)
    own = [metric for one in properties("metric") for metric in one["metrics"] if NAME in json.dumps(metric)]
    assert any("Route" in json.dumps(metric) for metric in own) is metrics


def test_every_alarm_is_on_the_dashboard() -> None:
    alarms = {name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    (widget,) = properties("alarm")
    assert set(widget["alarms"]) == {compare.resolve({"Fn::GetAtt": [name, "Arn"]}) for name in alarms}


def test_every_metric_is_one_of_aws_or_of_the_metric_filters() -> None:
    known = AWS_METRICS | published()
    for widget in properties("metric"):
        ids: set[str] = set()
        expressions = []
        for metric in widget["metrics"]:
            *path, options = metric if isinstance(metric[-1], dict) else [*metric, {}]
            ids |= {options["id"]} if "id" in options else set()
            if "expression" in options:
                expressions.append(options["expression"])
                continue
            namespace, name, *dimensions = path
            assert name in known[namespace, *dimensions[::2]], metric
            for dimension, value in zip(dimensions[::2], dimensions[1::2], strict=True):
                assert value in DIMENSIONS[dimension], metric
        for expression in expressions:
            if expression.startswith("SEARCH"):
                ((schema, terms),) = re.findall(r"^SEARCH\('\{([^}]*)\} (.*)', '(?:Sum|Average|p99)', 300\)$", expression)
                values = dict(re.findall(r'(\w+)="([^"]*)"', terms))
                # A name with other characters needs quotes (CloudWatch User Guide, "search expression syntax").
                assert all(re.fullmatch(r'"[^"]+"|[A-Za-z0-9/]+', name) for name in schema.split(",")), expression
                assert values.pop("MetricName") in known[tuple(schema.replace('"', "").split(","))], expression
                assert all(value in DIMENSIONS[dimension] for dimension, value in values.items()), expression
            else:
                assert set(re.findall(r"\b[a-z]+\d?\b", expression)) <= ids, expression


def test_the_queries_of_the_access_log_name_its_members() -> None:
    asked = [query.split(" | ", 1)[1] for query in queries() if "/aws/apigateway/" in query]
    words = {"filter", "stats", "count", "as", "responses", "by", "sort", "desc"}
    assert asked
    for query in asked:
        assert set(re.findall(r"[a-z_]+", query)) - words <= json.loads(template.ACCESS_LOG).keys()


def test_every_log_group_that_is_queried_exists() -> None:
    groups = {
        compare.resolve(one["Properties"]["LogGroupName"])
        for one in RESOURCES.values()
        if one["Type"] == "AWS::Logs::LogGroup"
    }
    assert {re.findall("^SOURCE '(.*?)'", query)[0] for query in queries()} <= groups


def test_the_cost_is_computed_with_the_prices_of_the_benchmark_and_the_memory_of_the_functions() -> None:
    (widget,) = (one for one in properties("metric") if one["title"].startswith("Dollars"))
    formulas = [metric[-1] for metric in widget["metrics"] if "expression" in metric[-1]]
    gateway, function, writes, reads = (formula["expression"] for formula in formulas)
    assert gateway.startswith(f"{report.API:.2f} * ")
    assert function.startswith(f"({report.INVOCATION:.2f} * ")
    assert f" * {stage_config('prod')['lambda_memory_size'] / 1024} * " in function
    assert writes.startswith(f"{report.WRITE} * ")
    assert reads.startswith(f"{report.READ} * ")
    for formula in formulas:
        for price in re.findall(r"\d+\.\d\d+", formula["expression"]):
            assert price in formula["label"]


def test_the_page_describes_every_widget_and_the_dashboard_names_sections_of_the_page() -> None:
    section = PAGE.partition("## The dashboard\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!Widget \||---)(.*?) \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(one["properties"]["title"] for one in widgets() if one["type"] != "text")
    (text,) = properties("text")
    titles = {one["properties"].get("title") for one in widgets()}
    headings = set(re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE))
    named = re.findall(r"\*(.+?)\*", text["markdown"])
    assert named
    assert set(named) <= headings | titles
