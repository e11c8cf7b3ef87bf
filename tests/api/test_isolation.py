"""Who gets in where: every route against every caller. What is not listed here turns the test red."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from app import app
from tests.support.people import Person
from tests.support.pool import access_claims, id_claims, machine_claims, token

TASK = "/tasks/{task_id}"
PARAMETER = re.compile(r"/{(\w+)}$")
BODIES: dict[str, dict[str, object]] = {
    "POST /tasks": {"title": "T"},
    f"PATCH {TASK}": {"title": "new"},
    "POST /sms": {"to": "+12025550100", "message": "Hello"},
}
QUERIES = {"GET /admin/tasks": "?status=pending"}

CALLERS: dict[str, Callable[[Person], str | None]] = {
    "nobody": lambda _: None,
    "the owner": lambda owner: str(owner.authorization),
    "another user": lambda _: token(id_claims()),
    "an admin": lambda _: token(id_claims() | {"cognito:groups": ["admin"]}),
    "a machine with the scope": lambda _: token(machine_claims(), "for-access"),
    "a machine without the scope": lambda _: token(machine_claims(scope="openid"), "for-access"),
    "a machine that is not listed": lambda _: token(machine_claims("unlisted"), "for-access"),
    "the owner's access token": lambda owner: token(access_claims(owner.sub), "for-access"),
    "that with the scope": lambda owner: token(access_claims(owner.sub, scope="task-api/sms"), "for-access"),
    "the owner by another client": lambda owner: token(id_claims(owner.sub, aud="another")),
    # Of the tokens that nobody admits, which are in test_tokens.py, one of each kind.
    "the owner, expired": lambda owner: token(id_claims(owner.sub, exp=1)),
    "a machine, expired": lambda _: token(machine_claims(exp=1), "for-access"),
}

OPEN_TO_ALL = ("GET /", "GET /health", "GET /openapi.json", "GET /docs", "GET /docs/signed-in")
OPENS = {
    "POST /tasks": {"the owner": 201, "another user": 201, "an admin": 201},
    "GET /tasks": {"the owner": 200, "another user": 200, "an admin": 200},
    f"GET {TASK}": {"the owner": 200, "another user": 404, "an admin": 404},
    f"PATCH {TASK}": {"the owner": 200, "another user": 404, "an admin": 404},
    f"DELETE {TASK}": {"the owner": 204, "another user": 404, "an admin": 404},
    "GET /admin/tasks": {"the owner": 403, "another user": 403, "an admin": 200},
    "POST /sms": {"a machine with the scope": 202},
    "GET /hello": dict.fromkeys(
        ["the owner", "another user", "an admin", "the owner's access token", "that with the scope"], 200
    ),
    **{route: dict.fromkeys(CALLERS, 200) for route in OPEN_TO_ALL},
}
"""The status for each caller of a route; for all others it is 401."""


@pytest.mark.parametrize("route", [route for route in OPENS if route not in OPEN_TO_ALL])
def test_the_caller_is_checked_before_the_request(route: str) -> None:
    method, path = route.split()
    for caller in ("nobody", "the owner, expired", "a machine that is not listed"):
        response = Person(CALLERS[caller](Person()))(method, f"{PARAMETER.sub('/x', path)}?unknown=1", BODIES.get(route))
        assert response.problem == (401, "unauthorized"), caller


def test_every_route_is_listed() -> None:
    assert {f"{method} {path}" for path, entries in app.routes.items() for method in entries} == OPENS.keys(), "see OPENS"


@pytest.mark.parametrize(("route", "caller"), [
    (route, caller) for route in OPENS for caller in CALLERS
    if route not in OPEN_TO_ALL or caller in {"nobody", "the owner", "the owner, expired"}
])  # fmt: skip
def test_each_caller_gets_the_documented_status(alice: Person, route: str, caller: str) -> None:
    method, path = route.split(" ")
    parameter = PARAMETER.search(path)
    items = PARAMETER.sub("", path) if parameter else "/tasks"
    assert f"POST {items}" in BODIES, f"Add the body of POST {items} to BODIES."
    created = alice("POST", items, BODIES[f"POST {items}"])
    assert created.status == 201, f"POST {items} with its row of BODIES: {created.body!r}"
    item: Any = created.json
    if parameter:
        path = f"{items}/{item[parameter[1]]}"
    key = {"Idempotency_Key": f"{route} {caller}".replace(" ", "-")} if route == "POST /sms" else {}
    response = Person(CALLERS[caller](alice))(method, path + QUERIES.get(route, ""), BODIES.get(route), **key)
    assert response.status == OPENS[route].get(caller, 401)
    if parameter and (caller != "the owner" or method == "GET"):
        assert alice("GET", path).json == item
