"""No response and no log line contains internal attributes or values of a client: in any test, and in those below."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app import app
from chalicelib.problems import MalformedRequest
from tests.support import leaks, log_capture, pool
from tests.support.leaks import Sent
from tests.support.people import Person, Response, path_of
from tests.support.sdk_faults import network, refused

TOKEN = pool.token(pool.id_claims(email="canary@example.com"))
BODY = {"title": "canary title", "description": "canary description", "due_at": "canary due", "to": "+12025550123", "message": "canary message"}  # fmt: skip
SENT = Sent({"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "canary-key"}, json.dumps(BODY), ["canary-cursor"])
PROBLEM = {"type": "urn:problem:malformed", "title": "The request cannot be read", "status": 400, "instance": "1"}


class TestFindingLeaks:
    @pytest.mark.parametrize("leak", [
        TOKEN, *TOKEN.split("."), "canary@example.com", "canary-key", "canary title", "canary description", "canary due",
        "+12025550123", "canary message", "canary-cursor", "else@example.org", "+442079460000", "USER#1", "TASK#1", "LIMIT#PARTS",
        "GSI1PK", '"PK"', "fingerprint", "Traceback (most recent call last)", 'File "app.py"', "ConditionalCheckFailedException",
    ])  # fmt: skip
    def test_the_leak_check_finds_each_value_in_a_problem(self, leak: str) -> None:
        assert leaks.in_response("/tasks", 400, {}, json.dumps(PROBLEM | {"detail": f"It was {leak}."}), SENT)
        assert leaks.in_response("/tasks", 400, {"X": leak}, json.dumps(PROBLEM), SENT)

    @pytest.mark.parametrize("leak", [TOKEN, "canary-key", "else@example.org", "TASK#done#1", "LSI1SK"])
    def test_the_leak_check_finds_values_in_a_task(self, leak: str) -> None:
        assert leaks.in_response("/tasks", 200, {}, json.dumps({"title": "canary title", "next_cursor": leak}), SENT)

    @pytest.mark.parametrize("leak", [TOKEN, "canary message", "+12025550123", "canary-key", "else@example.org", "CLIENT#1"])
    def test_the_leak_check_finds_each_value_in_the_log(self, leak: str) -> None:
        assert leaks.in_log(json.dumps({"request_id": "1", "error": leak}), SENT)

    def test_the_leak_check_finds_values_of_each_of_several_requests(self) -> None:
        text = Sent({}, json.dumps({"to": "+12025550199", "message": "Hello"}))
        assert leaks.in_log('{"error": "Hello"}', SENT, text) == leaks.in_log('{"error": "Hello"}', text, SENT) != []

    @pytest.mark.parametrize("shown", ['caf\xe9 "1"', 'caf\xe9 \\"1\\"', 'caf\\u00e9 \\"1\\"'])
    def test_the_leak_check_finds_each_spelling_of_a_value(self, shown: str) -> None:
        assert leaks.in_log(shown, Sent({}, None, ['caf\xe9 "1"']))

    def test_the_leak_check_searches_for_path_parameters_and_callers(self) -> None:
        assert leaks.path_values("/tasks/canary%20id?status=done&cursor=canary%3D") == ["canary id", "done", "canary="]
        assert leaks.path_values("/admin/tasks") == []
        assert leaks.caller_ids(pool.machine_claims("canary-client")) == ["canary-client", "canary-client"]
        assert {"canary-sub", "canary@example.com"} <= {
            *leaks.caller_ids(pool.id_claims("canary-sub", email="canary@example.com"))
        }

    def test_the_leak_check_ignores_chance_matches(self) -> None:
        sent = Sent({"Idempotency-Key": "00000"}, json.dumps({"title": "1a2b3c", "description": "done"}), ["-0.5"])
        assert leaks.in_log('{"request_id":"00000000-1a2b3c","ms":-0.5,"outcome":"done"}', sent) == []

    def test_the_leak_check_ignores_words_of_the_app(self) -> None:
        sent = Sent({"Idempotency-Key": "admin"}, json.dumps(["instance", "/tasks", "X-Request-Id", "route", "Hello"]))
        assert sent.all == {"Hello"}

    def test_the_leak_check_accepts_what_may_be_shown(self) -> None:
        assert leaks.in_response("/tasks", 400, {"X-Request-Id": "1"}, json.dumps(PROBLEM), SENT) == []
        errors = [{"pointer": "/canary title", "detail": "is not known here"}]
        assert leaks.in_response("/tasks", 422, {}, json.dumps(PROBLEM | {"errors": errors}), SENT) == []
        assert leaks.in_response("/tasks", 200, {}, json.dumps({"title": "canary@example.com", "count": 1}), SENT) == []

    def test_the_log_capture_records_every_stream(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(leaks, "FOUND", [])

        @log_capture.capture_output(SENT)
        def leak() -> None:
            print("canary message")
            app.log.parent.warning("canary-key")  # type: ignore[union-attr]

        with pytest.raises(AssertionError, match=r"The log shows what was sent, canary"):
            leak()
        assert sorted(leaks.FOUND) == [
            "The log shows what was sent, canary message",
            "The log shows what was sent, canary-key",
        ]
        assert capfd.readouterr().out == "canary message\n"


class TestALeakFailsItsTest:
    @pytest.fixture(autouse=True)
    def _leaks_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leaks, "FOUND", [])

    def test_a_leak_in_a_response_fails_its_test(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        def create(*_: object) -> None:
            raise MalformedRequest("USER#1")

        monkeypatch.setattr("chalicelib.tasks.service.create", create)
        with pytest.raises(AssertionError, match="POST /tasks, 400 shows a table key, USER#"):
            alice.creates()
        assert leaks.FOUND == ["POST /tasks, 400 shows a table key, USER#"]

    def test_a_leak_in_a_log_line_fails_its_test(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.http.api._log", lambda *_: print("else@example.org"))
        with pytest.raises(AssertionError, match=r"The log shows an e-mail address, e@example\.org"):
            alice("GET", "/tasks")


@contextmanager
def outage(_monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with network(refused("InternalServerError", 500), refused("AccessDeniedException"), refused("AccessDeniedException")):
        yield


@contextmanager
def bug(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make whatever is called of DynamoDB or SNS fail with all that it was called with."""

    def fail(*arguments: object) -> None:
        raise LookupError(repr(arguments))

    with monkeypatch.context() as patch:
        patch.setattr("botocore.client.BaseClient._make_api_call", fail)
        yield


