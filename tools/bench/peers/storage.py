"""Tasks in DynamoDB: the keys and indexes of this project."""

import base64
import json
from datetime import UTC, datetime
from uuid import uuid4
from zlib import crc32

from table import ConditionFailed, table

_MEMBERS = ("task_id", "title", "description", "status", "due_at", "created_at", "updated_at", "version")


def create(sub: str, new: dict) -> dict:
    """Create a task and return it."""
    now = _now()
    defaults = {"description": "", "status": "pending", "due_at": None}
    task = defaults | new | {"task_id": _new_id(), "created_at": now, "updated_at": now, "version": 1}
    item = _key(sub, task["task_id"]) | task | _index_keys(task["task_id"], task["status"], task["due_at"])
    table.put_item(Item=item, ConditionExpression="attribute_not_exists(PK)")
    return task


def read(sub: str, task_id: str) -> dict | None:
    """Return a task, None if there is none."""
    item = table.get_item(Key=_key(sub, task_id)).get("Item")
    return item and _task(item)


def list_tasks(sub: str, limit: int, cursor: str | None) -> dict:
    """Return a page of tasks, newest first."""
    options = {"ExclusiveStartKey": json.loads(base64.urlsafe_b64decode(cursor))} if cursor else {}
    page = table.query(
        KeyConditionExpression="PK = :owner AND begins_with(SK, :kind)",
        ExpressionAttributeValues={":owner": f"USER#{sub}", ":kind": "TASK#"},
        ScanIndexForward=False,
        Limit=limit,
        **options,
    )
    tasks = [_task(item) for item in page["Items"]]
    last = page.get("LastEvaluatedKey")
    next_cursor = base64.urlsafe_b64encode(json.dumps(last).encode()).decode() if last else None
    return {"tasks": tasks, "count": len(tasks), "next_cursor": next_cursor}


def update(sub: str, task_id: str, changes: dict) -> dict | None:
    """Set members of a task and return it, None if there is none; `status` and `due_at` come together."""
    values = changes | {"updated_at": _now()}
    if "status" in changes:
        values |= _index_keys(task_id, changes["status"], changes["due_at"])
    sets = ", ".join(f"#{name} = :{name}" for name in values)
    try:
        response = table.update_item(
            Key=_key(sub, task_id),
            UpdateExpression=f"SET {sets}, #version = #version + :one",
            ConditionExpression="attribute_exists(PK)",
            ExpressionAttributeNames={f"#{name}": name for name in (*values, "version")},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()} | {":one": 1},
            ReturnValues="ALL_NEW",
        )
    except ConditionFailed:
        return None
    return _task(response["Attributes"])


def _key(sub: str, task_id: str) -> dict:
    return {"PK": f"USER#{sub}", "SK": f"TASK#{task_id}"}


def _index_keys(task_id: str, status: str, due_at: str | None) -> dict:
    shard = crc32(task_id.encode()) % 8
    return {"LSI1SK": f"TASK#{status}#{due_at or '~'}#{task_id}", "GSI1PK": f"TASK#{status}#{shard}"}


def _task(item: dict) -> dict:
    return {name: item[name] for name in _MEMBERS} | {"version": int(item["version"])}  # boto3 returns a Decimal


def _new_id() -> str:
    milliseconds = int(datetime.now(UTC).timestamp() * 1000)
    digits = f"{milliseconds:012x}7{uuid4().hex[:3]}{uuid4().hex[16:]}"  # a UUIDv7
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
