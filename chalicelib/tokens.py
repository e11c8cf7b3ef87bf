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


def verify(authorization: str) -> dict[str, Any]:
    """Return the claims of the token in an Authorization header, with or without `Bearer`; raises Unauthorized, Unavailable.

    RS256 with a key of the pool, and none that the token itself brings or points to; issuer and expiry (RFC 8725, sections
    3.1, 3.8 and 3.10). When it was issued refuses nothing (RFC 7519, section 4.1.6): that clock may be ahead of ours. For
    whom it is is the caller's to check.
    """
    token = re.sub(r"^Bearer[ \t]+", "", authorization.strip(" \t"), flags=re.IGNORECASE)
    try:
        return jwt.decode(
            token,
            _key(jwt.get_unverified_header(token)),
            algorithms=["RS256"],
            issuer=settings.issuer,
            options={"require": ["exp", "iss", "token_use"], "verify_aud": False, "verify_iat": False},
        )
    except (jwt.InvalidTokenError, RecursionError) as error:
        raise Unauthorized from error


def _key(header: dict[str, Any]) -> jwt.PyJWK:
    known = pool_keys()
    try:
        known.get_signing_keys()
    except jwt.PyJWKClientError as error:  # there are keys, and none that signs
        raise Unavailable from error
    try:
        return known.get_signing_key(header.get("kid", ""))
    except jwt.PyJWKClientError as error:
        raise Unauthorized from error


class PoolKeys(jwt.PyJWKClient):
    """Asks for a key that it does not know at most once a minute, also where that fails: PyJWT counts answers alone."""

    _failed = -math.inf

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


@functools.cache
def pool_keys() -> PoolKeys:
    """Find the keys where the pool is, on AWS as on a stand-in."""
    endpoint = boto3.client("cognito-idp", region_name=settings.region).meta.endpoint_url
    uri = f"{endpoint}/{settings.user_pool_id}/.well-known/jwks.json"
    return PoolKeys(uri, lifespan=3600, timeout=2, cooldown_duration=60)
