"""Local API Gateway: a WSGI application that turns each HTTP request into a Lambda event and calls the app with it.

waitress parses HTTP: connections, chunked bodies, `Expect: 100-continue`, sizes. Chalice's local gateway builds the events
and responds to preflight requests. Where a client would see a difference from API Gateway, this module corrects Chalice:
- a path must match exactly: no trailing slash, no double slash, no parameters after a semicolon;
- HEAD and unknown paths are 404: Chalice's own response repeats the client's Authorization header;
- the app verifies the token, where Chalice's local authorizer accepts any;
- a request in a thread is ended at its deadline from outside: the app's own deadline is a signal, which reaches only the
  main thread.
"""

import base64
import queue
import threading
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import waitress
from chalice import Chalice, local
from chalice.config import Config
from waitress import utilities

from chalicelib import deadline
from chalicelib.http import api
from chalicelib.problems import BodyTooLarge, MalformedRequest, NotFound, Problem, Unavailable
from tools.local import request_lines

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_HEADER_BYTES = 10_240
"""Limits of API Gateway (API Gateway Developer Guide, "Quotas for configuring and running a REST API")."""

_THREADS = 64
_KNOWN_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_Response = dict[str, Any]


class Gateway(local.LocalGateway):
    """Chalice's local gateway, corrected."""

    def __init__(self, app: Chalice, config: Config) -> None:
        super().__init__(app, config)
        self._authorizer = _NoAuthorizer(app)

    def handle_request(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> _Response:
        """Return the app's response to a request, as Lambda returns it; raises nothing."""
        if method == "HEAD" or not self._is_known(path.partition("?")[0]):
            return _problem_response(NotFound())
        if method not in _KNOWN_METHODS:
            method = "UNKNOWN"  # the app responds with 405; the client's own word is not logged

        def respond() -> _Response:
            request_lines.path.set(path.partition("?")[0])
            response: _Response = super(Gateway, self).handle_request(method, path, headers, body)
            return response

        if threading.current_thread() is threading.main_thread():  # the app's own deadline works here
            return respond()
        responses: queue.Queue[_Response] = queue.Queue()
        threading.Thread(target=lambda: responses.put(respond()), daemon=True).start()
        try:
            return responses.get(timeout=deadline.REQUEST_TIMEOUT)
        except queue.Empty:
            return _problem_response(Unavailable())

    def _autogen_options_headers(self, lambda_event: dict[str, Any]) -> dict[str, Any]:
        headers: dict[str, Any] = super()._autogen_options_headers(lambda_event)
        return headers | api.allow(lambda_event["headers"].get("origin"))

    def _is_known(self, path: str) -> bool:
        if "//" in path or (path != "/" and path.endswith("/")) or any(character in path for character in ";#"):
            return False
        try:
            self.event_converter.create_lambda_event("GET", path, {})
        except ValueError:
            return False
        return True


class _NoAuthorizer(local.LocalGatewayAuthorizer):
    def authorize(self, _path: str, event: dict[str, Any], context: Any) -> tuple[dict[str, Any], Any]:
        return event, context


def serve(app: Chalice, config: Config, host: str, port: int) -> None:
    """Serve the app over HTTP until KeyboardInterrupt or SystemExit."""
    # For its side effect: it makes current_request thread-local.
    local.create_local_server(app, config, host, 0).server.server_close()
    waitress.serve(
        _wsgi(Gateway(app, config)),
        host=host,
        port=port,
        threads=_THREADS,
        ident=None,
        max_request_body_size=MAX_BODY_BYTES,
        _quiet=True,
    )


def _wsgi(gateway: Gateway) -> Callable[..., list[bytes]]:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        target = environ["REQUEST_URI"]
        if not target.startswith("/"):  # absolute form, which clients send to a proxy (RFC 9112, 3.2.2)
            parts = urlsplit(target)
            target = parts._replace(scheme="", netloc="").geturl() or "/"
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        sizes = len(target), sum(len(name) + len(value) for name, value in headers.items())
        for size, status in zip(
            sizes, (HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), strict=True
        ):
            if size > MAX_HEADER_BYTES:
                start_response(f"{status.value} {status.phrase}", [("Content-Type", "text/plain")])
                return [status.phrase.encode()]
        body = environ["wsgi.input"].read() or None
        return _send(gateway.handle_request(environ["REQUEST_METHOD"], target, headers, body), environ, start_response)

    return application


def _send(response: _Response, environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    body = response["body"] or ""
    if response.get("isBase64Encoded"):
        body = base64.b64decode(body)
    content = body if isinstance(body, bytes) else body.encode()
    headers = [(name, str(value)) for name, value in response["headers"].items()]
    headers += [(name, value) for name, values in response["multiValueHeaders"].items() for value in values]
    start_response(_status_line(response), headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]


def _status_line(response: _Response) -> str:
    status = HTTPStatus(response["statusCode"])
    return f"{status.value} {status.phrase}"


def _problem_response(problem: Problem) -> _Response:
    request_id = str(uuid.uuid4())
    response = problem.response(request_id)
    response.headers |= api.headers(request_id)
    return response.to_dict()


def _invalid_request_response(error: utilities.Error, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return what waitress sends for invalid HTTP: a problem that repeats nothing of the request."""
    if error.code == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:  # request line and headers together
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return f"{status.value} {status.phrase}", [("Content-Type", "text/plain")], status.phrase.encode()
    problem = (
        BodyTooLarge() if error.code == BodyTooLarge.status else MalformedRequest("The request must be valid HTTP/1.1.")
    )
    response = _problem_response(problem)
    return _status_line(response), list(response["headers"].items()), response["body"].encode()


utilities.Error.to_response = _invalid_request_response
