"""The Python client, against the app in this process: its types, its errors, and what it sends again."""

import pickle
import re
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import taskapi
from taskapi import ClientCredentials, TaskApi

from chalicelib import problems
from chalicelib.sms import service as sms
from tests.conftest import ROOT
from tests.support import people
from tests.support.people import Person
from tests.support.sdk_faults import lost_after, network

Fault = Callable[[httpx.Request], httpx.Response | None]
PAGE = 100


class Clock:
    """A clock that only sleep() moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)

    def monotonic(self) -> float:
        return self.now

    time = monotonic


class Wire(httpx.BaseTransport):
    """Passes requests to the app in this process; each meets the next of the faults."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = iter(faults)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        fault = next(self._faults, None)
        return (fault(request) if fault else None) or self.deliver(request)

    @staticmethod
    def deliver(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        response = people.client.http.request(
            request.method, path, headers={name.title(): value for name, value in request.headers.items()}, body=request.content
        )  # fmt: skip
        return httpx.Response(response.status_code, headers=response.headers, content=response.body)

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.requests]


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def lost_request(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("", request=request)


def lost_response(request: httpx.Request) -> httpx.Response:
    Wire.deliver(request)
    raise httpx.RemoteProtocolError("closed", request=request)


def html_page(request: httpx.Request) -> httpx.Response:
    Wire.deliver(request)
    return httpx.Response(200, html="<h1>Welcome</h1>")


def garbled(request: httpx.Request) -> httpx.Response:
    Wire.deliver(request)
    return httpx.Response(200, headers={"Content-Type": "application/json"}, content=b"\xff\x00")


def broken_encoding(request: httpx.Request) -> httpx.Response:
    Wire.deliver(request)
    return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=b"no gzip")


def status(code: int, slug: str = "", retry_after: str = "", *, handled: bool = False) -> Fault:
    """Respond with a problem, or with a plain text if there is no slug; `handled` says whether the app handles the request."""

    def fault(request: httpx.Request) -> httpx.Response:
        if handled:
            Wire.deliver(request)
        headers = {"Retry-After": retry_after} if retry_after else {}
        if not slug:
            return httpx.Response(code, headers=headers, text="plain")
        body = {"type": f"urn:problem:{slug}", "title": "T", "status": code}
        return httpx.Response(code, headers=headers | {"Content-Type": "application/problem+json"}, json=body)

    return fault


limited = status(429, "too-many-requests", "7")
unavailable = status(503, "unavailable", "1")
unavailable_but_done = status(503, "unavailable", "1", handled=True)
in_progress = status(409, "conflict")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(taskapi, "time", clock)
    return clock


def connect(person: Person, *faults: Fault, **options: Any) -> tuple[TaskApi, Wire]:
    """Return a client of a caller, and its connection."""
    wire = Wire(*faults)
    token = str(person.authorization).removeprefix("Bearer ")
    return TaskApi("http://api.example.com", token, transport=wire, **options), wire


