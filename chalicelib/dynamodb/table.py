"""The DynamoDB table: every call, with its timeouts, retries and errors.

An item is a dict of text, whole numbers, booleans and None. Items of one owner share the partition key `PK`
(`USER#<sub>`); the sort key `SK` starts with the kind of the item (`TASK#<id>`). Each write stores a new id, `write_id`, of
96 random bits, by which a retry inside the SDK, or a second delivery by the network, recognises its own earlier success.
"""

import random
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from chalicelib import log_line
from chalicelib.config import settings
from chalicelib.deadline import seconds_left
from chalicelib.problems import Conflict, NotFound, Unavailable, VersionMismatch

if TYPE_CHECKING:
    import boto3  # by this name, Chalice's analyzer finds the calls
else:
    from chalicelib import aws as boto3

Item = dict[str, Any]

# Stated in full, because the defaults differ between the versions of boto3 that Lambda may bring.
CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})

# Every call is in this module, in plain functions, where Chalice's analyzer finds it for the IAM policy.
client = boto3.client("dynamodb", region_name=settings.region, config=CONFIG)

ATTEMPT_SECONDS = 1.0
"""Seconds before the deadline in which no further attempt starts."""
_MIN_PAUSE, _MAX_PAUSE = 0.05, 1.0
_READ, _WRITE = "read_units", "write_units"
_BATCH_SIZE = 100  # keys that one BatchGetItem takes

_CONDITION_FAILED = {"ConditionalCheckFailedException", "TransactionCanceledException"}
_RETRYABLE = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}  # of a transaction
_EVALUATED = {"None", "ConditionalCheckFailed"}  # reasons of the first write: its condition was evaluated


class ConditionFailed(Exception):
    """The condition of a write failed: `item` is the stored one. If `retried`, an earlier attempt may have succeeded."""

    def __init__(self, error: ClientError) -> None:
        super().__init__()
        stored = cast("Any", error.response).get("Item")
        self.item = None if stored is None else _to_item(stored)
        self.retried = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0


def get(key: Item) -> Item | None:
    """Return an item as it is now, None if there is none; raises Unavailable."""
    with _translated_errors():
        response = client.get_item(
            TableName=settings.table_name, Key=_to_attributes(key), ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
        )
        found = _checked(response, _READ).get("Item")
        return None if found is None else _to_item(found)


def require(key: Item) -> Item:
    """Return an item as it is now; raises NotFound, Unavailable."""
    item = get(key)
    if item is None:
        raise NotFound
    return item


def put_new(item: Item) -> None:
    """Write an item with a new id; raises Conflict, Unavailable."""
    write_id = secrets.token_urlsafe(12)
    try:
        with _translated_errors():
            response = client.put_item(
                TableName=settings.table_name,
                Item=_to_attributes(item | {"write_id": write_id}),
                ConditionExpression="attribute_not_exists(PK)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ReturnConsumedCapacity="TOTAL",
            )
            _checked(response, _WRITE)
    except ConditionFailed as failed:
        # An earlier attempt or delivery of this call has written it: the item has the id of this write, or had it before.
        stored = failed.item or {}
        if write_id not in {stored.get("write_id"), stored.get("previous_write_id")}:
            raise Unavailable from failed


def delete(key: Item, versions: frozenset[int] | None) -> None:
    """Delete an item, of one of these versions unless None; raises NotFound, VersionMismatch, Unavailable."""
    condition: dict[str, Any] = {"ConditionExpression": "attribute_exists(PK)"}
    if versions is not None:
        values = _version_values(versions)
        condition["ConditionExpression"] += f" AND version IN ({', '.join(values)})"
        condition["ExpressionAttributeValues"] = _to_attributes(values)
    try:
        with _translated_errors():
            response = client.delete_item(
                TableName=settings.table_name,
                Key=_to_attributes(key),
                **condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ReturnConsumedCapacity="TOTAL",
            )
            _checked(response, _WRITE)
    except ConditionFailed as failed:
        if failed.item is not None:
            raise VersionMismatch(failed.item["version"]) from failed
        if not failed.retried:  # else an earlier attempt of this call may have deleted it
            raise NotFound from failed


