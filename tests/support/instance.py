"""The function as Lambda keeps it: each connection is a warm instance, whose main thread answers one event after another.

Run as `python -m tests.support.instance` in the environment of a stage. It imports the app once, as a cold start does; a connection
forks that, sends the address that DynamoDB and SNS are to be found at, and then events, one in each line. Each line that comes
back is an answer and what was written meanwhile, as Lambda would log it.
"""

import gc
import io
import json
import logging
import os
import select
import signal
import socket
import sys
import time
import uuid
from typing import Any, SupportsIndex

import app
from chalicelib.config import settings
from chalicelib.dynamodb import table
from chalicelib.sms import service as sms
from tests.support.events import Context, event

_HASTE = 1000
_sleep, _monotonic = time.sleep, time.monotonic


def main() -> None:
    """Serve instances until standard input ends, as it does when the parent is gone."""
    told, sys.stdout = sys.stdout, io.StringIO()  # the log of the cold start, which tells of nobody
    assert "chalice.local" not in sys.modules  # which is not shipped
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    app.app(event(claims={"sub": str(uuid.uuid4()), "token_use": "id", "aud": settings.web_client_id}), Context())
    gc.freeze()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.write(f"{listener.getsockname()[1]}\n")
        told.flush()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                try:
                    live(connection)
                finally:
                    os._exit(0)  # without waiting for threads that still hang
            connection.close()


def live(connection: socket.socket) -> None:
    waited = 0.0

    def sleep(
        seconds: float | SupportsIndex,
    ) -> None:  # the pauses between attempts prove nothing here, but they bring the deadline nearer
        nonlocal waited
        waited += float(seconds)
        _sleep(float(seconds) / _HASTE)

    time.sleep, time.monotonic = sleep, lambda: _monotonic() + waited
    sys.stdout = sys.stderr = written = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(written))  # as Lambda's runtime does
    with connection.makefile("rw", encoding="utf-8") as lines:
        lead(lines.readline().strip())
        for line in lines:
            asked = json.loads(line)
            answer = app.app(asked["event"], Context(asked["milliseconds"]))
            lines.write(json.dumps([answer, written.getvalue()]) + "\n")
            lines.flush()
            written.seek(0)
            written.truncate()


def lead(url: str) -> None:
    """Lead what the clients send to that address instead."""

    def led(request: Any, **_: object) -> None:
        request.url = f"{url}/{request.url.split('/', 3)[3]}"

    for client in (table.client, sms.client):
        client.meta.events.register("before-send.*.*", led)


if __name__ == "__main__":
    main()
