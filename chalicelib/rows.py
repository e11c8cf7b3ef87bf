"""The keys of the one table, and tasks to its rows and back.

Item         PK          SK                         LSI1SK                    GSI1PK                   GSI1SK
task         USER#<sub>  TASK#<id>                  <status>#<due or ~>#<id>  STATUS#<status>#<shard>  <created_at>#<id>
idempotency  USER#<sub>  IDEMPOTENCY#<route>#<key>
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from msgspec import structs

from chalicelib.auth import Caller
from chalicelib.config import settings
from chalicelib.task import Task

UNDATED = "~"  # stands for no due date, behind all dates


def partition(caller: Caller) -> str:
    """Return the partition of all that belongs to a caller."""
    return f"USER#{caller.sub}"


def task_key(caller: Caller, task_id: str) -> dict[str, Any]:
    """Return the primary key of a task."""
    return {"PK": {"S": partition(caller)}, "SK": {"S": f"TASK#{task_id}"}}


def idempotency_key(caller: Caller, route: str, text: str) -> dict[str, Any]:
    """Return the primary key of the record of an idempotency key."""
    return {"PK": {"S": partition(caller)}, "SK": {"S": f"IDEMPOTENCY#{route}#{text}"}}


def index_keys(task_id: str, status: str, due_at: str) -> dict[str, str]:
    """Return those index keys of a task that a change of it moves; the status is spread over the shards of the board."""
    shard = crc32(task_id.encode()) % settings.board_shards
    return {"LSI1SK": f"{status}#{due_at}#{task_id}", "GSI1PK": f"STATUS#{status}#{shard}"}


def due_position(task: Task) -> str:
    """Return where a task stands among those of its status: what its LSI1SK has behind the status."""
    return f"{task.due_at or UNDATED}#{task.task_id}"


def row(caller: Caller, task: Task) -> dict[str, Any]:
    """Return the item that holds a task, signed with the id of the request that writes it."""
    strings = {name: text(name, value) for name, value in structs.asdict(task).items() if name != "version"}
    strings |= index_keys(task.task_id, task.status, strings["due_at"])
    strings |= {"GSI1SK": f"{task.created_at}#{task.task_id}", "write": caller.request_id}
    typed = {name: {"S": value} for name, value in strings.items()}
    return task_key(caller, task.task_id) | typed | {"version": {"N": str(task.version)}}


def text(name: str, value: str | None) -> str:
    """Return a member of a task as its row has it."""
    if value is None:
        return UNDATED if name == "due_at" else ""
    return str(value)


def task(item: Mapping[str, Any]) -> Task:
    """Return the task in an item."""
    strings = {name: item[name]["S"] for name in Task.__struct_fields__ if name != "version"}
    due_at = None if strings["due_at"] == UNDATED else strings["due_at"]
    return Task(**strings | {"due_at": due_at}, version=int(item["version"]["N"]))
