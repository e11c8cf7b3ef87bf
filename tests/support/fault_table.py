"""What is to come of every operation under every fault, as a table; `python -m tests.support.fault_table` runs and prints it.

A cell is the outcome and how often the peer was asked: `done 2` is the answer of a kind network, at the second attempt.
"""

import sys
from itertools import chain, repeat
from typing import Any, NamedTuple

import pytest

from tests.support import faults
from tests.support.proxy import Fault

ONCE, FOR_EVER = "once", "for ever"


class Operation(NamedTuple):
    """A request, and the call of AWS in it that meets the fault, past so many calls of the same kind."""

    call: str
    method: str
    path: str
    status: int
    body: Any = None
    headers: dict[str, str] | None = None
    past: int = 0
    calls: int = 1
    """How many calls of the kind there are from there on when all is well."""
    answered_before: bool = False
    """Whether the same request has had its answer before the fault."""
    refused_by_sns: bool = False
    """Whether SNS refuses the number, fault or not."""


_TEXT = {"message": "Hello"}
_TASK = "/tasks/{task_id}"
_TAG, _KEY = {"If_Match": '"1"'}, {"Idempotency_Key": "k"}
OPERATIONS = {
    "create": Operation("PutItem", "POST", "/tasks", 201, {"title": "new"}),
    "create with a key": Operation("TransactWriteItems", "POST", "/tasks", 201, {"title": "new"}, _KEY),
    "replay of a create": Operation(
        "TransactWriteItems", "POST", "/tasks", 201, {"title": "new"}, _KEY, answered_before=True
    ),
    "read": Operation("GetItem", "GET", _TASK, 200),
    "read, by no change": Operation("GetItem", "PATCH", _TASK, 200, {}),
    "list": Operation("Query", "GET", "/tasks", 200),
    "list by status": Operation("Query", "GET", "/tasks?status=pending", 200),
    "board, the index": Operation("Query", "GET", "/admin/tasks?status=in_progress", 200, calls=8),
    "board, the tasks": Operation("BatchGetItem", "GET", "/admin/tasks?status=in_progress", 200),
    "change": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new"}),
    "change this version": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new"}, _TAG),
    "change the status": Operation("UpdateItem", "PATCH", _TASK, 200, {"title": "new", "status": "done"}, past=1),
    "delete": Operation("DeleteItem", "DELETE", _TASK, 204),
    "delete this version": Operation("DeleteItem", "DELETE", _TASK, 204, headers=_TAG),
    "text, reserving": Operation("TransactWriteItems", "POST", "/sms", 202, _TEXT, _KEY, calls=2),
    "text, publishing": Operation("Publish", "POST", "/sms", 202, _TEXT, _KEY),
    "text, recording": Operation("TransactWriteItems", "POST", "/sms", 202, _TEXT, _KEY, past=1),
    "text, giving back": Operation("TransactWriteItems", "POST", "/sms", 422, _TEXT, _KEY, past=1, refused_by_sns=True),
    "replay of a text": Operation("TransactWriteItems", "POST", "/sms", 202, _TEXT, _KEY, answered_before=True),
}


class Row(NamedTuple):
    """A fault, and what is to come of it when it happens once or for ever."""

    fault: Fault
    once: str
    for_ever: str
    publishing: str
    """The same for SNS, which is asked once and never again."""


