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

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def user(claims: Mapping[str, Any], write: str) -> Caller:
    """Return the user of an ID token for the web client; raises Unauthorized.

    The gateway has checked signature, issuer and expiry. It takes any token of the pool, though, and so the kind and the
    audience are checked here (Amazon Cognito Developer Guide, "Verifying JSON web tokens").
    """
    sub = claims.get("sub")
    ours = claims.get("token_use") == "id" and claims.get("aud") == settings.web_client_id
    if not (ours and isinstance(sub, str) and _UUID.fullmatch(sub)):
        raise Unauthorized
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
    ours = claims.get("token_use") == "access" and client_id in settings.machine_client_ids.split(",")
    if not (ours and client_id and SMS_SCOPE in str(claims.get("scope", "")).split(" ")):
        raise Unauthorized
    return Machine(str(client_id), write, busy_until)


def username(claims: Mapping[str, Any]) -> str:
    """Return the name of the user of an ID or an access token for the web client; raises Unauthorized.

    The two kinds have their audience and their name in claims of their own; a machine has no name.
    """
    if claims.get("token_use") == "id":
        audience, name = claims.get("aud"), claims.get("cognito:username")
    elif claims.get("token_use") == "access":
        audience, name = claims.get("client_id"), claims.get("username")
    else:
        raise Unauthorized
    if audience != settings.web_client_id or not isinstance(name, str):
        raise Unauthorized
    return name


def claims(context: Mapping[str, Any], authorization: str) -> Mapping[str, Any]:
    """Return the verified claims of a request, from its context or from its token; raises Unauthorized, Unavailable."""
    if not behind_the_gateway(context):
        return verified(authorization)
    found = authorizer(context).get("claims")
    return found if isinstance(found, dict) else {}


def authorizer(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the authorizer of the gateway has told of the caller; nothing where none was asked."""
    told = context.get("authorizer")
    return told if isinstance(told, dict) else {}


def verified(authorization: str) -> Mapping[str, Any]:
    """Return the claims of the token in an Authorization header; raises Unauthorized, Unavailable."""
    from chalicelib import tokens  # noqa: PLC0415 - PyJWT and cryptography take 70 ms that no task route needs in Lambda

    return tokens.verify(authorization)


def behind_the_gateway(context: Mapping[str, Any]) -> bool:
    """Tell whether the gateway has verified what the context says.

    All three marks must be there: each alone can be had on a laptop, and there nobody has verified anything.
    """
    in_lambda = bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))
    from_gateway = bool(context.get("apiId") and context.get("requestId"))
    return in_lambda and from_gateway and "chalice.local" not in sys.modules