class TestTasks:
    def test_a_task_goes_through_its_life(self, alice: Person) -> None:
        with connect(alice)[0] as api:
            due = datetime(2030, 1, 31, 9, tzinfo=UTC)
            task = api.tasks.create(title="Buy milk", description="oat", status="in_progress", due_at=due)
            assert (task.title, task.description, task.status, task.due_at, task.version, task.owner) == (
                "Buy milk", "oat", "in_progress", due, 1, None,
            )  # fmt: skip
            assert task.created_at.tzinfo == UTC
            assert api.tasks.get(task.task_id) == task
            changed = api.tasks.update(task, status="done", due_at=None)
            assert (changed.status, changed.due_at, changed.title, changed.version) == ("done", None, "Buy milk", 2)
            api.tasks.delete(changed)
            with pytest.raises(taskapi.NotFound):
                api.tasks.delete(changed)
        with pytest.raises(RuntimeError, match="closed"):
            api.tasks.get(task.task_id)

    def test_only_a_title_is_needed(self, alice: Person) -> None:
        task = connect(alice)[0].tasks.create("Buy milk")
        assert (task.description, task.status, task.due_at) == ("", "pending", None)

    def test_a_list_fetches_each_page_when_it_is_needed(self, alice: Person) -> None:
        titles = [str(number) for number in range(PAGE + 1)]
        for title in titles:
            alice.creates(title)
        api, wire = connect(alice)
        tasks = api.tasks.list()
        assert wire.requests == []
        assert next(tasks).title == titles[-1]
        assert len(wire.requests) == 1
        assert [task.title for task in tasks] == titles[-2::-1]
        assert len(wire.requests) == 2

    def test_a_list_takes_the_filters_of_the_api(self, alice: Person, admin: Person) -> None:
        for day in (3, 1, 2):
            alice.creates(str(day), status="done", due_at=f"2030-01-0{day}T00:00:00Z")
        api, _ = connect(alice)
        done = api.tasks.list(status="done", due_after=datetime(2030, 1, 2, tzinfo=UTC))
        assert [task.title for task in done] == ["2", "3"]
        assert list(api.tasks.list(status="pending")) == []
        everything = list(connect(admin)[0].tasks.list_all("done"))
        assert [(task.title, task.owner) for task in everything] == [(title, alice.sub) for title in "312"]

    @pytest.mark.parametrize("operation", ["update", "delete"])
    def test_the_second_of_two_writers_gets_the_current_etag(self, alice: Person, operation: str) -> None:
        api, wire = connect(alice)
        read = api.tasks.create("old")
        written = api.tasks.update(read, title="new")
        with pytest.raises(taskapi.VersionMismatch) as raised:
            api.tasks.update(read, title="lost") if operation == "update" else api.tasks.delete(read)
        assert (raised.value.status, raised.value.etag, raised.value.outcome_unknown) == (412, '"2"', False)
        assert not hasattr(raised.value, "__notes__")
        assert api.tasks.get(read.task_id) == written
        assert len(wire.requests) == 4

    def test_an_id_cannot_lead_to_another_path(self, alice: Person) -> None:
        api, wire = connect(alice)
        with pytest.raises(taskapi.NotFound):
            api.tasks.get("../admin/tasks?status=done")
        assert wire.requests[0].url.raw_path == b"/tasks/..%2Fadmin%2Ftasks%3Fstatus%3Ddone"

    def test_a_member_of_a_later_release_is_ignored(self, alice: Person) -> None:
        def add(request: httpx.Request) -> httpx.Response:
            response = Wire.deliver(request)
            return httpx.Response(201, json=response.json() | {"colour": "red"})

        assert connect(alice, add)[0].tasks.create("T").title == "T"


class TestErrors:
    def test_each_class_is_a_problem_of_the_api(self) -> None:
        of_the_api = {f"urn:problem:{kind.slug}": kind.__name__ for kind in problems.Problem.__subclasses__()}
        ours = {name: kind.__name__ for name, kind in taskapi.Problem._classes.items()}
        assert len(ours) == 7
        assert ours.items() <= of_the_api.items()

    def test_a_problem_says_what_is_wrong(self, alice: Person) -> None:
        with pytest.raises(taskapi.ValidationFailed) as raised:
            connect(alice)[0].tasks.create(title="")
        error = raised.value
        assert (error.status, error.type) == (422, "urn:problem:validation")
        assert [one["pointer"] for one in error.errors] == ["/title"]
        assert error.request_id
        assert str(error) == f"422 Validation failed. {error.detail} /title {error.errors[0]['detail']}"

    def test_a_problem_without_a_class_is_a_plain_problem(self, alice: Person) -> None:
        with pytest.raises(taskapi.Problem) as raised:
            next(connect(alice)[0].tasks.list_all("done"))
        assert type(raised.value) is taskapi.Problem
        assert (raised.value.status, raised.value.type) == (403, "urn:problem:forbidden")

    def test_a_wrong_token_is_unauthorized(self) -> None:
        with pytest.raises(taskapi.Unauthorized):
            connect(Person("Bearer wrong"))[0].tasks.create("T")

    def test_the_response_of_a_proxy_is_a_problem(self, alice: Person) -> None:
        api, wire = connect(alice, status(502))
        with pytest.raises(taskapi.Problem, match=r"^502 Bad Gateway\.$") as raised:
            api.tasks.create("T")
        assert (raised.value.type, raised.value.detail, raised.value.request_id) == ("about:blank", "", None)
        assert len(wire.requests) == 1

    def test_an_error_can_be_passed_to_another_process(self, alice: Person) -> None:
        with pytest.raises(taskapi.ValidationFailed) as raised:
            connect(alice)[0].tasks.create(title="")
        copy = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own
        assert (type(copy), str(copy), vars(copy)) == (taskapi.ValidationFailed, str(raised.value), vars(raised.value))


