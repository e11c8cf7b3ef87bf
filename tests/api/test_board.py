"""The board: the tasks of everybody, oldest first, for admins alone."""

import itertools
import threading
from typing import Any, cast

import pytest

from app import admins
from chalicelib.dynamodb import pages, shards, table
from chalicelib.problems import Forbidden
from tests.conftest import TABLE
from tests.support import pool
from tests.support.alarm import Alarm
from tests.support.events import context
from tests.support.people import Person, path_of
from tests.support.sdk_faults import Deadline, network, refused, use_fresh_client

BOARD = "/admin/tasks"


@pytest.fixture(autouse=True)
def _own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fresh_client(monkeypatch)  # whose handlers are those of this test


def test_the_board_shows_every_owner_and_the_oldest_first(admin: Person, alice: Person, bob: Person) -> None:
    tasks = [who.creates(str(number)) for number, who in enumerate([alice, bob, admin, alice])]
    alice.creates("other", status="done")
    response = admin("GET", f"{BOARD}?status=pending")
    assert list(response.json) == ["tasks", "count", "next_cursor"]
    assert (response.json["count"], response.json["next_cursor"]) == (4, None)
    owners = [alice.sub, bob.sub, admin.sub, alice.sub]
    assert response.json["tasks"] == [task | {"owner": owner} for task, owner in zip(tasks, owners, strict=True)]


@pytest.mark.parametrize("limit", [1, 2, 5, 11, 12, 13])
def test_pages_are_full_until_the_last_and_add_up(admin: Person, alice: Person, limit: int) -> None:
    titles = [alice.creates(str(number))["title"] for number in range(12)]
    pages = admin.pages(BOARD, status="pending", limit=limit)
    assert [task["title"] for page in pages for task in page] == titles
    assert [len(page) for page in pages] == [limit] * (12 // limit) + [12 % limit] * (12 % limit > 0)


def test_a_page_of_a_hundred_fetches_one_more(admin: Person, alice: Person) -> None:
    for number in range(101):
        alice.creates(str(number))
    assert [len(page) for page in admin.pages(BOARD, status="pending", limit=100)] == [100, 1]


def test_pages_contain_each_lasting_task_once_during_writes(admin: Person, alice: Person) -> None:
    tasks = [alice.creates(str(number)) for number in range(20)]
    first = admin("GET", f"{BOARD}?status=pending&limit=5").json
    alice("DELETE", path_of(tasks[4]))  # the very task that the cursor points at
    alice("DELETE", path_of(tasks[0]))
    alice("PATCH", path_of(tasks[7]), {"status": "done"})
    alice("PATCH", path_of(tasks[8]), {"title": "new"})
    alice.creates("20")
    shown = list(first["tasks"])
    position = first["next_cursor"]
    while position:
        page = admin("GET", f"{BOARD}?status=pending&limit=5&cursor={position}").json
        shown += page["tasks"]
        position = page["next_cursor"]
    titles = [task["title"] for task in shown]
    assert titles == ["0", "1", "2", "3", "4", "5", "6", "new", *[str(number) for number in range(9, 21)]]


def test_an_index_entry_of_a_changed_task_is_left_out_and_the_page_is_full(admin: Person, alice: Person) -> None:
    """The index may lag; here rows are changed behind its back."""
    tasks = [alice.creates(str(number)) for number in range(12)]
    client = cast("Any", table.client)
    for number in (1, 2, 5):
        client.update_item(
            TableName=TABLE,
            Key={"PK": {"S": f"USER#{alice.sub}"}, "SK": {"S": f"TASK#{tasks[number]['task_id']}"}},
            UpdateExpression="SET #status = :done",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":done": {"S": "done"}},
        )
    pages = admin.pages(BOARD, status="pending", limit=4)
    assert [[task["title"] for task in page] for page in pages] == [["0", "3", "4", "6"], ["7", "8", "9", "10"], ["11"]]


