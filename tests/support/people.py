"""People who call the API over HTTP, as far as Chalice's test client knows of HTTP."""

import json
import uuid
from typing import Any, NamedTuple

from chalice.test import Client

from app import app
from tests.support import pool
from tools.local.gateway import Gateway

client = Client(app, stage_name="local")
client.http._local_gateway = Gateway(app, client.http._config)  # as `chalice local` has it
_SIGNED_IN = object()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def slug(self) -> str:
        """What went wrong, by the last part of its type."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("urn:problem:")

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, self.slug

    @property
    def etag(self) -> str:
        return self.headers["ETag"]


class Person:
    """Calls with an ID token of their own: alice("PATCH", path, {...}, If_Match=tag)."""

    def __init__(self, authorization: object = _SIGNED_IN, claims: dict[str, Any] | None = None) -> None:
        self.sub = str(uuid.uuid4())
        token = pool.token(pool.id_claims(self.sub, **claims or {}))
        self.authorization = f"Bearer {token}" if authorization is _SIGNED_IN else authorization

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a body as it is if it is bytes, else as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization is not None:
            sent.setdefault("Authorization", str(self.authorization))
        response = client.http.request(method, path, headers=sent, body=raw)
        return Answer(response.status_code, response.headers, response.body)

    def creates(self, title: str = "Buy milk", **members: Any) -> Any:
        """Create a task and return it."""
        answer = self("POST", "/tasks", {"title": title} | members)
        assert answer.status == 201, answer
        return answer.json

    def pages(self, path: str, **query: object) -> list[list[Any]]:
        """Follow a list to its end and return its pages."""
        pages, cursor = [], None
        while True:
            parameters = {name: value for name, value in (query | {"cursor": cursor}).items() if value is not None}
            answer = self("GET", path + "?" + "&".join(f"{name}={value}" for name, value in parameters.items()))
            assert answer.status == 200, answer
            pages.append(answer.json["tasks"])
            cursor = answer.json["next_cursor"]
            if cursor is None:
                return pages

    def titles(self, path: str = "/tasks", **query: object) -> list[str]:
        """Return the titles of a whole list."""
        return [task["title"] for page in self.pages(path, **query) for task in page]


def path_of(task: Any) -> str:
    return f"/tasks/{task['task_id']}"
