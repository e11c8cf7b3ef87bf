"""The AWS on this machine, ministack: started by the first server that needs it, shared by all, ended with the last.

Three locks on files, which the system gives back however a process ends:
- aws.lock is shared by the servers; the AWS waits until it gets it for itself, and then ends;
- alive.lock is held by the AWS for as long as it lives, and has its process id;
- start.lock is held while a server joins or starts the AWS.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools import environment
from tools.environment import HOME, HOST, ROOT, LocalError, answers

PATIENCE = 120  # seconds; a process that ends is noticed at once
_LOG = HOME / "aws.log"
_USED = HOME / "aws.lock"
_ALIVE = HOME / "alive.lock"
_STARTING = HOME / "start.lock"


@contextmanager
def running(port: int, prepare: Callable[[], dict[str, str]]) -> Iterator[None]:
    """Run the AWS for the length of a block, with the environment variables that lead there set; raises LocalError.

    Where none runs, one is started behind that port, with what it was told before, and `prepare` is called to deploy what is
    missing; it returns the settings that come out of that.
    """
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with locked(_USED, fcntl.LOCK_SH):
            with locked(_STARTING, fcntl.LOCK_EX):
                try:
                    join()
                except LocalError:
                    _start(port, prepare)
            yield
    finally:
        _await_the_end()


def join() -> dict[str, str]:
    """Return the variables that lead to the AWS that runs, once they are set here; raises LocalError if none does."""
    variables = environment.announced() if is_alive() else {}
    try:
        _await_health(f"{variables['AWS_ENDPOINT_URL']}/_ministack/health")
    except (OSError, ValueError, KeyError) as error:
        message = "Nothing is running here. Start it with `make run` or `chalice local`, in another terminal."
        raise LocalError(message) from error
    environment.use(variables)
    return variables


def _await_health(url: str) -> None:
    """Wait for the answer of an AWS that lives but may be busy; raises OSError where it ends or takes too long."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            answers(url)
        except OSError:
            if not is_alive() or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def is_alive() -> bool:
    """Return whether an AWS of this checkout lives."""
    return not _is_free(_ALIVE, fcntl.LOCK_SH)  # shared, so that those who ask do not meet each other


def _start(port: int, prepare: Callable[[], dict[str, str]]) -> None:
    _end_what_was_left()
    require_free_port(HOST, port, "AWS_PORT={0} make run, or AWS_PORT={0} chalice local")
    variables = environment.choose(port)
    print("Starting AWS on this machine (ministack) ...", flush=True)
    with _LOG.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "tools.local.emulator", str(port)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        await_answer(process, f"http://{HOST}:{port}/_ministack/ready", f"The local AWS does not start; {_LOG} tells why.")
        environment.announce(variables | prepare())
    except BaseException:  # also Ctrl-C: others may wait to start one of their own
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        raise


def _end_what_was_left() -> None:
    """End an AWS whose start was killed before others could join it; raises LocalError where it does not end."""
    began = time.monotonic()
    while is_alive():
        waited = time.monotonic() - began
        if waited > PATIENCE:
            message = f"An AWS of an earlier start does not end; its process id is in {_ALIVE}. End it, then start again."
            raise LocalError(message)
        with suppress(ProcessLookupError, ValueError):
            os.killpg(int(_ALIVE.read_text()), signal.SIGTERM if waited < PATIENCE / 2 else signal.SIGKILL)
        time.sleep(0.2)


def require_free_port(host: str, port: int, other: str) -> None:
    """Raise LocalError where somebody else listens on that port; `other` says how to choose another one, {0}."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"Port {port} is in use. Choose another one: {other.format(port + 1)}"
            raise LocalError(message) from error


def await_answer(process: "subprocess.Popen[bytes]", url: str, otherwise: str, seconds: float = PATIENCE) -> None:
    """Wait until a server answers; raises LocalError when it ends or takes longer."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            answers(url)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise LocalError(otherwise)


def _await_the_end() -> None:
    """Wait until the AWS has written what it holds and has ended, unless others use it."""
    while is_alive():
        if not _is_free(_USED, fcntl.LOCK_EX) and _is_free(_USED, fcntl.LOCK_SH):
            return  # others share it; the AWS itself would share with nobody
        time.sleep(0.1)


def _is_free(path: Path, how: int) -> bool:
    """Return whether this process could have the lock, shared or for itself."""
    try:
        with locked(path, how | fcntl.LOCK_NB):
            return True
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file for the length of a block; raises BlockingIOError where it is taken and `how` has LOCK_NB."""
    with path.open("a+") as lock:
        fcntl.flock(lock, how)
        yield


def _end_with_the_last_user() -> None:
    with locked(_USED, fcntl.LOCK_EX):  # until this process is gone: the next one waits for what it writes
        environment.leave()
        for signal_ in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(0, signal_)
            time.sleep(PATIENCE / 2)


def main(port: str) -> None:
    """Run ministack behind that port of this machine alone; IAM and Cognito check as on AWS."""
    with locked(_ALIVE, fcntl.LOCK_EX):
        _ALIVE.write_text(str(os.getpid()))
        threading.Thread(target=_end_with_the_last_user, daemon=True).start()
        _run_ministack(port)


def _run_ministack(port: str) -> None:
    os.environ |= {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": port,
        "IOT_MTLS_ENABLED": "0",  # else a second port, open to the network
        "SFTP_ENABLED": "0",
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(HOME / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(HOME / "s3"),
        "LOG_LEVEL": "WARNING",
    }
    del sys.argv[1:]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
