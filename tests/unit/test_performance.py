"""What each route costs, without a clock: calls of DynamoDB, units, bytes, and the modules that a start imports.

`make bench` measures the time. The size of the zip is in tests/e2e/test_package.py.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import pytest
from moto.dynamodb.models import dynamodb_backends

from app import app
from chalicelib.config import settings
from chalicelib.dynamodb import table
from tests.conftest import ROOT, TABLE
from tests.support import pool
from tests.support.people import Person, path_of
from tools.bench import requests, units
from tools.bench.dynamodb import DynamoDB
from tools.bench.requests import CHANGES, NEW
from tools.bench.units import Attributes


def stored(key: Attributes) -> Attributes:
    """Return an item as it is now, without going through the client."""
    items = [
        item.to_json()["Attributes"] for item in dynamodb_backends[pool.ACCOUNT][settings.region].tables[TABLE].all_items()
    ]
    return next((item for item in items if item.items() >= key.items()), {})


class Trace:
    """Records the calls of DynamoDB, while it is entered; in lists, because several threads may call."""

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.bytes: list[int] = []
        self.writes: list[int] = []
        self.reads: list[float] = []

    def _before(self, params: Any, model: Any, context: Any, **_: object) -> None:
        context["request"] = request = json.loads(params["body"])
        self.operations.append(model.name)
        self.bytes.append(len(params["body"]))
        self.writes.append(units.writes(model.name, request, stored))

    def _after(self, parsed: Any, model: Any, context: Any, **_: object) -> None:
        found = parsed["Responses"][TABLE] if "Responses" in parsed else parsed.get("Items", [parsed.get("Item", {})])
        self.reads.append(units.reads(model.name, context["request"], found))

    def __enter__(self) -> Self:
        table.client.meta.events.register("before-call.dynamodb", self._before)
        table.client.meta.events.register("after-call.dynamodb", self._after)
        return self

    def __exit__(self, *_: object) -> None:
        table.client.meta.events.unregister("before-call.dynamodb", self._before)
        table.client.meta.events.unregister("after-call.dynamodb", self._after)


class Cost(NamedTuple):
    operations: list[str]
    writes: int
    reads: float
    max_bytes: int
    """Of the requests to DynamoDB; each a few more than today."""


Send = Callable[[Person, Person, Person, str], Any]
"""Sends a request as a user, an admin or a machine; the path is that of the user's first task."""

COSTS: dict[str, tuple[Send, Cost]] = {
    "POST /tasks": (lambda alice, *_: alice("POST", "/tasks", NEW), Cost(["PutItem"], 3, 0, 850)),
    "POST /tasks with a key": (
        lambda alice, *_: alice("POST", "/tasks", NEW, Idempotency_Key="k"),
        Cost(["TransactWriteItems"], 8, 0, 1400),
    ),
    "GET /tasks": (lambda alice, *_: alice("GET", "/tasks?limit=100"), Cost(["Query"], 0, 11, 400)),
    "GET /tasks of a status": (
        lambda alice, *_: alice("GET", "/tasks?limit=100&status=pending"),
        Cost(["Query"], 0, 11, 400),
    ),
    "GET /tasks/{task_id}": (lambda alice, _, __, path: alice("GET", path), Cost(["GetItem"], 0, 1, 250)),
    "PATCH /tasks/{task_id}": (lambda alice, _, __, path: alice("PATCH", path, CHANGES), Cost(["UpdateItem"], 5, 0, 1200)),
    "PATCH /tasks/{task_id}, a title": (
        lambda alice, _, __, path: alice("PATCH", path, {"title": "Buy milk"}),
        Cost(["UpdateItem"], 2, 0, 900),
    ),
    "DELETE /tasks/{task_id}": (lambda alice, _, __, path: alice("DELETE", path), Cost(["DeleteItem"], 3, 0, 300)),
    "GET /admin/tasks": (
        lambda _, admin, *__: admin("GET", "/admin/tasks?status=pending&limit=100"),
        Cost(["BatchGetItem", *["Query"] * 8], 0, 104, 14_000),
    ),
    "POST /sms": (
        lambda _, __, machine, ___: machine("POST", "/sms", {"to": "+12025550100", "message": "Hello"}, Idempotency_Key="k"),
        Cost(["TransactWriteItems", "TransactWriteItems"], 10, 0, 3000),
    ),
}
FREE = ["GET /", "GET /docs", "GET /docs/signed-in", "GET /health", "GET /hello", "GET /openapi.json"]


