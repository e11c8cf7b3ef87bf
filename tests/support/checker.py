"""Checks a history of concurrent clients: no lost update, no double effect, no leak between owners, linearizable per task."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

from tests.support.concurrent_clients import MAX_PAGES, NO_RESPONSE, History, Request, Traversal
from tests.support.linearizability import NEVER, Call, State, linearizable
from tests.support.people import path_of

_LAST = "~~"  # sorts after every id, and after every due date with id
_KINDS = {"GET": "read", "PATCH": "change", "DELETE": "delete"}
_REVEALS_NOTHING = {NO_RESPONSE, 404, 429, 503}
_EXPECTED = {
    "POST": {201},
    "LIST": {200},
    "GET": {200, 404},
    "PATCH": {200, 404, 412},
    "DELETE": {204, 404, 412},
}


def violations(history: History) -> list[str]:
    """Return the violations that the first failing check finds: they can cause others in the checks after it."""
    checks = (_check_statuses, _check_owners, _check_creations, _check_winners, _check_lists, _check_linearizability)
    return next(filter(None, (list(check(history)) for check in checks)), [])


def _check_statuses(history: History) -> Iterator[str]:
    """Every status has a cause: 503 needs a fault, 409 a fault and a key, 429 a rate limit."""
    for request in history.requests:
        allowed = _EXPECTED["LIST" if request.path.startswith("/tasks?") else request.method]
        if request.disturbed:
            allowed = allowed | {NO_RESPONSE, 503} | ({409} if "Idempotency_Key" in request.headers else set())
        if request.status not in allowed and not (history.throttled and request.status == 429):
            yield f"unexpected: {request.method} returned {request.status}"


def _tasks_in(request: Request) -> list[Any]:
    """Return the tasks in the response."""
    if request.response is None or request.response.status not in {200, 201}:
        return []
    body = request.response.json
    return list(body["tasks"]) if "tasks" in body else [body]


def _check_owners(history: History) -> Iterator[str]:
    for request in history.requests:
        for task in _tasks_in(request):
            if not task["description"].startswith(f"{request.owner}:"):
                yield f"leak: {request.owner} received {task['description']}"
        # A retried DELETE returns 204 for a missing task; that it deleted nothing is checked by linearizability.
        allowed = {*_REVEALS_NOTHING, 204} if request.disturbed and request.method == "DELETE" else _REVEALS_NOTHING
        if request.is_to_other_owner and request.status not in allowed:
            yield f"leak: {request.owner} received {request.status} for a {request.method} of another owner's task"


def _check_creations(history: History) -> Iterator[str]:
    """No request and no key creates two tasks; all responses to one key are equal, and all but the first are marked replayed."""
    ids, responses = defaultdict(set), defaultdict(list)
    for request in history.requests:
        for task in _tasks_in(request):
            ids[task["description"]].add(task["task_id"])
        if request.method == "POST":
            responses[request.body["description"]].append(request.response)
    for mark, several in responses.items():
        known = [response for response in several if response]
        if len(ids[mark]) > 1 or len({response.body for response in known}) > 1:
            yield f"created twice: {mark} as {sorted(ids[mark])}"
        firsts = sum("Idempotency-Replayed" not in response.headers for response in known)
        if firsts > 1 or (firsts == 0 and None not in several):  # the first response may be a lost one
            yield f"replayed: {firsts} of {len(several)} responses to {mark} are not marked as replayed"


def _check_winners(history: History) -> Iterator[str]:
    """Of all writes with the same version in If-Match, one succeeds."""
    won: Counter[tuple[str, str]] = Counter(
        (request.path, request.headers["If_Match"])
        for request in history.requests
        if request.response
        and request.response.status in {200, 204}
        and request.headers.get("If_Match", "*")[1:-1].isdigit()
        # A retried DELETE that finds nothing returns 204 without having deleted anything.
        and not (request.disturbed and request.method == "DELETE")
    )
    yield from (f"two winners: {path} {tag}" for (path, tag), count in won.items() if count > 1)


def _check_lists(history: History) -> Iterator[str]:
    """Each list ends, is in order over all its pages, and has only tasks of its status.

    A page starts after the last task of the page before, whatever is written in between. So no task is listed twice, except one
    that gets a later due date during a traversal of its status.
    """
    yield from (f"endless list: {pages[0].path}" for pages in history.traversals if len(pages) == MAX_PAGES)
    for pages in history.traversals:
        status, tasks = _status(pages), [task for page in pages for task in _tasks_in(page)]
        for one, other in pairwise(_sort_key(task, status) for task in tasks):
            if one >= other if status else one <= other:
                yield f"out of order: {other} after {one} in {pages[0].path}"
        for task in tasks:
            if status and task["status"] != status:
                yield f"misplaced: {path_of(task)}, {task['status']}, in {pages[0].path}"


def _status(pages: Traversal) -> str:
    return pages[0].path.partition("status=")[2]


def _sort_key(task: Any, status: str) -> str:
    """Return the sort key of a task in the list of a status, or of all."""
    return _place(task["due_at"], path_of(task)) if status else path_of(task)


def _place(due_at: str | None, path: str) -> str:
    return f"{due_at or '~'}{path}"


def calls_by_task(history: History) -> dict[str, list[Call]]:
    """Return the calls to each task by its path; a page is a read of each task on it and of each task missing from it."""
    calls: dict[str, list[Call]] = defaultdict(list)
    marks = {task["description"]: path_of(task) for request in history.requests for task in _tasks_in(request)}
    created = [request for request in history.requests if request.method == "POST" and request.body["description"] in marks]
    created.sort(key=lambda request: str(request.body["description"]))
    for mark, several in groupby(created, key=lambda request: str(request.body["description"])):
        attempts = list(several)
        body, ended = attempts[0].body, min(request.ended for request in attempts)
        began = min(request.began for request in attempts)
        status = None if ended == NEVER else 201
        path = marks[mark]
        calls[path].append(
            Call(began, ended, "create", status, None, body["title"], body["status"], _place(body["due_at"], path))
        )
    for request in history.requests:
        if request.method != "POST" and request.path.startswith("/tasks/") and not request.is_to_other_owner:
            calls[request.path].append(_call(request))
    for pages in history.traversals:
        for path, call in _reads(pages, marks):
            calls[path].append(call)
    return calls


def _call(request: Request) -> Call:
    response, tags = request.response, request.headers.get("If_Match", "*")
    state = None
    if response and response.status == 200:
        state = _state(response.json)
    elif response and response.status == 412:
        state = State(int(response.etag.strip('"')), "", "", "")
    body = request.body or {}
    return Call(
        request.began,
        request.ended,
        _KINDS[request.method],
        response.status if response else None,
        state,
        body.get("title"),
        body.get("status"),
        _place(body["due_at"], request.path) if "due_at" in body else None,
        None if tags == "*" else frozenset(int(tag.strip(' "')) for tag in tags.split(",")),
        request.disturbed,
    )


def _state(task: Any) -> State:
    return State(task["version"], task["title"], task["status"], _place(task["due_at"], path_of(task)))


def _reads(pages: Traversal, marks: dict[str, str]) -> Iterator[tuple[str, Call]]:
    """Yield a read of each task on a page, and of each one missing between its ends; the emulator reads a page atomically."""
    status = _status(pages)
    start, end = ("", _LAST) if status else (_LAST, "")
    for page in pages:
        there = {path_of(task): task for task in _tasks_in(page)}
        for path, task in there.items():
            yield path, Call(page.began, page.ended, "read", 200, _state(task))
        has_next = bool(page.response and page.response.json["next_cursor"])
        last = [start, *(_sort_key(task, status) for task in _tasks_in(page))][-1] if has_next else end
        low, high = sorted([start, last])
        missing = Call(page.began, page.ended, "read", 404, gap=((status, low), (status, high)) if status else None)
        for mark, path in marks.items():
            if mark.startswith(f"{page.owner}:") and path not in there and (status or low < path < high):
                yield path, missing
        start = last


def _check_linearizability(history: History) -> Iterator[str]:
    for path, calls in calls_by_task(history).items():
        try:
            if not linearizable(calls):
                yield "\n  ".join([f"not linearizable: {path}", *(str(tuple(call)) for call in sorted(calls))])
        except OverflowError as error:
            yield f"undecided: {error}"
