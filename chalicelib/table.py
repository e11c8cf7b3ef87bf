"""The tasks of a user: one function for each access pattern, on the keys of rows.py.

Each write is one conditional write, and leaves in `write` the id of the request that made it, so that a retry inside the
SDK which meets its own earlier success can tell.
"""

from typing import Any

from botocore.exceptions import ClientError
from msgspec import UNSET, structs

from chalicelib import aws, rows
from chalicelib.auth import Caller
from chalicelib.aws import dynamodb
from chalicelib.config import settings
from chalicelib.problems import InvalidCursor, NotFound, Unavailable, VersionMismatch
from chalicelib.task import Task, TaskChanges, is_task_id, timestamp


def create(caller: Caller, task: Task) -> None:
    """Write a new task; raises Unavailable."""
    try:
        with aws.outcomes():
            answer = dynamodb.put_item(
                TableName=settings.table_name,
                Item=rows.row(caller, task),
                ConditionExpression="attribute_not_exists(PK)",
                ReturnConsumedCapacity="TOTAL",
            )
        aws.theirs(answer)
    except ClientError as error:
        if not aws.retried(error):  # the id is new: only an earlier attempt of this very call can have written it
            raise Unavailable from error


def get(caller: Caller, task_id: str) -> Task:
    """Return a task of the caller as it is now; raises NotFound, Unavailable."""
    with aws.outcomes():
        answer = dynamodb.get_item(
            TableName=settings.table_name,
            Key=rows.task_key(caller, task_id),
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        )
    row = aws.theirs(answer).get("Item")
    if row is None:
        raise NotFound
    return rows.task(row)


def change(caller: Caller, task_id: str, changes: TaskChanges, versions: frozenset[int] | None, moment: int) -> Task:
    """Change the set members in one conditional write and return the task; raises NotFound, VersionMismatch, Unavailable.

    The sort key of LSI1 holds status and due date, and a call that sets one of them does not know the other. So the write
    is made on a guess; where that is wrong, the refusal brings the row, and the next write names the row's version.

    Unless the write names the one version that it wants, nothing may have touched the row since the call began: else a
    retry inside the SDK, after a lost answer and another's write, would apply the change a second time.
    """
    began = timestamp(moment)
    expected, guess = versions, {"status": "pending", "due_at": rows.UNDATED}
    while True:
        exact = expected is not None and len(expected) == 1
        try:
            with aws.outcomes():
                answer = dynamodb.update_item(
                    TableName=settings.table_name,
                    Key=rows.task_key(caller, task_id),
                    **_update(task_id, changes, expected, guess, {"updated_at": began, "write": caller.request_id}),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ReturnConsumedCapacity="TOTAL",
                )
            return rows.task(aws.theirs(answer)["Attributes"])
        except ClientError as error:
            row: Any = error.response.get("Item")
            retried = aws.retried(error)
        if row is None:
            raise NotFound
        task = rows.task(row)
        if row["write"]["S"] == caller.request_id:
            return task
        untouched = (expected is None or task.version in expected) and (exact or task.updated_at < began)
        if retried and not untouched:
            raise Unavailable  # the change may have been made, and another one on top of it
        if versions is not None and task.version not in versions:
            raise VersionMismatch(task.version)
        expected, guess = frozenset({task.version}), {"status": task.status, "due_at": task.due_at or rows.UNDATED}


def _update(
    task_id: str, changes: TaskChanges, expected: frozenset[int] | None, guess: dict[str, str], signed: dict[str, str]
) -> dict[str, Any]:
    new = {name: rows.text(name, value) for name, value in structs.asdict(changes).items() if value is not UNSET}
    guessed = guess.keys() - new.keys() if guess.keys() & new.keys() else set()
    whole = guess | new
    if guess.keys() & new.keys():
        new |= rows.index_keys(task_id, whole["status"], whole["due_at"])
    new |= signed
    values = {f":{name}": {"S": value} for name, value in new.items()} | {":one": {"N": "1"}}
    conditions = ["attribute_exists(PK)", "#write <> :write"]
    for name in guessed:
        conditions.append(f"#{name} = :guessed")
        values[":guessed"] = {"S": guess[name]}
    if expected is not None:
        conditions.append(f"#version IN ({', '.join(versions := _versions(expected))})")
        values |= versions
    if expected is None or len(expected) > 1:
        conditions.append("#updated_at < :updated_at")
    return {
        "UpdateExpression": "SET #version = #version + :one, " + ", ".join(f"#{name} = :{name}" for name in new),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in {*new, *guessed, "version"}},
        "ExpressionAttributeValues": values,
    }


