"""Mutation test of the workloads: puts one bug at a time into a copy, which run_histories.py must report (`make bugs`)."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT
from tests.support.local_server import copy_checkout

_SEEDS = 10
_TIMEOUT = 900  # seconds
_LONG = 1050  # seconds; instance.py sleeps a thousandth of it
_CREATE = "    earlier = _write_once(put_record, counters"
_FORMAT = "pattern.format_map({**assumed, **changes})"


class Mutation(NamedTuple):
    """A replacement of source text in a file."""

    file: str
    right: str
    wrong: str
    found: str
    """Pattern of the violation that has to be reported."""


MUTATIONS = {
    "a lost update: the write is not conditional on the version": Mutation(
        "dynamodb/table.py", "if versions is not None:\n        named", "if False:\n        named", "two winners|not linearizable"
    ),
    "a change made twice: a retry does not notice a write after its own": Mutation(
        "dynamodb/table.py", "    conditions.append(f\"#updated_at {'<=' if allow_equal else '<'} :new_updated_at\")\n", "", "not linearizable"
    ),
    "a task created twice: a second record replaces the first one of a key": Mutation(
        "dynamodb/records.py", '"attribute_not_exists(PK) OR expires_at <= :now"', '"attribute_not_exists(PK) OR expires_at > :now"', "created twice"
    ),
    "a leak: the partition key of a task is the same for all users": Mutation(
        "tasks/items.py", '{"PK": user.partition, "SK"', '{"PK": "USER#", "SK"', "leak|POST returned 422"
    ),
    "a gap: the cursor skips a task": Mutation("dynamodb/pages.py", "encode(found[limit - 1][", "encode(found[-1][", "not linearizable"),
    "an SMS message sent twice: the SDK retries Publish": Mutation(
        "sms/service.py", 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1}', 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}', "sent twice"
    ),
    "one SMS message too many: the limit is off by one": Mutation("dynamodb/records.py", "counter.limit.quota - counter.amount", "counter.limit.quota", "miscounted"),
    "an SMS message of three parts counts as one": Mutation("sms/service.py", '"PARTS", parts', '"PARTS", 1', "miscounted"),
    "an SMS message is rejected below the limits": Mutation(
        "dynamodb/records.py", "    counts = [_count(", "    if counters and time.time_ns() % 5 == 0: raise TooManyRequests(60)\n    counts = [_count(", "rejected, though"
    ),
    "an endless list: each page starts at the beginning": Mutation(
        "dynamodb/pages.py", "start = None if cursor is None else", "start = None if cursor is None or not range_.index else", "endless list"
    ),
    "an endless list of a status: each page starts at the beginning": Mutation(
        "dynamodb/pages.py", "start = None if cursor is None else", "start = None if cursor is None or range_.index else", "endless list|out of order"
    ),
    "a change of status leaves the task in its old list": Mutation("dynamodb/updates.py", f"new[name] = {_FORMAT}", "pass", "misplaced"),
    "a change of due date leaves the task at its old place": Mutation(
        "dynamodb/updates.py", _FORMAT, 'pattern.format_map({**assumed, **changes, "due_at": assumed["due_at"]})', "out of order"
    ),
    "a change leaves the task in no list": Mutation("dynamodb/updates.py", _FORMAT, 'pattern.format_map({**assumed, **changes, "status": ""})', "not linearizable"),
    "a 503 without a cause, after more than a second": Mutation(
        "dynamodb/records.py", _CREATE, f"    if time.time_ns() % 5 == 0: time.sleep({_LONG}); raise Unavailable\n{_CREATE}", "POST returned 503"
    ),
    "a key stays locked for a while after its response": Mutation(
        "dynamodb/records.py", _CREATE, "    from chalicelib.problems import Conflict\n    left = find(new_record)\n    if left and left['expires_at'] > new_record.now + 86399: raise Conflict\n" + _CREATE, "POST returned 409"
    ),
    "a replayed response is not marked as replayed": Mutation("tasks/service.py", "creation_time(earlier_id)), True", "creation_time(earlier_id)), False", "replayed"),
}  # fmt: skip


def violations(mutation: Mutation) -> list[str]:
    """Return the violations that the workloads report for a copy with this mutation."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_checkout(Path(folder) / "copy")
        file = copy / "chalicelib" / mutation.file
        file.write_text(file.read_text().replace(mutation.right, mutation.wrong))
        command = [sys.executable, "-m", "tests.support.run_histories", str(_SEEDS)]
        try:
            done = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True, timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            return []
    return [line for line in done.stdout.splitlines() if re.match("seed [0-9]+, with(out)? faults: ", line)]


def stale() -> dict[str, int]:
    """Return the mutations whose source text does not occur exactly once, and how often it occurs."""
    counts = {
        name: (ROOT / "chalicelib" / mutation.file).read_text().count(mutation.right) for name, mutation in MUTATIONS.items()
    }
    return {name: count for name, count in counts.items() if count != 1}


def main() -> int:
    """Print for each mutation whether it was caught."""
    if found := stale():
        print("The source text of these mutations must occur once in its file, but occurs so often:", file=sys.stderr)
        print(*(f"    {count}: {name}" for name, count in found.items()), sep="\n", file=sys.stderr)
        return 1
    missed = 0
    for name, mutation in MUTATIONS.items():
        lines = violations(mutation)
        caught = [line for line in lines if re.search(mutation.found, line)]
        missed += not caught
        print(name, "caught, " + caught[0] if caught else f"NOT CAUGHT, but {lines}", sep="\n    ")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
