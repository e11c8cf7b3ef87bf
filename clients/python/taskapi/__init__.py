"""A client of the task API for machines and scripts: start at `TaskApi`. Everything that it raises is a `TaskApiError`."""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Literal, TypedDict, Unpack
from urllib.parse import quote

import httpx

Status = Literal["pending", "in_progress", "done"]
_MAX_SECONDS = 60.0  # of a call; so long before its end a token is no longer used
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LOST = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.DecodingError)
_NOT_JSON = (json.JSONDecodeError, UnicodeDecodeError)  # so not from the API


class TaskApiError(Exception):
    """The base class of what this module raises. With `outcome_unknown`, the API may have done what was asked, although no
    response says so; the same call with `idempotency_key` does nothing twice. `retry_after` is in seconds.
    """  # noqa: D205

    outcome_unknown: bool = False
    idempotency_key: str | None = None
    retry_after: int | None = None


class NoToken(TaskApiError):
    """The token endpoint gave no token; nothing was sent to the API."""


class NoResponse(TaskApiError):
    """The connection was not made, or was lost before a complete response."""


class Problem(TaskApiError):
    """An error response (RFC 9457); one without a class of its own is a plain `Problem`."""

    status: int
    type: str
    detail: str
    errors: list[dict[str, str]]  # of ValidationFailed: `detail`, and the `pointer` in the body or the `parameter`
    request_id: str | None
    etag: str | None  # of VersionMismatch: the current one
    _classes: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, slug: str) -> None:
        """Register the class for its type of problem."""
        cls._classes[f"urn:problem:{slug}"] = cls

    @classmethod
    def of(cls, response: httpx.Response) -> "Problem":
        """Return the exception for a response, be it the API's or a proxy's."""
        told = response.json() if "json" in response.headers.get("Content-Type", "") else {}
        title = told.get("title") or told.get("error") or response.reason_phrase  # `error` is OAuth's
        kind, detail, errors = str(told.get("type", "about:blank")), told.get("detail", ""), told.get("errors", [])
        wrong = "; ".join(f"{one.get('pointer') or one.get('parameter')} {one.get('detail')}" for one in errors)
        problem: Problem = cls._classes.get(kind, Problem)(f"{response.status_code} {title}. {detail} {wrong}".rstrip())
        problem.status, problem.type, problem.detail, problem.errors = response.status_code, kind, detail, errors
        problem.request_id, problem.etag = response.headers.get("X-Request-Id"), response.headers.get("ETag")
        seconds = response.headers.get("Retry-After", "")
        problem.retry_after = int(seconds) if seconds.isdecimal() else None
        problem.outcome_unknown = response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        return problem


class Unauthorized(Problem, slug="unauthorized"):
    """The token is missing, has expired, or is not one for this operation."""


class NotFound(Problem, slug="not-found"):
    """The task does not exist, or another user owns it."""


class Conflict(Problem, slug="conflict"):
    """A request with the same idempotency key is in progress, or the stored data has reached its limit."""


class VersionMismatch(Problem, slug="precondition-failed"):
    """The task has changed since it was read; with `outcome_unknown`, perhaps by an earlier attempt of the same call."""


class ValidationFailed(Problem, slug="validation"):
    """Values break their rules; see `errors`."""


class TooManyRequests(Problem, slug="too-many-requests"):
    """A limit is exceeded, for longer than the call may wait; see `retry_after`."""


