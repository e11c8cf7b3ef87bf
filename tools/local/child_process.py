"""Runs a module as `python -m` does, and ends it and everything it started when its parent process ends.

The parent holds the other end of standard input, which closes however the parent ends.
"""

import os
import runpy
import signal
import sys
import threading
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO, cast

from tools.stages import ROOT


def start(module: str, *arguments: str) -> Popen[bytes]:
    """Start a module in a process group of its own, which Ctrl-C in the terminal does not reach."""
    return Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", "tools.local.child_process", module, *arguments],
        cwd=ROOT,
        stdin=PIPE,
        start_new_session=True,
    )


def stop(process: Popen[bytes], seconds: float = 60) -> None:
    """Terminate the process and everything it started, and wait for it; kill it after the timeout."""
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


def _end_with_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)


def main() -> None:
    """Run the module that the arguments name."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the parent with SIGINT ignored
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
