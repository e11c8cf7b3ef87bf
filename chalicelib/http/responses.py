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
    return Response(item, _replayed(replayed) | {"Location": location, "ETag": etag(item.version)}, 201)


def versioned(item: Versioned) -> Response:
    """Return 200 with the item and its ETag."""
    return Response(item, {"ETag": etag(item.version)}, 200)


def accepted(body: object, *, replayed: bool) -> Response:
    """Return 202 with the body; `replayed` if it is the response to an earlier request with the same key."""
    return Response(body, _replayed(replayed), 202)


def no_content() -> Response:
    """Return 204."""
    return Response("", {}, 204)


def not_modified(etag: str) -> Response:
    """Return 304 with the ETag that the client has."""
    return Response("", {"ETag": etag}, 304)


def encode(returned: Any, declared: type | None) -> Response:
    """Return what a view returned as a response whose body is text: a text as it is, anything else as JSON.

    Raises TypeError for another body than the declared one, which could have more attributes, and, with UnicodeEncodeError,
    for what JSON cannot hold; Chalice itself would fail after every middleware.
    """
    response = returned if isinstance(returned, Response) else Response(returned)
    if declared and not isinstance(response.body, declared):
        message = f"The route declares {declared.__qualname__}, and its view returned {type(response.body).__qualname__}"
        raise TypeError(message)
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
    if isinstance(value, str):  # a class of text, such as Instant
        return str(value)
    message = f"{type(value).__qualname__} does not become JSON"
    raise TypeError(message)


_json = msgspec.json.Encoder(enc_hook=_to_json, decimal_format="number")  # boto3's resources return numbers as Decimal


def etag(version: int) -> str:
    """Return the entity tag of a version (RFC 9110, section 8.8.3)."""
    return f'"{version}"'


def _replayed(replayed: bool) -> dict[str, str | list[str]]:  # noqa: FBT001 - private
    return {"Idempotency-Replayed": "true"} if replayed else {}
