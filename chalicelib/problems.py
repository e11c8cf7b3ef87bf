"""Everything that can go wrong, as problems of RFC 9457.

Problem                       type urn:problem:...    status
├── Malformed                 malformed               400
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
├── Invalid                   validation              422
├── KeyReused                 idempotency-key-reused  422
├── TooManyRequests           too-many-requests       429
├── Internal                  internal                500
└── Unavailable               unavailable             503

A problem is raised where it is known and becomes an answer in one place, the middleware. Its text is ours alone: nothing
that a client or another service sent is repeated in it.
"""

import json
from typing import ClassVar

from chalice import ChaliceUnhandledError, Response


class Problem(ChaliceUnhandledError):  # the one kind of exception that Chalice hands on to a middleware
    """A situation that the caller has to know of; `detail` says what to do about it, `members` add to the body."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str = "", *, headers: dict[str, str | list[str]] | None = None, **members: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def response(self, request_id: str) -> Response:
        """Return the answer: application/problem+json with the request's id as its instance."""
        body = {"type": f"urn:problem:{self.slug}", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        body |= {"instance": request_id} | self.members
        headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
        headers |= self.headers
        return Response(json.dumps(body, separators=(",", ":")), headers, self.status)


class Malformed(Problem):
    """The request cannot be read at all."""

    status, slug, title = 400, "malformed", "The request cannot be read"


class InvalidCursor(Problem):
    """The cursor was not given for this list, or was damaged."""

    status, slug, title = 400, "invalid-cursor", "The cursor does not belong to this list"

    def __init__(self) -> None:
        super().__init__("Send next_cursor as it came, with the same filter, or leave it out to start from the first page.")


class IdempotencyKeyRequired(Problem):
    """The call could not be sent again safely."""

    status, slug, title = 400, "idempotency-key-required", "An Idempotency-Key is required"

    def __init__(self) -> None:
        super().__init__("Send a new key with each new text, and the same key when you send the same call again.")


class Unauthorized(Problem):
    """Nobody, or somebody whose token is not for this route."""

    status, slug, title = 401, "unauthorized", "Sign in first"

    def __init__(self, wanted: str, wrong: str = "") -> None:
        """Take which token the route takes, and what is wrong with the one that was sent, if that is known."""
        # RFC 9110, section 11.6.1: a 401 names the scheme that would do.
        super().__init__(f"Send {wanted}.{wrong and ' ' + wrong}", headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """Somebody whose token is for this route, but who may not use it."""

    status, slug, title = 403, "forbidden", "You may not do this"


class NotFound(Problem):
    """There is no such task, or it is somebody else's: the answer does not tell which."""

    status, slug, title = 404, "not-found", "There is nothing here"


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status, slug, title = 405, "method-not-allowed", "This path does not know the method"

    def __init__(self, allow: str) -> None:
        super().__init__(headers={"Allow": allow})


class Conflict(Problem):
    """The request cannot be carried out in the state that things are in; `detail` says what to do first."""

    status, slug, title = 409, "conflict", "The request does not fit the current state"

    def __init__(
        self, detail: str = "The same call is still running. Send it again in a moment, with the same key."
    ) -> None:
        super().__init__(detail)


class VersionMismatch(Problem):
    """The task has changed since the caller saw it; carries the ETag that it has now."""

    status, slug, title = 412, "precondition-failed", "The task has changed"

    def __init__(self, version: int) -> None:
        super().__init__("Read it again, then send the change with its new ETag.", headers={"ETag": f'"{version}"'})


class BodyTooLarge(Problem):
    """The body is over the limit."""

    status, slug, title = 413, "payload-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body is of a type that this route does not read."""

    status, slug, title = 415, "unsupported-media-type", "The body is of a type that is not read here"


class Invalid(Problem):
    """Members or parameters break their rules; `errors` has one entry for each, with what it must be."""

    status, slug, title = 422, "validation", "Some values are not valid"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("See errors for what each value must be.", errors=errors)


class KeyReused(Problem):
    """The idempotency key came before, with another body."""

    status, slug, title = 422, "idempotency-key-reused", "The Idempotency-Key was used for another body"

    def __init__(self) -> None:
        super().__init__("Use a new key for a new request.")


class TooManyRequests(Problem):
    """A limit is reached; Retry-After tells when its window is over."""

    status, slug, title = 429, "too-many-requests", "A limit is reached"

    def __init__(self, seconds: int) -> None:
        super().__init__("Try again when Retry-After is over.", headers={"Retry-After": str(seconds)})


class Internal(Problem):
    """A fault of ours."""

    status, slug, title = 500, "internal", "Something failed on our side"

    def __init__(self) -> None:
        super().__init__("Quote the instance when you report this.")


class Unavailable(Problem):
    """A service behind this one gave no outcome in time; whether a write happened is not known."""

    status, slug, title = 503, "unavailable", "The service is not available just now"

    def __init__(self, seconds: int = 1) -> None:
        super().__init__(
            "Try again when Retry-After is over. When creating, send the same Idempotency-Key again.",
            headers={"Retry-After": str(seconds)},
        )
