"""What is wrong with what a crowd has seen: nothing, if nothing was lost and nothing done twice."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

from tests.support.concurrent_clients import ENDLESS, UNANSWERED, Request, Story, Walk
from tests.support.history import NEVER, Call, State, linearizable
from tests.support.people import path_of

_LAST = "~~"  # behind every id, and every due date and id
_KINDS = {"GET": "read", "PATCH": "change", "DELETE": "delete"}
_NOTHING = {UNANSWERED, 404, 429, 503}
_EXPECTED = {
    "POST": {201},
    "LIST": {200},
    "GET": {200, 404},
    "PATCH": {200, 404, 412},
    "DELETE": {204, 404, 412},
}


def violations(story: Story) -> list[str]:
    """Return what is wrong, of the first kind that is: what comes behind it would be muddled by it."""
    checks = (_answers, _owners, _creations, _winners, _lists, _orders)
    return next(filter(None, (list(check(story)) for check in checks)), [])


def _answers(story: Story) -> Iterator[str]:
    """No answer is an error that nobody caused; 503 needs bad weather, and 409 a key besides, 429 a gateway."""
    for request in story.requests:
        allowed = _EXPECTED["LIST" if request.path.startswith("/tasks?") else request.method]
        if request.disturbed:
            allowed = allowed | {UNANSWERED, 503} | ({409} if "Idempotency_Key" in request.headers else set())
        if request.status not in allowed and not (story.throttled and request.status == 429):
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
    """No request and no key makes two tasks; each answer to one key is the same, and all but the first say that they are."""
    ids, answers = defaultdict(set), defaultdict(list)
    for request in story.requests:
        for task in shown(request):
            ids[task["description"]].add(task["task_id"])
        if request.method == "POST":
            answers[request.body["description"]].append(request.answer)
    for mark, several in answers.items():
        known = [answer for answer in several if answer]
        if len(ids[mark]) > 1 or len({answer.body for answer in known}) > 1:
            yield f"created twice: {mark} as {sorted(ids[mark])}"
        firsts = sum("Idempotency-Replayed" not in answer.headers for answer in known)
        if firsts > 1 or (firsts == 0 and None not in several):  # it may have been the first that was lost
            yield f"replayed: {firsts} of {len(several)} answers to {mark} are told as the first"


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


def _lists(story: Story) -> Iterator[str]:
    """Each list is in order over all its pages, shows what it is a list of, and ends.

    A page goes on behind the last task of the one before, whatever is written meanwhile. So no task comes twice, but for one
    that is given a later due date while a list of its status is followed.
    """
    yield from (f"endless list: {walk[0].path}" for walk in story.walks if len(walk) == ENDLESS)
    for walk in story.walks:
        status, tasks = _status(walk), [task for page in walk for task in shown(page)]
        for one, other in pairwise(_stands(task, status) for task in tasks):
            if one >= other if status else one <= other:
                yield f"out of order: {other} behind {one} in {walk[0].path}"
        for task in tasks:
            if status and task["status"] != status:
                yield f"misplaced: {path_of(task)}, {task['status']}, in {walk[0].path}"


def _status(walk: Walk) -> str:
    return walk[0].path.partition("status=")[2]


def _stands(task: Any, status: str) -> str:
    """Return where a task stands in a list of a status, or of all."""
    return _place(task["due_at"], path_of(task)) if status else path_of(task)


def _place(due_at: str | None, path: str) -> str:
    return f"{due_at or '~'}{path}"


def histories(story: Story) -> dict[str, list[Call]]:
    """Return what happened to each task, by its path; a page shows each of its tasks, and that no other is between them."""
    calls: dict[str, list[Call]] = defaultdict(list)
    marks = {task["description"]: path_of(task) for request in story.requests for task in shown(request)}
    created = [request for request in story.requests if request.method == "POST" and request.body["description"] in marks]
    created.sort(key=lambda request: str(request.body["description"]))
    for mark, several in groupby(created, key=lambda request: str(request.body["description"])):
        attempts = list(several)
        body, ended = attempts[0].body, min(request.ended for request in attempts)
        began = min(request.began for request in attempts)
        answer = None if ended == NEVER else 201
        path = marks[mark]
        calls[path].append(
            Call(began, ended, "create", answer, None, body["title"], body["status"], _place(body["due_at"], path))
        )
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
        state = State(int(answer.etag.strip('"')), "", "", "")
    body = request.body or {}
    return Call(
        request.began,
        request.ended,
        _KINDS[request.method],
        answer.status if answer else None,
        state,
        body.get("title"),
        body.get("status"),
        _place(body["due_at"], request.path) if "due_at" in body else None,
        None if tags == "*" else frozenset(int(tag.strip(' "')) for tag in tags.split(",")),
        request.disturbed,
    )


def _state(task: Any) -> State:
    return State(task["version"], task["title"], task["status"], _place(task["due_at"], path_of(task)))


def _seen(walk: Walk, marks: dict[str, str]) -> Iterator[tuple[str, Call]]:
    """Give what each page shows, and what it does not between its ends; the stand-in reads a page at one moment."""
    status = _status(walk)
    edge, end = ("", _LAST) if status else (_LAST, "")
    for page in walk:
        there = {path_of(task): task for task in shown(page)}
        for path, task in there.items():
            yield path, Call(page.began, page.ended, "read", 200, _state(task))
        further = bool(page.answer and page.answer.json["next_cursor"])
        last = [edge, *(_stands(task, status) for task in shown(page))][-1] if further else end
        low, high = sorted([edge, last])
        missing = Call(page.began, page.ended, "read", 404, gap=((status, low), (status, high)) if status else None)
        for mark, path in marks.items():
            if mark.startswith(f"{page.owner}:") and path not in there and (status or low < path < high):
                yield path, missing
        edge = last


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
