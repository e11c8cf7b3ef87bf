"""Which tokens open /tasks where no gateway has looked at them, and how rarely the keys are fetched."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from chalicelib.auth import tokens
from tests.support import pool
from tests.support.people import Person, Response
from tests.support.pool import access_claims, id_claims, token


def call(authorization: str | None) -> Response:
    return Person(authorization)("GET", "/tasks")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def hmac_signed_with_the_public_key() -> str:
    public = pool.KEYS["for-id"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'for-id', 'typ': 'JWT'})}.{part(id_claims())}"
    mac = hmac.digest(pem, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def altered() -> str:
    head, _, signature = token(id_claims()).split(".")
    return f"{head}.{part(id_claims())}.{signature}"


def with_the_other_half_of_a_signature() -> str:
    signed = token(id_claims())
    return signed[:-10] + ("A" * 10 if signed[-10:] != "A" * 10 else "B" * 10)


class Clock:
    """Stands still between tests that tell how much time has passed."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take the time at which keys are fetched from a clock that stands still."""
    clock = Clock()
    for module in (tokens, jwt.jwks_client, jwt.jwk_set_cache):
        monkeypatch.setattr(module, "time", clock)
    return clock


PRIVATE_JWK = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(pool.KEYS["unpublished"].public_key()))
NOW = int(time.time())

REFUSED: dict[str, Callable[[], str | None]] = {
    "nothing": lambda: None,
    "an empty header": lambda: "",
    "the scheme alone": lambda: "Bearer ",
    "another scheme": lambda: f"Basic {token(id_claims())}",
    "more behind": lambda: f"Bearer {token(id_claims())} x",
    "no token": lambda: "Bearer x",
    "two parts": lambda: "Bearer x.y",
    "three parts of nothing": lambda: "Bearer ..",
    "five parts": lambda: "Bearer a.b.c.d.e",
    "endless nesting": lambda: "W1tb" * 8000 + ".e30.x",
    "not ASCII": lambda: "Bearer ü.ü.ü",
    "no JSON in the head": lambda: f"{base64.urlsafe_b64encode(b'{').decode()}.e30.x",
    "a list as head": lambda: f"{part([])}.{part({})}.x",
    "a list as claims": lambda: jwt.api_jws.encode(b"[]", pool.KEYS["for-id"], "RS256", {"kid": "for-id"}),
    "expired": lambda: token(id_claims(exp=NOW - 1)),
    "expired long ago": lambda: token(id_claims(exp=0)),
    "without expiry": lambda: token(id_claims(exp=None)),
    "expiry that is no number": lambda: token(id_claims(exp="tomorrow")),
    "not valid yet": lambda: token(id_claims(nbf=NOW + 86_400)),
    "another issuer": lambda: token(id_claims(iss=f"{pool.ISSUER}x")),
    "another pool": lambda: token(id_claims(iss=pool.ISSUER.replace("Pool", "Loop"))),
    "without issuer": lambda: token(id_claims(iss=None)),
    "a list of issuers": lambda: token(id_claims(iss=[pool.ISSUER])),
    "another client": lambda: token(id_claims(aud="another")),
    "without audience": lambda: token(id_claims(aud=None)),
    "several clients": lambda: token(id_claims(aud=[pool.WEB_CLIENT, "another"])),
    "an access token": lambda: token(access_claims(), "for-access"),
    "an access token with an audience": lambda: token(access_claims(aud=pool.WEB_CLIENT), "for-access"),
    "a machine": lambda: token(access_claims("1a2b3c4d5e6f7g8h9i0j1k2l3m", scope="task-api/sms"), "for-access"),
    "no kind": lambda: token(id_claims(token_use=None)),
    "another kind": lambda: token(id_claims(token_use="refresh")),
    "a kind in capitals": lambda: token(id_claims(token_use="ID")),
    "without subject": lambda: jwt.encode({k: v for k, v in id_claims().items() if k != "sub"}, pool.KEYS["for-id"], "RS256", {"kid": "for-id"}),
    "a subject that is no UUID": lambda: token(id_claims("alice")),
    "a UUID in capitals": lambda: token(id_claims("AAAAAAAA-0000-4000-8000-000000000000")),
    "a subject with a line feed": lambda: token(id_claims("aaaaaaaa-0000-4000-8000-000000000000\n")),
    "a key nobody knows": lambda: token(id_claims(), "unpublished"),
    "another key under a known name": lambda: jwt.encode(id_claims(), pool.KEYS["unpublished"], "RS256", {"kid": "for-id"}),
    "without the name of a key": lambda: jwt.encode(id_claims(), pool.KEYS["for-id"], "RS256"),
    "a key in the head": lambda: token(id_claims(), "unpublished", jwk=PRIVATE_JWK),
    "a key in the head under a known name": lambda: jwt.encode(
        id_claims(), pool.KEYS["unpublished"], "RS256", {"kid": "for-id", "jwk": PRIVATE_JWK}
    ),
    "a critical extension": lambda: token(id_claims(), crit=["exp"], exp=1),
    "alg none": lambda: jwt.encode(id_claims(), "", "none", {"kid": "for-id"}),
    "alg None": lambda: f"{part({'alg': 'None', 'kid': 'for-id'})}.{part(id_claims())}.",
    "HS256 with the public key": hmac_signed_with_the_public_key,
    "PS256": lambda: jwt.encode(id_claims(), pool.KEYS["for-id"], "PS256", {"kid": "for-id"}),
    "RS512": lambda: jwt.encode(id_claims(), pool.KEYS["for-id"], "RS512", {"kid": "for-id"}),
    "altered claims": altered,
    "an altered signature": with_the_other_half_of_a_signature,
    "without signature": lambda: token(id_claims()).rpartition(".")[0] + ".",
}  # fmt: skip


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_token_is_refused(made: Callable[[], str | None]) -> None:
    response = call(made())
    assert response.problem == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", ""])
