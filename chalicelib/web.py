"""What is sent back: answers, and what every browser is told."""

from pathlib import Path
from typing import Any, Literal

import msgspec
from chalice import AuthResponse, CORSConfig, Response

from chalicelib import auth
from chalicelib.call import call
from chalicelib.config import settings
from chalicelib.etags import etag
from chalicelib.lists import Page
from chalicelib.problems import Unauthorized
from chalicelib.task import Task
from chalicelib.text import Receipt

CORS = CORSConfig(
    allow_origin=settings.web_origin,
    allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"],
    expose_headers=["ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-Id"],
    max_age=3600,
)
ANY_TYPE: list[str] = []
"""Chalice lets `text/plain; application/json` pass and refuses a type where there is no body, so the type is judged here."""


class Greeting(msgspec.Struct, frozen=True):
    """A greeting, and the name of the user that it is for."""

    message: Literal["Hello, authenticated user!"]
    user: str


class Health(msgspec.Struct, frozen=True):
    """The release that answers."""

    status: Literal["ok"]
    release: str


def created(task: Task, *, replayed: bool) -> Response:
    """Return 201 with the task and where it is, as the caller sees it: stage or base path included."""
    response = _json(task, 201)
    context = call.request.context
    path = context["path"].rstrip("/") if "stage" in context else call.request.path  # on a laptop as the client spelled it
    response.headers["Location"] = f"{path}/{task.task_id}"
    response.headers["ETag"] = etag(task.version)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def shown(task: Task) -> Response:
    """Return 200 with the task, or 304 where a GET says that the caller has it already; raises Malformed."""
    if call.request.method == "GET" and call.knows(task):
        return Response("", {"ETag": etag(task.version)}, 304)
    response = _json(task, 200)
    response.headers["ETag"] = etag(task.version)
    return response


def listed(page: Page[Any]) -> Response:
    """Return 200 with a page of a list."""
    return _json(page, 200)


def accepted(receipt: Receipt, *, replayed: bool) -> Response:
    """Return 202 with what became of a text: accepted is not delivered."""
    call.outcome = receipt.status
    response = _json(receipt, 202)
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def admitted(token: str) -> AuthResponse:
    """Return what an authorizer of ours tells the gateway of a token; raises Exception, Unavailable."""
    try:
        username = auth.username(auth.verified(token, auth.ANY_USER))
    except Unauthorized as error:
        message = "Unauthorized"  # the text that API Gateway answers with 401, where any other becomes 500
        raise Exception(message) from error  # noqa: TRY002
    return AuthResponse(routes=["/hello"], principal_id=username, context={"username": username})


def greeting(username: str) -> Response:
    """Return 200 with a greeting."""
    return _json(Greeting("Hello, authenticated user!", username), 200)


def healthy(release: str) -> Response:
    """Return 200 with the release that answers; raises Invalid."""
    call.refuse_parameters()
    return _json(Health("ok", release), 200)


def document() -> Response:
    """Return 200 with the OpenAPI document, which `make generate` has written; raises Invalid."""
    call.refuse_parameters()
    return Response(_shipped("openapi.json"), {"Content-Type": "application/json"}, 200)


def reference() -> Response:
    """Return 200 with a page that shows the document and may load nothing but that; raises Invalid."""
    call.refuse_parameters()
    page = _shipped("docs.html")
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    headers: dict[str, str | list[str]] = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
    headers["Content-Type"] = "text/html; charset=utf-8"
    return Response(page, headers, 200)


def done() -> Response:
    """Return 204."""
    return Response("", {}, 204)


def written(response: Response) -> Response:
    """Return a response with its body as text and with its type: what is no text becomes JSON, as Chalice has it.

    Raises TypeError and UnicodeEncodeError for what JSON cannot hold, where Chalice would fail after every middleware.
    """
    media_type = "text/plain; charset=utf-8"
    if isinstance(response.body, bytes):
        message = "A body is text, or becomes JSON"
        raise TypeError(message)
    if not isinstance(response.body, str):
        media_type = "application/json"
        response.body = msgspec.json.encode(response.body).decode()
    if response.body and "content-type" not in {name.lower() for name in response.headers}:
        response.headers["Content-Type"] = media_type
    return response


def _shipped(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _json(value: object, status: int) -> Response:
    return Response(msgspec.json.encode(value).decode(), {"Content-Type": "application/json"}, status)
