"""AWS on this machine: ministack."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

from local import child
from local.environment import HOME, HOST, LocalError, answers

_PATIENCE = 120  # seconds; a process that ends is noticed at once


@contextmanager
def running(port: int) -> Iterator[Popen[bytes]]:
    """Run AWS behind a port of this machine alone, with what it was told before; raises LocalError.

    IAM and Cognito check as on AWS; state is written when it ends, and there first.
    """
    log = HOME / "aws.log"
    process = child.start(
        "ministack",
        log=log,
        env={
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",  # else a second port, open to the network
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(HOME / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(HOME / "s3"),
            "LOG_LEVEL": "WARNING",
        },
    )
    try:
        await_answer(process, f"http://{HOST}:{port}/_ministack/ready", f"The local AWS does not start; {log} tells why.")
        yield process
    finally:
        child.stop(process)


def await_answer(process: Popen[bytes], url: str, otherwise: str) -> None:
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
