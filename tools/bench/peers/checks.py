"""The rules of a task, by hand, for the handlers without pydantic."""

import json
from datetime import UTC, datetime

_STATUSES = ("pending", "in_progress", "done")


def new_task(body: str | None) -> dict:
    """Return the members of a new task; raises ValueError."""
    members = changes(body)
    if "title" not in members:
        message = "title is required"
        raise ValueError(message)
    return members


def changes(body: str | None) -> dict:
    """Return the members of a task that a body sets; raises ValueError."""
    members = json.loads(body or "")
    if not isinstance(members, dict) or not members.keys() <= {"title", "description", "status", "due_at"}:
        message = "the body must be an object of title, description, status and due_at"
        raise ValueError(message)
    for name, shortest, longest in (("title", 1, 200), ("description", 0, 4000)):
        if name in members and not (isinstance(members[name], str) and shortest <= len(members[name]) <= longest):
            message = f"{name} must be text of {shortest} to {longest} characters"
            raise ValueError(message)
    if "status" in members and members["status"] not in _STATUSES:
        message = f"status must be one of {', '.join(_STATUSES)}"
        raise ValueError(message)
    if members.get("due_at") is not None:
        members["due_at"] = utc(datetime.fromisoformat(str(members["due_at"])))
    return members


def limit(query: dict | None) -> int:
    """Return the number of tasks that a query asks for; raises ValueError."""
    number = int((query or {}).get("limit", 25))
    if not 1 <= number <= 100:  # noqa: PLR2004 - the limit of the API
        message = "limit must be from 1 to 100"
        raise ValueError(message)
    return number


def utc(moment: datetime) -> str:
    """Return a moment in UTC, to the second; raises ValueError without a zone."""
    if moment.tzinfo is None:
        message = "due_at must have a zone"
        raise ValueError(message)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
