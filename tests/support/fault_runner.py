"""Runs a case of faulttable.py: a request under the fault, the same once more without, and what is stored between them."""

import hashlib
import itertools
from collections import Counter
from typing import Any, NamedTuple

from chalicelib.dynamodb import table
from tests.support import faults, pool
from tests.support.fault_table import OPERATIONS, Case, Operation
from tests.support.people import Answer
from tests.support.testbed import Ground, Instance

UNKNOWN = {"message_id": None, "status": "unknown"}
_CLIENT = "another"
_numbers = itertools.count()


class Stored(NamedTuple):
    """What there is of the people of a case, read past all faults."""

    tasks: list[dict[str, Any]]
    texts: int = 0
    """How many have gone out to the number of the case."""
    counted: int = 0
    """How many the limit of that number has counted."""
    record: dict[str, Any] | None = None
    """What is kept of the machine's key."""


class Run(NamedTuple):
    """A case as it went."""

    answer: Answer
    asked: int
    forwarded: Counter[str]
    """How often a peer may have done what was asked, by operation."""
    committed: int
    """The same for the one operation that met the fault."""
    first: Answer | None
    """The answer to the same request before the fault, where there was one."""
    before: Stored
    after: Stored
    again: Answer
    """The answer to the same request without the fault, on the same instance."""
    in_the_end: Stored

    @property
    def outcome(self) -> str:
        if not 200 <= self.answer.status < 300:
            return str(self.answer.status)
        return "unknown" if self.answer.body and self.answer.json == UNKNOWN else "done"

    @property
    def cell(self) -> str:
        """What the table shows: the outcome, and how often the peer was asked and got to hear of it."""
        return f"{self.outcome} {self.asked}/{self.committed}"


def run(ground: Ground, case: Case) -> Run:
    operation, number = OPERATIONS[case.operation], f"+1212555{next(_numbers):04d}"
    claims = pool.id_claims(**{"cognito:groups": "admin"})
    with ground.instance() as instance:
        created = instance(claims, "POST", "/tasks", {"title": "old", "due_at": "2030-01-01T00:00:00Z"})
        assert created.status == 201, created
        task_id = created.json["task_id"]
        first = _asked(instance, operation, claims, task_id, number, 10_000) if operation.answered_before else None
        before = _stored(ground, operation, claims["sub"], number)
        wire = instance.wire
        wire.clear()
        wire.plan(operation.call, case.plan)
        if operation.refused_by_sns:
            wire.plan("Publish", [faults.rejected])
        answer = _asked(instance, operation, claims, task_id, number, case.milliseconds)
        asked, forwarded = wire.seen[operation.call] - operation.past, wire.forwarded.copy()
        after = _stored(ground, operation, claims["sub"], number)
        wire.clear()
        again = _asked(instance, operation, claims, task_id, number, 10_000)
        in_the_end = _stored(ground, operation, claims["sub"], number)
    committed = forwarded[operation.call] - operation.past
    return Run(answer, asked, forwarded, committed, first, before, after, again, in_the_end)


def _asked(
    instance: Instance, operation: Operation, claims: dict[str, Any], task_id: str, number: str, milliseconds: int
) -> Answer:
    body, caller, headers = operation.body, claims, dict(operation.headers or {})
    if operation.path == "/sms":
        body, caller = body | {"to": number}, pool.machine_claims(_CLIENT)
    if "Idempotency_Key" in headers:
        headers["Idempotency_Key"] += number
    path = operation.path.format(task_id=task_id)
    return instance(caller, operation.method, path, body, milliseconds, **headers)


def _stored(ground: Ground, operation: Operation, sub: str, number: str) -> Stored:
    if operation.path != "/sms":
        return Stored([table._to_item(row) for row in ground.rows(f"USER#{sub}", "TASK#")])
    records = [table._to_item(row) for row in ground.rows(f"CLIENT#{_CLIENT}", f"IDEMPOTENCY#sms#k{number}")]
    limit = ground.rows(f"LIMIT#TO#{hashlib.sha256(number.encode()).hexdigest()}", "20")
    return Stored([], ground.texts(number), sum(int(row["count"]["N"]) for row in limit), next(iter(records), None))