def test_a_task_in_two_shards_is_returned_once(admin: Person, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a change may be seen for a moment where the number of shards has grown."""
    ids = (f"01a1f8a7-b50f-7aa8-bb0e-{number:012x}" for number in itertools.count())  # the shard of a task follows from it
    monkeypatch.setattr("chalicelib.tasks.service.new_id", lambda _: next(ids))
    titles = [str(number) for number in range(12)]
    for title in titles:
        alice.creates(title)
    query = shards._query_shard

    def twice(partition: str, *rest: Any) -> list[dict[str, Any]]:
        status, number = partition.rsplit("#", 1)
        return query(f"{status}#{int(number) - int(number) % 2}", *rest)

    monkeypatch.setattr(shards, "_query_shard", twice)
    seen = [task["title"] for page in admin.pages(BOARD, status="pending", limit=2) for task in page]
    assert seen == sorted(set(seen), key=int)
    assert 0 < len(seen) < len(titles)


def test_a_page_reads_no_more_items_for_a_longer_list(admin: Person, alice: Person) -> None:
    asked: list[Any] = []
    read = []
    events = cast("Any", table.client).meta.events
    events.register("provide-client-params.dynamodb.*", lambda params, model, **_: asked.append((model.name, params)))
    events.register("after-call.dynamodb.Query", lambda parsed, **_: read.append(len(parsed["Items"])))
    costs = []
    for more in (20, 60):
        for number in range(more):
            alice.creates(str(number))
        asked.clear()
        read.clear()
        assert admin("GET", f"{BOARD}?status=pending&limit=2").json["count"] == 2
        costs.append(([name for name, _ in asked], sum(read)))
    assert costs[0][0] == costs[1][0] == ["Query"] * 8 + ["BatchGetItem"]
    assert costs[1][1] <= 8 * 3
    assert all(params["Limit"] == 3 and "FilterExpression" not in params for name, params in asked if name == "Query")


def test_unprocessed_keys_are_requested_again(admin: Person, alice: Person) -> None:
    for number in range(3):
        alice.creates(str(number))
    held: list[str] = []

    def hold_back(parsed: dict[str, Any], **_: object) -> None:
        items = parsed["Responses"][TABLE]
        if not held and len(items) > 1:
            item = items.pop()
            held.append(item["SK"]["S"])
            parsed["UnprocessedKeys"] = {TABLE: {"Keys": [{"PK": item["PK"], "SK": item["SK"]}]}}

    cast("Any", table.client).meta.events.register("after-call.dynamodb.BatchGetItem", hold_back)
    assert admin.titles(BOARD, status="pending") == ["0", "1", "2"]
    assert len(held) == 1


def test_keys_that_stay_unprocessed_are_503(admin: Person, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.creates()
    asked, deadline = [], Deadline(monkeypatch)

    def hold_back(parsed: dict[str, Any], **_: object) -> None:
        asked.append(parsed)
        keys = [{name: item[name] for name in ("PK", "SK")} for item in parsed["Responses"].pop(TABLE)]
        parsed["UnprocessedKeys"] = {TABLE: {"Keys": keys}}

    use_fresh_client(monkeypatch).meta.events.register("after-call.dynamodb.BatchGetItem", hold_back)
    assert admin("GET", f"{BOARD}?status=pending").problem == (503, "unavailable")
    assert len(asked) == len(deadline.pauses) + 1 > 5
    assert 1 <= deadline.left < 2


@pytest.mark.usefixtures("in_lambda")
class TestWho:
    @pytest.mark.parametrize(
        "groups", ["admin", "a,admin", "admin,b", "[a admin]", "[admin]", "[a, admin]", ["admin"], ["a", "admin"]]
    )
    def test_an_admin_is_admitted_in_each_form_of_the_groups_claim(self, groups: object) -> None:
        claims = pool.id_claims() | {"cognito:groups": groups}
        assert admins.identify(context(authorizer={"claims": claims}), "").sub == claims["sub"]

    @pytest.mark.parametrize("groups", [
        None, "", "not-admin", "admins", "administrator", "not,admins", "[not-admin]", "Admin", [], ["admins"], ["not admin"], ["a,admin"],
        "admin2", "a.admin", {"admin": 1}, 5, [["admin"]],
    ])  # fmt: skip
    def test_nobody_but_an_admin_is_admitted(self, groups: object) -> None:
        with pytest.raises(Forbidden):
            admins.identify(context(authorizer={"claims": pool.id_claims() | {"cognito:groups": groups}}), "")

    def test_a_user_without_the_group_gets_403(self, alice: Person, nobody: Person) -> None:
        assert alice("GET", f"{BOARD}?status=pending").problem == (403, "forbidden")
        assert nobody("GET", f"{BOARD}?status=pending").problem == (401, "unauthorized")

    def test_an_admin_changes_nobodys_tasks(self, admin: Person, alice: Person) -> None:
        path = path_of(alice.creates())
        for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
            assert admin(method, path, body).problem == (404, "not-found")


@pytest.mark.parametrize(
    "query",
    ["", "limit=5", "status=", "status=x", "status=pending&limit=0", "status=pending&due_after=2030-01-01T00:00:00Z"],
)
def test_a_query_that_breaks_a_rule_is_refused(admin: Person, query: str) -> None:
    assert admin("GET", f"{BOARD}?{query}").problem == (422, "validation")


def test_a_cursor_works_only_for_its_list_and_caller(admin: Person, alice: Person) -> None:
    for _ in range(3):
        alice.creates()
        admin.creates()
    board = admin("GET", f"{BOARD}?status=pending&limit=1").json["next_cursor"]
    mine = admin("GET", "/tasks?status=pending&limit=1").json["next_cursor"]
    other = Person(claims={"cognito:groups": ["admin"]})
    assert admin("GET", f"{BOARD}?status=pending&cursor={board}").status == 200
    for who, path in (
        (admin, f"{BOARD}?status=done&cursor={board}"),
        (admin, f"{BOARD}?status=pending&cursor={mine}"),
        (admin, f"/tasks?status=pending&cursor={board}"),
        (admin, f"/tasks?cursor={board}"),
        (other, f"{BOARD}?status=pending&cursor={board}"),
    ):
        assert who("GET", path).problem == (400, "invalid-cursor")


@pytest.mark.parametrize(
    "position",
    ["", "x", "2030-01-01T00:00:00.000Z", "2030-01-01T00:00:00.000Z#11111111-2222-4333-8444-555555555555", "#" * 60],
)
def test_a_forged_cursor_is_refused(admin: Person, position: str) -> None:
    forged = pages.encode(position, admin.sub, "all tasks", "pending")
    assert admin("GET", f"{BOARD}?status=pending&cursor={forged}").problem == (400, "invalid-cursor")


def test_an_outage_of_one_shard_is_503(admin: Person, alice: Person) -> None:
    for number in range(20):
        alice.creates(str(number))
    with network(refused("AccessDeniedException")):
        assert admin("GET", f"{BOARD}?status=pending").problem == (503, "unavailable")


def test_hanging_shards_do_not_delay_later_requests(admin: Person, monkeypatch: pytest.MonkeyPatch, alarm: Alarm) -> None:
    monkeypatch.setattr("chalicelib.deadline.REQUEST_TIMEOUT", 0.2)
    over = threading.Event()

    def hang(**_: object) -> None:
        alarm.start()
        over.wait()

    events: Any = use_fresh_client(monkeypatch).meta.events
    events.register_first("before-send.dynamodb.Query", hang)
    try:
        assert admin("GET", f"{BOARD}?status=pending").problem == (503, "unavailable")
        events.unregister("before-send.dynamodb.Query", hang)
        assert admin("GET", f"{BOARD}?status=pending").status == 200
    finally:
        over.set()
