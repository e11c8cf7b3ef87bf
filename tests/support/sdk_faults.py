"""Fault injection in this process, between botocore and moto; faults.py explains when to use which injector."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from chalicelib import aws
from chalicelib.config import settings
from chalicelib.dynamodb import table
from tests.support.faults import dynamodb_error

Result = TypeVar("Result")
Fault = Callable[[AWSRequest], AWSResponse | None]
"""Handles one attempt of the SDK: returns a response, raises, or returns None for the response of moto."""


def use_fresh_client(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the app a new DynamoDB client, whose retry quota is full, for one test; return the client."""
    client = aws.client("dynamodb", region_name=settings.region, config=table.CONFIG)
    monkeypatch.setattr(table, "client", client)
    return client


class Deadline:
    """A fake deadline and clock: time passes only by the pauses between two attempts."""

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
    """Inject these faults into the next attempts, one each; yield the list of attempted operations."""
    attempts: list[str] = []
    remaining = list(reversed(faults))
    busy = threading.Lock()  # the board calls from several threads at once

    def inject(request: AWSRequest, event_name: str, **_: object) -> AWSResponse:
        if not busy.acquire(blocking=False):  # a call that a fault makes itself meets no fault
            return _moto(request)
        try:
            attempts.append(event_name.rpartition(".")[2])
            return (remaining.pop()(request) if remaining else None) or _moto(request)
        finally:
            busy.release()

    events: Any = (client or table.client).meta.events
    events.unregister("before-send", botocore_stubber)  # botocore calls every handler, and moto would write
    events.register("before-send", inject)
    try:
        yield attempts
    finally:
        events.unregister("before-send", inject)
        events.register("before-send", botocore_stubber)


def _moto(request: AWSRequest) -> AWSResponse:
    return cast("AWSResponse", botocore_stubber("before-send", cast("Any", request)))


def in_another_thread(call: Callable[[], Result]) -> Result:
    """Call a function in another thread and return its result."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(call).result()


def lost_before(request: AWSRequest) -> AWSResponse:
    """Lose the request: DynamoDB writes nothing."""
    raise ConnectionClosedError(endpoint_url=str(request.url))


def lost_after(then: Callable[[], Any] = lambda: None, error: Exception | None = None) -> Fault:
    """Lose the response: DynamoDB writes, then `then` runs, then the SDK sees a closed connection."""

    def fault(request: AWSRequest) -> AWSResponse:
        _moto(request)
        in_another_thread(then)
        raise error or ConnectionClosedError(endpoint_url=str(request.url))

    return fault


def delivered_twice(request: AWSRequest, then: Callable[[], Any] = lambda: None) -> AWSResponse:
    """Deliver the request twice, with `then` in between, and return the second response; the SDK sees one attempt."""
    _moto(request)
    in_another_thread(then)
    return _moto(request)


def respond_with(status: int, body: bytes) -> Fault:
    """Send this response; DynamoDB writes nothing."""

    def fault(request: AWSRequest) -> AWSResponse:
        return AWSResponse(str(request.url), status, HTTPHeaders(), Body(body))

    return fault


def refused(code: str, status: int = 400, **members: str) -> Fault:
    """Respond with an error of DynamoDB; members are JSON."""
    return respond_with(status, dynamodb_error(code, **{name: json.loads(value) for name, value in members.items()}))


class Body:
    """The part of a response body that botocore uses."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._content

    def read(self) -> bytes:
        return self._content