LOST: dict[str, Fault] = {
    "refused": refused, "lost request": lost_request, "lost response": lost_response, "HTML page": html_page, "garbled": garbled,
    "broken encoding": broken_encoding, "429": limited, "503": unavailable, "503 of a proxy": status(503), "503, but done": unavailable_but_done,
}  # fmt: skip
DONE = {"lost response", "HTML page", "garbled", "broken encoding", "503, but done"}
"""The faults after which the request was handled."""
CERTAIN = {"refused", "429"}
"""The faults after which it certainly was not."""


@pytest.mark.parametrize("fault", LOST)
class TestFaults:
    def test_a_create_stores_one_task(self, alice: Person, fault: str) -> None:
        api, wire = connect(alice, LOST[fault])
        task = api.tasks.create("T")
        assert [stored.task_id for stored in api.tasks.list()] == [task.task_id]
        assert wire.keys[0] == wire.keys[1] is not None

    def test_a_read_succeeds(self, alice: Person, fault: str) -> None:
        task = alice.creates()
        assert connect(alice, LOST[fault])[0].tasks.get(task["task_id"]).title == task["title"]

    def test_an_update_is_made_once_and_a_mismatch_says_that_it_may_be_its_own(self, alice: Person, fault: str) -> None:
        task = connect(alice)[0].tasks.create("old")
        api, _ = connect(alice, LOST[fault])
        if fault in DONE:
            with pytest.raises(taskapi.VersionMismatch) as raised:
                api.tasks.update(task, title="new")
            assert raised.value.outcome_unknown
            assert raised.value.__notes__ == ["The API may have done this all the same: look before you repeat it."]
        else:
            assert api.tasks.update(task, title="new").version == 2
        stored = api.tasks.get(task.task_id)
        assert (stored.title, stored.version) == ("new", 2)

    def test_a_delete_succeeds(self, alice: Person, fault: str) -> None:
        task = connect(alice)[0].tasks.create("T")
        api, wire = connect(alice, LOST[fault])
        api.tasks.delete(task)
        assert len(wire.requests) == 2
        assert list(api.tasks.list()) == []

    def test_a_last_failure_says_whether_the_request_may_have_been_handled(self, alice: Person, fault: str) -> None:
        api, wire = connect(alice, LOST[fault], attempts=1)
        with pytest.raises((taskapi.NoResponse, taskapi.Problem)) as raised:
            api.tasks.create("T", idempotency_key="k")
        assert raised.value.outcome_unknown == (fault not in CERTAIN)
        assert raised.value.idempotency_key == "k"
        notes = ["The API may have done this all the same: repeat it with idempotency_key='k'."]
        assert getattr(raised.value, "__notes__", []) == (notes if raised.value.outcome_unknown else [])
        assert len(wire.requests) == 1
        with pytest.raises(taskapi.TaskApiError) as raised:
            next(connect(alice, LOST[fault], attempts=1)[0].tasks.list())
        assert not raised.value.outcome_unknown  # it changes nothing
        again = api.tasks.create("T", idempotency_key="k")
        assert [stored.task_id for stored in api.tasks.list()] == [again.task_id]


