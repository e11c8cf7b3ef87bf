"""What happens once, and what is limited: the records of idempotency keys, and counters.

A record is written in one transaction with what it stands for, and leaves when it expires.
"""

import time
from typing import Any, cast

from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import aws, rows
from chalicelib.aws import dynamodb
from chalicelib.caller import Caller, Machine
from chalicelib.config import settings
from chalicelib.idempotency import Key
from chalicelib.problems import Conflict, Problem, Unavailable
from chalicelib.task import Task

_LOOKED_AT = {"None", "ConditionalCheckFailed"}  # any other reason may hide that the first of the items is there
_PUBLISH = 4.0  # seconds that must be left to publish an SMS message after its reservation: as long as SNS is waited for
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}  # reasons that another attempt cures


class Counter(Struct, frozen=True):
    """What a call counts against: `amount` more of at most `limit`, in a window that `ends` at that second of the epoch."""

    name: str
    window: str
    amount: int
    limit: int
    ends: int
    exceeded: Problem


def create_task(caller: Caller, task: Task, key: Key, now_ns: int) -> dict[str, str] | None:
    """Write a new task unless its key was used in the last 24 hours: then write nothing and return what that left.

    Raises Conflict while another call with the key is running, and Unavailable.
    """
    now = now_ns // 1_000_000_000
    record = rows.record(caller, "tasks", key, now, task_id=task.task_id, created_at=task.created_at)
    put = {
        "Put": {
            "TableName": settings.table_name,
            "Item": rows.row(caller, task),
            "ConditionExpression": "attribute_not_exists(PK)",
        }
    }
    return _once(record, [(put, Unavailable())], caller.write, now)


def reserve(machine: Machine, key: Key, counters: list[Counter], now: int) -> dict[str, str] | None:
    """Count a text unless its key was used in the last 24 hours: then count nothing and return what that left.

    Raises the problem of the first counter that would exceed its limit, Conflict, Unavailable; then nothing is counted.
    """
    record = rows.record(machine, "sms", key, now, busy_until=str(machine.busy_until))
    others = [(_counted(counter, 1), counter.exceeded) for counter in counters]
    return _once(record, others, machine.write, now, spare=_PUBLISH)


def recorded(machine: Machine, key: Key, now: int) -> dict[str, str] | None:
    """Return what a text left under its key, None if none did in the last 24 hours; raises Unavailable."""
    name = rows.record_key(machine, "sms", key)
    with aws.outcomes():
        answer = aws.genuine(
            dynamodb.get_item(TableName=settings.table_name, Key=name, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
        )
    record = rows.plain(answer.get("Item", {}))
    return record if int(record.get("expires_at", 0)) > now else None


def settle(machine: Machine, key: Key, message_id: str) -> None:
    """Record the id of the text that this very call reserved and sent; raises Unavailable.

    In a transaction, because a second call with the key may just be looking, and that conflict is tried again.
    """
    recorded = {
        "TableName": settings.table_name,
        "Key": rows.record_key(machine, "sms", key),
        "UpdateExpression": "SET #message_id = :message_id",
        "ConditionExpression": "#write = :write",
        "ExpressionAttributeNames": {"#message_id": "message_id", "#write": "write"},
        "ExpressionAttributeValues": {":message_id": {"S": message_id}, ":write": {"S": machine.write}},
    }
    if _transact([{"Update": recorded}]) is not None:
        raise Unavailable


def release(machine: Machine, key: Key, counters: list[Counter]) -> None:
    """Give back key and limits of a text that was not sent; raises Unavailable."""
    mine = {":write": {"S": machine.write}}
    forgotten = {
        "TableName": settings.table_name,
        "Key": rows.record_key(machine, "sms", key),
        "ConditionExpression": "#write = :write",
        "ExpressionAttributeNames": {"#write": "write"},
        "ExpressionAttributeValues": mine,
    }
    _transact([{"Delete": forgotten}, *(_counted(counter, -1) for counter in counters)])


def _once(
    record: dict[str, Any], others: list[tuple[dict[str, Any], Problem]], write: str, now: int, spare: float = aws.ATTEMPT
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
    reasons = _transact([{"Put": first}, *(item for item, _ in others)], spare)
    if reasons is None:
        return None
    earlier = reasons[0].get("Item")
    if earlier is not None:
        return None if earlier["write"]["S"] == write else rows.plain(earlier)
    for (_, problem), reason in zip(others, reasons[1:], strict=True):
        if reason.get("Code") == "ConditionalCheckFailed":
            raise problem
    raise Unavailable


def _transact(items: list[Any], spare: float = aws.ATTEMPT) -> list[Any] | None:
    """Write all the items or none; return None, or the reasons for which a condition refused them.

    A transaction that met another, or for which there was no capacity, is tried again until `spare` seconds before the
    deadline.

    Raises Conflict where one that puts a record keeps meeting other transactions, or where the partition is full, and
    Unavailable where a counter keeps meeting others, or the capacity is missing.
    """
    pauses = aws.pauses(spare)
    while True:
        try:
            with aws.outcomes():
                aws.genuine(dynamodb.transact_write_items(TransactItems=items, ReturnConsumedCapacity="TOTAL"))
        except ClientError as error:
            reasons: list[Any] = cast("Any", error.response).get("CancellationReasons", [])
            codes = [reason.get("Code") for reason in reasons]
            if "ConditionalCheckFailed" in codes and codes[0] in _LOOKED_AT:
                return reasons
            if "ItemCollectionSizeLimitExceeded" in codes:
                raise aws.full() from error
            pause = next(pauses, None) if _PASSING.intersection(codes) else None
            if pause is None:
                met = [item for item, code in zip(items, codes, strict=False) if code == "TransactionConflict"]
                raise (Conflict if any("Put" in item for item in met) else Unavailable) from error
            time.sleep(pause)
        else:
            return None


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
        room = counter.limit - counter.amount
        update["ConditionExpression"] = "attribute_not_exists(PK) OR #count <= :room" if room >= 0 else "#count <= :room"
        values[":room"] = {"N": str(room)}
    return {"Update": update}
