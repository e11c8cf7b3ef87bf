"""Clients who do to a few tasks whatever comes to mind, several for each owner, each with an instance and weather of its own.

Each writes down when it asked for what, and when it was answered what. Some answers never reach it.
"""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

from tests.support import pool
from tests.support.faults import weather
from tests.support.history import NEVER
from tests.support.people import Answer
from tests.support.testbed import Ground, Instance

STATUSES = ["pending", "in_progress", "done"]
UNANSWERED = 0
ENDLESS = 200  # pages, more than any owner comes to fill
_CLIENTS = 6
_LOST = 0.03
_DUE = [None, "2030-01-31T09:00:00Z", "2030-01-31T09:00:01Z", "2031-01-01T00:00:00Z"]  # few, so that ids decide as well
_AT_HAND = 4  # tasks that everybody is at


class Request(NamedTuple):
    """What was asked, and what was answered, if that is known."""

    began: float
    ended: float
    owner: str
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    answer: Answer | None
    status: int
    """Of the answer, lost or not."""
    stray: bool
    """Whether the task is known to be another's."""
    took: float
    """Seconds; also where the answer is taken for lost."""
    sub: bytes
    spoiled: list[tuple[float, bytes]]
    """Exchanges with AWS that the network spoiled; it may know later than the client has its answer."""

    @property
    def disturbed(self) -> bool:
        """Whether the network spoiled something that was about the owner while this was under way."""
        ended = self.began + self.took
        return any(self.began <= moment <= ended and self.sub in asked for moment, asked in self.spoiled)


Walk = list[Request]
"""A list from its first page, to its last or as far as pages came."""


class Story:
    """What a crowd has done."""

    def __init__(self, *, throttled: bool = False) -> None:
        self.throttled = throttled
        self.requests: list[Request] = []
        self.walks: list[Walk] = []
        self.faults: Counter[str] = Counter()


class Owner:
    def __init__(self, name: str) -> None:
        self.name, self.claims = name, pool.id_claims()
        self.other = self
        self.known: list[tuple[str, int]] = []
        """Tasks with a version that each has had, as somebody was shown it."""

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.known]