def remove(caller: Caller, task_id: str, versions: frozenset[int] | None) -> None:
    """Delete a task, of one of these versions if any are named; raises NotFound, VersionMismatch, Unavailable."""
    condition: dict[str, Any] = {"ConditionExpression": "attribute_exists(PK)"}
    if versions is not None:
        values = _versions(versions)
        condition = {
            "ConditionExpression": f"attribute_exists(PK) AND version IN ({', '.join(values)})",
            "ExpressionAttributeValues": values,
        }
    try:
        with aws.outcomes():
            answer = dynamodb.delete_item(
                TableName=settings.table_name,
                Key=rows.task_key(caller, task_id),
                **condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ReturnConsumedCapacity="TOTAL",
            )
        aws.theirs(answer)
    except ClientError as error:
        row: Any = error.response.get("Item")
        if row is not None:
            raise VersionMismatch(rows.task(row).version) from error
        if not aws.retried(error):  # else an earlier attempt of this very call may have deleted it
            raise NotFound from error


def newest(caller: Caller, position: str | None, limit: int) -> list[Task]:
    """Return so many tasks of the caller, newest first, from behind a position; raises InvalidCursor, Unavailable."""
    query: dict[str, Any] = {
        "KeyConditionExpression": "PK = :partition AND begins_with(SK, :prefix)",
        "ExpressionAttributeValues": {":partition": {"S": rows.partition(caller)}, ":prefix": {"S": "TASK#"}},
        "ScanIndexForward": False,
    }
    if position is not None:
        if not is_task_id(position):
            raise InvalidCursor
        query["ExclusiveStartKey"] = rows.task_key(caller, position)
    return _query(query, limit)


def soonest_due(
    caller: Caller, status: str, due: tuple[str | None, str | None], position: str | None, limit: int
) -> list[Task]:
    """Return so many tasks of one status, soonest due first and the undated last; within bounds, the dated alone.

    Raises InvalidCursor, Unavailable.
    """
    after, before = due
    low = after or ""
    high = before or (rows.UNDATED if after else rows.UNDATED * 2)  # "<date>#<id>" < "~" < "~#<id>" < "~~"
    if low > high:
        return []
    query: dict[str, Any] = {
        "IndexName": "LSI1",
        "KeyConditionExpression": "PK = :partition AND LSI1SK BETWEEN :low AND :high",
        "ExpressionAttributeValues": {
            ":partition": {"S": rows.partition(caller)},
            ":low": {"S": f"{status}#{low}"},
            ":high": {"S": f"{status}#{high}"},
        },
    }
    if position is not None:
        due_at, _, task_id = position.rpartition("#")
        if not (low <= position <= high and len(due_at) in {1, 20} and is_task_id(task_id)):
            raise InvalidCursor
        query["ExclusiveStartKey"] = rows.task_key(caller, task_id) | {"LSI1SK": {"S": f"{status}#{position}"}}
    return _query(query, limit)


def _query(query: dict[str, Any], limit: int) -> list[Task]:
    found: list[Task] = []
    while True:
        with aws.outcomes():
            answer = dynamodb.query(
                TableName=settings.table_name,
                Limit=limit - len(found),
                ConsistentRead=True,
                ReturnConsumedCapacity="TOTAL",
                **query,
            )
        found += [rows.task(row) for row in aws.theirs(answer)["Items"]]
        if len(found) == limit or "LastEvaluatedKey" not in answer:
            return found
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]  # a page of DynamoDB ends at 1 MB, ours does not


def _versions(versions: frozenset[int]) -> dict[str, Any]:
    return {f":v{version}": {"N": str(version)} for version in versions}
