"""The tasks of all owners, by status and age: GSI1, whose partitions are shards of one status."""

import time
from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from itertools import groupby, islice, repeat
from typing import Any

from chalicelib import aws, rows
from chalicelib.aws import dynamodb
from chalicelib.config import settings
from chalicelib.lists import Part
from chalicelib.problems import InvalidCursor, Unavailable
from chalicelib.task import OwnedTask, is_task_id

_BATCH = 100  # keys that one BatchGetItem takes
_SIDE_BY_SIDE = 8
_TIMESTAMP = len("2030-01-31T09:00:00.000Z")


def oldest(status: str, position: str | None, limit: int) -> Part[OwnedTask]:
    """Return so many tasks of one status over all owners, oldest first, from behind a position.

    Each shard is asked for as many as could be wanted of it, all side by side; what they give is merged, and the tasks are
    fetched, since the index holds keys alone and may lag: an entry whose task has moved on is left out, and the next one
    takes its place. Raises InvalidCursor, Unavailable.
    """
    created_at, _, task_id = (position or "").partition("#")
    if position is not None and not (len(created_at) == _TIMESTAMP and is_task_id(task_id)):
        raise InvalidCursor
    # Of its own: a peer that drips keeps threads for as long as it likes, and the next request needs some.
    threads = ThreadPoolExecutor(_SIDE_BY_SIDE)
    try:
        return _oldest(threads, status, position, limit)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # a `with` would wait for them past every deadline


def _oldest(threads: ThreadPoolExecutor, status: str, position: str | None, limit: int) -> Part[OwnedTask]:
    found: list[OwnedTask] = []
    while True:
        wanted = limit + 1 - len(found)
        shards = range(settings.board_shards)
        several = threads.map(_shard, repeat(status), shards, repeat(position), repeat(wanted))
        # Where the number of shards has grown, a task that moves may be seen in two for a moment.
        entries = list(islice((next(same) for _, same in groupby(merge(*several, key=_age), _age)), wanted))
        tasks = _fetched(entries)
        found += [task for entry in entries if (task := tasks.get(entry["SK"]["S"])) and task.status == status]
        if len(found) > limit or len(entries) < wanted:
            return Part.of(found, limit, rows.age_position)
        position = _age(entries[-1])


def _shard(status: str, shard: int, position: str | None, limit: int) -> list[dict[str, Any]]:
    query: dict[str, Any] = {
        "KeyConditionExpression": "GSI1PK = :partition",
        "ExpressionAttributeValues": {":partition": {"S": rows.board_partition(status, shard)}},
    }
    if position is not None:
        query["KeyConditionExpression"] += " AND GSI1SK > :position"
        query["ExpressionAttributeValues"][":position"] = {"S": position}
    with aws.outcomes():
        answer = aws.genuine(
            dynamodb.query(
                TableName=settings.table_name, IndexName="GSI1", Limit=limit, ReturnConsumedCapacity="TOTAL", **query
            )
        )
    entries: list[dict[str, Any]] = answer["Items"]
    return entries


def _age(entry: dict[str, Any]) -> str:
    return str(entry["GSI1SK"]["S"])


def _fetched(entries: list[dict[str, Any]]) -> dict[str, OwnedTask]:
    found: dict[str, OwnedTask] = {}
    pauses = aws.pauses()
    waiting = [{"PK": entry["PK"], "SK": entry["SK"]} for entry in entries]
    while waiting:
        request: Any = {settings.table_name: {"Keys": waiting[:_BATCH], "ConsistentRead": True}}
        with aws.outcomes():
            answer = aws.genuine(dynamodb.batch_get_item(RequestItems=request), member="Responses")
        for item in answer["Responses"].get(settings.table_name, []):
            found[item["SK"]["S"]] = rows.owned_task(item)
        unprocessed = answer["UnprocessedKeys"].get(settings.table_name, {}).get("Keys", [])
        waiting = unprocessed + waiting[_BATCH:]
        if unprocessed:  # which is how DynamoDB throttles here
            pause = next(pauses, None)
            if pause is None:
                raise Unavailable
            time.sleep(pause)
    return found
