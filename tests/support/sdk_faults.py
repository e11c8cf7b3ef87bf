"""A network between boto3 and moto that loses answers, refuses, hangs and garbles, to order."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from chalicelib.config import settings
from chalicelib.dynamodb import table

Result = TypeVar("Result")
Fault = Callable[[AWSRequest], AWSResponse | None]
"""What happens to one attempt: an answer, an exception, or None for what moto says."""


def use_fresh_client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the app use a client of its own for a test, whose quota of retries no other test has used up; return it."""
    client = boto3.client("dynamodb", region_name=settings.region, config=table.CONFIG)
    monkeypatch.setattr(table, "client", client)
    return client


class Deadline:
    """A deadline for further attempts by a clock that stands still, and moves on with each pause between two attempts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 8) -> None:
        self.left = seconds
        self.pauses: list[float] = []
        monkeypatch.setattr(table, "seconds_left", lambda: self.left)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.left -= seconds
        self.pauses.append(seconds)


@contextmanager
def network(*faults: Fault, client: Any = None) -> Iterator[list[str]]:
    """Do this to the attempts that follow, one each, and let the rest pass; gives the operations as they were attempted."""
    attempts: list[str] = []
    waiting = list(reversed(faults))
    busy = threading.Lock()  # the board calls from several threads at once

    def meet(request: AWSRequest, event_name: str, **_: object) -> AWSResponse:
        if not busy.acquire(blocking=False):  # what a fault does itself is not disturbed
            return _moto(request)
        try:
            attempts.append(event_name.rpartition(".")[2])
            return (waiting.pop()(request) if waiting else None) or _moto(request)
        finally:
            busy.release()

    events: Any = (client or table.client).meta.events
    events.unregister("before-send", botocore_stubber)  # botocore asks every handler, and moto writes what it is asked
    events.register("before-send", meet)
    try:
        yield attempts
    finally:
        events.unregister("before-send", meet)
        events.register("before-send", botocore_stubber)


def _moto(request: AWSRequest) -> AWSResponse:
    return cast("AWSResponse", botocore_stubber("before-send", cast("Any", request)))


def elsewhere(then: Callable[[], Result]) -> Result:
    """Let somebody else do something, in another thread, and return what came of it."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(then).result()


def lost_before(request: AWSRequest) -> AWSResponse:
    """Lose the request: nothing is written."""
    raise ConnectionClosedError(endpoint_url=str(request.url))


def lost_after(then: Callable[[], Any] = lambda: None, error: Exception | None = None) -> Fault:
    """Lose the answer: all is written, and then something else happens before the next attempt."""

    def fault(request: AWSRequest) -> AWSResponse:
        _moto(request)
        elsewhere(then)
        raise error or ConnectionClosedError(endpoint_url=str(request.url))

    return fault


def delivered_twice(request: AWSRequest, then: Callable[[], Any] = lambda: None) -> AWSResponse:
    """Carry out the request twice, and something else in between, and pass on the second response.

    The SDK knows of one attempt and retries nothing.
    """
    _moto(request)
    elsewhere(then)
    return _moto(request)


def answered(status: int, body: bytes) -> Fault:
    """Answer this, and write nothing."""

    def fault(request: AWSRequest) -> AWSResponse:
        return AWSResponse(str(request.url), status, HTTPHeaders(), Body(body))

    return fault


def refused(code: str, status: int = 400, **members: str) -> Fault:
    """Answer with an error of DynamoDB."""
    rest = "".join(f', "{name}": {value}' for name, value in members.items())
    return answered(
        status, f'{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "secret text"{rest}}}'.encode()
    )


class Body:
    """As much of a body as botocore asks for."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._content

    def read(self) -> bytes:
        return self._content