def update(key: Item, new: Item, unchanged: Item, versions: frozenset[int] | None, *, allow_equal: bool = False) -> Item:
    """Set attributes of an item, count its version up, and return it.

    Only if it has the values in `unchanged`, one of these versions unless None, and an `updated_at` before the new one, or
    the same where `allow_equal` is set. Raises ConditionFailed, Conflict, Unavailable.
    """
    sets = ["#version = #version + :one", "#previous_write_id = #write_id", *(f"#{name} = :new_{name}" for name in new)]
    conditions = ["attribute_exists(PK)", *(f"#{name} = :unchanged_{name}" for name in unchanged)]
    values = {f":new_{name}": value for name, value in new.items()} | {":one": 1}
    values |= {f":unchanged_{name}": value for name, value in unchanged.items()}
    if versions is not None:
        named = _version_values(versions)
        conditions.append(f"#version IN ({', '.join(named)})")
        values |= named
    conditions.append(f"#updated_at {'<=' if allow_equal else '<'} :new_updated_at")
    names = {*new, *unchanged, "version", "previous_write_id"}
    with _translated_errors():
        response = client.update_item(
            TableName=settings.table_name,
            Key=_to_attributes(key),
            UpdateExpression=f"SET {', '.join(sets)}",
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames={f"#{name}": name for name in names},
            ExpressionAttributeValues=_to_attributes(values),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ReturnConsumedCapacity="TOTAL",
        )
        return _to_item(_checked(response, _WRITE)["Attributes"])


def query(
    condition: str, values: Item, limit: int, *, start: Item | None = None, **options: Any
) -> tuple[list[Item], Item | None]:
    """Return at most `limit` items, and the key to go on from if there are more; raises Unavailable.

    `options` are those of the operation Query: IndexName, ConsistentRead, ScanIndexForward.
    """
    if start is not None:
        options["ExclusiveStartKey"] = _to_attributes(start)
    with _translated_errors():
        response = client.query(
            TableName=settings.table_name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=_to_attributes(values),
            Limit=limit,
            ReturnConsumedCapacity="TOTAL",
            **options,
        )
        found, last = _checked(response, _READ)["Items"], response.get("LastEvaluatedKey")
        return [_to_item(item) for item in found], None if last is None else _to_item(last)


def batch_get(keys: list[Item]) -> dict[tuple[str, str], Item]:
    """Return the items of these keys as they are now, by `PK` and `SK`; raises Unavailable."""
    found: dict[tuple[str, str], Item] = {}
    pauses = _pauses()
    waiting = [_to_attributes(key) for key in keys]
    while waiting:
        wanted: Any = {settings.table_name: {"Keys": waiting[:_BATCH_SIZE], "ConsistentRead": True}}
        with _translated_errors():
            received = client.batch_get_item(RequestItems=wanted, ReturnConsumedCapacity="TOTAL")
            response = _checked(received, _READ, "Responses")
            for item in response["Responses"].get(settings.table_name, []):
                found[item["PK"]["S"], item["SK"]["S"]] = _to_item(item)
            unprocessed = response["UnprocessedKeys"].get(settings.table_name, {}).get("Keys", [])
        waiting = unprocessed + waiting[_BATCH_SIZE:]
        if unprocessed:  # throttled
            pause = next(pauses, None)
            if pause is None:
                raise Unavailable
            time.sleep(pause)
    return found


