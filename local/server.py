"""The API on this machine: `chalice local`, started again whenever a file of it changes."""

import logging
import shlex
import sys
from pathlib import Path

from watchfiles import run_process

from local.environment import HOST, ROOT, STAGE

_WATCHED = [ROOT / path for path in ("app.py", "chalicelib", ".chalice/config.json", "local/gateway.py")]


def main(port: str) -> None:
    """Serve on that port until a signal comes."""
    logging.getLogger("watchfiles").addHandler(logging.NullHandler())  # it has a word for every signal
    chalice = str(Path(sys.executable).with_name("chalice"))
    command = [chalice, "local", "--no-autoreload", "--stage", STAGE, "--host", HOST, "--port", port]
    run_process(*_WATCHED, target=shlex.join(command), target_type="command")


if __name__ == "__main__":
    main(sys.argv[1])
