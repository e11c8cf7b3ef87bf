"""Workload of concurrent clients on a few tasks: several clients per owner, each with its own instance and proxy route.

Each client records every request and response in a history for checker.py. Some responses are dropped, as if they were lost.
"""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple

from tests.support import pool
from tests.support.faults import inject_random_faults
from tests.support.linearizability import NEVER
from tests.support.people import Response
from tests.support.testbed import Instance, Testbed

STATUSES = ["pending", "in_progress", "done"]
NO_RESPONSE = 0
MAX_PAGES = 200  # more than the tasks of any owner fill
_CLIENTS = 6
_DROP_RATE = 0.03
_DUE = [None, "2030-01-31T09:00:00Z", "2030-01-31T09:00:01Z", "2031-01-01T00:00:00Z"]  # few, so that ids decide as well
_HOT_SET = 4  # the latest tasks, which all clients use


class Request(NamedTuple):
    """A request and its response, if that is known."""

    began: float
    ended: float
    owner: str
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    response: Response | None
    status: int
    """Of the response, dropped or not."""
    is_to_other_owner: bool
    took: float
    """Seconds, also for a dropped response."""
    sub: bytes
    disturbed_requests: list[tuple[float, bytes]]
    """Of the proxy route, which may add to it after the client has its response."""

    @property
    def disturbed(self) -> bool:
        """Whether the proxy disturbed a request to AWS about this owner during this request."""
        ended = self.began + self.took
        return any(self.began <= moment <= ended and self.sub in body for moment, body in self.disturbed_requests)


Traversal = list[Request]
"""The pages of one list, from the first to the last or to the first page that failed."""


class History:
    """All requests of the clients, in the order of their responses."""

    def __init__(self, *, throttled: bool = False) -> None:
        self.throttled = throttled
        self.requests: list[Request] = []
        self.traversals: list[Traversal] = []
        self.faults: Counter[str] = Counter()


class Owner:
    def __init__(self, name: str) -> None:
        self.name, self.claims = name, pool.id_claims()
        self.other = self
        self.known: list[tuple[str, int]] = []
        """Path and last seen version of each task."""

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.known]


