"""When the claims in an event are believed: only behind the gateway."""

import json
import sys
from typing import Any

import pytest

from app import app, users
from chalicelib.problems import Unauthorized
from tests.support import pool
from tests.support.events import REQUEST_ID, Context, context, event

SUB = "aaaaaaaa-0000-4000-8000-000000000000"


def test_behind_the_gateway_the_claims_are_trusted(in_lambda: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    response = app(event(claims=pool.id_claims()), Context())
    assert response["statusCode"] == 200
    assert response["headers"]["X-Request-Id"] == REQUEST_ID


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("missing", [{"apiId": ""}, {"apiId": None}, {"requestId": ""}, {"requestId": None}])
def test_claims_are_not_trusted_without_the_ids_of_the_gateway(missing: dict[str, Any]) -> None:
    forged = event(requestContext=context(authorizer={"claims": pool.id_claims()}, **missing))
    assert app(forged, Context())["statusCode"] == 401


def test_claims_are_not_trusted_outside_lambda(in_lambda: pytest.MonkeyPatch) -> None:
    in_lambda.setenv("AWS_LAMBDA_FUNCTION_NAME", "")
    assert app(event(claims=pool.id_claims()), Context())["statusCode"] == 401
    in_lambda.delenv("AWS_LAMBDA_FUNCTION_NAME")
    assert app(event(claims=pool.id_claims()), Context())["statusCode"] == 401


def test_claims_are_not_trusted_while_the_local_server_is_loaded(in_lambda: pytest.MonkeyPatch) -> None:
    in_lambda.setitem(sys.modules, "chalice.local", sys)
    assert app(event(claims=pool.id_claims()), Context())["statusCode"] == 401


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("authorizer", [
    None, {}, "claims", {"claims": None}, {"claims": {}}, {"claims": "sub"}, {"claims": [1]}, {"principalId": "x"}, {"claims": pool.access_claims()},
    {"claims": pool.id_claims(aud="another")}, {"claims": pool.id_claims("no-uuid")}, {"claims": pool.id_claims(token_use=None)},
])  # fmt: skip
def test_claims_of_another_kind_or_client_are_refused_behind_the_gateway_too(authorizer: object) -> None:
    assert app(event(requestContext=context(authorizer=authorizer)), Context())["statusCode"] == 401


@pytest.mark.usefixtures("in_lambda")
def test_claims_from_the_gateway_are_text() -> None:
    claims = pool.id_claims() | {"email_verified": "true", "exp": "Tue Apr 04 18:39:39 UTC 2023", "cognito:groups": "[a b]"}
    assert users.identify(context(authorizer={"claims": claims}), "").sub == claims["sub"]


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("sub", [None, 5, "", SUB.upper(), f"{SUB} ", f"USER#{SUB}"])
def test_a_user_is_a_uuid(sub: object) -> None:
    with pytest.raises(Unauthorized):
        users.identify(context(authorizer={"claims": pool.id_claims() | {"sub": sub}}), "")


class TestAChosenRequestId:
    """API Gateway Developer Guide, "$context.requestId": clients can override it."""

    @pytest.fixture(autouse=True)
    def _deployed(self, in_lambda: pytest.MonkeyPatch) -> None:
        del in_lambda

    @staticmethod
    def created(claims: dict[str, Any], title: str) -> Any:
        headers = {"multiValueHeaders": {"Idempotency-Key": ["once"]}}
        return app(event("POST", "/tasks", claims, json.dumps({"title": title}), **headers), Context())

    def test_two_requests_with_the_same_request_id_are_two(self) -> None:
        claims = pool.id_claims()
        first, again, other = (self.created(claims, title) for title in ("T", "T", "U"))
        assert (first["statusCode"], again["statusCode"], other["statusCode"]) == (201, 201, 422)
        assert again["headers"]["Idempotency-Replayed"] == "true"
        task = json.loads(first["body"])
        path, named = f"/tasks/{task['task_id']}", {"pathParameters": {"task_id": task["task_id"]}}
        where = {"resource": "/tasks/{task_id}", **named}
        for title, status in (("A", 200), ("B", 412)):
            change = event("PATCH", path, claims, json.dumps({"title": title}), **where)
            change["requestContext"]["resourcePath"] = "/tasks/{task_id}"
            change["multiValueHeaders"] = {"If-Match": ['"1"']}
            assert app(change, Context())["statusCode"] == status

    def test_a_request_id_that_is_not_a_uuid_is_neither_returned_nor_logged(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        response = app(event(requestContext=context(requestId="carol@example.com")), Context())
        assert "carol" not in json.dumps(response)
        assert "carol" not in capsys.readouterr().out
