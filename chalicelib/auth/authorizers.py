"""Who may call a route: declared to API Gateway, and checked again in the app."""

import copy
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Self

from chalice import AuthResponse, CognitoUserPoolAuthorizer

from chalicelib import deadline
from chalicelib.config import settings
from chalicelib.deadline import DeadlineReached
from chalicelib.principals import Machine, User
from chalicelib.problems import Forbidden, Unauthorized, Unavailable

USERS = "the ID token that Amazon Cognito gives a user of the web client"
ANY_USER = "the ID token or the access token that Amazon Cognito gives a user of the web client"

_NO_USER = "The token that was sent names no user."
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def machine_token(*scopes: str) -> str:
    """Return a description of the token that a route for machines takes."""
    which = " ".join(scopes)
    return f"an access token from OAuth client credentials, of a machine of this stage, with the scope {which}"


class UserAuthorizer(CognitoUserPoolAuthorizer):
    """Admits users of the web client by their ID token. Chalice's own authorizer admits every client of the pool."""

    group: str | None = None

    def in_group(self, group: str) -> Self:
        """Return this authorizer for the members of a group alone."""
        authorizer = copy.copy(self)
        authorizer.group = group
        return authorizer

    def to_swagger(self) -> dict[str, Any]:
        """Return the security scheme for API Gateway, with the audience fixed."""
        scheme: dict[str, Any] = super().to_swagger()
        scheme["x-amazon-apigateway-authorizer"]["identityValidationExpression"] = f"^{settings.web_client_id}$"
        return scheme

    def identify(self, context: Mapping[str, Any], authorization: str) -> User:
        """Return the user of a request; raises Unauthorized, Forbidden, Unavailable.

        API Gateway has checked signature, issuer and expiry. It admits any token of the pool, though, so its kind and its
        audience are checked here (Amazon Cognito Developer Guide, "Verifying JSON web tokens").
        """
        claims = _claims(context, authorization, USERS)
        sub = claims.get("sub")
        _require(USERS, claims, "id", "aud", [settings.web_client_id])
        if not (isinstance(sub, str) and _UUID.fullmatch(sub)):
            raise Unauthorized(USERS, _NO_USER)
        if self.group and self.group not in _groups(claims):
            message = f"Requires membership in the group `{self.group}`."
            raise Forbidden(message)
        return User(sub, f"{User.PREFIX}{sub}")


class MachineAuthorizer(CognitoUserPoolAuthorizer):
    """Admits machines of this stage by an access token with a scope: `MachineAuthorizer(...).with_scopes([...])`."""

    def identify(self, context: Mapping[str, Any], authorization: str) -> Machine:
        """Return the machine of a request; raises Unauthorized, Unavailable.

        API Gateway has checked the scope. It also admits the token of a user who was given it, so the client is checked.
        """
        wanted = machine_token(*self.scopes)
        claims = _claims(context, authorization, wanted)
        _require(wanted, claims, "access", "client_id", settings.machine_client_ids.split(","))
        if not set(self.scopes) <= set(str(claims.get("scope", "")).split(" ")):
            raise Unauthorized(wanted, "The token that was sent lacks the scope.")
        client_id = str(claims["client_id"])
        return Machine(client_id, f"{Machine.PREFIX}{client_id}")


def username(context: Mapping[str, Any], authorization: str) -> str:
    """Return the name of the user of a request, with an ID token or an access token; raises Unauthorized, Unavailable."""
    if not is_from_api_gateway(context):
        return _username(authorization)
    name = _authorizer_context(context).get("username")
    if name is None:
        raise Unauthorized(ANY_USER)
    return str(name)


def authorize(token: str) -> AuthResponse:
    """Return the response of a Lambda authorizer for a user's token; raises Exception, Unavailable."""
    try:
        name = deadline.run(deadline.REQUEST_TIMEOUT, _username, token)
    except DeadlineReached as reached:
        raise Unavailable from reached
    except Unauthorized as error:
        message = "Unauthorized"  # for this text API Gateway responds with 401, for any other with 500
        raise Exception(message) from error  # noqa: TRY002
    return AuthResponse(routes=["*"], principal_id=name, context={"username": name})


def is_from_api_gateway(context: Mapping[str, Any]) -> bool:
    """Return whether API Gateway has verified what the context says.

    All three must hold: each alone can occur locally, where no gateway has verified the token.
    """
    in_lambda = bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))
    from_gateway = bool(context.get("apiId") and context.get("requestId"))
    return in_lambda and from_gateway and "chalice.local" not in sys.modules


def _claims(context: Mapping[str, Any], authorization: str, wanted: str) -> Mapping[str, Any]:
    """Return the verified claims of a request, from its context or from its token; raises Unauthorized, Unavailable."""
    if not is_from_api_gateway(context):
        return _verify(authorization, wanted)
    claims = _authorizer_context(context).get("claims")
    return claims if isinstance(claims, dict) else {}


def _authorizer_context(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the authorizer context that API Gateway passed on; empty without an authorizer."""
    passed_on = context.get("authorizer")
    return passed_on if isinstance(passed_on, dict) else {}


def _verify(authorization: str, wanted: str) -> Mapping[str, Any]:
    from chalicelib.auth import tokens  # noqa: PLC0415 - PyJWT and cryptography take 70 ms that no task route needs in Lambda

    return tokens.verify(authorization, wanted)


def _username(authorization: str) -> str:
    """Return the name of the user of a token for the web client; raises Unauthorized, Unavailable.

    ID and access tokens have their client and their name in claims of different names; a machine has no name.
    """
    claims = _verify(authorization, ANY_USER)
    is_access = claims.get("token_use") == "access"
    kind, client, name = ("access", "client_id", "username") if is_access else ("id", "aud", "cognito:username")
    _require(ANY_USER, claims, kind, client, [settings.web_client_id])
    if not isinstance(claims.get(name), str):
        raise Unauthorized(ANY_USER, _NO_USER)
    return str(claims[name])


def _require(wanted: str, claims: Mapping[str, Any], kind: str, client: str, clients: list[str]) -> None:
    """Raise Unauthorized unless the token is of this kind, and of one of the clients by the claim `client`."""
    if claims.get("token_use") != kind:
        raise Unauthorized(wanted, "The token that was sent is of another kind." if claims else "")
    if not claims.get(client) or claims[client] not in clients:
        raise Unauthorized(wanted, "The token that was sent is of another client.")


def _groups(claims: Mapping[str, Any]) -> list[str]:
    """Return the groups of a user.

    API Gateway writes them as `a,b`, others as `[a b]` or as a list. A name that holds these characters itself, which
    Cognito allows, counts as several.
    """
    groups = claims.get("cognito:groups", "")
    return groups if isinstance(groups, list) else re.split(r"[][, ]+", str(groups))