@contextmanager
def nothing(_monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield


class TestCanaries:
    """Each part of a request contains a canary value, which must occur in no error response and no log line."""

    @pytest.mark.parametrize("day", [nothing, outage, bug])
    def test_no_part_of_a_request_is_repeated_or_logged(
        self, machine: Person, monkeypatch: pytest.MonkeyPatch, day: Any
    ) -> None:
        alice = Person(claims={"email": "canary@example.com"})
        task = path_of(alice.creates("canary title"))
        texts: list[object] = [
            {"to": "+12025550123", "message": "canary message"},
            {"to": "+442079460123", "message": "canary" * 300},
        ]
        texts += [
            {"to": "+5511987654321", "message": "canary message"},
            {"to": "+12025550123 canary", "message": ["canary"]},
            b'{"message": "canary message',
        ]
        bodies: list[object] = [
            BODY,
            {"title": "canary title", "description": "canary description"},
            b'{"title": "canary title',
        ]
        with day(monkeypatch):
            responses = [machine("POST", "/sms", text, Idempotency_Key=f"canary-key-{at}") for at, text in enumerate(texts)]
            responses += [machine("POST", "/sms", texts[0], Idempotency_Key="canary-key-0")]
            responses += [alice("POST", "/tasks", body, Idempotency_Key="canary-key") for body in bodies]
            responses += [alice("PATCH", task, body, If_Match='"canary-tag"') for body in bodies]
            responses += [alice("DELETE", task, If_Match="canary-tag"), alice("GET", "/tasks/canary-of-a-path")]
            responses += [
                alice("GET", f"/tasks?{query}=canary-value") for query in ("cursor", "limit", "due_after", "canary-name")
            ]
            responses += [alice("POST", "/tasks", b"canary", Content_Type="text/canary"), alice("GET", "/canary-of-a-path")]
            responses += [Person(f"Bearer {TOKEN[:-9]}canary")("GET", path) for path in ("/tasks", "/hello", "/admin/tasks")]
        assert [response for response in responses if "canary" in self.visible(response)] == []

    def visible(self, response: Response) -> str:
        """Return a response without the names of members and without what the owner is shown."""
        return "" if response.status < 400 else response.body.decode().replace("canary-name", "").replace('"/canary', "")


@pytest.mark.aggregate
def test_no_test_has_seen_a_leak_and_every_status_and_route_was_checked() -> None:
    assert leaks.FOUND == []
    assert {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 503} <= leaks.STATUSES
    assert app.routes.keys() <= leaks.LINES
