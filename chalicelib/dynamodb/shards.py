"""Pages over all owners: an index whose partitions are shards, queried in parallel and merged.

The index holds keys alone and may lag, so the items are fetched; an entry whose item has changed is left out, and the next
one takes its place. One partition of an index takes 1,000 writes a second, and a throttled index throttles the table; the
shards lift that.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from chalicelib import log_line
from chalicelib.dynamodb import table
from chalicelib.dynamodb.pages import decode, encode
from chalicelib.dynamodb.table import Item
from chalicelib.problems import InvalidCursor
from chalicelib.values import is_id

_MAX_WORKERS = 8


def page(
    partitions: list[str], limit: int, cursor: str | None, scope: list[str], is_current: Callable[[Item], bool]
) -> tuple[list[Item], str | None]:
    """Return the items of a page of GSI1, oldest first, and the cursor of the next page, None if this is the last one.

    `scope` is what the cursor is good for: caller, list, filter. `is_current` is false for an item that has changed since
    its index entry was written. Raises InvalidCursor, Unavailable.
    """
    position = "" if cursor is None else decode(cursor, *scope)
    if cursor is not None and not is_id(position.rpartition("#")[2]):
        raise InvalidCursor
    # A pool for this request: a slow response can block its threads past the deadline.
    threads = ThreadPoolExecutor(_MAX_WORKERS, initializer=log_line.current.set, initargs=(log_line.current.get(),))
    try:
        found = _oldest(threads, partitions, position, limit + 1, is_current)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # leaving a `with` would wait for them
    return found[:limit], encode(found[limit - 1]["SK"], *scope) if len(found) > limit else None


def _oldest(
    threads: ThreadPoolExecutor, partitions: list[str], position: str, limit: int, is_current: Callable[[Item], bool]
) -> list[Item]:
    found: list[Item] = []
    while True:
        wanted = limit - len(found)
        shards = threads.map(_query_shard, partitions, repeat(position), repeat(wanted))
        # By position: while the number of shards grows, an entry that moves can be in two of them for a moment.
        entries = {entry["SK"]: entry for shard in shards for entry in shard}
        oldest = [entries[position] for position in sorted(entries)[:wanted]]
        items = table.batch_get([{"PK": entry["PK"], "SK": entry["SK"]} for entry in oldest])
        found += [item for entry in oldest if (item := items.get((entry["PK"], entry["SK"]))) and is_current(item)]
        if len(found) == limit or len(oldest) < wanted:
            return found
        position = oldest[-1]["SK"]


def _query_shard(partition: str, position: str, limit: int) -> list[Item]:
    condition = "GSI1PK = :partition AND SK > :position" if position else "GSI1PK = :partition"
    values = {":partition": partition} | ({":position": position} if position else {})
    return table.query(condition, values, limit, IndexName="GSI1")[0]
