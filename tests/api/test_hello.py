"""GET /hello behind the app's own authorizer: every user of the web client is admitted, and nobody else."""

from collections.abc import Callable
from typing import Any

import pytest

from app import app, user_authorizer
from chalicelib.problems import Unavailable
from tests.support import pool
from tests.support.alarm import Alarm
from tests.support.events import Context, context, event
from tests.support.faults import hang_before, slow_response
from tests.support.people import Person
from tests.support.pool import access_claims, id_claims, machine_claims, token
from tests.support.proxy import Exchange, Fault, Proxy

ARN = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/GET/hello"

ADMITTED = {
    "an ID token": lambda: token(id_claims("a-name")),
    "an access token": lambda: token(access_claims("a-name"), "for-access"),
}
REFUSED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "a machine": lambda: token(machine_claims(), "for-access"),
    "a machine that claims a name": lambda: token(machine_claims(username="x"), "for-access"),
    "an ID token of another client": lambda: token(id_claims(aud="another")),
    "an access token of another client": lambda: token(access_claims(client_id="another"), "for-access"),
    "an access token with the client as audience": lambda: token(
        access_claims(client_id=None, aud=pool.WEB_CLIENT), "for-access"
    ),
    "an ID token with the audience as client": lambda: token(id_claims(aud=None, client_id=pool.WEB_CLIENT)),
    "another kind": lambda: token(id_claims(token_use="refresh")),
    "a list of kinds": lambda: token(id_claims(token_use=["id"])),
    "an ID token without a name": lambda: token(id_claims(**{"cognito:username": None})),
    "an access token without a name": lambda: token(access_claims(username=None), "for-access"),
    "expired": lambda: token(id_claims(exp=1)),
}


def authorize(sent: str) -> Any:
    """Ask the authorizer as the gateway does."""
    return user_authorizer({"type": "TOKEN", "authorizationToken": sent, "methodArn": ARN}, {})


@pytest.mark.parametrize("made", ADMITTED.values(), ids=ADMITTED.keys())
@pytest.mark.parametrize("scheme", ["Bearer ", ""])
class TestAdmitted:
    def test_on_a_laptop(self, made: Callable[[], str], scheme: str) -> None:
        response = Person(scheme + made())("GET", "/hello")
        assert response.status == 200
        assert response.json == {"message": "Hello, authenticated user!", "user": "a-name"}

    def test_the_authorizer_admits_the_token(self, made: Callable[[], str], scheme: str) -> None:
        response = authorize(scheme + made())
        assert response["context"] == {"username": "a-name"}
        (statement,) = response["policyDocument"]["Statement"]
        assert statement == {
            "Action": "execute-api:Invoke",
            "Effect": "Allow",
            "Resource": [ARN.replace("GET/hello", "*/*")],
        }


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED.keys())
class TestRefused:
    def test_on_a_laptop(self, made: Callable[[], str]) -> None:
        assert Person(made())("GET", "/hello").problem == (401, "unauthorized")

    def test_the_authorizer_raises_the_text_that_api_gateway_turns_into_401(self, made: Callable[[], str]) -> None:
        with pytest.raises(Exception, match=r"^Unauthorized$"):
            authorize(made())


def test_without_keys_the_authorizer_fails_instead_of_refusing(keys: pool.KeyServer) -> None:
    keys.status = 500
    with pytest.raises(Unavailable):
        authorize(token(id_claims()))


@pytest.mark.parametrize("fault", [hang_before, slow_response])
def test_the_authorizer_fails_at_its_deadline_and_admits_the_next_request(
    keys: pool.KeyServer, monkeypatch: pytest.MonkeyPatch, alarm: Alarm, fault: Fault
) -> None:
    monkeypatch.setattr("chalicelib.deadline.REQUEST_TIMEOUT", 0.15)

    def begun(exchange: Exchange) -> None:
        alarm.start()  # the time of the first call begins here, that of the second never
        fault(exchange)

    with Proxy() as proxy:
        route = proxy.route(keys.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", route.url)
        route.plan("GET", [begun])
        with pytest.raises(Unavailable):
            authorize(token(id_claims()))
        assert authorize(token(id_claims(**{"cognito:username": "a-name"})))["context"] == {"username": "a-name"}
        assert route.seen["GET"] == 2


@pytest.mark.parametrize(("authorizer", "status"), [
    ({"username": "a-name", "principalId": "a-name"}, 200), ({"principalId": "a-name"}, 401), (None, 401), ({"claims": pool.id_claims()}, 401),
])  # fmt: skip
def test_behind_the_gateway_the_authorizer_is_trusted(
    in_lambda: pytest.MonkeyPatch, authorizer: object, status: int
) -> None:
    del in_lambda
    request = event(path="/hello", requestContext=context(path="/hello", authorizer=authorizer))
    assert app(request, Context())["statusCode"] == status


def test_a_query_is_refused(alice: Person) -> None:
    assert alice("GET", "/hello?x=1").problem == (422, "validation")
