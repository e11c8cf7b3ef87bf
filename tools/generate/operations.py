"""What the OpenAPI document says of each operation that its route does not declare, and an example of each type.

A route declares body, query and returned type (chalicelib/http/api.py); its docstring is the summary. This file
has the status, the headers and the problems of each operation. The tests compare every response with the document.
"""

from typing import Any

from msgspec import Struct, structs

from chalicelib import __version__, about
from chalicelib.problems import Conflict, Problem
from chalicelib.sms.model import Receipt, SmsMessage
from chalicelib.tasks.model import AllTasksPage, NewTask, OwnedTask, Task, TaskChanges, TaskPage


class Operation(Struct, frozen=True):
    """The response of an operation, and the headers that it reads."""

    status: int
    description: str
    headers: tuple[str, ...] = ()
    """Response headers beside those of every response."""
    request_headers: tuple[str, ...] = ()
    problems: tuple[type[Problem], ...] = ()
    """Problems beside those that follow from the route and the headers."""
    requires_key: bool = False
    tag: str = ""
    """By default the first part of the path."""
    media_type: str = "application/json"


def creates(description: str) -> Operation:
    """Return an operation that creates an item, once for each Idempotency-Key."""
    return Operation(201, description, ("ETag", "Idempotency-Replayed", "Location"), ("Idempotency-Key",))


def reads(description: str) -> Operation:
    """Return an operation that reads an item."""
    return Operation(200, description, ("ETag",), ("If-None-Match",))


def updates(description: str) -> Operation:
    """Return an operation that changes an item."""
    return Operation(200, description, ("ETag",), ("If-Match",), (Conflict,))


def deletes() -> Operation:
    """Return an operation that deletes an item."""
    return Operation(204, "Deleted.", (), ("If-Match",))


OPERATIONS = {
    "create_task": creates("The task."),
    "list_tasks": Operation(200, "A page."),
    "read_task": reads("The task."),
    "update_task": updates("The task."),
    "delete_task": deletes(),
    "list_all_tasks": Operation(200, "A page."),
    "send_sms": Operation(
        202, "The outcome; accepted is not delivered.", ("Idempotency-Replayed",), ("Idempotency-Key",), requires_key=True
    ),
    "hello": Operation(200, "A greeting.", tag="service"),
    "links": Operation(200, "The addresses.", tag="service"),
    "health": Operation(200, "The API is up.", tag="service"),
    "openapi": Operation(200, "This document.", tag="service"),
    "docs": Operation(200, "A page.", ("Content-Security-Policy",), media_type="text/html", tag="service"),
}
TAGS = {
    "tasks": "The tasks of a user.",
    "admin": "The tasks of all users, for admins.",
    "sms": "SMS messages, for machines.",
    "service": "The API itself.",
}

_TASK = Task(
    "01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f", "Buy milk", "", "pending", "2030-01-31T09:00:00Z",
    "2026-11-20T11:17:10.361Z", "2026-11-20T11:17:10.361Z", 1,
)  # fmt: skip
_SUB = "0d6f4b1c-6d0c-4b8e-9a53-0f5b2b0f3c11"
EXAMPLES: dict[Any, object] = {
    Task: _TASK,
    NewTask: {"title": "Buy milk", "due_at": "2030-01-31T10:00:00+01:00"},
    TaskChanges: {"status": "done"},
    TaskPage: TaskPage([_TASK], 1, None),
    AllTasksPage: AllTasksPage([OwnedTask(**structs.asdict(_TASK), owner=_SUB)], 1, None),
    SmsMessage: {"to": "+12025550100", "message": "Your order is on its way"},
    Receipt: Receipt("a8e065ab-2f5b-4a11-91f3-734047dbd447", "sent"),
    about.Greeting: about.greet(_SUB),
    about.Links: about.links("https://api.example.com"),
    about.Health: about.Health("ok", __version__),
}
ID = _TASK.task_id
