"""The expected outcome of every operation under every fault; `python -m tests.support.fault_table` runs and prints the table.

A cell is the outcome and the number of attempts: `done 2` is the response without faults, at the second attempt.
"""

import sys
from itertools import chain, repeat
from typing import Any, NamedTuple

import pytest

from tests.support import faults
from tests.support.proxy import Fault

ONCE, ALWAYS = "once", "always"


class Operation(NamedTuple):
    """A request, and the AWS call in it that meets the fault."""

    call: str
    method: str
    path: str
    status: int
    body: Any = None
    headers: dict[str, str] | None = None
    skip: int = 0
    """The number of calls of this kind before the fault."""
    calls: int = 1
    """The number of calls of this kind after those, without faults."""
    is_replay: bool = False
    """Whether the same request was sent once before the fault."""
    is_invalid_number: bool = False
    """Whether SNS rejects the number, with and without the fault."""


_SMS = {"message": "Hello"}
_TASK = "/tasks/{task_id}"
_TAG, _KEY = {"If_Match": '"1"'}, {"Idempotency_Key": "k"}
OPERATIONS = {
    "create": Operation("PutItem", "POST", "/tasks", 201, {"title": "new"}),
    "create with a key": Operation("TransactWriteItems", "POST", "/tasks", 201, {"title": "new"}, _KEY),
    "replay of a create": Operation("TransactWriteItems", "POST", "/tasks", 201, {"title": "new"}, _KEY, is_replay=True),
    "read": Operation("GetItem", "GET", _TASK, 200),
    "read, empty change": Operation("GetItem", "PATCH", _TASK, 200, {}),
    "list": Operation("Query", "GET", "/tasks", 200),
    "list by status": Operation("Query", "GET", "/tasks?status=pending", 200),
    "board: index": Operation("Query", "GET", "/admin/tasks?status=in_progress", 200, calls=8),
    "board: tasks": Operation("BatchGetItem", "GET", "/admin/tasks?status=in_progress", 200),
    "change": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new"}),
    "change this version": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new"}, _TAG),
    "change the status": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new", "status": "done"}, skip=1),
    "delete": Operation("DeleteItem", "DELETE", _TASK, 204),
    "delete this version": Operation("DeleteItem", "DELETE", _TASK, 204, headers=_TAG),
    "SMS: reserve": Operation("TransactWriteItems", "POST", "/sms", 202, _SMS, _KEY, calls=2),
    "SMS: publish": Operation("Publish", "POST", "/sms", 202, _SMS, _KEY),
    "SMS: record id": Operation("TransactWriteItems", "POST", "/sms", 202, _SMS, _KEY, skip=1),
    "SMS: cancel": Operation("TransactWriteItems", "POST", "/sms", 422, _SMS, _KEY, skip=1, is_invalid_number=True),
    "replay of an SMS": Operation("TransactWriteItems", "POST", "/sms", 202, _SMS, _KEY, is_replay=True),
}


class Row(NamedTuple):
    """A fault, and the outcome if it happens once or at every attempt."""

    fault: Fault
    once: str
    always: str
    publishing: str
    """The outcome for SNS, which gets one attempt."""


