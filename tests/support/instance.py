"""Runs warm instances of the Lambda function: one process per connection, one event at a time in its main thread.

Run as `python -m tests.support.instance` in the environment of a stage. The app is imported once, as in a cold start; each
connection forks. Its first line is the URL of DynamoDB and SNS, each further line an event. The reply to an event is one line
with the response and the log.
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

_SLEEP_DIVISOR = 1000
_sleep, _monotonic = time.sleep, time.monotonic


def main() -> None:
    """Serve instances until standard input ends, as it does when the parent ends."""
    stdout, sys.stdout = sys.stdout, io.StringIO()  # drops the log of the cold start
    assert "chalice.local" not in sys.modules  # not shipped
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    app.app(event(claims={"sub": str(uuid.uuid4()), "token_use": "id", "aud": settings.web_client_id}), Context())
    gc.freeze()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stdout.write(f"{listener.getsockname()[1]}\n")
        stdout.flush()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                try:
                    serve(connection)
                finally:
                    os._exit(0)  # does not wait for hanging threads
            connection.close()


def serve(connection: socket.socket) -> None:
    slept = 0.0

    def sleep(seconds: float | SupportsIndex) -> None:
        """Shorten the pauses between attempts, and advance the clock by their full length."""
        nonlocal slept
        slept += float(seconds)
        _sleep(float(seconds) / _SLEEP_DIVISOR)

    time.sleep, time.monotonic = sleep, lambda: _monotonic() + slept
    sys.stdout = sys.stderr = log = io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(log))  # as Lambda's runtime does
    with connection.makefile("rw", encoding="utf-8") as lines:
        redirect_clients(lines.readline().strip())
        for line in lines:
            invocation = json.loads(line)
            response = app.app(invocation["event"], Context(invocation["milliseconds"]))
            lines.write(json.dumps([response, log.getvalue()]) + "\n")
            lines.flush()
            log.seek(0)
            log.truncate()


def redirect_clients(url: str) -> None:
    """Make the DynamoDB and SNS clients send their requests to this URL."""

    def redirect(request: Any, **_: object) -> None:
        request.url = f"{url}/{request.url.split('/', 3)[3]}"

    for client in (table.client, sms.client()):
        client.meta.events.register("before-send.*.*", redirect)


if __name__ == "__main__":
    main()
