"""The capacity units that requests to DynamoDB consume.

Amazon DynamoDB Developer Guide, "DynamoDB read and write operations", "DynamoDB item sizes and formats", and "Using global
secondary indexes", Provisioned throughput considerations.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Attributes = dict[str, Any]
"""An item in the JSON of DynamoDB: {"title": {"S": "Buy milk"}}."""

_RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
_TABLE = json.loads(_RESOURCES.read_text())["Resources"]["Table"]["Properties"]
_INDEXES = [*_TABLE["LocalSecondaryIndexes"], *_TABLE["GlobalSecondaryIndexes"]]
_WRITE_UNIT, _READ_UNIT = 1024, 4096


def size(item: Attributes) -> int:
    """Return the bytes of an item."""
    return sum(len(name.encode()) + _value_size(typed) for name, typed in item.items())


def writes(operation: str, request: Any, stored: Callable[[Attributes], Attributes]) -> int:
    """Return the write units of a request; `stored` returns the item of a key as it is before."""
    if operation == "TransactWriteItems":  # each write is prepared and committed
        parts = [(kind, part) for item in request["TransactItems"] for kind, part in item.items()]
        return 2 * sum(writes(f"{kind}Item", part, stored) for kind, part in parts)
    if operation == "PutItem":
        return _write_units({}, request["Item"])
    if operation == "UpdateItem":
        before = stored(request["Key"])
        return _write_units(before, before | request["Key"] | _changes(request))
    return _write_units(stored(request["Key"]), {}) if operation == "DeleteItem" else 0


def reads(operation: str, request: Any, items: list[Attributes]) -> float:
    """Return the read units of a request that reads these items."""
    sizes = [sum(map(size, items))] if operation == "Query" else [size(item) for item in items] or [0]
    if operation not in {"GetItem", "BatchGetItem", "Query"}:
        return 0
    consistent = request.get("ConsistentRead") or operation == "BatchGetItem"  # this app's are
    return sum(max(1, math.ceil(total / _READ_UNIT)) for total in sizes) * (1 if consistent else 0.5)


def _write_units(before: Attributes, after: Attributes) -> int:
    return _units(max(size(before), size(after))) + sum(_index_units(index, before, after) for index in _INDEXES)


def _index_units(index: Any, before: Attributes, after: Attributes) -> int:
    """Return the units of an index: an entry of another key is a delete and a put."""
    names = [part["AttributeName"] for part in index["KeySchema"]]
    keys = {*names, "PK", "SK"}
    whole = index["Projection"]["ProjectionType"] == "ALL"
    old, new = (
        {name: item[name] for name in (item if whole else keys)} if all(name in item for name in names) else {}
        for item in (before, after)
    )
    if old == new:
        return 0
    if [old.get(name) for name in names] == [new.get(name) for name in names]:
        return _units(max(size(old), size(new)))
    return sum(_units(size(entry)) for entry in (old, new) if entry)


def _units(number: int) -> int:
    return max(1, math.ceil(number / _WRITE_UNIT))


def _changes(request: Any) -> Attributes:
    """Return the attributes that an update sets to values of its own."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    pairs = re.findall(r"([#\w]+) = (:\w+)", request["UpdateExpression"])
    return {names.get(name, name): values[value] for name, value in pairs}


def _value_size(typed: Attributes) -> int:
    ((kind, value),) = typed.items()
    if kind == "N":
        return math.ceil(len(re.sub(r"\D", "", value)) / 2) + 1
    return len(value.encode()) if kind == "S" else 1