class Unavailable(Problem, slug="unavailable"):
    """The API could not complete the request in time."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the API returned it. `owner` is the `sub` of its user, and only in `list_all`."""

    task_id: str
    title: str
    description: str
    status: Status
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of an SMS message. One whose status is `unknown` was sent or not, and is never sent again with its key."""

    message_id: str | None
    status: Literal["sent", "unknown"]


class _Changes(TypedDict, total=False):
    title: str
    description: str | None
    status: Status
    due_at: datetime | None


class _Options(TypedDict, total=False):
    timeout: float
    attempts: int
    max_seconds: float
    transport: httpx.BaseTransport


class _Sender:
    """Sends requests, and again after 429, 503 and lost connections; each may be handled twice and has its effect once."""

    def __init__(self, url: str, token: Callable[[], str] | None, options: _Options) -> None:
        self._http = httpx.Client(base_url=url, transport=options.get("transport"))
        self._token, self._timeout = token, options.get("timeout", 15.0)
        self._attempts, self._max_seconds = options.get("attempts", 6), options.get("max_seconds", _MAX_SECONDS)
        self.close = self._http.close

    def send(self, method: str, path: str, *, key: str | None = None, **request: Any) -> Any:
        """Return the JSON of the response, perhaps after several attempts; raises TaskApiError."""
        headers = request.pop("headers", {}) | ({"Idempotency-Key": key} if key else {})
        headers |= {"Authorization": f"Bearer {self._token()}"} if self._token else {}
        ends, attempt, outcome_unknown = time.monotonic() + self._max_seconds, 1, False
        while True:
            try:
                timeout = max(0.0, min(self._timeout, ends - time.monotonic()))
                return self._attempt(method, path, timeout=timeout, headers=headers, **request)
            except TaskApiError as error:
                again = isinstance(error, NoResponse) or (isinstance(error, Problem) and error.status in {429, 503})
                again |= isinstance(error, Conflict) and bool(key and outcome_unknown)  # an earlier attempt is in progress
                outcome_unknown = error.outcome_unknown = method != "GET" and (outcome_unknown or error.outcome_unknown)
                error.idempotency_key = key
                # The random part keeps clients that fail together from coming back together.
                delay = (error.retry_after or 0) + random.uniform(0, min(8.0, 2**attempt / 4))  # noqa: S311 - no secret
                if not again or attempt == self._attempts or time.monotonic() + delay > ends:
                    if outcome_unknown:
                        advice = f"repeat it with idempotency_key={key!r}" if key else "look before you repeat it"
                        error.add_note(f"The API may have done this all the same: {advice}.")
                    raise
            time.sleep(delay)
            attempt += 1

    def _attempt(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
            if response.is_success:
                return response.json() if response.content else None
            raise Problem.of(response)
        except (*_NOT_SENT, *_LOST, *_NOT_JSON) as cause:
            error = NoResponse(f"No response to {method} {path} ({type(cause).__name__}: {cause}).")
            error.outcome_unknown = not isinstance(cause, _NOT_SENT)
            raise error from cause


class ClientCredentials:
    """A function that returns the token of a machine, fetched once and kept until shortly before it expires.

    Threads and clients may share it. Takes the options of TaskApi; raises NoToken.
    """

    def __init__(self, token_url: str, client_id: str, client_secret: str, **options: Unpack[_Options]) -> None:
        self._url, self._client, self._options = token_url, (client_id, client_secret), options
        self._lock, self._token, self._expires_at = threading.Lock(), "", 0.0

    def __call__(self) -> str:
        """Return the token."""
        if not self._lock.acquire(timeout=_MAX_SECONDS):
            raise NoToken("Another thread is still waiting for the token; nothing was sent to the API. Try again later.")
        try:
            if time.time() >= self._expires_at:
                self._fetch()
            return self._token
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        began = time.time()
        try:
            with closing(_Sender("", None, self._options)) as sender:
                response = sender.send("POST", self._url, data={"grant_type": "client_credentials"}, auth=self._client)
        except TaskApiError as error:
            message = f"{error} Nothing was sent to the API. Check token_url, client_id and client_secret."
            raise NoToken(message) from error
        self._token, lifetime = response["access_token"], response["expires_in"]
        self._expires_at = began + lifetime - min(_MAX_SECONDS, lifetime / 2)


class _Tasks:
    def __init__(self, sender: _Sender) -> None:
        self._send = sender.send

    def create(
        self, title: str, *, description: str | None = None, status: Status | None = None, due_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Task:  # fmt: skip
        """Create a task, once for each key; without one, each call has a new key."""
        body = _json({"title": title, "description": description, "status": status, "due_at": due_at})
        return _task(self._send("POST", "/tasks", json=body, key=idempotency_key or str(uuid.uuid4())))

    def get(self, task_id: str) -> Task:
        """Return a task; raises NotFound."""
        return _task(self._send("GET", f"/tasks/{quote(task_id, safe='')}"))

    def list(
        self, *, status: Status | None = None, due_after: datetime | None = None, due_before: datetime | None = None
    ) -> Iterator[Task]:
        """Yield your tasks, newest first, or those of one status, soonest due first, and only then by due date."""
        return self._pages("/tasks", status=status, due_after=due_after, due_before=due_before)

    def list_all(self, status: Status) -> Iterator[Task]:
        """Yield the tasks of all users that have a status, oldest first; for admins."""
        return self._pages("/admin/tasks", status=status)

    def update(self, task: Task, **changes: Unpack[_Changes]) -> Task:
        """Change members of a task and return it; raises VersionMismatch if it has changed since it was read."""
        headers = {"If-Match": f'"{task.version}"'}
        return _task(self._send("PATCH", f"/tasks/{task.task_id}", headers=headers, json=_json(changes)))

    def delete(self, task: Task) -> None:
        """Delete a task; raises VersionMismatch if it has changed since it was read."""
        try:
            self._send("DELETE", f"/tasks/{task.task_id}", headers={"If-Match": f'"{task.version}"'})
        except NotFound as error:
            if not error.outcome_unknown:  # else an earlier attempt has deleted it
                raise

    def _pages(self, path: str, **query: Any) -> Iterator[Task]:
        parameters = _json({name: value for name, value in query.items() if value is not None}) | {"limit": 100}
        while True:
            page = self._send("GET", path, params=parameters)
            yield from map(_task, page["tasks"])
            if page["next_cursor"] is None:
                return
            parameters["cursor"] = page["next_cursor"]


class _Sms:
    def __init__(self, sender: _Sender) -> None:
        self._send = sender.send

    def send(self, to: str, message: str, *, idempotency_key: str | None = None) -> Receipt:
        """Send an SMS message, at most once for each key; without one, each call has a new key."""
        key = idempotency_key or str(uuid.uuid4())
        receipt = self._send("POST", "/sms", json={"to": to, "message": message}, key=key)
        return Receipt(receipt["message_id"], receipt["status"])


class TaskApi(AbstractContextManager["TaskApi"]):
    """The API at an address, for one caller; threads may share it. Close it, or use it in a `with` statement.

    `token` is an ID token, or a function that returns one, such as ClientCredentials. A call waits `timeout` seconds for the
    network at a time, makes at most so many `attempts`, and starts none after `max_seconds`; `transport` is one of httpx.
    """

    def __init__(self, url: str, token: str | Callable[[], str], **options: Unpack[_Options]) -> None:
        sender = _Sender(url, (lambda: token) if isinstance(token, str) else token, options)
        self.tasks, self.sms, self.close = _Tasks(sender), _Sms(sender), sender.close

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()


def _json(members: Any) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in members.items()}


def _task(body: dict[str, Any]) -> Task:
    """Return a task without the members that a later release of the API may have added."""
    members: dict[str, Any] = {field.name: body.get(field.name) for field in fields(Task)}
    instants = {name: datetime.fromisoformat(text) for name, text in members.items() if text and name.endswith("_at")}
    return Task(**members | instants)
