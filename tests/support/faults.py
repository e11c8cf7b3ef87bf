"""What may become of one exchange with DynamoDB, SNS or the key server; each is for a plan of a wire of proxy.py."""

import json
import random
import time
from collections.abc import Iterator

from tests.support.proxy import Exchange, Fault, Wire, whole

_DRIP = 0.3  # seconds, far below every timeout of a read, and so that the shortest answer takes longer than any deadline
_LATE = 0.05  # seconds, in which the client tries again, and others write
_OFTEN = 0.35
_PAGE = b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"


def refused(dynamodb: str, sns: str, *, status: int = 400, sns_status: int = 400) -> Fault:
    """Answer with an error in the peer's own form; nothing is done."""

    def fault(exchange: Exchange) -> None:
        if exchange.operation == "Publish":
            error = f"<Error><Type>Sender</Type><Code>{sns}</Code><Message>secret text</Message></Error>"
            body = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{error}</ErrorResponse>'
            exchange.send(whole(sns_status, {"Content-Type": "text/xml"}, body.encode()))
        else:
            told = {"__type": f"com.amazonaws.dynamodb.v20120810#{dynamodb}", "message": "secret text"}
            exchange.send(whole(status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(told).encode()))

    return fault


def conflict(exchange: Exchange, at: int = 0) -> None:
    """Answer that another transaction is at this one of the rows; nothing is done."""
    items = json.loads(exchange.body).get("TransactItems")
    if items is None:
        refused("TransactionConflictException", "")(exchange)
        return
    reasons = [{"Code": "None"} for _ in items]
    reasons[at] = {"Code": "TransactionConflict"}
    told = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": reasons}
    exchange.send(whole(400, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(told).encode()))


def conflict_at_the_last(exchange: Exchange) -> None:
    conflict(exchange, -1)


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def late(exchange: Exchange) -> None:
    """Break the connection, and let the request arrive all the same, a moment later."""
    exchange.reset()
    time.sleep(_LATE)
    exchange.forward()


def cut(exchange: Exchange) -> None:
    """Break off in the middle of the body, which comes with its full length announced."""
    head, _, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + b"\r\n\r\n" + body[: len(body) // 2])
    exchange.reset()


def garbled(exchange: Exchange) -> None:
    """Answer with as many bytes that mean nothing."""
    head, _, body = exchange.forward().partition(b"\r\n\r\n")
    exchange.send(head + b"\r\n\r\n" + random.Random(0).randbytes(len(body)))  # noqa: S311 - no secret


def page(exchange: Exchange) -> None:
    exchange.forward()
    exchange.send(whole(200, {"Content-Type": "text/html"}, _PAGE))


def hang_before(exchange: Exchange) -> None:
    exchange.until_given_up()
    exchange.end()


def hang_after(exchange: Exchange) -> None:
    exchange.forward()
    exchange.until_given_up()
    exchange.end()


def drip(exchange: Exchange) -> None:
    """Answer a byte now and then, too often for the timeout of a read and too slowly for the deadline."""
    for byte in exchange.forward():
        exchange.send(bytes([byte]))
        if exchange.until_given_up(_DRIP):
            break
    exchange.end()


throttled = refused("ThrottlingException", "Throttling")
over_capacity = refused("ProvisionedThroughputExceededException", "Throttled", sns_status=429)
rejected = refused("", "InvalidParameter")  # a number that SNS does not serve
failed = refused("InternalServerError", "InternalError", status=500, sns_status=500)

_QUICK: list[Fault] = [throttled, failed, reset_before, reset_after, cut, garbled, page]
_OVERTAKEN: list[Fault] = [*_QUICK, late]
_WEATHER = {
    "PutItem": _QUICK,  # a new row that comes late cannot tell that it was deleted meanwhile
    "Publish": _QUICK,  # a text is not to be had back
    "TransactWriteItems": [*_OVERTAKEN, conflict, conflict_at_the_last],
    "GetItem": _OVERTAKEN,
    "Query": _OVERTAKEN,
    "UpdateItem": _OVERTAKEN,
    "DeleteItem": _OVERTAKEN,
}


def weather(wire: Wire, seed: object) -> None:
    """Let things happen to every operation again and again, by its own dice."""

    def faults(dice: random.Random, kinds: list[Fault]) -> Iterator[Fault | None]:
        while True:
            yield dice.choice(kinds) if dice.random() < _OFTEN else None

    for operation, kinds in _WEATHER.items():
        wire.plan(operation, faults(random.Random(f"{seed} {operation}"), kinds))  # noqa: S311 - weather