@pytest.mark.parametrize("name", COSTS)
def test_a_request_makes_few_calls_and_small_ones(alice: Person, admin: Person, machine: Person, name: str) -> None:
    send, cost = COSTS[name]
    first, *_ = [alice.creates(**NEW) for _ in range(100 if cost.reads > 1 else 1)]
    with Trace() as trace:
        assert send(alice, admin, machine, path_of(first)).status < 300
    assert sorted(trace.operations) == cost.operations
    assert (sum(trace.writes), sum(trace.reads)) == cost[1:3]
    assert sum(trace.bytes) <= cost.max_bytes


@pytest.mark.parametrize("name", FREE)
def test_a_request_for_no_data_calls_no_dynamodb(alice: Person, name: str) -> None:
    with Trace() as trace:
        assert alice(*name.split()).status == 200
    assert trace.operations == []


def test_every_route_is_above() -> None:
    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}
    assert {name for name in COSTS if name in routes} | {*FREE} == routes


def test_the_page_on_performance_states_these_units() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    stated = re.findall(r"^\| `(.+?)`(.*?) \| ([0-9.]+) ([RW]) \| ", page, re.MULTILINE)
    costs = {name: (cost.writes, "W") if cost.writes else (cost.reads, "R") for name, (_, cost) in COSTS.items()}
    assert {route + rest: (float(units), kind) for route, rest, units, kind in stated} == costs


def test_a_task_takes_few_bytes(alice: Person) -> None:
    task = alice.creates(**NEW)
    key = {"PK": {"S": f"USER#{alice.sub}"}, "SK": {"S": f"TASK#{task['task_id']}"}}
    assert units.size(stored(key)) <= 445
    assert len(stored(key)) <= 12


TASK_ROUTES = """
import importlib, json, sys
from botocore.client import BaseClient
process, app = (importlib.import_module(name) for name in ("process", "app"))
for event in json.load(sys.stdin):
    process._send(app.app, event)
clients = [client.__name__ for client in BaseClient.__subclasses__()]
print(json.dumps([sorted(sys.modules), clients]), file=sys.stderr)
"""
MAX_MODULES = 390 if sys.version_info < (3, 14) else 393  # typing imports annotationlib there
NOT_IMPORTED = {"boto3", "chalice.cli", "chalice.local", "cryptography", "jwt", "phonenumbers", "s3transfer", "tools"}


def test_a_process_that_serves_the_task_routes_imports_little() -> None:
    """In an environment as in Lambda; the client of SNS is made with the first message."""
    with DynamoDB() as dynamodb:
        threading.Thread(target=dynamodb.serve_forever).start()
        environment = requests.environment(f"http://127.0.0.1:{dynamodb.server_address[1]}")
        path = os.pathsep.join([str(ROOT), str(ROOT / "tools" / "bench")])
        done = subprocess.run(
            [sys.executable, "-B", "-c", TASK_ROUTES],
            env=environment | {"PYTHONPATH": path}, input=json.dumps([*requests.events().values()]), check=False, capture_output=True, text=True,
        )  # fmt: skip
        dynamodb.shutdown()
    assert done.returncode == 0, done.stderr
    modules, clients = json.loads(done.stderr)
    assert not NOT_IMPORTED.intersection(modules)
    assert len(modules) <= MAX_MODULES
    assert clients == ["DynamoDB"]
