"""A fuzzer at work on `make run`: for long in `make fuzz`, and in short in test_fuzz.py."""

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests import leaks
from tests.conftest import Watched  # noqa: F401 - which sets the stage that stand.py looks at
from tests.fuzzer import Fuzz
from tests.stand import Stand, copied

ENOUGH = 10_000  # cases of the long run


def stand(folder: Path) -> Stand:
    """Start `make run` for a fuzzer: a copy of it, in which hardly any text is over a limit."""
    copy = copied(folder / "copy")
    config = copy / ".chalice" / "config.json"
    limits = '"(SMS_PER_CLIENT_AND_MINUTE|SMS_PER_NUMBER_AND_HOUR|SMS_PARTS_PER_DAY)": "[0-9]+"'
    config.write_text(re.sub(limits, r'"\1": "1000000"', config.read_text()))
    stand = Stand(folder / "home")
    stand.start(copy)
    return stand


def fuzz(cases: int, examples: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> Fuzz:
    """Start the API, fuzz it, and stop it."""
    before = len(leaks.FOUND)
    with tempfile.TemporaryDirectory() as folder:
        api = stand(Path(folder))
        try:
            found = Fuzz(api.url, api.token("admin"), api.local("machine-token").stdout.strip())
            found.run(cases, examples, seed, tell)
        finally:
            api.stop()
    found.failures += leaks.FOUND[before:]  # in its log
    return found


def main() -> int:
    """Fuzz for long, with other cases each time, or with those of a seed that is named."""
    seed = int(sys.argv[1]) if sys.argv[1:] else int(time.time())
    print(f"Starting the API; then at least {ENOUGH} cases. The same ones again: make fuzz SEED={seed}")
    found = fuzz(ENOUGH, 100, seed, print)
    print(found.report())
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
