"""Puts bugs that this project exists to be without into a copy of it, one at a time, and sees that histories.py notices.

`make bugs` tells of each what was found wrong; one that nothing notices is a hole in the tests.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT
from tests.support.local_server import copied

_SEEDS = 10
_PATIENCE = 900  # seconds
_LONG = 1050  # seconds; instance.py takes a thousandth
_CREATE = "    return _write_once(record, remembered, [put], lambda _: Unavailable(), table.ATTEMPT_SECONDS)"
_FORMAT = "pattern.format_map({**assumed, **changes})"


class Bug(NamedTuple):
    """A mistake that somebody could make: in this file, this instead of that."""

    file: str
    right: str
    wrong: str
    found: str
    """What tells of it in what is found wrong."""


BUGS = {
    "a lost update: the tag is compared, and not held in the write": Bug(
        "dynamodb/table.py", "if versions is not None:\n        named", "if False:\n        named", "two winners|no order"
    ),
    "a change made twice: a retry does not see that another wrote on top of its own": Bug(
        "dynamodb/table.py", "    conditions.append(f\"#updated_at {'<=' if same_moment else '<'} :updated_at\")\n", "", "no order"
    ),
    "a task created twice: the record of a key gives way to another": Bug(
        "dynamodb/records.py", '"attribute_not_exists(PK) OR expires_at <= :now"', '"attribute_not_exists(PK) OR expires_at > :now"', "created twice"
    ),
    "a leak: the key of a task does not say whose it is": Bug(
        "tasks/items.py", '{"PK": user.partition, "SK"', '{"PK": "USER#", "SK"', "leak"
    ),
    "a gap: a page goes on one task too far": Bug("dynamodb/pages.py", "encode(found[limit - 1][", "encode(found[-1][", "no order"),
    "an SMS message sent twice: the SDK tries again": Bug(
        "sms/service.py", 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1}', 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}', "sent twice"
    ),
    "one SMS message too many: a limit that counts one less": Bug("dynamodb/records.py", "counter.limit - counter.amount", "counter.limit", "miscounted"),
    "an SMS message of three parts that counts as one": Bug("sms/service.py", "now, parts, settings", "now, 1, settings", "miscounted"),
    "an SMS message that is refused though there is room": Bug(
        "dynamodb/records.py", "    counts = [_count(", "    import time\n    if time.time_ns() % 5 == 0: raise TooManyRequests(60)\n    counts = [_count(", "refused, though"
    ),
    "a list that begins anew on each page": Bug(
        "dynamodb/pages.py", "start = None if cursor is None else", "start = None if cursor is None or not range_.index else", "endless list"
    ),
    "a list of a status that begins anew on each page": Bug(
        "dynamodb/pages.py", "start = None if cursor is None else", "start = None if cursor is None or range_.index else", "endless list"
    ),
    "a change that leaves a task in its list": Bug("dynamodb/updates.py", f"new[name] = {_FORMAT}", "pass", "misplaced"),
    "a change that leaves a task in its place in a list": Bug(
        "dynamodb/updates.py", _FORMAT, 'pattern.format_map({**assumed, **changes, "due_at": assumed["due_at"]})', "out of order"
    ),
    "a change that leaves a task in no list": Bug("dynamodb/updates.py", _FORMAT, 'pattern.format_map({**assumed, **changes, "status": ""})', "no order"),
    "a service unavailable for no reason, after more than a second": Bug(
        "dynamodb/records.py", _CREATE, f"    import time\n    if time.time_ns() % 5 == 0: time.sleep({_LONG}); raise Unavailable\n{_CREATE}", "POST was answered 503"
    ),
    "a key that is busy for a while after its answer": Bug(
        "dynamodb/records.py", _CREATE, f"{_CREATE.replace('return', 'left =')}\n    from chalicelib.problems import Conflict\n    if left and left['expires_at'] > record.now + 86399: raise Conflict\n    return left", "POST was answered 409"
    ),
    "a second answer to a key that is told as the first": Bug("tasks/service.py", 'earlier["created_at"]), True', 'earlier["created_at"]), False', "replayed"),
}  # fmt: skip


def told(bug: Bug) -> list[str]:
    """Return the lines in which crowds at a copy with that bug tell what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder) / "copy")
        file = copy / "chalicelib" / bug.file
        file.write_text(file.read_text().replace(bug.right, bug.wrong))
        command = [sys.executable, "-m", "tests.support.run_histories", str(_SEEDS)]
        try:
            done = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return []
    return [line for line in done.stdout.splitlines() if "weather: " in line]


def misplaced() -> dict[str, int]:
    """Return how often the text that each bug replaces is there, where that is not once: such a bug would not be seeded."""
    counts = {name: (ROOT / "chalicelib" / bug.file).read_text().count(bug.right) for name, bug in BUGS.items()}
    return {name: count for name, count in counts.items() if count != 1}


def main() -> int:
    """Tell of each bug whether it was noticed."""
    if found := misplaced():
        print("Not seeded: these replace a text that is to be there once, and is there so often:", file=sys.stderr)
        print(*(f"    {count}: {name}" for name, count in found.items()), sep="\n", file=sys.stderr)
        return 1
    missed = 0
    for name, bug in BUGS.items():
        lines = told(bug)
        noticed = [line for line in lines if re.search(bug.found, line)]
        missed += not noticed
        print(name, "caught, " + noticed[0] if noticed else f"NOT CAUGHT, but {lines}", sep="\n    ")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
