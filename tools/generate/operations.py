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
    """The response of an operation, what it guarantees, and the headers that it reads."""

    status: int
    response: str
    """What the response has."""
    description: str
    """What the operation guarantees and what limits it; it follows the text below the summary in the view's docstring."""
    headers: tuple[str, ...] = ()
    """Response headers beside those of every response."""
    request_headers: tuple[str, ...] = ()
    problems: tuple[type[Problem], ...] = ()
    """Problems beside those that follow from the route and the headers."""
    requires_key: bool = False
    tag: str = ""
    """By default the first part of the path."""
    media_type: str = "application/json"


def creates(thing: str) -> Operation:
    """Return an operation that creates an item, once for each Idempotency-Key."""
    return Operation(
        201,
        f"The new {thing}, or with `Idempotency-Replayed` the one that an earlier request with this key created.",
        f"Creates another {thing} each time, unless the request has an `Idempotency-Key`: then it may be repeated for 24"
        f" hours and creates one {thing}. Reads and lists have the {thing} as soon as the response is sent.",
        ("ETag", "Idempotency-Replayed", "Location"),
        ("Idempotency-Key",),
    )


def lists(things: str, order: str, consistency: str = "It includes every write that was answered before.") -> Operation:
    """Return an operation that lists items by page."""
    return Operation(
        200,
        f"A page of {things}; `next_cursor` leads to the next one and is null on the last.",
        f"{order} {consistency} Every page but the last is full; pages neither repeat nor skip an item that was in the list"
        " throughout. `limit` is 1 to 100.",
    )


def reads(thing: str) -> Operation:
    """Return an operation that reads an item."""
    return Operation(
        200,
        f"The {thing}, and its version as `ETag`.",
        f"Returns the {thing} as the last write left it. With `If-None-Match` the response is 304, without a body, if the"
        f" {thing} still has that `ETag`.",
        ("ETag",),
        ("If-None-Match",),
    )


def updates(thing: str) -> Operation:
    """Return an operation that changes an item."""
    return Operation(
        200,
        f"The {thing} after the change, and its new version as `ETag`.",
        "Takes a JSON merge patch ([RFC 7396](https://www.rfc-editor.org/rfc/rfc7396)): a member that is not sent stays as"
        " it is, and all others change together. With `If-Match` only that version is changed, else the response is 412;"
        " without it the last writer wins. After a lost response, 412 may mean that the change was applied: read it again.",
        ("ETag",),
        ("If-Match",),
        (Conflict,),
    )


def deletes(thing: str) -> Operation:
    """Return an operation that deletes an item."""
    return Operation(
        204,
        f"The {thing} is deleted.",
        f"Deletes the {thing} for good. With `If-Match` only that version is deleted, else the response is 412. It may be"
        " repeated after a lost response: 404 then means that it is deleted.",
        (),
        ("If-Match",),
    )


OPERATIONS = {
    "create_task": creates("task"),
    "list_tasks": lists(
        "tasks",
        "Without `status` newest first; with it soonest due first, and those without a due date last. `due_after` and"
        " `due_before` leave out those without one.",
    ),
    "read_task": reads("task"),
    "update_task": updates("task"),
    "delete_task": deletes("task"),
    "list_all_tasks": lists("tasks", "For members of the group `admin`.", "It may lag behind writes by a moment."),
    "send_sms": Operation(
        202,
        "The outcome. Accepted by Amazon SNS is not delivered.",
        "Sends one message to one number, once for each `Idempotency-Key`: repeated, it returns the first response and sends"
        " nothing. If the response of Amazon SNS is lost, `status` is `unknown`, and the message is never sent again under"
        " this key. The stage limits messages for each client and minute, for each number and hour, and the parts of a day;"
        " what is refused with 429 costs nothing and counts for nothing.",
        ("Idempotency-Replayed",),
        ("Idempotency-Key",),
        requires_key=True,
    ),
    "hello": Operation(
        200,
        "A greeting, with the name of the user in the pool.",
        "Takes the ID token or the access token of a user, and shows whether it works. It changes nothing.",
        tag="service",
    ),
    "links": Operation(
        200, "The addresses.", "Where to start. The addresses are those at which this was requested.", tag="service"
    ),
    "health": Operation(
        200,
        "The API is up, and which release it is.",
        "For monitors: a response shows that gateway and function work. It does not show that the database does.",
        tag="service",
    ),
    "openapi": Operation(
        200,
        "This document.",
        "Has the address at which it was requested and the sign-in addresses of this stage, for tools that read it.",
        tag="service",
    ),
    "docs": Operation(
        200,
        "The page.",
        "Swagger UI in one file that loads nothing from elsewhere. *Authorize* signs in, and *Try it out* sends requests.",
        ("Content-Security-Policy",),
        media_type="text/html",
        tag="service",
    ),
    "docs_signed_in": Operation(
        200,
        "The page.",
        "Where the sign-in pages lead after *Authorize* in `/docs`. The page gives the code to `/docs` and closes.",
        ("Content-Security-Policy",),
        media_type="text/html",
        tag="service",
    ),
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
ID, INSTANT = _TASK.task_id, str(_TASK.due_at)
