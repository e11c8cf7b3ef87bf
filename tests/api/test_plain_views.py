"""Views as Chalice's own tutorial has them: they return a dict, or raise one of Chalice's errors."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from chalice import (
    BadRequestError,
    ChaliceViewError,
    CognitoUserPoolAuthorizer,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Response,
    TooManyRequestsError,
    UnauthorizedError,
    UnprocessableEntityError,
)
from chalice.app import MethodNotAllowedError, MultiDict, RouteEntry
from msgspec import Struct

from app import app as api
from chalicelib.about import Health
from chalicelib.config import settings
from chalicelib.http.api import Api
from chalicelib.http.request import validate
from chalicelib.problems import ValidationFailed
from chalicelib.values import Instant
from tests.support.events import Context, event
from tools.errors import CommandError
from tools.generate import openapi, operations

COMMON = {"X-Request-Id", "X-Content-Type-Options", "Cache-Control", "Access-Control-Allow-Origin"}


def respond(returned: Any) -> Any:
    """Return the response of an app whose one view returns this, or raises it."""
    app = Api("plain")

    @app.route("/plain")
    def plain() -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    return app(event(path="/plain"), Context())


@pytest.mark.parametrize("body", [
    {"hello": "world"}, {}, [], [1, {"a": None}], 5, 1.5, True, None, {"grüße": "😀"}, {"n": Decimal("1.5")}, MultiDict({"a": ["1"]}), {"at": datetime(2030, 1, 1, tzinfo=UTC)},
])  # fmt: skip
def test_a_returned_value_is_sent_as_json(body: object) -> None:
    got = respond(body)
    assert got["statusCode"] == 200
    expected = (
        {"at": "2030-01-01T00:00:00Z"} if "datetime" in str(body) else dict(body) if isinstance(body, MultiDict) else body
    )
    assert json.loads(got["body"], parse_float=Decimal) == expected
    assert got["headers"]["Content-Type"] == "application/json"
    assert got["headers"].keys() >= COMMON


def test_a_chalice_response_keeps_status_headers_and_type() -> None:
    got = respond(Response({"a": 1}, {"content-type": "application/vnd.x+json", "X-Mine": "1"}, 201))
    assert (got["statusCode"], got["body"], got["headers"]["X-Mine"]) == (201, '{"a":1}', "1")
    assert {name.lower(): value for name, value in got["headers"].items()}["content-type"] == "application/vnd.x+json"
    assert "Content-Type" not in got["headers"]


@pytest.mark.parametrize("status", [400, 409, 422, 503])
def test_an_error_response_of_a_view_keeps_its_body(status: int) -> None:
    got = respond(Response({"error": "full"}, status_code=status))
    assert (got["statusCode"], json.loads(got["body"])) == (status, {"error": "full"})


def test_a_string_is_sent_as_plain_text() -> None:
    got = respond("hello")
    assert (got["body"], got["headers"]["Content-Type"]) == ("hello", "text/plain; charset=utf-8")
    assert "Content-Type" not in respond(Response("", {}, 204))["headers"]


@pytest.mark.parametrize("body", [{"a": object()}, {1, object()}, b"bytes", {"a": "\ud800"}])
def test_a_value_that_is_not_json_is_internal_and_logged_by_type(body: object, capsys: pytest.CaptureFixture[str]) -> None:
    got = respond(body)
    assert (got["statusCode"], json.loads(got["body"])["type"]) == (500, "urn:problem:internal")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["errors"][1]["type"] in {"builtins.TypeError", "builtins.UnicodeEncodeError"}


@pytest.mark.parametrize(("error", "status", "slug"), [
    (BadRequestError("secret"), 400, "malformed"), (UnauthorizedError("secret"), 401, "unauthorized"), (ForbiddenError("secret"), 403, "forbidden"),
    (NotFoundError("secret"), 404, "not-found"), (ChaliceViewError("secret"), 500, "internal"), (ValueError("secret"), 500, "internal"),
    (ConflictError("secret"), 409, "conflict"), (UnprocessableEntityError("secret"), 422, "validation"), (TooManyRequestsError("secret"), 429, "too-many-requests"),
    (MethodNotAllowedError("secret"), 404, "not-found"),
])  # fmt: skip
def test_an_error_of_chalice_is_the_problem_of_its_status_without_its_text(error: Exception, status: int, slug: str) -> None:
    got = respond(error)
    assert (got["statusCode"], json.loads(got["body"])["type"]) == (status, f"urn:problem:{slug}")
    assert got["headers"]["Content-Type"] == "application/problem+json"
    assert "secret" not in json.dumps(got)


def plain() -> dict[str, str]:
    """Greet the world."""
    return {"hello": "world"}


def test_a_plain_view_is_in_the_document_once_it_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    entry = RouteEntry(plain, "plain", "/plain", "GET", content_types=["application/json"])
    monkeypatch.setitem(api.routes, "/plain", {"GET": entry})
    monkeypatch.setattr(openapi, "DOCUMENT", tmp_path / "openapi.json")
    with pytest.raises(
        CommandError, match="GET /plain is not described: add 'plain' to OPERATIONS in tools/generate/operat"
    ):
        openapi.write()
    assert not openapi.DOCUMENT.exists()
    monkeypatch.setitem(
        operations.OPERATIONS, "plain", operations.Operation(200, "A greeting.", "For tests.", tag="service")
    )
    openapi.write()
    written = json.loads(openapi.DOCUMENT.read_text())["paths"]["/plain"]["get"]
    assert written["summary"] == "Greet the world."
    assert written["responses"]["200"]["content"] == {"application/json": {"schema": {}}}


def test_an_authorizer_that_identifies_nobody_is_refused() -> None:
    plain = CognitoUserPoolAuthorizer("plain", provider_arns=[settings.user_pool_arn])
    with pytest.raises(TypeError, match="/plain: use an authorizer"):
        Api("plain").route("/plain", authorizer=plain)


def test_another_body_than_the_declared_one_is_internal_and_not_sent() -> None:
    app = Api("plain")

    @app.route("/plain", returns=Health)
    def view() -> dict[str, str]:
        return {"PK": "USER#1", "write_id": "x"}

    del view
    response = app(event("GET", "/plain"), Context())
    assert json.loads(response["body"])["type"] == "urn:problem:internal"


def test_a_class_of_text_is_sent_as_text() -> None:
    assert json.loads(respond({"at": Instant.parse("2030-01-01T00:00:00Z")})["body"]) == {"at": "2030-01-01T00:00:00Z"}


class Flags(Struct, frozen=True):
    done: bool
    count: int
    name: str
    other: list[int]


def test_a_plain_type_has_a_rule_too() -> None:
    with pytest.raises(ValidationFailed) as failed:
        validate(dict.fromkeys(("done", "count", "name", "other"), 1.5), Flags, "pointer")
    rules = [error["detail"] for error in failed.value.members["errors"]]  # type: ignore[attr-defined]
    assert rules == ["must be true or false", "must be a whole number", "must be text", "must be a list"]
