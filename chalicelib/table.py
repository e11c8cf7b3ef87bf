"""The tasks of a user: one function for each access pattern, on the keys of rows.py.

Each write is one conditional write, and leaves in `write` the id of the request that made it, so that a retry inside the
SDK which meets its own earlier success can tell.
"""

from typing import Any

from botocore.exceptions import ClientError

from chalicelib import aws, rows
from chalicelib.aws import dynamodb
from chalicelib.caller import Caller
from chalicelib.config import settings
from chalicelib.lists import Part
from chalicelib.problems import InvalidCursor, NotFound, Unavailable, VersionMismatch
from chalicelib.task import Task, is_task_id


def create(caller: Caller, task: Task) -> None:
    """Write a new task; raises Conflict, Unavailable."""
    item = rows.row(caller, task)
    try:
        with aws.outcomes():
            aws.genuine(
                dynamodb.put_item(
                    TableName=settings.table_name,
                    Item=item,
                    ConditionExpression="attribute_not_exists(PK)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ReturnConsumedCapacity="TOTAL",
                )
            )
    except ClientError as error:
        row: Any = error.response.get("Item", {})
        delivered_twice = row.get("write", {}).get("S") == caller.write  # by the network, which no SDK counts
        # The id is new: after a retry, only an earlier attempt of this very call can have written it.
        if not (delivered_twice or aws.retried(error)):
            raise Unavailable from error


def get(caller: Caller, task_id: str) -> Task:
    """Return a task of the caller as it is now; raises NotFound, Unavailable."""
    key = rows.task_key(caller, task_id)
    with aws.outcomes():
        answer = aws.genuine(
            dynamodb.get_item(TableName=settings.table_name, Key=key, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
        )
    if "Item" not in answer:
        raise NotFound
    return rows.task(answer["Item"])


def remove(caller: Caller, task_id: str, versions: frozenset[int] | None) -> None:
    """Delete a task, of one of these versions if any are named; raises NotFound, VersionMismatch, Unavailable."""
    condition: dict[str, Any] = {"ConditionExpression": "attribute_exists(PK)"}
    if versions is not None:
        values = rows.versions(versions)
        condition["ConditionExpression"] += f" AND version IN ({', '.join(values)})"
        condition["ExpressionAttributeValues"] = values
    key = rows.task_key(caller, task_id)
    try:
        with aws.outcomes():
            aws.genuine(
                dynamodb.delete_item(
                    TableName=settings.table_name,
                    Key=key,
                    **condition,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ReturnConsumedCapacity="TOTAL",
                )
            )
    except ClientError as error:
        row: Any = error.response.get("Item")
        if row is not None:
            raise VersionMismatch(rows.task(row).version) from error
        if not aws.retried(error):  # else an earlier attempt of this very call may have deleted it
            raise NotFound from error


def newest(caller: Caller, position: str | None, limit: int) -> Part[Task]:
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
    return Part.of(_query(query, limit + 1), limit, rows.id_position)


def soonest_due(
    caller: Caller, status: str, due: tuple[str | None, str | None], position: str | None, limit: int
) -> Part[Task]:
    """Return so many tasks of one status, soonest due first and the undated last; within bounds, the dated alone.

    Raises InvalidCursor, Unavailable.
    """
    after, before = due
    low = after or ""
    high = before or (rows.UNDATED if after else rows.UNDATED * 2)  # "<date>#<id>" < "~" < "~#<id>" < "~~"
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
        match = rows.DUE_POSITION.fullmatch(position)
        if not (match and is_task_id(match[1]) and low <= position <= high):
            raise InvalidCursor
        query["ExclusiveStartKey"] = rows.task_key(caller, match[1]) | {"LSI1SK": {"S": f"{status}#{position}"}}
    if low > high:  # which DynamoDB refuses to look for
        return Part([], None)
    return Part.of(_query(query, limit + 1), limit, rows.due_position)


def _query(query: dict[str, Any], limit: int) -> list[Task]:
    found: list[Task] = []
    while True:
        with aws.outcomes():
            answer = aws.genuine(
                dynamodb.query(
                    TableName=settings.table_name,
                    Limit=limit - len(found),
                    ConsistentRead=True,
                    ReturnConsumedCapacity="TOTAL",
                    **query,
                )
            )
        found += [rows.task(row) for row in answer["Items"]]
        if len(found) == limit or "LastEvaluatedKey" not in answer:
            return found
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]  # a page of DynamoDB ends at 1 MB, ours does not
