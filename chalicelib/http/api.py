"""The app's own `route()` and the middleware around every request: limits, errors as problems, and the log line."""

import functools
import hashlib
import inspect
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import chalice.app
from botocore.exceptions import ClientError
from chalice import Chalice, CORSConfig, Response
from msgspec import Struct

from chalicelib import deadline, log_line
from chalicelib.config import settings
from chalicelib.deadline import DeadlineReached
from chalicelib.http import responses
from chalicelib.http.request import Request
from chalicelib.principals import Machine, User
from chalicelib.problems import (
    Conflict,
    Forbidden,
    Internal,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.values import RateLimit

ORIGINS = settings.web_origin.split(",")
CORS = CORSConfig(
    allow_origin=ORIGINS[0],
    # The last five are sent by tracing libraries (W3C Trace Context and Baggage, Sentry) and by older clients.
    allow_headers=[
        *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
        *("baggage", "sentry-trace", "traceparent", "tracestate", "X-Requested-With"),
    ],
    expose_headers=["ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-Id"],
    max_age=3600,
)

Identify = Callable[[Mapping[str, Any], str], Any]

# AWS X-Ray Developer Guide, "Tracing header". A client can choose it.
_TRACE = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?:;|$)")
_first = iter([True])

_current: ContextVar[Request] = ContextVar("request")


class Declared(Struct, frozen=True):
    """What a route declares that it takes and returns."""

    body: type[Struct] | None
    query: type[Struct] | None
    returns: type | None
    identify: Identify | None
    limits: bool = False


class Api(Chalice):
    """A Chalice app whose routes share CORS, content types, validation and error responses."""

    def __init__(self, app_name: str) -> None:
        super().__init__(app_name, configure_logs=False)
        self.register_middleware(respond, "http")
        # Nothing that app.log is given leaves the function: it may hold what a client sent. The local server shows it.
        self.log.addHandler(logging.NullHandler())
        self.log.propagate = False

    def route(  # noqa: PLR0913 - what a route declares
        self,
        path: str,
        *,
        body: type[Struct] | None = None,
        query: type[Struct] | None = None,
        returns: type | None = None,
        identify: Identify | None = None,
        limits: Callable[[], list[RateLimit]] | None = None,
        **options: Any,
    ) -> Callable[..., Any]:
        """Register a view as Chalice does, and what it takes and returns.

        `body` and `query` are validated before the view runs; without `query` a query string is refused. `returns` is for
        the OpenAPI document, and checked. `limits` returns the limits of the stage for this route, which RateLimit-Policy
        tells clients. The authorizer identifies the caller, or `identify` if it is not one of
        auth/authorizers.py; else this raises TypeError. A view with a parameter named `request` gets the Request. It returns
        a Response, or a body for one with status 200.
        """
        identify = identify or _identify(path, options.get("authorizer"))
        declared = Declared(body, query, returns, identify, limits is not None)
        policy = ", ".join(limit.policy for limit in (limits() if limits else ()))
        policies: dict[str, str | list[str]] = {"RateLimit-Policy": policy} if policy else {}
        # No content types: Chalice accepts `text/plain; application/json` and refuses a type without a body.
        register = super().route(path, **{"cors": CORS, "content_types": []} | options)

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            takes_request = "request" in inspect.signature(view).parameters

            @functools.wraps(view)
            def call(**arguments: Any) -> Response:
                request = _current.get()
                try:
                    if identify:
                        request.principal = identify(request.context, request.header("authorization") or "")
                    request.query = request.read_query(query or Struct)
                    if body:
                        request.body = request.read_body(body)
                    if takes_request:
                        arguments["request"] = request
                    response = _conditional(request, responses.encode(view(**arguments), returns))
                except Problem:
                    raise
                except Exception as error:
                    self.log.exception("The view of %s %s failed", request.method, path)
                    raise _problem_of_status(getattr(error, "STATUS_CODE", Internal.status)) from error
                response.headers |= policies
                return response

            call.declared = declared  # type: ignore[attr-defined]
            register(call)
            return view

        return decorate