class TestAttempts:
    def test_each_call_has_a_key_of_its_own(self, alice: Person) -> None:
        api, wire = connect(alice, unavailable, unavailable, None, unavailable)  # type: ignore[arg-type]
        assert api.tasks.create("T") != api.tasks.create("T")
        assert len(set(wire.keys[:3])) == len(set(wire.keys[3:])) == 1
        assert len(set(wire.keys)) == 2

    @pytest.mark.parametrize("fault", [refused, lost_request, limited, unavailable])
    def test_attempts_are_bounded(self, alice: Person, clock: Clock, fault: Fault) -> None:
        api, wire = connect(alice, *[fault] * 9)
        with pytest.raises(taskapi.TaskApiError):
            api.tasks.create("T")
        assert len(wire.requests) == 6
        assert len(clock.sleeps) == 5
        assert len(set(wire.keys)) == 1

    def test_a_call_waits_no_longer_than_its_time(self, alice: Person, clock: Clock) -> None:
        api, wire = connect(alice, status(429, "too-many-requests", "60"))
        with pytest.raises(taskapi.TooManyRequests) as raised:
            api.tasks.create("T")
        assert (raised.value.retry_after, clock.sleeps, len(wire.requests)) == (60, [], 1)

    def test_the_timeout_of_an_attempt_ends_with_the_time_of_the_call(self, alice: Person) -> None:
        api, wire = connect(alice, status(429, "too-many-requests", "52"))
        api.tasks.create("T")
        first, second = [request.extensions["timeout"]["read"] for request in wire.requests]
        assert first == 15
        assert 7 <= second <= 8

    def test_a_pause_is_what_the_api_asks_for_and_a_random_part(self, alice: Person, clock: Clock) -> None:
        api, _ = connect(alice, *[limited] * 5)
        api.tasks.create("T")
        assert len(set(clock.sleeps)) == 5
        for sleep, longest in zip(clock.sleeps, (0.5, 1, 2, 4, 8), strict=True):
            assert 7 <= sleep <= 7 + longest

    def test_a_date_in_retry_after_is_a_pause_without_it(self, alice: Person, clock: Clock) -> None:
        connect(alice, status(503, "unavailable", "Fri, 27 Nov 2026 12:00:00 GMT"))[0].tasks.create("T")
        assert [sleep <= 0.5 for sleep in clock.sleeps] == [True]

    def test_a_key_that_an_earlier_attempt_still_uses_is_tried_again(self, alice: Person) -> None:
        api, wire = connect(alice, lost_response, in_progress, in_progress)
        api.tasks.create("T")
        assert len(wire.requests) == 4

    @pytest.mark.parametrize("faults", [[in_progress], [limited, in_progress], [refused, in_progress]])
    def test_a_key_that_another_call_uses_is_a_conflict(self, alice: Person, faults: list[Fault]) -> None:
        with pytest.raises(taskapi.Conflict) as raised:
            connect(alice, *faults)[0].tasks.create("T")
        assert not raised.value.outcome_unknown

    def test_an_update_that_conflicts_is_not_repeated(self, alice: Person) -> None:
        task = connect(alice)[0].tasks.create("old")
        api, wire = connect(alice, lost_request, in_progress)
        with pytest.raises(taskapi.Conflict):
            api.tasks.update(task, title="new")
        assert len(wire.requests) == 2

    def test_a_mistake_of_the_caller_is_not_a_lost_response(self, alice: Person) -> None:
        api, wire = connect(alice)
        with pytest.raises(UnicodeEncodeError):
            api.tasks.create("T", idempotency_key="\u20ac")
        assert wire.requests == []


class TestSms:
    def test_a_message_is_sent_once_for_each_key(self, machine: Person) -> None:
        api, wire = connect(machine, lost_response)
        first = api.sms.send("+12025550100", "Hello", idempotency_key="order-17")
        assert first.status == "sent"
        assert first.message_id
        assert api.sms.send("+12025550100", "Hello", idempotency_key="order-17") == first
        assert set(wire.keys) == {"order-17"}

    def test_an_unknown_outcome_is_visible(self, machine: Person) -> None:
        with network(lost_after(), client=sms.client()):
            receipt = connect(machine)[0].sms.send("+12025550101", "Hello")
        assert receipt == taskapi.Receipt(None, "unknown")

    def test_a_limit_is_too_many_requests_with_the_seconds_to_wait(self, machine: Person) -> None:
        api, _ = connect(machine, max_seconds=0.001)
        for _ in range(3):
            api.sms.send("+12025550102", "Hello")
        with pytest.raises(taskapi.TooManyRequests) as raised:
            api.sms.send("+12025550102", "Hello")
        assert raised.value.retry_after


