"""Changing a task in one conditional write that does not know the row.

The sort key of LSI1 holds status and due date, and a call that sets one of them does not know the other. So the write is
made on an assumption; where that is wrong, the refusal brings the row, and the next write assumes what that showed.

Each write leaves the id of its request in `write`, so that a retry inside the SDK which meets its own earlier success can
tell. It could also meet another's write on top of its own: so a write names the one version that it goes on, or demands
that nothing has touched the row since the call began; and `updated_at` never goes back. The network can deliver a write
again without a retry that anybody knows of: so a write also keeps the id of the one before it, in `write_before`.
"""

from typing import Any

from botocore.exceptions import ClientError
from msgspec import UNSET, Struct, structs

from chalicelib import aws, rows
from chalicelib.aws import dynamodb
from chalicelib.caller import Caller
from chalicelib.config import settings
from chalicelib.problems import NotFound, Unavailable, VersionMismatch
from chalicelib.task import Task, TaskChanges, timestamp


class _Assumed(Struct, frozen=True):
    """What a write takes the row to be: of one of these versions (None for any), with this status and due date."""

    versions: frozenset[int] | None
    status: str
    due_at: str
    updated_at: str
    """When the row will have been touched; it was touched before, or not after where the version is certain."""

    @property
    def one_version(self) -> bool:
        return self.versions is not None and len(self.versions) == 1

    def untouched(self, task: Task) -> bool:
        """Tell whether nobody has written since the assumption was made, though it may have been wrong all along."""
        right_version = self.versions is None or task.version in self.versions
        return right_version and (self.one_version or task.updated_at < self.updated_at)


def change(caller: Caller, task_id: str, changes: TaskChanges, versions: frozenset[int] | None, now_ns: int) -> Task:
    """Change the members that are set and return the task; raises NotFound, VersionMismatch, Conflict, Unavailable.

    `versions` are those that the caller has in mind, None for any.
    """
    began = timestamp(now_ns)
    key = rows.task_key(caller, task_id)
    assumed = _Assumed(versions, "pending", rows.UNDATED, began)  # what most tasks are
    while True:
        update = _update(task_id, changes, assumed, caller.write)
        try:
            with aws.outcomes():
                answer = aws.genuine(
                    dynamodb.update_item(
                        TableName=settings.table_name,
                        Key=key,
                        **update,
                        ReturnValues="ALL_NEW",
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                        ReturnConsumedCapacity="TOTAL",
                    )
                )
            return rows.task(answer["Attributes"])
        except ClientError as error:
            row: Any = error.response.get("Item")
            retried = aws.retried(error)
        if row is None and retried:
            raise Unavailable  # an earlier attempt may have written, and another call have deleted what it wrote
        if row is None:
            raise NotFound
        task = rows.task(row)
        if row["write"]["S"] == caller.write:
            return task  # written by an earlier attempt, whose answer was lost
        if row.get("write_before", {}).get("S") == caller.write:
            raise Unavailable  # written by an earlier delivery, and another call on top of it
        if retried and not assumed.untouched(task):
            raise Unavailable  # an earlier attempt may have written, and another call on top of it
        if versions is not None and task.version not in versions:
            raise VersionMismatch(task.version)
        latest = max(began, task.updated_at)
        assumed = _Assumed(frozenset({task.version}), task.status, task.due_at or rows.UNDATED, latest)


def _update(task_id: str, changes: TaskChanges, assumed: _Assumed, write: str) -> dict[str, Any]:
    new = {name: rows.text(name, value) for name, value in structs.asdict(changes).items() if value is not UNSET}
    conditions = ["attribute_exists(PK)", "#write <> :write"]
    values: dict[str, Any] = {":one": {"N": "1"}}
    guessed = ""
    if "status" in new or "due_at" in new:
        status, due_at = new.get("status", assumed.status), new.get("due_at", assumed.due_at)
        guessed = "" if {"status", "due_at"} <= new.keys() else "due_at" if "status" in new else "status"
        new |= rows.index_keys(task_id, status, due_at)
    if guessed:
        conditions.append(f"#{guessed} = :guessed")
        values[":guessed"] = {"S": assumed.due_at if guessed == "due_at" else assumed.status}
    if assumed.versions is not None:
        versions = rows.versions(assumed.versions)
        conditions.append(f"#version IN ({', '.join(versions)})")
        values |= versions
    conditions.append(f"#updated_at {'<=' if assumed.one_version else '<'} :updated_at")
    new |= {"updated_at": assumed.updated_at, "write": write}
    values |= {f":{name}": {"S": value} for name, value in new.items()}
    return {
        "UpdateExpression": "SET #version = #version + :one, #write_before = #write, "
        + ", ".join(f"#{name} = :{name}" for name in new),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in {*new, "version", "write_before"} | {guessed} - {""}},
        "ExpressionAttributeValues": values,
    }
