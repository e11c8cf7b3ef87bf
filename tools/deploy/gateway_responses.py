"""What API Gateway answers by itself, in the words, headers and CORS of the app."""

from typing import Any

from chalicelib.auth import authorizers
from chalicelib.auth.tokens import EXPIRED
from chalicelib.http import api
from chalicelib.problems import (
    BodyTooLarge,
    Forbidden,
    Internal,
    MalformedRequest,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)

_REQUEST_ID = "$context.requestId"
# Of all routes, since a gateway response knows no condition (API Gateway Developer Guide, "Gateway responses").
_WANTED = (
    f"the token that the route takes. /tasks and /admin: {authorizers.USERS}. "
    f"/sms: {authorizers.machine_token('task-api/sms')}. /hello: {authorizers.ANY_USER}"
)

REFUSALS: dict[str, Problem] = {
    "ACCESS_DENIED": Forbidden(),
    "API_CONFIGURATION_ERROR": Internal(),
    "AUTHORIZER_CONFIGURATION_ERROR": Unavailable(),
    "AUTHORIZER_FAILURE": Unavailable(),
    "BAD_REQUEST_BODY": MalformedRequest(),
    "BAD_REQUEST_PARAMETERS": MalformedRequest(),
    # What has a type stands here. What is left is an unknown path, asked for with an Authorization header that AWS
    # takes for a signature.
    "DEFAULT_4XX": NotFound(),
    "DEFAULT_5XX": Internal(),
    "EXPIRED_TOKEN": Unauthorized(_WANTED, EXPIRED),
    "INTEGRATION_FAILURE": Internal(),
    "INTEGRATION_TIMEOUT": Unavailable(),
    "INVALID_API_KEY": Forbidden(),
    "INVALID_SIGNATURE": NotFound(),  # no route asks for one
    "MISSING_AUTHENTICATION_TOKEN": NotFound(),  # which is what AWS calls an unknown path or method
    "QUOTA_EXCEEDED": TooManyRequests(60),
    "REQUEST_TOO_LARGE": BodyTooLarge(),
    "RESOURCE_NOT_FOUND": NotFound(),
    "THROTTLED": TooManyRequests(1),
    "UNAUTHORIZED": Unauthorized(_WANTED),
    "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaType(),
    "WAF_FILTERED": Forbidden(),
}
"""By the type of the gateway response (API Gateway Developer Guide, "Gateway response types")."""


def status(problem: Problem) -> str:
    """Return the status as API Gateway takes it."""
    return str(problem.status)


def headers(problem: Problem, origin: str) -> dict[str, str]:
    """Return the headers as parameters of a gateway response, for a stage with that web origin."""
    ours = api.headers(_REQUEST_ID) | {"Content-Type": "application/problem+json"}
    ours |= {name: str(value) for name, value in problem.headers.items()} | {"Access-Control-Allow-Origin": origin}
    return {
        f"gatewayresponse.header.{name}": "context.requestId" if value == _REQUEST_ID else f"'{value}'"
        for name, value in sorted(ours.items())
    }


def templates(problem: Problem) -> dict[str, str]:
    """Return the body as the template of a gateway response."""
    body: str = problem.response(_REQUEST_ID).body
    return {"application/json": body}


def responses(origin: str) -> dict[str, Any]:
    """Return all of them as an API's definition holds them, for CloudFormation where the origin is a parameter.

    There, and not as resources beside the API, since a change of the definition alone makes SAM deploy the stage anew.
    """
    return {
        kind: {
            "statusCode": problem.status,
            "responseParameters": {
                name: {"Fn::Sub": value} if "${" in value else value for name, value in headers(problem, origin).items()
            },
            "responseTemplates": templates(problem),
        }
        for kind, problem in REFUSALS.items()
    }
