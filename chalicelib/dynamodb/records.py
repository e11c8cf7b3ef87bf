"""Records of idempotency keys, and counters of limits: written in one transaction with what they stand for.

Item    PK                           SK                         expires
record  the partition of the caller  IDEMPOTENCY#<route>#<key>  after 24 hours
counter LIMIT#<name>                 <start of the window>      at the end of the window
"""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from chalicelib.dynamodb import table
from chalicelib.dynamodb.table import Item
from chalicelib.problems import IdempotencyKeyReused, TooManyRequests, Unavailable
from chalicelib.values import IdempotencyKey, RateLimit

RETENTION = 24 * 60 * 60
"""Seconds for which a record is kept."""


class Counter(Struct, frozen=True):
    """What a request adds to a limit: `amount`, to that of one caller or thing, which `name` names."""

    limit: RateLimit
    name: str
    amount: int = 1


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


def create(item: Item, route: str, key: IdempotencyKey | None, counters: Sequence[Counter] = ()) -> str | None:
    """Write a new item and count up; with a key, unless it was used within 24 hours: then return the id of its item.

    A replay makes the first response again from the body and the id, which contains the time of creation. Raises
    IdempotencyKeyReused for a key that was used with another body or path, TooManyRequests for the first counter that would
    exceed its limit, Conflict while another request with the key keeps writing, Unavailable.
    """
    if key is None and not counters:
        table.put_new(item)
        return None
    now, write_id = time.time_ns() // 1_000_000_000, secrets.token_urlsafe(12)
    put = {"Item": item | {"write_id": write_id}, "ConditionExpression": "attribute_not_exists(PK)"}
    if key is None:
        put["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if _write_once(put, counters, [], now, table.ATTEMPT_SECONDS) is not None:
            raise Unavailable  # the id of the item is new: no other write can have used it
        return None
    new_record = record(item["PK"], route, key, now)
    put_record = _put_record(new_record, {"item_id": item["SK"].partition("#")[2]})
    earlier = _write_once(put_record, counters, [{"Put": put}], now, table.ATTEMPT_SECONDS)
    return None if earlier is None else str(_require_same_body(earlier, new_record)["item_id"])


def reserve(record: Record, counters: list[Counter], reserved: float, **remembered: str) -> Item | None:
    """Write the record and count up, unless the key was used within 24 hours: then return what that request `remembered`.

    No attempt starts within `reserved` seconds of the deadline. Raises IdempotencyKeyReused, TooManyRequests for the first
    counter that would exceed its limit, Conflict, Unavailable; then nothing is counted.
    """
    earlier = _write_once(_put_record(record, remembered), counters, [], record.now, reserved)
    return None if earlier is None else _require_same_body(earlier, record)


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
    table.transact([{"Delete": delete}, *(_count(counter, record.now, -1) for counter in counters)])


def _put_record(record: Record, remembered: Item) -> dict[str, Any]:
    own: Item = {
        "fingerprint": record.fingerprint,
        "write_id": record.write_id,
        "expires_at": record.now + 1 + RETENTION,
    }
    return {
        "Item": record.key | remembered | own,
        # DynamoDB deletes expired items within days, not at once.
        "ConditionExpression": "attribute_not_exists(PK) OR expires_at <= :now",
        "ExpressionAttributeValues": {":now": record.now},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _write_once(put: Item, counters: Sequence[Counter], writes: list[Any], now: int, reserved: float) -> Item | None:
    """Apply the put, count up and apply the other writes, unless the item of the put is there: then return that.

    Raises TooManyRequests for the first counter that would exceed its limit, Conflict, Unavailable.
    """
    counts = [_count(counter, now, 1) for counter in counters]
    reasons = table.transact([{"Put": put}, *counts, *writes], reserved)
    if reasons is None:
        return None
    stored = reasons[0].get("Item")
    if stored is not None:  # by an earlier attempt of this write, or by an earlier request
        return None if put["Item"]["write_id"] in {stored["write_id"], stored.get("previous_write_id")} else stored
    for counter, reason in zip(counters, reasons[1:], strict=False):
        if reason.get("Code") == "ConditionalCheckFailed":
            limit = counter.limit
            left = max(0, limit.quota - reason.get("Item", {}).get("count", 0))
            seconds = limit.seconds - now % limit.seconds
            # IETF draft-ietf-httpapi-ratelimit-headers, "RateLimit Field"
            state = f'"{limit.name}";r={left};t={seconds}'
            raise TooManyRequests(seconds, {"RateLimit": state, "RateLimit-Policy": limit.policy})
    raise Unavailable


def _require_same_body(stored: Item, record: Record) -> Item:
    if stored["fingerprint"] != record.fingerprint:
        raise IdempotencyKeyReused
    return stored


def _count(counter: Counter, now: int, sign: int) -> dict[str, Any]:
    """Return the write that counts up, while there is room, or down again, in the window of a second of the epoch."""
    start = now - now % counter.limit.seconds
    window = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M")
    values = {":amount": sign * counter.amount, ":ends": start + counter.limit.seconds}
    update: dict[str, Any] = {
        "Key": {"PK": f"LIMIT#{counter.name}", "SK": window},
        "UpdateExpression": "SET #expires_at = :ends ADD #count :amount",
        "ExpressionAttributeNames": {"#expires_at": "expires_at", "#count": "count"},
        "ExpressionAttributeValues": values,
    }
    if sign > 0:
        room = counter.limit.quota - counter.amount
        update["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        update["ConditionExpression"] = "attribute_not_exists(PK) OR #count <= :room" if room >= 0 else "#count <= :room"
        values[":room"] = room
    return {"Update": update}
