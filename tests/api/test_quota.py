"""A stage may limit the tasks that a user creates in a minute; and what clients are told of limits."""

import time

import boto3
import pytest
from msgspec import structs

from chalicelib.config import settings
from chalicelib.dynamodb import records
from chalicelib.dynamodb.records import Counter
from chalicelib.http.api import Api
from chalicelib.problems import TooManyRequests
from chalicelib.values import RateLimit
from tests.conftest import TABLE
from tests.support.events import Context, event
from tests.support.people import Person, path_of
from tests.support.sdk_faults import delivered_twice, lost_after, lost_before, network, use_fresh_client

NOON = 1_800_014_400  # the start of a minute


@pytest.fixture(autouse=True)
def _three_tasks_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.tasks.service.settings", structs.replace(settings, tasks_per_user_and_minute=3))
    monkeypatch.setattr(time, "time_ns", lambda: (NOON + 10) * 1_000_000_000)
    use_fresh_client(monkeypatch)


def counts() -> list[int]:
    """Return the counters of created tasks."""
    items = boto3.client("dynamodb", region_name=settings.region).scan(TableName=TABLE)["Items"]
    return [int(item["count"]["N"]) for item in items if item["PK"]["S"].startswith("LIMIT#TASKS#")]


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}], ids=["without a key", "with a key"])
def test_a_user_may_create_so_many_tasks_in_a_minute(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    for number in range(3):
        assert alice("POST", "/tasks", {"title": str(number)}, Idempotency_Key=f"k{number}").status == 201
    refused = alice("POST", "/tasks", {"title": "T"}, **headers)
    assert refused.problem == (429, "too-many-requests")
    assert (refused.headers["Retry-After"], refused.headers["RateLimit"]) == ("50", '"tasks";r=0;t=50')
    assert refused.headers["RateLimit-Policy"] == '"tasks";q=3;w=60'
    assert alice("GET", "/tasks").json["count"] == 3
    bob.creates()  # another user has a limit of their own
    monkeypatch.setattr(time, "time_ns", lambda: (NOON + 60) * 1_000_000_000)
    assert alice("POST", "/tasks", {"title": "T"}, **headers).status == 201


def test_other_requests_have_no_limit(alice: Person) -> None:
    paths = [path_of(alice.creates()) for _ in range(3)]
    for path in paths:
        assert [alice("PATCH", path, {"title": str(n)}).status for n in range(4)] == [200] * 4
        assert alice("DELETE", path).status == 204


def test_a_repeated_request_counts_once(alice: Person) -> None:
    first = alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
    again = [alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k") for _ in range(5)]
    assert {(response.status, response.body) for response in again} == {(201, first.body)}
    assert counts() == [1]


def test_a_repeated_request_has_its_response_at_the_limit(alice: Person) -> None:
    bodies = [alice("POST", "/tasks", {"title": str(n)}, Idempotency_Key=f"k{n}").body for n in range(3)]
    again = [alice("POST", "/tasks", {"title": str(n)}, Idempotency_Key=f"k{n}") for n in range(3)]
    assert [(response.status, response.body) for response in again] == [(201, body) for body in bodies]


@pytest.mark.parametrize("fault", [lost_before, lost_after(), delivered_twice], ids=["before", "after", "twice"])
@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}], ids=["without a key", "with a key"])
def test_a_request_that_the_network_loses_or_repeats_counts_once(
    alice: Person, headers: dict[str, str], fault: object
) -> None:
    with network(fault):  # type: ignore[arg-type]
        assert alice("POST", "/tasks", {"title": "T"}, **headers).status == 201
    assert alice("GET", "/tasks").json["count"] == 1
    assert counts() == [1]


def test_a_refused_request_counts_nothing(alice: Person) -> None:
    for _ in range(4):
        assert alice("POST", "/tasks", {"title": ""}).status == 422
    for _ in range(3):
        alice.creates()
    assert alice("POST", "/tasks", {"title": "T"}).status == 429
    assert counts() == [3]


def test_a_route_names_the_limits_of_the_stage() -> None:
    app = Api("limited")

    @app.route("/limited", limits=lambda: [RateLimit("tasks", 60, 60), RateLimit("all", 5, 3600)])
    def limited() -> dict[str, str]:
        return {}

    headers = app(event(path="/limited"), Context())["headers"]
    assert headers["RateLimit-Policy"] == '"tasks";q=60;w=60, "all";q=5;w=3600'


def test_a_route_without_limits_says_nothing_of_them(alice: Person) -> None:
    response = alice("GET", "/tasks")
    assert not {"RateLimit", "RateLimit-Policy"} & response.headers.keys()


def test_an_id_that_is_used_already_is_unavailable_and_changes_nothing(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.tasks.service.new_id", lambda _: "01234567-89ab-7def-8123-456789abcdef")
    first = alice.creates()
    assert alice("POST", "/tasks", {"title": "Buy bread"}).problem == (503, "unavailable")
    assert alice("GET", path_of(first)).json == first
    assert counts() == [1]


def test_the_first_limit_that_is_exceeded_is_named() -> None:
    counters = [Counter(RateLimit("a", 5, 60), "A"), Counter(RateLimit("b", 0, 60), "B")]
    with pytest.raises(TooManyRequests) as raised:
        records.create({"PK": "USER#a", "SK": "TASK#1"}, "tasks", None, counters)
    assert raised.value.headers["RateLimit"] == '"b";r=0;t=50'
