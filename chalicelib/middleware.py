"""The one middleware: bounds each request, turns what went wrong into its answer, and writes the one log line."""

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from chalice import Response
from chalice.app import Request

from chalicelib import aws, web
from chalicelib.call import call
from chalicelib.deadline import DeadlineReached, Result, within
from chalicelib.problems import (
    Forbidden,
    Internal,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from chalicelib.web import CORS

LONGEST = 8.0  # seconds; clients and the gateway give up later
MARGIN = 0.5  # seconds between the deadline and the end of the function, after which nobody could answer

Next = Callable[[Request | None], Response]


def answer(request: Request | None, get_response: Next) -> Response:
    """Answer a request, whatever happens on the way."""
    if request is None:  # no HTTP request: somebody has invoked the function by hand
        return get_response(request)
    started = time.perf_counter()
    call.begin(request)
    cause: BaseException | None = None
    try:
        response = within(_seconds_left(request.lambda_context), lambda: get_response(request))
        if call.failure or (response.status_code >= Malformed.status and not isinstance(response.body, str)):
            cause = call.failure
            response = _ours(response).response(call.id)  # this is what Chalice makes of an error
        else:
            response = web.written(response)
    except Problem as problem:
        cause = problem
        response = problem.response(call.id)
    except DeadlineReached as reached:
        cause = reached
        response = Unavailable().response(call.id)
    except Exception as escaped:  # noqa: BLE001 - from Chalice itself, over an event that it did not expect
        cause = escaped
        response = Internal().response(call.id)
    response.headers |= headers(call.id)
    _log(request, response, time.perf_counter() - started, cause)
    return response


def bounded(work: Callable[[], Result]) -> Result:
    """Do what is no HTTP request, such as an authorizer's work, within the time of one; raises Unavailable when it is up."""
    try:
        return within(LONGEST, work)
    except DeadlineReached as reached:
        raise Unavailable from reached


def headers(request_id: str) -> dict[str, str]:
    """Return what every answer carries."""
    common = {"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return common | CORS.get_access_control_headers()


class Failures(logging.Handler):
    """Keeps the exception of a view for the log line: Chalice logs it and makes an answer of it before a middleware can."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take the exception of Chalice's own log record, whose text is not ours to write."""
        call.failure = record.exc_info[1] if record.exc_info else None


def _seconds_left(context: Any) -> float:
    left = float(context.get_remaining_time_in_millis()) / 1000 - MARGIN
    return max(0.001, min(LONGEST, left))  # no time at all would mean for ever


def _ours(response: Response) -> Problem:
    """Return the problem of the status of an error of Chalice, whose text is not shown."""
    if response.status_code == MethodNotAllowed.status:
        allow = str(response.headers["Allow"])  # nothing, where no route has this path
        return MethodNotAllowed(allow) if allow else NotFound()
    if response.status_code == UnsupportedMediaType.status:
        return UnsupportedMediaType()
    ours = (Malformed(), Unauthorized("a token that this route takes"), Forbidden(), NotFound())
    return next((problem for problem in ours if problem.status == response.status_code), Internal())


def _log(request: Request, response: Response, seconds: float, cause: BaseException | None) -> None:
    line = {
        "request_id": call.id,
        "method": request.method,
        "route": request.path,
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
    }
    if call.outcome:
        line["outcome"] = call.outcome
    if response.status_code >= Internal.status:
        line["errors"] = [_described(error) for error in _chain(cause)]
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")  # in one piece: it is a log event
    sys.stdout.flush()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _described(error: BaseException) -> dict[str, object]:
    """Return type and frames: the text of an exception may hold what a client sent."""
    described: dict[str, object] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, ClientError) and re.fullmatch(r"[A-Za-z]{1,64}", aws.code(error)):
        described["code"] = aws.code(error)
    described["frames"] = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return described
