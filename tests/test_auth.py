"""When the claims in an event are believed: only behind the gateway."""

import sys
import uuid
from typing import Any

import pytest

from app import app
from chalicelib import auth
from chalicelib.problems import Unauthorized
from tests import pool


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 10_000


def event(claims: object, **context: Any) -> dict[str, Any]:
    """Return what API Gateway sends for GET /tasks with these claims."""
    return {
        "resource": "/tasks",
        "path": "/tasks",
        "httpMethod": "GET",
        "headers": {"Authorization": "Bearer whatever"},
        "multiValueHeaders": {"Authorization": ["Bearer whatever"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": {
            "apiId": "a1b2c3d4e5",
            "requestId": "11111111-2222-3333-4444-555555555555",
            "resourcePath": "/tasks",
            "path": "/prod/tasks",
            "httpMethod": "GET",
            "stage": "prod",
            "authorizer": {"claims": claims},
        }
        | context,
    }


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stand where Lambda does: its variable is set, and Chalice's server for laptops was never loaded."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "task-api-prod")
    monkeypatch.delitem(sys.modules, "chalice.local")
    return monkeypatch


def test_behind_the_gateway_the_claims_are_believed(in_lambda: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    answer = app(event(pool.id_claims()), Context())
    assert answer["statusCode"] == 200
    assert answer["headers"]["X-Request-Id"] == "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("context", [{"apiId": ""}, {"apiId": None}, {"requestId": ""}, {"requestId": None}])
def test_an_event_without_the_marks_of_the_gateway_is_not(in_lambda: pytest.MonkeyPatch, context: dict[str, Any]) -> None:  # noqa: ARG001
    assert app(event(pool.id_claims(), **context), Context())["statusCode"] == 401


def test_outside_lambda_they_are_not(in_lambda: pytest.MonkeyPatch) -> None:
    for name in ("", None):
        in_lambda.setenv("AWS_LAMBDA_FUNCTION_NAME", name) if name is not None else in_lambda.delenv(
            "AWS_LAMBDA_FUNCTION_NAME"
        )
        assert app(event(pool.id_claims()), Context())["statusCode"] == 401


def test_beside_the_server_for_laptops_they_are_not(in_lambda: pytest.MonkeyPatch) -> None:
    in_lambda.setitem(sys.modules, "chalice.local", sys)
    assert app(event(pool.id_claims()), Context())["statusCode"] == 401


@pytest.mark.parametrize("context", [
    {"authorizer": None}, {"authorizer": {}}, {"authorizer": {"claims": None}}, {"authorizer": {"principalId": "x"}},
    {"authorizer": {"claims": pool.access_claims()}}, {"authorizer": {"claims": pool.id_claims(aud="another")}},
    {"authorizer": {"claims": pool.id_claims("no-uuid")}}, {"authorizer": {"claims": pool.id_claims(token_use=None)}},
])  # fmt: skip
def test_the_app_closes_where_the_gateway_would_have_let_pass(
    in_lambda: pytest.MonkeyPatch, context: dict[str, Any]
) -> None:  # noqa: ARG001
    assert app(event({}, **context), Context())["statusCode"] == 401


def test_claims_from_the_gateway_are_text() -> None:
    claims = pool.id_claims() | {"email_verified": "true", "exp": "Tue Apr 04 18:39:39 UTC 2023", "cognito:groups": "[a b]"}
    assert auth.user(claims, "r").sub == claims["sub"]


@pytest.mark.parametrize("sub", [None, 5, "", str(uuid.uuid4()).upper(), f"{uuid.uuid4()} ", "USER#" + str(uuid.uuid4())])
def test_a_user_is_a_uuid(sub: object) -> None:
    with pytest.raises(Unauthorized):
        auth.user(pool.id_claims() | {"sub": sub}, "r")
