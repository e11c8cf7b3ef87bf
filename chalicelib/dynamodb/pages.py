"""Pages of items: queries of one partition, and the cursors between pages.

A cursor holds a position in a list, the sort key of the last item shown, but not the list: the partition comes from the
caller each time. Its checksum covers the list, so a cursor of another list or a damaged one is refused. That needs no
secret: whoever forges one moves within their own list.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from msgspec import Struct, structs

from chalicelib.dynamodb import table
from chalicelib.dynamodb.table import Item
from chalicelib.problems import InvalidCursor
from chalicelib.values import is_id

_CHECKSUM_BYTES = 9
_MAX_POSITION_BYTES = 1024  # the size of a sort key


class KeyRange(Struct, frozen=True):
    """Items of one partition whose sort key is between two values.

    The sort key of the table is `<kind>#<id>`. That of an index is the attribute named `<index>SK`: `<kind>#<values>#<id>`.
    """

    partition: str
    kind: str
    low: str
    high: str
    index: str | None = None
    newest_first: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError unless both bounds start with the kind: a range must not contain items of another kind."""
        if not (self.low.startswith(f"{self.kind}#") and self.high.startswith(f"{self.kind}#")):
            message = f"Both bounds of a range of {self.kind} must start with {self.kind}#"
            raise ValueError(message)

    @property
    def sort_key(self) -> str:
        """The name of the attribute that sorts the items."""
        return f"{self.index or ''}SK"


def page(range_: KeyRange, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
    """Return the items of a page as they are now, and the cursor of the next page, None if this is the last one.

    Raises InvalidCursor, Unavailable.
    """
    scope = [str(value) for value in structs.astuple(range_)]
    start = None if cursor is None else _start_key(range_, decode(cursor, *scope))
    if range_.low > range_.high:  # DynamoDB refuses such a query
        return [], None
    condition = f"PK = :partition AND {range_.sort_key} BETWEEN :low AND :high"
    values: Item = {":partition": range_.partition, ":low": range_.low, ":high": range_.high}
    options: dict[str, Any] = {"ConsistentRead": True, "ScanIndexForward": not range_.newest_first}
    if range_.index:
        options["IndexName"] = range_.index
    found: list[Item] = []
    while True:
        items, start = table.query(condition, values, limit + 1 - len(found), start=start, **options)
        found += items
        if len(found) > limit:
            return found[:limit], encode(found[limit - 1][range_.sort_key], *scope)
        if start is None:  # a page of DynamoDB ends at 1 MB, ours does not
            return found, None


def encode(position: str, *scope: str) -> str:
    """Return the cursor for a position in the list that the scope names."""
    checksum = hashlib.sha256(json.dumps([position, *scope]).encode()).digest()[:_CHECKSUM_BYTES]
    return urlsafe_b64encode(checksum + _obfuscate(position.encode(), checksum, scope)).decode().rstrip("=")


def decode(cursor: str, *scope: str) -> str:
    """Return the position in a cursor; raises InvalidCursor unless it was encoded for this scope."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = _obfuscate(raw[_CHECKSUM_BYTES:], raw[:_CHECKSUM_BYTES], scope).decode()
    except ValueError as error:
        raise InvalidCursor from error
    if encode(position, *scope) != cursor or len(raw) - _CHECKSUM_BYTES > _MAX_POSITION_BYTES:
        raise InvalidCursor
    return position


def _start_key(range_: KeyRange, position: str) -> Item:
    """Return the key of the item at a position; raises InvalidCursor for one that DynamoDB would refuse."""
    item_id = position.rpartition("#")[2]
    item_key = f"{range_.kind}#{item_id}"
    if not is_id(item_id) or not range_.low <= position <= range_.high or (not range_.index and position != item_key):
        raise InvalidCursor
    return {"PK": range_.partition, "SK": item_key, range_.sort_key: position}


def _obfuscate(data: bytes, checksum: bytes, scope: tuple[str, ...]) -> bytes:
    """XOR a position with a mask: cursors are opaque, not secret."""
    mask = hashlib.shake_128(checksum + json.dumps(scope).encode()).digest(len(data))
    return bytes(byte ^ cover for byte, cover in zip(data, mask, strict=True))
