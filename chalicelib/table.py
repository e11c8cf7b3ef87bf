"""The one table: one function for each access pattern, on the keys of rows.py.

Each write is one conditional write or one transaction, and leaves in `write` the id of the request that made it, so that
a retry inside the SDK which meets its own earlier success can tell. The calls stand in plain functions, on one client at
module level, because Chalice's analyzer reads the IAM policy off them.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from itertools import islice, repeat
from typing import Any, cast

import boto3
from botocore.exceptions import ClientError
from msgspec import UNSET, Struct, structs

from chalicelib import aws, rows
from chalicelib.auth import Caller, Machine
from chalicelib.config import settings
from chalicelib.idempotency import Key
from chalicelib.problems import Conflict, InvalidCursor, NotFound, Problem, Unavailable, VersionMismatch
from chalicelib.task import OwnedTask, Task, TaskChanges, is_task_id, timestamp

_BATCH = 100  # keys that one BatchGetItem takes
_SIDE_BY_SIDE = ThreadPoolExecutor(max_workers=8)  # not in a `with`, which would wait for its threads past every deadline
_TIMESTAMP = len("2030-01-31T09:00:00.000Z")
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds before a transaction that met another is tried again

dynamodb = boto3.client("dynamodb", region_name=settings.region, config=aws.DYNAMODB)


class Counter(Struct, frozen=True):
    """What a call counts against: `amount` more of at most `limit`, in a window that `ends` at that second of the epoch."""

    name: str
    window: str
    amount: int
    limit: int
    ends: int
    exceeded: Problem


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


def create_once(caller: Caller, task: Task, key: Key, moment: int) -> dict[str, str] | None:
    """Write a new task unless its key was used in the last 24 hours: then write nothing and return what that left.

    Raises Conflict while another call with the key is running, and Unavailable.
    """
    now = moment // 1_000_000_000
    record = rows.record(caller, "tasks", key, now, task_id=task.task_id, created_at=task.created_at)
    put = {"Put": {"TableName": settings.table_name, "Item": rows.row(caller, task)}}
    return _once(record, [(put, Unavailable())], caller.request_id, now)


def reserve(machine: Machine, key: Key, counters: list[Counter], now: int) -> dict[str, str] | None:
    """Count a text unless its key was used in the last 24 hours: then count nothing and return what that left.

    Raises the problem of the first counter that would exceed its limit, Conflict, Unavailable; then nothing is counted.
    """
    for counter in counters:
        if counter.amount > counter.limit:
            raise counter.exceeded
    record = rows.record(machine, "sms", key, now, busy_until=str(machine.busy_until))
    return _once(record, [(_counted(counter, 1), counter.exceeded) for counter in counters], machine.request_id, now)


def settle(machine: Machine, key: Key, message_id: str) -> None:
    """Record the id of the text that this very call reserved and sent; raises Unavailable."""
    with aws.outcomes():
        answer = dynamodb.update_item(
            TableName=settings.table_name,
            Key=rows.record_key(machine, "sms", key),
            UpdateExpression="SET #message_id = :message_id",
            ConditionExpression="#write = :write",
            ExpressionAttributeNames={"#message_id": "message_id", "#write": "write"},
            ExpressionAttributeValues={":message_id": {"S": message_id}, ":write": {"S": machine.request_id}},
            ReturnConsumedCapacity="TOTAL",
        )
    aws.theirs(answer)


def release(machine: Machine, key: Key, counters: list[Counter]) -> None:
    """Give back key and limits of a text that was not sent; raises Unavailable."""
    mine = {":write": {"S": machine.request_id}}
    forgotten = {
        "TableName": settings.table_name,
        "Key": rows.record_key(machine, "sms", key),
        "ConditionExpression": "#write = :write",
        "ExpressionAttributeNames": {"#write": "write"},
        "ExpressionAttributeValues": mine,
    }
    _transact([{"Delete": forgotten}, *(_counted(counter, -1) for counter in counters)])


def _once(
    record: dict[str, Any], others: list[tuple[dict[str, Any], Problem]], write: str, now: int
) -> dict[str, str] | None:
    """Write a record with what belongs to it, unless there is one already that has not expired: return that.

    Each of the others brings the problem to raise if its own condition fails.
    """
    first = {
        "TableName": settings.table_name,
        "Item": record,
        # DynamoDB deletes what has expired within days, not at once.
        "ConditionExpression": "attribute_not_exists(PK) OR expires_at <= :now",
        "ExpressionAttributeValues": {":now": {"N": str(now)}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    reasons = _transact([{"Put": first}, *(item for item, _ in others)])
    if reasons is None:
        return None
    earlier = reasons[0].get("Item")
    if earlier is not None:
        return None if earlier["write"]["S"] == write else rows.plain(earlier)
    for (_, problem), reason in zip(others, reasons[1:], strict=True):
        if reason.get("Code") == "ConditionalCheckFailed":
            raise problem
    raise Unavailable


def _transact(items: list[Any]) -> list[Any] | None:
    """Write all the items or none; return None, or the reasons for which a condition refused them.

    Raises Conflict where the first one keeps meeting other transactions, Unavailable where another does, and otherwise.
    """
    conflict: Problem = Unavailable()
    for pause in _PAUSES:
        try:
            with aws.outcomes():
                answer = dynamodb.transact_write_items(TransactItems=items, ReturnConsumedCapacity="TOTAL")
            aws.theirs(answer)
        except ClientError as error:
            reasons: list[Any] = cast("Any", error.response).get("CancellationReasons", [])
            codes = [reason.get("Code") for reason in reasons]
            if "ConditionalCheckFailed" in codes:
                return reasons
            if "TransactionConflict" not in codes:
                raise Unavailable from error
            conflict = Conflict() if codes[0] == "TransactionConflict" else Unavailable()
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads the callers, guards nothing
        else:
            return None
    raise conflict


def _counted(counter: Counter, sign: int) -> dict[str, Any]:
    """Return the write that counts up, while there is room, or down again."""
    values = {":amount": {"N": str(sign * counter.amount)}, ":ends": {"N": str(counter.ends)}}
    update: dict[str, Any] = {
        "TableName": settings.table_name,
        "Key": rows.counter_key(counter.name, counter.window),
        "UpdateExpression": "SET #expires_at = :ends ADD #count :amount",
        "ExpressionAttributeNames": {"#expires_at": "expires_at", "#count": "count"},
        "ExpressionAttributeValues": values,
    }
    if sign > 0:
        update["ConditionExpression"] = "attribute_not_exists(PK) OR #count <= :room"
        values[":room"] = {"N": str(counter.limit - counter.amount)}
    return {"Update": update}


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


def oldest(status: str, position: str | None, limit: int) -> list[OwnedTask]:
    """Return so many tasks of one status over all owners, oldest first, from behind a position.

    Each shard is asked for as many as could be wanted of it, all side by side; what they give is merged, and the tasks are
    fetched, since the index holds keys alone and may lag: an entry whose task has moved on is left out, and the next one
    takes its place. Raises InvalidCursor, Unavailable.
    """
    created_at, _, task_id = (position or "").partition("#")
    if position is not None and not (len(created_at) == _TIMESTAMP and is_task_id(task_id)):
        raise InvalidCursor
    found: list[OwnedTask] = []
    while True:
        wanted = limit - len(found)
        shards = range(settings.board_shards)
        several = _SIDE_BY_SIDE.map(_shard, repeat(status), shards, repeat(position), repeat(wanted))
        entries = list(islice(merge(*several, key=_age), wanted))
        tasks = _fetched(entries)
        found += [task for entry in entries if (task := tasks.get(entry["SK"]["S"])) and task.status == status]
        if len(found) == limit or len(entries) < wanted:
            return found
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
        answer = dynamodb.query(
            TableName=settings.table_name, IndexName="GSI1", Limit=limit, ReturnConsumedCapacity="TOTAL", **query
        )
    entries: list[dict[str, Any]] = aws.theirs(answer)["Items"]
    return entries


def _age(entry: dict[str, Any]) -> str:
    return str(entry["GSI1SK"]["S"])


def _fetched(entries: list[dict[str, Any]]) -> dict[str, OwnedTask]:
    found: dict[str, OwnedTask] = {}
    waiting = [{"PK": entry["PK"], "SK": entry["SK"]} for entry in entries]
    while waiting:
        request: Any = {settings.table_name: {"Keys": waiting[:_BATCH], "ConsistentRead": True}}
        with aws.outcomes():
            answer = aws.theirs(dynamodb.batch_get_item(RequestItems=request, ReturnConsumedCapacity="TOTAL"))
        for item in answer["Responses"].get(settings.table_name, []):
            found[item["SK"]["S"]] = rows.owned_task(item)
        unprocessed = answer["UnprocessedKeys"].get(settings.table_name, {}).get("Keys", [])
        waiting = unprocessed + waiting[_BATCH:]
    return found


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
