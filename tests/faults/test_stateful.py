"""Stateful test: any sequence of requests of one user has the responses of a dictionary; other users' tasks stay hidden."""

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.people import Person, Response, path_of

STATUSES = st.sampled_from(["pending", "in_progress", "done"])
DUE = st.none() | st.sampled_from([f"2030-01-0{day}T00:00:00Z" for day in (1, 2, 3)])
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from("ABC"),
    "description": st.sampled_from(["", "D"]),
    "status": STATUSES,
    "due_at": DUE,
}
OPTIONAL = {name: values for name, values in MEMBERS.items() if name != "title"}
NEW = st.fixed_dictionaries({"title": MEMBERS["title"]}, optional=OPTIONAL)
DEFAULTS = {"description": "", "status": "pending", "due_at": None}
WHICH = st.integers(0, 1000)
TAGS = st.sampled_from(["", "*", "right", "stale", "one of two", "weak"])


def due_order(task: Any) -> tuple[str, str]:
    return task["due_at"] or "~", task["task_id"]


class OneUser(RuleBasedStateMachine):
    """Keeps each task as last returned, and the task of each idempotency key."""

    @initialize()
    def begin(self) -> None:
        self.alice, self.bob = Person(), Person()
        self.tasks: dict[str, Any] = {}
        self.keys: dict[str, tuple[Any, Any]] = {}
        self.deleted: list[str] = []
        self.traversals: list[tuple[str, Any, str]] = []
        for title in "ABCD":  # enough for several pages
            self.create({"title": title}, "")
        self.tasks_of_bob = [self.bob.creates("his own", status=status) for status in ("done", "pending")]

    @rule(new=NEW, key=st.sampled_from(["", "k1", "k2", '"k2"']))
    def create(self, new: dict[str, Any], key: str) -> None:
        response = self.alice("POST", "/tasks", new, **({"Idempotency_Key": key} if key else {}))
        body, first = self.keys.get(key.strip('"'), (new, None))
        if body != new:
            assert response.problem == (422, "idempotency-key-reused")
            return
        assert (response.status, response.etag) == (201, '"1"')
        assert response.headers.get("Idempotency-Replayed") == ("true" if first else None)
        created = response.json
        if first:
            assert created == first
            return
        assert created == DEFAULTS | new | {name: created[name] for name in ("task_id", "created_at")} | {
            "updated_at": created["created_at"],
            "version": 1,
        }
        assert created["task_id"] > max([*self.tasks, *self.deleted], default="")
        self.tasks[created["task_id"]] = created
        if key:
            self.keys[key.strip('"')] = new, created

    def _if_match(self, task: Any, tag: str) -> tuple[dict[str, str], bool]:
        """Return an If-Match header, and whether it matches the version of the task."""
        version = task["version"]
        now, before = f'"{version}"', f'"{version - 1}"'
        tags = {"*": "*", "right": now, "stale": before, "one of two": f"{before}, {now}", "weak": f"W/{now}"}
        return ({"If_Match": tags[tag]} if tag else {}), tag != "stale"

    def _check_precondition_failed(self, task: Any, response: Response) -> None:
        assert response.problem == (412, "precondition-failed")
        assert response.etag == f'"{task["version"]}"'

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, changes=st.fixed_dictionaries({}, optional=MEMBERS), tag=TAGS)
    def change(self, which: int, changes: dict[str, Any], tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        headers, matches = self._if_match(task, tag)
        response = self.alice("PATCH", path_of(task), changes, **headers)
        if not matches:
            self._check_precondition_failed(task, response)
            return
        assert response.status == 200
        now = response.json
        assert now["updated_at"] >= task["updated_at"]
        moved = {"version": task["version"] + 1, "updated_at": now["updated_at"]} if changes else {}
        assert now == task | changes | moved
        self.tasks[task["task_id"]] = now

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, tag=TAGS)
    def delete(self, which: int, tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        headers, matches = self._if_match(task, tag)
        response = self.alice("DELETE", path_of(task), **headers)
        if not matches:
            self._check_precondition_failed(task, response)
            return
        assert (response.status, response.body) == (204, b"")
        self.deleted.append(task["task_id"])
        del self.tasks[task["task_id"]]

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, tag=TAGS)
    def read(self, which: int, tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        tags = {"": {}, "stale": {"If_None_Match": '"77"'}}.get(tag, {"If_None_Match": f'W/"{task["version"]}"'})
        response = self.alice("GET", path_of(task), **tags)
        assert response.etag == f'"{task["version"]}"'
        assert response.status == (304 if tag not in {"", "stale"} else 200)
        assert response.status == 304 or response.json == task

    @rule(method=st.sampled_from(["GET", "PATCH", "DELETE"]), which=WHICH, tag=st.sampled_from(["", "*", '"1"']))
    def access_a_missing_task(self, method: str, which: int, tag: str) -> None:
        missing = [*self.deleted, *(task["task_id"] for task in self.tasks_of_bob)]
        body = {"title": "T"} if method == "PATCH" else None
        headers = {"If_Match": tag} if tag and method != "GET" else {}
        response = self.alice(method, f"/tasks/{missing[which % len(missing)]}", body, **headers)
        assert response.problem == (404, "not-found")

    @rule(status=st.none() | STATUSES, after=DUE, before=DUE, limit=st.integers(1, 4))
    def start_a_traversal(self, status: str | None, after: str | None, before: str | None, limit: int) -> None:
        filters = {"status": status, "due_after": after, "due_before": before} if status else {}
        query = "&".join(f"{name}={value}" for name, value in (filters | {"limit": limit}).items() if value is not None)
        self._page(f"/tasks?{query}", filters | {"limit": limit}, "")

    @precondition(lambda self: self.traversals)
    @rule(which=WHICH)
    def continue_a_traversal(self, which: int) -> None:
        path, filters, cursor = self.traversals.pop(which % len(self.traversals))
        assert self.bob("GET", f"{path}&cursor={cursor}").problem == (400, "invalid-cursor")
        self._page(path, filters, cursor)

    def _page(self, path: str, filters: dict[str, Any], cursor: str) -> None:
        """Check that a page has the next tasks of the dictionary, as they are now, after the last one of the page before."""
        response = self.alice("GET", path + (f"&cursor={cursor}" if cursor else ""))
        assert response.status == 200
        rest = [task for task in self._listed(filters) if "after_task" not in filters or self._is_after(task, filters)]
        limit = filters["limit"]
        assert response.json["tasks"] == rest[:limit]
        assert response.json["count"] == len(rest[:limit])
        next_cursor = response.json["next_cursor"]
        assert (next_cursor is not None) == (len(rest) > limit)
        if next_cursor:
            self.traversals.append((path, filters | {"after_task": rest[limit - 1]}, next_cursor))

    def _listed(self, filters: dict[str, Any]) -> list[Any]:
        if not filters.get("status"):
            return sorted(self.tasks.values(), key=lambda task: str(task["task_id"]), reverse=True)
        after, before = filters["due_after"], filters["due_before"]
        found = [task for task in self.tasks.values() if task["status"] == filters["status"]]
        if after or before:
            found = [task for task in found if task["due_at"] and (after or "") <= task["due_at"] < (before or "~")]
        return sorted(found, key=due_order)

    def _is_after(self, task: Any, filters: dict[str, Any]) -> bool:
        last = filters["after_task"]
        return due_order(task) > due_order(last) if filters.get("status") else bool(task["task_id"] < last["task_id"])

    @invariant()
    def the_list_of_all_tasks_is_the_dictionary(self) -> None:
        assert self.alice("GET", "/tasks?limit=100").json["tasks"] == self._listed({})

    def teardown(self) -> None:
        assert self.bob("GET", "/tasks").json["tasks"] == self.tasks_of_bob[::-1]


OneUser.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
test_one_user_gets_the_responses_that_a_dictionary_would_give = OneUser.TestCase
