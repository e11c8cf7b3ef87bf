"""Brings items of a stage back from a backup or another table, or rewrites its keys: `python -m tools restore`.

The stage's table stays in service: a restored table has another name, and no time to live, recovery, tags or alarms.
"""

import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy.personal_data import Place, find, sub_of
from tools.errors import CommandError

_EARLIER_FORMAT = {"task_id", "GSI1SK"}  # attributes of tasks before their id was only in SK
_THREADS = 10  # as many as botocore has connections
_PROGRESS = 10_000  # items
_LISTED = 20  # items that differ
_VISIBLE = 60  # seconds after which DescribeTable, which is eventually consistent, must know a new table
_SAME, _MISSING, _CHANGED, _NO_ACCOUNT, _FAILED = "same", "missing", "changed", "no account", "failed"
_BROUGHT_BACK, _SET_BACK, _OVERTAKEN = "brought back", "set back", "overtaken"
_OUTDATED, _REWRITTEN = "outdated", "rewritten"
_ROWS = {
    _SAME: "are the same in both",
    _MISSING: "are only in {source}",
    _BROUGHT_BACK: "were only in {source}, and were brought back",
    _CHANGED: "differ, and stay as they are in {table}",
    _SET_BACK: "differed, and are now as in {source}",
    _OVERTAKEN: "were written by somebody else at this moment, and stay as they are in {table}",
    _NO_ACCOUNT: "belong to accounts that are gone, and are not brought back",
    _OUTDATED: "have keys of an earlier format",
    _REWRITTEN: "had keys of an earlier format, and have those of today",
    _FAILED: "failed",
}
_IN_BOTH = {_BROUGHT_BACK, _SET_BACK, _OVERTAKEN, _SAME, _CHANGED}


class Choice(NamedTuple):
    """What to bring back."""

    user: str | None
    """An e-mail address or a `sub`; None for all."""
    task_ids: tuple[str, ...]
    """Empty for all items."""
    apply: bool
    """False to compare alone."""
    changed: bool
    """Whether items that differ are set back too."""
    to_the_past: bool
    """Whether the source is a past state of the table: else an item is newer where its version is higher."""


def recover(table: str, moment: str, pause: float = 10) -> str:
    """Restore the table as it was at a moment into a new table, wait for that, and return its name.

    One that exists already from an earlier call is taken. Polls after each pause, in seconds. Raises CommandError.
    """
    when = parse(moment)
    target = f"{table}-restored-{when:%Y%m%dT%H%M%SZ}"
    dynamodb: Any = boto3.client("dynamodb")
    try:
        if not _status(target):
            dynamodb.restore_table_to_point_in_time(
                SourceTableName=table, TargetTableName=target, RestoreDateTime=when, BillingModeOverride="PAY_PER_REQUEST"
            )
    except dynamodb.exceptions.InvalidRestoreTimeException as error:
        message = f"{table} cannot be restored to {moment}. Use a time within 35 days, at least five minutes ago."
        raise CommandError(message) from error
    except dynamodb.exceptions.PointInTimeRecoveryUnavailableException as error:
        message = f"Point-in-time recovery of {table} is off: there is no backup. Is it the table of this stage?"
        raise CommandError(message) from error
    started = time.monotonic()
    while (status := _status(target)) != "ACTIVE":
        waited = int(time.monotonic() - started)
        if status != "CREATING" and waited > _VISIBLE:
            message = f"AWS has not restored {target}: its status is {status or 'none'}. See DynamoDB's console."
            raise CommandError(message)
        print(f"AWS restores {target}: {status}, {waited // 60} min {waited % 60} s", file=sys.stderr, flush=True)
        time.sleep(pause)
    return target


def copy(source: str, place: Place, choice: Choice) -> str:
    """Compare a table with that of the stage, bring back what is chosen, and return what was done; raises CommandError.

    If it is the table of the stage itself, tasks with keys of an earlier format get those of today, in the same version.
    The settings of the stage must be in the environment: index keys depend on them.
    """
    if not _status(source):
        message = f"There is no table {source} in this account and Region. List them with: aws dynamodb list-tables"
        raise CommandError(message)
    copier = _Copier(source, place, choice)
    results = Counter[str]()
    with ThreadPoolExecutor(_THREADS) as threads:
        for page in copier.pages(source):
            before = sum(results.values())
            results.update(threads.map(copier.copy, page))
            if sum(results.values()) // _PROGRESS > before // _PROGRESS:
                print(f"Compared {sum(results.values()):,} items.", file=sys.stderr, flush=True)
    if not results:
        message = f"{source} has nothing of what you named. Check the user, the task ids and the table."
        raise CommandError(message)
    return _report(results, copier, source, place.table)


