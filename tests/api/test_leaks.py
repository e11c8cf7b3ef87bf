"""No answer and no log line shows what is nobody's business: those of all these tests, and those that are asked for here."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app import app
from chalicelib.problems import MalformedRequest
from tests.support import leaks, log_capture, pool
from tests.support.leaks import Sent
from tests.support.people import Answer, Person, path_of
from tests.support.sdk_faults import network, refused

TOKEN = pool.token(pool.id_claims(email="canary@example.com"))
BODY = {"title": "canary title", "description": "canary description", "due_at": "canary due", "to": "+12025550123", "message": "canary message"}  # fmt: skip
SENT = Sent({"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "canary-key"}, json.dumps(BODY), ["canary-cursor"])
PROBLEM = {"type": "urn:problem:malformed", "title": "The request cannot be read", "status": 400, "instance": "1"}


class TestTheFinder:
    @pytest.mark.parametrize("leak", [
        TOKEN, *TOKEN.split("."), "canary@example.com", "canary-key", "canary title", "canary description", "canary due",
        "+12025550123", "canary message", "canary-cursor", "else@example.org", "+442079460000", "USER#1", "TASK#1", "LIMIT#PARTS",
        "GSI1PK", '"PK"', "fingerprint", "Traceback (most recent call last)", 'File "app.py"', "ConditionalCheckFailedException",
    ])  # fmt: skip
    def test_it_finds_each_in_a_refusal(self, leak: str) -> None:
        assert leaks.in_answer("/tasks", 400, {}, json.dumps(PROBLEM | {"detail": f"It was {leak}."}), SENT)
        assert leaks.in_answer("/tasks", 400, {"X": leak}, json.dumps(PROBLEM), SENT)

    @pytest.mark.parametrize("leak", [TOKEN, "canary-key", "else@example.org", "STATUS#done#1", "LSI1SK"])
    def test_it_finds_some_in_what_is_shown_to_the_owner(self, leak: str) -> None:
        assert leaks.in_answer("/tasks", 200, {}, json.dumps({"title": "canary title", "next_cursor": leak}), SENT)

    @pytest.mark.parametrize("leak", [TOKEN, "canary message", "+12025550123", "canary-key", "else@example.org", "CLIENT#1"])
    def test_it_finds_each_in_the_log(self, leak: str) -> None:
        assert leaks.in_log(json.dumps({"request_id": "1", "error": leak}), SENT)

    def test_it_finds_what_any_of_several_requests_has_sent(self) -> None:
        text = Sent({}, json.dumps({"to": "+12025550199", "message": "Hello"}))
        assert leaks.in_log('{"error": "Hello"}', SENT, text) == leaks.in_log('{"error": "Hello"}', text, SENT) != []

    @pytest.mark.parametrize("shown", ['caf\xe9 "1"', 'caf\xe9 \\"1\\"', 'caf\\u00e9 \\"1\\"'])
    def test_it_knows_a_text_by_each_of_its_spellings(self, shown: str) -> None:
        assert leaks.in_log(shown, Sent({}, None, ['caf\xe9 "1"']))

    def test_it_looks_for_what_a_path_says_and_who_claims_tell_of(self) -> None:
        assert leaks.values("/tasks/canary%20id?status=done&cursor=canary%3D") == ["canary id", "done", "canary="]
        assert leaks.values("/admin/tasks") == []
        assert leaks.who(pool.machine_claims("canary-client")) == ["canary-client", "canary-client"]
        assert {"canary-sub", "canary@example.com"} <= {*leaks.who(pool.id_claims("canary-sub", email="canary@example.com"))}

    def test_it_takes_no_chance_for_a_leak(self) -> None:
        sent = Sent({"Idempotency-Key": "00000"}, json.dumps({"title": "1a2b3c", "description": "done"}), ["-0.5"])
        assert leaks.in_log('{"request_id":"00000000-1a2b3c","ms":-0.5,"told":"done"}', sent) == []

    def test_it_takes_no_word_of_ours_for_a_leak(self) -> None:
        sent = Sent({"Idempotency-Key": "admin"}, json.dumps(["instance", "/tasks", "X-Request-Id", "route", "Hello"]))
        assert sent.all == {"Hello"}

    def test_it_finds_nothing_in_what_may_be_shown(self) -> None:
        assert leaks.in_answer("/tasks", 400, {"X-Request-Id": "1"}, json.dumps(PROBLEM), SENT) == []
        errors = [{"pointer": "/canary title", "detail": "is not allowed"}]
        assert leaks.in_answer("/tasks", 422, {}, json.dumps(PROBLEM | {"errors": errors}), SENT) == []
        assert leaks.in_answer("/tasks", 200, {}, json.dumps({"title": "canary@example.com", "count": 1}), SENT) == []

    def test_it_hears_all_that_is_written(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(leaks, "FOUND", [])

        @log_capture.listening(SENT)
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


class TestALeakFailsTheTestThatSeesIt:
    @pytest.fixture(autouse=True)
    def _leaks_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leaks, "FOUND", [])

    def test_a_leak_in_an_answer_fails_the_test_that_sees_it(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        def create(*_: object) -> None:
            raise MalformedRequest("USER#1")

        monkeypatch.setattr("chalicelib.tasks.service.create", create)
        with pytest.raises(AssertionError, match="POST /tasks, 400 shows a table key, USER#"):
            alice.creates()
        assert leaks.FOUND == ["POST /tasks, 400 shows a table key, USER#"]

    def test_a_leak_in_a_log_line_fails_the_test_that_sees_it(self, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Each part of a request says something that is then looked for, in good days and bad ones."""

    @pytest.mark.parametrize("day", [nothing, outage, bug])
    def test_no_part_of_a_request_comes_back_or_is_logged(
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
            answers = [machine("POST", "/sms", text, Idempotency_Key=f"canary-key-{at}") for at, text in enumerate(texts)]
            answers += [machine("POST", "/sms", texts[0], Idempotency_Key="canary-key-0")]
            answers += [alice("POST", "/tasks", body, Idempotency_Key="canary-key") for body in bodies]
            answers += [alice("PATCH", task, body, If_Match='"canary-tag"') for body in bodies]
            answers += [alice("DELETE", task, If_Match="canary-tag"), alice("GET", "/tasks/canary-of-a-path")]
            answers += [
                alice("GET", f"/tasks?{query}=canary-value") for query in ("cursor", "limit", "due_after", "canary-name")
            ]
            answers += [alice("POST", "/tasks", b"canary", Content_Type="text/canary"), alice("GET", "/canary-of-a-path")]
            answers += [Person(f"Bearer {TOKEN[:-9]}canary")("GET", path) for path in ("/tasks", "/hello", "/admin/tasks")]
        assert [answer for answer in answers if "canary" in self.told(answer)] == []

    def told(self, answer: Answer) -> str:
        """Return an answer without the names of members and without what the owner is shown."""
        return "" if answer.status < 400 else answer.body.decode().replace("canary-name", "").replace('"/canary', "")


@pytest.mark.whole
def test_no_test_has_seen_a_leak_and_every_status_and_route_was_looked_at() -> None:
    assert leaks.FOUND == []
    assert {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 503} <= leaks.STATUSES
    assert app.routes.keys() <= leaks.LINES