class TokenEndpoint(httpx.BaseTransport):
    """Issues a token for each request, for an hour; each meets the next of the faults."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = iter(faults)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        fault = next(self._faults, None)
        token = {"access_token": f"token-{len(self.requests)}", "expires_in": 3600, "token_type": "Bearer"}
        return (fault(request) if fault else None) or httpx.Response(200, json=token)


def credentials(*faults: Fault) -> tuple[ClientCredentials, TokenEndpoint]:
    endpoint = TokenEndpoint(*faults)
    return ClientCredentials("https://sign-in.example.com/oauth2/token", "me", "word", transport=endpoint), endpoint


def invalid_client(_: httpx.Request) -> httpx.Response:
    return httpx.Response(400, json={"error": "invalid_client"})


def hang_up(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset", request=request)


class TestTokens:
    def test_the_request_is_one_of_client_credentials(self) -> None:
        token, endpoint = credentials()
        token()
        (request,) = endpoint.requests
        assert request.method == "POST"
        assert request.url == "https://sign-in.example.com/oauth2/token"
        assert request.read() == b"grant_type=client_credentials"
        assert request.headers["Authorization"] == "Basic bWU6d29yZA=="

    def test_a_token_is_kept_until_a_minute_before_it_expires(self, clock: Clock) -> None:
        token, endpoint = credentials()
        assert token() == "token-1"
        clock.now += 3539
        assert token() == "token-1"
        clock.now += 1
        assert token() == "token-2"
        assert len(endpoint.requests) == 2

    def test_many_threads_fetch_one_token(self) -> None:
        token, endpoint = credentials()
        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(lambda _: token(), range(64))) == {"token-1"}
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize("fault", [hang_up, refused, status(429), status(503), limited])
    def test_a_token_is_asked_for_again(self, fault: Fault) -> None:
        token, endpoint = credentials(fault)
        assert token() == "token-2"
        assert len(endpoint.requests) == 2

    @pytest.mark.parametrize(("fault", "attempts", "message"), [
        (invalid_client, 1, r"400 invalid_client\. Nothing was sent to the API\. Check token_url"),
        (hang_up, 6, r"No response to POST https://sign-in.example.com/oauth2/token \(ReadError: reset\)\. Nothing was sent to the API\."),
    ])  # fmt: skip
    def test_without_a_token_nothing_is_sent(self, fault: Fault, attempts: int, message: str) -> None:
        token, endpoint = credentials(*[fault] * 9)
        wire = Wire()
        with TaskApi("http://api.example.com", token, transport=wire) as api, pytest.raises(taskapi.NoToken) as raised:
            api.sms.send("+12025550100", "Hello")
        assert re.match(message, str(raised.value))
        assert "word" not in repr(raised.value)
        assert (raised.value.outcome_unknown, wire.requests, len(endpoint.requests)) == (False, [], attempts)

    def test_a_thread_does_not_wait_for_ever_for_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        token, endpoint = credentials()
        monkeypatch.setattr(taskapi, "_MAX_SECONDS", 0)
        with token._lock, pytest.raises(taskapi.NoToken, match="Another thread"):
            token()
        assert endpoint.requests == []
        monkeypatch.undo()
        assert token() == "token-1"

    def test_a_function_is_called_for_each_call(self, alice: Person) -> None:
        right = str(alice.authorization).removeprefix("Bearer ")
        tokens: Iterator[str] = iter(["wrong", right])
        api = TaskApi("http://api.example.com", lambda: next(tokens), transport=Wire())
        with pytest.raises(taskapi.Unauthorized):
            api.tasks.create("T")
        assert api.tasks.create("T").version == 1


class TestThePackage:
    def test_it_is_small_and_needs_only_httpx(self) -> None:
        folder = ROOT / "clients" / "python"
        assert len((folder / "taskapi" / "__init__.py").read_text().splitlines()) <= 300
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert [re.split(r"\W", name)[0] for name in project["dependencies"]] == ["httpx"]
