"""Records of idempotency keys, and counters of limits: written in one transaction with what they stand for.

Item    PK                           SK                         expires
record  the partition of the caller  IDEMPOTENCY#<route>#<key>  after 24 hours
counter LIMIT#<name>                 <start of the window>      at the end of the window
"""

import secrets
import time
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from chalicelib.dynamodb import table
from chalicelib.dynamodb.table import Item
from chalicelib.problems import IdempotencyKeyReused, Problem, TooManyRequests, Unavailable
from chalicelib.values import IdempotencyKey

RETENTION = 24 * 60 * 60
"""Seconds for which a record is kept."""


class Counter(Struct, frozen=True):
    """A limit: `amount` is counted, up to `limit` in a window that ends at a second of the epoch."""

    name: str
    window: str
    amount: int
    limit: int
    ends: int


class Record(Struct, frozen=True):
    """The record of one request with an idempotency key."""

    key: Item
    fingerprint: str
    now: int
    """Seconds since the epoch."""
    write_id: str


def record(partition: str, route: str, key: IdempotencyKey, now: int) -> Record:
    """Return the record of a request: `partition` is that of the caller, `now` in seconds since the epoch."""
    name: Item = {"PK": partition, "SK": f"IDEMPOTENCY#{route}#{key.text}"}
    return Record(name, key.fingerprint, now, secrets.token_urlsafe(12))


def create(item: Item, route: str, key: IdempotencyKey | None) -> str | None:
    """Write a new item; with a key, unless it was used within 24 hours: then return the id of the item of that request.

    A replay makes the first response again from the body and the id, which contains the time of creation. Raises
    IdempotencyKeyReused for a key that was used with another body or path, Conflict while another request with the key keeps
    writing, Unavailable.
    """
    if key is None:
        table.put_new(item)
        return None
    new_record = record(item["PK"], route, key, time.time_ns() // 1_000_000_000)
    put = {
        "Put": {
            "Item": item | {"write_id": new_record.write_id},
            "ConditionExpression": "attribute_not_exists(PK)",
        }
    }
    # The id of the item is new, so its condition cannot fail.
    remembered = {"item_id": item["SK"].partition("#")[2]}
    earlier = _write_once(new_record, remembered, [put], lambda _: Unavailable(), table.ATTEMPT_SECONDS)
    return None if earlier is None else str(earlier["item_id"])


def reserve(record: Record, counters: list[Counter], reserved: float, **remembered: str) -> Item | None:
    """Write the record and count up, unless the key was used within 24 hours: then return what that request `remembered`.

    No attempt starts within `reserved` seconds of the deadline. Raises IdempotencyKeyReused, TooManyRequests for the first
    counter that would exceed its limit, Conflict, Unavailable; then nothing is counted.
    """
    counts = [_count(counter, 1) for counter in counters]
    return _write_once(record, remembered, counts, lambda n: TooManyRequests(counters[n].ends - record.now), reserved)


def find(record: Record) -> Item | None:
    """Return what an earlier request with the key remembered, None without one; raises IdempotencyKeyReused, Unavailable."""
    stored = table.get(record.key)
    if stored is None or stored["expires_at"] <= record.now:
        return None
    return _require_same_body(stored, record)


def remember(record: Record, name: str, value: str) -> None:
    """Add a value to a record that this request has written; raises Unavailable.

    In a transaction, which is tried again where another request with the key reads the record at the same time.
    """
    update = {
        "Key": record.key,
        "UpdateExpression": "SET #name = :value",
        "ConditionExpression": "#write_id = :write_id",
        "ExpressionAttributeNames": {"#name": name, "#write_id": "write_id"},
        "ExpressionAttributeValues": {":value": value, ":write_id": record.write_id},
    }
    if table.transact([{"Update": update}]) is not None:
        raise Unavailable


def cancel(record: Record, counters: list[Counter]) -> None:
    """Delete a record that this request has written, and count down again; raises Unavailable."""
    delete = {
        "Key": record.key,
        "ConditionExpression": "#write_id = :write_id",
        "ExpressionAttributeNames": {"#write_id": "write_id"},
        "ExpressionAttributeValues": {":write_id": record.write_id},
    }
    table.transact([{"Delete": delete}, *(_count(counter, -1) for counter in counters)])


def _write_once(
    record: Record, remembered: Item, writes: list[Any], problem: Callable[[int], Problem], reserved: float
) -> Item | None:
    """Apply all writes unless the key has a record: then return it; raises `problem(n)` if write n's condition fails."""
    own: Item = {
        "fingerprint": record.fingerprint,
        "write_id": record.write_id,
        "expires_at": record.now + 1 + RETENTION,
    }
    put = {
        "Item": record.key | remembered | own,
        # DynamoDB deletes expired items within days, not at once.
        "ConditionExpression": "attribute_not_exists(PK) OR expires_at <= :now",
        "ExpressionAttributeValues": {":now": record.now},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    reasons = table.transact([{"Put": put}, *writes], reserved)
    if reasons is None:
        return None
    stored = reasons[0].get("Item")
    if stored is not None:  # by an earlier attempt of this write, or by an earlier request
        return None if stored["write_id"] == record.write_id else _require_same_body(stored, record)
    failed = [n for n, reason in enumerate(reasons[1:]) if reason.get("Code") == "ConditionalCheckFailed"]
    raise problem(failed[0]) if failed else Unavailable()


def _require_same_body(stored: Item, record: Record) -> Item:
    if stored["fingerprint"] != record.fingerprint:
        raise IdempotencyKeyReused
    return stored


def _count(counter: Counter, sign: int) -> dict[str, Any]:
    """Return the write that counts up, while there is room, or down again."""
    values = {":amount": sign * counter.amount, ":ends": counter.ends}
    update: dict[str, Any] = {
        "Key": {"PK": f"LIMIT#{counter.name}", "SK": counter.window},
        "UpdateExpression": "SET #expires_at = :ends ADD #count :amount",
        "ExpressionAttributeNames": {"#expires_at": "expires_at", "#count": "count"},
        "ExpressionAttributeValues": values,
    }
    if sign > 0:
        room = counter.limit - counter.amount
        update["ConditionExpression"] = "attribute_not_exists(PK) OR #count <= :room" if room >= 0 else "#count <= :room"
        values[":room"] = room
    return {"Update": update}
