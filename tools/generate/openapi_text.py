"""Descriptions in the OpenAPI document that all operations share: introduction, security schemes, headers, problems."""

import inspect
from typing import Any

from chalicelib import about, problems
from chalicelib.auth import authorizers
from chalicelib.problems import Problem

SECURITY = {
    "users": ("user", "users"),
    "machines": ("machine", "machines"),
    "user_authorizer": ("any user", "users"),
}
"""Whom each authorizer admits, for README, and the security scheme that gives its token."""
_TOKEN_URL = f"{about.SIGN_IN_URL}/oauth2/token"
SCHEMES: dict[str, dict[str, Any]] = {
    "users": {
        "type": "oauth2",
        "description": (
            "A user signs in by authorization code with PKCE, with the client id in `x-client-id`. Send the `id_token` of"
            " the token response, not the `access_token`, as `Authorization: Bearer <token>`; it lives for an hour."
            " `GET /hello` takes both."
        ),
        "x-client-id": about.WEB_CLIENT_ID,
        "x-tokenName": "id_token",  # which member of the token response Swagger UI sends
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{about.SIGN_IN_URL}/oauth2/authorize",
                "tokenUrl": _TOKEN_URL,
                "refreshUrl": _TOKEN_URL,
                "scopes": {"openid": "An ID token, which the API takes."},  # others alone would give none
            }
        },
    },
    "machines": {
        "type": "oauth2",
        "description": (
            "A program without a user gets an access token with the id and secret of its own client. Keep the token until it"
            " expires, after an hour: Amazon Cognito charges for each one."
        ),
        "flows": {
            "clientCredentials": {"tokenUrl": _TOKEN_URL, "scopes": {"task-api/sms": "Send SMS messages."}},
        },
    },
}

_TAGS = r'(W/)?"[!#-~]*"'
_TAG_LIST = {"pattern": rf"^(\*|{_TAGS}([ \t]*,[ \t]*{_TAGS})*)$", "examples": ['"1"']}
REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        (
            "1 to 255 visible ASCII characters, bare or quoted, such as a new UUID. For 24 hours the same key with the same"
            " body is the same request: it gives the first response again, and nothing is done twice."
        ),
        {"pattern": r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$', "examples": ["order-17"]},
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
    "Content-Security-Policy": ("What the page may load: its own script and style, and the sign-in pages.", {}),
    "ETag": (
        "The version of the item, in quotes. Send it as `If-Match` with a change, or as `If-None-Match` with a read.",
        {"pattern": '^"[1-9][0-9]*"$', "examples": ['"1"']},
    ),
    "Idempotency-Replayed": (
        "Present if an earlier request with the same `Idempotency-Key` was applied; this is its response again.",
        {"const": "true"},
    ),
    "Location": (
        "The path of the new item, from the host on.",
        {"pattern": "/[a-z]+/[0-9a-f-]{36}$"},
    ),
    "RateLimit": (
        "With 429: the limit that the request would exceed, what is left (`r`), the seconds until its window ends (`t`).",
        {"examples": ['"tasks";r=0;t=42']},
    ),
    "RateLimit-Policy": (
        "The limits of the operation, if any; with 429 the exceeded one: name, quota (`q`), seconds of a window (`w`).",
        {"examples": ['"tasks";q=60;w=60']},
    ),
    "Retry-After": ("With 429 and 503: the seconds after which to retry.", {"pattern": "^[1-9][0-9]*$", "examples": ["1"]}),
    "WWW-Authenticate": (
        "With 401: the authentication scheme. API Gateway may call this header x-amzn-Remapped-WWW-Authenticate.",
        {"const": "Bearer"},
    ),
}
OPTIONAL_HEADERS = ("Idempotency-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate")
REQUEST_ID = "a38a6283-0783-4097-bbf4-1e02912c0ca5"
_ARGUMENTS: dict[type[Problem], tuple[Any, ...]] = {
    problems.ValidationFailed: ([{"pointer": "/title", "detail": "is required"}],),
    problems.MethodNotAllowed: ("GET, POST",),
    problems.TooManyRequests: (42, {"RateLimit": '"tasks";r=0;t=42', "RateLimit-Policy": '"tasks";q=60;w=60'}),
    problems.Unauthorized: (authorizers.USERS,),
    problems.VersionMismatch: (2,),
}
PROBLEMS = {kind: kind(*_ARGUMENTS.get(kind, ())) for kind in Problem.__subclasses__()}
"""An example of each problem."""
SHARED_PROBLEMS = (
    *(problems.MalformedRequest, problems.Unauthorized, problems.Forbidden, problems.BodyTooLarge),
    *(problems.UnsupportedMediaType, problems.TooManyRequests, problems.Internal, problems.Unavailable),
)
"""Problems that are no matter of one operation. An operation shows those that it can return as one response, `default`."""

INTRODUCTION = f"""\
## Authentication

Send a token as `Authorization: Bearer <token>`. A **user** signs in to Amazon Cognito and sends the ID token of the web
client; a **machine** sends an access token that it gets by OAuth client credentials. The security schemes have the
addresses. Who may call an operation is decided by its token alone. Another user's item returns 404, exactly as if it
did not exist.

## Errors

An error is a problem of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), `application/problem+json`: decide by
`type` and `status`, show `detail` to people, and report `instance`, the id of the request, which is `X-Request-Id` too.
`default` in an operation stands for the errors that it shares with others. Expect types that are not listed yet.

| Status | Type, after `urn:problem:` | Meaning |
| --- | --- | --- |
{"".join(f"| {kind.status} | `{kind.slug}` | {inspect.getdoc(kind)} |{chr(10)}" for kind in PROBLEMS)}
A path that is not listed here is 404, and so is a method; without a gateway in front of the API, a method is 405.

## Pages

A list returns up to `limit` items and a `next_cursor`; send that as `cursor` for the next page. Every page but the last
is full, and `next_cursor` is null exactly when nothing follows. A cursor belongs to one user, list and filter.

## ETags

An item has a `version` that grows with each change, and its `ETag` is the version in quotes. `If-Match` makes a change
apply to that version only, so that nobody overwrites what they have not seen; else it is 412. `If-None-Match` makes a
read return 304 without a body if nothing has changed.

## Repeating a request

After a lost response, a timeout, a 429 or a 503, send the same request again. An `Idempotency-Key` makes a POST safe to
repeat, for 24 hours; `If-Match` does it for PATCH and DELETE. A 2xx response means that the write is durable.

## Limits

A body has at most 64 KiB and 20 levels. An unknown member or query parameter is refused, never ignored. A stage limits
requests a second, and SMS messages; it may limit the tasks that a user creates in a minute. Beyond that, the response is
429 and `Retry-After` says when to retry. `RateLimit-Policy` and `RateLimit` name the limit of an operation
([IETF draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/)).

Every response has `X-Request-Id`, `Cache-Control: no-store`, `X-Content-Type-Options: nosniff` and, for browsers,
`Access-Control-Allow-Origin` and `Vary: Origin`.
"""
