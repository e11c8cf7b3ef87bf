"""POST /sms: each message at most once, within limits, and only for machines."""

import contextvars
import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import boto3
import jwt
import phonenumbers
import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from moto.sns.models import sns_backends
from msgspec import structs

from app import app
from chalicelib.config import settings
from chalicelib.principals import Machine
from chalicelib.sms import service as sms
from chalicelib.sms.model import SmsMessage, count_parts, country, is_barred
from chalicelib.values import IdempotencyKey
from tests.conftest import TABLE
from tests.support import pool
from tests.support.events import Context, event
from tests.support.people import Person, Response
from tests.support.pool import access_claims, id_claims, machine_claims, token
from tests.support.sdk_faults import (
    Deadline,
    delivered_twice,
    lost_after,
    lost_before,
    network,
    refused,
    respond_with,
    use_fresh_client,
)
from tools.generate import policies

REFUSAL = b"<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>"
UNKNOWN = {"message_id": None, "status": "unknown"}
UNAVAILABLE = (503, "unavailable")
NOON = 1_893_499_200  # of 2030-01-01
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock ten seconds after noon, far from the end of a minute, an hour and a day; retry at once."""
    monkeypatch.setattr(time, "time", lambda: NOON + 10.0)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    use_fresh_client(monkeypatch)


def sent() -> list[tuple[str, str]]:
    """Return number and message of all that were sent, in order."""
    messages = sns_backends["123456789012"][settings.region].sms_messages
    return list(messages.values())


def new_message(to: str = "", message: str = "Hello") -> dict[str, str]:
    """Return a request body; without `to`, with an unused number."""
    return {"to": to or f"+1202555{next(_numbers):04d}", "message": message}


def counted() -> list[int]:
    """Return what all the counters of the limits have counted."""
    items = boto3.client("dynamodb", region_name=settings.region).scan(TableName=TABLE)["Items"]
    return [int(item["count"]["N"]) for item in items if item["PK"]["S"].startswith("LIMIT#")]


def send(machine: Person, body: object, key: str = "") -> Response:
    return machine("POST", "/sms", body, Idempotency_Key=key or f"key-{next(_numbers)}")


@pytest.fixture
def outbox() -> Iterator[list[tuple[str, str]]]:
    """Yield a list for the messages that the test expects; check that exactly these are sent."""
    before = len(sent())
    mine: list[tuple[str, str]] = []
    yield mine
    assert sent()[before:] == mine


class TestSending:
    def test_a_message_is_sent_once_and_its_id_returned(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        body = new_message(message="Line one\nLine two")
        response = send(machine, body, "k")
        assert response.status == 202
        assert list(response.json) == ["message_id", "status"]
        assert response.json["status"] == "sent"
        assert "Idempotency-Replayed" not in response.headers
        again = send(machine, dict(reversed(body.items())), '"k"')
        assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (202, response.body, "true")
        outbox.append((body["to"], body["message"]))

    @pytest.mark.parametrize("message", ["Line one\r\nLine two", "Line one\rLine two"])
    def test_line_ends_are_sent_as_line_feeds(self, machine: Person, outbox: list[tuple[str, str]], message: str) -> None:
        body = new_message(message=message)
        assert send(machine, body, "k").json["status"] == "sent"
        assert send(machine, body, "k").headers["Idempotency-Replayed"] == "true"
        outbox.append((body["to"], "Line one\nLine two"))

    def test_sender_kind_and_price_come_from_the_stage(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        asked: list[Any] = []
        sms.client().meta.events.register("provide-client-params.sns.Publish", lambda params, **_: asked.append(params))
        body = new_message()
        send(machine, body)
        assert {name: value["StringValue"] for name, value in asked[0]["MessageAttributes"].items()} == {
            "AWS.SNS.SMS.SMSType": "Transactional",
            "AWS.SNS.SMS.MaxPrice": "0.10",
            "AWS.SNS.SMS.SenderID": "Tasks",
        }
        assert asked[0].keys() == {"PhoneNumber", "Message", "MessageAttributes"}
        outbox.append((body["to"], "Hello"))

    def test_a_message_is_sent_on_a_new_connection(self, machine: Person) -> None:
        asked: list[object] = []
        with network(lambda request: asked.append(request.headers["Connection"]), client=sms.client()):
            send(machine, new_message())
        assert asked == ["close"]

    def test_an_empty_sender_is_not_sent(self, machine: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []
        monkeypatch.setattr("chalicelib.sms.service.settings", structs.replace(settings, sms_sender_id=""))
        sms.client().meta.events.register("provide-client-params.sns.Publish", lambda params, **_: asked.append(params))
        send(machine, new_message())
        assert "AWS.SNS.SMS.SenderID" not in asked[0]["MessageAttributes"]

    @pytest.mark.parametrize("to", [
        "12025550100", "+0123456789", "+12025550100 ", "+1 202 555 0100", "+1202555010a", "+", "+123456", "+1234567890123456", "",
        "arn:aws:sns:eu-central-1:1:topic", "+12025550100,+12025550101", "+\u0661\u0662\u0660\u0662\u0665\u0665\u0665\u0660\u0661\u0660\u0660",
        "+12025550100\n", "+18765550100", "+15555550100", "+9990000000", "+4402079460000", "+112025550100", "+883510000000000", "+5511987654321", "+447700900123", None, 5, ["+12025550100"],
    ])  # fmt: skip
    def test_a_number_in_an_unsupported_country_is_refused(
        self, machine: Person, outbox: list[tuple[str, str]], to: object
    ) -> None:
        response = send(machine, {"to": to, "message": "Hello"})
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == ["/to"]
        assert outbox == []

    @pytest.mark.parametrize(
        "message",
        [
            "",
            "  \n",
            "a\tb",
            "\u200b",
            "\u3164\u2800",
            "\r\n",
            "\x00",
            "\x1b[31m",
            "\ud800",
            "x" * 613,
            "ж" * 269,
            "x" * 1601,
            None,
            5,
        ],
    )
    def test_an_invalid_or_long_message_is_refused(
        self, machine: Person, outbox: list[tuple[str, str]], message: object
    ) -> None:
        response = send(machine, {"to": "+12025550100", "message": message})
        assert response.problem == (422, "validation")
        assert [error["pointer"] for error in response.json["errors"]] == ["/message"]
        assert outbox == []

    @pytest.mark.parametrize("message", ["x" * 612, "€" * 304, "ж" * 268, "😀" * 132])
    def test_four_parts_are_sent(self, machine: Person, message: str) -> None:
        assert send(machine, new_message(message=message)).status == 202

    @pytest.mark.parametrize(
        "to", ["+19002345678", "+18002345678", "+449061234567", "+448701234567", "+448001111111", "+445512345678"]
    )
    def test_a_number_that_costs_its_callers_or_receives_nothing_is_refused(
        self, machine: Person, outbox: list[tuple[str, str]], to: str
    ) -> None:
        response = send(machine, new_message(to))
        assert response.problem == (422, "validation")
        ((pointer, detail),) = [(error["pointer"], error["detail"]) for error in response.json["errors"]]
        assert pointer == "/to"
        assert "premium rate" in detail
        assert outbox == []

    def test_other_members_are_refused(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        for member in ("sender_id", "type", "max_price", "topic"):
            assert send(machine, new_message() | {member: "x"}).problem == (422, "validation")
        assert outbox == []

    def test_no_country_means_no_messages(self, machine: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.sms.service.settings", structs.replace(settings, sms_countries=""))
        for to in ("+12025550100", "+15555550100"):
            assert send(machine, new_message(to)).problem == (422, "validation")

    def test_a_key_is_required(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        assert machine("POST", "/sms", new_message()).problem == (400, "idempotency-key-required")
        assert machine("POST", "/sms", new_message(), Idempotency_Key="a b").problem == (400, "malformed")
        assert outbox == []


class TestWho:
    @pytest.mark.parametrize("claims", [
        {}, {"scope": "task-api/sms openid"}, {"scope": "openid task-api/sms"},
    ])  # fmt: skip
    def test_a_machine_of_the_stage_with_the_scope_is_admitted(self, claims: dict[str, Any]) -> None:
        assert send(Person(token(machine_claims(**claims), "for-access")), {"to": 1}).status == 422

    @pytest.mark.parametrize("made", [
        lambda: token(id_claims()), lambda: token(access_claims(), "for-access"),
        lambda: token(access_claims(scope="task-api/sms"), "for-access"), lambda: token(machine_claims("unlisted"), "for-access"),
        lambda: token(machine_claims(client_id=""), "for-access"), lambda: token(machine_claims(client_id=None), "for-access"),
        lambda: token(machine_claims(client_id=f"another,{pool.MACHINE_CLIENT}"), "for-access"),
        lambda: token(machine_claims(client_id=["another"]), "for-access"), lambda: token(machine_claims(token_use="id"), "for-access"),
        lambda: token(machine_claims(scope=None), "for-access"), lambda: token(machine_claims(scope=""), "for-access"),
        lambda: token(machine_claims(scope="task-api/sms2"), "for-access"), lambda: token(machine_claims(scope="x-task-api/sms"), "for-access"),
        lambda: token(machine_claims(scope="TASK-API/SMS"), "for-access"), lambda: token(machine_claims(exp=1), "for-access"),
        lambda: token(machine_claims(scope=["task-api/sms"]), "for-access"),
    ])  # fmt: skip
    def test_nobody_but_a_machine_of_the_stage_with_the_scope_is_admitted(
        self, made: Callable[[], str], outbox: list[tuple[str, str]]
    ) -> None:
        assert send(Person(made()), new_message()).problem == (401, "unauthorized")
        assert outbox == []

    def test_a_machine_sees_no_tasks(self, machine: Person) -> None:
        assert machine("GET", "/tasks").problem == (401, "unauthorized")
        assert machine("GET", "/admin/tasks?status=done").problem == (401, "unauthorized")


class TestLimits:
    def test_a_client_may_send_five_messages_in_a_minute(self, machine: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [send(machine, new_message()).status for _ in range(5)] == [202] * 5
        response = send(machine, new_message(), "k")
        assert response.problem == (429, "too-many-requests")
        assert response.headers["Retry-After"] == "50"  # ten seconds of the minute are over
        monkeypatch.setattr(time, "time", lambda: NOON + 60)
        assert send(machine, new_message(), "k2").status == 202

    def test_a_number_gets_three_messages_in_an_hour_from_all_clients(self, machine: Person) -> None:
        to = new_message()["to"]
        other = Person(token(machine_claims("another"), "for-access"))
        assert [send(who, new_message(to)).status for who in (machine, other, machine)] == [202] * 3
        response = send(other, new_message(to))
        assert response.problem == (429, "too-many-requests")
        assert response.headers["Retry-After"] == "3590"
        assert send(other, new_message()).status == 202

    def test_the_parts_of_a_day_are_limited(self, machine: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.sms.service.settings", structs.replace(settings, sms_parts_per_day=3))
        two = "x" * 161
        assert send(machine, new_message(message="x" * 460)).problem == (429, "too-many-requests")
        assert send(machine, new_message(message=two)).status == 202
        assert send(machine, new_message(message=two)).problem == (429, "too-many-requests")
        response = send(machine, new_message())
        assert response.status == 202
        assert send(machine, new_message()).headers["Retry-After"] == str(43200 - 10)

    def test_a_client_is_told_the_limits(self, machine: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chalicelib.sms.service.settings", structs.replace(settings, sms_parts_per_day=3))
        two = "x" * 161
        accepted, refused = (send(machine, new_message(message=two)) for _ in range(2))
        assert accepted.headers["RateLimit-Policy"] == '"client";q=5;w=60, "number";q=3;w=3600, "parts";q=1000;w=86400'
        assert "RateLimit" not in accepted.headers
        assert (refused.status, refused.headers["RateLimit"]) == (429, '"parts";r=1;t=43190')

    def test_a_refused_request_counts_nothing_and_frees_its_key(
        self, machine: Person, outbox: list[tuple[str, str]]
    ) -> None:
        to = new_message()["to"]
        for _ in range(6):
            assert send(machine, new_message(to, message="")).status == 422
        three = [new_message(to) for _ in range(3)]
        assert [send(machine, body).status for body in three] == [202] * 3
        assert [send(machine, new_message(to), "k").status for _ in range(6)] == [429] * 6
        two = [new_message(), new_message()]
        assert [send(machine, two[0], "k").status, send(machine, two[1]).status] == [202, 202]
        outbox += [(body["to"], body["message"]) for body in three + two]

    @pytest.mark.parametrize("stricter", [
        {"sms_countries": "GB"}, {"sms_max_parts": 0}, {"sms_per_client_and_minute": 0}, {"sms_per_number_and_hour": 0}, {"sms_parts_per_day": 0},
    ])  # fmt: skip
    def test_a_replay_succeeds_after_the_stage_became_stricter(
        self, machine: Person, monkeypatch: pytest.MonkeyPatch, stricter: dict[str, Any]
    ) -> None:
        body = new_message()
        first = send(machine, body, "k")
        monkeypatch.setattr("chalicelib.sms.service.settings", structs.replace(settings, **stricter))
        again = send(machine, body, "k")
        assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (202, first.body, "true")
        assert send(machine, new_message(), "another").status in {422, 429}
        monkeypatch.setattr(time, "time", lambda: NOON + 10 + 86401)
        assert send(machine, body, "k").status in {422, 429}

    def test_a_replayed_request_counts_once(self, machine: Person) -> None:
        body = new_message()
        assert [send(machine, body, "k").status for _ in range(6)] == [202] * 6
        assert [send(machine, new_message()).status for _ in range(5)] == [202] * 4 + [429]


class TestSameKey:
    def test_another_body_is_refused(self, machine: Person) -> None:
        send(machine, new_message("+12025550100"), "k")
        assert send(machine, new_message("+12025550101"), "k").problem == (422, "idempotency-key-reused")

    def test_idempotency_keys_of_two_machines_are_independent(self, machine: Person) -> None:
        other = Person(token(machine_claims("another"), "for-access"))
        first, second = send(machine, new_message("+12025550123"), "same"), send(other, new_message("+12025550124"), "same")
        assert first.json["message_id"] != second.json["message_id"]

    def test_a_second_call_is_a_conflict_while_the_first_may_run_and_unknown_after(
        self, machine: Person, outbox: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = new_message()

        def dies(_request: object) -> None:
            raise SystemExit  # as a function does that is stopped

        with network(dies, client=sms.client()), pytest.raises(SystemExit):
            send(machine, body, "k")
        assert send(machine, body, "k").problem == (409, "conflict")
        monkeypatch.setattr(time, "time", lambda: NOON + 80)
        response = send(machine, body, "k")
        assert (response.status, response.json, response.headers["Idempotency-Replayed"]) == (202, UNKNOWN, "true")
        assert outbox == []


LOST = {
    "the response is lost": ReadTimeoutError(endpoint_url="x"),
    "the connection is closed": ConnectionClosedError(endpoint_url="x"),
}
GARBLED = {
    "a page": respond_with(200, b"<html>hello</html>"),
    "nothing": respond_with(200, b""),
    "half of a response": respond_with(200, b"<PublishResponse><PublishResult><Mess"),
    "a blank id": respond_with(
        200, b"<PublishResponse><PublishResult><MessageId> </MessageId></PublishResult></PublishResponse>"
    ),
    "a page with status 400": respond_with(400, b"<html>x</html>"),
    "a refusal without a code": respond_with(403, b"<ErrorResponse><Error><Message>x</Message></Error></ErrorResponse>"),
    "no id": respond_with(200, b"<PublishResponse><PublishResult></PublishResult></PublishResponse>"),
    "500": respond_with(500, b"<ErrorResponse><Error><Code>InternalError</Code></Error></ErrorResponse>"),
    "503": respond_with(503, b"busy"),
}


class TestErrorsOfSns:
    def test_an_internal_error_before_sending_is_not_unknown(
        self, machine: Person, monkeypatch: pytest.MonkeyPatch, outbox: list[tuple[str, str]]
    ) -> None:
        body = new_message()
        with monkeypatch.context() as broken:
            broken.setattr(
                "chalicelib.sms.service.settings", structs.replace(settings, sms_max_price=1)
            )  # which boto3 refuses as text
            assert send(machine, body, "k").problem == (500, "internal")
        assert send(machine, body, "k").json["status"] == "sent"
        outbox.append((body["to"], body["message"]))

    @pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
    def test_a_message_whose_response_was_lost_is_unknown_and_never_sent_again(
        self, machine: Person, outbox: list[tuple[str, str]], fault: Exception
    ) -> None:
        body = new_message()
        with network(lost_after(error=fault), client=sms.client()) as attempts:
            response = send(machine, body, "k")
            again = send(machine, body, "k")
        assert attempts == ["Publish"]
        assert (response.status, response.json) == (again.status, again.json) == (202, UNKNOWN)
        outbox.append((body["to"], body["message"]))

    @pytest.mark.parametrize("fault", GARBLED.values(), ids=GARBLED.keys())
    def test_a_message_whose_response_is_garbled_is_unknown_and_never_sent_again(
        self, machine: Person, outbox: list[tuple[str, str]], fault: Any
    ) -> None:
        body = new_message()
        with network(fault, client=sms.client()) as attempts:
            response = send(machine, body, "k")
            again = send(machine, body, "k")
        assert attempts == ["Publish"]
        assert (response.status, response.json) == (again.status, again.json) == (202, UNKNOWN)
        assert outbox == []

    @pytest.mark.parametrize(("status", "code", "problem"), [
        (400, "InvalidParameter", (422, "validation")), (400, "InvalidParameterValue", (422, "validation")),
        (403, "AuthorizationError", UNAVAILABLE), (429, "Throttled", UNAVAILABLE), (400, "Throttling", UNAVAILABLE),
        (403, "InvalidClientTokenId", UNAVAILABLE), (404, "NotFound", UNAVAILABLE),
    ])  # fmt: skip
    def test_a_refusal_releases_key_and_limits(
        self, machine: Person, outbox: list[tuple[str, str]], status: int, code: str, problem: tuple[int, str]
    ) -> None:
        body = new_message()
        refusal = f"<ErrorResponse><Error><Code>{code}</Code><Message>{body['to']} is bad</Message></Error></ErrorResponse>"
        with network(*[respond_with(status, refusal.encode())] * 6, client=sms.client()) as attempts:
            for _ in range(6):  # one more than a client may send in a minute
                response = send(machine, body, "k")
                assert response.problem == problem
                assert body["to"].encode() not in response.body
                if problem[0] == 422:  # SNS may mean a setting of the stage, and has no code that tells
                    (error,) = response.json["errors"]
                    assert "sender" in error["detail"]
        assert len(attempts) == 6
        assert send(machine, body, "k").json["status"] == "sent"
        outbox.append((body["to"], body["message"]))

    @pytest.mark.parametrize("error", [
        EndpointConnectionError(endpoint_url="x"), ConnectTimeoutError(endpoint_url="x"), NoCredentialsError(),
        CredentialRetrievalError(provider="x", error_msg="x"),
    ])  # fmt: skip
    def test_a_message_that_was_not_sent_releases_key_and_limits(
        self, machine: Person, outbox: list[tuple[str, str]], error: Exception
    ) -> None:
        body = new_message()

        def unreachable(_request: object) -> None:
            raise error

        with network(unreachable, client=sms.client()) as attempts:
            assert send(machine, body, "k").problem == UNAVAILABLE
        assert attempts == ["Publish"]
        assert send(machine, body, "k").json["status"] == "sent"
        outbox.append((body["to"], body["message"]))

    def test_a_hanging_service_gives_unknown_before_the_deadline(
        self, machine: Person, outbox: list[tuple[str, str]]
    ) -> None:
        def hangs_until_the_deadline(_request: object) -> None:
            signal.raise_signal(signal.SIGALRM)

        with network(hangs_until_the_deadline, client=sms.client()):
            response = send(machine, new_message(), "k")
        assert (response.status, response.json) == (202, UNKNOWN)
        assert outbox == []


class TestTheLog:
    def test_the_log_line_has_the_outcome_of_a_message(self, machine: Person, capsys: pytest.CaptureFixture[str]) -> None:
        send(machine, new_message())
        with network(respond_with(500, b""), client=sms.client()):
            send(machine, new_message())
        machine("GET", "/health")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line.get("outcome") for line in lines] == ["sent", "unknown", None]

    @pytest.mark.parametrize(("fault", "cause"), [
        (respond_with(500, b""), "botocore.exceptions.ClientError"), (lost_before, "botocore.exceptions.ConnectionClosedError"),
    ])  # fmt: skip
    def test_the_log_line_of_an_unknown_outcome_has_the_cause(
        self, machine: Person, capsys: pytest.CaptureFixture[str], fault: Any, cause: str
    ) -> None:
        with network(fault, client=sms.client()):
            assert send(machine, new_message()).json == UNKNOWN
        with network(lambda _: None, *[refused("InternalServerError", 500)] * 3):
            assert send(machine, new_message()).json == UNKNOWN
        publish, record = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert publish["errors"][0]["type"] == cause
        assert record["errors"][0]["type"] == "chalicelib.problems.Unavailable"

    def test_a_message_outside_a_request_has_no_log_line(self) -> None:
        message, key = SmsMessage(**new_message()), IdempotencyKey("k", "fingerprint")
        receipt, replayed = contextvars.Context().run(sms.send, Machine("m", "CLIENT#m"), key, message, NOON + 60)
        assert (receipt.status, replayed) == ("sent", False)


class TestErrorsOfDynamoDb:
    @pytest.mark.parametrize("fault", [refused("ThrottlingException"), refused("InternalServerError", 500), lost_before])
    def test_without_a_reservation_nothing_is_sent(self, machine: Person, outbox: list[tuple[str, str]], fault: Any) -> None:
        with network(*[fault] * 3):
            assert send(machine, new_message(), "k").problem == UNAVAILABLE
        assert outbox == []

    def test_a_reservation_whose_response_was_lost_is_recognised(
        self, machine: Person, outbox: list[tuple[str, str]]
    ) -> None:
        body = new_message()
        with network(lost_after()):
            assert send(machine, body, "k").json["status"] == "sent"
        assert [send(machine, new_message()).status for _ in range(5)] == [202] * 4 + [429]
        outbox += sent()[-5:]
        assert outbox[0] == (body["to"], body["message"])

    def test_an_outcome_that_cannot_be_stored_is_unknown_in_each_response(
        self, machine: Person, outbox: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = new_message()
        with network(lambda _: None, *[lost_before] * 3) as attempts:
            response = send(machine, body, "k")
        assert attempts == ["TransactWriteItems"] * 4
        assert (response.status, response.json) == (202, UNKNOWN)
        monkeypatch.setattr(time, "time", lambda: NOON + 80)
        assert send(machine, body, "k").json == UNKNOWN
        outbox.append((body["to"], body["message"]))

    @pytest.mark.parametrize("before", [0, 1])
    def test_a_reservation_delivered_twice_sends_and_counts_once(
        self, machine: Person, outbox: list[tuple[str, str]], before: int
    ) -> None:
        body = new_message()
        with network(*[lambda _: None] * before, delivered_twice) as attempts:
            response = send(machine, body, "k")
        assert (response.json["status"], attempts) == ("sent", ["TransactWriteItems"] * 2)
        assert send(machine, body, "k").body == response.body
        assert counted() == [1, 1, 1]
        outbox.append((body["to"], body["message"]))

    def test_a_release_delivered_twice_is_applied_once(self, machine: Person) -> None:
        to = new_message()["to"]
        assert send(machine, new_message(to)).status == 202
        with network(respond_with(400, REFUSAL), client=sms.client()), network(lambda _: None, delivered_twice):
            assert send(machine, new_message(to), "k").problem == (422, "validation")
        assert counted() == [1, 1, 1]

    def test_a_sent_message_whose_id_is_not_stored_is_unknown(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        body = new_message()
        full = refused("TransactionCanceledException", CancellationReasons='[{"Code": "ItemCollectionSizeLimitExceeded"}]')
        with network(lambda _: None, full):
            response = send(machine, body, "k")
        assert (response.status, response.json) == (202, UNKNOWN)
        outbox.append((body["to"], body["message"]))

    def test_a_record_that_is_gone_can_be_canceled(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        body = new_message()
        gone = refused("TransactionCanceledException", CancellationReasons='[{"Code": "ConditionalCheckFailed"}]')
        with network(lambda _: None, gone):
            assert send(machine, body, "k").json == UNKNOWN
        outbox.append((body["to"], body["message"]))

    def test_a_record_that_conflicts_with_another_request_is_written_by_a_retry(
        self, machine: Person, outbox: list[tuple[str, str]]
    ) -> None:
        body = new_message()
        conflict = refused("TransactionCanceledException", CancellationReasons='[{"Code": "TransactionConflict"}]')
        with network(lambda _: None, *[conflict] * 4) as attempts:
            assert send(machine, body, "k").json["status"] == "sent"
        assert len(attempts) == 6
        assert send(machine, body, "k").json["status"] == "sent"
        outbox.append((body["to"], body["message"]))

    def test_a_limit_is_not_reported_while_the_record_conflicts(self, machine: Person) -> None:
        body = new_message()
        first = send(machine, body, "k")
        codes = '[{"Code": "TransactionConflict"}, {"Code": "ConditionalCheckFailed"}, {"Code": "None"}, {"Code": "None"}]'
        with network(refused("TransactionCanceledException", CancellationReasons=codes)):
            assert send(machine, body, "k").body == first.body

    @pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded"])
    def test_a_limit_is_not_reported_while_the_record_is_throttled(self, machine: Person, reason: str) -> None:
        body = new_message()
        first = send(machine, body, "k")
        codes = json.dumps([{"Code": code} for code in (reason, "ConditionalCheckFailed", "None", "None")])
        with network(refused("TransactionCanceledException", CancellationReasons=codes)):
            assert send(machine, body, "k").body == first.body

    def test_key_and_limits_are_released_in_one_transaction(self, machine: Person, outbox: list[tuple[str, str]]) -> None:
        with network(respond_with(400, REFUSAL), client=sms.client()), network() as attempts:
            assert send(machine, new_message(), "k").problem == (422, "validation")
        assert attempts == ["TransactWriteItems"] * 2
        assert outbox == []

    def test_a_refusal_is_reported_even_if_it_cannot_be_released(
        self, machine: Person, outbox: list[tuple[str, str]]
    ) -> None:
        with network(respond_with(400, REFUSAL), client=sms.client()), network(lambda _: None, *[lost_before] * 3):
            assert send(machine, new_message(), "k").problem == (422, "validation")
        assert outbox == []

    @pytest.mark.parametrize(("reasons", "problem"), [
        ("TransactionConflict None None None", (409, "conflict")), ("None None TransactionConflict None", UNAVAILABLE),
    ])  # fmt: skip
    def test_a_transaction_that_always_conflicts_is_409_for_a_key_or_503(
        self,
        machine: Person,
        outbox: list[tuple[str, str]],
        monkeypatch: pytest.MonkeyPatch,
        reasons: str,
        problem: tuple[int, str],
    ) -> None:
        deadline = Deadline(monkeypatch)
        codes = json.dumps([{"Code": code} for code in reasons.split()])
        with network(*[refused("TransactionCanceledException", CancellationReasons=codes)] * 1000):
            assert send(machine, new_message(), "k").problem == problem
        assert 4 <= deadline.left < 5  # SNS would have had its time
        assert outbox == []


@pytest.mark.usefixtures("in_lambda")
def test_a_repeated_request_id_does_not_send_a_message_twice(machine: Person) -> None:
    (token,) = str(machine.authorization).split()[1:]
    claims = jwt.decode(token, options={"verify_signature": False})
    body = json.dumps({"to": "+12025550191", "message": "Hello"})
    headers = {"multiValueHeaders": {"Idempotency-Key": ["once"]}}
    responses = [app(event("POST", "/sms", claims, body, **headers), Context()) for _ in range(3)]
    assert [response["statusCode"] for response in responses] == [202] * 3
    assert len({response["body"] for response in responses}) == 1
    assert [response["headers"].get("Idempotency-Replayed") for response in responses] == [None, "true", "true"]


def test_no_topic_may_be_published_to() -> None:
    (shut,) = [one for one in policies.policy("prod", "")["Statement"] if "NotResource" in one]
    assert fnmatchcase("arn:aws:sns:eu-central-1:123456789012:news", shut["NotResource"])
    assert not fnmatchcase("+12025550100", shut["NotResource"])


def test_neither_number_nor_message_is_stored(machine: Person) -> None:
    body = new_message(message="private words")
    send(machine, body)
    kept = json.dumps(boto3.client("dynamodb", region_name=settings.region).scan(TableName=TABLE)["Items"])
    assert body["to"] not in kept
    assert "private words" not in kept


@pytest.mark.parametrize(("number", "expected"), [
    ("+12025550100", "US"), ("+18765550100", "JM"), ("+442079460000", "GB"), ("+5511987654321", "BR"), ("+15555550100", None), ("+9990000000", None), ("+2100000000", None), ("+4402079460000", None), ("+112025550100", None),
    ("+4915112345678", "DE"), ("+49112000", None), ("+491511234560000", None),
])  # fmt: skip
def test_a_country_follows_from_the_numbering_plan(number: str, expected: str | None) -> None:
    assert country(number) == expected


KINDS = phonenumbers.PhoneNumberType
REFUSED_KINDS = {KINDS.PREMIUM_RATE, KINDS.SHARED_COST, KINDS.TOLL_FREE, KINDS.PAGER, KINDS.VOICEMAIL, KINDS.UAN}


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_the_kind_of_a_number_decides_in_every_country(region: str) -> None:
    for kind in KINDS.values():
        example = phonenumbers.example_number_for_type(region, kind)
        if example is not None:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            assert is_barred(number) == (phonenumbers.number_type(example) in REFUSED_KINDS)


@pytest.mark.parametrize(("message", "expected"), [
    ("a", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2), ("^{}[]~|\\" * 10, 1),
    ("a" * 152 + "€" + "a" * 152, 3), ("a" * 151 + "€" + "a" * 153, 2), ("ç" * 70, 1), ("ç" * 71, 2), ("ж" * 134, 2), ("ж" * 135, 3),
    ("😀" * 35, 1), ("😀" * 36, 2), ("ж" + "😀" * 66, 2), ("😀" * 67, 3), ("Çé\nà", 1), ("`", 1), ("a" * 159 + "`", 3),
])  # fmt: skip
def test_parts_are_counted_as_they_are_billed(message: str, expected: int) -> None:
    assert count_parts(message) == expected
