"""Gateway responses: the responses of API Gateway itself, with the problems, headers and CORS of the app."""

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
from tools.stages import app_name

FIRST_ORIGIN = {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "WebOrigin"}]}]}
_REQUEST_ID = "$context.requestId"
# For all routes at once: a gateway response cannot depend on the route (API Gateway Developer Guide, "Gateway responses").
_REQUIRED_TOKENS = (
    f"the token that the route takes. /tasks and /admin: {authorizers.USERS}. "
    f"/sms: {authorizers.machine_token(f'{app_name()}/sms')}. /hello: {authorizers.ANY_USER}"
)

_PROBLEMS: dict[str, Problem] = {
    "ACCESS_DENIED": Forbidden(),
    "API_CONFIGURATION_ERROR": Internal(),
    "AUTHORIZER_CONFIGURATION_ERROR": Unavailable(),
    "AUTHORIZER_FAILURE": Unavailable(),
    "BAD_REQUEST_BODY": MalformedRequest(),
    "BAD_REQUEST_PARAMETERS": MalformedRequest(),
    # Every specific type is listed. The rest is an unknown path with an Authorization header that AWS takes for a signature.
    "DEFAULT_4XX": NotFound(),
    "DEFAULT_5XX": Internal(),
    "EXPIRED_TOKEN": Unauthorized(_REQUIRED_TOKENS, EXPIRED),
    "INTEGRATION_FAILURE": Internal(),
    "INTEGRATION_TIMEOUT": Unavailable(),
    "INVALID_API_KEY": Forbidden(),
    "INVALID_SIGNATURE": NotFound(),  # no route uses signatures
    "MISSING_AUTHENTICATION_TOKEN": NotFound(),  # the type that AWS gives to an unknown path or method
    "QUOTA_EXCEEDED": TooManyRequests(60),
    "REQUEST_TOO_LARGE": BodyTooLarge(),
    "RESOURCE_NOT_FOUND": NotFound(),
    "THROTTLED": TooManyRequests(1),
    "UNAUTHORIZED": Unauthorized(_REQUIRED_TOKENS),
    "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaType(),
    "WAF_FILTERED": Forbidden(),
}
"""The problem of each gateway response type (API Gateway Developer Guide, "Gateway response types")."""


def _header_parameters(problem: Problem, origin: str) -> dict[str, str]:
    values = api.headers(_REQUEST_ID) | {"Content-Type": "application/problem+json"}
    values |= {name: str(value) for name, value in problem.headers.items()} | {"Access-Control-Allow-Origin": origin}
    return {
        f"gatewayresponse.header.{name}": "context.requestId" if value == _REQUEST_ID else f"'{value}'"
        for name, value in sorted(values.items())
    }


def preflight(origins: str) -> dict[str, str]:
    """Return the response template of a preflight, which allows the origin that asks if it is in a list with commas.

    A mock integration cannot choose a header in another way (API Gateway Developer Guide, "Use a mapping template to
    override an API's request and response parameters and status codes").
    """
    allow = "#set($context.responseOverride.header.Access-Control-Allow-Origin = $allowed)"  # once: a second one is a 5xx
    return {
        "application/json": f'#set($origins = "{origins}")#set($allowed = "")#foreach($origin in $origins.split(","))'
        '#if($origin == $input.params("origin") || $origin == $input.params("Origin"))#set($allowed = $origin)#end#end'
        f'#if($allowed != ""){allow}#end'
    }


def responses(origin: str) -> dict[str, Any]:
    """Return all gateway responses for the definition of an API; the origin may be `${FirstOrigin}`, for CloudFormation.

    They name the first origin of the stage: a gateway response could only repeat the Origin of any request.

    They are in the definition, not resources of their own: only a change of the definition makes SAM redeploy the stage.
    """
    return {
        kind: {
            "statusCode": problem.status,
            "responseParameters": {
                name: {"Fn::Sub": [value, {"FirstOrigin": FIRST_ORIGIN}]} if "${" in value else value
                for name, value in _header_parameters(problem, origin).items()
            },
            "responseTemplates": {"application/json": problem.response(_REQUEST_ID).body},
        }
        for kind, problem in _PROBLEMS.items()
    }