class Client:
    """One of several clients of an owner; its random operations depend on the seed and its name."""

    def __init__(self, name: str, owner: Owner, instance: Instance, seed: object, history: History) -> None:
        self.name, self.owner, self._instance, self._history = name, owner, instance, history
        self._rng = random.Random(f"{seed} {name}")  # noqa: S311 - no secret
        self._steps, self._drop_rate = 0, _DROP_RATE

    def send(self, method: str, path: str, body: Any = None, **headers: Any) -> Request:
        began = time.monotonic()
        response = self._instance(self.owner.claims, method, path, body, **headers)
        ended = time.monotonic()
        known = response.status not in {NO_RESPONSE, 409, 429, 503} and self._rng.random() >= self._drop_rate
        request = Request(
            began,
            ended if known else NEVER,
            self.owner.name,
            method,
            path,
            body,
            headers,
            response if known else None,
            response.status,
            path in self.owner.other.paths,
            ended - began,
            self.owner.claims["sub"].encode(),
            self._instance.route.disturbed,
        )
        self._history.requests.append(request)
        return request

    def step(self) -> None:
        """Do one random operation."""
        self._steps += 1
        operations, weights = [self._create, self._traverse_any], [2, 1]
        if self.owner.known:
            operations += [self._read, self._change, self._delete]
            weights += [3, 8, 1]
        if self.owner.other.known:
            operations.append(self._access_other_owner)
            weights.append(1)
        (operation,) = self._rng.choices(operations, weights)
        operation()

    def _create(self) -> None:
        key = self._rng.choice(["", f"k{self._rng.randrange(12)}"])
        mark = f"{self.owner.name}:{key or self.name + '.' + str(self._steps)}"  # the description, which identifies the task
        same = random.Random(mark)  # noqa: S311 - no secret
        body = {"title": mark, "description": mark, "status": same.choice(STATUSES), "due_at": same.choice(_DUE)}
        self._remember(self.send("POST", "/tasks", body, **({"Idempotency_Key": key} if key else {})))

    def _read(self) -> None:
        self._remember(self.send("GET", self._any_task()[0]))

    def _change(self) -> None:
        path, version = self._any_task()
        body: dict[str, str | None] = {"title": f"{self.name} {self._steps}"}
        if self._rng.random() < 0.2:
            body["status"] = self._rng.choice(STATUSES)
        if self._rng.random() < 0.2:
            body["due_at"] = self._rng.choice(_DUE)
        self._remember(self.send("PATCH", path, body, **self._if_match(version)))

    def _delete(self) -> None:
        path, version = self._any_task()
        self.send("DELETE", path, **self._if_match(version))

    def _access_other_owner(self) -> None:
        path, method = self._rng.choice(self.owner.other.paths[-_HOT_SET:]), self._rng.choice(["GET", "PATCH", "DELETE"])
        self.send(method, path, {"title": "mine"} if method == "PATCH" else None)

    def _traverse_any(self) -> None:
        self._traverse(self._rng.choice(["", self._rng.choice(STATUSES)]))

    def read_all(self, paths: list[str]) -> None:
        """Read every list and each of these tasks, and drop no response."""
        self._drop_rate = 0.0
        for status in ["", *STATUSES]:
            self._traverse(status)
        for path in paths:
            self.send("GET", path)

    def _traverse(self, status: str) -> None:
        """Read the list of a status, or of all, to the last page or to the first that fails."""
        path = f"/tasks?limit={self._rng.randint(2, 6)}" + (f"&status={status}" if status else "")
        traversal: Traversal = []
        cursor: str | None = ""
        while cursor is not None and len(traversal) < MAX_PAGES:
            page = self.send("GET", path + cursor)
            if page.response is None or page.response.status != 200:
                break
            traversal.append(page)
            next_cursor = page.response.json["next_cursor"]
            cursor = next_cursor and f"&cursor={next_cursor}"
        if traversal:
            self._history.traversals.append(traversal)

    def _any_task(self) -> tuple[str, int]:
        return self._rng.choice(self.owner.known[-_HOT_SET:])

    def _if_match(self, version: int) -> dict[str, str]:
        tag = self._rng.choice(["", "", "*", f'"{version}"', f'"{version}"', f'"{version}", "{version + 1}"'])
        return {"If_Match": tag} if tag else {}

    def _remember(self, request: Request) -> None:
        """Store the version in the response, so that other clients of the owner use the same tag."""
        if request.response and request.response.status in {200, 201}:
            task = request.response.json
            path = f"/tasks/{task['task_id']}"
            places = [place for place, (known, _) in enumerate(self.owner.known) if known == path]
            if places:
                self.owner.known[places[0]] = (path, task["version"])
            else:
                self.owner.known.append((path, task["version"]))


def run_clients(testbed: Testbed, seed: object, *, faults: bool, operations: int = 30) -> History:
    """Run all clients concurrently, with or without faults; then read everything without faults."""
    history = History()
    owners = [Owner("A"), Owner("B")]
    for owner, other in zip(owners, owners[::-1], strict=True):
        owner.other = other

    def run(client: Client) -> None:
        for _ in range(operations):
            client.step()

    with ExitStack() as stack:
        instances = [stack.enter_context(testbed.instance()) for _ in range(_CLIENTS)]
        clients = [Client(f"c{at}", owners[at % 2], instance, seed, history) for at, instance in enumerate(instances)]
        for number, instance in enumerate(instances if faults else []):
            inject_random_faults(instance.route, (seed, number))
        with ThreadPoolExecutor(_CLIENTS) as threads:
            list(threads.map(run, clients))
        for instance in instances:
            history.faults += instance.route.faulted
            instance.route.clear()
        for client in clients[: len(owners)]:
            client.read_all([path for owner in owners for path in owner.paths])
    return history
