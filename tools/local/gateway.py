"""API Gateway on this machine: a WSGI application that makes an event of each HTTP request and calls the app with it.

waitress reads the requests: connections, chunked bodies, `Expect: 100-continue`, sizes. Chalice makes the events and answers
preflights. Where Chalice's local server differs from API Gateway in what a client sees, this is put right here:
- a path matches as it is spelled: no trailing slash, no double slash, no parameters behind a semicolon;
- HEAD is not found, as is an unknown path, which Chalice answers with the client's Authorization header in the body;
- a token is left to the app, which verifies it itself, where Chalice believes any;
- a request is cut off at its deadline from outside: it has a thread of its own, which no signal reaches.
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

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_HEADER_BYTES = 10_240
"""Of API Gateway (API Gateway Developer Guide, "Quotas for configuring and running a REST API")."""

_THREADS = 64
_WELL_KNOWN_METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
_Answer = dict[str, Any]


class Gateway(local.LocalGateway):
    """Chalice's stand-in for API Gateway, brought closer to it."""

    def __init__(self, app: Chalice, config: Config) -> None:
        super().__init__(app, config)
        self._authorizer = _NoAuthorizer(app)

    def handle_request(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> _Answer:
        """Return the app's response to a request, as Lambda returns it; raises nothing."""
        spelled = path.partition("?")[0]
        if method == "HEAD" or not self._is_known(spelled):
            return _refusal(NotFound())
        if method not in _WELL_KNOWN_METHODS:
            method = "UNKNOWN"  # the app knows what is allowed, and what the client calls this one is not logged

        def respond() -> _Answer:
            answer: _Answer = super(Gateway, self).handle_request(method, path, headers, body)
            return answer

        if threading.current_thread() is threading.main_thread():  # where the app's own deadline works
            return respond()
        answers: queue.Queue[_Answer] = queue.Queue()
        threading.Thread(target=lambda: answers.put(respond()), daemon=True).start()
        try:
            return answers.get(timeout=deadline.REQUEST_TIMEOUT)
        except queue.Empty:
            return _refusal(Unavailable())

    def _is_known(self, path: str) -> bool:
        if "//" in path or (path != "/" and path.endswith("/")) or any(sign in path for sign in ";#"):
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
    local.create_local_server(app, config, host, 0).server.server_close()  # which gives each thread its own current_request
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
        if not target.startswith("/"):  # the absolute form, which a client sends to a proxy (RFC 9112, 3.2.2)
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


def _send(answer: _Answer, environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    body = answer["body"] or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body if isinstance(body, bytes) else body.encode()
    headers = [(name, str(value)) for name, value in answer["headers"].items()]
    headers += [(name, value) for name, values in answer["multiValueHeaders"].items() for value in values]
    start_response(f"{answer['statusCode']} {HTTPStatus(answer['statusCode']).phrase}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]


def _refusal(problem: Problem) -> _Answer:
    request_id = str(uuid.uuid4())
    response = problem.response(request_id)
    response.headers |= api.headers(request_id)
    return response.to_dict()


def _refuse(error: utilities.Error, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return what waitress sends for what is no request: a problem, and nothing of what the client sent."""
    problem = (
        BodyTooLarge() if error.code == BodyTooLarge.status else MalformedRequest("The request must be valid HTTP/1.1.")
    )
    answer = _refusal(problem)
    status = HTTPStatus(answer["statusCode"])
    return f"{status.value} {status.phrase}", list(answer["headers"].items()), answer["body"].encode()


utilities.Error.to_response = _refuse
