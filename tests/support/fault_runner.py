"""Runs a case of fault_table.py: a request with the fault, the same request without it, and what is stored after each."""

import hashlib
import itertools
from collections import Counter
from typing import Any, NamedTuple

from chalicelib.dynamodb import table
from tests.support import faults, pool
from tests.support.fault_table import MILLISECONDS, OPERATIONS, Case, Operation
from tests.support.people import Response
from tests.support.testbed import Instance, Testbed

UNKNOWN = {"message_id": None, "status": "unknown"}
_MAX_RUNS = 20
_PROMPT_SECONDS = 1.0  # of the 8 that the function waits for a response
_CLIENT = "another"
_numbers = itertools.count()


class Stored(NamedTuple):
    """What is stored for the callers of a case."""

    tasks: list[dict[str, Any]]
    sms_messages: int = 0
    """Sent to the number of the case."""
    counted: int = 0
    """By the limit of that number."""
    record: dict[str, Any] | None = None
    """The idempotency record of the machine's key."""


class Run(NamedTuple):
    """The result of a case."""

    response: Response
    attempts: int
    forwarded: Counter[str]
    """Requests that DynamoDB or SNS may have executed, by operation."""
    executed: int
    """The same for the operation that met the fault."""
    first: Response | None
    """The response to the same request before the fault, for a replay."""
    before: Stored
    after: Stored
    retry: Response
    """The response to the same request without the fault, on the same instance."""
    after_retry: Stored

    @property
    def outcome(self) -> str:
        if not 200 <= self.response.status < 300:
            return str(self.response.status)
        return "unknown" if self.response.body and self.response.json == UNKNOWN else "done"

    @property
    def cell(self) -> str:
        """The outcome, the attempts and the attempts that were executed, for the table."""
        return f"{self.outcome} {self.attempts}/{self.executed}"


def run(testbed: Testbed, case: Case) -> Run:
    """Run a case while the emulator responds promptly; a busy machine delays it, and a delay looks like one more fault."""
    for _ in range(_MAX_RUNS):
        done, slowest = _run(testbed, case)
        if slowest < _PROMPT_SECONDS:
            return done
    message = f"In {_MAX_RUNS} runs the emulator always took more than {_PROMPT_SECONDS} s for a response"
    raise AssertionError(message)


def _run(testbed: Testbed, case: Case) -> tuple[Run, float]:
    operation, number = OPERATIONS[case.operation], f"+1212555{next(_numbers):04d}"
    claims = pool.id_claims(**{"cognito:groups": "admin"})
    with testbed.instance() as instance:
        created = instance(claims, "POST", "/tasks", {"title": "old", "due_at": "2030-01-01T00:00:00Z"})
        assert created.status == 201, created
        task_id = created.json["task_id"]
        first = _send(instance, operation, claims, task_id, number, 10_000) if operation.is_replay else None
        before = _stored(testbed, operation, claims["sub"], number)
        route = instance.route
        route.clear()
        route.plan(operation.call, case.plan)
        if operation.is_invalid_number:
            route.plan("Publish", [faults.invalid_number])
        response = _send(instance, operation, claims, task_id, number, MILLISECONDS.get(case.fault, 10_000))
        attempts, forwarded = route.seen[operation.call] - operation.skip, route.forwarded.copy()
        after = _stored(testbed, operation, claims["sub"], number)
        route.clear()
        retry = _send(instance, operation, claims, task_id, number, 10_000)
        after_retry = _stored(testbed, operation, claims["sub"], number)
    executed = forwarded[operation.call] - operation.skip
    run = Run(response, attempts, forwarded, executed, first, before, after, retry, after_retry)
    return run, route.slowest


def _send(
    instance: Instance, operation: Operation, claims: dict[str, Any], task_id: str, number: str, milliseconds: int
) -> Response:
    body, caller, headers = operation.body, claims, dict(operation.headers or {})
    if operation.path == "/sms":
        body, caller = body | {"to": number}, pool.machine_claims(_CLIENT)
    if "Idempotency_Key" in headers:
        headers["Idempotency_Key"] += number
    path = operation.path.format(task_id=task_id)
    return instance(caller, operation.method, path, body, milliseconds, **headers)


def _stored(testbed: Testbed, operation: Operation, sub: str, number: str) -> Stored:
    if operation.path != "/sms":
        return Stored([table._to_item(item) for item in testbed.items(f"USER#{sub}", "TASK#")])
    records = [table._to_item(item) for item in testbed.items(f"CLIENT#{_CLIENT}", f"IDEMPOTENCY#sms#k{number}")]
    counters = testbed.items(f"LIMIT#TO#{hashlib.sha256(number.encode()).hexdigest()}", "20")
    counted = sum(int(item["count"]["N"]) for item in counters)
    return Stored([], len(testbed.sms_messages(number)), counted, next(iter(records), None))
