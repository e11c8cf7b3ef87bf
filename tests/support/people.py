"""Callers of the API in this process, through Chalice's test client; each is a fixture in conftest.py."""

import json
import uuid
from typing import Any, NamedTuple

from chalice.test import Client

from app import app
from tests.support import pool
from tools.local.gateway import Gateway

client = Client(app, stage_name="local")
client.http._local_gateway = Gateway(app, client.http._config)  # the same as in `chalice local`
_SIGNED_IN = object()


class Response(NamedTuple):
    status: int
    headers: Any
    """A dict in this process; over HTTP an HTTPMessage, which returns None for a missing header."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """The last part of the problem's type."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("urn:problem:")

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, self.slug

    @property
    def etag(self) -> str:
        return str(self.headers["ETag"])


class Person:
    """A caller with a token, by default an ID token of a new user: alice("PATCH", path, {...}, If_Match=tag)."""

    def __init__(self, authorization: object = _SIGNED_IN, claims: dict[str, Any] | None = None) -> None:
        self.sub = str(uuid.uuid4())
        token = pool.token(pool.id_claims(self.sub, **claims or {}))
        self.authorization = f"Bearer {token}" if authorization is _SIGNED_IN else authorization

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request; a body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization is not None:
            sent.setdefault("Authorization", str(self.authorization))
        response = client.http.request(method, path, headers=sent, body=raw)
        return Response(response.status_code, response.headers, response.body)

    def creates(self, title: str = "Buy milk", **members: Any) -> Any:
        """Create a task and return it."""
        response = self("POST", "/tasks", {"title": title} | members)
        assert response.status == 201, response
        return response.json

    def pages(self, path: str, **query: object) -> list[list[Any]]:
        """Return all pages of a list."""
        pages, cursor = [], None
        while True:
            parameters = {name: value for name, value in (query | {"cursor": cursor}).items() if value is not None}
            response = self("GET", path + "?" + "&".join(f"{name}={value}" for name, value in parameters.items()))
            assert response.status == 200, response
            pages.append(response.json["tasks"])
            cursor = response.json["next_cursor"]
            if cursor is None:
                return pages

    def titles(self, path: str = "/tasks", **query: object) -> list[str]:
        """Return the titles of all tasks in a list."""
        return [task["title"] for page in self.pages(path, **query) for task in page]


def path_of(task: Any) -> str:
    return f"/tasks/{task['task_id']}"