FAULTS = {
    "throttled":       Row(faults.throttled, "done 2", "503 3", "503 1"),
    "over capacity":   Row(faults.over_capacity, "done 2", "503 3", "503 1"),
    "500":             Row(faults.failed, "done 2", "503 3", "unknown 1"),
    "reset before":    Row(faults.reset_before, "done 2", "503 3", "unknown 1"),
    "reset after":     Row(faults.reset_after, "done 2", "503 3", "unknown 1"),
    "cut":             Row(faults.cut, "done 2", "503 3", "unknown 1"),
    "garbled":         Row(faults.garbled, "503 1", "503 1", "unknown 1"),
    "a page":          Row(faults.page, "503 1", "503 1", "unknown 1"),
    "hangs before":    Row(faults.hang_before, "done 2", "503 3", "unknown 1"),
    "hangs after":     Row(faults.hang_after, "done 2", "503 3", "unknown 1"),
    "drips":           Row(faults.drip, "503 1", "503 1", "unknown 1"),
    "conflict":        Row(faults.conflict, "503 1", "503 1", ""),
    "conflict behind": Row(faults.conflict_at_the_last, "done 2", "503 5+", ""),
}  # fmt: skip
OTHERWISE = {
    ("create with a key", "conflict", ONCE): "done 2",
    ("create with a key", "conflict", FOR_EVER): "409 5+",
    ("text, reserving", "conflict", ONCE): "done 2",
    ("text, reserving", "conflict", FOR_EVER): "409 5+",
    ("create with a key", "conflict behind", FOR_EVER): "409 5+",
    ("text, recording", "conflict", ONCE): "done 2",
    ("text, recording", "conflict", FOR_EVER): "unknown 5+",
    ("text, giving back", "conflict", ONCE): "422 2",
    ("text, giving back", "conflict", FOR_EVER): "422 5+",
    ("replay of a create", "conflict", ONCE): "done 2",
    ("replay of a create", "conflict", FOR_EVER): "409 5+",
    ("replay of a create", "conflict behind", FOR_EVER): "409 5+",
    ("replay of a text", "conflict", ONCE): "done 2",
    ("replay of a text", "conflict", FOR_EVER): "409 5+",
}
CONFLICTS = {
    "conflict": {"PutItem", "TransactWriteItems", "UpdateItem", "DeleteItem"},
    "conflict behind": {"TransactWriteItems"},
}
"""What can meet a transaction; behind its first row it meets a limit, or a task that is new."""


class Case(NamedTuple):
    operation: str
    fault: str
    times: str

    @property
    def expected(self) -> tuple[str, range]:
        """Return the outcome, and how often the peer is asked; 5+ is until the deadline is near."""
        row = FAULTS[self.fault]
        general = (
            row.publishing if self.operation == "text, publishing" else row.once if self.times == ONCE else row.for_ever
        )
        outcome, asked = OTHERWISE.get(self, general).split()
        if self.operation == "text, recording" and outcome == "503":
            outcome = "unknown"  # the text is out, and only what became of it is not kept
        if self.operation == "text, giving back":
            outcome = "422"  # the refusal stays the answer, whatever becomes of key and limits
        least = int(asked.rstrip("+"))
        return outcome, range(least, 100 if "+" in asked else least + 1)

    @property
    def plan(self) -> chain[Fault | None]:
        fault, past = FAULTS[self.fault].fault, OPERATIONS[self.operation].past
        return chain(repeat(None, past), repeat(fault, 1) if self.times == ONCE else repeat(fault))

    @property
    def milliseconds(self) -> int:
        """The time of the function; all of it where the peer's timeouts are to end the wait."""
        return 2500 if self.fault == "drips" else 10_000


CASES = [
    Case(operation, fault, times)
    for fault in sorted(FAULTS, key=lambda name: "hang" not in name)  # the slowest first
    for operation in OPERATIONS
    for times in (FOR_EVER, ONCE)
    if not fault.startswith("conflict") or OPERATIONS[operation].call in CONFLICTS[fault]
]


def printed(cells: dict[Case, str]) -> str:
    """Return the table of what has come of the cases."""
    lines = [f"{'':20}{'':9}" + "".join(f"{fault:16}" for fault in FAULTS)]
    for operation in OPERATIONS:
        for times in (ONCE, FOR_EVER):
            row = [cells.get(Case(operation, fault, times), "-") for fault in FAULTS]
            lines.append(f"{operation:20}{times:9}" + "".join(f"{cell:16}" for cell in row))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(pytest.main(["-s", "-q", "--no-cov", "tests/faults/test_faults.py"]))
