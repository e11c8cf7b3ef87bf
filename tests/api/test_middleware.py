"""What every request gets: a deadline, a problem for each failure, one log line without personal data."""

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app import app
from chalicelib.config import settings
from chalicelib.dynamodb import table
from tests.support import pool
from tests.support.alarm import Alarm
from tests.support.events import Context, context, event
from tests.support.people import Person, client, path_of
from tests.support.sdk_faults import Fault, in_another_thread, network, refused, respond_with


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was logged since the last look."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestTheLogLine:
    def test_a_request_has_one_log_line_with_its_route_and_not_its_path(
        self, alice: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = path_of(alice.creates())
        capsys.readouterr()
        clock = SimpleNamespace(perf_counter=iter([5.0, 5.01234]).__next__)
        monkeypatch.setattr("chalicelib.http.api.time", clock)
        response = alice("GET", path)
        (line,) = lines(capsys)
        assert line == {
            "request_id": response.headers["X-Request-Id"],
            "method": "GET",
            "route": "/tasks/{task_id}",
            "status": 200,
            "ms": 12.3,
            "caller_kind": "user",
            "caller": line["caller"],
            "read_units": line["read_units"],
        }

    def test_the_log_line_has_the_units_of_all_calls(self, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
        consumed = [{"TableName": "a", "CapacityUnits": 4.0}, {"TableName": "b", "CapacityUnits": 0.5}]
        with network(respond_with(200, json.dumps({"ConsumedCapacity": consumed}).encode())):
            alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        with network(respond_with(200, b'{"ConsumedCapacity": {"CapacityUnits": 1.5}}')):
            alice("GET", "/tasks/01a1f8ac-b459-7dd5-a160-0ddd8d7fcf8f")
        create, read = lines(capsys)
        assert (create["write_units"], "read_units" in create) == (4.5, False)
        assert (read["read_units"], "write_units" in read) == (1.5, False)

    def test_the_units_of_several_threads_count(
        self, alice: Person, admin: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        alice.creates()
        capsys.readouterr()
        admin("GET", "/admin/tasks?status=pending")
        (line,) = lines(capsys)
        assert line["read_units"] > 0.5 * settings.status_index_shards

    def test_the_log_line_tells_callers_apart_without_their_names(
        self, alice: Person, bob: Person, machine: Person, nobody: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for person in (alice, alice, bob):
            person("GET", "/tasks")
        alice("GET", "/hello")
        machine("POST", "/sms", {})
        nobody("GET", "/health")
        first, again, other, hello, sms, open_to_all = lines(capsys)
        assert first["caller"] == again["caller"] == hello["caller"] != other["caller"]
        assert re.fullmatch("[0-9a-f]{16}", first["caller"])
        assert [line["caller_kind"] for line in (first, other, hello, sms)] == ["user", "user", "user", "machine"]
        assert not {"caller", "caller_kind"} & open_to_all.keys()

    def test_the_log_line_of_a_replay_says_so(self, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
        for _ in range(2):
            alice("POST", "/tasks", {"title": "T"}, Idempotency_Key="k")
        assert [line.get("replayed") for line in lines(capsys)] == [None, True]

    def test_the_first_log_line_of_an_instance_is_a_cold_start(
        self, nobody: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chalicelib.http.api._first", iter([True]))
        for _ in range(2):
            nobody("GET", "/health")
        assert [line.get("cold_start") for line in lines(capsys)] == [True, None]

    @pytest.mark.parametrize(("header", "trace_id"), [
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "1-5759e988-bd862e3fe1be46a994272793"),
        ("Root=1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-bd862e3fe1be46a994272793"),
        ("Root=secret", None), ("Root=1-5759e988-bd862e3fe1be46a994272793secret", None), ("", None),
    ])  # fmt: skip
    def test_the_log_line_has_the_trace_id_and_nothing_else_of_the_header(
        self, nobody: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, header: str, trace_id: Any
    ) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        nobody("GET", "/health")
        (line,) = lines(capsys)
        assert line.get("trace_id") == trace_id
        assert "secret" not in json.dumps(line)

    @pytest.mark.parametrize(("method", "path", "body", "status"), [
        ("POST", "/tasks", b"{", 400), ("POST", "/tasks", {"secret": 1}, 422), ("GET", "/tasks?cursor=secret", None, 400),
        ("PUT", "/tasks", None, 405), ("GET", "/tasks/secret", None, 404),
    ])  # fmt: skip
    def test_a_log_line_repeats_nothing_that_a_client_sent(
        self, alice: Person, capsys: pytest.CaptureFixture[str], method: str, path: str, body: object, status: int
    ) -> None:
        alice(method, path, body)
        (line,) = lines(capsys)
        assert line["status"] == status
        known = {"request_id", "method", "route", "status", "ms", "caller_kind", "caller"}
        assert line.keys() - {"read_units"} == (known - {"caller_kind", "caller"} if status == 405 else known)
        assert "secret" not in json.dumps(line)

    def test_the_log_line_of_an_outage_has_the_error_code_and_the_frames(
        self, alice: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with network(refused("AccessDeniedException")):
            alice("GET", "/tasks")
        (line,) = lines(capsys)
        assert [error["type"] for error in line["errors"]] == [
            "chalicelib.problems.Unavailable",
            "botocore.exceptions.ClientError",
        ]
        assert line["errors"][1]["code"] == "AccessDeniedException"
        assert any("table.py:" in frame and frame.endswith(" query") for frame in line["errors"][0]["frames"])
        assert "secret text" not in json.dumps(line)

    def test_an_invalid_error_code_is_not_logged(self, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
        with network(refused("carol@example.com")):
            alice("GET", "/tasks")
        (line,) = lines(capsys)
        assert "code" not in line["errors"][1]
        assert "carol" not in json.dumps(line["errors"])


class TestUnexpectedFailures:
    @pytest.fixture
    def bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the list of tasks fail unexpectedly, with a text that must not be shown."""

        def page(*_: object) -> None:
            raise LookupError("carol@example.com") from ValueError("top secret")

        monkeypatch.setattr("chalicelib.tasks.service.list_tasks", page)

    @pytest.mark.usefixtures("bug")
    def test_the_response_hides_a_failure_and_the_log_line_has_its_frames(
        self, alice: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        response = alice("GET", "/tasks")
        assert response.problem == (500, "internal")
        assert response.json.keys() == {"type", "title", "status", "detail", "instance"}
        (line,) = lines(capsys)
        assert [error["type"] for error in line["errors"]] == [
            "chalicelib.problems.Internal",
            "builtins.LookupError",
            "builtins.ValueError",
        ]
        assert line["errors"][1]["frames"][-1].endswith(" page")
        assert "carol" not in json.dumps(line)
        assert "secret" not in json.dumps(line)

    @pytest.mark.usefixtures("bug")
    def test_an_unexpected_failure_has_one_log_line(
        self, alice: Person, capfd: pytest.CaptureFixture[str], root_log: list[str]
    ) -> None:
        alice("GET", "/tasks")
        assert len(capfd.readouterr().out.splitlines()) == 1
        assert capfd.readouterr().err == ""
        assert root_log == []

    @pytest.fixture
    def root_log(self) -> Iterator[list[str]]:
        """Listen as Lambda does: on the root logger."""
        messages: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger().addHandler(handler)
        yield messages
        logging.getLogger().removeHandler(handler)

    @pytest.mark.usefixtures("bug")
    def test_the_next_log_line_does_not_repeat_a_failure(self, alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
        alice("GET", "/tasks")
        alice("PUT", "/tasks")
        assert "errors" not in lines(capsys)[1]

    @pytest.mark.usefixtures("bug")
    def test_the_response_hides_a_failure_in_debug_mode(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app, "_debug", True)
        assert b"secret" not in alice("GET", "/tasks").body

    def test_an_event_that_chalice_cannot_process_gives_a_problem(self, capsys: pytest.CaptureFixture[str]) -> None:
        response = app(event(path="/tasks/{task_id}", pathParameters={}), Context())
        assert response["statusCode"] == 500
        assert json.loads(response["body"])["type"] == "urn:problem:internal"
        assert response["headers"]["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert lines(capsys)[0]["errors"][0]["type"] == "builtins.KeyError"

    def test_a_media_type_that_chalice_refuses_gives_a_problem(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app.routes["/tasks"]["POST"], "content_types", ["application/json"])
        assert alice("POST", "/tasks", b"x", Content_Type="text/plain").problem == (415, "unsupported-media-type")

    def test_an_event_that_is_not_a_request_is_refused(self) -> None:
        assert app({"source": "aws.events"}, Context())["statusCode"] == 500


def hang() -> None:
    time.sleep(30)


def drip() -> None:
    for _ in range(3000):
        time.sleep(0.01)


@pytest.fixture(params=[hang])
def peer(alarm: Alarm, request: pytest.FixtureRequest) -> Fault:
    """Let the time of a request begin when its first call reaches this peer, which does not end."""

    def peer(_request: object) -> None:
        alarm.start()
        request.param()

    return peer


class TestTheDeadline:
    @pytest.mark.parametrize("peer", [hang, drip], indirect=True)
    def test_an_endless_response_is_cut_off_and_the_next_request_succeeds(
        self, in_lambda: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], alarm: Alarm, peer: Fault
    ) -> None:
        del in_lambda
        claims = pool.id_claims()
        with network(peer) as attempts:
            response = app(event(claims=claims), Context(milliseconds=600))
        assert attempts == ["Query"]
        assert alarm.requested[0] == pytest.approx(0.1)
        assert response["statusCode"] == 503
        assert response["headers"]["Retry-After"] == "1"
        (line,) = lines(capsys)
        assert line["errors"][0]["type"] == "chalicelib.deadline.DeadlineReached"
        assert app(event(claims=claims), Context())["statusCode"] == 200

    def test_the_deadline_works_in_threads_of_the_local_server(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("chalicelib.deadline.REQUEST_TIMEOUT", 0.2)
        over, before = threading.Event(), set(threading.enumerate())

        def hanging(_request: object) -> None:
            over.wait()
            raise LookupError

        with network(hanging):
            response = in_another_thread(lambda: alice("GET", "/tasks"))
            over.set()
            for left_behind in set(threading.enumerate()) - before:
                left_behind.join()
        assert response.problem == (503, "unavailable")
        assert [line["status"] for line in lines(capsys)] == [503]  # of the thread that was cut off

    @pytest.mark.parametrize("milliseconds", [501, 500, 499, 1, 0, -5])
    def test_a_request_without_time_left_ends_at_once(
        self, in_lambda: pytest.MonkeyPatch, alarm: Alarm, peer: Fault, milliseconds: int
    ) -> None:
        del in_lambda
        with network(peer):
            response = app(event(claims=pool.id_claims()), Context(milliseconds))
        assert alarm.requested[0] == pytest.approx(0.001)
        assert response["statusCode"] == 503
        assert response["headers"]["Retry-After"] == "1"

    def test_no_request_may_take_longer_than_the_longest(
        self, alice: Person, monkeypatch: pytest.MonkeyPatch, peer: Fault
    ) -> None:
        monkeypatch.setattr("chalicelib.deadline.REQUEST_TIMEOUT", 0.1)
        with network(peer):
            assert alice("GET", "/tasks").problem == (503, "unavailable")


class TestBehindTheGateway:
    def test_location_has_the_stage(self, in_lambda: pytest.MonkeyPatch) -> None:
        del in_lambda
        response = app(event("POST", claims=pool.id_claims(), body='{"title": "T"}'), Context())
        assert response["headers"]["Location"] == f"/prod/tasks/{json.loads(response['body'])['task_id']}"

    def test_a_base64_body_is_decoded(self, in_lambda: pytest.MonkeyPatch) -> None:
        del in_lambda
        body: Any = {"body": "eyJ0aXRsZSI6ICJUIn0=", "isBase64Encoded": True}
        assert app(event("POST", claims=pool.id_claims(), **body), Context())["statusCode"] == 201

    @pytest.mark.parametrize(("names", "status"), [(['"7"', '"1"'], 200), (['"7"', '"8"'], 412)])
    def test_a_header_on_several_lines_is_one_list(
        self, in_lambda: pytest.MonkeyPatch, names: list[str], status: int
    ) -> None:
        del in_lambda
        claims = pool.id_claims()
        task = json.loads(app(event("POST", claims=claims, body='{"title": "T"}'), Context())["body"])
        route = "/tasks/{task_id}"
        changed = event(
            "PATCH",
            route,
            claims,
            '{"title": "U"}',
            headers={"If-Match": names[-1]},
            multiValueHeaders={"If-Match": names},
            pathParameters={"task_id": task["task_id"]},
            requestContext=context("PATCH", route, {"claims": claims}, requestId="another"),
        )
        assert app(changed, Context())["statusCode"] == status

    def test_two_idempotency_keys_are_malformed(self, in_lambda: pytest.MonkeyPatch) -> None:
        del in_lambda
        headers: Any = {"headers": {"idempotency-key": "b"}, "multiValueHeaders": {"idempotency-key": ["a", "b"]}}
        response = app(event("POST", claims=pool.id_claims(), body='{"title": "T"}', **headers), Context())
        assert json.loads(response["body"])["type"] == "urn:problem:malformed"

    def test_the_write_id_cannot_be_chosen_by_a_client(self, in_lambda: pytest.MonkeyPatch) -> None:
        del in_lambda
        claims = pool.id_claims()
        task = json.loads(app(event("POST", claims=claims, body='{"title": "T"}'), Context())["body"])
        key = {"PK": {"S": f"USER#{claims['sub']}"}, "SK": {"S": f"TASK#{task['task_id']}"}}
        write = table.client.get_item(TableName="task-api-test", Key=key)["Item"]["write_id"]["S"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{16}", write)


def test_events_of_the_test_client_have_no_ids_of_the_gateway() -> None:
    assert (
        "apiId" not in client.http._local_gateway.event_converter.create_lambda_event("GET", "/tasks", {})["requestContext"]
    )
    assert context()["apiId"]
