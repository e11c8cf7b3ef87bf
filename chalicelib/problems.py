"""Errors that clients see, as problems of RFC 9457.

Problem                       type urn:problem:...    status
├── MalformedRequest          malformed               400
├── InvalidCursor             invalid-cursor          400
├── IdempotencyKeyRequired    idempotency-key-required 400
├── Unauthorized              unauthorized            401
├── Forbidden                 forbidden               403
├── NotFound                  not-found               404
├── MethodNotAllowed          method-not-allowed      405
├── Conflict                  conflict                409
├── VersionMismatch           precondition-failed     412
├── BodyTooLarge              payload-too-large       413
├── UnsupportedMediaType      unsupported-media-type  415
├── ValidationFailed          validation              422
├── IdempotencyKeyReused      idempotency-key-reused  422
├── TooManyRequests           too-many-requests       429
├── Internal                  internal                500
└── Unavailable               unavailable             503

A problem is raised where it is known and becomes a response in one place, http/api.py. Its text is fixed: it repeats nothing
that a client or another service sent.
"""

import json
from typing import ClassVar

from chalice import ChaliceUnhandledError, Response


class Problem(ChaliceUnhandledError):  # the one kind of exception that Chalice passes on to a middleware
    """An error that the client can act on: `detail` says what to do, `members` are added to the body."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str = "", *, headers: dict[str, str | list[str]] | None = None, **members: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def response(self, request_id: str) -> Response:
        """Return the response: application/problem+json with the request's id as `instance`."""
        body = {"type": f"urn:problem:{self.slug}", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        body |= {"instance": request_id} | self.members
        headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
        headers |= self.headers
        return Response(json.dumps(body, separators=(",", ":")), headers, self.status)


class MalformedRequest(Problem):
    """The request cannot be read."""

    status, slug, title = 400, "malformed", "The request cannot be read"


class InvalidCursor(Problem):
    """The cursor was issued for another list, or was damaged."""

    status, slug, title = 400, "invalid-cursor", "The cursor does not belong to this list"

    def __init__(self) -> None:
        super().__init__("Send next_cursor unchanged, with the same filter, or no cursor for the first page.")


class IdempotencyKeyRequired(Problem):
    """Without a key, the request could not be retried safely."""

    status, slug, title = 400, "idempotency-key-required", "An Idempotency-Key is required"

    def __init__(self) -> None:
        super().__init__("Send a new key with each new message, and the same key when you retry a request.")


class Unauthorized(Problem):
    """No token, or a token that is not valid for this route."""

    status, slug, title = 401, "unauthorized", "Authentication required"

    def __init__(self, wanted: str, wrong: str = "") -> None:
        """`wanted` is the kind of token that the route takes, `wrong` what is wrong with the one that was sent, if known."""
        # RFC 9110, section 11.6.1: a 401 names the authentication scheme.
        super().__init__(f"Send {wanted}.{wrong and ' ' + wrong}", headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """The token is valid for this route, but its user may not use it."""

    status, slug, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """The item does not exist, or another user owns it: the response is the same."""

    status, slug, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(headers={"Allow": allow})


class Conflict(Problem):
    """The request conflicts with the current state; `detail` says what to do first."""

    status, slug, title = 409, "conflict", "Conflict"

    def __init__(
        self, detail: str = "A request with this Idempotency-Key is still in progress. Retry with the same key in a moment."
    ) -> None:
        super().__init__(detail)


class VersionMismatch(Problem):
    """The item has changed since the client read it; carries its current ETag."""

    status, slug, title = 412, "precondition-failed", "Precondition failed"

    def __init__(self, version: int) -> None:
        super().__init__(
            "It has changed since. Fetch it again and retry with its current ETag.", headers={"ETag": f'"{version}"'}
        )


class BodyTooLarge(Problem):
    """The body exceeds the size limit."""

    status, slug, title = 413, "payload-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body has a media type that this route does not read."""

    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"


class ValidationFailed(Problem):
    """Members or parameters break their rules; `errors` has one entry for each."""

    status, slug, title = 422, "validation", "Validation failed"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("See `errors` for what each value must be.", errors=errors)


class IdempotencyKeyReused(Problem):
    """The idempotency key was used before, with another body."""

    status, slug, title = 422, "idempotency-key-reused", "The Idempotency-Key was used for another body"

    def __init__(self) -> None:
        super().__init__("Use a new key for a new request.")


class TooManyRequests(Problem):
    """A rate limit is exceeded; Retry-After has the seconds until its window ends."""

    status, slug, title = 429, "too-many-requests", "Rate limit exceeded"

    def __init__(self, seconds: int, headers: dict[str, str | list[str]] | None = None) -> None:
        """`headers` tell of the limit that the request would exceed, if that is known."""
        retry: dict[str, str | list[str]] = {"Retry-After": str(seconds)}
        super().__init__("Retry after the number of seconds in Retry-After.", headers=retry | (headers or {}))


class Internal(Problem):
    """A fault of the API."""

    status, slug, title = 500, "internal", "Internal error"

    def __init__(self) -> None:
        super().__init__("Include the `instance` value when you report this error.")


class Unavailable(Problem):
    """A service behind the API did not respond as expected in time; a write may have happened."""

    status, slug, title = 503, "unavailable", "Service temporarily unavailable"

    def __init__(self, seconds: int = 1) -> None:
        super().__init__(
            "Retry after the number of seconds in Retry-After; when creating, with the same Idempotency-Key.",
            headers={"Retry-After": str(seconds)},
        )
