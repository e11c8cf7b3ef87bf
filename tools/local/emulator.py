"""The local AWS (ministack): started by the first server that needs it, shared by all, ended with the last one.

Three file locks, which the system releases however a process ends:
- aws.lock is shared by the servers; the emulator waits for it exclusively, and then ends;
- alive.lock is held by the emulator while it lives, and contains its process id;
- start.lock is held while a server starts or joins the emulator.
"""

import fcntl
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.errors import CommandError
from tools.local import settings
from tools.local.settings import HOME, HOST
from tools.stages import ROOT, set_aws_variables

TIMEOUT = 120  # seconds; the end of a process is noticed at once
LOG = HOME / "aws.log"
_USED = HOME / "aws.lock"
_ALIVE = HOME / "alive.lock"
_STARTING = HOME / "start.lock"


@contextmanager
def start_or_join(port: int, prepare: Callable[[], dict[str, str]]) -> Iterator[None]:
    """Provide the local AWS within a `with` block, and set the environment variables that lead to it; raises CommandError.

    If none is running, start one on that port with the data of its last run. `prepare` then deploys what is missing, sets
    the settings that result, and returns them.
    """
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with hold_lock(_USED, fcntl.LOCK_SH):
            with hold_lock(_STARTING, fcntl.LOCK_EX):
                try:
                    connect()
                except CommandError:
                    _start(port, prepare)
            yield
    finally:
        _await_end()


def connect() -> dict[str, str]:
    """Set and return the environment variables that lead to the running local AWS; raises CommandError without one."""
    variables = settings.read_published() if is_alive() else {}
    try:
        _await_health(f"{variables['AWS_ENDPOINT_URL']}/_ministack/health")
    except (OSError, ValueError, KeyError) as error:
        message = "Nothing is running here. Start it with `make run` or `chalice local`, in another terminal."
        raise CommandError(message) from error
    set_aws_variables(variables)
    return variables


def fetch(url: str | urllib.request.Request) -> bytes:
    """Return the response body of a server on this machine; raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as response:  # a refused connection fails at once
        body: bytes = response.read()
    return body


def is_alive() -> bool:
    """Return whether the local AWS of this checkout is running."""
    return not _is_free(_ALIVE, fcntl.LOCK_SH)  # shared, so that processes that check do not block each other


def require_free_port(host: str, port: int, commands: str) -> None:
    """Raise CommandError if the port is in use; the commands choose another port, which replaces {0} in them."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"Port {port} is in use. Choose another one: {commands.format(port + 1)}"
            raise CommandError(message) from error


def await_response(process: "subprocess.Popen[bytes]", url: str, failure: str, seconds: float = TIMEOUT) -> None:
    """Wait for the first response of a server; raises CommandError with the failure when it ends or takes longer."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            fetch(url)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise CommandError(failure)


@contextmanager
def hold_lock(path: Path, mode: int) -> Iterator[None]:
    """Hold a file lock within a `with` block; raises BlockingIOError if it is taken and the mode has LOCK_NB."""
    with path.open("a+") as lock:
        fcntl.flock(lock, mode)
        yield


def _await_health(url: str) -> None:
    """Wait for the response of a running emulator, which may be busy; raises OSError if it ends or takes too long."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            fetch(url)
        except OSError:
            if not is_alive() or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _start(port: int, prepare: Callable[[], dict[str, str]]) -> None:
    _end_orphan()
    require_free_port(HOST, port, "AWS_PORT={0} make run, or AWS_PORT={0} chalice local")
    variables = settings.aws_variables(port)
    set_aws_variables(variables)
    print("Starting AWS on this machine (ministack) ...", flush=True)
    with LOG.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "tools.local.emulator", str(port)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        failure = f"The local AWS did not start; {LOG} says why. Fix it, then start again."
        await_response(process, f"http://{HOST}:{port}/_ministack/ready", failure)
        settings.publish(variables | prepare())
    except BaseException:  # also Ctrl-C: another process may be waiting to start one
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(TIMEOUT)
        raise


def _end_orphan() -> None:
    """End an emulator whose start was killed before others could join it; raises CommandError if it does not end."""
    began = time.monotonic()
    while is_alive():
        waited = time.monotonic() - began
        if waited > TIMEOUT:
            message = f"The local AWS of an earlier start does not end. Kill the process in {_ALIVE}, then start again."
            raise CommandError(message)
        with suppress(ProcessLookupError, ValueError):
            os.killpg(int(_ALIVE.read_text()), signal.SIGTERM if waited < TIMEOUT / 2 else signal.SIGKILL)
        time.sleep(0.2)


def _await_end() -> None:
    """Wait until the emulator has saved its data and ended, unless other servers use it."""
    while is_alive():
        if not _is_free(_USED, fcntl.LOCK_EX) and _is_free(_USED, fcntl.LOCK_SH):
            return  # held by other servers: the emulator would hold it exclusively
        time.sleep(0.1)


def _is_free(path: Path, mode: int) -> bool:
    """Return whether this process could take the lock, shared or exclusively."""
    try:
        with hold_lock(path, mode | fcntl.LOCK_NB):
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False


def _end_with_last_server() -> None:
    with hold_lock(_USED, fcntl.LOCK_EX):  # until this process ends: the next start waits until the data is saved
        settings.unpublish()
        for signal_ in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(0, signal_)
            time.sleep(TIMEOUT / 2)


def main(port: str) -> None:
    """Run ministack on that port, on loopback only; its IAM and Cognito check permissions as AWS does."""
    with hold_lock(_ALIVE, fcntl.LOCK_EX):
        _ALIVE.write_text(str(os.getpid()))
        threading.Thread(target=_end_with_last_server, daemon=True).start()
        os.environ |= {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": port,
            "IOT_MTLS_ENABLED": "0",  # would open a second port to the network
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(HOME / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(HOME / "s3"),
            "LOG_LEVEL": "WARNING",
        }
        from tools.local import sign_in_session  # noqa: PLC0415 - it imports ministack, which reads these variables

        sign_in_session.apply()
        del sys.argv[1:]
        runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
