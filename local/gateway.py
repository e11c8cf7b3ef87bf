"""Makes `chalice local` and Chalice's test client answer as the gateway does; importing it is enough.

What Chalice's stand-in for the gateway does wrong, and what is put in its place:
- it believes any token and drops the connection on a malformed one: the token goes to the app, which verifies it itself;
- it answers an unknown path with a text that repeats the Authorization header: the answer is a problem, as on AWS;
- it has a thread for each connection, which no signal interrupts: the deadline of a request is kept from outside;
- it knows a header by its last line alone: several lines are one list;
- it drops the connection on a length that is none, and takes a chunked body for the next request: both are refused;
- it answers what is no HTTP with a page, and logs it: the answer is a problem, and the app's one log line is enough;
- it sends a body with an answer that has none, and a type with nothing: such an answer is its head alone;
- it sends head and body in two packets, 40 ms apart on a connection that is kept open: in one;
- it lets five clients wait for a connection: a hundred.
"""

import queue
import threading
import uuid
from typing import Any

from chalice import local

from chalicelib import middleware
from chalicelib.problems import Malformed, NotFound, Problem, Unavailable

_UNKNOWN_METHOD = 501
_handle_request = local.LocalGateway.handle_request
_send_with_body = local.ChaliceRequestHandler._send_http_response_with_body  # noqa: SLF001 - the seam that there is


def _pass_on(_self: object, _path: str, event: dict[str, Any], context: object) -> tuple[dict[str, Any], object]:
    return event, context


def _answer(self: local.LocalGateway, method: str, path: str, headers: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    try:
        self.event_converter.create_lambda_event(method=method, path=path, headers={}, body=None)
    except ValueError:
        return _refusal(NotFound())
    if threading.current_thread() is threading.main_thread():
        return _handle_request(self, method, path, headers, body)
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_handle_request(self, method, path, headers, body)), daemon=True).start()
    try:
        return answers.get(timeout=middleware.LONGEST)
    except queue.Empty:
        return _refusal(Unavailable())


def _refusal(problem: Problem) -> dict[str, Any]:
    request_id = str(uuid.uuid4())
    response = problem.response(request_id)
    response.headers |= middleware.headers(request_id)
    return response.to_dict()


def _read(self: local.ChaliceRequestHandler) -> tuple[dict[str, str], bytes | None]:
    length = int(self.headers.get("content-length", "0"))
    body = self.rfile.read(length) if length else None
    return {name: ", ".join(self.headers.get_all(name, [])) for name in self.headers}, body


def _handle(self: local.ChaliceRequestHandler) -> None:
    length = self.headers.get("content-length", "0")
    if "transfer-encoding" in self.headers or not (length.isascii() and length.isdecimal()):
        self.send_error(400)
    else:
        self._generic_handle()


def _refuse(self: local.ChaliceRequestHandler, code: int, _message: str | None = None, _explain: str | None = None) -> None:
    if code == _UNKNOWN_METHOD:
        self.command = "UNKNOWN"  # the app knows which methods there are, and what the client calls this one is not logged
        _handle(self)
        self.wfile.flush()
        return
    self.close_connection = True
    self.request_version = self.protocol_version
    refusal = _refusal(Malformed("The request must be HTTP/1.1 with a Content-Length for its body."))
    _send(self, refusal["statusCode"], refusal["headers"], refusal["body"])
    self.wfile.flush()


def _send(self: local.ChaliceRequestHandler, code: int, headers: dict[str, Any], body: str | bytes) -> None:
    if body and getattr(self, "command", None) != "HEAD":
        _send_with_body(self, code, headers, body)
        return
    self.send_response(code)
    self._send_headers(headers)


def _write_nothing(_self: object, *_: object) -> None:
    pass


_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

for place, name, replacement in (
    (local.LocalGatewayAuthorizer, "authorize", _pass_on),
    (local.LocalGateway, "handle_request", _answer),
    *((local.ChaliceRequestHandler, f"do_{method}", _handle) for method in _METHODS),
    (local.ChaliceRequestHandler, "_parse_payload", _read),
    (local.ChaliceRequestHandler, "_send_http_response_with_body", _send),
    (local.ChaliceRequestHandler, "send_error", _refuse),
    (local.ChaliceRequestHandler, "log_message", _write_nothing),
    (local.ChaliceRequestHandler, "wbufsize", -1),
    (local.ThreadedHTTPServer, "request_queue_size", 100),
):
    setattr(place, name, replacement)
