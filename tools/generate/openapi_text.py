"""Descriptions in the OpenAPI document that all operations share: introduction, security schemes, headers, problems."""

from typing import Any

import app
from chalicelib import problems
from chalicelib.auth import authorizers
from chalicelib.problems import Problem

INTRODUCTION = """\
A **user** signs in to Amazon Cognito and sends the ID token of the web client. A **machine** gets an access token by OAuth
client credentials, and keeps it until it expires. Another user's task returns 404, exactly as if it did not exist.

An **error** is a problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457); its `instance` is the id of the request.
After a 503 or a lost response, the same request with the same `Idempotency-Key` is safe. An unknown query parameter or
member of a body is refused, never ignored. A body has at most 64 KiB and 20 levels.

A path that is not listed here is 404 `not-found`, and so is a method; without a gateway in front of the API, a method is 405
`method-not-allowed`.
"""
SECURITY = {
    "users": ("user", authorizers.USERS),
    "machines": ("machine", authorizers.machine_token(*app.machines.scopes)),
    "user_authorizer": ("any user", authorizers.ANY_USER),
}
"""Whom each authorizer admits, for README, and the token that it takes."""
_TAGS = r'(W/)?"[!#-~]*"'
_TAG_LIST = {"pattern": rf"^(\*|{_TAGS}([ \t]*,[ \t]*{_TAGS})*)$"}
REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        (
            "1 to 255 visible ASCII characters, bare or quoted. For 24 hours the same key with the same body is the same"
            " request: it gives the first response again, and nothing is done twice."
        ),
        {"pattern": r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$'},
    ),
    "If-Match": (
        (
            'Write only if the item still has one of these ETags, such as `"1"`; `*` for any. A tag that a proxy has made'
            " weak, or given a suffix for its compression, counts as the version that it names."
        ),
        _TAG_LIST,
    ),
    "If-None-Match": ('Return 304 if the item still has one of these ETags, such as `"1"`.', _TAG_LIST),
}
HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Access-Control-Allow-Origin": ("The web origin that CORS allows.", {}),
    "Cache-Control": ("No response may be stored.", {"const": "no-store"}),
    "Content-Security-Policy": ("The page may load its own parts only.", {}),
    "ETag": ("The version of the item, in quotes.", {"pattern": '^"[1-9][0-9]*"$', "examples": ['"1"']}),
    "Idempotency-Replayed": ("An earlier request with the same key did it.", {"const": "true"}),
    "Location": ("The path of the new item.", {"pattern": "/[a-z]+/[0-9a-f-]{36}$"}),
    "Retry-After": ("The seconds after which to retry.", {"pattern": "^[1-9][0-9]*$"}),
    "WWW-Authenticate": (
        "The authentication scheme. API Gateway may call this header x-amzn-Remapped-WWW-Authenticate.",
        {"const": "Bearer"},
    ),
    "X-Content-Type-Options": ("Disables MIME sniffing.", {"const": "nosniff"}),
    "X-Request-Id": ("The id of this request; include it when you report an error.", {"pattern": "^[0-9a-f-]{36}$"}),
}
COMMON_HEADERS = ("Access-Control-Allow-Origin", "Cache-Control", "X-Content-Type-Options", "X-Request-Id")
OPTIONAL_HEADERS = ("Idempotency-Replayed", "WWW-Authenticate")
REQUEST_ID = "a38a6283-0783-4097-bbf4-1e02912c0ca5"
_ARGUMENTS: dict[type[Problem], tuple[Any, ...]] = {
    problems.ValidationFailed: ([{"pointer": "/title", "detail": "is required"}],),
    problems.MethodNotAllowed: ("GET, POST",),
    problems.TooManyRequests: (42,),
    problems.Unauthorized: (authorizers.USERS,),
    problems.VersionMismatch: (2,),
}
PROBLEMS = {kind: kind(*_ARGUMENTS.get(kind, ())) for kind in Problem.__subclasses__()}
"""An example of each problem."""