class Client:
    """One of those who act for an owner."""

    def __init__(self, name: str, owner: Owner, instance: Instance, seed: object, story: Story) -> None:
        self.name, self.owner, self._instance, self._story = name, owner, instance, story
        self._dice = random.Random(f"{seed} {name}")  # noqa: S311 - no secret
        self._deeds, self._lost = 0, _LOST

    def ask(self, method: str, path: str, body: Any = None, **headers: Any) -> Request:
        began = time.monotonic()
        answer = self._instance(self.owner.claims, method, path, body, **headers)
        ended = time.monotonic()
        known = answer.status not in {UNANSWERED, 409, 429, 503} and self._dice.random() >= self._lost
        request = Request(
            began,
            ended if known else NEVER,
            self.owner.name,
            method,
            path,
            body,
            headers,
            answer if known else None,
            answer.status,
            path in self.owner.other.paths,
            ended - began,
            self.owner.claims["sub"].encode(),
            self._instance.wire.spoiled,
        )
        self._story.requests.append(request)
        return request

    def act(self) -> None:
        self._deeds += 1
        dice, known = self._dice, self.owner.known[-_AT_HAND:]
        deeds = [self._create, self.walk]
        weights = [2, 1]
        if known:
            deeds += [self._read, self._change, self._delete]
            weights += [3, 8, 1]
        if self._others():
            deeds.append(self._stray)
            weights.append(1)
        (deed,) = dice.choices(deeds, weights)
        deed()

    def _create(self) -> None:
        key = self._dice.choice(["", f"k{self._dice.randrange(12)}"])
        mark = f"{self.owner.name}:{key or self.name + '.' + str(self._deeds)}"  # stays with the task as its description
        same = random.Random(mark)  # noqa: S311 - no secret
        body = {"title": mark, "description": mark, "status": same.choice(STATUSES), "due_at": same.choice(_DUE)}
        self._learn(self.ask("POST", "/tasks", body, **({"Idempotency_Key": key} if key else {})))

    def _read(self) -> None:
        self._learn(self.ask("GET", self._some()[0]))

    def _change(self) -> None:
        path, version = self._some()
        body: dict[str, str | None] = {"title": f"{self.name} {self._deeds}"}
        if self._dice.random() < 0.2:
            body["status"] = self._dice.choice(STATUSES)
        if self._dice.random() < 0.2:
            body["due_at"] = self._dice.choice(_DUE)
        self._learn(self.ask("PATCH", path, body, **self._tag(version)))

    def _delete(self) -> None:
        path, version = self._some()
        self.ask("DELETE", path, **self._tag(version))

    def _stray(self) -> None:
        """Reach for what is another's."""
        path, method = self._dice.choice(self._others()), self._dice.choice(["GET", "PATCH", "DELETE"])
        self.ask(method, path, {"title": "mine"} if method == "PATCH" else None)

    def walk(self) -> None:
        self._follow(self._dice.choice(["", self._dice.choice(STATUSES)]))

    def sweep(self, paths: list[str]) -> None:
        """Look at each list, and at each of these tasks, and miss no answer."""
        self._lost = 0.0
        for status in ["", *STATUSES]:
            self._follow(status)
        for path in paths:
            self.ask("GET", path)

    def _follow(self, status: str) -> None:
        """Follow the list of a status, or of all, to its end, or to the first page that does not come."""
        path = f"/tasks?limit={self._dice.randint(2, 6)}" + (f"&status={status}" if status else "")
        walk: Walk = []
        cursor: str | None = ""
        while cursor is not None and len(walk) < ENDLESS:
            page = self.ask("GET", path + cursor)
            if page.answer is None or page.answer.status != 200:
                break
            walk.append(page)
            following = page.answer.json["next_cursor"]
            cursor = following and f"&cursor={following}"
        if walk:
            self._story.walks.append(walk)

    def _others(self) -> list[str]:
        return self.owner.other.paths[-_AT_HAND:]

    def _some(self) -> tuple[str, int]:
        return self._dice.choice(self.owner.known[-_AT_HAND:])

    def _tag(self, version: int) -> dict[str, str]:
        tag = self._dice.choice(["", "", "*", f'"{version}"', f'"{version}"', f'"{version}", "{version + 1}"'])
        return {"If_Match": tag} if tag else {}

    def _learn(self, request: Request) -> None:
        """Remember the version that was shown, so that others may try the same tag."""
        if request.answer and request.answer.status in {200, 201}:
            task = request.answer.json
            path = f"/tasks/{task['task_id']}"
            places = [place for place, (known, _) in enumerate(self.owner.known) if known == path]
            if places:
                self.owner.known[places[0]] = (path, task["version"])
            else:
                self.owner.known.append((path, task["version"]))


def gathered(ground: Ground, seed: object, *, fair: bool, deeds: int = 30) -> Story:
    """Let a crowd act, then look at all that is left in fair weather."""
    story = Story()
    owners = [Owner("A"), Owner("B")]
    for owner, other in zip(owners, owners[::-1], strict=True):
        owner.other = other
    with ExitStack() as stack:
        instances = [stack.enter_context(ground.instance()) for _ in range(_CLIENTS)]
        crowd = [Client(f"c{at}", owners[at % 2], instance, seed, story) for at, instance in enumerate(instances)]
        for number, instance in enumerate([] if fair else instances):
            weather(instance.wire, (seed, number))
        with ThreadPoolExecutor(_CLIENTS) as many:
            list(many.map(lambda client: _live(client, deeds), crowd))
        for instance in instances:
            story.faults += instance.wire.faulted
            instance.wire.clear()
        for client in crowd[: len(owners)]:
            client.sweep([path for owner in owners for path in owner.paths])
    return story


def _live(client: Client, deeds: int) -> None:
    for _ in range(deeds):
        client.act()
