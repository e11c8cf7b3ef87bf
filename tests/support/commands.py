"""Runs commands of `python -m tools` in forks of one process that has their imports, since imports take longer than most commands.

Run as `python -m tests.support.commands`: each input line is a command, each output line its status, output and errors.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parent.parent.parent
_lock = threading.Lock()


def run(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m tools` with these arguments, as `subprocess.run` would in that folder and environment."""
    with _lock:
        process = _process()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([list(arguments), str(folder), environment]) + "\n")
        process.stdin.flush()
        status, output, errors = json.loads(process.stdout.readline())
    return subprocess.CompletedProcess(arguments, status, output, errors)


@cache
def _process() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.commands"]
    process = subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        assert stream
        stream.close()
    process.wait()


def main() -> None:
    """Serve until standard input ends."""
    import boto3  # noqa: F401, PLC0415 - only this process needs them
    import pycognito.aws_srp  # noqa: F401, PLC0415

    for line in sys.stdin:
        arguments, folder, environment = json.loads(line)
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                os._exit(_status(arguments, folder, environment, output, errors))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            outputs = []
            for file in (output, errors):
                file.seek(0)
                outputs.append(file.read())
        print(json.dumps([status, *outputs]), flush=True)


def _status(arguments: list[str], folder: str, environment: dict[str, str], output: IO[Any], errors: IO[Any]) -> int:
    """Run a command in this process, which ends after it, and return its exit status."""
    with open(os.devnull) as null:  # noqa: PTH123 - not a file of the project
        for number, file in enumerate((null, output, errors)):
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tools"]:
        del sys.modules[name]  # they read the environment at import
    sys.path[0] = folder
    sys.argv = ["tools", *arguments]
    try:
        runpy.run_module("tools", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        status = 1
    else:
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