def respond(chalice_request: chalice.app.Request | None, get_response: Callable[..., Response]) -> Response:
    """Return the response to a request, whatever happens on the way: the middleware of the app."""
    if chalice_request is None:  # not an HTTP request: the function was invoked by hand
        return get_response(chalice_request)
    started = time.perf_counter()
    request = Request(chalice_request)
    _current.set(request)
    additions = log_line.Additions()
    log_line.current.set(additions)
    cause: BaseException | None = None
    try:
        seconds = deadline.seconds_for(chalice_request.lambda_context)
        response = deadline.run(seconds, get_response, chalice_request)
        if response.status_code >= MalformedRequest.status and not isinstance(response.body, str):
            allow = str(response.headers.get("Allow", ""))  # empty where no route has this path
            problem = MethodNotAllowed(allow) if allow else _problem_of_status(response.status_code)
            response = problem.response(request.id)
    except Problem as problem:
        cause = problem
        response = problem.response(request.id)
    except DeadlineReached as reached:
        cause = reached
        response = Unavailable().response(request.id)
    except Exception as error:  # noqa: BLE001 - from Chalice itself, for an event that it did not expect
        cause = error
        response = Internal().response(request.id)
    response.headers |= headers(request.id, chalice_request.headers.get("origin"))
    if cause is not None and response.status_code >= Internal.status:
        log_line.add_cause(cause)
    _log(request, chalice_request.path, response, time.perf_counter() - started, additions)
    return response


def _identify(path: str, authorizer: Any) -> Identify | None:
    """Return how an authorizer identifies the caller, None without one; raises TypeError for one that cannot."""
    if authorizer is None:
        return None
    identify: Identify | None = getattr(authorizer, "identify", None)
    if identify is None:
        message = f"{path}: use an authorizer of auth/authorizers.py, or pass `identify` to the route."
        raise TypeError(message)
    return identify


def headers(request_id: str, origin: str | None = None) -> dict[str, str]:
    """Return the headers of every response, here to a request from a page of an origin."""
    common = {"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Vary": "Origin"}
    return common | CORS.get_access_control_headers() | allow(origin)


def allow(origin: str | None) -> dict[str, str]:
    """Return the header that allows an origin, if it is one of the stage's; else that of the first one."""
    return {"Access-Control-Allow-Origin": origin if origin in ORIGINS else ORIGINS[0]}


def _conditional(request: Request, response: Response) -> Response:
    """Return 304 in place of a response to GET whose ETag the client already has (RFC 9110, section 13.1.2)."""
    tag = response.headers.get("ETag")
    if request.method == "GET" and isinstance(tag, str) and request.has_version(int(tag.strip('"'))):
        return responses.not_modified(tag)
    return response


def _problem_of_status(status: int) -> Problem:
    """Return the problem for an error of Chalice, or one that a view raised, by its status: its text is not shown."""
    problems = {
        400: MalformedRequest(),
        401: Unauthorized("a token that this route takes"),
        403: Forbidden(),
        404: NotFound(),
        405: NotFound(),
        409: Conflict("The request conflicts with the current state."),
        415: UnsupportedMediaType(),
        422: ValidationFailed([{"pointer": "", "detail": "is not valid"}]),
        429: TooManyRequests(1),
    }
    return problems.get(status, Internal())


def _log(request: Request, route: str, response: Response, seconds: float, additions: log_line.Additions) -> None:
    line: dict[str, object] = {
        "request_id": request.id,
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
    }
    line |= additions.fields
    if request.principal is not None:
        line |= describe_caller(request.principal)
    for kind in sorted({kind for kind, _ in additions.units}):
        line[kind] = sum(units for each, units in additions.units if each == kind)
    if response.headers.get("Idempotency-Replayed"):
        line["replayed"] = True
    if next(_first, False):
        line["cold_start"] = True
    if trace := _TRACE.match(os.environ.get("_X_AMZN_TRACE_ID", "")):
        line["trace_id"] = trace[1]
    if additions.causes:
        line["errors"] = [_describe(error) for cause in additions.causes for error in _chain(cause)]
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")  # one write, so that it is one log event
    sys.stdout.flush()


def describe_caller(principal: User | Machine | str) -> dict[str, object]:
    """Return the kind of a caller, and a hash of it: the same in all lines of a stage, without a name."""
    partition = f"{User.PREFIX}{principal}" if isinstance(principal, str) else principal.partition
    kind = "user" if partition.startswith(User.PREFIX) else "machine"
    key = settings.user_pool_arn[-64:].encode()  # so that no two stages have the same ids
    return {"caller_kind": kind, "caller": hashlib.blake2b(partition.encode(), digest_size=8, key=key).hexdigest()}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _describe(error: BaseException) -> dict[str, object]:
    """Return type and frames of an exception; its text may hold what a client sent."""
    described: dict[str, object] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    if re.fullmatch(r"[A-Za-z]{1,64}", code):
        described["code"] = code
    described["frames"] = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return described
