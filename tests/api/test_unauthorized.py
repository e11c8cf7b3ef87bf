"""What a 401 says: which token the route takes, and what was wrong with the one that was sent."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app import app
from tests.support import pool
from tests.support.events import Context, context, event
from tests.support.people import Person
from tests.support.pool import access_claims, id_claims, machine_claims, token
from tools.deploy import gateway_responses

USERS = "Send the ID token that Amazon Cognito gives a user of the web client."
MACHINES = "Send an access token from OAuth client credentials, of a machine of this stage, with the scope task-api/sms."
ANY_USER = "Send the ID token or the access token that Amazon Cognito gives a user of the web client."
KIND, CLIENT = "The token that was sent is of another kind.", "The token that was sent is of another client."
EXPIRED, POOL = "The token that was sent has expired.", "The token that was sent is of another user pool."
UNVERIFIED = "The token that was sent cannot be verified."
ROUTES = [("GET", "/tasks", USERS), ("GET", "/admin/tasks", USERS), ("POST", "/sms", MACHINES), ("GET", "/hello", ANY_USER)]


def told(path: str, authorization: str | None, method: str = "GET") -> str:
    response = Person(authorization)(method, path, {} if method == "POST" else None)
    assert response.problem == (401, "unauthorized")
    return str(response.json["detail"])


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(("method", "path", "wanted"), ROUTES)
def test_every_route_says_which_token_it_takes_and_what_is_wrong(method: str, path: str, wanted: str) -> None:
    claims = machine_claims if path == "/sms" else id_claims
    assert told(path, None, method) == f"{wanted} None was sent."
    assert told(path, " ", method) == f"{wanted} None was sent."
    for sent, wrong in [
        ("garbage", UNVERIFIED), (token(claims(), "unpublished"), UNVERIFIED), (token(claims(exp=1)), EXPIRED), (token(claims(iss="https://example.com")), POOL),
        (token(claims(nbf=9_999_999_999)), "The token that was sent is not valid yet."),
    ]:  # fmt: skip
        assert told(path, f"Bearer {sent}", method) == f"{wanted} {wrong}"


@pytest.mark.parametrize(("path", "made", "detail"), [
    ("/tasks", lambda: token(access_claims()), f"{USERS} {KIND}"), ("/tasks", lambda: token(machine_claims()), f"{USERS} {KIND}"),
    ("/tasks", lambda: token(id_claims(aud="another")), f"{USERS} {CLIENT}"), ("/admin/tasks", lambda: token(access_claims()), f"{USERS} {KIND}"),
    ("/tasks", lambda: token(id_claims("alice")), f"{USERS} The token that was sent names no user."),
    ("/sms", lambda: token(id_claims()), f"{MACHINES} {KIND}"), ("/sms", lambda: token(access_claims(scope="task-api/sms")), f"{MACHINES} {CLIENT}"),
    ("/sms", lambda: token(machine_claims(scope="x")), f"{MACHINES} The token that was sent lacks the scope."),
    ("/hello", lambda: token(machine_claims()), f"{ANY_USER} {CLIENT}"), ("/hello", lambda: token(id_claims(token_use="refresh")), f"{ANY_USER} {KIND}"),
    ("/hello", lambda: token(id_claims(aud="another")), f"{ANY_USER} {CLIENT}"),
    ("/hello", lambda: token(access_claims(username=None)), f"{ANY_USER} The token that was sent names no user."),
])  # fmt: skip
def test_another_kind_or_client_of_token_is_named(path: str, made: Callable[[], str], detail: str) -> None:
    assert told(path, made(), "POST" if path == "/sms" else "GET") == detail


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize(("method", "path", "authorizer", "detail"), [
    ("GET", "/tasks", None, USERS), ("GET", "/tasks", {"claims": access_claims()}, f"{USERS} {KIND}"),
    ("POST", "/sms", {"claims": id_claims()}, f"{MACHINES} {KIND}"), ("GET", "/hello", None, ANY_USER),
])  # fmt: skip
def test_behind_the_gateway_the_app_names_the_token_as_well(method: str, path: str, authorizer: Any, detail: str) -> None:
    request = event(method, path, body="{}", requestContext=context(method, path, authorizer))
    assert json.loads(app(request, Context())["body"])["detail"] == detail


@pytest.mark.parametrize(("kind", "wrong"), [("UNAUTHORIZED", ""), ("EXPIRED_TOKEN", f" {EXPIRED}")])
def test_the_gateways_401_names_the_token_of_each_route(kind: str, wrong: str) -> None:
    """A gateway response is one for all routes: it knows no condition (API Gateway Developer Guide, "Gateway responses")."""
    detail = json.loads(gateway_responses.responses("*")[kind]["responseTemplates"]["application/json"])["detail"]
    assert detail == (
        "Send the token that the route takes. /tasks and /admin: the ID token that Amazon Cognito gives a user of the web client. "
        "/sms: an access token from OAuth client credentials, of a machine of this stage, with the scope task-api/sms. "
        f"/hello: the ID token or the access token that Amazon Cognito gives a user of the web client.{wrong}"
    )


@pytest.mark.parametrize("made", [id_claims, access_claims])
@pytest.mark.parametrize("host", ["cognito-idp", "issuer-cognito-idp"])
def test_both_issuers_of_a_pool_are_admitted(made: Callable[..., dict[str, Any]], host: str) -> None:
    issuer = f"https://{host}.{pool.REGION}.amazonaws.com/{pool.POOL_ID}"
    assert Person(token(made(iss=issuer)))("GET", "/hello").status == 200


@pytest.mark.parametrize("issuer", [
    f"https://issuer-cognito-idp.{pool.REGION}.amazonaws.com/{pool.REGION}_Another99", f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{pool.POOL_ID}",
    f"https://issuer-cognito-idp.{pool.REGION}.amazonaws.com/{pool.POOL_ID}/", f"http://issuer-cognito-idp.{pool.REGION}.amazonaws.com/{pool.POOL_ID}",
    f"https://xissuer-cognito-idp.{pool.REGION}.amazonaws.com/{pool.POOL_ID}", f"https://issuer-cognito-idp.{pool.REGION}.amazonaws.com.example/{pool.POOL_ID}",
])  # fmt: skip
def test_no_other_issuer_is_admitted(issuer: str) -> None:
    assert Person(token(id_claims(iss=issuer)))("GET", "/hello").problem == (401, "unauthorized")
