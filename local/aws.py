"""The AWS on this machine, ministack: started by the first server that needs it, shared by all, ended with the last.

Each of them holds a shared lock on a file; the AWS waits until it gets that lock for itself. The system gives a lock back
however a process ends, so that nothing is left running.
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
from contextlib import contextmanager
from pathlib import Path

from local import environment
from local.environment import HOME, HOST, ROOT, LocalError, answers

_PATIENCE = 120  # seconds; a process that ends is noticed at once
_LOG = HOME / "aws.log"
_IN_USE = HOME / "aws.lock"
_STARTING = HOME / "start.lock"


@contextmanager
def running(prepare: Callable[[], dict[str, str]]) -> Iterator[None]:
    """Run the AWS for the length of a block, with the environment variables that lead there set; raises LocalError.

    Where none runs, one is started, with what it was told before, and `prepare` is called to deploy what is missing; it
    returns the settings that come out of that.
    """
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with locked(_IN_USE, fcntl.LOCK_SH):
            with locked(_STARTING, fcntl.LOCK_EX):
                try:
                    environment.join()
                except LocalError:
                    _start(prepare)
            yield
    finally:
        _await_the_end()


def is_running() -> bool:
    """Return whether the AWS answers that this process has started or joined."""
    port = os.environ.get("AWS_ENDPOINT_URL", "").rpartition(":")[2]
    with socket.socket() as probe:
        return port.isdecimal() and probe.connect_ex((HOST, int(port))) == 0


def _start(prepare: Callable[[], dict[str, str]]) -> None:
    port = environment.port("AWS_PORT", os.environ.get("AWS_PORT", "4566"))
    require_free_port(port, "AWS_PORT={0} make run, or AWS_PORT={0} chalice local")
    variables = environment.choose(port)
    print("Starting AWS on this machine (ministack) ...", flush=True)
    with _LOG.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "local.aws", str(port)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    await_answer(process, f"http://{HOST}:{port}/_ministack/ready", f"The local AWS does not start; {_LOG} tells why.")
    environment.announce(variables | prepare())


def require_free_port(port: int, other: str) -> None:
    """Raise LocalError where somebody else listens on that port; `other` says how to choose another one, {0}."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            message = f"Port {port} is in use. Choose another one: {other.format(port + 1)}"
            raise LocalError(message) from error


def await_answer(process: "subprocess.Popen[bytes]", url: str, otherwise: str) -> None:
    """Wait until a server answers; raises LocalError when it ends or takes too long."""
    for _ in range(_PATIENCE * 10):
        if process.poll() is not None:
            break
        try:
            answers(url)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise LocalError(otherwise)


def _await_the_end() -> None:
    """Wait until the AWS has written what it holds and has ended, unless somebody else uses it."""
    for _ in range(_PATIENCE * 10):
        try:
            with locked(_IN_USE, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not is_running():
                    return
        except BlockingIOError:  # the AWS has the lock, or others share it
            if _is_used():
                return
        time.sleep(0.1)


def _is_used() -> bool:
    try:
        with locked(_IN_USE, fcntl.LOCK_SH | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file for the length of a block; raises BlockingIOError where it is taken and `how` has LOCK_NB."""
    with path.open("w") as lock:
        fcntl.flock(lock, how)
        yield


def _end_with_the_last_user() -> None:
    with locked(_IN_USE, fcntl.LOCK_EX):  # until this process is gone: the next one waits for what it writes
        environment.leave()
        for signal_ in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(0, signal_)
            time.sleep(_PATIENCE / 2)


def main(port: str) -> None:
    """Run ministack behind that port of this machine alone; IAM and Cognito check as on AWS."""
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
    threading.Thread(target=_end_with_the_last_user, daemon=True).start()
    del sys.argv[1:]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
