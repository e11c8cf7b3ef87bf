"""Whatever one caller does, in whatever order, the API answers as a dictionary would; somebody else's task stays out of it."""

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.people import Answer, Person, path_of

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


class OneCaller(RuleBasedStateMachine):
    """Holds each task as it was last shown, and what each key has made."""

    @initialize()
    def begin(self) -> None:
        self.alice, self.bob = Person(), Person()
        self.tasks: dict[str, Any] = {}
        self.keys: dict[str, tuple[Any, Any]] = {}
        self.gone: list[str] = []
        self.walks: list[tuple[str, Any, str]] = []
        for title in "ABCD":  # enough for a list of several pages
            self.create({"title": title}, "")
        self.bobs = [self.bob.creates("his own", status=status) for status in ("done", "pending")]

    @rule(new=NEW, key=st.sampled_from(["", "k1", "k2", '"k2"']))
    def create(self, new: dict[str, Any], key: str) -> None:
        answer = self.alice("POST", "/tasks", new, **({"Idempotency_Key": key} if key else {}))
        body, first = self.keys.get(key.strip('"'), (new, None))
        if body != new:
            assert answer.problem == (422, "idempotency-key-reused")
            return
        assert (answer.status, answer.etag) == (201, '"1"')
        assert answer.headers.get("Idempotency-Replayed") == ("true" if first else None)
        made = answer.json
        if first:
            assert made == first
            return
        assert made == DEFAULTS | new | {name: made[name] for name in ("task_id", "created_at")} | {
            "updated_at": made["created_at"],
            "version": 1,
        }
        assert made["task_id"] > max([*self.tasks, *self.gone], default="")
        self.tasks[made["task_id"]] = made
        if key:
            self.keys[key.strip('"')] = new, made

    def _tagged(self, task: Any, tag: str) -> tuple[dict[str, str], bool]:
        """Return a header, and whether the task fits it."""
        version = task["version"]
        now, before = f'"{version}"', f'"{version - 1}"'
        tags = {"*": "*", "right": now, "stale": before, "one of two": f"{before}, {now}", "weak": f"W/{now}"}
        return ({"If_Match": tags[tag]} if tag else {}), tag != "stale"

    def _refused(self, task: Any, answer: Answer) -> None:
        assert answer.problem == (412, "precondition-failed")
        assert answer.etag == f'"{task["version"]}"'

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, changes=st.fixed_dictionaries({}, optional=MEMBERS), tag=TAGS)
    def change(self, which: int, changes: dict[str, Any], tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        headers, fits = self._tagged(task, tag)
        answer = self.alice("PATCH", path_of(task), changes, **headers)
        if not fits:
            self._refused(task, answer)
            return
        assert answer.status == 200
        now = answer.json
        assert now["updated_at"] >= task["updated_at"]
        moved = {"version": task["version"] + 1, "updated_at": now["updated_at"]} if changes else {}
        assert now == task | changes | moved
        self.tasks[task["task_id"]] = now

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, tag=TAGS)
    def delete(self, which: int, tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        headers, fits = self._tagged(task, tag)
        answer = self.alice("DELETE", path_of(task), **headers)
        if not fits:
            self._refused(task, answer)
            return
        assert (answer.status, answer.body) == (204, b"")
        self.gone.append(task["task_id"])
        del self.tasks[task["task_id"]]

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, tag=TAGS)
    def read(self, which: int, tag: str) -> None:
        task = list(self.tasks.values())[which % len(self.tasks)]
        tags = {"": {}, "stale": {"If_None_Match": '"77"'}}.get(tag, {"If_None_Match": f'W/"{task["version"]}"'})
        answer = self.alice("GET", path_of(task), **tags)
        assert answer.etag == f'"{task["version"]}"'
        assert answer.status == (304 if tag not in {"", "stale"} else 200)
        assert answer.status == 304 or answer.json == task

    @rule(method=st.sampled_from(["GET", "PATCH", "DELETE"]), which=WHICH, tag=st.sampled_from(["", "*", '"1"']))
    def look_for_what_is_not_hers(self, method: str, which: int, tag: str) -> None:
        missing = [*self.gone, *(task["task_id"] for task in self.bobs)]
        body = {"title": "T"} if method == "PATCH" else None
        headers = {"If_Match": tag} if tag and method != "GET" else {}
        answer = self.alice(method, f"/tasks/{missing[which % len(missing)]}", body, **headers)
        assert answer.problem == (404, "not-found")

    @rule(status=st.none() | STATUSES, after=DUE, before=DUE, limit=st.integers(1, 4))
    def begin_a_list(self, status: str | None, after: str | None, before: str | None, limit: int) -> None:
        asked = {"status": status, "due_after": after, "due_before": before} if status else {}
        query = "&".join(f"{name}={value}" for name, value in (asked | {"limit": limit}).items() if value is not None)
        self._page(f"/tasks?{query}", asked | {"limit": limit}, "")

    @precondition(lambda self: self.walks)
    @rule(which=WHICH)
    def follow_a_list(self, which: int) -> None:
        path, asked, cursor = self.walks.pop(which % len(self.walks))
        assert self.bob("GET", f"{path}&cursor={cursor}").problem == (400, "invalid-cursor")
        self._page(path, asked, cursor)

    def _page(self, path: str, asked: dict[str, Any], cursor: str) -> None:
        """See that a page is what follows in the dictionary, as it is now, what was shown last."""
        answer = self.alice("GET", path + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200
        rest = [task for task in self._listed(asked) if "behind" not in asked or self._behind(task, asked)]
        limit = asked["limit"]
        assert answer.json["tasks"] == rest[:limit]
        assert answer.json["count"] == len(rest[:limit])
        following = answer.json["next_cursor"]
        assert (following is not None) == (len(rest) > limit)
        if following:
            self.walks.append((path, asked | {"behind": rest[limit - 1]}, following))

    def _listed(self, asked: dict[str, Any]) -> list[Any]:
        if not asked.get("status"):
            return sorted(self.tasks.values(), key=lambda task: str(task["task_id"]), reverse=True)
        after, before = asked["due_after"], asked["due_before"]
        found = [task for task in self.tasks.values() if task["status"] == asked["status"]]
        if after or before:
            found = [task for task in found if task["due_at"] and (after or "") <= task["due_at"] < (before or "~")]
        return sorted(found, key=due_order)

    def _behind(self, task: Any, asked: dict[str, Any]) -> bool:
        last = asked["behind"]
        return due_order(task) > due_order(last) if asked.get("status") else bool(task["task_id"] < last["task_id"])

    @invariant()
    def all_is_as_it_was_answered(self) -> None:
        assert self.alice("GET", "/tasks?limit=100").json["tasks"] == self._listed({})

    def teardown(self) -> None:
        assert self.bob("GET", "/tasks").json["tasks"] == self.bobs[::-1]


OneCaller.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
test_one_caller_gets_the_answers_that_a_dictionary_would_give = OneCaller.TestCase
