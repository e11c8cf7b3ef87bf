"""What every route for users has in common, read off the OpenAPI document: a new resource is tested here as well."""

import uuid
from typing import Any

import pytest

from tests.support import documented
from tests.support.people import Person
from tests.support.sdk_faults import network, refused

Operation = dict[str, Any]
PATHS: dict[str, dict[str, Operation]] = documented.DOCUMENT["paths"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in PATHS.items()
    for method, operation in methods.items()
    if operation.get("security") == [{"users": []}]
}


def takes(name: str) -> list[str]:
    """Return the operations with this header or query parameter."""
    return [
        route
        for route, operation in OPERATIONS.items()
        if any(name == parameter["name"] for parameter in operation.get("parameters", []))
    ]


WITH_BODY = [route for route, operation in OPERATIONS.items() if "requestBody" in operation]
WITH_ID = [route for route in OPERATIONS if "{" in route]


def example(route: str) -> Any:
    return OPERATIONS[route].get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")


def target(person: Person, route: str) -> tuple[str, str]:
    """Return method and path, of a new item where the path has an id."""
    method, path = route.split()
    if "{" in path:
        items, _, parameter = path.partition("/{")
        response = person("POST", items, example(f"POST {items}"))
        assert response.status == 201, f"POST {items} with its example of EXAMPLES: {response.body!r}"
        path = f"{items}/{response.json[parameter.rstrip('}')]}"
    return method, path


@pytest.mark.parametrize("route", WITH_BODY)
@pytest.mark.parametrize(("body", "media_type", "problem"), [
    (b"{", "application/json", (400, "malformed")), (b"{" + b" " * 70_000 + b"}", "application/json", (413, "payload-too-large")),
    (b"{}", "text/plain", (415, "unsupported-media-type")), ({"unknown": 1}, "application/json", (422, "validation")),
])  # fmt: skip
def test_every_body_is_read_in_the_same_way(
    alice: Person, route: str, body: object, media_type: str, problem: tuple[int, str]
) -> None:
    method, path = target(alice, route)
    assert alice(method, path, body, Content_Type=media_type).problem == problem


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_route_refuses_an_unknown_parameter(alice: Person, route: str) -> None:
    method, path = target(alice, route)
    admin = Person(claims={"cognito:groups": ["admin"]})
    who = admin if "/admin/" in path else alice
    assert who(method, f"{path}?unknown=1", example(route)).problem == (422, "validation")


@pytest.mark.parametrize("route", WITH_ID)
def test_an_item_of_another_user_is_not_found(alice: Person, bob: Person, route: str) -> None:
    method, path = target(alice, route)
    assert bob(method, path, example(route)).problem == (404, "not-found")
    for other in (str(uuid.uuid4()), "x"):
        assert alice(method, f"{path.rpartition('/')[0]}/{other}", example(route)).problem == (404, "not-found")
    assert alice(method, path, example(route)).status in {200, 204}


@pytest.mark.parametrize("route", takes("If-Match"))
def test_a_write_with_another_version_in_if_match_fails(alice: Person, route: str) -> None:
    method, path = target(alice, route)
    assert alice(method, path, example(route), If_Match="1").problem == (400, "malformed")
    stale = alice(method, path, example(route), If_Match='"9"')
    assert (stale.problem, stale.headers["ETag"]) == ((412, "precondition-failed"), '"1"')
    if method == "PATCH":
        assert alice(method, path, {}, If_Match='"9"').problem == (412, "precondition-failed")
        assert alice(method, path, {}, If_Match='"1"').etag == '"1"'
    assert alice(method, path, example(route), If_Match='"1"').status in {200, 204}


@pytest.mark.parametrize("route", takes("If-None-Match"))
def test_a_read_with_the_version_in_if_none_match_is_not_modified(alice: Person, route: str) -> None:
    method, path = target(alice, route)
    assert alice(method, path, If_None_Match='"1"').status == 304
    assert alice(method, path, If_None_Match='"2"').status == 200
    assert alice(method, path, If_None_Match="1").problem == (400, "malformed")


@pytest.mark.parametrize("route", takes("Idempotency-Key"))
def test_a_create_with_a_key_is_applied_once(alice: Person, route: str) -> None:
    method, path = target(alice, route)
    first, again = (alice(method, path, example(route), Idempotency_Key="k") for _ in range(2))
    assert (first.status, first.headers["Location"].rpartition("/")[0]) == (201, path)
    assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (201, first.body, "true")
    name, value = next((name, value) for name, value in example(route).items() if isinstance(value, str))
    other = alice(method, path, example(route) | {name: f"{value}, too"}, Idempotency_Key="k")
    assert other.problem == (422, "idempotency-key-reused")
    assert alice(method, path, example(route), Idempotency_Key='"').problem == (400, "malformed")


@pytest.mark.parametrize("route", takes("Idempotency-Key") + [route for route in takes("If-Match") if "PATCH" in route])
def test_a_full_partition_is_a_conflict(alice: Person, route: str) -> None:
    method, path = target(alice, route)
    with network(refused("ItemCollectionSizeLimitExceededException")):
        assert alice(method, path, example(route)).problem == (409, "conflict")


@pytest.mark.parametrize("route", [route for route in takes("cursor") if "/admin/" not in route])
def test_pages_add_up_to_the_whole_list(alice: Person, route: str) -> None:
    _, path = route.split()
    created = [alice("POST", path, example(f"POST {path}")).json for _ in range(5)]
    pages = alice.pages(path, limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [item for page in pages for item in page] == created[::-1]
    assert alice("GET", f"{path}?cursor=x").problem == (400, "invalid-cursor")
    assert alice("GET", f"{path}?limit=0").problem == (422, "validation")
