"""Runs a module as `python -m` does, and ends it, with all that it has started, when the process that wanted it is gone.

The parent holds the other end of standard input; however it dies, that end closes.
"""

import os
import runpy
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, cast


def start(module: str, *arguments: str, log: Path | None = None, env: dict[str, str] | None = None) -> Popen[bytes]:
    """Start a module in a process group of its own, so that Ctrl-C reaches it only through us."""
    with log.open("ab") if log else nullcontext() as output:
        return Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", "tools.local.child_process", module, *arguments],
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | (env or {}),
            stdin=PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop(process: Popen[bytes], seconds: float = 60) -> None:
    """Ask the process and all that it has started to end, and wait for it; kill it when it does not."""
    try:
        for signal_ in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, signal_)
                process.wait(seconds)
            except ProcessLookupError:
                return
            except TimeoutExpired:
                continue
            return
    finally:
        cast("IO[bytes]", process.stdin).close()


def _end_with_the_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)


def main() -> None:
    """Run the module in the arguments."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started our parent with it ignored
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
