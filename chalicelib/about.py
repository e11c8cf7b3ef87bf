"""The API about itself: a greeting, its health, and its documentation."""

from pathlib import Path
from typing import Literal

from chalice import Response
from msgspec import Struct

from chalicelib import __version__

_STATIC = Path(__file__).with_name("static")


class Greeting(Struct, frozen=True):
    """A greeting, and the name of the user that it is for."""

    message: Literal["Hello, authenticated user!"]
    user: str


class Health(Struct, frozen=True):
    """The release that is deployed."""

    status: Literal["ok"]
    release: str


def greet(username: str) -> Greeting:
    """Return the greeting of a user."""
    return Greeting("Hello, authenticated user!", username)


def health() -> Health:
    """Return the release that is deployed."""
    return Health("ok", __version__)


def openapi() -> Response:
    """Return the OpenAPI document, which `make generate` writes."""
    return Response(_read("openapi.json"), {"Content-Type": "application/json"}, 200)


def docs() -> Response:
    """Return the page that shows the document; its Content-Security-Policy lets it load nothing else."""
    page = _read("docs.html")
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    headers: dict[str, str | list[str]] = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
    headers["Content-Type"] = "text/html; charset=utf-8"
    return Response(page, headers, 200)


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
