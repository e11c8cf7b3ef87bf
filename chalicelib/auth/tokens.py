"""Verification of the pool's tokens, where no gateway has verified them."""

import functools
import math
import re
import time
from typing import TYPE_CHECKING, Any

import jwt

from chalicelib.config import settings
from chalicelib.problems import Unauthorized, Unavailable

if TYPE_CHECKING:
    import boto3  # by this name, Chalice's analyzer finds the calls
else:
    from chalicelib import aws as boto3

EXPIRED = "The token that was sent has expired."
_WRONG: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: EXPIRED,
    jwt.ImmatureSignatureError: "The token that was sent is not valid yet.",
    jwt.InvalidIssuerError: "The token that was sent is of another user pool.",
}
_REQUIRED = ["exp", "iss", "token_use"]
_ISSUERS = settings.issuers


def verify(authorization: str, wanted: str) -> dict[str, Any]:
    """Return the claims of the token in an Authorization header, with or without `Bearer`.

    Checks the signature (RS256, with a key of the pool and none that the token brings or points to), the issuer and the
    expiry (RFC 8725, sections 3.1, 3.8 and 3.10), but not the time of issue (RFC 7519, section 4.1.6): that clock may be
    ahead of this one. The audience is for the caller to check. Raises Unauthorized, with what is wanted and what is wrong,
    and Unavailable.
    """
    token = re.sub(r"^Bearer[ \t]+", "", authorization.strip(" \t"), flags=re.IGNORECASE)
    if not token:
        raise Unauthorized(wanted, "None was sent.")
    try:
        return jwt.decode(
            token,
            _key(token),
            algorithms=["RS256"],
            issuer=_ISSUERS,
            options={"require": _REQUIRED, "verify_aud": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, RecursionError) as error:
        raise Unauthorized(wanted, _WRONG.get(type(error), "The token that was sent cannot be verified.")) from error


def _key(token: str) -> jwt.PyJWK:
    """Return the key that a token names; raises PyJWTError if the pool does not have it, Unavailable if it may have."""
    header = jwt.get_unverified_header(token)
    client = jwks_client()
    before = client.fetched
    try:
        client.get_signing_keys()
    except jwt.PyJWKClientError as error:  # there are keys, but none for signatures
        raise Unavailable from error
    try:
        return client.get_signing_key(header.get("kid", ""))
    except jwt.PyJWKClientError as error:
        if client.fetched != before:  # by this request: there is no newer key
            raise
        _require_plausible(header, token)
        # The key may have been made since (Amazon Cognito Developer Guide, "Verifying JSON web tokens", on rotation).
        raise Unavailable(client.seconds_until_next_fetch) from error


def _require_plausible(header: dict[str, Any], token: str) -> None:
    """Raise PyJWTError for a token that no key would make valid, so that few clients are asked to retry."""
    if header.get("alg") != "RS256" or not header.get("kid"):
        raise jwt.InvalidAlgorithmError
    checks: Any = {"verify_signature": False, "verify_exp": True, "verify_iss": True, "require": _REQUIRED}
    jwt.decode(token, issuer=_ISSUERS, options=checks)


class JwksClient(jwt.PyJWKClient):
    """Fetches the keys for an unknown key at most once a minute, failures included: PyJWT counts successes alone."""

    fetched = -math.inf
    """When the keys were last fetched, by the monotonic clock."""
    _failed = -math.inf

    @property
    def seconds_until_next_fetch(self) -> int:
        """Seconds until an unknown key leads to a fetch again."""
        return max(1, math.ceil(self.fetched + self.cooldown_duration - time.monotonic()))

    def get_jwk_set(self, refresh: bool = False) -> jwt.PyJWKSet:  # noqa: FBT001, FBT002 - as in PyJWT
        """Return the keys of the pool, fetched if `refresh` is set or none are known; raises Unavailable."""
        if refresh and time.monotonic() - self._failed < self.cooldown_duration:
            raise Unavailable  # the key may be among those that could not be fetched
        try:
            return super().get_jwk_set(refresh)
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            if refresh:
                self._failed = time.monotonic()
            raise Unavailable from error

    def fetch_data(self) -> Any:
        """Fetch the keys of the pool, and keep the time."""
        keys = super().fetch_data()
        self.fetched = time.monotonic()
        return keys


@functools.cache
def jwks_client() -> JwksClient:
    """Return the client for the keys of the pool, on AWS or on an emulator."""
    endpoint = boto3.client("cognito-idp", region_name=settings.region).meta.endpoint_url
    uri = f"{endpoint}/{settings.user_pool_id}/.well-known/jwks.json"
    return JwksClient(uri, lifespan=3600, timeout=2, cooldown_duration=60)
