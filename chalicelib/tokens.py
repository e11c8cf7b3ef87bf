"""Verifies a token of the pool where no gateway has."""

import functools
import math
import re
import time
from typing import Any

import boto3
import jwt

from chalicelib.config import settings
from chalicelib.problems import Unauthorized, Unavailable

EXPIRED = "The token that was sent has expired."
_WRONG: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: EXPIRED,
    jwt.ImmatureSignatureError: "The token that was sent is not valid yet.",
    jwt.InvalidIssuerError: "The token that was sent is of another user pool.",
}
_REQUIRED = ["exp", "iss", "token_use"]


def verify(authorization: str, wanted: str) -> dict[str, Any]:
    """Return the claims of the token in an Authorization header, with or without `Bearer`.

    RS256 with a key of the pool, and none that the token itself brings or points to; issuer and expiry (RFC 8725, sections
    3.1, 3.8 and 3.10). When it was issued refuses nothing (RFC 7519, section 4.1.6): that clock may be ahead of ours. For
    whom it is is the caller's to check. Raises Unauthorized, which says what is wanted and what is wrong, and Unavailable.
    """
    token = re.sub(r"^Bearer[ \t]+", "", authorization.strip(" \t"), flags=re.IGNORECASE)
    if not token:
        raise Unauthorized(wanted, "None was sent.")
    try:
        return jwt.decode(
            token,
            _key(token),
            algorithms=["RS256"],
            issuer=settings.issuers,
            options={"require": _REQUIRED, "verify_aud": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, RecursionError) as error:
        raise Unauthorized(wanted, _WRONG.get(type(error), "The token that was sent cannot be verified.")) from error


def _key(token: str) -> jwt.PyJWK:
    """Return the key that a token names; raises PyJWTError if the pool has none such, Unavailable if nobody can tell yet."""
    header = jwt.get_unverified_header(token)
    known = pool_keys()
    before = known.fetched
    try:
        known.get_signing_keys()
    except jwt.PyJWKClientError as error:  # there are keys, and none that signs
        raise Unavailable from error
    try:
        return known.get_signing_key(header.get("kid", ""))
    except jwt.PyJWKClientError as error:
        if known.fetched != before:  # by this very request: there is no newer key
            raise
        _refuse_what_no_key_could_save(header, token)
        # The key may have been made since (Amazon Cognito Developer Guide, "Verifying JSON web tokens", on rotation).
        raise Unavailable(known.seconds_until_next_fetch) from error


def _refuse_what_no_key_could_save(header: dict[str, Any], token: str) -> None:
    """Raise PyJWTError for a token that is wrong whichever key has signed it, so that few are told to come again."""
    if header.get("alg") != "RS256" or not header.get("kid"):
        raise jwt.InvalidAlgorithmError
    checks: Any = {"verify_signature": False, "verify_exp": True, "verify_iss": True, "require": _REQUIRED}
    jwt.decode(token, issuer=settings.issuers, options=checks)


class PoolKeys(jwt.PyJWKClient):
    """Asks for a key that it does not know at most once a minute, also where that fails: PyJWT counts answers alone."""

    fetched = -math.inf
    """When the keys were last had, on the clock that never goes back."""
    _failed = -math.inf

    @property
    def seconds_until_next_fetch(self) -> int:
        """How long a key that is not known is not asked for."""
        return max(1, math.ceil(self.fetched + self.cooldown_duration - time.monotonic()))

    def get_jwk_set(self, refresh: bool = False) -> jwt.PyJWKSet:  # noqa: FBT001, FBT002 - as it is there
        """Return the keys of the pool, fetched if none are known, or anew; raises Unavailable."""
        if refresh and time.monotonic() - self._failed < self.cooldown_duration:
            raise Unavailable  # a key that is new may be among those that could not be had
        try:
            return super().get_jwk_set(refresh)
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            if refresh:
                self._failed = time.monotonic()
            raise Unavailable from error

    def fetch_data(self) -> Any:
        """Fetch the keys of the pool, and remember when."""
        keys = super().fetch_data()
        self.fetched = time.monotonic()
        return keys


@functools.cache
def pool_keys() -> PoolKeys:
    """Find the keys where the pool is, on AWS as on a stand-in."""
    endpoint = boto3.client("cognito-idp", region_name=settings.region).meta.endpoint_url
    uri = f"{endpoint}/{settings.user_pool_id}/.well-known/jwks.json"
    return PoolKeys(uri, lifespan=3600, timeout=2, cooldown_duration=60)