def test_an_id_token_of_the_web_client_is_admitted(scheme: str) -> None:
    assert call(f"{scheme}{token(id_claims())}").status == 200


@pytest.mark.parametrize("claims", [{"cognito:groups": ["admin"]}, {"nonce": "x"}, {"email": None}, {"iat": NOW + 86_400}])
def test_other_claims_are_ignored(claims: dict[str, Any]) -> None:
    assert call(token(id_claims(**claims))).status == 200


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("header", [{"jku": "http://127.0.0.1:9/jwks.json"}, {"x5u": "http://127.0.0.1:9/x.pem"}])
def test_a_key_url_in_a_token_is_never_fetched(keys: pool.KeyServer, header: dict[str, str]) -> None:
    elsewhere = keys.url
    assert call(token(id_claims(), **dict.fromkeys(header, f"{elsewhere}/evil"))).status == 200
    assert call(token(id_claims(), "unpublished", **dict.fromkeys(header, f"{elsewhere}/evil"))).status == 503
    assert set(keys.fetches) == {f"/{pool.POOL_ID}/.well-known/jwks.json"}


@pytest.mark.usefixtures("clock")
def test_the_keys_are_fetched_once(keys: pool.KeyServer) -> None:
    for _ in range(3):
        assert call(token(id_claims())).status == 200
        assert call(token(id_claims(), "unpublished")).status == 503
    assert keys.fetches == [f"/{pool.POOL_ID}/.well-known/jwks.json"]


def test_an_unknown_signing_key_is_fetched_after_a_minute(keys: pool.KeyServer, clock: Clock) -> None:
    assert call(token(id_claims())).status == 200
    fresh = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(pool.KEYS["unpublished"].public_key()))
    keys.reply = json.dumps(
        {"keys": [*pool.JWKS["keys"], fresh | {"kid": "unpublished", "use": "sig", "alg": "RS256"}]}
    ).encode()
    response = call(token(id_claims(), "unpublished"))
    assert (response.problem, response.headers["Retry-After"]) == ((503, "unavailable"), "60")
    clock.now += 59.9
    response = call(token(id_claims(), "unpublished"))
    assert (response.problem, response.headers["Retry-After"]) == ((503, "unavailable"), "1")
    clock.now += 0.1
    assert call(token(id_claims(), "unpublished")).status == 200
    assert len(keys.fetches) == 2