def transact(writes: list[dict[str, Any]], reserved: float = ATTEMPT_SECONDS) -> list[Any] | None:
    """Apply all the writes or none; return None, or a reason for each write where a condition failed.

    A write is one of TransactWriteItems without its table. A transaction that conflicts with another, or is throttled, is
    tried again until `reserved` seconds before the deadline. Raises Conflict where one with a Put keeps conflicting, or
    where the partition is full, and Unavailable.
    """
    pauses = _pauses(reserved)
    items: Any = [{kind: _to_write(write) for kind, write in part.items()} for part in writes]
    while True:
        try:
            with _translated_errors():
                _checked(client.transact_write_items(TransactItems=items, ReturnConsumedCapacity="TOTAL"), _WRITE)
        except ConditionFailed as failed:
            error = cast("Any", failed.__cause__)
            reasons: list[Any] = error.response.get("CancellationReasons", [])
            codes = [reason.get("Code") for reason in reasons]
            if "ConditionalCheckFailed" in codes and codes[0] in _EVALUATED:
                return [reason | {"Item": _to_item(reason["Item"])} if "Item" in reason else reason for reason in reasons]
            if "ItemCollectionSizeLimitExceeded" in codes:
                raise _full() from error
            pause = next(pauses, None) if _RETRYABLE.intersection(codes) else None
            if pause is None:
                conflicting = [write for write, code in zip(writes, codes, strict=False) if code == "TransactionConflict"]
                raise (Conflict if any("Put" in write for write in conflicting) else Unavailable) from error
            time.sleep(pause)
        else:
            return None


def _to_attributes(values: Item) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            attributes[name] = {"NULL": True}
        elif isinstance(value, bool):
            attributes[name] = {"BOOL": value}
        elif isinstance(value, int | str):
            attributes[name] = {"N" if isinstance(value, int) else "S": str(value)}
        else:
            message = f"{name} is a {type(value).__qualname__}: an item has text, whole numbers, booleans and None"
            raise ParamValidationError(report=message)
    return attributes


def _to_item(attributes: Mapping[str, Any]) -> Item:
    """Return an item from the JSON of its attributes; raises Unavailable for what DynamoDB cannot have sent."""
    item: Item = {}
    try:
        for name, typed in attributes.items():
            if "S" in typed:  # most are text
                item[name] = typed["S"]
            else:
                ((kind, value),) = typed.items()
                item[name] = int(value) if kind == "N" else None if kind == "NULL" else value
    except (AttributeError, TypeError, ValueError) as error:
        raise Unavailable from error
    return item


def _to_write(write: dict[str, Any]) -> dict[str, Any]:
    typed = {"Item", "Key", "ExpressionAttributeValues"} & write.keys()
    return {"TableName": settings.table_name} | write | {name: _to_attributes(write[name]) for name in typed}


def _version_values(versions: frozenset[int]) -> Item:
    return {f":v{version}": version for version in versions}


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise ConditionFailed for a failed condition, Conflict for a full partition, Unavailable for every other failure."""
    try:
        yield
    except (ParamValidationError, Unavailable):  # a fault of ours, or translated already
        raise
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _CONDITION_FAILED:
            raise ConditionFailed(error) from error
        raise (_full() if code == "ItemCollectionSizeLimitExceededException" else Unavailable()) from error
    except Exception as error:  # timeouts, resets, and all that a parser may raise for a response that is not DynamoDB's
        raise Unavailable from error


def _checked(response: Any, kind: str, member: str = "ConsumedCapacity") -> Any:
    """Return a response, and log the units it has consumed; raises Unavailable without a member that DynamoDB always sends.

    botocore reads any page with status 200 as an empty response: an item that is not there, a write that succeeded.
    """
    if member not in response:
        raise Unavailable
    consumed = response.get("ConsumedCapacity", [])
    if line := log_line.current.get():
        several = consumed if isinstance(consumed, list) else [consumed]
        line.units += [(kind, float(one.get("CapacityUnits", 0))) for one in several]
    return response


def _full() -> Conflict:
    """Return the problem of a partition that has reached 10 GB (DynamoDB Developer Guide, "Item collection size limit").

    409 (RFC 9110, section 15.5.10): a client can make room and repeat the request. A full partition still takes deletes.
    """
    return Conflict("Your data has reached its limit of 10 GB. Delete items, then send the request again.")


def _pauses(reserved: float = ATTEMPT_SECONDS) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt; none ends later than `reserved` seconds before the deadline.

    They grow, and are random, so that conflicting requests retry at different times ("Timeouts, retries, and backoff with
    jitter", Amazon Builders' Library).
    """
    longest = _MIN_PAUSE
    while (pause := random.uniform(0, longest)) + reserved <= seconds_left():  # noqa: S311 - protects nothing
        yield pause
        longest = min(2 * longest, _MAX_PAUSE)
