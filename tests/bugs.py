"""Puts bugs that this project exists to be without into a copy of it, one at a time, and sees that histories.py notices.

`make bugs` tells of each what was found wrong; one that nothing notices is a hole in the tests.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests import conftest  # noqa: F401 - which sets the stage
from tests.stand import copied

_SEEDS = 10


class Bug(NamedTuple):
    """A mistake that somebody could make: in this file, this instead of that."""

    file: str
    right: str
    wrong: str
    found: str
    """How what is found wrong begins."""


BUGS = {
    "a lost update: the tag is compared, and not held in the write": Bug(
        "update.py", "if assumed.versions is not None:", "if False:", "two winners"
    ),
    "a change made twice: a retry does not see that another wrote on top of its own": Bug(
        "update.py", "    conditions.append(f\"#updated_at {'<=' if assumed.one_version else '<'} :updated_at\")\n", "", "no order"
    ),
    "a task created twice: the record of a key gives way to another": Bug(
        "ledger.py", '"attribute_not_exists(PK) OR expires_at <= :now"', '"attribute_not_exists(PK) OR expires_at > :now"', "created twice"
    ),
    "a leak: the key of a task does not say whose it is": Bug(
        "rows.py", '{"PK": {"S": partition(caller)}, "SK": {"S": f"TASK#{task_id}"}}', '{"PK": {"S": "USER#"}, "SK": {"S": f"TASK#{task_id}"}}', "leak"
    ),
    "a gap: a page goes on one task too far": Bug("lists.py", "position(found[limit - 1])", "position(found[-1])", "no order"),
    "a text sent twice: the SDK tries again": Bug(
        "aws.py", 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1}', 'read_timeout=3, retries={"mode": "standard", "total_max_attempts": 3}', "sent twice"
    ),
    "one text too many: a limit that counts one less": Bug("ledger.py", "counter.limit - counter.amount", "counter.limit", "miscounted"),
}  # fmt: skip


def told(bug: Bug) -> list[str]:
    """Return the lines in which crowds at a copy with that bug tell what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder) / "copy")
        file = copy / "chalicelib" / bug.file
        file.write_text(file.read_text().replace(bug.right, bug.wrong))
        done = subprocess.run(
            [sys.executable, "-m", "tests.histories", str(_SEEDS)], cwd=copy, check=False, capture_output=True, text=True
        )
    return [line for line in done.stdout.splitlines() if "weather: " in line]


def main() -> int:
    """Tell of each bug whether it was noticed."""
    missed = 0
    for name, bug in BUGS.items():
        lines = told(bug)
        noticed = [line for line in lines if bug.found in line]
        missed += not noticed
        print(name, "caught, " + noticed[0] if noticed else "NOT CAUGHT", sep="\n    ")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