FAULTS = {
    "throttled":       Row(faults.throttled, "done 2", "503 3", "503 1"),
    "over capacity":   Row(faults.over_capacity, "done 2", "503 3", "503 1"),
    "500":             Row(faults.internal_error, "done 2", "503 3", "unknown 1"),
    "reset before":    Row(faults.reset_before, "done 2", "503 3", "unknown 1"),
    "reset after":     Row(faults.reset_after, "done 2", "503 3", "unknown 1"),
    "truncated":       Row(faults.truncated, "done 2", "503 3", "unknown 1"),
    "garbled":         Row(faults.garbled, "503 1", "503 1", "unknown 1"),
    "HTML page":       Row(faults.html_page, "503 1", "503 1", "unknown 1"),
    "hangs before":    Row(faults.hang_before, "done 2", "503 3", "unknown 1"),
    "hangs after":     Row(faults.hang_after, "done 2", "503 3", "unknown 1"),
    "slow response":   Row(faults.slow_response, "503 1", "503 1", "unknown 1"),
    "deadline before": Row(faults.hang_before, "503 1", "503 1", "unknown 1"),
    "deadline after":  Row(faults.hang_after, "503 1", "503 1", "unknown 1"),
    "conflict":        Row(faults.conflict, "503 1", "503 1", ""),
    "conflict at end": Row(faults.conflict_on_last_item, "done 2", "503 5+", ""),
}  # fmt: skip
MILLISECONDS = {"slow response": 2500, "deadline before": 2000, "deadline after": 2000}
"""The remaining time of the function where the deadline, and no read timeout, has to end the wait."""
EXCEPTIONS = {
    ("create with a key", "conflict", ONCE): "done 2",
    ("create with a key", "conflict", ALWAYS): "409 5+",
    ("SMS: reserve", "conflict", ONCE): "done 2",
    ("SMS: reserve", "conflict", ALWAYS): "409 5+",
    ("create with a key", "conflict at end", ALWAYS): "409 5+",
    ("SMS: record id", "conflict", ONCE): "done 2",
    ("SMS: record id", "conflict", ALWAYS): "unknown 5+",
    ("SMS: cancel", "conflict", ONCE): "422 2",
    ("SMS: cancel", "conflict", ALWAYS): "422 5+",
    ("replay of a create", "conflict", ONCE): "done 2",
    ("replay of a create", "conflict", ALWAYS): "409 5+",
    ("replay of a create", "conflict at end", ALWAYS): "409 5+",
    ("replay of an SMS", "conflict", ONCE): "done 2",
    ("replay of an SMS", "conflict", ALWAYS): "409 5+",
}
CONFLICTS = {
    "conflict": {"PutItem", "TransactWriteItems", "UpdateItem", "DeleteItem"},
    "conflict at end": {"TransactWriteItems"},
}
"""The calls that can conflict with a transaction; one at the end is on the last item of a transaction."""


class Case(NamedTuple):
    operation: str
    fault: str
    times: str

    @property
    def expected(self) -> tuple[str, range]:
        """The outcome and the number of attempts; 5+ is as many as fit before the deadline."""
        row = FAULTS[self.fault]
        general = row.publishing if self.operation == "SMS: publish" else row.once if self.times == ONCE else row.always
        outcome, attempts = EXCEPTIONS.get(self, general).split()
        if self.operation == "SMS: record id" and outcome == "503":
            outcome = "unknown"  # the message was sent, but its id is not stored
        if self.operation == "SMS: cancel":
            outcome = "422"  # also if key and limits stay reserved
        least = int(attempts.rstrip("+"))
        return outcome, range(least, 100 if "+" in attempts else least + 1)

    @property
    def plan(self) -> chain[Fault | None]:
        fault, skip = FAULTS[self.fault].fault, OPERATIONS[self.operation].skip
        return chain(repeat(None, skip), repeat(fault, 1) if self.times == ONCE else repeat(fault))


CASES = [
    Case(operation, fault, times)
    for fault in sorted(FAULTS, key=lambda name: "hang" not in name)  # the slowest first
    for operation in OPERATIONS
    for times in (ALWAYS, ONCE)
    if fault not in CONFLICTS or OPERATIONS[operation].call in CONFLICTS[fault]
]


def render(cells: dict[Case, str]) -> str:
    """Return the table of these outcomes."""
    lines = [f"{'':20}{'':9}" + "".join(f"{fault:16}" for fault in FAULTS)]
    for operation in OPERATIONS:
        for times in (ONCE, ALWAYS):
            row = [cells.get(Case(operation, fault, times), "-") for fault in FAULTS]
            lines.append(f"{operation:20}{times:9}" + "".join(f"{cell:16}" for cell in row))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(pytest.main(["-s", "-q", "--no-cov", "tests/faults/test_faults.py"]))
