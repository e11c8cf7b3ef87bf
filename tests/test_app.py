"""The contract, rule by rule, over HTTP."""

import re

from tests.people import Person, path_of

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
MEMBERS = ["task_id", "title", "description", "status", "due_at", "created_at", "updated_at", "version"]


class TestCreate:
    def test_a_new_task_has_the_defaults_and_says_where_it_is(self, alice: Person) -> None:
        answer = alice("POST", "/tasks", {"title": "Buy milk"})
        task = answer.json
        assert answer.status == 201
        assert list(task) == MEMBERS
        assert re.fullmatch(UUID7, task["task_id"])
        assert re.fullmatch(INSTANT, task["created_at"])
        assert task | {"title": "Buy milk", "description": "", "status": "pending", "due_at": None, "version": 1} == task
        assert task["updated_at"] == task["created_at"]
        assert answer.headers["Location"] == path_of(task)
        assert answer.etag == '"1"'
        assert "Idempotency-Replayed" not in answer.headers
        assert alice("GET", answer.headers["Location"]).json == task

    def test_all_that_a_client_may_set_is_kept(self, alice: Person) -> None:
        members = {"title": "T", "description": "a\n\tb", "status": "done", "due_at": "2030-01-31T09:00:00Z"}
        assert alice("GET", path_of(alice.creates(**members))).json.items() >= members.items()
