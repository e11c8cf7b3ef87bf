"""The API about itself: a greeting, its health, and its documentation."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from chalice import Response
from msgspec import Meta, Struct

from chalicelib import __version__
from chalicelib.config import settings

_STATIC = Path(__file__).with_name("static")
SIGN_IN_URL, WEB_CLIENT_ID = "https://PREFIX.auth.REGION.amazoncognito.com", "WEB_CLIENT_ID"
"""What the generated files have in place of the settings of a stage."""


class SignedInQuery(Struct, frozen=True):
    """What the sign-in pages send to the page that they lead back to (RFC 6749, section 4.1.2)."""

    code: str | None = None
    state: str | None = None
    error: str | None = None
    error_description: str | None = None


class Greeting(Struct, frozen=True):
    """A greeting, and the name of the user that it is for."""

    message: Literal["Hello, authenticated user!"]
    user: Annotated[
        str, Meta(description="The user name in the pool; in a pool where people sign in by e-mail, that is the `sub`.")
    ]


class Links(Struct, frozen=True):
    """Where to go from the root of the API."""

    docs: str
    openapi: str
    health: str


class Health(Struct, frozen=True):
    """The release that is deployed."""

    status: Literal["ok"]
    release: str


def greet(username: str) -> Greeting:
    """Return the greeting of a user."""
    return Greeting("Hello, authenticated user!", username)


def links(api_url: str) -> Links:
    """Return the addresses of the documentation and of the health check of the API at an address."""
    return Links(f"{api_url}/docs", f"{api_url}/openapi.json", f"{api_url}/health")


def health() -> Health:
    """Return the release that is deployed."""
    return Health("ok", __version__)


def openapi(api_url: str) -> Response:
    """Return the OpenAPI document, which `make generate` writes, with the address of the API as its server.

    It has the sign-in pages and the web client of the stage.
    """
    document = msgspec.json.decode(_read("openapi.json"))
    document["servers"][0]["url"] = api_url or "."
    body = msgspec.json.format(msgspec.json.encode(document), indent=1).decode()
    return Response(body, {"Content-Type": "application/json"}, 200)


def page(name: str) -> Response:
    """Return a page of the documentation; its Content-Security-Policy lets it load nothing else."""
    text = _read(name)
    policy = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    headers: dict[str, str | list[str]] = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
    headers["Content-Type"] = "text/html; charset=utf-8"
    return Response(text, headers, 200)


def _read(name: str) -> str:
    """Return a generated file with the settings of the stage."""
    text = (_STATIC / name).read_text(encoding="utf-8")
    return text.replace(SIGN_IN_URL, settings.sign_in_url).replace(WEB_CLIENT_ID, settings.web_client_id)
