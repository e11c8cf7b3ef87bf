"""Updates of an item in one conditional write, without reading it first.

The sort key of an index holds several attributes, and an update that sets one of them does not know the others. So it
assumes their usual values and makes them a condition; where that fails, the error brings the item, and the next write
assumes what the item has.

An update that a retry or a second delivery finds already applied must not be applied again, and must not overwrite a write
that came in between. So each one names the one version that it changes, or demands that nothing has written since the call
started; `updated_at` never goes back; and the item keeps the ids of its last two writes (docs/decisions/0003-writes.md).
"""

import secrets
from collections.abc import Mapping
from string import Formatter
from typing import Any

from msgspec import Struct

from chalicelib.dynamodb import table
from chalicelib.dynamodb.table import ConditionFailed, Item
from chalicelib.problems import NotFound, Unavailable, VersionMismatch


class IndexKeys(Struct, frozen=True):
    """The keys of an item in the indexes that change with its attributes."""

    formats: Mapping[str, str]
    """Such as {"LSI1SK": "{status}#{due_at}#<id>"}."""
    usual: Mapping[str, str]
    """The most frequent value of each attribute in the formats."""


NO_INDEX_KEYS = IndexKeys({}, {})


def update(
    key: Item, changes: Item, versions: frozenset[int] | None, now: str, index_keys: IndexKeys = NO_INDEX_KEYS
) -> Item:
    """Set the attributes in `changes`, and the index keys that they are part of; return the item. No changes, no write.

    `versions` are those that may be changed, None for any; `now` is the time as `updated_at` has it. Raises NotFound,
    VersionMismatch, Conflict, Unavailable.
    """
    if not changes:
        return _require_version(table.require(key), versions)
    write_id = secrets.token_urlsafe(12)
    expected, assumed, updated_at = versions, index_keys.usual, now
    while True:
        new, unchanged = _with_index_keys(changes, index_keys, assumed)
        new |= {"updated_at": updated_at, "write_id": write_id}
        one_version = expected is not None and len(expected) == 1
        try:
            return table.update(key, new, unchanged, expected, allow_equal=one_version)
        except ConditionFailed as failed:
            item, retried = failed.item, failed.retried
        if item is None and retried:
            raise Unavailable  # an earlier attempt may have succeeded, and another request have deleted the item since
        if item is None:
            raise NotFound
        if item["write_id"] == write_id:
            return item  # written by an earlier attempt of this call, whose response was lost
        if item.get("previous_write_id") == write_id:
            raise Unavailable  # written by an earlier attempt of this call, and another request has written since
        as_expected = expected is None or item["version"] in expected
        if retried and not (as_expected and (one_version or item["updated_at"] < updated_at)):
            raise Unavailable  # an earlier attempt may have succeeded, and another request have written since
        _require_version(item, versions)
        expected, assumed = frozenset({item["version"]}), item
        updated_at = max(now, item["updated_at"])


def _require_version(item: Item, versions: frozenset[int] | None) -> Item:
    if versions is not None and item["version"] not in versions:
        raise VersionMismatch(item["version"])
    return item


def _with_index_keys(changes: Item, index_keys: IndexKeys, assumed: Mapping[str, Any]) -> tuple[Item, Item]:
    """Return the changes with the index keys they are part of, and the assumed attributes in these keys."""
    new, unchanged = dict(changes), dict[str, Any]()
    for name, pattern in index_keys.formats.items():
        parts = {part for _, part, _, _ in Formatter().parse(pattern) if part}
        if parts & changes.keys():
            unchanged |= {part: assumed[part] for part in parts - changes.keys()}
            new[name] = pattern.format_map({**assumed, **changes})
    return new, unchanged