@pytest.mark.usefixtures("keys")
def test_the_timeout_of_the_key_server_is_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tokens.JwksClient, "timeout")  # which conftest.py makes longer
    assert tokens.jwks_client().timeout == 2


NO_KEYS = pytest.mark.parametrize(
    ("status", "reply"),
    [(500, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"keys": []}'), (404, b"{}"), (200, b"[" * 100_000)],
)


@NO_KEYS
def test_without_keys_every_token_is_503(keys: pool.KeyServer, status: int, reply: bytes) -> None:
    keys.status, keys.reply = status, reply
    response = call(token(id_claims()))
    assert response.problem == (503, "unavailable")
    assert response.headers["Retry-After"] == "1"
    assert call("Bearer x.y.z").problem == (401, "unauthorized")


def test_keys_that_are_not_for_signatures_are_ignored(keys: pool.KeyServer) -> None:
    keys.reply = json.dumps({"keys": [key | {"use": "enc"} for key in pool.JWKS["keys"]]}).encode()
    assert call(token(id_claims())).problem == (503, "unavailable")


@NO_KEYS
def test_keys_that_cannot_be_refreshed_are_still_used(keys: pool.KeyServer, clock: Clock, status: int, reply: bytes) -> None:
    assert call(token(id_claims())).status == 200
    keys.status, keys.reply = status, reply
    clock.now += 60
    assert call(token(id_claims(), "unpublished")).problem == (503, "unavailable")
    assert call(token(id_claims())).status == 200


def test_an_unknown_signing_key_is_requested_once_a_minute_during_an_outage(keys: pool.KeyServer, clock: Clock) -> None:
    assert call(token(id_claims())).status == 200
    keys.status = 500
    clock.now += 60
    assert [call(token(id_claims(), "unpublished")).status for _ in range(5)] == [503] * 5
    assert call(token(id_claims())).status == 200
    assert call(token(id_claims(), "unpublished")).status == 503
    assert len(keys.fetches) == 2
    clock.now += 60
    assert call(token(id_claims(), "unpublished")).status == 503
    assert len(keys.fetches) == 3
    keys.status = 200
    clock.now += 60
    assert [call(token(id_claims(), "unpublished")).status for _ in range(5)] == [401] + [503] * 4
    assert len(keys.fetches) == 4


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("made", [
    lambda: token(id_claims(exp=NOW - 1), "unpublished"), lambda: token(id_claims(iss=pool.ISSUER.replace("Pool", "Loop")), "unpublished"),
    lambda: token(id_claims(exp=None), "unpublished"), lambda: token(id_claims(iss=None), "unpublished"),
    lambda: jwt.encode(id_claims(), pool.KEYS["unpublished"], "RS256"), lambda: jwt.encode(id_claims(), "", "none", {"kid": "new"}),
    lambda: "e30.e30.", lambda: f"{part({'kid': 'new'})}.{part(id_claims())}.", lambda: f"{part({'kid': 'new', 'alg': ['RS256']})}.{part(id_claims())}.x",
    lambda: f"{part({'kid': ['new'], 'alg': 'RS256'})}.{part(id_claims())}.x", lambda: f"{part({'kid': 'new', 'alg': 'RS256'})}.{part([])}.x",
    lambda: f"{part({'kid': 'new', 'alg': 'RS256'})}.{part(id_claims(exp='soon', iss=['x']))}.x",
    lambda: jwt.encode(id_claims(), pool.KEYS["unpublished"], "RS256", {"kid": ""}), lambda: token(id_claims(token_use=None), "unpublished"),
])  # fmt: skip
def test_an_invalid_token_is_refused_without_fetching_keys(keys: pool.KeyServer, made: Callable[[], str]) -> None:
    assert call(token(id_claims())).status == 200
    assert call(made()).problem == (401, "unauthorized")
    assert len(keys.fetches) == 1
