"""Who is calling: verified claims to a Caller."""

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from chalicelib.caller import Caller, Machine
from chalicelib.config import settings
from chalicelib.problems import Forbidden, Unauthorized

SMS_SCOPE = "task-api/sms"

USERS = "the ID token that Amazon Cognito gives a user of the web client"
MACHINES = f"an access token from OAuth client credentials, of a machine of this stage, with the scope {SMS_SCOPE}"
ANY_USER = "the ID token or the access token that Amazon Cognito gives a user of the web client"
"""Which token a route takes."""

_NO_USER = "The token that was sent names no user."
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def user(claims: Mapping[str, Any], write: str) -> Caller:
    """Return the user of an ID token for the web client; raises Unauthorized.

    The gateway has checked signature, issuer and expiry. It takes any token of the pool, though, and so the kind and the
    audience are checked here (Amazon Cognito Developer Guide, "Verifying JSON web tokens").
    """
    sub = claims.get("sub")
    _expect(USERS, claims, "id", claims.get("aud") == settings.web_client_id)
    if not (isinstance(sub, str) and _UUID.fullmatch(sub)):
        raise Unauthorized(USERS, _NO_USER)
    return Caller(sub, write)


def admin(claims: Mapping[str, Any], write: str) -> Caller:
    """Return the user of an ID token for the web client who is in the group admin; raises Unauthorized, Forbidden.

    The gateway writes groups as `a,b`, others as `[a b]` or as a list. A name that holds these characters itself, which
    Cognito lets an operator choose, counts as several.
    """
    caller = user(claims, write)
    groups = claims.get("cognito:groups", "")
    words = groups if isinstance(groups, list) else re.split(r"[][, ]+", str(groups))
    if "admin" not in words:
        message = "This is for admins."
        raise Forbidden(message)
    return caller


def machine(claims: Mapping[str, Any], write: str, busy_until: int) -> Machine:
    """Return the machine of an access token with the scope for texts; raises Unauthorized.

    The gateway has checked the scope. It would also take the token of a user who was given it, so the client is checked.
    """
    client_id = claims.get("client_id")
    _expect(MACHINES, claims, "access", bool(client_id) and client_id in settings.machine_client_ids.split(","))
    if SMS_SCOPE not in str(claims.get("scope", "")).split(" "):
        raise Unauthorized(MACHINES, "The token that was sent lacks the scope.")
    return Machine(str(client_id), write, busy_until)


def username(claims: Mapping[str, Any]) -> str:
    """Return the name of the user of an ID or an access token for the web client; raises Unauthorized.

    The two kinds have their audience and their name in claims of their own; a machine has no name.
    """
    kind = "access" if claims.get("token_use") == "access" else "id"
    client, name = ("client_id", "username") if kind == "access" else ("aud", "cognito:username")
    _expect(ANY_USER, claims, kind, claims.get(client) == settings.web_client_id)
    if not isinstance(claims.get(name), str):
        raise Unauthorized(ANY_USER, _NO_USER)
    return str(claims[name])


def _expect(wanted: str, claims: Mapping[str, Any], kind: str, right_client: bool) -> None:  # noqa: FBT001 - there is no other
    """Raise Unauthorized unless a token is of this kind and of the right client; no token is not said to be wrong."""
    if claims.get("token_use") != kind:
        raise Unauthorized(wanted, "The token that was sent is of another kind." if claims else "")
    if not right_client:
        raise Unauthorized(wanted, "The token that was sent is of another client.")


def claims(context: Mapping[str, Any], authorization: str, wanted: str) -> Mapping[str, Any]:
    """Return the verified claims of a request, from its context or from its token; raises Unauthorized, Unavailable."""
    if not behind_the_gateway(context):
        return verified(authorization, wanted)
    found = authorizer(context).get("claims")
    return found if isinstance(found, dict) else {}


def authorizer(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the authorizer of the gateway has told of the caller; nothing where none was asked."""
    told = context.get("authorizer")
    return told if isinstance(told, dict) else {}


def verified(authorization: str, wanted: str) -> Mapping[str, Any]:
    """Return the claims of the token in an Authorization header; raises Unauthorized, with what is wanted, Unavailable."""
    from chalicelib import tokens  # noqa: PLC0415 - PyJWT and cryptography take 70 ms that no task route needs in Lambda

    return tokens.verify(authorization, wanted)


def behind_the_gateway(context: Mapping[str, Any]) -> bool:
    """Tell whether the gateway has verified what the context says.

    All three marks must be there: each alone can be had on a laptop, and there nobody has verified anything.
    """
    in_lambda = bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))
    from_gateway = bool(context.get("apiId") and context.get("requestId"))
    return in_lambda and from_gateway and "chalice.local" not in sys.modules