class _Copier:
    """Compares and copies single items, from several threads."""

    def __init__(self, source: str, place: Place, choice: Choice) -> None:
        self.choice, self.table, self.in_place = choice, place.table, source == place.table
        self.client: Any = boto3.resource("dynamodb").meta.client  # it takes and returns Python's types, in any thread
        self.failures: list[str] = []
        self.differing: list[str] = []
        if choice.user is None:
            self.partition, self.owners = "", _subs(place.pool)
        else:
            person = find(choice.user, place)
            self.partition, self.owners = f"USER#{person.sub}", {person.sub} if person.account else set()

    def pages(self, table: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the chosen items, page by page."""
        name, request = "scan", {"TableName": table, "ConsistentRead": True}
        if self.partition:
            name = "query"
            request |= {"KeyConditionExpression": "PK = :p", "ExpressionAttributeValues": {":p": self.partition}}
        for page in self.client.get_paginator(name).paginate(**request):
            yield [item for item in page["Items"] if self._is_chosen(item)]

    def count_only_in_table(self, results: Counter[str]) -> int:
        """Return how many of the chosen items the table has and the source has not."""
        stored = sum(self._has_account(item) for page in self.pages(self.table) for item in page)
        return max(0, stored - sum(results[name] for name in _IN_BOTH))

    def copy(self, item: dict[str, Any]) -> str:
        """Do with an item what is chosen, and return the result."""
        try:
            return self._rewrite(item) if self.in_place else self._bring_back(item)
        except (BotoCoreError, ClientError) as error:
            self.failures.append(f"{item['PK']} {item['SK']}: {error}")
        except KeyError as error:
            self.failures.append(f"{item['PK']} {item['SK']}: the item has no {error}")
        return _FAILED

    def _rewrite(self, item: dict[str, Any]) -> str:
        """Give an item of the table itself the keys of today."""
        new = _rebuild(item)
        if new == {name: value for name, value in item.items() if name != "previous_write_id"}:
            return _SAME
        if not self.choice.apply:
            return _OUTDATED
        return _REWRITTEN if self._replace(item, new) else _OVERTAKEN

    def _bring_back(self, item: dict[str, Any]) -> str:
        """Compare an item of another table, and bring it back if that is chosen."""
        if not self._has_account(item):
            return _NO_ACCOUNT
        new, stored = _rebuild(item), self._read(item)
        if stored is None:
            if not self.choice.apply:
                return _MISSING
            return _BROUGHT_BACK if self._put(new, ConditionExpression="attribute_not_exists(PK)") else _OVERTAKEN
        if self._content(new) == self._content(_rebuild(stored)):
            return _SAME
        return self._set_back(new, stored)

    def _set_back(self, new: dict[str, Any], stored: dict[str, Any]) -> str:
        """Replace a stored item if that is chosen. A past state becomes a new version, so that no ETag means two things."""
        if not (self.choice.apply and self.choice.changed and "version" in new and "write_id" in stored):
            versions = f"version {new.get('version', '?')} there, {stored.get('version', '?')} here"
            if len(self.differing) < _LISTED:
                self.differing.append(f"{new['PK']} {new['SK']}: {versions}")
            return _CHANGED
        if self.choice.to_the_past:
            version = max(new["version"], stored["version"]) + 1
            new |= {"version": version, "updated_at": max(_now(), stored["updated_at"])}
        elif new["version"] <= stored["version"]:
            return _CHANGED
        return _SET_BACK if self._replace(stored, new) else _OVERTAKEN

    def _replace(self, stored: dict[str, Any], new: dict[str, Any]) -> bool:
        """Replace an item unless it has changed since; return whether it was replaced."""
        values = {":w": stored["write_id"]}
        # By this id, a retry of the write that was replaced still recognises its success (chalicelib/dynamodb/table.py).
        own = new | {"previous_write_id": stored["write_id"]}
        return self._put(own, ConditionExpression="write_id = :w", ExpressionAttributeValues=values)

    def _read(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Return the item that the table has under the same key."""
        key = {"PK": item["PK"], "SK": item["SK"]}
        stored: dict[str, Any] | None = self.client.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")
        return stored

    def _put(self, item: dict[str, Any], **condition: Any) -> bool:
        """Write an item with a new `write_id`; return whether the condition held."""
        own = item | {"write_id": secrets.token_urlsafe(12)}
        try:
            self.client.put_item(TableName=self.table, Item=own, **condition)
        except self.client.exceptions.ConditionalCheckFailedException:
            # A retry by the SDK fails too if the first attempt was applied.
            return bool((self._read(item) or {}).get("write_id") == own["write_id"])
        return True

    def _content(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return what is compared. What was set back to the past has the past content in a new version."""
        ignored = {"write_id"} | ({"version", "updated_at"} if self.choice.to_the_past else set())
        return {name: value for name, value in item.items() if name not in ignored}

    def _is_chosen(self, item: dict[str, Any]) -> bool:
        """Whether it is chosen. Idempotency records and counters never are: they are about requests of their time."""
        if item["SK"].startswith("IDEMPOTENCY#") or item["PK"].startswith("LIMIT#"):
            return False
        return not self.choice.task_ids or item["SK"].removeprefix("TASK#") in self.choice.task_ids

    def _has_account(self, item: dict[str, Any]) -> bool:
        return not item["PK"].startswith("USER#") or item["PK"].removeprefix("USER#") in self.owners


def parse(moment: str) -> datetime:
    """Return a time such as 2026-11-27T08:00:00Z, in UTC and whole seconds; raises CommandError."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError as error:
        message = f"{moment} is not a time. Give it as in 2026-11-27T08:00:00Z."
        raise CommandError(message) from error
    if when.tzinfo is None:
        message = f"{moment} has no offset from UTC. Give it as in 2026-11-27T08:00:00Z or 2026-11-27T09:00:00+01:00."
        raise CommandError(message)
    return when.astimezone(UTC).replace(microsecond=0)


def _status(table: str) -> str:
    """Return the status of a table, empty if there is none."""
    dynamodb: Any = boto3.client("dynamodb")
    try:
        return str(dynamodb.describe_table(TableName=table)["Table"]["TableStatus"])
    except dynamodb.exceptions.ResourceNotFoundException:
        return ""


def _subs(pool: str) -> set[str]:
    """Return the `sub` of each account of the pool."""
    pages = boto3.client("cognito-idp").get_paginator("list_users").paginate(UserPoolId=pool)
    return {sub_of(account) for page in pages for account in page["Users"]}


def _rebuild(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as this release stores it: a task with index keys of today, others unchanged."""
    from chalicelib.principals import User  # noqa: PLC0415 - the settings come first
    from chalicelib.tasks import items  # noqa: PLC0415

    plain = {name: value for name, value in item.items() if name != "previous_write_id"}
    if not item["SK"].startswith("TASK#"):
        return plain
    for name in _EARLIER_FORMAT:
        plain.pop(name, None)
    return plain | items.to_item(User(item["PK"].removeprefix("USER#"), item["PK"]), items.to_task(item))


def _now() -> str:
    from chalicelib.values import timestamp  # noqa: PLC0415 - as above

    return timestamp(time.time_ns())


def _report(results: Counter[str], copier: _Copier, source: str, table: str) -> str:
    """Return the counts and what to do next; raises CommandError with them if items failed."""
    lines = [f"Compared {source} with {table}:"]
    rows = {name: text.format(source=source, table=table) for name, text in _ROWS.items()}
    lines += [f"{results[name]:>9,} {text}" for name, text in rows.items() if results[name]]
    if not copier.in_place and (created := copier.count_only_in_table(results)):
        lines.append(f"{created:>9,} are only in {table}, and stay")
    if not copier.choice.apply:
        lines += [f"          {key}" for key in sorted(copier.differing)]
        more = results[_CHANGED] - len(copier.differing)
        lines += [f"          and {more:,} more"] if more else []
    if copier.failures:
        lines += [*copier.failures[:10], "Correct the cause, then run the same command again: it does only what is left."]
        raise CommandError("\n".join(lines))
    if results[_OVERTAKEN]:
        lines.append("Run the same command again, to compare what was written at this moment.")
    command = f".venv/bin/python -m tools {shlex.join(word for word in sys.argv[1:] if word != '--changed')} --apply"
    if results[_OUTDATED]:
        lines.append(f"Nothing was changed in {table}. To rewrite these:\n  {command}")
    if copier.in_place:
        return "\n".join(lines)
    if not copier.choice.apply:
        lines.append(f"Nothing was changed in {table}. To bring back what is missing:\n  {command}")
        also = "differs is set back" if copier.choice.to_the_past else "has a higher version there is taken over"
        lines.append(f"With --changed as well, what {also} too. Items are never deleted.")
    return "\n".join([*lines, f"When you are done: aws dynamodb delete-table --table-name {source}"])
