"""Responses: a status, the headers that belong to it, and a body."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from chalice import Response


class Versioned(Protocol):
    """An item with a version, which its ETag names."""

    @property
    def version(self) -> int: ...  # noqa: D102 - a number that grows with each change


def created(item: Versioned, location: str, *, replayed: bool) -> Response:
    """Return 201 with the item; `replayed` if an earlier request with the same key has created it."""
    headers = {"Location": location, "ETag": etag(item.version)} | ({"Idempotency-Replayed": "true"} if replayed else {})
    return json(item, 201, headers)


def versioned(item: Versioned) -> Response:
    """Return 200 with the item and its ETag."""
    return json(item, 200, {"ETag": etag(item.version)})


def accepted(body: object, *, replayed: bool) -> Response:
    """Return 202 with the body; `replayed` if it is the response to an earlier request with the same key."""
    return json(body, 202, {"Idempotency-Replayed": "true"} if replayed else {})


def no_content() -> Response:
    """Return 204."""
    return Response("", {}, 204)


def not_modified(etag: str) -> Response:
    """Return 304 with the ETag that the client has."""
    return Response("", {"ETag": etag}, 304)


def json(body: object, status: int, headers: dict[str, Any]) -> Response:
    """Return a value as JSON; raises TypeError and UnicodeEncodeError for what JSON cannot hold."""
    return Response(_json.encode(body).decode(), {"Content-Type": "application/json"} | headers, status)


def encode(returned: Any) -> Response:
    """Return what a view returned as a response whose body is text: a text as it is, anything else as JSON.

    Raises TypeError and UnicodeEncodeError for what JSON cannot hold; Chalice itself would fail after every middleware.
    """
    response = returned if isinstance(returned, Response) else Response(returned)
    media_type = "text/plain; charset=utf-8"
    if isinstance(response.body, bytes):
        message = "A body is text, or becomes JSON"
        raise TypeError(message)
    if not isinstance(response.body, str):
        media_type = "application/json"
        response.body = _json.encode(response.body).decode()
    if response.body and "content-type" not in {name.lower() for name in response.headers}:
        response.headers["Content-Type"] = media_type
    return response


def _to_json(value: object) -> object:
    if isinstance(value, Mapping):  # such as Chalice's MultiDict
        return dict(value)
    message = f"{type(value).__qualname__} does not become JSON"
    raise TypeError(message)


_json = msgspec.json.Encoder(enc_hook=_to_json, decimal_format="number")  # boto3's resources return numbers as Decimal


def etag(version: int) -> str:
    """Return the entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'
