"""Makes `chalice local` and Chalice's test client answer as the gateway does; importing it is enough.

What Chalice's stand-in for the gateway does wrong, and what is put in its place:
- it believes any token and drops the connection on a malformed one: the token goes to the app, which verifies it itself;
- it answers an unknown path with a text that repeats the Authorization header: the answer is a problem, as on AWS;
- it has a thread for each connection, which no signal interrupts: the deadline of a request is kept from outside;
- it sends a body with an answer that has none, and a type with nothing: such an answer is its head alone;
- it logs a request twice, once with its query: the app's one line is enough;
- it sends head and body in two packets, 40 ms apart on a connection that is kept open: in one.
"""

import queue
import threading
import uuid
from typing import Any

from chalice import local

from chalicelib import middleware
from chalicelib.problems import NotFound, Problem, Unavailable

_handle_request = local.LocalGateway.handle_request
_send_with_body = local.ChaliceRequestHandler._send_http_response_with_body  # noqa: SLF001 - the seam that there is


def _pass_on(_self: object, _path: str, event: dict[str, Any], context: object) -> tuple[dict[str, Any], object]:
    return event, context


def _answer(self: local.LocalGateway, method: str, path: str, headers: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    def handle() -> dict[str, Any]:
        try:
            return _handle_request(self, method, path, headers, body)
        except local.LocalGatewayException:
            return _refusal(NotFound())

    if threading.current_thread() is threading.main_thread():
        return handle()
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=lambda: answers.put(handle()), daemon=True).start()
    try:
        return answers.get(timeout=middleware.LONGEST)
    except queue.Empty:
        return _refusal(Unavailable())


def _refusal(problem: Problem) -> dict[str, Any]:
    request_id = str(uuid.uuid4())
    response = problem.response(request_id)
    response.headers |= middleware.headers(request_id)
    return response.to_dict()


def _send(self: local.ChaliceRequestHandler, code: int, headers: dict[str, Any], body: str | bytes) -> None:
    if body and self.command != "HEAD":
        _send_with_body(self, code, headers, body)
        return
    self.send_response(code)
    self._send_headers(headers)


def _write_nothing(_self: object, _code: object = "-", _size: object = "-") -> None:
    pass


for place, name, replacement in (
    (local.LocalGatewayAuthorizer, "authorize", _pass_on),
    (local.LocalGateway, "handle_request", _answer),
    (local.ChaliceRequestHandler, "_send_http_response_with_body", _send),
    (local.ChaliceRequestHandler, "log_request", _write_nothing),
    (local.ChaliceRequestHandler, "wbufsize", -1),
):
    setattr(place, name, replacement)
