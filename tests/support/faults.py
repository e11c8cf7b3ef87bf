"""Faults of DynamoDB, SNS and the key server on the network, for the proxy.

There are two fault injectors. This one, with proxy.py, works on real sockets between processes: for timeouts, resets and
workloads against the emulator. sdk_faults.py works in this process between botocore and moto: for one retry at a time.
"""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from tests.support.proxy import Exchange, Fault, Route, http_response

_BYTE_INTERVAL = 0.3  # seconds; below every read timeout, and so long that the shortest response exceeds every deadline
_DELIVERY_DELAY = 0.05  # seconds, in which the client retries and others write
_FAULT_RATE = 0.35
_HTML = b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"


def dynamodb_error(code: str, **members: Any) -> bytes:
    """Return the body of an error of DynamoDB, with a message that must reach no client and no log."""
    return json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "secret text"} | members).encode()


def _send_dynamodb_error(exchange: Exchange, body: bytes, status: int = 400) -> None:
    exchange.send(http_response(status, {"Content-Type": "application/x-amz-json-1.0"}, body))


def service_error(dynamodb: str, sns: str, *, status: int = 400, sns_status: int = 400) -> Fault:
    """Respond with an error code of the service that was called, without forwarding the request."""

    def fault(exchange: Exchange) -> None:
        if exchange.operation == "Publish":
            error = f"<Error><Type>Sender</Type><Code>{sns}</Code><Message>secret text</Message></Error>"
            body = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{error}</ErrorResponse>'
            exchange.send(http_response(sns_status, {"Content-Type": "text/xml"}, body.encode()))
        else:
            _send_dynamodb_error(exchange, dynamodb_error(dynamodb), status)

    return fault


def conflict(exchange: Exchange, item: int = 0) -> None:
    """Respond that another transaction writes this item of the request, without forwarding the request."""
    items = json.loads(exchange.body).get("TransactItems")
    if items is None:
        _send_dynamodb_error(exchange, dynamodb_error("TransactionConflictException"))
        return
    reasons = [{"Code": "None"} for _ in items]
    reasons[item] = {"Code": "TransactionConflict"}
    _send_dynamodb_error(exchange, dynamodb_error("TransactionCanceledException", CancellationReasons=reasons))


def conflict_on_last_item(exchange: Exchange) -> None:
    conflict(exchange, -1)


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def late_delivery(exchange: Exchange) -> None:
    """Reset the connection, and forward the request a moment later."""
    exchange.reset()
    time.sleep(_DELIVERY_DELAY)
    exchange.forward()


def truncated(exchange: Exchange) -> None:
    """Send the first half of the body under its full Content-Length, then reset the connection."""
    head, _, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + b"\r\n\r\n" + body[: len(body) // 2])
    exchange.reset()


def garbled(exchange: Exchange) -> None:
    """Replace the body with as many random bytes."""
    head, _, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + b"\r\n\r\n" + random.Random(0).randbytes(len(body)))  # noqa: S311 - no secret


def html_page(exchange: Exchange) -> None:
    """Replace the response with an HTML page, as a captive portal does."""
    exchange.forward()
    exchange.send(http_response(200, {"Content-Type": "text/html"}, _HTML))


def hang_before(exchange: Exchange) -> None:
    exchange.wait_for_client_close()
    exchange.close()


def hang_after(exchange: Exchange) -> None:
    exchange.forward()
    exchange.wait_for_client_close()
    exchange.close()


def slow_response(exchange: Exchange) -> None:
    """Send the response byte by byte: too fast for the read timeout, too slow for the deadline."""
    for byte in exchange.forward():
        exchange.send(bytes([byte]))
        if exchange.wait_for_client_close(_BYTE_INTERVAL):
            break
    exchange.close()


throttled = service_error("ThrottlingException", "Throttling")
over_capacity = service_error("ProvisionedThroughputExceededException", "Throttled", sns_status=429)
invalid_number = service_error("", "InvalidParameter")
internal_error = service_error("InternalServerError", "InternalError", status=500, sns_status=500)

_FAST: list[Fault] = [throttled, internal_error, reset_before, reset_after, truncated, garbled, html_page]
_FAST_OR_LATE: list[Fault] = [*_FAST, late_delivery]
_RANDOM_FAULTS = {
    "PutItem": _FAST,  # a late Put of a new item would restore a task that was deleted in the meantime
    "Publish": _FAST,  # an SMS message cannot be withdrawn
    "TransactWriteItems": [*_FAST_OR_LATE, conflict, conflict_on_last_item],
    "GetItem": _FAST_OR_LATE,
    "Query": _FAST_OR_LATE,
    "UpdateItem": _FAST_OR_LATE,
    "DeleteItem": _FAST_OR_LATE,
}


def inject_random_faults(route: Route, seed: object) -> None:
    """Let about a third of all requests of a route fail; the seed fixes the sequence of faults of each operation."""

    def faults(rng: random.Random, kinds: list[Fault]) -> Iterator[Fault | None]:
        while True:
            yield rng.choice(kinds) if rng.random() < _FAULT_RATE else None

    for operation, kinds in _RANDOM_FAULTS.items():
        route.plan(operation, faults(random.Random(f"{seed} {operation}"), kinds))  # noqa: S311 - no secret
