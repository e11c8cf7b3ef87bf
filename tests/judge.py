"""What is wrong with what a crowd has seen: nothing, if nothing was lost and nothing done twice."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tests.crowd import UNANSWERED, Request, Story, Walk
from tests.history import NEVER, Call, State, linearizable

_LAST = "~"  # behind every id
_KINDS = {"GET": "read", "PATCH": "change", "DELETE": "delete"}
_NOTHING = {UNANSWERED, 404, 429, 503}
_EXPECTED = {
    "POST": {200, 201, 409},
    "GET": {200, 404},
    "PATCH": {200, 404, 412},
    "DELETE": {204, 404, 412},
}


def faults(story: Story) -> list[str]:
    """Return what is wrong, of the first kind that is: what comes behind it would be muddled by it."""
    checks = (_answers, _owners, _creations, _winners, _orders, _walks)
    return next(filter(None, (list(check(story)) for check in checks)), [])


def _answers(story: Story) -> Iterator[str]:
    """No answer is an error that nobody caused; 503 needs bad weather, 429 a gateway."""
    for request in story.requests:
        allowed = (
            _EXPECTED[request.method]
            | ({UNANSWERED, 503} if request.disturbed else set())
            | ({429} if story.throttled else set())
        )
        if request.status not in allowed:
            yield f"unexpected: {request.method} was answered {request.status}"


def shown(request: Request) -> list[Any]:
    """Return the tasks that an answer shows."""
    if request.answer is None or request.answer.status not in {200, 201}:
        return []
    body = request.answer.json
    return list(body["tasks"]) if "tasks" in body else [body]


def _owners(story: Story) -> Iterator[str]:
    for request in story.requests:
        for task in shown(request):
            if not task["description"].startswith(f"{request.owner}:"):
                yield f"leak: {request.owner} was shown {task['description']}"
        # A DELETE that lost an answer says 204 over nothing; that nothing is gone is told by the order of calls.
        blind = {*_NOTHING, 204} if request.disturbed and request.method == "DELETE" else _NOTHING
        if request.stray and request.status not in blind:
            yield f"leak: {request.owner} was answered {request.status} to a {request.method} of what is not theirs"


def _creations(story: Story) -> Iterator[str]:
    """No request and no key makes two tasks, and each answer to one key is the same."""
    ids, answers = defaultdict(set), defaultdict(set)
    for request in story.requests:
        for task in shown(request):
            ids[task["description"]].add(task["task_id"])
            if request.method == "POST" and request.answer:
                answers[task["description"]].add(request.answer.body)
    for mark in ids:
        if len(ids[mark]) > 1 or len(answers[mark]) > 1:
            yield f"created twice: {mark} as {sorted(ids[mark])}"


def _winners(story: Story) -> Iterator[str]:
    """Of those who change one version, one succeeds."""
    won: Counter[tuple[str, str]] = Counter(
        (request.path, request.headers["If_Match"])
        for request in story.requests
        if request.answer
        and request.answer.status in {200, 204}
        and request.headers.get("If_Match", "*")[1:-1].isdigit()
        # ... where a DELETE that lost an answer and then finds nothing counts for none.
        and not (request.disturbed and request.method == "DELETE")
    )
    yield from (f"two winners: {path} {tag}" for (path, tag), count in won.items() if count > 1)


def histories(story: Story) -> dict[str, list[Call]]:
    """Return what happened to each task, by its path; a page shows each of its tasks, and that others are gone."""
    calls: dict[str, list[Call]] = defaultdict(list)
    marks = {task["description"]: f"/tasks/{task['task_id']}" for request in story.requests for task in shown(request)}
    created = [request for request in story.requests if request.method == "POST" and request.body["description"] in marks]
    created.sort(key=lambda request: str(request.body["description"]))
    for mark, several in groupby(created, key=lambda request: str(request.body["description"])):
        attempts = list(several)
        body, ended = attempts[0].body, min(request.ended for request in attempts)
        began = min(request.began for request in attempts)
        answer = None if ended == NEVER else 201
        calls[marks[mark]].append(Call(began, ended, "create", answer, title=body["title"], status=body["status"]))
    for request in story.requests:
        if request.method != "POST" and request.path.startswith("/tasks/") and not request.stray:
            calls[request.path].append(_call(request))
    for walk in story.walks:
        for path, call in _seen(walk, marks):
            calls[path].append(call)
    return calls


def _call(request: Request) -> Call:
    answer, tags = request.answer, request.headers.get("If_Match", "*")
    state = None
    if answer and answer.status == 200:
        state = _state(answer.json)
    elif answer and answer.status == 412:
        state = State(int(answer.etag.strip('"')), "", "")
    body = request.body or {}
    return Call(
        request.began,
        request.ended,
        _KINDS[request.method],
        answer.status if answer else None,
        state,
        body.get("title"),
        body.get("status"),
        None if tags == "*" else frozenset(int(tag.strip(' "')) for tag in tags.split(",")),
        request.disturbed,
    )


def _state(task: Any) -> State:
    return State(task["version"], task["title"], task["status"])


def _seen(walk: Walk, marks: dict[str, str]) -> Iterator[tuple[str, Call]]:
    high = f"/tasks/{_LAST}"
    for page in walk:
        there = {f"/tasks/{task['task_id']}": task for task in shown(page)}
        for path, task in there.items():
            yield path, Call(page.began, page.ended, "read", 200, _state(task))
        if "status=" not in page.path and page.answer:
            low = min(there, default="") if page.answer.json["next_cursor"] else ""
            for mark, path in marks.items():
                if mark.startswith(f"{page.owner}:") and low <= path < high and path not in there:
                    yield path, Call(page.began, page.ended, "read", 404)
            high = low


def _orders(story: Story) -> Iterator[str]:
    for path, calls in histories(story).items():
        try:
            fits = linearizable(calls)
        except OverflowError as undecided:
            yield f"undecided: {undecided}"
            continue
        if not fits:
            told = "\n  ".join(str(tuple(call)) for call in sorted(calls))
            yield f"no order: {path}\n  {told}"


def _walks(story: Story) -> Iterator[str]:
    """Each list shows what was in it throughout exactly once, and in order."""
    calls = histories(story)
    marks = {f"/tasks/{task['task_id']}": task["description"] for request in story.requests for task in shown(request)}
    for walk in story.walks:
        pages = Counter(f"/tasks/{task['task_id']}" for page in walk for task in shown(page))
        status = walk[0].path.partition("status=")[2]
        if not status and list(pages) != sorted(pages, reverse=True):
            yield "out of order"
        for path, mark in marks.items():
            if mark.startswith(f"{walk[0].owner}:") and _throughout(calls[path], walk, status) and pages[path] != 1:
                yield f"a list shows {pages[path]} times what was there: {mark} in {walk[0].path}"


def _throughout(calls: list[Call], walk: Walk, status: str) -> bool:
    first, last = walk[0].began, walk[-1].ended
    (created,) = [call for call in calls if call.kind == "create"]
    touched = [call for call in calls if call.kind == "delete" or (status and call.status and call.kind == "change")]
    return created.ended < first and status in {"", created.status} and all(call.began > last for call in touched)
