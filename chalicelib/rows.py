"""The keys of the one table, and tasks to its rows and back.

Item         PK          SK                         LSI1SK                    GSI1PK                   GSI1SK
task         USER#<sub>  TASK#<id>                  <status>#<due or ~>#<id>  STATUS#<status>#<shard>  <created_at>#<id>
idempotency  USER#<sub>  IDEMPOTENCY#<route>#<key>  (or CLIENT#<id>)
limit        LIMIT#<of>  <start of the window>
"""

import re
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from msgspec import structs

from chalicelib.caller import Caller, Machine
from chalicelib.config import settings
from chalicelib.idempotency import RETENTION, Key
from chalicelib.task import OwnedTask, Task

UNDATED = "~"  # stands for no due date, behind all dates


DUE_POSITION = re.compile(r"(?:~|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)#(.*)")


def partition(caller: Caller | Machine) -> str:
    """Return the partition of all that belongs to a caller."""
    return f"USER#{caller.sub}" if isinstance(caller, Caller) else f"CLIENT#{caller.client_id}"


def task_key(caller: Caller, task_id: str) -> dict[str, Any]:
    """Return the primary key of a task."""
    return {"PK": {"S": partition(caller)}, "SK": {"S": f"TASK#{task_id}"}}


def record_key(caller: Caller | Machine, route: str, key: Key) -> dict[str, Any]:
    """Return the primary key of the record of an idempotency key."""
    return {"PK": {"S": partition(caller)}, "SK": {"S": f"IDEMPOTENCY#{route}#{key.text}"}}


def record(caller: Caller | Machine, route: str, key: Key, now: int, **told: str) -> dict[str, Any]:
    """Return the item that remembers a call by its idempotency key until it expires, with what a second call is told."""
    strings = told | {"fingerprint": key.fingerprint, "write": caller.write}
    typed = {name: {"S": value} for name, value in strings.items()}
    return record_key(caller, route, key) | typed | {"expires_at": {"N": str(now + 1 + RETENTION)}}


def plain(item: Mapping[str, Any]) -> dict[str, str]:
    """Return an item without the types of its members."""
    return {name: value for name, typed in item.items() for value in typed.values()}


def counter_key(name: str, window: str) -> dict[str, Any]:
    """Return the primary key of a counter."""
    return {"PK": {"S": f"LIMIT#{name}"}, "SK": {"S": window}}


def index_keys(task_id: str, status: str, due_at: str) -> dict[str, str]:
    """Return those index keys of a task that a change of it moves; the status is spread over the shards of the board."""
    shard = crc32(task_id.encode()) % settings.board_shards
    return {"LSI1SK": f"{status}#{due_at}#{task_id}", "GSI1PK": board_partition(status, shard)}


def board_partition(status: str, shard: int) -> str:
    """Return the partition of GSI1 with one share of the tasks of one status."""
    return f"STATUS#{status}#{shard}"


def versions(numbers: frozenset[int]) -> dict[str, Any]:
    """Return the values of an expression that names versions."""
    return {f":v{number}": {"N": str(number)} for number in numbers}


def id_position(task: Task) -> str:
    """Return where a task stands among all of its owner."""
    return task.task_id


def due_position(task: Task) -> str:
    """Return where a task stands among those of its status: what its LSI1SK has behind the status."""
    return f"{task.due_at or UNDATED}#{task.task_id}"


def age_position(task: Task) -> str:
    """Return where a task stands among those of its status over all owners: its GSI1SK."""
    return f"{task.created_at}#{task.task_id}"


def row(caller: Caller, task: Task) -> dict[str, Any]:
    """Return the item that holds a task, signed with the id of the request that writes it."""
    strings = {name: text(name, value) for name, value in structs.asdict(task).items() if name != "version"}
    strings |= index_keys(task.task_id, task.status, strings["due_at"])
    strings |= {"GSI1SK": age_position(task), "write": caller.write}
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


def owned_task(item: Mapping[str, Any]) -> OwnedTask:
    """Return the task in an item, with its owner."""
    return OwnedTask(**structs.asdict(task(item)), owner=item["PK"]["S"].removeprefix("USER#"))
