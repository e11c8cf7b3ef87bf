"""The keys of a task's item, and tasks to items and back.

PK          SK         LSI1SK                         GSI1PK
USER#<sub>  TASK#<id>  TASK#<status>#<due or ~>#<id>  TASK#<status>#<shard>

The range key of GSI1 is SK, because ids sort by creation. The id of a task is only in SK.
"""

from typing import Any
from zlib import crc32

from msgspec import UNSET, structs

from chalicelib.config import settings
from chalicelib.dynamodb.pages import KeyRange
from chalicelib.dynamodb.table import Item
from chalicelib.dynamodb.updates import IndexKeys
from chalicelib.principals import User
from chalicelib.problems import NotFound
from chalicelib.tasks.model import NewTask, OwnedTask, Task, TaskChanges
from chalicelib.values import is_id

_UNDATED = "~"  # no due date: sorts behind all dates
_ADDED: Item = {}  # the members that were added later, with their defaults for tasks that were stored without them


def key(user: User, task_id: str) -> Item:
    """Return the primary key of a task; raises NotFound for an id that no task can have."""
    primary_key = _key(user, task_id)
    if not is_id(task_id):
        raise NotFound
    return primary_key


def index_keys(task_id: str) -> IndexKeys:
    """Return the index keys that change with a task."""
    shard = crc32(task_id.encode()) % settings.status_index_shards
    formats = {"LSI1SK": f"TASK#{{status}}#{{due_at}}#{task_id}", "GSI1PK": f"TASK#{{status}}#{shard}"}
    return IndexKeys(formats, {"status": "pending", "due_at": _UNDATED})


def new_task(new: NewTask, task_id: str, created_at: str) -> Task:
    """Return the first version of a task."""
    due_at = None if new.due_at is None else str(new.due_at)
    description, status = new.description or "", new.status or "pending"
    return Task(task_id, new.title, description, status, due_at, created_at, created_at, version=1)


def to_item(user: User, task: Task) -> Item:
    """Return the item of a task."""
    attributes = structs.asdict(task) | {"due_at": task.due_at or _UNDATED}
    del attributes["task_id"]
    indexed = {name: pattern.format_map(attributes) for name, pattern in index_keys(task.task_id).formats.items()}
    return _key(user, task.task_id) | attributes | indexed


def to_task(item: Item) -> Task:
    """Return the task of an item."""
    return Task(**_members(item))


def to_owned_task(item: Item) -> OwnedTask:
    """Return the task of an item, with its owner."""
    return OwnedTask(**_members(item), owner=item["PK"].removeprefix(User.PREFIX))


def to_changes(changes: TaskChanges) -> Item:
    """Return the attributes that a patch sets."""
    cleared = {"due_at": _UNDATED, "description": ""}  # what null means for these; for others it is null
    members = structs.asdict(changes).items()
    return {name: cleared.get(name) if value is None else value for name, value in members if value is not UNSET}


def newest_first(user: User) -> KeyRange:
    """Return the range of all tasks of a user."""
    return KeyRange(user.partition, "TASK", "TASK#", "TASK#~", newest_first=True)


def soonest_due_first(user: User, status: str, due_after: str | None, due_before: str | None) -> KeyRange:
    """Return the range of a user's tasks of one status, the undated last; with a bound, the dated alone."""
    low = due_after or ""
    high = due_before or ("~" if due_after else "~~")  # "<date>#<id>" < "~" < "~#<id>" < "~~"
    return KeyRange(user.partition, "TASK", f"TASK#{status}#{low}", f"TASK#{status}#{high}", index="LSI1")


def status_partitions(status: str) -> list[str]:
    """Return the partitions of GSI1 with all tasks of one status."""
    return [f"TASK#{status}#{shard}" for shard in range(settings.status_index_shards)]


def _key(user: User, task_id: str) -> Item:
    return {"PK": user.partition, "SK": f"TASK#{task_id}"}


def _members(item: Item) -> dict[str, Any]:
    task_id = item["SK"].removeprefix("TASK#")
    complete = _ADDED | item
    members = {name: complete[name] for name in Task.__struct_fields__ if name != "task_id"}
    due_at = None if item["due_at"] == _UNDATED else item["due_at"]
    return members | {"task_id": task_id, "due_at": due_at}
